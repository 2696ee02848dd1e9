"""Denoising score matching: train one network, or an ensemble in one batched run.

A member is a data set with a seed. Its parameters are one row of a matrix, so that Adam, clipping,
averaging and checkpoints act on whole matrices, whatever the architecture; a member gives the
answer that it would give alone. No state of a random generator is kept: the numbers of each block
of steps come from a generator seeded with the block's number and the member's seed, so the number
of steps done is all that a resumed run must know. Members of one seed share their noise. Training
takes place where the data lie: on a GPU the same numbers give the same run, up to rounding.
"""

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from tqdm import tqdm

from memolib import checkpoints as files
from memolib._tensors import as_noise, as_points
from memolib._validate import count, real
from memolib.networks import NETWORKS, NetworkDenoiser, preconditioning

BLOCK = 2**18  # about as many Gaussian numbers are drawn at once for a member, in at most 64 steps
STREAM = 2206  # so that no data set's seed gives the same numbers
WINDOWS = 200  # averages that a loss curve is thinned to
DIVERGED = 1e3  # a loss that no run comes back from: that of F = 0 is 1
WARM_UP, CLIP, BETAS = (
    200,
    1.0,
    (0.9, 0.99),
)  # steps; norm of a member's gradient; of Adam's two moments


class Trained(NamedTuple):
    """What training gives, members in the order of the data sets or seeds.

    Attributes:
        denoisers: one for each member, with averaged parameters.
        steps: done when each of up to 200 windows ended, shape (windows,).
        losses: mean squared error of F in each window, shape (windows, members); pure numbers.
        snapshots: denoisers of all members by the number of steps after which they were asked for.
        seconds: of training, over all processes that the run went through.
    """

    denoisers: list[NetworkDenoiser]
    steps: np.ndarray
    losses: np.ndarray
    snapshots: dict[int, list[NetworkDenoiser]]
    seconds: float


def train(
    data,
    network: torch.nn.Module,
    *,
    steps: int,
    stop: int | None = None,
    seeds=0,
    batch: int = 384,
    rate: float = 5e-3,
    t_range=None,
    average: float = 0.999,
    snapshots=(),
    checkpoints=None,
    every: int = 1_000,
) -> Trained:
    """Train networks of one architecture, on the device of the data.

    Args:
        data: points, shape (N, d), or a list of such data sets, of one d and any N.
        network: its architecture is trained, from new initial parameters: ``ResidualMLP`` or
            ``UNet``.
        steps: number of steps of the whole run, 1 or more, which the learning rate is planned for.
        stop: number of steps after which to leave off, with what there is then; by default the
            whole run. With ``checkpoints`` it goes on from there when it is called again.
        seeds: whole number, or a list of them, one for each data set; fixes initial parameters,
            batches and noise. A single data set, or a single seed, serves all.
        batch: number of noisy points of each member in a step.
        rate: of learning, at its highest.
        t_range: least and largest noise variance, unit of the data squared. By default from the
            square of data_std/30 to the square of twice the largest distance from the mean, a bound
            on the distances between data (Song and Ermon, arXiv 2006.09011, technique 1).
        average: decay, in a step, of what the averaged parameters remember, from 0 to below 1.
        snapshots: numbers of steps after which to keep the averaged denoisers.
        checkpoints: folder; a run that was killed goes on from its last checkpoint there, on one
            thread to the same end to the bit.
        every: steps between checkpoints.
    Returns: Trained. Raises: ValueError for other arguments, or checkpoints of another run.
    Source: Karras et al., arXiv 2206.00364, section 5. Chapter: ``networks/training``.
    """
    if type(network) not in NETWORKS.values():
        raise ValueError(f"network is {network!r}; allowed are {' and '.join(NETWORKS)}")
    sets = [
        as_points("data", y, network.d).detach()
        for y in (data if isinstance(data, list | tuple) else [data])
    ]
    seeds = [count("seeds", seed, minimum=0) for seed in np.ravel(seeds)]
    if not sets or not seeds or (len(sets) != len(seeds) and min(len(sets), len(seeds)) > 1):
        raise ValueError(
            f"seeds are {len(seeds)} for {len(sets)} data sets; allowed are as many, or one of either"
        )
    steps, batch, every = count("steps", steps), count("batch", batch), count("every", every)
    stop = steps if stop is None else count("stop", stop, maximum=steps)
    marks = [count("snapshots", mark, maximum=steps) for mark in np.ravel(snapshots)]
    rate, average = real("rate", rate, minimum=0, strict=True), real("average", average, minimum=0)
    if average >= 1:
        raise ValueError(f"average is {average}; allowed are numbers below 1")
    n, device = max(len(sets), len(seeds)), sets[0].device
    sets, seeds = sets * (n // len(sets)), seeds * (n // len(seeds))
    members = [_Member(y, seed, t_range) for y, seed in zip(sets, seeds, strict=True)]
    config = {
        "data": [files.digest({"data": y}) for y in sets],
        "network": network.config,
        "steps": steps,
    }
    config |= {"seeds": seeds, "batch": batch, "rate": rate, "average": average, "snapshots": marks}
    config |= {"t_range": [m.t_range for m in members]}

    window = math.ceil(steps / WINDOWS)
    start = [
        parameters_to_vector(files.build(network.config, m.seed).parameters()).detach()
        for m in members
    ]
    state = {"parameters": torch.stack(start), "average": torch.stack(start)}
    state |= {name: torch.zeros_like(state["average"]) for name in ("first", "second")}
    state["losses"] = torch.zeros(math.ceil(steps / window), n, dtype=torch.float64)
    found, done, before = checkpoints and files.latest(checkpoints, config), 0, 0.0
    if found:
        state, done, before = found[0], found[1]["done"], found[1]["seconds"]
    state = {name: tensor.to(device) for name, tensor in state.items()}
    predict, leaves = _stacked(network, state["parameters"])
    data_std = torch.tensor([m.data_std for m in members], dtype=torch.float32, device=device)[
        :, None
    ]
    points = torch.cat([m.data for m in members])
    which = torch.tensor([sorted(set(seeds)).index(seed) for seed in seeds], device=device)

    def advance(
        rows: torch.Tensor, t: torch.Tensor, noise: torch.Tensor, rates: torch.Tensor
    ) -> torch.Tensor:
        losses = matching_loss(predict, points[rows], noise[which], t, data_std)
        gradient = torch.cat(
            [g.flatten(1) for g in torch.autograd.grad(losses.sum(), leaves)], dim=1
        )
        _clip(gradient)
        _adam(state, gradient, rates[0], rates[1])
        state["average"].lerp_(state["parameters"], rates[2])
        return losses.detach()

    draws, began = (
        _Draws(members, batch, lambda step: _rates(step, steps, rate, average)),
        time.perf_counter(),
    )
    one = _Recorded(advance) if device.type == "cuda" else advance
    quiet = True if os.environ.get("TQDM_DISABLE") else None
    with tqdm(total=stop, initial=done, disable=quiet, desc="training") as bar:
        for step in range(done, stop):
            losses = one(*draws(step))
            state["losses"][step // window] += losses
            done = step + 1
            due = checkpoints and (done % every == 0 or done == stop)
            # before anything is kept; on a GPU not at each step, where asking would cost more than
            # the step
            if (device.type == "cpu" or due or done % 100 == 0 or done == stop) and not (
                losses < DIVERGED
            ).all():
                raise ValueError(
                    f"rate is {rate:g}: at step {done:,} the loss is {float(losses.max()):.3g}, and training has "
                    "diverged; allowed are lower rates"
                )
            if done in marks:
                state[f"snapshot {done}"] = state["average"].clone()
            if due:
                seconds = before + time.perf_counter() - began
                files.checkpoint(
                    checkpoints, done, state, {"config": config, "done": done, "seconds": seconds}
                )
            if done % 100 == 0 and not bar.disable:
                bar.set_postfix(loss=f"{float(losses.mean()):.3f}", refresh=False)
            bar.update()
    ends = np.minimum(window * np.arange(1, math.ceil(done / window) + 1), done)
    losses = state["losses"][: len(ends)].cpu().numpy() / np.diff(ends, prepend=0)[:, None]
    made = {}
    passed = [mark for mark in marks if mark <= done]
    for name in ("average", *(f"snapshot {mark}" for mark in passed)):
        made[name] = [
            m.denoiser(network.config, row) for m, row in zip(members, state[name], strict=True)
        ]
    kept = {mark: made[f"snapshot {mark}"] for mark in passed}
    return Trained(made["average"], ends, losses, kept, before + time.perf_counter() - began)


def stratified(rng: np.random.Generator, steps: int, batch: int) -> np.ndarray:
    """Draw numbers between 0 and 1, shape (steps, batch): in each step one in each of ``batch``
    equal strata.

    Args:
        rng: generator.
        steps: number of rows.
        batch: number of strata.
    """
    return (np.arange(batch) + rng.random((steps, batch))) / batch


def matching_loss(predict, y, noise, t, data_std) -> torch.Tensor:
    """Mean squared error of F, which is that of D weighted by 1/c_out^2, for each member; 1 for F =
    0 at any noise.

    Args:
        predict: function F of points (members, n, d) and noise levels (members, n).
        y: centred data, shape (members, n, d).
        noise: standard Gaussian, of the same shape.
        t: noise variances, shape (members, n).
        data_std: shape (members, 1).
    Returns: shape (members,). Source: Karras et al., arXiv 2206.00364, eq. 8. Chapter:
    ``networks/training``.
    """
    p = preconditioning(t, data_std)
    skip, out, inside, sigma = (v[..., None] for v in (p.skip, p.out, p.inside, t.sqrt()))
    x = y + sigma * noise
    return (predict(inside * x, p.noise) - (y - skip * x) / out).square().mean(dim=(1, 2))


def schedule(step: int, steps: int) -> float:
    """Share of the highest learning rate: rising linearly over the warm-up, then half a cosine down
    to 0 at the end.

    Args:
        step: number of steps before this one.
        steps: of the whole run; a short run warms up for a tenth of it.
    """
    warm_up = min(WARM_UP, steps // 10)
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    return (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up))) / 2


def decay(step: int, average: float) -> float:
    """Share of themselves that averaged parameters keep in a step.

    Args:
        step: number of steps before this one.
        average: the share once the average is warm.
    """
    # The second form averages over about the last ninth of the run so far; of the initial
    # parameters it has kept 9! k!/(k + 9)! after k steps, where a constant .999 would keep a third
    # for a thousand steps.
    return min(average, (1 + step) / (10 + step))


class _Member:
    """A data set with a seed: what its denoiser must know."""

    def __init__(self, data: torch.Tensor, seed: int, t_range):
        if (data == data[0]).all():
            raise ValueError(
                f"data has {len(data)} equal points; allowed are data sets with two different ones"
            )
        self.mean, self.seed = data.double().mean(dim=0), seed  # of data far from 0 too
        centred = (data.double() - self.mean).float()
        self.data = centred
        self.data_std = float(centred.square().mean().sqrt())
        ends = (
            ((self.data_std / 30) ** 2, (2 * float(centred.norm(dim=1).max())) ** 2)
            if t_range is None
            else t_range
        )
        if np.shape(ends) != (2,) or not as_noise(ends[0]) < as_noise(ends[1]):
            raise ValueError(f"t_range is {t_range}; allowed are a noise variance and a larger one")
        self.t_range = [float(end) for end in ends]

    def denoiser(self, config: dict, row: torch.Tensor) -> NetworkDenoiser:
        """Wrap a row of parameters."""
        made = NetworkDenoiser(files.build(config), self.data_std, self.mean.cpu()).to(row.device)
        vector_to_parameters(row.clone(), made.network.parameters())
        return made.eval().requires_grad_(False)


class _Draws:
    """What is drawn for each step, in blocks of steps; for a GPU the next block is drawn while one
    is in use.
    """

    def __init__(self, members: list[_Member], batch: int, rates: Callable[[int], tuple]):
        self.members, self.rates, self.device = members, rates, members[0].data.device
        self.d = members[0].data.shape[1]
        self.shape = min(64, math.ceil(BLOCK / (batch * self.d))), batch
        self.first = np.cumsum(
            [0] + [len(m.data) for m in members]
        )  # row of each member's first point
        self.pool = ThreadPoolExecutor(1) if self.device.type == "cuda" else None
        self.number, self.held, self.ahead = None, [], {}

    def __call__(self, step: int) -> list[torch.Tensor]:
        """Give rows of points and noise variances, (members, batch), noise by seed, (seeds, batch,
        d), and rates.
        """
        number, place = divmod(step, self.shape[0])
        if number != self.number:
            block = self.ahead.pop(number).result() if number in self.ahead else self.block(number)
            if self.pool:
                self.ahead[number + 1] = self.pool.submit(self.block, number + 1)
            self.held, self.number = [v.to(self.device) for v in block], number
        return [v[place] for v in self.held]

    def block(self, number: int) -> list[torch.Tensor]:
        """Draw a block of steps, along the first axis."""
        noise, strata, rows, t = {}, {}, [], []
        for seed in sorted({m.seed for m in self.members}):
            rng = np.random.default_rng([number, seed, STREAM])
            noise[seed] = rng.standard_normal((*self.shape, self.d), dtype=np.float32)
            strata[seed] = stratified(rng, *self.shape)
        for m, first in zip(self.members, self.first, strict=False):
            rng, (low, high) = (
                np.random.default_rng([number, m.seed, STREAM + 1]),
                np.log(m.t_range),
            )
            rows.append(first + rng.integers(len(m.data), size=self.shape))
            t.append(np.exp(low + (high - low) * strata[m.seed]).astype(np.float32))
        block = [torch.from_numpy(np.stack(v, axis=1)) for v in (rows, t, list(noise.values()))]
        steps = range(number * self.shape[0], (number + 1) * self.shape[0])
        return [*block, torch.tensor([self.rates(step) for step in steps], dtype=torch.float32)]


class _Recorded:
    """A step whose kernels a GPU starts all at once, as a CUDA graph: starting them one by one
    takes longer than they.

    The answer is overwritten by the next call.
    """

    def __init__(self, step: Callable[..., torch.Tensor]):
        self.step, self.calls = step, 0

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if (
            self.calls <= 3
        ):  # libraries set themselves up in the first calls, which must not be recorded
            return self.step(*inputs)
        if self.calls == 4:
            self.inputs, self.graph = [v.clone() for v in inputs], torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):  # records, and does not run
                self.answer = self.step(*self.inputs)
        for held, new in zip(self.inputs, inputs, strict=True):
            held.copy_(new)
        self.graph.replay()
        return self.answer


def _stacked(network: torch.nn.Module, parameters: torch.Tensor):
    """Give F of all members, and the leaves it reads: rows of parameters, cut into the network's
    shapes.
    """
    named = dict(network.named_parameters())
    parts = parameters.split([p.numel() for p in named.values()], dim=1)
    leaves = {
        name: part.unflatten(1, p.shape).requires_grad_()
        for part, (name, p) in zip(parts, named.items(), strict=True)
    }

    def predict(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        if network.broadcasts:
            return functional_call(network, leaves, (x, c))
        members = zip(*(leaf.unbind() for leaf in leaves.values()), strict=True)
        calls = zip(
            (dict(zip(leaves, member, strict=True)) for member in members),
            zip(x, c, strict=True),
            strict=True,
        )
        return torch.stack([functional_call(network, *call) for call in calls])

    return predict, list(leaves.values())


def _clip(gradient: torch.Tensor) -> None:
    """Shorten, in place, each row that is longer than ``CLIP`` to that length."""
    gradient.mul_(CLIP / gradient.norm(dim=1, keepdim=True).clamp(min=CLIP))


def _rates(step: int, steps: int, rate: float, average: float) -> tuple[float, float, float]:
    """What changes from step to step: Adam's two factors, against the bias of its moments, and the
    average's share.
    """
    b1, b2 = BETAS
    size = rate * schedule(step, steps) / (1 - b1 ** (step + 1))
    return size, (1 - b2 ** (step + 1)) ** -0.5, 1 - decay(step, average)


def _adam(state: dict[str, torch.Tensor], gradient: torch.Tensor, size, scale) -> None:
    """Make one step of Adam, in place (Kingma and Ba, arXiv 1412.6980, algorithm 1)."""
    (b1, b2), first, second = BETAS, state["first"], state["second"]
    first.lerp_(gradient, 1 - b1)
    second.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
    spread = second.sqrt().mul_(scale).add_(1e-8)
    state["parameters"].sub_((first * size).div_(spread))
