"""What one step of training needs: members, what is drawn for them, their parameters at once."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch.func import functional_call

from memolib import checkpoints as files
from memolib._tensors import as_noise

BLOCK = 2**18  # about as many Gaussian numbers are drawn at once for a member, in at most 64 steps
STREAM = 2206  # so that no data set's seed gives the same numbers
CLIP = 1.0  # norm of a member's gradient


def stratified(rng: np.random.Generator, steps: int, batch: int) -> np.ndarray:
    """Draw numbers between 0 and 1, in each step one in each of equal strata.

    Args:
        rng: generator.
        steps: number of rows.
        batch: number of strata.

    Returns:
        Shape (steps, batch).
    """
    return (np.arange(batch) + rng.random((steps, batch))) / batch


class Member:
    """A data set with a seed: what its denoiser must know.

    Attributes:
        data: centred, single precision, shape (N, d).
        mean: of the data, double precision, shape (d,); they may be far from 0.
        data_std: root mean square of the centred data's coordinates.
        t_range: least and largest noise variance.
        seed: of initial parameters, batches and noise.
        digest: of the data as they were given.
    """

    def __init__(self, data: torch.Tensor, seed: int, t_range: tuple[float, float] | None):
        """Centre a data set in its own precision, and choose its noise."""
        if (data == data[0]).all():
            raise ValueError(
                f"data has {len(data)} equal points; allowed are data sets with two different ones"
            )
        self.seed = seed
        self.digest = files.digest({"data": data})
        self.mean = data.double().mean(dim=0)
        self.data = (data.double() - self.mean).float()
        self.data_std = float(self.data.square().mean().sqrt())
        if t_range is None:
            farthest = float(self.data.norm(dim=1).max())
            ends = (self.data_std / 30) ** 2, (2 * farthest) ** 2
        else:
            ends = t_range
        if np.shape(ends) != (2,) or not as_noise(ends[0]) < as_noise(ends[1]):
            raise ValueError(f"t_range is {t_range}; allowed are a noise variance and a larger one")
        self.t_range = [float(end) for end in ends]


class Draws:
    """What is drawn for each step, in blocks of steps.

    For a GPU the next block is drawn while one is in use.
    """

    def __init__(
        self, members: list[Member], batch: int, rates: Callable[[int], tuple[float, float]]
    ):
        """Prepare to draw batches of a size; ``rates`` gives two more numbers for a step."""
        self.members = members
        self.rates = rates
        self.device = members[0].data.device
        self.d = members[0].data.shape[1]
        self.shape = min(64, math.ceil(BLOCK / (batch * self.d))), batch
        self.first = np.cumsum([0] + [len(m.data) for m in members])  # a member's first row
        self.pool = ThreadPoolExecutor(1) if self.device.type == "cuda" else None
        self.number: int | None = None
        self.held: list[torch.Tensor] = []
        self.ahead: dict = {}

    def __call__(self, step: int) -> list[torch.Tensor]:
        """Give what a step needs.

        Returns:
            Rows of points and noise variances, shape (members, batch); noise by seed, shape
            (seeds, batch, d); the two rates, shape (2,).
        """
        number, place = divmod(step, self.shape[0])
        if number != self.number:
            block = self.ahead.pop(number).result() if number in self.ahead else self.block(number)
            if self.pool:
                self.ahead[number + 1] = self.pool.submit(self.block, number + 1)
            self.held = [v.to(self.device) for v in block]
            self.number = number
        return [v[place] for v in self.held]

    def block(self, number: int) -> list[torch.Tensor]:
        """Draw a block of steps, along the first axis."""
        noise, strata = {}, {}
        for seed in sorted({m.seed for m in self.members}):
            rng = np.random.default_rng([number, seed, STREAM])
            noise[seed] = rng.standard_normal((*self.shape, self.d), dtype=np.float32)
            strata[seed] = stratified(rng, *self.shape)
        rows, t = [], []
        for m, first in zip(self.members, self.first, strict=False):
            rng = np.random.default_rng([number, m.seed, STREAM + 1])
            low, high = np.log(m.t_range)
            rows.append(first + rng.integers(len(m.data), size=self.shape))
            t.append(np.exp(low + (high - low) * strata[m.seed]).astype(np.float32))
        block = [torch.from_numpy(np.stack(v, axis=1)) for v in (rows, t, list(noise.values()))]
        steps = range(number * self.shape[0], (number + 1) * self.shape[0])
        return [*block, torch.tensor([self.rates(step) for step in steps], dtype=torch.float32)]


class Recorded:
    """A step whose kernels a GPU starts all at once, as a CUDA graph.

    Starting them one by one takes longer than they. The answer is overwritten by the next call.
    """

    def __init__(self, step: Callable[..., torch.Tensor]):
        """Take the step, a function of tensors."""
        self.step = step
        self.calls = 0

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Make the step on new inputs, of the shapes that the first had."""
        self.calls += 1
        if self.calls <= 3:
            return self.step(*inputs)  # libraries set themselves up, which must not be recorded
        if self.calls == 4:
            self.inputs = [v.clone() for v in inputs]
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):  # records, and does not run
                self.answer = self.step(*self.inputs)
        for held, new in zip(self.inputs, inputs, strict=True):
            held.copy_(new)
        self.graph.replay()
        return self.answer


def stacked(
    network: torch.nn.Module, parameters: torch.Tensor
) -> tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], list[torch.Tensor]]:
    """Give F of all members, and the leaves it reads: rows of parameters, cut into shapes."""
    named = dict(network.named_parameters())
    parts = parameters.split([p.numel() for p in named.values()], dim=1)
    leaves = {
        name: part.unflatten(1, p.shape).requires_grad_()
        for part, (name, p) in zip(parts, named.items(), strict=True)
    }

    def together(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return functional_call(network, leaves, (x, c))

    def one_by_one(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        members = zip(*(leaf.unbind() for leaf in leaves.values()), strict=True)
        return torch.stack(
            [
                functional_call(network, dict(zip(leaves, member, strict=True)), tuple(inputs))
                for member, *inputs in zip(members, x, c, strict=True)
            ]
        )

    predict = together if getattr(network, "broadcasts", False) else one_by_one
    return predict, list(leaves.values())


def clipped(gradient: torch.Tensor) -> torch.Tensor:
    """Shorten, in place, each row that is longer than ``CLIP`` to that length."""
    return gradient.mul_(CLIP / gradient.norm(dim=1, keepdim=True).clamp(min=CLIP))
