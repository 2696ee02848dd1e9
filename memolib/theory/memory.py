"""How many patterns a dense associative memory holds."""

import numpy as np
from scipy.special import entr, expit

from memolib._validate import ArrayLike, real
from memolib.theory._shared import FloatArray, check_noise


def retrieval_capacity(t: ArrayLike, flipped: float = 0.0) -> FloatArray:
    """Load ``alpha = ln N/d`` up to which a log-sum-exp memory finds the pattern asked for.

    The patterns are random, of +-1. The pattern's weight against all others' at the query:
    ``alpha = (1-2f)/t - ln cosh(1/t)`` while many share it, ``1 - 2f >= tanh(1/t)``; at lower
    temperatures against the nearest one's, ``alpha = ln 2 + f ln f + (1-f) ln(1-f)``.

    Args:
        t: temperature of the memory, the noise variance of the denoiser, above 0, any shape.
        flipped: fraction f of the query's signs that are wrong, from 0 to 1/2.

    Returns:
        Load in nats per spin, shape of ``t``; 0 where nothing is found.

    Raises:
        ValueError: for other arguments.

    Source:
        After Lucibello and Mezard, PRL 132, 077301 (2024).

    Chapter:
        ``glass/associative_memory``.

    Example:
        >>> from memolib import theory
        >>> theory.retrieval_capacity([1e-3, 1.0]).round(4).tolist()  # at first ln 2
        [0.6931, 0.5662]
    """
    t = check_noise(t)
    f = real("flipped", flipped, minimum=0)
    if f > 0.5:
        raise ValueError(f"flipped is {flipped}; allowed are fractions from 0 to 0.5")
    with np.errstate(all="ignore"):
        # ln cosh(1/t) = 1/t + ln(1 + exp(-2/t)) - ln 2: the 1/t are taken from each other here,
        # not in rounded numbers; and so are the ones in 1 - 2f >= tanh(1/t).
        against_many = np.log(2) - 2 * f / t - np.log1p(np.exp(-2 / t))
        many = f <= expit(-2 / t)
    against_nearest = np.log(2) - entr(f) - entr(1 - f)
    return np.maximum(0, np.where(many, against_many, against_nearest))


def sign_capacity(t: ArrayLike) -> FloatArray:
    """Load ``alpha = ln N/d`` up to which one sign of a stored pattern is stable.

    Votes are exponential, ``exp(y.x/t)``. The crowd's votes for and against a sign have mean 0, so
    their root-mean-square, ``sqrt(N) cosh(2/t)^(d/2)``, stands against the own ``exp(d/t)``: the
    sign holds at temperature t where the weight would at t/2.

    Args:
        t: temperature of the votes, above 0, any shape.

    Returns:
        ``2/t - ln cosh(2/t)`` in nats per spin, shape of ``t``.

    Raises:
        ValueError: for other arguments.

    Source:
        This book, by the argument of Demircigil et al., J. Stat. Phys. 168, 288 (2017).

    Chapter:
        ``glass/associative_memory``.

    Example:
        >>> from memolib import theory
        >>> round(float(theory.sign_capacity(1.0)), 4)  # 2 - ln cosh 2
        0.675
    """
    with np.errstate(all="ignore"):  # ln cosh z = z + ln(1 + exp(-2z)) - ln 2
        return np.log(2) - np.log1p(np.exp(-4 / check_noise(t)))
