"""Biased generalization: pairs of networks on disjoint data of one law, along training.

Width 128 on the book's example, N points each; a pair are the networks of a seed and of the next,
in a ring. After each mark, as means over the pair: is a generated point nearer to the own set than
to the other network's, which has as many points of the same law? Both make points of the same
noise, so where the own set does not matter it is one half of them exactly. Beside it the
loss at fresh noisy points, its excess over the population denoiser's by noise, copies, and how much
the two networks make alike of the same noise. The learning rate hardly falls: the run is the first
eighth of one of 64,000 steps. Control: the law with its shape fitted to the own set by maximum
likelihood, which generalizes as well as this many points allow, and holds none of them.
"""

from functools import cache

import numpy as np
import torch

from memolib.denoisers import Denoiser
from memolib.networks import ResidualMLP, preconditioning
from memolib.sampling import probability_flow
from memolib.sweeps import grid
from memolib.training import Trained, train
from results._stored import FOLDER, Experiment, Leaves, here
from results.network_grid import LAW, SEEDS, D, copies, likeness, rounded, sample, threshold

SIZES = 250, 500, 1_000, 2_000
STEPS, STOP = 64_000, 8_000
MARKS = tuple(250 * 2**k for k in range(6))
LEVELS = tuple(np.geomspace(0.00769, 1.577, 12) ** 2)  # middles of 12 parts of the noise trained on
FRESH, ENDS = 500, 500
START = 4.0  # noise variance from which points are made


def pair(seed: int, N: int) -> list[torch.Tensor]:
    """The data sets of a seed and of the next."""
    return [sample(one)[:N] for one in (seed, (seed + 1) % len(SEEDS))]


def trained(N: int, seeds: tuple[int, ...], stop: int) -> Trained:
    """The first steps of the run on the data sets of some seeds."""
    unfinished = FOLDER / "unfinished" / f"pairs-{N}" if stop == STOP else None
    return train(
        [sample(seed)[:N] for seed in seeds], ResidualMLP(D), steps=STEPS, stop=stop,
        seeds=list(seeds), batch=128, average=0.9995, snapshots=MARKS, checkpoints=unfinished,
        every=4_000,
    )  # fmt: skip


def noisy(y: torch.Tensor, seed: int, stream: int) -> list[torch.Tensor]:
    """Points y with noise, one tensor for each level."""
    rng = np.random.default_rng([61, stream, seed])
    return [y + t**0.5 * torch.from_numpy(rng.standard_normal(y.shape)) for t in LEVELS]


def loss(denoiser: Denoiser, y: torch.Tensor, x: list[torch.Tensor]) -> float:
    """Mean loss at noisy points, weighted as in training."""
    return float(np.mean(weighted([denoiser(at, t) - y for at, t in zip(x, LEVELS, strict=True)])))


def weighted(errors: list[torch.Tensor]) -> list[float]:
    """Mean squares of errors of D, a level each, times 1/c_out^2."""
    out = preconditioning(torch.tensor(LEVELS), (1 / D) ** 0.5).out
    return [float((e / c).square().mean()) for e, c in zip(errors, out, strict=True)]


@cache
def fresh(seed: int) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
    """Fresh points, the same with noise, and the population denoiser's answers there."""
    y = LAW.sample(FRESH, seed=np.random.default_rng([62, seed]))
    x = noisy(y, seed, 1)
    return y, x, [LAW(at, t) for at, t in zip(x, LEVELS, strict=True)]


def made(denoiser: Denoiser) -> torch.Tensor:
    """Points made of noise, the same for all."""
    start = np.random.default_rng([63, 0]).standard_normal((ENDS, D))
    return probability_flow(denoiser, START**0.5 * torch.from_numpy(start), START, 1e-4, steps=40)


def nearest(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Distance of each point to a data set."""
    return torch.cdist(x.double(), y.double()).min(dim=1).values


def seen(ends: list[torch.Tensor], sets: list[torch.Tensor]) -> dict[str, float]:
    """What the generated points of a pair show, as means over the pair."""
    rows = []
    for x, own, other in zip(ends, sets, sets[::-1], strict=True):
        near, far = nearest(x, own), nearest(x, other)
        row = {"own": float((near < far).double().mean()), "distance": float(near.mean())}
        row |= {"other": float(far.mean())} | copies(x, own, threshold(own, 0))
        rows.append(row)
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    found["alike"] = likeness(*ends)
    return found | {"apart": float((ends[0] - ends[1]).norm(dim=1).mean())}


def fitted(y: torch.Tensor) -> torch.Tensor:
    """Points of the law whose shape fits a data set best (Tyler's estimator).

    The example is a Gaussian divided by its norm; on directions that is the maximum likelihood.
    """
    shape = torch.eye(D, dtype=y.dtype)
    for _ in range(200):
        lengths = torch.linalg.solve(shape, y.T).T.mul(y).sum(dim=1)
        shape = D / len(y) * (y / lengths[:, None]).T @ y
        shape = shape / shape.trace()
    z = torch.from_numpy(np.random.default_rng([63, 0]).standard_normal((ENDS, D)))
    x = z @ torch.linalg.cholesky(shape).T
    return x / x.norm(dim=1, keepdim=True)


def controls(seed: int, N: int) -> dict[str, float]:
    """The points of the law fitted to each set, and the least loss at the fresh points."""
    sets = pair(seed, N)
    y, _, best = fresh(seed)
    found = seen([fitted(own) for own in sets], sets)
    found = {f"fitted {name}": value for name, value in found.items()}
    return rounded(found | {"least loss": float(np.mean(weighted([a - y for a in best])))})


def measured(run: Trained, N: int, seeds: tuple[int, ...]) -> dict:
    """What is read of each pair after each mark."""
    found = {}
    for mark, denoisers in run.snapshots.items():
        networks = dict(zip(seeds, denoisers, strict=True))
        ends = {seed: made(network) for seed, network in networks.items()}
        for seed in seeds:
            both = [seed, (seed + 1) % len(SEEDS)]
            if both[1] not in networks:
                continue
            sets = pair(seed, N)
            y, x, best = fresh(seed)
            values = seen([ends[one] for one in both], sets)
            losses, excess = [], []
            for one, own, other in zip(both, sets, sets[::-1], strict=True):
                network = networks[one]
                # the same noise on both sets, so that their difference is not the noise's
                near, far = noisy(own[:FRESH], seed, 2), noisy(other[:FRESH], seed, 2)
                losses.append([loss(network, y, x), loss(network, own[:FRESH], near)])
                losses[-1].append(loss(network, other[:FRESH], far))
                answers = [network(at, t) for at, t in zip(x, LEVELS, strict=True)]
                excess.append(weighted([a - b for a, b in zip(answers, best, strict=True)]))
            fresh_loss, own_loss, other_loss = np.mean(losses, axis=0)
            values |= {"loss": fresh_loss, "loss own": own_loss, "loss other": other_loss}
            values["excess"] = np.mean(excess, axis=0).tolist()
            found[f"{seed} {mark}"] = rounded(values)
    return found


def run(N: int) -> dict:
    """Train the networks of a size together, and look at the pairs after each mark."""
    done = trained(N, SEEDS, STOP)
    how = {"device": here(), "training_seconds": round(done.seconds, 1)}
    exact = {str(seed): controls(seed, N) for seed in SEEDS}
    return how | exact | measured(done, N, SEEDS)


def witness(N: int) -> list[Leaves]:
    """How the first pair begins, and its controls."""
    found = measured(trained(N, SEEDS[:2], MARKS[1]), N, SEEDS[:2])
    return [
        Leaves({str(SEEDS[0]): controls(SEEDS[0], N)}, tolerance=0.002),
        Leaves(found, tolerance=0.01, beginning=True),
    ]


STORED = Experiment(
    run,
    grid(N=SIZES),
    witness,
    once=("device", "training_seconds"),
    needs="one core, five minutes a size",
)
