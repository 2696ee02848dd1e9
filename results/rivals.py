"""Rival explanations of the order of loss: networks on flat data, one thing changed at a time.

Variances of the data, amplitudes of the network's inputs, parametrization, architecture, weight
decay. Five networks of each kind, on 100 points and some on 50 or 250, are measured along training
at points A, B and C as in ``flat_grid``. Data sets are scaled to the law's root mean square, so
that networks which undo ``train``'s preconditioning know it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from memolib.manifolds import EXAMPLE, LinearManifold
from memolib.networks import N_WAVES, Linear, ResidualMLP, waves
from memolib.sweeps import grid
from memolib.training import schedule, train
from results._plain import fit
from results._stored import Experiment, Leaves
from results.flat_grid import LAW, measured, sample

SEEDS = range(5)
STEPS = {50: 4_000, 100: 4_000, 250: 8_000}
PLANE, FIVE = slice(0, 2), slice(2, 7)


def flat(plane: float, five: float) -> LinearManifold:
    """The flat example with other variances of its plane and its five directions."""
    variances = EXAMPLE.copy()
    variances[PLANE], variances[FIVE] = plane, five
    return LinearManifold(variances)


LEVEL, SWAPPED = flat(0.3, 0.3), flat(0.09, 1.0)


def spread(law: LinearManifold) -> float:
    """Root mean square of the coordinates."""
    return float(law.variances.mean().sqrt())


class Inputs(nn.Module):
    """A network whose inputs have other amplitudes along the plane and the five directions."""

    broadcasts = True

    def __init__(self, plane: float, five: float, inner: nn.Module | None = None) -> None:
        super().__init__()
        self.inner = ResidualMLP(30) if inner is None else inner
        self.factors = torch.ones(30)
        self.factors[PLANE], self.factors[FIVE] = plane, five

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Give F."""
        return self.inner(self.factors * x, c)


class EachDirection(nn.Module):
    """Each direction preconditioned by its own variance: input, answer and skip.

    With the inner network at 0 the denoiser is that of the population. The loss is as before.
    """

    broadcasts = True

    def __init__(self, law: LinearManifold) -> None:
        super().__init__()
        self.inner = ResidualMLP(30)
        self.variances = law.variances.float()
        self.total = spread(law) ** 2

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Give F."""
        t = (8 * c).exp()[..., None]
        x = x * (t + self.total).sqrt()  # as it was, but for the mean
        own = self.variances / (t + self.variances)
        all_ = self.total / (t + self.total)
        answer = self.inner(x * (t + self.variances).rsqrt(), c)
        return ((own - all_) * x + (t * own).sqrt() * answer) / (t * all_).sqrt()


class Plain(nn.Module):
    """Three hidden layers, to each of which a linear map of the noise is added."""

    broadcasts = True

    def __init__(self, activation: Callable[[torch.Tensor], torch.Tensor], width: int) -> None:
        super().__init__()
        self.activation = activation
        self.layers = nn.ModuleList(Linear(n, width) for n in (30, width, width))
        self.noise = nn.ModuleList(Linear(N_WAVES, width, scale=0.3) for _ in range(3))
        self.outlet = Linear(width, 30, scale=0.0)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Give F."""
        for layer, noise in zip(self.layers, self.noise, strict=True):
            x = self.activation(layer(x) + noise(waves(c)))
        return self.outlet(x)


class Gradient(nn.Module):
    """The gradient of a scalar, x R(x): what it gives has a symmetric Jacobian."""

    broadcasts = True

    def __init__(self) -> None:
        super().__init__()
        self.inner = ResidualMLP(30)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Give F."""
        return torch.func.grad(lambda z: (z * self.inner(z, c)).sum())(x)


class Rival(NamedTuple):
    """A law of the data, what makes a network, and how fast its parameters decay."""

    law: LinearManifold
    network: Callable[[], nn.Module]
    decay: float = 0.0


RIVALS = {
    "plain": Rival(LAW, lambda: Inputs(1, 1)),
    "exchanged_inputs": Rival(LAW, lambda: Inputs(0.3, 1 / 0.3)),
    "each_direction": Rival(LAW, lambda: EachDirection(LAW)),
    "level_data": Rival(LEVEL, lambda: Inputs(1, 1)),
    "unlike_inputs": Rival(LEVEL, lambda: Inputs(1, 0.3)),
    "exchanged_data": Rival(SWAPPED, lambda: Inputs(1, 1)),
    "exchanged_both": Rival(SWAPPED, lambda: Inputs(1 / 0.3, 0.3)),
    "relu": Rival(LAW, lambda: Plain(F.relu, 160)),
    "tanh": Rival(LAW, lambda: Plain(torch.tanh, 160)),
    "silu": Rival(LAW, lambda: Plain(F.silu, 160)),
    "tanh_exchanged": Rival(LAW, lambda: Inputs(0.3, 1 / 0.3, Plain(torch.tanh, 160))),
    "gradient": Rival(LAW, Gradient),
    "decay": Rival(LAW, lambda: Inputs(1, 1), decay=0.1),
}


def sets(law: LinearManifold, N: int, seeds: range) -> dict[int, torch.Tensor]:
    """Data of some seeds, scaled to the law's root mean square about their mean."""
    found = {}
    for seed in seeds:
        y = sample(law, seed)[:N]
        found[seed] = y * (spread(law) / (y - y.mean(dim=0)).square().mean().sqrt())
    return found


def marks(N: int) -> tuple[int, ...]:
    """Numbers of steps after which networks are measured."""
    return (500, STEPS[N] // 4, STEPS[N] // 2, STEPS[N])


def snapshots(kind: str, N: int, data: dict[int, torch.Tensor], stop: int) -> dict[int, list]:
    """Denoisers of all data sets after each mark up to a step."""
    rival, steps = RIVALS[kind], STEPS[N]
    if rival.decay:
        kept = [
            fit(
                y, rival.network, steps=stop, seed=seed, weight_decay=rival.decay,
                course=lambda step, _: schedule(step, steps), marks=marks(N),
            )
            for seed, y in data.items()
        ]  # fmt: skip
        return {mark: [one[mark] for one in kept] for mark in kept[0]}
    return train(
        list(data.values()), rival.network, steps=steps, stop=stop, seeds=list(data),
        batch=128, snapshots=marks(N), average=0.9995,
    ).snapshots  # fmt: skip


def run(kind: str, N: int) -> dict:
    """Train networks of all seeds, and measure them after each mark."""
    law = RIVALS[kind].law
    data = sets(law, N, SEEDS)
    return measured(snapshots(kind, N, data, STEPS[N]), law, data)


def witness(kind: str, N: int) -> list[Leaves]:
    """How two networks begin, and the exact denoisers beside one of them."""
    law, first = RIVALS[kind].law, marks(N)[0]
    data = sets(law, N, range(2))
    found = measured(snapshots(kind, N, data, first), law, data)
    begun = {name: found.pop(name) for name in list(found) if name.endswith(f" {first}")}
    return [Leaves(found, tolerance=1e-3), Leaves(begun, tolerance=0.01, beginning=True)]


UNGATED = ["relu", "tanh", "silu", "tanh_exchanged"]  # 100 points take them longer to memorize
AGAIN = ["plain", "each_direction", "level_data", "exchanged_data"]
SETTINGS = grid(kind=[kind for kind in RIVALS if kind != "tanh_exchanged"], N=[100])

STORED = Experiment(
    run,
    SETTINGS + grid(kind=UNGATED, N=[50]) + grid(kind=AGAIN, N=[250]),
    witness,
    needs="one core, a minute or two each",
)
