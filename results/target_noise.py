"""Does the noise of the target matter? One network, one sequence of draws, three targets.

The usual target is the training point y itself, which is one draw from the posterior of x over the
training points. In its place here stand the mean of four such draws, and the posterior's mean, the
exact empirical denoiser. Fifty points in two dimensions (a Gaussian law) and in 30 (the book's
example), after each mark: copies, distances to both exact denoisers at points A and C.
Beside them, by noise, how many points share the posterior and how large the target's noise is.
"""

import numpy as np
import torch

from memolib.denoisers import Denoiser
from memolib.empirical import Empirical
from memolib.manifolds import LinearManifold
from memolib.memorization import copy_threshold, nearest_ratio
from memolib.networks import ResidualMLP
from memolib.sampling import probability_flow
from memolib.sweeps import grid
from memolib.training import schedule
from results import network_grid
from results._plain import fit
from results._stored import Experiment, Leaves
from results.network_grid import rounded

LAWS = {2: LinearManifold([1.0, 0.25]), 30: network_grid.LAW}
N, WIDTHS, BATCHES = 50, {2: 32, 30: 128}, {2: 64, 30: 128}
SIGMAS = {2: (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0), 30: (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)}
START = {2: 16.0, 30: 4.0}  # noise variance from which points are made
SEEDS = tuple(range(5))
MARKS = (500, 2_000, 4_000)
STEPS, FEW = MARKS[-1], 4
POINTS, ENDS = 256, 500


class Held(Denoiser):
    """A denoiser under which a point that has run away stays where it is, and is no copy."""

    def __init__(self, inside: Denoiser, d: int) -> None:
        self.inside, self.d = inside, d
        self.size = float(sample(d, SEEDS[0]).square().sum(dim=1).mean())  # of the data, squared

    def _denoise(self, x: torch.Tensor, t: float) -> torch.Tensor:
        far = x.square().sum(dim=1) > 25 * (self.size + t * self.d)
        return torch.where(far[:, None], x, self.inside(x, t))


def sample(d: int, seed: int) -> torch.Tensor:
    """The data of a seed."""
    if d == 30:
        return network_grid.sample(seed)[:N]
    return LAWS[d].sample(N, seed=np.random.default_rng([71, seed]))


def posterior(x: torch.Tensor, t: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
    """Weights of the training points at each x, with its own noise t."""
    squares = torch.cdist(x, data, compute_mode="donot_use_mm_for_euclid_dist") ** 2
    return (-squares / (2 * t[:, None])).softmax(dim=1)


def targets(data: torch.Tensor, seed: int) -> dict:
    """What is regressed on: the point, the mean of few draws, the exact mean."""
    generator = torch.Generator().manual_seed(7_100 + seed)

    def few(y: torch.Tensor, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        w = posterior(x, t.double(), data)
        return data[torch.multinomial(w, FEW, replacement=True, generator=generator)].mean(dim=1)

    def exact(y: torch.Tensor, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return posterior(x, t.double(), data) @ data

    return {"y": None, "four": few, "exact": exact}


def looks(d: int, seed: int, sigma: float) -> dict[str, torch.Tensor]:
    """Points A and C of a seed's data."""
    data, rng = sample(d, seed), np.random.default_rng([72, d, seed, round(1_000 * sigma)])
    fresh = LAWS[d].sample(POINTS, seed=rng)
    own = data[torch.arange(POINTS) % len(data)]
    noise = torch.from_numpy(rng.standard_normal((2, POINTS, d)))
    return {"A": own + sigma * noise[0], "C": fresh + sigma * noise[1]}


def away(one: torch.Tensor, other: torch.Tensor, x: torch.Tensor) -> float:
    """Root mean square distance of answers, in units of the noise that the other one removes."""
    return float(((one - other).square().sum() / (other - x).square().sum()) ** 0.5)


def exact(d: int, seed: int) -> dict[str, list[float]]:
    """Of the posterior, by noise: points that share it, the target's noise; how far the limits are.

    The target's noise is the root of its variance in units of the noise that is removed.
    """
    data = sample(d, seed)
    found = {}
    for sigma in SIGMAS[d]:
        for kind, x in looks(d, seed, sigma).items():
            w = posterior(x, torch.full((len(x),), sigma**2, dtype=x.dtype), data)
            mean = w @ data
            spread = (w @ data.square().sum(dim=1)) - mean.square().sum(dim=1)
            values = {
                "sharing": float((1 / w.square().sum(dim=1)).median()),
                "noise": float((spread.sum() / (mean - x).square().sum()) ** 0.5),
                "limits": away(LAWS[d](x, sigma**2), mean, x),
            }
            for name, value in values.items():
                found.setdefault(f"{name} {kind}", []).append(value)
    return rounded(found)


def seen(denoiser: Denoiser, d: int, seed: int) -> dict:
    """Copies, and distances to the exact denoisers by noise."""
    data, own = sample(d, seed), Empirical(sample(d, seed))
    found = {}
    for sigma in SIGMAS[d]:
        for kind, x in looks(d, seed, sigma).items():
            answer = denoiser(x, sigma**2)
            for name, limit in (("population", LAWS[d]), ("empirical", own)):
                value = away(answer, limit(x, sigma**2), x)
                found.setdefault(f"to {name} {kind}", []).append(value)
    start = np.random.default_rng([73, d, seed]).standard_normal((ENDS, d))
    x = START[d] ** 0.5 * torch.from_numpy(start)
    ratio = nearest_ratio(probability_flow(Held(denoiser, d), x, START[d], 1e-4, steps=40), data)
    fresh = LAWS[d].sample(5_000, seed=np.random.default_rng([74, d, seed]))
    found["copies"] = float((ratio < copy_threshold(data, fresh)).double().mean())
    return rounded(found | {"ratio": float(ratio.median())})


def measured(d: int, seed: int, stop: int) -> dict:
    """What is read of the networks of a seed after each mark, by target and mark."""
    data = sample(d, seed)
    found = {"exact": exact(d, seed)}
    for name, target in targets(data, seed).items():
        made = fit(
            data, ResidualMLP(d, WIDTHS[d]), steps=stop, seed=seed, batch=BATCHES[d], target=target,
            average=0.999, course=lambda step, _: schedule(step, STEPS), marks=MARKS,
        )  # fmt: skip
        found |= {f"{name} {mark}": seen(denoiser, d, seed) for mark, denoiser in made.items()}
    return found


def run(d: int, seed: int) -> dict:
    """Train on each target, and look."""
    return measured(d, seed, STEPS)


def witness(d: int, seed: int) -> list[Leaves]:
    """The limits, and how training begins."""
    found = measured(d, seed, MARKS[0])
    return [
        Leaves({"exact": found.pop("exact")}, tolerance=0.002),
        Leaves(found, tolerance=0.01, beginning=True),
    ]


STORED = Experiment(run, grid(d=LAWS, seed=SEEDS), witness, needs="one core, half an hour for all")
