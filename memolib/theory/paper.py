"""The paper's estimates, as published and with consistent units, and the sphere that its figure looks at."""

import numpy as np

from memolib._validate import real
from memolib.theory._shared import FloatArray, check_points, check_variances


def gaussian_collapse_time(x, variances, N: float) -> FloatArray:
    """The paper's estimate of the collapse time: a random energy model of the same variance, ``sqrt(V/(2 ln N))``.

    Args:
        x: points in the data's eigenbasis, shape (..., d).
        variances: shape (d,).
        N: number of data points, above 1.
    ``V(x) = 1/2 sum s_k^4 + sum x_k^2 s_k^2`` is the variance of the energies ``|x-y|^2/2``. The estimate replaces the
    tail of the energies by a Gaussian one and fails where they condense; the chapter shows by how much.
    Returns: shape (...). Raises: ValueError otherwise. Source: the paper. Chapter: ``manifold/losing_dimensions``.
    """
    s2 = check_variances(variances)
    energy_variance = (s2**2).sum() / 2 + (check_points("x", x, s2) ** 2 * s2).sum(axis=-1)
    return np.sqrt(energy_variance / (2 * np.log(real("N", N, minimum=1, strict=True))))


def gaussian_loss_time(variances, N: float) -> FloatArray:
    """The paper's estimate of the loss time of each direction for data on a sphere, ``s_k^2/(2 ln N)``.

    Args:
        variances: shape (d,).
        N: number of data points, above 1.
    Returns: noise variance, shape (d,): largest variance first. Raises, Source, Chapter: as ``gaussian_collapse_time``.
    """
    return check_variances(variances) / (2 * np.log(real("N", N, minimum=1, strict=True)))


def paper_singular_values(
    variances, t: float, N: float, *, normalised: bool = False, homogeneous: bool = False
) -> FloatArray:
    """Singular values of the score's Jacobian at the origin, as the paper's public code draws them.

    ``sqrt(lam_k^2 + v_k^2)`` with ``lam_k = 1/(t+s_k^2)``, ``v_k = F (phi_0 + phi_k)``, ``phi = max(0, 1/t - 1/t_c)``
    and ``F = sum s^2/(t^2 (t+s^2))``; t_c is the Gaussian collapse time at the origin for phi_0, and at distance
    sqrt(t) along direction k for phi_k. For normalised data, as in the published figure, the energies' variance at the
    origin is left out: phi_0 = 0, and phi_k grows below ``gaussian_loss_time``. v carries 1/t^3 against 1/t of lam; the
    homogeneous form is ``lam^2 + F Y_k`` with ``Y_k = max(0, 1 - t/t_c,k)``.

    Args:
        variances: shape (d,).
        t: noise variance, above 0.
        N: number of data points, above 1.
        normalised: for data on a sphere.
        homogeneous: the form with consistent units.
    Returns: (d,), unit 1/t. Raises: ValueError otherwise. Source: the paper. Chapter: ``manifold/losing_dimensions``.
    """
    s2, t = check_variances(variances), real("t", t, minimum=0, strict=True)
    log_n = np.log(real("N", N, minimum=1, strict=True))
    at_origin = 0.0 if normalised else (s2**2).sum() / 2
    lam, F = 1 / (t + s2), (s2 / (t**2 * (t + s2))).sum()
    with np.errstate(divide="ignore"):
        excess_0, excess = (np.maximum(0, 1 - t / np.sqrt(V / (2 * log_n))) for V in (at_origin, at_origin + t * s2))
    if homogeneous:
        return np.sqrt(lam**2 + F * excess)
    return np.sqrt(lam**2 + (F * (excess_0 + excess) / t) ** 2)


def sphere_variances(variances) -> FloatArray:
    """Variances of Gaussian data divided by their norm, exact by a one-dimensional integral.

    Args:
        variances: of the data before division, shape (d,), at least one above 0.
    Returns: ``E[z_k^2/|z|^2] = int_0^inf s_k^2/(1 + 2 q s_k^2) prod_j (1 + 2 q s_j^2)^(-1/2) dq``, shape (d,), sum 1.
    Raises: ValueError for other arguments. Source and Chapter: ``manifold/losing_dimensions``.
    """
    s2 = check_variances(variances)
    if not s2.any():
        raise ValueError("variances is 0 in all directions; allowed are variances of which one is above 0")
    s2 = s2 / s2.max()
    log_q = np.linspace(-40, 80, 12_001)[:, None]  # trapezoid rule in ln(q): converges exponentially
    growth = np.log1p(2 * np.exp(log_q) * s2)
    values = np.exp(log_q - growth.sum(axis=1, keepdims=True) / 2 - growth) * s2
    return values.sum(axis=0) * (log_q[1, 0] - log_q[0, 0])
