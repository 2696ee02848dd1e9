"""Samples from any denoiser, by the probability-flow ODE."""

from itertools import pairwise

import numpy as np
import torch

from memolib._tensors import as_noise, as_points
from memolib._validate import count


def probability_flow(denoiser, x, t_start: float, t_end: float, *, steps: int = 100) -> torch.Tensor:
    """Carry points from noise variance t_start down to t_end along ``dx/dsigma = (x - D)/sigma``, by Heun's method.

    Args:
        denoiser: function of points (n, d) and a noise variance, giving (n, d).
        x: points at t_start, shape (n, d); for samples, ``sqrt(t_start)`` times standard Gaussian noise, with t_start
            far above the data's variance.
        t_start: noise variance at the start, above t_end.
        t_end: noise variance at the end, above 0.
        steps: number of steps, equal in ln(sigma); two denoiser calls each.
    Returns:
        Points at t_end, shape (n, d).
    Raises:
        ValueError: for x of another shape, t_end not above 0, or t_start not above t_end.

    Source: Karras et al., arXiv 2206.00364, algorithm 1. Chapter: ``diffusion/empirical_score``.
    """
    x, t_start, t_end = as_points("x", x), as_noise(t_start), as_noise(t_end)
    if t_start <= t_end:
        raise ValueError(f"t_start is {t_start:g}; allowed are noise variances above t_end = {t_end:g}")
    sigmas = np.geomspace(t_start**0.5, t_end**0.5, count("steps", steps) + 1)
    for here, there in pairwise(sigmas):
        slope = (x - denoiser(x, here**2)) / here
        guess = x + (there - here) * slope
        x = x + (there - here) / 2 * (slope + (guess - denoiser(guess, there**2)) / there)
    return x
