"""Spectra of the score on random linear manifolds: Marchenko-Pastur bulks and the gaps between them.

Setting: data ``y = F z``, z standard Gaussian in m dimensions, F of shape (d, m) with independent entries of variance
``s^2/m``, m at most d. The m non-zero eigenvalues gamma of ``F F^T`` are the variances of the data along the tangent
directions; those of the denoiser's Jacobian are ``gamma/(gamma + t)``.
"""

import numpy as np
from scipy.integrate import cumulative_trapezoid

from memolib._validate import count, real, real_array
from memolib.theory._shared import FloatArray


def tangent_edges(m: int, d: int, variance: float = 1.0) -> tuple[float, float]:
    """Smallest and largest variance along a random manifold, ``s^2 (d/m) (1 -+ sqrt(m/d))^2``, for large d.

    Args:
        m: dimension of the manifold, from 1 to d.
        d: dimension of the space.
        variance: s^2, above 0, unit of the data squared.
    Returns: both edges, unit of the data squared. Noise of the upper one leaves the trivial phase, where no direction
    is resolved; below the lower one all are (consolidation); between them lies coverage. Raises: ValueError otherwise.
    Source: Marchenko and Pastur (1967); phases: Ventura et al., arXiv 2410.05898. Chapter: ``manifold/spectral_gaps``.
    """
    ratio, scale = _shape(m, d, variance)
    return scale * (1 - np.sqrt(ratio)) ** 2, scale * (1 + np.sqrt(ratio)) ** 2


def tangent_density(gamma, m: int, d: int, variance: float = 1.0) -> FloatArray:
    """Marchenko-Pastur density of the m non-zero eigenvalues of ``F F^T``; 0 outside the edges.

    Args:
        gamma: eigenvalues, any shape, unit of the data squared.
        m: dimension of the manifold, from 1 to d.
        d: dimension of the space.
        variance: s^2, above 0.
    Returns: one over the unit of ``gamma``, same shape.
    Raises: ValueError for other arguments. Source: Marchenko and Pastur (1967). Chapter: ``manifold/spectral_gaps``.
    """
    ratio, scale = _shape(m, d, variance)
    x, (low, high) = real_array("gamma", gamma) / scale, np.array(tangent_edges(m, d, variance)) / scale
    inside = np.clip((high - x) * (x - low), 0, None)
    return np.sqrt(inside) / (2 * np.pi * ratio * np.where(inside > 0, x, 1)) / scale


def tangent_distribution(gamma, m: int, d: int, variance: float = 1.0) -> FloatArray:
    """Share of the non-zero eigenvalues of ``F F^T`` up to a value; errors, source and chapter as ``tangent_density``.

    Args:
        gamma: eigenvalues, any shape, unit of the data squared.
        m: dimension of the manifold, from 1 to d.
        d: dimension of the space.
        variance: s^2, above 0.
    Returns: from 0 to 1, shape of ``gamma``.
    """
    low, high = tangent_edges(m, d, variance)
    angle = np.linspace(0, np.pi, 4_001)  # gamma = middle - half width cos(angle): no root at the edges
    grid = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    steps = tangent_density(grid, m, d, variance) * (high - low) / 2 * np.sin(angle)
    if m == d:  # the density diverges at 0 like gamma^(-1/2); the substitution makes it finite
        steps[0] = steps[1]
    below = cumulative_trapezoid(steps, angle, initial=0)
    return np.interp(real_array("gamma", gamma), grid, below / below[-1], left=0, right=1)


def jacobian_density(g, t: float, m: int, d: int, variance: float = 1.0) -> FloatArray:
    """Density of the m tangent eigenvalues ``gamma/(gamma + t)`` of the denoiser's Jacobian.

    Args:
        g: eigenvalues, from 0 to below 1, any shape.
        t: noise variance, above 0.
        m: dimension of the manifold, from 1 to d.
        d: dimension of the space.
        variance: s^2, above 0.
    Returns: same shape. Raises: ValueError for other arguments. Source and Chapter: ``manifold/spectral_gaps``.
    """
    g, t = real_array("g", g, minimum=0), real("t", t, minimum=0, strict=True)
    if (g >= 1).any():
        raise ValueError(f"g is {g.max()}; allowed are numbers from 0 to below 1")
    return tangent_density(t * g / (1 - g), m, d, variance) * t / (1 - g) ** 2


def _shape(m: int, d: int, variance: float) -> tuple[float, float]:
    m = count("m", m, maximum=count("d", d))
    return m / d, real("variance", variance, minimum=0, strict=True) * d / m
