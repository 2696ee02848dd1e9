"""Samples from any denoiser, by probability flow or reverse SDE, and the likelihood along the flow.

Noise is removed in steps that are equal in ln(t) from t_start to t_end; all points move together,
as one batch.
"""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import torch
from tqdm import tqdm

from memolib._tensors import as_noise, as_points
from memolib._validate import Seed, count, generator
from memolib.denoisers import Denoiser, Model, TensorLike
from memolib.foreign import as_denoiser
from memolib.points import gaussian


def sample(
    denoiser: Model,
    n: int,
    *,
    t_start: float | None = None,
    t_end: float = 1e-4,
    steps: int = 100,
    seed: Seed = None,
) -> torch.Tensor:
    """Draw points from any denoiser, along its probability flow, from noise alone.

    Args:
        denoiser: a ``Denoiser``, or a model of which ``as_denoiser`` makes one, with its d.
        n: number of points, 1 or more.
        t_start: noise variance to start from, far above the data's; by default a hundred times the
            total variance of the data, as the answers to much noise tell it.
        t_end: noise variance at the end, above 0.
        steps: number of steps, 1 or more, of two denoiser calls each.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

    Returns:
        Shape (n, d), float64.

    Raises:
        ValueError: for other arguments, or a denoiser whose d is not known.

    Source:
        Karras et al., arXiv 2206.00364, algorithm 1.

    Chapter:
        ``diffusion/noise_and_score``.

    Example:
        >>> from memolib import LinearManifold, sample
        >>> made = sample(LinearManifold([4.0, 1.0]), 20_000, seed=0)
        >>> [round(float(v), 1) for v in made.std(dim=0)]
        [2.0, 1.0]
    """
    D = as_denoiser(denoiser)
    if D.d is None:
        allowed = "one with it: as_denoiser(model, d=...)"
        raise ValueError(f"denoiser is {D!r}, of unknown d; allowed is {allowed}")
    noise = gaussian(count("n", n), D.d, seed=generator(seed, "sample"))
    if t_start is None:
        t_start = 100 * _size(D, noise[:64])
    return probability_flow(D, as_noise(t_start) ** 0.5 * noise, t_start, t_end, steps=steps)


def _size(D: Denoiser, noise: torch.Tensor) -> float:
    """Total variance of the data, with the square of their mean.

    Of much noise x, ``D = mean + Cov x/t``.
    """
    t = 1e4
    for _ in range(10):
        x = t**0.5 * noise
        with torch.no_grad():  # a number, whatever of the model requires gradients
            answers = D(x, t)
        mean = answers.mean(dim=0)
        size = float(((answers - mean) * x).sum(dim=1).mean().abs() + mean.square().sum())
        if 100 * size <= t:
            break
        t = 1e4 * size
    return size


def probability_flow(
    denoiser: Model,
    x: TensorLike,
    t_start: float,
    t_end: float,
    *,
    steps: int = 100,
    progress: bool = False,
) -> torch.Tensor:
    """Carry points from noise variance t_start down to t_end along the flow, by Heun's method.

    The flow is ``dx/dsigma = (x - D)/sigma``, with ``sigma = sqrt(t)``.

    Args:
        denoiser: a ``Denoiser`` or a model.
        x: points at t_start, shape (n, d); for samples, ``sqrt(t_start)`` times standard Gaussian
            noise.
        t_start: noise variance at the start, above t_end; for samples, far above the data's
            variance.
        t_end: noise variance at the end, above 0.
        steps: number of steps, 1 or more, of two denoiser calls each; the error falls as their
            number squared.
        progress: show a progress bar.

    Returns:
        Points at t_end, shape (n, d).

    Raises:
        ValueError: for other arguments, or a model that ``as_denoiser`` refuses.

    Source:
        Karras et al., arXiv 2206.00364, algorithm 1.

    Chapter:
        ``diffusion/noise_and_score``.

    Example:
        >>> from memolib import LinearManifold, probability_flow
        >>> law = LinearManifold([4.0, 1.0])  # the flow shrinks by sqrt((s^2 + t)/(s^2 + t_start))
        >>> x = probability_flow(law, [[10.0, 10.0]], t_start=96.0, t_end=1e-4, steps=200)
        >>> x.round(decimals=2).tolist()  # 2 and 1 are the data's standard deviations
        [[2.0, 1.02]]
    """
    D = as_denoiser(denoiser)
    x = as_points("x", x)
    with _graphs_of(x):
        for here, there in _steps(t_start, t_end, steps, progress):
            s = here**0.5
            r = there**0.5
            slope = (x - D(x, here)) / s
            guess = x + (r - s) * slope
            x = x + (r - s) / 2 * (slope + (guess - D(guess, there)) / r)
    return x


def reverse_sde(
    denoiser: Model,
    x: TensorLike,
    t_start: float,
    t_end: float,
    *,
    steps: int = 100,
    seed: Seed = None,
    progress: bool = False,
) -> torch.Tensor:
    """Carry points from noise variance t_start down to t_end by the reverse SDE.

    The denoiser is held over each step: from t to s a point is drawn from the exact law of x_s
    given x_t and the data point D, ``x_s = D + (s/t)(x - D) + sqrt(s (1 - s/t)) xi``.

    Args:
        denoiser: a ``Denoiser`` or a model.
        x: points at t_start, shape (n, d).
        t_start: noise variance at the start, above t_end.
        t_end: noise variance at the end, above 0.
        steps: number of steps, of one denoiser call each; averages err in inverse proportion to
            their number.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.
        progress: show a progress bar.

    Returns:
        Points at t_end, shape (n, d).

    Raises:
        ValueError: for other arguments, or a model that ``as_denoiser`` refuses.

    Source:
        Ho, Jain and Abbeel, arXiv 2006.11239, in variance-exploding form.

    Chapter:
        ``diffusion/noise_and_score``.

    Example:
        >>> import torch
        >>> from memolib import LinearManifold, reverse_sde
        >>> far = torch.full((2_000, 1), 5.0)  # all from one place
        >>> x = reverse_sde(LinearManifold([1.0]), far, t_start=100.0, t_end=1e-3, seed=0)
        >>> round(float(x.std()), 1)  # its noise makes all the data there are
        1.0
    """
    D = as_denoiser(denoiser)
    x = as_points("x", x)
    rng = generator(seed, "reverse_sde")
    with _graphs_of(x):
        for here, there in _steps(t_start, t_end, steps, progress):
            mean = D(x, here)
            kept = there / here
            noise = (there * (1 - kept)) ** 0.5 * gaussian(*x.shape, seed=rng).to(x)
            x = mean + kept * (x - mean) + noise
    return x


def flow_log_density(
    denoiser: Model,
    x: TensorLike,
    t_start: float,
    t_end: float,
    *,
    steps: int = 100,
) -> torch.Tensor:
    """Give the log density of noisy points under a denoiser's own flow, with no density given.

    Along the flow upwards from t_start, ``d ln p/d ln t = -(d - tr G)/2``; at t_end the law is
    taken as Gaussian of variance t_end, so t_end should be far above the data's variance (and the
    data centred).

    Args:
        denoiser: a ``Denoiser`` or a model.
        x: points at noise variance t_start, shape (n, d).
        t_start: noise variance, above 0.
        t_end: noise variance, above t_start.
        steps: number of steps, 1 or more, of two denoiser calls and Jacobians each.

    Returns:
        Shape (n,); the density's unit is that of the data to the power -d.

    Raises:
        ValueError: for other arguments, or a model that ``as_denoiser`` refuses.

    Source:
        Song et al., arXiv 2011.13456, section 4.3.

    Chapter:
        ``diffusion/noise_and_score``.

    Example:
        >>> from memolib import LinearManifold
        >>> from memolib.sampling import flow_log_density
        >>> law = LinearManifold([1.0, 1.0])
        >>> x = [[0.5, 0.5]]
        >>> along = flow_log_density(law, x, t_start=0.1, t_end=1e4, steps=200)
        >>> round(along.item(), 2), round(law.log_density(x, 0.1).item(), 2)
        (-2.16, -2.16)
    """
    D = as_denoiser(denoiser)
    x = as_points("x", x)
    t_start = as_noise(t_start)
    t_end = as_noise(t_end)
    if t_end <= t_start:
        allowed = f"noise variances above t_start = {t_start:g}"
        raise ValueError(f"t_end is {t_end:g}; allowed are {allowed}")
    d = x.shape[1]
    gained = torch.zeros_like(x[:, 0])

    def rate(points: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Slopes by ln t: of the points, and of the loss of log density."""
        trace = D.jacobian(points, t).diagonal(dim1=1, dim2=2).sum(dim=1)
        return (points - D(points, t)) / 2, (d - trace) / 2

    with _graphs_of(x):
        for there, here in reversed(list(_steps(t_end, t_start, steps, False))):
            step = np.log(there / here)
            v, g = rate(x, here)
            v_guess, g_guess = rate(x + step * v, there)
            x = x + step / 2 * (v + v_guess)
            gained = gained + step / 2 * (g + g_guess)
    return gained - (x**2).sum(dim=1) / (2 * t_end) - d / 2 * np.log(2 * np.pi * t_end)


def _steps(
    t_start: float, t_end: float, steps: int, progress: bool
) -> Iterable[tuple[float, float]]:
    """Pairs of noise variances from t_start down to t_end."""
    t_start = as_noise(t_start)
    t_end = as_noise(t_end)
    if t_start <= t_end:
        allowed = f"noise variances above t_end = {t_end:g}"
        raise ValueError(f"t_start is {t_start:g}; allowed are {allowed}")
    times = np.geomspace(t_start, t_end, count("steps", steps) + 1)
    return tqdm(list(pairwise(map(float, times))), disable=not progress, desc="removing noise")


def _graphs_of(x: torch.Tensor) -> torch.set_grad_enabled:
    """Keep graphs where x has one, so that else the memory does not grow with the steps."""
    return torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad)
