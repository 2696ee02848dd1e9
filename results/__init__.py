"""What takes minutes to hours, stored: a module an experiment, and in its folder what it found.

``python -m results`` shows what there is, whether it still holds, and what it costs to make it
again.
"""
