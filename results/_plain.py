"""A plain training loop, for variations that ``memolib.training.train`` does not offer.

The network may regress on something else than the data point, its loss may weigh noise otherwise,
and parameters may decay. What is drawn, in which order, the preconditioning, the learning rate's
course and the averaging are those of ``train``: with nothing varied it gives the same network, up
to rounding. One network a call.
"""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy

import torch

from memolib._steps import CLIP, Draws, Member
from memolib.checkpoints import build, seeded
from memolib.networks import NetworkDenoiser, ResidualMLP, preconditioning
from memolib.training import BETAS, decay, schedule

Target = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def fit(
    data: torch.Tensor,
    network: ResidualMLP | Callable[[], torch.nn.Module],
    *,
    steps: int,
    seed: int,
    batch: int = 128,
    rate: float = 5e-3,
    average: float = 0.9995,
    target: Target | None = None,
    weight: Callable[[torch.Tensor], torch.Tensor] | None = None,
    weight_decay: float = 0.0,
    t_range: tuple[float, float] | None = None,
    course: Callable[[int, int], float] = schedule,
    marks: Sequence[int] = (),
) -> dict[int, NetworkDenoiser]:
    """Train one network on a data set.

    Args:
        data: points, shape (N, d).
        network: one whose architecture is taken, or a function that makes one, of points (n, d) and
            noise levels (n,).
        steps: number of steps, which the learning rate's course is planned for.
        seed: of initial parameters, batches and noise.
        batch: number of noisy points in a step.
        rate: of learning, at its highest.
        average: decay, in a step, of what the averaged parameters remember.
        target: function of y and x, shape (batch, d), and of t, shape (batch,), that gives what is
            regressed on in place of y, such as ``lambda y, x, t: Empirical(data)(x, t)``. Points
            are where the data are, in double precision.
        weight: function of t, shape (batch,), by which the squared error of D, a coordinate, is
            multiplied in place of 1/c_out^2 (``standard``). What it is 0 for is drawn, and has no
            effect.
        weight_decay: share, of the learning rate, by which all parameters shrink in a step
            (decoupled from the gradient, as in AdamW).
        t_range: least and largest noise variance, by default those of ``train``.
        course: share of the rate in a step, of the number of steps before and of all; ``lambda
            step, steps: 1.0`` holds it constant.
        marks: numbers of steps after which to keep the network.

    Returns:
        Denoisers with averaged parameters by number of steps, those of the end among them.
    """
    member = Member(data, seed, t_range)
    mean = member.mean
    draws = Draws([member], batch, lambda step: (rate * course(step, steps), decay(step, average)))
    if isinstance(network, torch.nn.Module):
        model = build(network.config, seed)
    else:
        with seeded(seed):
            model = network()
    parameters = list(model.parameters())
    averaged = deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=BETAS, weight_decay=weight_decay)
    kept = {}
    for step in range(steps):
        rows, t, noise, (now, keep) = draws(step)
        y, t = member.data[rows[0]], t[0]
        x = y + t.sqrt()[:, None] * noise[0]
        wanted = y if target is None else (target(y + mean, x + mean, t) - mean).float()
        p = preconditioning(t, member.data_std)
        error = model(p.inside[:, None] * x, p.noise)
        error = error - (wanted - p.skip[:, None] * x) / p.out[:, None]
        loss = error.square().mean(dim=1)
        if weight is not None:
            loss = weight(t) * p.out**2 * loss
        optimizer.zero_grad()
        loss.mean().backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.param_groups[0]["lr"] = float(now)
        optimizer.step()
        for mine, its in zip(averaged.parameters(), parameters, strict=True):
            mine.lerp_(its.detach(), 1 - keep)
        if step + 1 in (*marks, steps):
            if not math.isfinite(float(loss.detach().mean())):
                raise ValueError(f"rate is {rate:g}: training has diverged after {step + 1} steps")
            copy = deepcopy(averaged).eval()
            kept[step + 1] = NetworkDenoiser(copy, member.data_std, mean).requires_grad_(False)
    return kept


def standard(t: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
    """Give 1/c_out^2, the usual weight, which a cut of the noise multiplies by 0 or 1."""
    return preconditioning(t, float((data - data.mean(dim=0)).square().mean().sqrt())).out ** -2
