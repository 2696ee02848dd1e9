"""Networks on the book's example by data-set size, width, seed and number of steps: python results/network_grid.py.

One run trains nine networks of one width together, on 10 to 20,000 points (subsets of one sample), and measures them
after 500, 1,000, ... 64,000 steps: spectra at training points with noise (A), training points (B) and fresh points (C),
distances to the exact empirical and population denoisers, and how many generated points are copies. Results lie in
network_grid/, one file a run; what is there is not run again, and a run that was stopped goes on where it was.
Hours: name widths and seeds to do a part, as in python results/network_grid.py --widths 32 64 --seeds 0 1.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from memolib import checkpoints, networks, training
from memolib.empirical import Empirical
from memolib.manifolds import SphereManifold
from memolib.memorization import nearest_ratio
from memolib.networks import ResidualMLP
from memolib.points import add_noise
from memolib.sampling import probability_flow
from memolib.spectra import asymmetry, jacobian
from memolib.sweeps import Sweep, grid, sweep
from memolib.training import train

FOLDER = Path(__file__).with_suffix("")
UNFINISHED = FOLDER.with_name("unfinished")  # checkpoints, not kept
LAW = SphereManifold(np.r_[[1.0] * 2, [0.3] * 5, [0.01] * 23] ** 2)
GROUPS = {"high": slice(0, 2), "low": slice(2, 7), "thin": slice(7, 30)}
SIZES = 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 20_000
WIDTHS, SEEDS = (32, 64, 128, 256, 512), tuple(range(5))
MARKS = tuple(500 * 2**k for k in range(8))
TIMES = tuple(float(s) ** 2 for s in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5))
POINTS, COPIES = 64, 500


def looks(y: torch.Tensor, t: float, seed: int) -> dict[str, torch.Tensor]:
    """Points A, B and C of a data set at noise variance t."""
    fresh = LAW.sample(POINTS, seed=10_000 + seed)
    return {"A": add_noise(y[:POINTS], t, 20_000 + seed), "B": y[:POINTS], "C": add_noise(fresh, t, 30_000 + seed)}


def spectra_of(denoiser, y: torch.Tensor, seed: int) -> dict[str, list]:
    """Mean traces of the Jacobian in each group of directions, by kind of point and noise; medians; asymmetry."""
    out = {}
    for t in TIMES:
        for kind, x in looks(y, t, seed).items():
            G = jacobian(denoiser, x, t).double()
            diagonal = G.diagonal(dim1=1, dim2=2)
            parts = {name: diagonal[:, group].sum(dim=1) for name, group in GROUPS.items()}
            for name, trace in parts.items():
                out.setdefault(f"trace {kind} {name}", []).append(float(trace.mean()))
                out.setdefault(f"median {kind} {name}", []).append(float(trace.median()))
            out.setdefault(f"asymmetry {kind}", []).append(float(asymmetry(G).median()))
    return out


def answers(limit, y: torch.Tensor, seed: int) -> dict[tuple[str, float], torch.Tensor]:
    """What an exact denoiser answers at points A and C, at each noise."""
    return {(kind, t): limit(x, t) for t in TIMES for kind, x in looks(y, t, seed).items() if kind != "B"}


def distances(denoiser, exact: dict[str, dict], y: torch.Tensor, seed: int) -> dict[str, list]:
    """Root mean square distance to each exact denoiser, in units of the noise that this one removes."""
    out = {}
    for name, known in exact.items():
        for (kind, t), D in known.items():
            x = looks(y, t, seed)[kind]
            away = ((denoiser(x, t) - D) ** 2).sum() / ((D - x) ** 2).sum()
            out.setdefault(f"to {name} {kind}", []).append(float(away) ** 0.5)
    return out


def copies(denoiser, y: torch.Tensor, seed: int) -> dict[str, float]:
    """Share of generated points nearer to a training point, in d1/d2, than all but a hundredth of fresh points are.

    Points that run away, further than twice the farthest of the data, are counted as lost and left out.
    """
    control = nearest_ratio(LAW.sample(5_000, seed=40_000 + seed), y)
    x = 2 * torch.from_numpy(np.random.default_rng([seed, 5]).standard_normal((COPIES, y.shape[1])))
    ends = probability_flow(denoiser, x, 4.0, 1e-4, steps=40)
    kept = ends[ends.norm(dim=1) < 2]  # of norm 1 are the data
    ratio = nearest_ratio(kept, y)
    near = float((ratio < control.quantile(0.01)).double().mean())
    return {"copies": near, "ratio": float(ratio.median()), "lost": 1 - len(kept) / len(ends)}


def run(width: int, seed: int) -> dict:
    """Train one network on each size, and measure all of them after each mark."""
    data = LAW.sample(max(SIZES), seed=seed)
    sets = [data[:N] for N in SIZES]
    trained = train(
        sets, ResidualMLP(30, width), steps=MARKS[-1], seeds=seed, batch=128, snapshots=MARKS, average=0.9995,
        checkpoints=UNFINISHED / f"{width}-{seed}", every=2_000,
    )  # fmt: skip
    measured = {}
    for N, y, k in zip(SIZES, sets, range(len(SIZES)), strict=True):
        limits = {"population": LAW, "empirical": Empirical(y)}
        exact = {name: answers(limit, y, seed) for name, limit in limits.items()}
        for name, limit in limits.items():
            measured[f"{N} {name}"] = spectra_of(limit, y, seed)
        for mark, denoisers in trained.snapshots.items():
            D = denoisers[k]
            measured[f"{N} {mark}"] = spectra_of(D, y, seed) | distances(D, exact, y, seed) | copies(D, y, seed)
    losses = [[float(f"{v:.4g}") for v in row] for row in trained.losses.T]
    rounded = {key: _rounded(values) for key, values in measured.items()}
    return {"parameters": denoisers[0].size, "training_seconds": trained.seconds, "losses": losses, **rounded}


def _rounded(values: dict) -> dict:
    return {k: [float(f"{x:.4g}") for x in v] if isinstance(v, list) else float(f"{v:.4g}") for k, v in values.items()}


def results(widths=WIDTHS, seeds=SEEDS) -> Sweep:
    """Run what is missing, and give all."""
    return sweep(
        run, grid(seed=seeds, width=widths), FOLDER, depends=[sys.modules[__name__], networks, training, checkpoints]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # fastest for networks this small; run two at a time on two cores
    done = results(chosen.widths, chosen.seeds)
    print(f"{len(done.done)} runs have results, {len(done.failed)} failed")
