"""Networks on data of which some points are held many times: are those copied, and when?

Five networks of width 128 are trained at a constant rate, as in ``constant_rate``, on N points of
the book's example, copies counted: some are held up to a hundred times, most once. At each mark it
is measured how far answers go to points of each kind, how many generated points lie within a radius
of them, and how many of those are copies by d1/d2.
"""

import numpy as np
import torch

from memolib.denoisers import Denoiser
from memolib.empirical import Empirical
from memolib.memorization import copy_threshold, nearest_ratio
from memolib.points import add_noise
from memolib.sampling import probability_flow
from memolib.training import Trained
from results._stored import Experiment, Leaves
from results.constant_rate import SEEDS, Bounded, own_share, trained
from results.network_grid import LAW, D, rounded, sample

WIDTH, STEPS = 128, 25_600
HELD = {  # how many points are held how often, by N
    1_000: {100: 2, 50: 2, 20: 5, 5: 8},
    2_000: {20: 8, 10: 8, 5: 16, 2: 32},
}
TIMES = tuple(float(s) ** 2 for s in (0.05, 0.1, 0.2, 0.3, 0.5))
POINTS, MADE, RADIUS = 128, 1_000, 0.08


def distinct(N: int, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Give the points of a data set, each once, and how often each is held."""
    held = np.repeat(list(HELD[N]), list(HELD[N].values()))
    held = np.r_[held, np.ones(N - held.sum(), dtype=int)]
    return sample(seed)[: len(held)], held


def data_of(N: int, seed: int) -> torch.Tensor:
    """Give the data set, every copy a row."""
    y, held = distinct(N, seed)
    return y[np.repeat(np.arange(len(y)), held)]


def exact(N: int, seed: int) -> Empirical:
    """Give the exact denoiser of the data set."""
    y, held = distinct(N, seed)
    return Empirical(y, prior=held / N)


def shares(denoiser: Denoiser, N: int, seed: int) -> dict[str, list[float]]:
    """Own shares, by noise, at points of each kind; "fresh" are points of no data set."""
    y, held = distinct(N, seed)
    fresh = LAW.sample(POINTS, seed=np.random.default_rng([1921, seed]))
    kinds = {f"{n}": y[held == n][:POINTS] for n in (*HELD[N], 1)} | {"fresh": fresh}
    found = {}
    for place, (kind, clean) in enumerate(kinds.items()):
        clean = clean.repeat(POINTS // len(clean), 1)
        for k, t in enumerate(TIMES):
            x = add_noise(clean, t, np.random.default_rng([1922, seed, place, k]))
            share = own_share(denoiser(x, t), LAW(x, t), clean)
            found.setdefault(f"share {kind}", []).append(share)
    return found


def masses(made: torch.Tensor, N: int, seed: int) -> dict[str, float]:
    """Shares of some points that lie within the radius of points of each kind, and are copies."""
    y, held = distinct(N, seed)
    fresh = LAW.sample(5_000, seed=np.random.default_rng([1923, seed]))
    near = torch.cdist(made.double(), y.double()).min(dim=1)
    copy = (nearest_ratio(made, y) < copy_threshold(y, fresh)).numpy()
    inside, kind = (near.values < RADIUS).numpy(), held[near.indices.numpy()]
    found = {}
    for n in (*HELD[N], 1):
        found[f"mass {n}"] = float((inside & (kind == n)).mean())
        found[f"copies {n}"] = float((copy & (kind == n)).mean())
    return found


def measured(denoiser: Denoiser, N: int, seed: int) -> dict:
    """All that is read from a denoiser."""
    x = 2 * torch.from_numpy(np.random.default_rng([1924]).standard_normal((MADE, D)))
    ends = probability_flow(Bounded(denoiser), x, 4.0, 1e-4, steps=40)
    return rounded(shares(denoiser, N, seed) | masses(ends, N, seed))


def limits(N: int, seed: int) -> dict:
    """The same for the exact denoiser, and for points of the law."""
    law = LAW.sample(20_000, seed=np.random.default_rng([1925, seed]))
    return {
        f"{seed} exact": measured(exact(N, seed), N, seed),
        f"{seed} law": rounded(masses(law, N, seed)),
    }


def begun(N: int, seeds: tuple[int, ...], steps: int, kept: str | None = None) -> Trained:
    """The first steps of the run."""
    return trained([data_of(N, seed) for seed in seeds], seeds, WIDTH, steps, kept=kept)


def by_mark(run: Trained, N: int) -> dict:
    """What is read from the networks after each mark."""
    return {
        f"{seed} {mark}": measured(denoiser, N, seed)
        for mark, denoisers in run.snapshots.items()
        for seed, denoiser in enumerate(denoisers)
    }


def run(N: int) -> dict:
    """Train five networks, and measure them at each mark."""
    made = begun(N, SEEDS, STEPS, f"duplicated-{N}")
    found = by_mark(made, N)
    for seed in SEEDS:
        found |= limits(N, seed)
    return found | {"training_seconds": round(made.seconds)}


def witness(N: int) -> list[Leaves]:
    """How two seeds begin; the exact denoiser and the law of one seed, whole."""
    first = by_mark(begun(N, SEEDS[:2], 200), N)
    return [Leaves(first, tolerance=0.005, beginning=True), Leaves(limits(N, 0), tolerance=1e-3)]


STORED = Experiment(
    run,
    [{"N": N} for N in HELD],
    witness,
    once=("training_seconds",),
    needs="one core, a quarter of an hour",
)
