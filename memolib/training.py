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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from tqdm import tqdm

from memolib import checkpoints as files
from memolib._steps import Draws, Member, Recorded, clipped, stacked
from memolib._tensors import as_points
from memolib._validate import count, real
from memolib.networks import NETWORKS, NetworkDenoiser, preconditioning

WINDOWS = 200  # averages that a loss curve is thinned to
DIVERGED = 1e8  # that of F = 0 is 1; wide networks came back from 2e4 in their warm-up
WARM_UP = 200  # steps
BETAS = (0.9, 0.99)  # of Adam's two moments

Build = Callable[[], torch.nn.Module]


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
    data: Any,
    network: torch.nn.Module | Build,
    *,
    steps: int,
    stop: int | None = None,
    seeds: int | Sequence[int] = 0,
    batch: int = 384,
    rate: float = 5e-3,
    t_range: tuple[float, float] | None = None,
    average: float = 0.999,
    snapshots: Sequence[int] = (),
    checkpoints: str | Path | None = None,
    every: int = 1_000,
) -> Trained:
    """Train networks of one architecture, on the device of the data.

    Args:
        data: points, shape (N, d), or a list of such data sets, of one d and any N.
        network: what computes F. A function that makes the network, ``lambda: Net(...)``, called
            once for each seed: any module of float32 parameters that maps points (n, d) and noise
            levels (n,) (of ``Preconditioning``) to (n, d). Or a ``ResidualMLP`` or ``UNet``, whose
            architecture is taken; its parameters are not.
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

    Returns:
        What was trained.

    Raises:
        ValueError: for other arguments, a run that diverges, or checkpoints of another run.

    Source:
        Karras et al., arXiv 2206.00364, section 5.

    Chapter:
        ``networks/training``.

    Example:
        >>> from memolib import ResidualMLP, train
        >>> from memolib.manifolds import LinearManifold
        >>> law = LinearManifold([1.0, 1.0, 0.01])
        >>> run = train(law.sample(200, seed=0), ResidualMLP(3, width=16), steps=300, batch=64)
        >>> bool(run.losses[-1, 0] < run.losses[0, 0])
        True
    """
    sets = _data_sets(data)
    seeds = [count("seeds", seed, minimum=0) for seed in np.ravel(seeds)]
    if not sets or not seeds or (len(sets) != len(seeds) and min(len(sets), len(seeds)) > 1):
        raise ValueError(
            f"seeds are {len(seeds)} for {len(sets)} data sets; "
            "allowed are as many, or one of either"
        )
    members = max(len(sets), len(seeds))
    pairs = zip(sets * (members // len(sets)), seeds * (members // len(seeds)), strict=True)
    steps = count("steps", steps)
    every = count("every", every)
    stop = steps if stop is None else count("stop", stop, maximum=steps)
    build, described = _builder(network, sets[0].shape[1])
    run = _Run(
        build,
        described,
        [Member(y, seed, t_range) for y, seed in pairs],
        steps=steps,
        batch=count("batch", batch),
        rate=real("rate", rate, minimum=0, strict=True),
        average=_share("average", average),
        snapshots=[count("snapshots", mark, maximum=steps) for mark in np.ravel(snapshots)],
    )
    if checkpoints:
        run.resume(checkpoints)
    run.advance(stop, checkpoints, every)
    return run.result()


def matching_loss(
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    y: torch.Tensor,
    noise: torch.Tensor,
    t: torch.Tensor,
    data_std: torch.Tensor,
) -> torch.Tensor:
    """Give the mean squared error of F for each member: that of D, weighted by 1/c_out^2.

    It is 1 for F = 0 at any noise.

    Args:
        predict: function F of points (members, n, d) and noise levels (members, n).
        y: centred data, shape (members, n, d).
        noise: standard Gaussian, of the same shape.
        t: noise variances, shape (members, n).
        data_std: shape (members, 1).

    Returns:
        Shape (members,), pure numbers.

    Source:
        Karras et al., arXiv 2206.00364, eq. 8.

    Chapter:
        ``networks/training``.
    """
    p = preconditioning(t, data_std)
    x = y + t.sqrt()[..., None] * noise
    target = (y - p.skip[..., None] * x) / p.out[..., None]
    answer = predict(p.inside[..., None] * x, p.noise)
    return (answer - target).square().mean(dim=(1, 2))


def schedule(step: int, steps: int) -> float:
    """Give the share of the highest learning rate.

    It rises linearly over the warm-up, then falls as half a cosine to 0 at the end.

    Args:
        step: number of steps before this one.
        steps: of the whole run; a short run warms up for a tenth of it.

    Returns:
        From 0 to 1.

    Chapter:
        ``networks/training``.
    """
    warm_up = min(WARM_UP, steps // 10)
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    return (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up))) / 2


def decay(step: int, average: float) -> float:
    """Give the share of themselves that averaged parameters keep in a step.

    Args:
        step: number of steps before this one.
        average: the share once the average is warm.

    Returns:
        From 0 to below 1.

    Chapter:
        ``networks/training``.
    """
    # The second form averages over about the last ninth of the run so far; of the initial
    # parameters it has kept 9! k!/(k + 9)! after k steps, where a constant .999 would keep a third
    # for a thousand steps.
    return min(average, (1 + step) / (10 + step))


class _Run:
    """A run of training: where it stands, and how it goes on from there."""

    def __init__(
        self,
        build: Callable[[int], torch.nn.Module],
        described: dict,
        members: list[Member],
        *,
        steps: int,
        batch: int,
        rate: float,
        average: float,
        snapshots: list[int],
    ):
        """Start from the initial parameters of the members' seeds."""
        self.members = members
        self.rate = rate
        self.marks = snapshots
        self.device = members[0].data.device
        self.build = build
        self.config = {
            "data": [member.digest for member in members],
            "network": described,
            "steps": steps,
            "seeds": [member.seed for member in members],
            "batch": batch,
            "rate": rate,
            "average": average,
            "snapshots": snapshots,
            "t_range": [member.t_range for member in members],
        }
        seeds = sorted({member.seed for member in members})
        self.points = torch.cat([member.data for member in members])
        self.which = torch.tensor(
            [seeds.index(member.seed) for member in members], device=self.device
        )
        self.data_std = torch.tensor(
            [member.data_std for member in members], dtype=torch.float32, device=self.device
        )[:, None]
        start = [
            parameters_to_vector(self.build(member.seed).parameters()).detach()
            for member in members
        ]
        self.parameters = torch.stack(start).to(self.device)
        self.average = self.parameters.clone()
        self.optimizer = self._adam(torch.zeros_like(self.average), torch.zeros_like(self.average))
        self.window = math.ceil(steps / WINDOWS)
        self.losses = torch.zeros(
            math.ceil(steps / self.window), len(members), dtype=torch.float64, device=self.device
        )
        self.snapshots: dict[int, torch.Tensor] = {}
        self.done = 0
        self.seconds = 0.0
        self.predict, self.leaves = stacked(self.build(0).to(self.device), self.parameters)
        self.draws = Draws(
            members,
            batch,
            lambda step: (rate * schedule(step, steps), 1 - decay(step, average)),
        )

    def _adam(self, first: torch.Tensor, second: torch.Tensor, done: int = 0) -> torch.optim.Adam:
        """Make the optimizer of the one matrix of parameters, with its moments."""
        on_gpu = self.device.type == "cuda"
        rate = torch.tensor(self.rate, device=self.device) if on_gpu else self.rate
        adam = torch.optim.Adam([self.parameters], lr=rate, betas=BETAS, capturable=on_gpu)
        adam.state[self.parameters] = {
            "step": torch.tensor(float(done), device=self.device if on_gpu else None),
            "exp_avg": first,
            "exp_avg_sq": second,
        }
        return adam

    def resume(self, folder: str | Path) -> None:
        """Go on from the newest checkpoint of this run in a folder, if there is one."""
        found = files.latest(folder, self.config)
        if found is None:
            return
        held = {name: tensor.to(self.device) for name, tensor in found[0].items()}
        self.done = found[1]["done"]
        self.seconds = found[1]["seconds"]
        self.parameters.copy_(held["parameters"])
        self.average = held["average"]
        self.losses = held["losses"]
        self.optimizer = self._adam(held["first"], held["second"], self.done)
        for mark in self.marks:
            if mark <= self.done:
                self.snapshots[mark] = held[f"snapshot {mark}"]

    def keep(self, folder: str | Path, seconds: float) -> None:
        """Write a checkpoint."""
        moments = self.optimizer.state[self.parameters]
        tensors = {
            "parameters": self.parameters,
            "average": self.average,
            "first": moments["exp_avg"],
            "second": moments["exp_avg_sq"],
            "losses": self.losses,
        }
        tensors |= {f"snapshot {mark}": kept for mark, kept in self.snapshots.items()}
        note = {"config": self.config, "done": self.done, "seconds": seconds}
        files.checkpoint(folder, self.done, tensors, note)

    def step(
        self, rows: torch.Tensor, t: torch.Tensor, noise: torch.Tensor, rates: torch.Tensor
    ) -> torch.Tensor:
        """Make one step on what was drawn for it; gives the members' losses."""
        losses = matching_loss(self.predict, self.points[rows], noise[self.which], t, self.data_std)
        parts = torch.autograd.grad(losses.sum(), self.leaves)
        self.parameters.grad = clipped(torch.cat([part.flatten(1) for part in parts], dim=1))
        group = self.optimizer.param_groups[0]
        if self.device.type == "cuda":
            group["lr"].copy_(rates[0])  # inside a recorded graph nothing else would move it
        else:
            group["lr"] = float(rates[0])
        self.optimizer.step()
        self.average.lerp_(self.parameters, rates[1])
        return losses.detach()

    def advance(self, stop: int, folder: str | Path | None, every: int) -> None:
        """Go on to a number of steps, with a checkpoint in a folder after every so many."""
        on_gpu = self.device.type == "cuda"
        step = Recorded(self.step) if on_gpu else self.step
        before = self.seconds
        began = time.perf_counter()
        quiet = True if os.environ.get("TQDM_DISABLE") else None
        with tqdm(total=stop, initial=self.done, disable=quiet, desc="training") as bar:
            for number in range(self.done, stop):
                losses = step(*self.draws(number))
                self.losses[number // self.window] += losses
                self.done = number + 1
                due = folder and (self.done % every == 0 or self.done == stop)
                # before anything is kept; on a GPU asking costs more than the step
                if not on_gpu or due or self.done % 100 == 0 or self.done == stop:
                    self.check(losses)
                if self.done in self.marks:
                    self.snapshots[self.done] = self.average.clone()
                self.seconds = before + time.perf_counter() - began
                if due:
                    self.keep(folder, self.seconds)
                if self.done % 100 == 0 and not bar.disable:
                    bar.set_postfix(loss=f"{float(losses.mean()):.3f}", refresh=False)
                bar.update()

    def check(self, losses: torch.Tensor) -> None:
        """Refuse to go on from losses that are not finite, or so large that no run comes back."""
        if not (losses < DIVERGED).all():
            raise ValueError(
                f"rate is {self.rate:g}: at step {self.done:,} the loss is "
                f"{float(losses.max()):.3g}, and training has diverged; allowed are lower rates"
            )

    def result(self) -> Trained:
        """Give what there is after the steps done."""
        ends = self.window * np.arange(1, math.ceil(self.done / self.window) + 1)
        ends = np.minimum(ends, self.done)
        sums = self.losses[: len(ends)].cpu().numpy()
        return Trained(
            denoisers=self.denoisers(self.average),
            steps=ends,
            losses=sums / np.diff(ends, prepend=0)[:, None],
            snapshots={mark: self.denoisers(kept) for mark, kept in self.snapshots.items()},
            seconds=self.seconds,
        )

    def denoisers(self, parameters: torch.Tensor) -> list[NetworkDenoiser]:
        """Wrap the rows of a matrix of parameters."""
        made = []
        for member, row in zip(self.members, parameters, strict=True):
            network = self.build(0)
            vector_to_parameters(row.clone(), network.parameters())
            denoiser = NetworkDenoiser(network, member.data_std, member.mean.cpu())
            made.append(denoiser.to(row.device).eval().requires_grad_(False))
        return made


def _data_sets(data: Any) -> list[torch.Tensor]:
    """Give one data set, or several of one dimension, as a list."""
    sets = [as_points("data", y) for y in (data if isinstance(data, list | tuple) else [data])]
    for y in sets:
        if y.shape[1] != sets[0].shape[1]:
            shapes = [tuple(one.shape) for one in sets]
            raise ValueError(f"data has shapes {shapes}; allowed are data sets of one dimension")
    return [y.detach() for y in sets]


def _share(name: str, value: float) -> float:
    """Give a number from 0 to below 1."""
    share = real(name, value, minimum=0)
    if share >= 1:
        raise ValueError(f"{name} is {share}; allowed are numbers below 1")
    return share


def _builder(
    network: torch.nn.Module | Build, d: int
) -> tuple[Callable[[int], torch.nn.Module], dict]:
    """Give a function of a seed that makes the network, and what a checkpoint tells of it.

    One network is made and tried, so that what does not fit is told before training.
    """
    if type(network) in NETWORKS.values():
        if network.d != d:
            raise ValueError(
                f"data has shape (N, {d}); allowed, for the network, is (N, {network.d})"
            )
        return lambda seed: files.build(network.config, seed), network.config
    if isinstance(network, torch.nn.Module) or not callable(network):
        raise ValueError(
            f"network is {network!r}; allowed are a function that makes one, lambda: Net(...), "
            f"since each seed starts from parameters of its own, and {' and '.join(NETWORKS)}"
        )

    def build(seed: int) -> torch.nn.Module:
        with files.seeded(seed):
            return network()

    made = build(0)
    _try(made, d)
    shapes = {name: list(p.shape) for name, p in made.named_parameters()}
    return build, {"kind": type(made).__qualname__, "parameters": shapes}


def _try(made: Any, d: int) -> None:
    """Refuse what is not a network that can be trained here."""
    if not isinstance(made, torch.nn.Module) or not any(True for _ in made.parameters()):
        raise ValueError(f"network makes {made!r}; allowed are modules with parameters")
    types = {p.dtype for p in made.parameters()}
    if types != {torch.float32}:
        raise ValueError(f"network has parameters of {types}; allowed is torch.float32")
    before = {name: held.clone() for name, held in made.named_buffers()}
    x = torch.linspace(-1, 1, 2 * d).reshape(2, d)
    try:
        answer = made(x, torch.zeros(2))
    except Exception as error:
        raise ValueError(
            f"network fails at points of shape (2, {d}) and noise levels of shape (2,): {error}; "
            "allowed are modules that map these to shape (2, d)"
        ) from error
    if not isinstance(answer, torch.Tensor) or answer.shape != x.shape:
        shape = getattr(answer, "shape", type(answer).__name__)
        raise ValueError(f"network answers {shape} to points of shape (2, {d}); allowed is that")
    if not all(torch.equal(held, before[name]) for name, held in made.named_buffers()):
        raise ValueError(
            "network has buffers that a call changes, as batch normalization does; allowed are "
            "networks that answer a point alone as they answer it in a batch"
        )
