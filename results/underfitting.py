"""Where a network underfits its own empirical denoiser: noisy training points, fresh ones, paths.

Networks on 50 and 250 points of the book's example, width 32 and 128, from weak to strong along one
run; the last of width 128 are those of ``network_panel``. By noise, at points A (noisy training
points), C (noisy fresh points) and S (on the network's own sampling paths): how far from the exact
empirical and population denoiser, and how far out the points lie, in units of the shell of radius
sqrt(t d) around the nearest training point. Of a perfect empirical denoiser S has the law of A, of
the population's that of C. Points that run away are counted as lost and left out.
"""

from functools import cache

import numpy as np
import torch

from memolib.checkpoints import load
from memolib.denoisers import Denoiser
from memolib.empirical import Empirical
from memolib.networks import ResidualMLP
from memolib.sampling import probability_flow
from memolib.sweeps import grid
from memolib.training import Trained, train
from results import network_panel
from results._stored import FOLDER, Experiment, Leaves
from results.network_grid import LAW, TIMES, D, rounded, sample
from results.noise_bands import Spliced

SIZES, WIDTHS, SEEDS = (50, 250), (32, 128), tuple(range(5))
STEPS, MARKS = 64_000, (250, 1_000, 4_000, 16_000)
POINTS, START = 256, 4.0


def trained(width: int, members: tuple[tuple[int, int], ...], stop: int) -> Trained:
    """The first steps of the run on data sets of some seeds and sizes."""
    unfinished = FOLDER / "unfinished" / f"underfitting-{width}" if stop == MARKS[-1] else None
    return train(
        [sample(seed)[:N] for seed, N in members], ResidualMLP(D, width), steps=STEPS, stop=stop,
        seeds=[seed for seed, _ in members], batch=128, average=0.9995, snapshots=MARKS,
        checkpoints=unfinished, every=4_000,
    )  # fmt: skip


def path(denoiser: Denoiser, seed: int) -> list[torch.Tensor]:
    """Points S of a denoiser at each noise, without those that have run away."""
    start = np.random.default_rng([81, seed]).standard_normal((POINTS, D))
    x, here, found = START**0.5 * torch.from_numpy(start), START, []
    held = Spliced(denoiser, denoiser, "middle")  # one and the same in all bands
    for t in TIMES[::-1]:
        x, here = probability_flow(held, x, here, t, steps=10), t
        found.append(x[x.square().sum(dim=1) <= 4 * (1 + t * D)])
    return found[::-1]


@cache
def looks(seed: int, N: int) -> dict[str, list[torch.Tensor]]:
    """Points A and C of a seed's first N data at each noise."""
    rng = np.random.default_rng([82, seed])
    own = sample(seed)[torch.arange(POINTS) % N]
    fresh = LAW.sample(POINTS, seed=rng)
    noise = [torch.from_numpy(rng.standard_normal((2, POINTS, D))) for _ in TIMES]
    both = list(zip(TIMES, noise, strict=True))
    return {
        "A": [own + t**0.5 * xi[0] for t, xi in both],
        "C": [fresh + t**0.5 * xi[1] for t, xi in both],
    }


@cache
def limits(seed: int, N: int, kind: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Empirical and population denoiser at points A or C at each noise."""
    return both(looks(seed, N)[kind], seed, N)


def both(points: list[torch.Tensor], seed: int, N: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Empirical and population denoiser at points, one tensor for each noise."""
    own = Empirical(sample(seed)[:N])
    return [(own(x, t), LAW(x, t)) for x, t in zip(points, TIMES, strict=True)]


def read(denoiser: Denoiser, seed: int, N: int) -> dict[str, list[float]]:
    """Root mean squares at each kind of point, by noise, in units of sqrt(t d)."""
    found = {}
    for kind in "ACS":
        points = path(denoiser, seed) if kind == "S" else looks(seed, N)[kind]
        known = both(points, seed, N) if kind == "S" else limits(seed, N, kind)
        for x, t, (empirical, population) in zip(points, TIMES, known, strict=True):
            answer = denoiser(x, t)
            sizes = {
                "to empirical": answer - empirical,
                "to population": answer - population,
                "limits": empirical - population,
                "removed": empirical - x,  # by the empirical denoiser
            }
            values = {name: float((v.square().mean() / t) ** 0.5) for name, v in sizes.items()}
            near = torch.cdist(x, sample(seed)[:N].to(x)).min(dim=1).values
            values["lost"] = 1 - len(x) / POINTS
            values["shell"] = float(near.median() / (t * D) ** 0.5)
            for name, value in values.items():
                found.setdefault(f"{name} {kind}", []).append(value)
    return rounded(found)


def run(width: int) -> dict:
    """Train, and look after each mark; and at what is exact."""
    members = tuple((seed, N) for seed in SEEDS for N in SIZES)
    found = {}
    for mark, denoisers in trained(width, members, MARKS[-1]).snapshots.items():
        for (seed, N), denoiser in zip(members, denoisers, strict=True):
            found[f"{seed} {N} {mark}"] = read(denoiser, seed, N)
    return found | others(width, members)


def others(width: int, members: tuple[tuple[int, int], ...]) -> dict:
    """Stored networks of the same run's end; the exact empirical denoiser on its own paths."""
    if width != 128:
        return {}
    found = {}
    for seed, N in members:
        found[f"{seed} {N} {STEPS}"] = read(load(network_panel.weights(N, seed)), seed, N)
        found[f"{seed} {N} empirical"] = read(Empirical(sample(seed)[:N]), seed, N)
    return found


def witness(width: int) -> list[Leaves]:
    """One network's beginning; what is read from its stored end, and what is exact."""
    member, mark = (SEEDS[0], SIZES[0]), MARKS[1]
    made = trained(width, (member,), mark).snapshots[mark][0]
    begun = {f"{member[0]} {member[1]} {mark}": read(made, *member)}
    leaves = [Leaves(begun, tolerance=0.02, beginning=True)]
    if width == 128:
        leaves.append(Leaves(others(width, (member,)), tolerance=0.005))
    return leaves


STORED = Experiment(
    run,
    grid(width=WIDTHS),
    witness,
    reads=lambda width: (
        [network_panel.weights(N, s) for N in SIZES for s in SEEDS] if width == 128 else []
    ),
    needs="one core, ten minutes",
)
