"""memolib: the helper package of *Losing Dimensions*, a book on memorization in generative diffusion.

One convention runs through everything: t is always a noise *variance*, and a set of N data points seen through noise t
is a system of N energy levels at temperature t.
"""

from importlib.metadata import version

__version__ = version("losing-dimensions")
