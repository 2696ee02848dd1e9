"""What each direction has lost to finite N: first-order laws at points A, B and C, and where they hold."""

import numpy as np

from memolib._validate import count, real, real_array
from memolib.theory._shared import FloatArray, check_variances, root_in_log_t
from memolib.theory.collapse import information, own_weight


def _laws(chi2, variances, t) -> tuple[FloatArray, FloatArray]:
    s2 = check_variances(variances)
    chi2, t = real_array("chi2", chi2, minimum=0), real("t", t, minimum=0, strict=True)
    return np.broadcast_to(chi2, np.broadcast_shapes(chi2.shape, s2.shape)), s2 / t


def participation(chi2, variances, t: float, N: float) -> FloatArray:
    """First order of E[Y] at points C (or E[own weight] at A): ``1/N prod (1+u)(1+2u)^(-1/2) exp[chi^2 u/(1+2u)]``.

    Args:
        chi2: ``x_k^2/(t+s_k^2)`` of the point looked at, shape (..., d), or one number for all directions; 0 or more.
        variances: shape (d,).
        t: noise variance, above 0; the law holds above ``law_limit``.
        N: number of data points, 1 or more.
    Returns: shape (...); use the laws where it is below 0.01.
    Raises: ValueError for other arguments. Source and Chapter: ``manifold/losing_dimensions``.
    """
    chi2, u = _laws(chi2, variances, t)
    logs = np.log1p(u) - np.log1p(2 * u) / 2 + chi2 * u / (1 + 2 * u)
    return np.exp(logs.sum(axis=-1)) / real("N", N, minimum=1)


def loss_fresh(chi2, variances, t: float, N: float) -> FloatArray:
    """Lost share ``1 - r_k`` of each direction at points C, first order in Y: ``Y [1/(1+2u) + 2 chi^2 u/(1+2u)^2]``.

    Args:
        chi2: as for ``participation``.
        variances: shape (d,).
        t: noise variance, above 0; the law holds above ``law_limit``.
        N: number of data points, 1 or more.
    Returns: relative loss of the diagonal elements of G, shape (..., d); times u/(1+u) it is the absolute loss.
    Raises, Source and Chapter: as for ``participation``.
    """
    Y = participation(chi2, variances, t, N)
    chi2, u = _laws(chi2, variances, t)
    return Y[..., None] * (1 / (1 + 2 * u) + 2 * chi2 * u / (1 + 2 * u) ** 2)


def loss_noisy(chi2, variances, t: float, N: float) -> FloatArray:
    """Lost share ``1 - r_k`` at points A, own point included: ``Y [(1+u)/(1+2u) + chi^2 u/(1+2u)^2]``.

    Args:
        chi2: as for ``participation``.
        variances: shape (d,).
        t: noise variance, above 0; the law holds above ``law_limit``.
        N: number of data points, 1 or more.
    Returns, Raises, Source and Chapter: as for ``loss_fresh``.
    """
    Y = participation(chi2, variances, t, N)
    chi2, u = _laws(chi2, variances, t)
    return Y[..., None] * ((1 + u) / (1 + 2 * u) + chi2 * u / (1 + 2 * u) ** 2)


def retention_training(
    variances, t: float, N: float, *, samples: int = 100_000, seed=None
) -> tuple[FloatArray, FloatArray]:
    """Approximate mean retention at points B, ``E[(1-p)(1 + p y_k^2/(s_k^2 (1+u_k)))]``, p the own weight.

    Args:
        variances: shape (d,), all above 0.
        t: noise variance, above 0.
        N: number of data points, 1 or more.
        samples: number of training points y drawn, 2 or more: the average over y is by Monte Carlo.
        seed: int or ``numpy.random.Generator``.
    Returns: mean retention and its standard error, shape (d,) each, with the other points taken at their mean.
    Raises, Source and Chapter: as for ``participation``.
    """
    s2 = real_array("variances", check_variances(variances), minimum=0, strict=True)
    z = np.random.default_rng(seed).standard_normal((count("samples", samples, minimum=2), s2.size))
    p = own_weight(z * np.sqrt(s2), np.zeros_like(z), s2, t, N)[:, None]
    r = (1 - p) * (1 + p * z**2 / (1 + s2 / t))
    return r.mean(axis=0), r.std(axis=0, ddof=1) / np.sqrt(samples)


def law_limit(variances, N: float) -> float:
    """Noise variance above which the first-order laws hold: ``I + sum u(1+u)/(1+2u)^2 = ln N``.

    Args:
        variances: shape (d,).
        N: number of data points, 1 or more.
    Returns: noise variance; infinite for N = 1 (never), 0 where all variances are 0 (always). Necessary, not
    sufficient: the participation ratio must be below 0.01 too. Raises, Source and Chapter: as for ``participation``.
    """
    s2, log_n = check_variances(variances), np.log(real("N", N, minimum=1))
    if log_n == 0:
        return np.inf
    if not s2.any():
        return 0.0

    def surplus(t: float) -> float:
        p = s2 / (t + 2 * s2)  # u/(1+2u)
        return information(s2, t) + (p * (1 - p)).sum() - log_n

    return root_in_log_t(surplus, s2)
