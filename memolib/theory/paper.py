"""The paper's estimates, as published and with consistent units, and its figure's sphere."""

import numpy as np

from memolib._validate import ArrayLike, finite, flag
from memolib.theory._shared import (
    FloatArray,
    check_one_noise,
    check_points,
    check_size,
    check_variances,
    share,
)


def gaussian_collapse_time(x: ArrayLike, variances: ArrayLike, N: float) -> FloatArray:
    """The paper's estimate of the collapse time: a random energy model of the same variance.

    It is ``sqrt(V/(2 ln N))``; ``V(x) = 1/2 sum s_k^4 + sum x_k^2 s_k^2`` is the variance of the
    energies ``|x-y|^2/2``. The estimate replaces the tail of the energies by a Gaussian one and
    fails where they condense; the chapter shows by how much.

    Args:
        x: points in the data's eigenbasis, shape (..., d).
        variances: shape (d,).
        N: number of data points, above 1.

    Returns:
        Noise variance, shape (...).

    Raises:
        ValueError: for other arguments.

    Source:
        The paper.

    Chapter:
        ``manifold/seen_from_the_origin``.

    Example:
        >>> from memolib import theory
        >>> float(theory.gaussian_collapse_time([0.0], [1.0], 1_000).round(4))
        0.1902
    """
    s2 = check_variances(variances)
    x = check_points("x", x, s2)
    N = check_size(N, strict=True)
    with np.errstate(all="ignore"):
        time = np.hypot(_norm(s2 / np.sqrt(2)), _norm(x * np.sqrt(s2))) / np.sqrt(2 * np.log(N))
    return finite(time, x=x, variances=s2, N=N)


def _norm(values: FloatArray) -> FloatArray:
    """Root of the sum of squares, which may be beyond the range of floats; under ``errstate``."""
    largest = np.abs(values).max(axis=-1, keepdims=True)
    scaled = values / np.where(largest > 0, largest, 1)
    return largest[..., 0] * np.sqrt((scaled**2).sum(axis=-1))


def gaussian_loss_time(variances: ArrayLike, N: float) -> FloatArray:
    """The paper's estimate of the loss time of each direction, ``s_k^2/(2 ln N)``.

    For data on a sphere.

    Args:
        variances: shape (d,).
        N: number of data points, above 1.

    Returns:
        Noise variance, shape (d,): largest variance first.

    Raises:
        ValueError: for other arguments.

    Source:
        The paper.

    Chapter:
        ``manifold/seen_from_the_origin``.
    """
    s2 = check_variances(variances)
    N = check_size(N, strict=True)
    with np.errstate(all="ignore"):
        return finite(s2 / (2 * np.log(N)), variances=s2, N=N)


def paper_singular_values(
    variances: ArrayLike,
    t: float,
    N: float,
    *,
    normalised: bool = False,
    homogeneous: bool = False,
) -> FloatArray:
    """Singular values of the score's Jacobian at the origin, as the paper's public code draws them.

    ``sqrt(lam_k^2 + v_k^2)`` with ``lam_k = 1/(t+s_k^2)``, ``v_k = F (phi_0 + phi_k)``,
    ``phi = max(0, 1/t - 1/t_c)`` and ``F = sum s^2/(t^2 (t+s^2))``; t_c is the Gaussian collapse
    time at the origin for phi_0, and at distance sqrt(t) along direction k for phi_k. For
    normalised data, as in the published figure, the energies' variance at the origin is left out:
    phi_0 = 0, and phi_k grows below ``gaussian_loss_time``. v carries 1/t^3 against 1/t of lam; the
    homogeneous form is ``lam^2 + F Y_k`` with ``Y_k = max(0, 1 - t/t_c,k)``.

    Args:
        variances: shape (d,).
        t: noise variance, above 0.
        N: number of data points, above 1.
        normalised: for data on a sphere.
        homogeneous: the form with consistent units.

    Returns:
        Singular values, shape (d,), unit 1/t.

    Raises:
        ValueError: for other arguments, and where the published form, which grows as 1/t^3, is
            beyond the range of floats.

    Source:
        The paper.

    Chapter:
        ``manifold/seen_from_the_origin``.

    Example:
        >>> from memolib import theory
        >>> theory.paper_singular_values([1.0, 0.0], 1.0, 1_000).tolist()  # above t_c: lam
        [0.5, 1.0]
    """
    s2 = check_variances(variances)
    t = check_one_noise(t)
    log_n = np.log(check_size(N, strict=True))
    normalised = flag("normalised", normalised)
    homogeneous = flag("homogeneous", homogeneous)
    with np.errstate(all="ignore"):
        at_origin = 0.0 if normalised else _norm(s2) / np.sqrt(2)
        displaced = np.hypot(at_origin, np.sqrt(t) * np.sqrt(s2))
        times = (spread / np.sqrt(2 * log_n) for spread in (at_origin, displaced))
        excess_0, excess = (np.maximum(0, 1 - t / time) for time in times)  # t phi
        lam = 1 / (t + s2)
        F = share(s2, t).sum()  # in units of 1/t^2
        grown = excess if homogeneous else excess_0 + excess
        v = (np.sqrt(F * grown) if homogeneous else F * grown / t / t) / t
        values = np.hypot(lam, v)
    return finite(values, variances=s2, t=t)


def sphere_variances(variances: ArrayLike) -> FloatArray:
    """Variances of Gaussian data divided by their norm, exact by a one-dimensional integral.

    Args:
        variances: of the data before division, shape (d,), at least one above 0.

    Returns:
        ``E[z_k^2/|z|^2] = int_0^inf s_k^2/(1 + 2 q s_k^2) prod_j (1 + 2 q s_j^2)^(-1/2) dq``,
        shape (d,), sum 1.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``manifold/seen_from_the_origin``.

    Example:
        >>> from memolib import theory
        >>> theory.sphere_variances([9.0, 1.0]).round(6).tolist()  # s_k/(s_1 + s_2)
        [0.75, 0.25]
    """
    s2 = check_variances(variances)
    if not s2.any():
        allowed = "variances of which one is above 0"
        raise ValueError(f"variances is 0 in all directions; allowed are {allowed}")
    with np.errstate(divide="ignore"):
        log_s2 = np.log(s2) - np.log(s2.max())
    # Trapezoid rule in ln(q): converges exponentially; small variances weigh in at large q.
    steps = 12_000 + int(-100 * log_s2[s2 > 0].min())
    log_q = np.linspace(-40, -40 + 0.01 * steps, steps + 1)[:, None]
    growth = np.logaddexp(0, np.log(2) + log_q + log_s2)
    values = np.exp(log_q + log_s2 - growth.sum(axis=1, keepdims=True) / 2 - growth)
    return values.sum(axis=0) * (log_q[1, 0] - log_q[0, 0])
