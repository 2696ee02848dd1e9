"""What each direction has lost to finite N: first-order laws at points A, B and C, their domain."""

import numpy as np

from memolib._validate import ArrayLike, Seed, count, drawn, finite, generator, real_array
from memolib.theory._shared import (
    Estimate,
    FloatArray,
    check_one_noise,
    check_size,
    check_variances,
    log_one_plus,
    root_in_log_t,
)
from memolib.theory.collapse import information, own_weight


def _laws(
    chi2: ArrayLike,
    variances: ArrayLike,
    t: float,
    N: float,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Y, and for each direction chi^2, ``u/(1+2u)`` and ``1/(1+2u)``, in which no law overflows."""
    s2 = check_variances(variances)
    chi2 = real_array("chi2", chi2, minimum=0)
    t = check_one_noise(t)
    N = check_size(N)
    if chi2.ndim and chi2.shape[-1] not in (1, s2.size):
        allowed = f"one number or (..., {s2.size}), as many directions as variances"
        raise ValueError(f"chi2 has shape {chi2.shape}; allowed is {allowed}")
    with np.errstate(all="ignore"):
        p = 1 / (2 + t / s2)
        q = 1 / (1 + 2 * (s2 / t))
        logs = log_one_plus(s2, t) - log_one_plus(s2, t / 2) / 2 + chi2 * p
        Y = np.exp(logs.sum(axis=-1)) / N
    return finite(Y, chi2=chi2, variances=s2, t=t), chi2, p, q


def participation(chi2: ArrayLike, variances: ArrayLike, t: float, N: float) -> FloatArray:
    """First order of E[Y] at points C, or of E[own weight] at points A.

    ``1/N prod (1+u)(1+2u)^(-1/2) exp[chi^2 u/(1+2u)]``; use the laws where it is below 0.01.

    Args:
        chi2: ``x_k^2/(t+s_k^2)`` of the point looked at, shape (..., d), or one number for all
            directions; 0 or more.
        variances: shape (d,).
        t: noise variance, above 0; the law holds above ``law_limit``.
        N: number of data points, 1 or more.

    Returns:
        Participation ratio, shape (...).

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``manifold/order_of_loss``.

    Example:
        >>> from memolib import theory
        >>> float(theory.participation(0.0, [1.5], 1.0, 125).round(6))  # 2.5/2/125
        0.01
    """
    return _laws(chi2, variances, t, N)[0]


def loss_fresh(chi2: ArrayLike, variances: ArrayLike, t: float, N: float) -> FloatArray:
    """Lost share ``1 - r_k`` of each direction at points C, first order in Y.

    ``Y [1/(1+2u) + 2 chi^2 u/(1+2u)^2]``.

    Args:
        chi2: as for ``participation``.
        variances: shape (d,).
        t: noise variance, above 0; the law holds above ``law_limit``.
        N: number of data points, 1 or more.

    Returns:
        Relative loss of the diagonal elements of G, shape (..., d); times u/(1+u) it is the
        absolute loss.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``manifold/order_of_loss``.
    """
    Y, chi2, p, q = _laws(chi2, variances, t, N)
    with np.errstate(all="ignore"):
        loss = Y[..., None] * (q + 2 * chi2 * p * q)
    return finite(loss, chi2=chi2, t=t)


def loss_noisy(chi2: ArrayLike, variances: ArrayLike, t: float, N: float) -> FloatArray:
    """Lost share ``1 - r_k`` at points A, own point included.

    ``Y [(1+u)/(1+2u) + chi^2 u/(1+2u)^2]``.

    Args:
        chi2: as for ``participation``.
        variances: shape (d,).
        t: noise variance, above 0; the law holds above ``law_limit``.
        N: number of data points, 1 or more.

    Returns:
        Relative loss of the diagonal elements of G, shape (..., d); times u/(1+u) it is the
        absolute loss.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``manifold/order_of_loss``.
    """
    Y, chi2, p, q = _laws(chi2, variances, t, N)
    with np.errstate(all="ignore"):
        loss = Y[..., None] * (1 - p + chi2 * p * q)
    return finite(loss, chi2=chi2, t=t)


def retention_training(
    variances: ArrayLike,
    t: float,
    N: float,
    *,
    samples: int = 100_000,
    seed: Seed = None,
) -> Estimate:
    """Approximate mean retention at points B, ``E[(1-p)(1 + p y_k^2/(s_k^2 (1+u_k)))]``.

    p is the own weight, with the other points taken at their mean.

    Args:
        variances: shape (d,), all above 0.
        t: noise variance, above 0.
        N: number of data points, 1 or more.
        samples: number of training points y drawn, 2 or more: the average over y is by Monte
            Carlo.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

    Returns:
        ``Estimate`` of the mean retention, shape (d,).

    Raises:
        ValueError: for other arguments, and for more samples than memory holds.

    Source:
        This book.

    Chapter:
        ``manifold/order_of_loss``.

    Example:
        >>> from memolib import theory
        >>> mean, error = theory.retention_training([1.0, 0.1], 0.1, 100, seed=0)
        >>> bool(mean[0] < mean[1])  # high variance is lost first
        True
    """
    s2 = real_array("variances", check_variances(variances), minimum=0, strict=True)
    t = check_one_noise(t)
    samples = count("samples", samples, minimum=2)
    rng = generator(seed, "retention_training")
    z = drawn(lambda shape: rng.standard_normal((*shape, s2.size)), samples=samples)
    p = own_weight(z * np.sqrt(s2), np.zeros_like(z), s2, t, N)[:, None]
    with np.errstate(all="ignore"):
        r = (1 - p) * (1 + p * z**2 / (1 + s2 / t))
    return Estimate(r.mean(axis=0), r.std(axis=0, ddof=1) / np.sqrt(samples))


def law_limit(variances: ArrayLike, N: float) -> float:
    """Noise variance above which the first-order laws hold: ``I + sum u(1+u)/(1+2u)^2 = ln N``.

    Necessary, not sufficient: the participation ratio must be below 0.01 too.

    Args:
        variances: shape (d,).
        N: number of data points, 1 or more.

    Returns:
        Noise variance; infinite for N = 1 (never), 0 where all variances are 0 (always).

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``manifold/order_of_loss``.
    """
    s2 = check_variances(variances)
    N = check_size(N)
    if N == 1:
        return np.inf
    if not s2.any():
        return 0.0
    log_n = np.log(N)

    def surplus(t: float) -> float:
        p = 1 / (2 + t / s2)  # u/(1+2u)
        return information(s2, t) + (p * (1 - p)).sum() - log_n

    with np.errstate(all="ignore"):
        return root_in_log_t(surplus, s2, variances=s2, N=N)
