"""Networks on the book's example at a constant learning rate: when do they begin to copy?

The rate follows the schedule of a run of two million steps that is left off after at most a
fortieth of it, where it has fallen by less than two in a thousand: constant, after the warm-up.
Five seeds (of the sample, of the network, of batches and noise) are trained together, on the first
N points of their sample, and measured with their averaged parameters after 100, 141, 200, ...
steps.
"""

import numpy as np
import torch

from memolib.denoisers import Denoiser
from memolib.empirical import Empirical
from memolib.networks import ResidualMLP
from memolib.points import add_noise
from memolib.training import Trained, train
from results._stored import FOLDER, Experiment, Leaves
from results.network_grid import LAW, D, copies, generated, rounded, sample, threshold

SEEDS = tuple(range(5))
PLANNED, LONGEST = 2_000_000, 51_200  # steps of the schedule, and of the longest run
TIMES = tuple(float(s) ** 2 for s in (0.05, 0.1, 0.2))
POINTS = 200
BATCH, RATE = 128, 0.005


def marks(steps: int) -> tuple[int, ...]:
    """Steps after which networks are measured, a factor of the root of two apart."""
    every = (round(100 * 2 ** (k / 2)) for k in range(40))
    return tuple(mark for mark in every if mark <= steps)


def trained(
    data: list[torch.Tensor],
    seeds: tuple[int, ...],
    width: int,
    steps: int,
    batch: int = BATCH,
    rate: float = RATE,
    kept: str | None = None,
) -> Trained:
    """Train at a constant rate; ``kept`` names the run's checkpoints."""
    return train(
        data, ResidualMLP(D, width), steps=PLANNED, stop=steps, seeds=seeds, batch=batch, rate=rate,
        average=0.9995, snapshots=marks(LONGEST), every=5_000,
        checkpoints=FOLDER / "unfinished" / kept if kept else None,
    )  # fmt: skip


class Bounded(Denoiser):
    """A denoiser whose answers are cut to length 4, so that no generated point runs to infinity.

    The data have norm 1; a point whose answer is cut ends far away, and counts as lost.
    """

    def __init__(self, inner: Denoiser) -> None:
        """Take the denoiser that answers."""
        self.inner = inner
        self.d = inner.d

    def _denoise(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        answer = self.inner(x, t)
        return answer * (4 / answer.norm(dim=1, keepdim=True)).clamp(max=1)


def own_share(answer: torch.Tensor, population: torch.Tensor, y: torch.Tensor) -> float:
    """How far answers at noisy points go from the population's to the points that were noised.

    The projection of answer - population on y - population, over the length of the latter, both
    summed over points. For answers that do not depend on y its mean is 0.
    """
    away = y - population
    return float(((answer.double() - population) * away).sum() / (away**2).sum())


def measured(denoiser: Denoiser, y: torch.Tensor, seed: int) -> dict:
    """Copies; own share at noisy training points (A) and at noisy fresh points (C); distances.

    Distances are root mean squares in units of the noise that the exact denoiser removes.
    """
    found = dict(copies(generated(Bounded(denoiser)), y, threshold(y, seed)))
    fresh = LAW.sample(POINTS, seed=np.random.default_rng([1901, seed]))
    for kind, clean in (("A", y[:POINTS]), ("C", fresh)):
        for k, t in enumerate(TIMES):
            x = add_noise(clean, t, np.random.default_rng([1902, seed, k, kind == "C"]))
            answer, population = denoiser(x, t).double(), LAW(x, t)
            share = own_share(answer, population, clean)
            found.setdefault(f"share {kind}", []).append(share)
            for name, right in (("population", population), ("empirical", Empirical(y)(x, t))):
                off = ((answer - right) ** 2).sum() / ((right - x) ** 2).sum()
                found.setdefault(f"to {name} {kind}", []).append(float(off) ** 0.5)
    return rounded(found)


def exact(y: torch.Tensor, seed: int) -> dict:
    """Give the shares of the exact empirical denoiser."""
    return {k: v for k, v in measured(Empirical(y), y, seed).items() if k.startswith("share")}


def run(width: int, N: int, steps: int, batch: int = BATCH, rate: float = RATE) -> dict:
    """Train five networks on N points, and measure them at each mark."""
    data = [sample(seed)[:N] for seed in SEEDS]
    kept = f"constant-{width}-{N}-{batch}-{rate:g}"
    made = trained(data, SEEDS, width, steps, batch, rate, kept)
    found = {
        f"{seed} {mark}": measured(denoiser, y, seed)
        for mark, denoisers in made.snapshots.items()
        for seed, (denoiser, y) in enumerate(zip(denoisers, data, strict=True))
    }
    found |= {f"{seed} exact": exact(y, seed) for seed, y in enumerate(data)}
    return found | {"parameters": made.denoisers[0].size, "training_seconds": round(made.seconds)}


def witness(width: int, N: int, steps: int, batch: int = BATCH, rate: float = RATE) -> list[Leaves]:
    """How two seeds begin; the exact denoiser, whole."""
    seeds = SEEDS[:2]
    data = [sample(seed)[:N] for seed in seeds]
    made = trained(data, seeds, width, 200, batch, rate)
    begun = {
        f"{seed} {mark}": measured(denoisers[seed], data[seed], seed)
        for mark, denoisers in made.snapshots.items()
        for seed in seeds
    }
    whole = {f"{seed} exact": exact(y, seed) for seed, y in enumerate(data)}
    return [Leaves(begun, tolerance=0.005, beginning=True), Leaves(whole, tolerance=1e-3)]


def case(width: int, N: int, steps: int, batch: int = BATCH, rate: float = RATE) -> dict:
    """Give a configuration."""
    return {"width": width, "N": N, "steps": steps, "batch": batch, "rate": rate}


RUNS = [
    case(32, 25, 12_800),
    case(32, 50, 25_600),
    case(32, 100, 51_200),
    case(64, 25, 6_400),
    case(64, 50, 12_800),
    case(64, 100, 25_600),
    case(128, 50, 6_400),
    case(128, 100, 12_800),
    case(128, 200, 25_600),
    case(64, 50, 12_800, batch=32),
    case(64, 25, 1_600, batch=512),
    case(64, 50, 3_200, batch=512),
    case(64, 100, 6_400, batch=512),
    case(64, 50, 12_800, rate=0.00125),
]
STORED = Experiment(
    run,
    RUNS,
    witness,
    once=("parameters", "training_seconds"),
    needs="one core, forty minutes",
)
