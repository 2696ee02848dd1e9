"""Networks on the flat example by data-set size, width and number of steps.

The grid of networks (``network_grid``) has normalised data, where the plane of high variance holds
the radial direction. Here the data are those of the flat example as they are: two directions of
variance 1, five of .09, 23 thin ones. One run trains the networks of one size and width together,
one for each seed (of data and network), and measures them after 500, 1,000, ... 16,000 steps, at
training points with noise (A), training points (B) and fresh points with noise (C). Beside them the
exact empirical denoiser of the same points. Of some the weights are kept.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from memolib.checkpoints import save
from memolib.denoisers import Denoiser
from memolib.empirical import Empirical
from memolib.manifolds import EXAMPLE, LinearManifold
from memolib.memorization import copy_threshold, nearest_ratio
from memolib.networks import ResidualMLP
from memolib.points import add_noise
from memolib.sampling import probability_flow
from memolib.spectra import alive, asymmetry, jacobian
from memolib.sweeps import grid
from memolib.training import train
from results._stored import FOLDER, Experiment, Leaves
from results.network_grid import GROUPS, rounded

LAW = LinearManifold(EXAMPLE)
SIZES = {128: (50, 100, 250, 1_000, 20_000)}
MARKS = tuple(500 * 2**k for k in range(6))
SIGMAS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
POINTS, COPIES, STREAM = 64, 500, 1904
KEPT = (100, 250, 20_000)  # sizes whose network of seed 0, width 128, is kept
BROAD = slice(0, 7)  # high and low directions


def seeds(N: int) -> range:
    """Five, and two of the control."""
    return range(2 if N == 20_000 else 5)


def sample(law: LinearManifold, seed: int, n: int = 20_000) -> torch.Tensor:
    """The data of a seed."""
    return law.sample(n, seed=np.random.default_rng([STREAM, seed]))


def looks(law: LinearManifold, y: torch.Tensor, t: float, seed: int) -> dict[str, tuple]:
    """Points A, B and C at noise variance t, each with the data that they come from."""
    fresh, at_data, at_fresh = (np.random.default_rng([STREAM, seed, k]) for k in (1, 2, 3))
    known, new = y[:POINTS], law.sample(POINTS, seed=fresh)
    return {
        "A": (add_noise(known, t, at_data), known),
        "B": (known, known),
        "C": (add_noise(new, t, at_fresh), new),
    }


def answers(denoiser: Denoiser, law: LinearManifold, y: torch.Tensor, seed: int) -> dict:
    """What a denoiser keeps and how far off it is, by kind of point and noise.

    Means over points and directions of a group: of G_kk (gain), of the squared error in units of
    the noise variance (error). Means over points of the number of broad directions that are alive
    and of how much of the high plane lies in these, and the median asymmetry of G. Root mean
    squares of the entries of G by which the answer along a group depends on another group's
    coordinates.
    """
    out: dict[str, list] = {}
    for sigma in SIGMAS:
        t = sigma**2
        seen = looks(law, y, t, seed)
        x = torch.cat([points for points, _ in seen.values()])
        sizes = [len(points) for points, _ in seen.values()]
        all_G = jacobian(denoiser, x, t).double().split(sizes)
        answer = denoiser(x, t).double().split(sizes)
        broad = law.variances[BROAD]
        population = torch.diag(broad / (broad + t))
        for (kind, (_, known)), G, D in zip(seen.items(), all_G, answer, strict=True):
            found = {"asymmetry": asymmetry(G).median()}
            living = alive(G[:, BROAD, BROAD], population)
            found["alive"] = living.number.double().mean()
            found["alive high"] = living.share[:, GROUPS["high"]].sum(dim=1).mean()
            for name, group in GROUPS.items():
                found[f"gain {name}"] = G.diagonal(dim1=1, dim2=2)[:, group].mean()
                if kind != "B":
                    found[f"error {name}"] = (D - known)[:, group].square().mean() / t
            for one, two in (("low", "high"), ("high", "low")):
                part = G[:, GROUPS[one], GROUPS[two]]
                found[f"{one} by {two}"] = part.square().mean().sqrt()
            for name, value in found.items():
                out.setdefault(f"{kind} {name}", []).append(float(value))
    return rounded(out)


class Bounded(Denoiser):
    """A denoiser whose answers stay finite; no coordinate of the data comes near the bounds."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser, self.d = denoiser, denoiser.d

    def _denoise(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return self.denoiser(x, t).clamp(-10, 10)


def generated(denoiser: Denoiser) -> torch.Tensor:
    """Points that a denoiser makes of noise, which is the same for all."""
    x = 3 * torch.from_numpy(np.random.default_rng([STREAM, 0, 4]).standard_normal((COPIES, 30)))
    return probability_flow(Bounded(denoiser), x, 9.0, 1e-4, steps=40)


def copied(denoiser: Denoiser, law: LinearManifold, y: torch.Tensor, seed: int) -> dict:
    """Share of generated points that are copies, and of those that run away.

    A copy has a d1/d2 that one fresh point in a hundred has; who runs away is further than twice
    the farthest of the data.
    """
    fresh = law.sample(5_000, seed=np.random.default_rng([STREAM, seed, 5]))
    ends = generated(denoiser).double()
    kept = ends[ends.norm(dim=1) < 2 * y.norm(dim=1).max()]
    near = nearest_ratio(kept, y) < copy_threshold(y, fresh)
    return rounded({"copies": float(near.double().mean()), "lost": 1 - len(kept) / len(ends)})


def measured(
    snapshots: Mapping[int, Sequence[Denoiser]],
    law: LinearManifold,
    sets: Mapping[int, torch.Tensor],
) -> dict:
    """What networks do, by seed and mark, and both exact denoisers at the same points, by seed."""
    found = {}
    for place, (seed, y) in enumerate(sets.items()):
        denoisers = {f"{mark}": some[place] for mark, some in snapshots.items()}
        denoisers["population"] = law
        if len(y) <= 2_500:  # else it takes longer than training
            denoisers["empirical"] = Empirical(y)
        for name, D in denoisers.items():
            found[f"{seed} {name}"] = answers(D, law, y, seed) | copied(D, law, y, seed)
    return found


def trained(width: int, sets: Mapping[int, torch.Tensor], stop: int, unfinished: Path | None):
    """The first steps of the run on the data sets of some seeds."""
    return train(
        list(sets.values()), ResidualMLP(30, width), steps=MARKS[-1], stop=stop, seeds=list(sets),
        batch=128, snapshots=MARKS, average=0.9995, checkpoints=unfinished, every=2_000,
    )  # fmt: skip


def run(width: int, N: int) -> dict:
    """Train the networks of all seeds, and measure them after each mark."""
    sets = {seed: sample(LAW, seed)[:N] for seed in seeds(N)}
    unfinished = FOLDER / "unfinished" / f"flat-{width}-{N}"
    made = trained(width, sets, MARKS[-1], unfinished)
    if width == 128 and N in KEPT:
        save(STORED.path({"width": width, "N": N}, ".safetensors"), made.denoisers[0])
    losses = {
        f"{seed}": row[[0, -1]].tolist() for seed, row in zip(sets, made.losses.T, strict=True)
    }
    how = {"parameters": made.denoisers[0].size, "training_seconds": round(made.seconds, 1)}
    return how | {"losses": rounded(losses)} | measured(made.snapshots, LAW, sets)


def witness(width: int, N: int) -> list[Leaves]:
    """How two networks begin, and the exact denoisers beside one of them."""
    sets = {seed: sample(LAW, seed)[:N] for seed in (0, 1)}
    made = trained(width, sets, MARKS[0], None)
    found = measured(made.snapshots, LAW, {0: sets[0]})
    exact = {name: found.pop(name) for name in list(found) if name != f"0 {MARKS[0]}"}
    losses = {f"{seed}": {0: made.losses[0, place]} for place, seed in enumerate(sets)}
    return [
        Leaves(exact, tolerance=1e-3),
        Leaves({"losses": losses}, tolerance=0.002, beginning=True),
        Leaves(found, tolerance=0.01, beginning=True),
    ]


STORED = Experiment(
    run,
    [c for width, sizes in SIZES.items() for c in grid(width=[width], N=sizes)],
    witness,
    once=("parameters", "training_seconds"),
    needs="one core, three to five minutes a size",
)
