"""When the data points seen from x condense: information, collapse times, own weight."""

import numpy as np
from scipy.special import expit

from memolib._validate import ArrayLike, broadcast_shape, count, finite, real_array
from memolib.theory._shared import (
    FloatArray,
    check_noise,
    check_one_noise,
    check_point,
    check_points,
    check_size,
    check_variances,
    length,
    log_one_plus,
    root,
    root_in_log_t,
    share,
)


def information(variances: ArrayLike, t: ArrayLike) -> FloatArray:
    """Mutual information between a data point and its noisy copy, ``1/2 sum ln(1 + u_k)``, in nats.

    Args:
        variances: shape (d,).
        t: noise variance, above 0, any shape.

    Returns:
        Information in nats, shape of ``t``.

    Raises:
        ValueError: for other arguments.

    Source:
        Cover and Thomas, Elements of Information Theory, chapter 9.

    Chapter:
        ``manifold/losing_dimensions``.

    Example:
        >>> from memolib import theory
        >>> theory.information([3.0, 0.0], [1.0, 3.0]).round(4).tolist()  # ln 2, ln(2)/2
        [0.6931, 0.3466]
    """
    s2 = check_variances(variances)
    t = check_noise(t)
    with np.errstate(all="ignore"):
        return (log_one_plus(s2, t.reshape(-1, 1)).sum(axis=-1) / 2).reshape(t.shape)[()]


def collapse_time(variances: ArrayLike, N: float) -> float:
    """Noise variance t_C below which the empirical score at typical points condenses.

    There ``information = ln N``.

    Args:
        variances: shape (d,).
        N: number of data points, 1 or more.

    Returns:
        t_C; infinite for N = 1 (condensed at every t), 0 where all variances are 0 (never).

    Raises:
        ValueError: for other arguments.

    Source:
        Biroli et al. (2024) for the isotropic case.

    Chapter:
        ``manifold/losing_dimensions``.

    Example:
        >>> from memolib import theory
        >>> round(theory.collapse_time([1.0, 1.0], 5), 6)  # s^2/(N^(2/m) - 1)
        0.25
    """
    s2 = check_variances(variances)
    N = check_size(N)
    if N == 1:
        return np.inf
    if not s2.any():
        return 0.0
    log_n = np.log(N)
    return root_in_log_t(lambda t: information(s2, t) - log_n, s2, variances=s2, N=N)


def local_collapse_time(log_density: ArrayLike, m: int, N: float) -> FloatArray:
    """Noise variance at which the information density at one place of a manifold is ln N.

    For small noise: holds where the density is nearly even, and the manifold nearly flat, over the
    distance sqrt(t). A patch of volume ``(2 pi e t)^(m/2)`` holds one data point.

    Args:
        log_density: logarithm of the data's density per m-dimensional volume, any shape.
        m: dimension of the manifold, 1 or more.
        N: number of data points, 1 or more.

    Returns:
        ``t = (N p)^(-2/m)/(2 pi e)``, shape of ``log_density``.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``manifold/curved_manifolds``.
    """
    log_n = np.log(check_size(N))
    log_density = real_array("log_density", log_density)
    m = count("m", m)
    with np.errstate(all="ignore"):
        t = np.exp(-2 / m * (log_n + log_density) - 1) / (2 * np.pi)
    return finite(t, log_density=log_density, m=m)


def entropy_at(x: ArrayLike, variances: ArrayLike, t: float, N: float) -> FloatArray:
    """Entropy S(1) of the data points seen from x.

    Above 0 many share the weight, at 0 they condense.

    Args:
        x: points in the data's eigenbasis, shape (..., d).
        variances: shape (d,).
        t: noise variance, above 0, one number.
        N: number of data points, 1 or more.

    Returns:
        ``S(1) = ln N - 1/2 sum_k [ln(1+u_k) - u_k/(1+u_k) + x_k^2 s_k^2/(t+s_k^2)^2]`` in nats,
        shape (...).

    Raises:
        ValueError: for other arguments.

    Source:
        This book, from the exact exponent.

    Chapter:
        ``manifold/losing_dimensions``.
    """
    s2 = check_variances(variances)
    x = check_points("x", x, s2)
    t = check_one_noise(t)
    log_n = np.log(check_size(N))
    with np.errstate(all="ignore"):
        return finite(_entropy(x, s2, t, log_n), x=x, variances=s2, t=t)


def _entropy(x: FloatArray, s2: FloatArray, t: float, log_n: float) -> FloatArray:
    """S(1), under ``errstate``; minus infinity where it is too large."""
    p = share(s2, t)  # u/(1+u)
    pull = (x * np.sqrt(p) / length(s2, t)) ** 2
    return log_n - (log_one_plus(s2, t) - p + pull).sum(axis=-1) / 2


def collapse_time_at(x: ArrayLike, variances: ArrayLike, N: float) -> float:
    """Noise variance below which the data points seen from one fixed x condense.

    There ``entropy_at = 0``.

    Args:
        x: one point in the data's eigenbasis, shape (d,); the origin condenses later than typical
            points.
        variances: shape (d,).
        N: number of data points, 1 or more.

    Returns:
        Noise variance; infinite for N = 1, 0 where all variances are 0 (never).

    Raises:
        ValueError: for other arguments.

    Source:
        This book, from the exact exponent.

    Chapter:
        ``manifold/losing_dimensions``.
    """
    s2 = check_variances(variances)
    x = check_point("x", x, s2)
    N = check_size(N)
    if N == 1:
        return np.inf
    if not s2.any():
        return 0.0
    log_n = np.log(N)

    def surplus(t: float) -> float:
        return -_entropy(x, s2, t, log_n)

    with np.errstate(all="ignore"):
        return root_in_log_t(surplus, s2, x=x, variances=s2, N=N)


def condensed_participation(
    x: ArrayLike,
    variances: ArrayLike,
    t: float,
    N: float,
) -> float:
    """Leading order of E[Y] over data sets seen from a fresh x: ``1 - lam_c``, ``S(lam_c) = 0``.

    Holds for many dimensions at fixed ln N / m; with few, the transition is strongly rounded.

    Args:
        x: one point in the data's eigenbasis, shape (d,).
        variances: shape (d,).
        t: noise variance, above 0.
        N: number of data points, 1 or more.

    Returns:
        Participation ratio, from 0 (not condensed) to 1.

    Raises:
        ValueError: for other arguments.

    Source:
        This book, from the exact exponent.

    Chapter:
        ``manifold/losing_dimensions``.

    Example:
        >>> from memolib import theory
        >>> theory.condensed_participation([1.0, 0.5], [1.0, 0.25], 1.0, 1_000)
        0.0
    """
    s2 = check_variances(variances)
    x = check_point("x", x, s2)
    t = check_one_noise(t)
    N = check_size(N)
    if N == 1:
        return 1.0
    log_n = np.log(N)

    def entropy(lam: float) -> FloatArray:
        """S(lam): energies times lam are those of variances times lam, seen from x sqrt(lam)."""
        return _entropy(np.sqrt(lam) * x, lam * s2, t, log_n)

    with np.errstate(all="ignore"):
        return 0.0 if entropy(1) >= 0 else 1 - root(entropy, 0, 1, xtol=1e-14)


def information_density(
    y: ArrayLike,
    xi: ArrayLike,
    variances: ArrayLike,
    t: float,
) -> FloatArray:
    """``ln p(x|y)/p(x)`` at ``x = y + sqrt(t) xi``; its mean is the information.

    Args:
        y: data points in the eigenbasis, shape (..., d).
        xi: standard Gaussian noise, shape (..., d); 0 for the training point itself.
        variances: shape (d,).
        t: noise variance, above 0.

    Returns:
        Information in nats, shape (...).

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``diffusion/empirical_score``.
    """
    s2 = check_variances(variances)
    y = check_points("y", y, s2)
    xi = check_points("xi", xi, s2)
    t = check_one_noise(t)
    broadcast_shape(y=y, xi=xi)
    with np.errstate(all="ignore"):
        chi = (y + np.sqrt(t) * xi) / length(s2, t)
        density = (log_one_plus(s2, t) + chi**2 - xi**2).sum(axis=-1) / 2
    return finite(density, y=y, xi=xi, variances=s2, t=t)


def own_weight(
    y: ArrayLike,
    xi: ArrayLike,
    variances: ArrayLike,
    t: float,
    N: float,
) -> FloatArray:
    """Weight of the training point that x was made from, ``sigmoid(i - ln(N-1))``.

    The others are at their mean.

    Args:
        y: data points in the eigenbasis, shape (..., d).
        xi: standard Gaussian noise, shape (..., d): points A; 0 for points B.
        variances: shape (d,).
        t: noise variance, above 0.
        N: number of data points, 1 or more.

    Returns:
        From 0 to 1, shape (...): a lower bound on the mean over the other points, by Jensen.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``diffusion/empirical_score``.

    Example:
        >>> from memolib import theory
        >>> float(theory.own_weight([0.0], [0.0], [3.0], 1.0, 3).round(4))  # odds 2 to 2
        0.5
    """
    density = information_density(y, xi, variances, t)
    N = check_size(N)
    return np.ones_like(density) if N == 1 else expit(density - np.log(N - 1))
