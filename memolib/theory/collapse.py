"""When the data points seen from x condense: information, collapse times, own weight."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from memolib._validate import count, real, real_array
from memolib.theory._shared import FloatArray, check_noise, check_points, check_variances, root_in_log_t


def information(variances, t) -> FloatArray:
    """Mutual information between a data point and its noisy copy, ``1/2 sum ln(1 + u_k)``, in nats.

    Args:
        variances: shape (d,).
        t: noise variance, above 0, any shape.
    Returns: shape of ``t``. Raises: ValueError for other arguments.
    Source: Cover and Thomas, Elements of Information Theory, chapter 9. Chapter: ``manifold/losing_dimensions``.
    """
    s2, t = check_variances(variances), check_noise(t)
    return np.log1p(s2 / t[..., None]).sum(axis=-1) / 2


def collapse_time(variances, N: float) -> float:
    """Noise variance t_C below which the empirical score at typical points condenses: ``information = ln N``.

    Args:
        variances: shape (d,).
        N: number of data points, 1 or more.
    Returns: t_C; infinite for N = 1 (condensed at every t), 0 where all variances are 0 (never). Raises: ValueError for
    other arguments. Source: Biroli et al. (2024) for the isotropic case. Chapter: ``manifold/losing_dimensions``.
    """
    s2, log_n = check_variances(variances), np.log(real("N", N, minimum=1))
    if log_n == 0:
        return np.inf
    if not s2.any():
        return 0.0
    return root_in_log_t(lambda t: information(s2, t) - log_n, s2)


def local_collapse_time(log_density, m: int, N: float) -> FloatArray:
    """Noise variance at which the information density at one place of a manifold is ln N, for small noise.

    Args:
        log_density: logarithm of the data's density per m-dimensional volume, any shape.
        m: dimension of the manifold, 1 or more.
        N: number of data points, 1 or more.
    Returns: ``t = (N p)^(-2/m)/(2 pi e)``, shape of ``log_density``: a patch of volume ``(2 pi e t)^(m/2)`` holds one
    data point. Holds where the density is nearly even, and the manifold nearly flat, over the distance sqrt(t).
    Raises: ValueError for other arguments. Source and Chapter: ``manifold/curved_manifolds``.
    """
    nats = np.log(real("N", N, minimum=1)) + real_array("log_density", log_density)
    return np.exp(-2 / count("m", m) * nats - 1) / (2 * np.pi)


def level_entropy(x, variances, t, N: float) -> FloatArray:
    """Entropy S(1) of the data points seen from x: above 0 many share the weight, at 0 they condense.

    Args:
        x: points in the data's eigenbasis, shape (..., d).
        variances: shape (d,).
        t: noise variance, above 0, one number.
        N: number of data points, 1 or more.
    Returns: ``S(1) = ln N - 1/2 sum_k [ln(1+u_k) - u_k/(1+u_k) + x_k^2 s_k^2/(t+s_k^2)^2]`` in nats, shape (...).
    Raises: ValueError otherwise. Source: this book, from the exact exponent. Chapter: ``manifold/losing_dimensions``.
    """
    s2 = check_variances(variances)
    x, t, N = check_points("x", x, s2), real("t", t, minimum=0, strict=True), real("N", N, minimum=1)
    share = s2 / (t + s2)  # u/(1+u)
    return np.log(N) - (np.log1p(s2 / t) - share + x**2 / (t + s2) * share).sum(axis=-1) / 2


def collapse_time_at(x, variances, N: float) -> float:
    """Noise variance below which the data points seen from one fixed x condense: ``level_entropy = 0``.

    Args:
        x: one point in the data's eigenbasis, shape (d,); the origin condenses later than typical points.
        variances: shape (d,).
        N: number of data points, 1 or more.
    Returns: infinite for N = 1, 0 where all variances are 0 (never). Raises, Source and Chapter: as ``level_entropy``.
    """
    s2 = check_variances(variances)
    x = check_points("x", x, s2)
    if x.ndim != 1:
        raise ValueError(f"x has shape {x.shape}; allowed is one point of shape ({s2.size},)")
    if real("N", N, minimum=1) == 1:
        return np.inf
    if not s2.any():
        return 0.0
    return root_in_log_t(lambda t: -level_entropy(x, s2, t, N), s2)


def condensed_participation(x, variances, t: float, N: float) -> float:
    """Leading order of E[Y] over data sets seen from a fresh x: ``1 - lam_c``, where ``S(lam_c) = 0``.

    Args:
        x: one point in the data's eigenbasis, shape (d,).
        variances: shape (d,).
        t: noise variance, above 0.
        N: number of data points, 1 or more.
    Returns: from 0 (not condensed) to 1. Holds for many dimensions at fixed ln N / m; with few, the transition is
    strongly rounded. Raises: ValueError for other arguments. Source and Chapter: ``manifold/losing_dimensions``.
    """
    s2 = check_variances(variances)
    x, t, log_n = check_points("x", x, s2), real("t", t, minimum=0, strict=True), np.log(real("N", N, minimum=1))

    def entropy(lam: float) -> float:
        v = lam * s2 / t
        return log_n - (np.log1p(v) - v / (1 + v) + (lam * x) ** 2 * s2 / (t + lam * s2) ** 2).sum() / 2

    if log_n == 0:
        return 1.0
    return 0.0 if entropy(1) >= 0 else 1 - brentq(entropy, 0, 1, xtol=1e-14)


def information_density(y, xi, variances, t: float) -> FloatArray:
    """``ln p(x|y)/p(x)`` at ``x = y + sqrt(t) xi``; its mean is the information.

    Args:
        y: data points in the eigenbasis, shape (..., d).
        xi: standard Gaussian noise, shape (..., d); 0 for the training point itself.
        variances: shape (d,).
        t: noise variance, above 0.
    Returns: nats, shape (...). Raises: ValueError otherwise. Source and Chapter: ``diffusion/empirical_score``.
    """
    s2 = check_variances(variances)
    y, xi, t = check_points("y", y, s2), check_points("xi", xi, s2), real("t", t, minimum=0, strict=True)
    x = y + np.sqrt(t) * xi
    return (np.log1p(s2 / t) + x**2 / (t + s2) - xi**2).sum(axis=-1) / 2


def own_weight(y, xi, variances, t: float, N: float) -> FloatArray:
    """Weight of the training point that x was made from, ``sigmoid(i - ln(N-1))``, the others at their mean.

    Args:
        y: data points in the eigenbasis, shape (..., d).
        xi: standard Gaussian noise, shape (..., d): points A; 0 for points B.
        variances: shape (d,).
        t: noise variance, above 0.
        N: number of data points, 1 or more.
    Returns: from 0 to 1, shape (...): a lower bound on the mean over the other points, by Jensen.
    Raises, Source and Chapter: as for ``information_density``.
    """
    density = information_density(y, xi, variances, t)
    N = real("N", N, minimum=1)
    return np.ones_like(density) if N == 1 else expit(density - np.log(N - 1))
