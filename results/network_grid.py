"""Networks on the book's example by data-set size, width, seed and number of steps: python results/network_grid.py.

One run trains the networks of one width together, on 10 to 20,000 points (subsets of one sample) with each seed (of the
sample and of the network), and measures them after 500, 1,000, ... 64,000 steps: spectra at training points with noise
(A), training points (B) and fresh points (C), distances to the exact empirical and population denoisers, how many
generated points are copies, and how much they are like those of others. Results lie in network_grid/, a file a run, and
what is exact in a file a seed; what is there is not run again, and a run that was stopped goes on where it was.
Ten minutes on one GPU with all widths at once; on a CPU many hours: name widths to do a part, as in
python results/network_grid.py --widths 32 64.
"""

import argparse
import sys
from itertools import pairwise
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
UNFINISHED = FOLDER.with_name("unfinished")  # checkpoints and exact answers, not kept
LAW = SphereManifold(np.r_[[1.0] * 2, [0.3] * 5, [0.01] * 23] ** 2)
GROUPS = {"high": slice(0, 2), "low": slice(2, 7), "thin": slice(7, 30)}
SIZES = 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 20_000
WIDTHS, SEEDS = (32, 64, 128, 256, 512), tuple(range(5))
MARKS = tuple(500 * 2**k for k in range(8))
TIMES = tuple(float(s) ** 2 for s in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5))
D, POINTS, COPIES = 30, 64, 500
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def sample(seed: int) -> torch.Tensor:
    """The data of a seed."""
    return LAW.sample(max(SIZES), seed=seed)


def looks(y: torch.Tensor, t: float, seed: int) -> dict[str, torch.Tensor]:
    """Points A, B and C of a data set at noise variance t."""
    fresh = LAW.sample(POINTS, seed=10_000 + seed)
    return {"A": add_noise(y[:POINTS], t, 20_000 + seed), "B": y[:POINTS], "C": add_noise(fresh, t, 30_000 + seed)}


def traces(denoiser, y: torch.Tensor, seed: int) -> dict[str, list]:
    """Mean traces of the Jacobian in each group of directions, by kind of point and noise; medians; asymmetry."""
    out = {}
    for t in TIMES:
        seen = looks(y, t, seed)
        G = jacobian(denoiser, torch.cat(list(seen.values())).to(_device_of(denoiser)), t).double().cpu()
        for kind, part in zip(seen, G.split([len(x) for x in seen.values()]), strict=True):
            diagonal = part.diagonal(dim1=1, dim2=2)
            for name, group in GROUPS.items():
                trace = diagonal[:, group].sum(dim=1)
                out.setdefault(f"trace {kind} {name}", []).append(float(trace.mean()))
                out.setdefault(f"median {kind} {name}", []).append(float(trace.median()))
            out.setdefault(f"asymmetry {kind}", []).append(float(asymmetry(part).median()))
    return out


def generated(denoiser) -> torch.Tensor:
    """Points that a denoiser makes of noise, which is the same for all."""
    x = 2 * torch.from_numpy(np.random.default_rng([0, 5]).standard_normal((COPIES, D)))
    return probability_flow(denoiser, x.to(_device_of(denoiser)), 4.0, 1e-4, steps=40).cpu()


def limits(seed: int) -> dict[str, torch.Tensor]:
    """Exact answers at points A and C at each noise, and generated points, of all data sets of a seed."""
    path = UNFINISHED / f"exact-{seed}.safetensors"
    if not path.exists():
        data, made = sample(seed), {"population ends": generated(LAW).float()}
        for N in SIZES:
            y = data[:N]
            for name, limit in (("population", LAW), ("empirical", Empirical(y))):
                for k, t in enumerate(TIMES):
                    for kind, x in looks(y, t, seed).items():
                        made[f"{N} {name} {kind} {k}"] = limit(x, t).float()
            made[f"{N} empirical ends"] = generated(Empirical(y)).float()
        checkpoints.write(path, made, {"seed": seed})
    return checkpoints.read(path)[0]


def distances(denoiser, known: dict[str, torch.Tensor], y: torch.Tensor, seed: int) -> dict[str, list]:
    """Root mean square distance to each exact denoiser, in units of the noise that this one removes."""
    out = {}
    for k, t in enumerate(TIMES):
        for kind, x in looks(y, t, seed).items():
            answer = denoiser(x.to(_device_of(denoiser)), t).cpu()
            for name in ("population", "empirical"):
                D = known[f"{len(y)} {name} {kind} {k}"]
                away = ((answer - D) ** 2).sum() / ((D - x) ** 2).sum() if kind != "B" else torch.tensor(0.0)
                out.setdefault(f"to {name} {kind}", []).append(float(away) ** 0.5)
    return {name: values for name, values in out.items() if name[-1] != "B"}


def copies(ends: torch.Tensor, y: torch.Tensor, threshold: float) -> dict[str, float]:
    """Share of generated points nearer to a training point, in d1/d2, than all but a hundredth of fresh points are.

    Points that run away, further than twice the farthest of the data, are counted as lost and left out.
    """
    kept = ends[ends.norm(dim=1) < 2]  # of norm 1 are the data
    ratio = nearest_ratio(kept, y)
    near = float((ratio < threshold).double().mean())
    return {"copies": near, "ratio": float(ratio.median()), "lost": 1 - len(kept) / len(ends)}


def likeness(one: torch.Tensor, two: torch.Tensor) -> float:
    """Median cosine between the points that two denoisers make of the same noise."""
    return float(torch.cosine_similarity(one.double(), two.double(), dim=1).median())


def exact(seed: int) -> dict:
    """What is exact: traces of the empirical and the population denoiser, copies and likeness of what they make."""
    data, measured, known = sample(seed), {}, limits(seed)
    for N in SIZES:
        y, ends = data[:N], known[f"{N} empirical ends"]
        measured[f"{N} population"] = _rounded(traces(LAW, y, seed))
        values = traces(Empirical(y), y, seed) | copies(ends, y, _threshold(y, seed))
        measured[f"{N} empirical"] = _rounded(values | {"like population": likeness(ends, known["population ends"])})
    return measured


def run(width: int) -> dict:
    """Train one network on each size with each seed, and measure all of them after each mark."""
    datas = [sample(seed) for seed in SEEDS]
    members = [(seed, N) for seed in SEEDS for N in SIZES]
    trained = train(
        [datas[seed][:N].to(DEVICE) for seed, N in members], ResidualMLP(D, width), steps=MARKS[-1],
        seeds=[seed for seed, _ in members], batch=128, snapshots=MARKS, average=0.9995,
        checkpoints=None if DEVICE == "cuda" else UNFINISHED / f"grid-{width}",  # minutes on a GPU
    )  # fmt: skip
    measured, known = {}, {seed: limits(seed) for seed in SEEDS}
    thresholds = {(seed, N): _threshold(datas[seed][:N], seed) for seed, N in members}
    for mark, denoisers in trained.snapshots.items():
        ends = {}
        for (seed, N), denoiser in zip(members, denoisers, strict=True):
            y, ends[seed, N] = datas[seed][:N], generated(denoiser)
            values = traces(denoiser, y, seed) | distances(denoiser, known[seed], y, seed)
            values |= copies(ends[seed, N], y, thresholds[seed, N])
            values["like population"] = likeness(ends[seed, N], known[seed]["population ends"])
            values["like empirical"] = likeness(ends[seed, N], known[seed][f"{N} empirical ends"])
            measured[f"{seed} {N} {mark}"] = _rounded(values)
        for N in SIZES:  # trained on other data
            pairs = [likeness(ends[one, N], ends[two, N]) for one, two in pairwise([*SEEDS, SEEDS[0]])]
            measured[f"{N} {mark}"] = _rounded({"like another": pairs})
    losses = _rounded({f"{s} {N}": row.tolist() for (s, N), row in zip(members, trained.losses.T, strict=True)})
    made = {"device": torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU", "torch": torch.__version__}
    made |= {"parameters": denoisers[0].size, "training_seconds": round(trained.seconds, 1)}
    return made | {"losses": losses} | measured


def _threshold(y: torch.Tensor, seed: int) -> float:
    """First percentile of d1/d2 of fresh points."""
    return float(nearest_ratio(LAW.sample(5_000, seed=40_000 + seed), y).quantile(0.01))


def _device_of(denoiser) -> str:
    return DEVICE if isinstance(denoiser, torch.nn.Module) else "cpu"


def _rounded(values: dict) -> dict:
    return {k: [float(f"{x:.4g}") for x in v] if isinstance(v, list) else float(f"{v:.4g}") for k, v in values.items()}


def results(widths=WIDTHS) -> Sweep:
    """Run what is missing, and give all."""
    return sweep(run, grid(width=widths), FOLDER, depends=[sys.modules[__name__], networks, training, checkpoints])


def exact_results() -> Sweep:
    """The same for what is exact, by seed."""
    return sweep(exact, grid(seed=SEEDS), FOLDER, depends=[sys.modules[__name__]])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # fastest for networks this small; run two at a time on two cores
    done = [exact_results(), results(chosen.widths)]
    print(f"{sum(len(d.done) for d in done)} runs have results, {sum(len(d.failed) for d in done)} failed")
