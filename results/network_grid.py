"""Networks on the book's example by data-set size, width, seed and number of steps.

One run trains the networks of one width together, on 10 to 20,000 points (subsets of one sample)
with each seed (of the sample and of the network), and measures them after 500, 1,000, ... 64,000
steps: spectra at training points with noise (A), training points (B) and fresh points (C),
distances to the exact empirical and population denoisers, how many generated points are copies, and
how much they are like those of others. What is exact is in ``exact_grid``.
"""

from functools import cache
from itertools import pairwise

import numpy as np
import torch

from memolib.denoisers import Denoiser
from memolib.empirical import Empirical
from memolib.manifolds import EXAMPLE, SphereManifold
from memolib.memorization import copy_threshold, nearest_ratio
from memolib.networks import ResidualMLP
from memolib.points import add_noise
from memolib.sampling import probability_flow
from memolib.spectra import asymmetry, jacobian
from memolib.sweeps import grid
from memolib.training import Trained, train
from results._stored import FOLDER, Experiment, Leaves, here

LAW = SphereManifold(EXAMPLE)
GROUPS = {"high": slice(0, 2), "low": slice(2, 7), "thin": slice(7, 30)}
SIZES = 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 20_000
WIDTHS, SEEDS = (32, 64, 128, 256, 512), tuple(range(5))
MARKS = tuple(500 * 2**k for k in range(8))
TIMES = tuple(float(s) ** 2 for s in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5))
D, POINTS, COPIES = 30, 64, 500
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def sample(seed: int) -> torch.Tensor:
    """The data of a seed."""
    return LAW.sample(max(SIZES), seed=np.random.default_rng(seed))


def looks(y: torch.Tensor, t: float, seed: int) -> dict[str, torch.Tensor]:
    """Points A, B and C of a data set at noise variance t."""
    fresh, at_data, at_fresh = (np.random.default_rng(k * 10_000 + seed) for k in (1, 2, 3))
    x = LAW.sample(POINTS, seed=fresh)
    return {"A": add_noise(y[:POINTS], t, at_data), "B": y[:POINTS], "C": add_noise(x, t, at_fresh)}


def traces(denoiser: Denoiser, y: torch.Tensor, seed: int) -> dict[str, list]:
    """Traces of the Jacobian in each group of directions, by kind of point and noise.

    Means and medians, and the median asymmetry.
    """
    out = {}
    for t in TIMES:
        seen = looks(y, t, seed)
        x = torch.cat(list(seen.values())).to(device_of(denoiser))
        G = jacobian(denoiser, x, t).double().cpu()
        for kind, part in zip(seen, G.split([len(x) for x in seen.values()]), strict=True):
            diagonal = part.diagonal(dim1=1, dim2=2)
            for name, group in GROUPS.items():
                trace = diagonal[:, group].sum(dim=1)
                out.setdefault(f"trace {kind} {name}", []).append(float(trace.mean()))
                out.setdefault(f"median {kind} {name}", []).append(float(trace.median()))
            out.setdefault(f"asymmetry {kind}", []).append(float(asymmetry(part).median()))
    return out


def generated(denoiser: Denoiser) -> torch.Tensor:
    """Points that a denoiser makes of noise, which is the same for all."""
    x = 2 * torch.from_numpy(np.random.default_rng([0, 5]).standard_normal((COPIES, D)))
    return probability_flow(denoiser, x.to(device_of(denoiser)), 4.0, 1e-4, steps=40).cpu()


@cache
def limits(seed: int, sizes: tuple[int, ...] = SIZES) -> dict[str, torch.Tensor]:
    """Exact answers at points A and C at each noise, and generated points, of a seed's data."""
    data = sample(seed)
    made = {"population ends": generated(LAW).float()}
    for N in sizes:
        y = data[:N]
        for name, limit in (("population", LAW), ("empirical", Empirical(y))):
            for k, t in enumerate(TIMES):
                for kind, x in looks(y, t, seed).items():
                    made[f"{N} {name} {kind} {k}"] = limit(x, t).float()
        made[f"{N} empirical ends"] = generated(Empirical(y)).float()
    return made


def distances(
    denoiser: Denoiser, known: dict[str, torch.Tensor], y: torch.Tensor, seed: int
) -> dict[str, list]:
    """Root mean square distance to each exact denoiser, in units of the noise that it removes."""
    out = {}
    for k, t in enumerate(TIMES):
        for kind, x in looks(y, t, seed).items():
            answer = denoiser(x.to(device_of(denoiser)), t).cpu()
            for name in ("population", "empirical"):
                D = known[f"{len(y)} {name} {kind} {k}"]
                away = (
                    ((answer - D) ** 2).sum() / ((D - x) ** 2).sum()
                    if kind != "B"
                    else torch.tensor(0.0)
                )
                out.setdefault(f"to {name} {kind}", []).append(float(away) ** 0.5)
    return {name: values for name, values in out.items() if name[-1] != "B"}


def copies(ends: torch.Tensor, y: torch.Tensor, threshold: float) -> dict[str, float]:
    """Share of generated points that are copies: d1/d2 is below the threshold.

    Points that run away, further than twice the farthest of the data, are counted as lost and left
    out.
    """
    kept = ends[ends.norm(dim=1) < 2]  # of norm 1 are the data
    ratio = nearest_ratio(kept, y)
    near = float((ratio < threshold).double().mean())
    return {"copies": near, "ratio": float(ratio.median()), "lost": 1 - len(kept) / len(ends)}


def likeness(one: torch.Tensor, two: torch.Tensor) -> float:
    """Median cosine between the points that two denoisers make of the same noise."""
    return float(torch.cosine_similarity(one.double(), two.double(), dim=1).median())


def trained(width: int, members: list[tuple[int, int]], stop: int) -> Trained:
    """The first steps of the run on data sets of some seeds and sizes."""
    data = {seed: sample(seed) for seed, _ in members}
    whole = stop == MARKS[-1] and DEVICE == "cpu"  # on a GPU it takes minutes
    return train(
        [data[seed][:N].to(DEVICE) for seed, N in members],
        ResidualMLP(D, width),
        steps=MARKS[-1],
        stop=stop,
        seeds=[seed for seed, _ in members],
        batch=128,
        snapshots=MARKS,
        average=0.9995,
        checkpoints=FOLDER / "unfinished" / f"grid-{width}" if whole else None,
    )


def measured(made: Trained, members: list[tuple[int, int]]) -> dict:
    """What is read from the networks after each mark, by seed, size and mark; by size and mark."""
    seeds, sizes = (tuple(dict.fromkeys(some)) for some in zip(*members, strict=True))
    known = {seed: limits(seed, sizes) for seed in seeds}
    found = {}
    for mark, denoisers in made.snapshots.items():
        ends = {}
        for (seed, N), denoiser in zip(members, denoisers, strict=True):
            y, ends[seed, N] = sample(seed)[:N], generated(denoiser)
            values = traces(denoiser, y, seed) | distances(denoiser, known[seed], y, seed)
            values |= copies(ends[seed, N], y, threshold(y, seed))
            values["like population"] = likeness(ends[seed, N], known[seed]["population ends"])
            values["like empirical"] = likeness(ends[seed, N], known[seed][f"{N} empirical ends"])
            found[f"{seed} {N} {mark}"] = rounded(values)
        for N in sizes:  # trained on other data
            pairs = [
                likeness(ends[one, N], ends[two, N]) for one, two in pairwise([*seeds, seeds[0]])
            ]
            found[f"{N} {mark}"] = rounded({"like another": pairs})
    return found


def run(width: int) -> dict:
    """Train one network on each size with each seed, and measure all of them after each mark."""
    members = [(seed, N) for seed in SEEDS for N in SIZES]
    made = trained(width, members, MARKS[-1])
    losses = {
        f"{seed} {N}": row.tolist() for (seed, N), row in zip(members, made.losses.T, strict=True)
    }
    how = {"device": here(), "torch": torch.__version__, "parameters": made.denoisers[0].size}
    how["training_seconds"] = round(made.seconds, 1)
    return how | {"losses": rounded(losses)} | measured(made, members)


def witness(width: int) -> list[Leaves]:
    """How networks of few points and two seeds begin: 500 steps, of the narrowest 4,000."""
    # in wide networks of ten points rounding grows fastest
    sizes = SIZES[:2] if width <= 128 else SIZES[1:3]
    members = [(seed, N) for seed in SEEDS[:2] for N in sizes]
    made = trained(width, members, 4_000 if width == min(WIDTHS) else 500)
    found = measured(made, members)
    for N in sizes:  # the other pairs are of networks that are not trained here
        for mark in made.snapshots:
            found[f"{N} {mark}"]["like another"] = {0: found[f"{N} {mark}"]["like another"][0]}
    losses = {
        f"{seed} {N}": {0: loss} for (seed, N), loss in zip(members, made.losses[0], strict=True)
    }
    # rounding, after as many steps
    grown = {
        500: 0.1 if width == 512 else 0.002,
        1_000: 0.005,
        2_000: 0.01,
        4_000: 0.02,
    }
    leaves = [Leaves({"losses": losses}, tolerance=0.002, beginning=True)]
    for mark in made.snapshots:
        some = {name: values for name, values in found.items() if name.endswith(f" {mark}")}
        leaves.append(Leaves(some, tolerance=grown[mark], beginning=True))
    return leaves


def threshold(y: torch.Tensor, seed: int) -> float:
    """First percentile of d1/d2 of fresh points."""
    fresh = LAW.sample(5_000, seed=np.random.default_rng(40_000 + seed))
    return float(copy_threshold(y, fresh))


def device_of(denoiser: Denoiser) -> str:
    """Where a denoiser computes: what is exact stays on the CPU."""
    return DEVICE if isinstance(denoiser, torch.nn.Module) else "cpu"


def rounded(values: dict) -> dict:
    """Four digits are enough."""
    return {
        k: [float(f"{x:.4g}") for x in v] if isinstance(v, list) else float(f"{v:.4g}")
        for k, v in values.items()
    }


STORED = Experiment(
    run,
    grid(width=WIDTHS),
    witness,
    once=("device", "torch", "parameters", "training_seconds"),
    needs="a GPU, ten minutes for all widths at once; on a CPU many hours",
)
