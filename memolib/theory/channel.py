"""Data points as the words of a random code: how much the information density fluctuates."""

import numpy as np
from scipy.special import ndtr

from memolib._validate import ArrayLike, finite
from memolib.theory._shared import (
    FloatArray,
    check_noise,
    check_size,
    check_variances,
    share,
)
from memolib.theory.collapse import information


def dispersion(variances: ArrayLike, t: ArrayLike) -> FloatArray:
    """Variance of the information density over points A: ``sum u_k/(1 + u_k)``, in nats squared.

    Along one direction the density is ``ln(1+u)/2 + (chi^2 - xi^2)/2`` with two standard Gaussian
    numbers ``chi = x/sqrt(t+s^2)`` and ``xi`` of squared correlation ``1/(1+u)``. For Gaussian data
    the sum is the effective dimension ``-2 dI/d ln t``, too.

    Args:
        variances: shape (d,).
        t: noise variance, above 0, any shape.

    Returns:
        Dispersion in nats squared, at most the number of directions, shape of ``t``.

    Raises:
        ValueError: for other arguments.

    Source:
        Polyanskiy, Poor and Verdu (2010) for the name; they give the smaller one of words of
        equal length, ``sum u(2+u)/2(1+u)^2``.

    Chapter:
        ``diffusion/decoding``.

    Example:
        >>> from memolib import theory
        >>> theory.dispersion([3.0, 0.0], [1.0, 3.0]).tolist()
        [0.75, 0.5]
    """
    s2 = check_variances(variances)
    t = check_noise(t)
    with np.errstate(all="ignore"):
        return share(s2, t.reshape(-1, 1)).sum(axis=-1).reshape(t.shape)[()]


def own_weight_normal(variances: ArrayLike, t: ArrayLike, N: float) -> FloatArray:
    """Mean own weight at points A in the normal approximation, ``Phi((I - ln N)/sqrt(V))``.

    The probability that the information density exceeds ln N, by the central limit theorem. The
    crowd's fluctuations, of order one nat, are left out: the mean own weight is larger, by a
    number of order ``1/sqrt(V)``.

    Args:
        variances: shape (d,).
        t: noise variance, above 0, any shape.
        N: number of data points, 1 or more.

    Returns:
        From 0 to 1, shape of ``t``; where all variances are 0 it is 0, for N = 1 it is 1.

    Raises:
        ValueError: for other arguments.

    Source:
        Polyanskiy, Poor and Verdu (2010), theorem 54, for channels; for own weights this book.

    Chapter:
        ``diffusion/decoding``.

    Example:
        >>> from memolib import theory
        >>> variances, t = [1.0] * 64, 2.0
        >>> N = float(np.exp(theory.information(variances, t)))  # at the collapse
        >>> float(theory.own_weight_normal(variances, t, N).round(6))
        0.5
    """
    t = check_noise(t)
    N = check_size(N)
    excess = information(variances, t) - np.log(N)
    if N == 1:
        return np.ones(t.shape)[()]
    V = dispersion(variances, t)
    with np.errstate(all="ignore"):
        return finite(ndtr(excess / np.sqrt(V)), variances=variances, t=t, N=N)[()]


def index_information(variances: ArrayLike, t: ArrayLike, N: float) -> FloatArray:
    """Information of a noisy training point about which it was: ``ln N - E[entropy of weights]``.

    The mean of ``min(i, ln N)``, the information density i taken as Gaussian with mean I and
    variance ``V = sum u_k/(1+u_k)``: so ``min(I, ln N)``, rounded off over the width ``sqrt(V)``.

    Args:
        variances: shape (d,).
        t: noise variance, above 0, any shape.
        N: number of data points, 1 or more.

    Returns:
        Information in nats, from 0 to ``ln N``, shape of ``t``.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``diffusion/collapse``.

    Example:
        >>> from memolib import theory
        >>> theory.index_information([1.0] * 24, [1e-9, 1e9], 100).round(4).tolist()  # ln N, 0
        [4.6052, 0.0]
    """
    t = check_noise(t)
    log_n = np.log(check_size(N))
    nats = np.asarray(information(variances, t))
    with np.errstate(all="ignore"):
        width = np.sqrt(dispersion(variances, t))
        beyond = (nats - log_n) / width
        rounding = width * np.exp(-(beyond**2) / 2) / np.sqrt(2 * np.pi)
        mean = log_n + (nats - log_n) * ndtr(-beyond) - rounding
    sharp = np.minimum(nats, log_n)
    return np.where(width > 0, np.clip(mean, 0, sharp), sharp)[()]
