"""What takes minutes to hours, stored: a module an experiment, of one shape, and in a folder of its
name what it found.

``python -m results`` shows what there is, whether it still holds, and what it costs to make it
again.
"""
