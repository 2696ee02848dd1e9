"""Spectra of the score on random linear manifolds: Marchenko-Pastur bulks and their gaps.

Setting: data ``y = F z``, z standard Gaussian in m dimensions, F of shape (d, m) with independent
entries of variance ``s^2/m``, m at most d. The m non-zero eigenvalues gamma of ``F F^T`` are the
variances of the data along the tangent directions; those of the denoiser's Jacobian are
``gamma/(gamma + t)``.
"""

import numpy as np
from scipy.integrate import cumulative_trapezoid

from memolib._validate import ArrayLike, count, finite, real, real_array
from memolib.theory._shared import FloatArray, check_one_noise


def tangent_edges(m: int, d: int, variance: float = 1.0) -> tuple[float, float]:
    """Smallest and largest variance along a random manifold, for large d.

    They are ``s^2 (d/m) (1 -+ sqrt(m/d))^2``. Noise of the upper one leaves the trivial phase,
    where no direction is resolved; below the lower one all are (consolidation); between them lies
    coverage.

    Args:
        m: dimension of the manifold, from 1 to d.
        d: dimension of the space.
        variance: s^2, above 0, unit of the data squared.

    Returns:
        Both edges, unit of the data squared.

    Raises:
        ValueError: for other arguments.

    Source:
        Marchenko and Pastur (1967); phases: Ventura et al., arXiv 2410.05898.

    Chapter:
        ``manifold/spectral_gaps``.

    Example:
        >>> from memolib import theory
        >>> [float(edge) for edge in theory.tangent_edges(10, 40)]
        [1.0, 9.0]
    """
    ratio, scale = _shape(m, d, variance)
    low, high = _unit_edges(ratio)
    with np.errstate(all="ignore"):
        high = finite(scale * high, m=m, d=d, variance=variance)
    return scale * low, high


def tangent_density(gamma: ArrayLike, m: int, d: int, variance: float = 1.0) -> FloatArray:
    """Marchenko-Pastur density of the m non-zero eigenvalues of ``F F^T``; 0 outside the edges.

    Args:
        gamma: eigenvalues, any shape, unit of the data squared.
        m: dimension of the manifold, from 1 to d.
        d: dimension of the space.
        variance: s^2, above 0.

    Returns:
        Density, one over the unit of ``gamma``, same shape. At the edges it is 0, also at
        gamma = 0 for m = d, where it diverges as ``gamma^(-1/2)``.

    Raises:
        ValueError: for other arguments.

    Source:
        Marchenko and Pastur (1967).

    Chapter:
        ``manifold/spectral_gaps``.
    """
    ratio, scale = _shape(m, d, variance)
    gamma = real_array("gamma", gamma)
    with np.errstate(all="ignore"):
        density = _unit_density(gamma / scale, ratio) / scale
    return finite(density, gamma=gamma, variance=variance)


def tangent_distribution(gamma: ArrayLike, m: int, d: int, variance: float = 1.0) -> FloatArray:
    """Share of the non-zero eigenvalues of ``F F^T`` up to a value.

    Args:
        gamma: eigenvalues, any shape, unit of the data squared.
        m: dimension of the manifold, from 1 to d.
        d: dimension of the space.
        variance: s^2, above 0.

    Returns:
        From 0 to 1, shape of ``gamma``.

    Raises:
        ValueError: for other arguments.

    Source:
        Marchenko and Pastur (1967).

    Chapter:
        ``manifold/spectral_gaps``.

    Example:
        >>> from memolib import theory
        >>> theory.tangent_distribution([1.0, 9.0], 10, 40).tolist()  # the edges
        [0.0, 1.0]
    """
    ratio, scale = _shape(m, d, variance)
    gamma = real_array("gamma", gamma)
    low, high = _unit_edges(ratio)
    angle = np.linspace(0, np.pi, 4_001)  # x = middle - half width cos(angle): no root at the edges
    grid = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    with np.errstate(all="ignore"):
        x = gamma / scale
        steps = _unit_density(grid, ratio) * np.sin(angle)
        if ratio == 1:  # the density diverges at 0 as x^(-1/2); the substitution makes it finite
            steps[0] = steps[1]
        below = cumulative_trapezoid(steps, angle, initial=0)
    if not below[-1] > 0:  # the edges are too close to be told apart: all eigenvalues are equal
        return np.where(x < low, 0.0, 1.0)[()]
    return np.interp(x, grid, below / below[-1], left=0, right=1)


def jacobian_density(
    g: ArrayLike,
    t: float,
    m: int,
    d: int,
    variance: float = 1.0,
) -> FloatArray:
    """Density of the m tangent eigenvalues ``gamma/(gamma + t)`` of the denoiser's Jacobian.

    Args:
        g: eigenvalues, from 0 to below 1, any shape.
        t: noise variance, above 0.
        m: dimension of the manifold, from 1 to d.
        d: dimension of the space.
        variance: s^2, above 0.

    Returns:
        Density, same shape as ``g``; at the edges as ``tangent_density``.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``manifold/spectral_gaps``.
    """
    g = real_array("g", g, minimum=0)
    t = check_one_noise(t)
    if (g >= 1).any():
        raise ValueError(f"g is {g.max()}; allowed are numbers from 0 to below 1")
    ratio, scale = _shape(m, d, variance)
    with np.errstate(all="ignore"):
        density = _unit_density(g / (1 - g) * (t / scale), ratio)
        density = np.where(density > 0, density * (t / scale) / (1 - g) ** 2, 0.0)[()]
    return finite(density, g=g, t=t, variance=variance)


def _shape(m: int, d: int, variance: float) -> tuple[float, np.float64]:
    """Ratio m/d, on which alone the density depends in units of the mean of gamma; that mean."""
    d = count("d", d)
    m = count("m", m, maximum=d)
    variance = np.float64(real("variance", variance, minimum=0, strict=True))
    with np.errstate(all="ignore"):
        return m / d, finite(variance * (d / m), m=m, d=d, variance=variance)


def _unit_edges(ratio: float) -> tuple[float, float]:
    return (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2


def _unit_density(x: FloatArray, ratio: float) -> FloatArray:
    low, high = _unit_edges(ratio)
    inside = np.maximum((high - x) * (x - low), 0)
    return np.sqrt(inside) / (2 * np.pi * ratio * np.where(inside > 0, x, 1))
