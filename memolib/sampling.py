"""Samples from any denoiser: the probability-flow ODE, the reverse SDE, and the likelihood along the flow.

Noise is removed in steps that are equal in ln(t) from t_start to t_end; all points move together, as one batch.
"""

from itertools import pairwise

import numpy as np
import torch
from tqdm import tqdm

from memolib._tensors import as_noise, as_points
from memolib._validate import count
from memolib.points import gaussian
from memolib.spectra import jacobian


def probability_flow(
    denoiser, x, t_start: float, t_end: float, *, steps: int = 100, progress: bool = False
) -> torch.Tensor:
    """Carry points from noise variance t_start down to t_end along ``dx/dsigma = (x - D)/sigma``, by Heun's method.

    Args:
        denoiser: function of points (n, d) and a noise variance, giving (n, d).
        x: points at t_start, shape (n, d); for samples, ``sqrt(t_start)`` times standard Gaussian noise.
        t_start: noise variance at the start, above t_end; for samples, far above the data's variance.
        t_end: noise variance at the end, above 0.
        steps: number of steps, 1 or more, of two denoiser calls each; the error falls as their number squared.
        progress: show a progress bar.
    Returns: points at t_end, shape (n, d). Raises: ValueError for other arguments.
    Source: Karras et al., arXiv 2206.00364, algorithm 1. Chapter: ``diffusion/noise_and_score``.
    """
    x = as_points("x", x)
    for here, there in _steps(t_start, t_end, steps, progress):
        s, r = here**0.5, there**0.5
        slope = (x - denoiser(x, here)) / s
        guess = x + (r - s) * slope
        x = x + (r - s) / 2 * (slope + (guess - denoiser(guess, there)) / r)
    return x


def reverse_sde(
    denoiser, x, t_start: float, t_end: float, *, steps: int = 100, seed=None, progress: bool = False
) -> torch.Tensor:
    """Carry points from noise variance t_start down to t_end by the reverse SDE, with the denoiser held over each step.

    Args:
        denoiser: function of points (n, d) and a noise variance, giving (n, d).
        x: points at t_start, shape (n, d).
        t_start: noise variance at the start, above t_end.
        t_end: noise variance at the end, above 0.
        steps: number of steps, of one denoiser call each; averages err in inverse proportion to their number.
        seed: int or ``numpy.random.Generator``.
        progress: show a progress bar.
    From t to s a point is drawn from the exact law of x_s given x_t and the data point D:
    ``x_s = D + (s/t)(x - D) + sqrt(s (1 - s/t)) xi``. Returns, Raises and Chapter: as for ``probability_flow``.
    Source: Ho, Jain and Abbeel, arXiv 2006.11239, in variance-exploding form.
    """
    x, rng = as_points("x", x), np.random.default_rng(seed)
    for here, there in _steps(t_start, t_end, steps, progress):
        D, kept = denoiser(x, here), there / here
        x = D + kept * (x - D) + (there * (1 - kept)) ** 0.5 * gaussian(*x.shape, seed=rng).to(x)
    return x


def flow_log_density(denoiser, x, t_start: float, t_end: float, *, steps: int = 100) -> torch.Tensor:
    """Log density of noisy points under a denoiser's own flow, with no density given.

    Args:
        denoiser: function of points (n, d) and a noise variance, giving (n, d).
        x: points at noise variance t_start, shape (n, d).
        t_start: noise variance, above 0.
        t_end: noise variance, above t_start.
        steps: number of steps, 1 or more, of two denoiser calls and Jacobians each.
    Along the flow upwards from t_start, ``d ln p/d ln t = -(d - tr G)/2``; at t_end the law is taken as Gaussian of
    variance t_end, so t_end should be far above the data's variance (and the data centred).
    Returns: shape (n,); the density's unit is that of the data to the power -d. Raises: ValueError for other arguments.
    Source: Song et al., arXiv 2011.13456, section 4.3. Chapter: ``diffusion/noise_and_score``.
    """
    x, t_start, t_end = as_points("x", x), as_noise(t_start), as_noise(t_end)
    if t_end <= t_start:
        raise ValueError(f"t_end is {t_end:g}; allowed are noise variances above t_start = {t_start:g}")
    d, gained = x.shape[1], torch.zeros_like(x[:, 0])

    def rate(points: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Slopes by ln t: of the points, and of the loss of log density."""
        trace = jacobian(denoiser, points, t).diagonal(dim1=1, dim2=2).sum(dim=1)
        return (points - denoiser(points, t)) / 2, (d - trace) / 2

    for there, here in reversed(list(_steps(t_end, t_start, steps, False))):
        step = np.log(there / here)
        v, g = rate(x, here)
        v_guess, g_guess = rate(x + step * v, there)
        x, gained = x + step / 2 * (v + v_guess), gained + step / 2 * (g + g_guess)
    return gained - (x**2).sum(dim=1) / (2 * t_end) - d / 2 * np.log(2 * np.pi * t_end)


def _steps(t_start: float, t_end: float, steps: int, progress: bool):
    """Pairs of noise variances from t_start down to t_end."""
    t_start, t_end = as_noise(t_start), as_noise(t_end)
    if t_start <= t_end:
        raise ValueError(f"t_start is {t_start:g}; allowed are noise variances above t_end = {t_end:g}")
    times = np.geomspace(t_start, t_end, count("steps", steps) + 1)
    return tqdm(list(pairwise(map(float, times))), disable=not progress, desc="removing noise")
