"""What takes minutes to hours, stored.

Each experiment is a module of one shape, with a folder of its name for what it found.
``python -m results`` shows what there is, whether it still holds, and what it costs to make it
again.
"""
