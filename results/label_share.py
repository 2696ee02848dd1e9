"""How much a network knows of which training point it is near, measured by random labels.

To the flat example five coordinates are added, numbers drawn at random for each training point, and
hidden from the network: it sees noisy points without them, and is trained to denoise them as well.
All that it can answer there is what it makes of the other coordinates, so the share m of the labels
that it explains is the share that the law of effective variance speaks of. It predicts the
retentions of high and low variance, which are measured beside it, at noisy training points (A) and
at training points (B).
"""

import numpy as np
import torch
from torch import nn

from memolib.manifolds import EXAMPLE, LinearManifold
from memolib.networks import NetworkDenoiser, ResidualMLP, preconditioning
from memolib.points import add_noise
from memolib.spectra import jacobian
from memolib.sweeps import grid
from memolib.training import schedule
from results._plain import fit
from results._stored import Experiment, Leaves
from results.flat_grid import POINTS, SIGMAS, STREAM
from results.network_grid import GROUPS, rounded

LABELS = slice(30, 35)
LAW = LinearManifold([*EXAMPLE, *[0.09] * 5])
SIZES, SEEDS = (100,), range(5)
MARKS = {100: (500, 1_000, 2_000, 4_000)}


class Hidden(nn.Module):
    """A network that does not see the labels."""

    broadcasts = True

    def __init__(self) -> None:
        super().__init__()
        self.inner = ResidualMLP(35)
        self.seen = torch.ones(35)
        self.seen[LABELS] = 0

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Give F."""
        return self.inner(self.seen * x, c)


def sample(seed: int, n: int) -> torch.Tensor:
    """The data of a seed."""
    return LAW.sample(n, seed=np.random.default_rng([STREAM, seed, 9]))


def guesses(D: NetworkDenoiser, x: torch.Tensor, t: float) -> torch.Tensor:
    """What a network makes of the labels without having seen them, from its answer."""
    skip = float(preconditioning(torch.tensor(t), D.data_std).skip)
    off = (x - D.mean)[:, LABELS]
    return D.mean[LABELS] + (D(x, t)[:, LABELS] - D.mean[LABELS] - skip * off) / (1 - skip)


def answers(D: NetworkDenoiser, y: torch.Tensor, seed: int) -> dict:
    """Gains of the groups, and the share of the labels' variance that guesses explain, by noise."""
    known = y[:POINTS]
    out: dict[str, list] = {}
    for sigma in SIGMAS:
        t = sigma**2
        noisy = add_noise(known, t, np.random.default_rng([STREAM, seed, 10]))
        for kind, x in (("A", noisy), ("B", known)):
            G = jacobian(D, x, t).double().diagonal(dim1=1, dim2=2)
            for name, group in GROUPS.items():
                out.setdefault(f"{kind} gain {name}", []).append(float(G[:, group].mean()))
            pair = torch.stack([guesses(D, x, t).flatten(), known[:, LABELS].flatten()])
            share = float(torch.corrcoef(pair)[0, 1]) ** 2
            out.setdefault(f"{kind} share", []).append(share)
    return rounded(out)


def trained(y: torch.Tensor, seed: int, N: int, stop: int) -> dict[int, NetworkDenoiser]:
    """The first steps of a run, by mark.

    What the network cannot see of the labels' noise is taken out of what it is trained on, as the
    noise of other coordinates is by looking at them.
    """
    data_std = (y - y.mean(dim=0)).square().mean().sqrt()

    def target(y: torch.Tensor, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        wanted = y.clone()
        unseen = preconditioning(t.to(y), data_std).skip[:, None] * (x - y)
        wanted[:, LABELS] += unseen[:, LABELS]
        return wanted

    return fit(
        y, Hidden, steps=stop, seed=seed, target=target, marks=MARKS[N],
        course=lambda step, _: schedule(step, MARKS[N][-1]),
    )  # fmt: skip


def measured(N: int, seeds: range, stop: int) -> dict:
    """What networks do, by seed and mark."""
    found = {}
    for seed in seeds:
        y = sample(seed, N)
        for mark, D in trained(y, seed, N, stop).items():
            found[f"{seed} {mark}"] = answers(D, y, seed)
    return found


def run(N: int) -> dict:
    """All seeds, to the end."""
    return measured(N, SEEDS, MARKS[N][-1])


def witness(N: int) -> list[Leaves]:
    """How two networks begin."""
    return [Leaves(measured(N, range(2), MARKS[N][0]), tolerance=0.01, beginning=True)]


STORED = Experiment(run, grid(N=SIZES), witness, needs="one core, two minutes each")
