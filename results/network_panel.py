"""The published network panel at its own place: singular values of stacked scores at data points.

Networks of width 128 after 64,000 steps, on 50 to 20,000 points of several seeds, as in the grid of
networks, looked at as the paper's public code does: at a training point, scores at kicks of length
sigma along a random orthonormal basis are stacked, the largest singular value is dropped, the rest
are divided by the largest that is kept. At fresh points of the law, too, and for both exact
denoisers. Beside it, at points A, B and C, what is left of the subspaces in the Jacobian. The
networks of seed 0 are those of ``trained_networks``.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch

from memolib.checkpoints import load, save
from memolib.empirical import Empirical
from memolib.networks import ResidualMLP
from memolib.spectra import alive, jacobian, stacked
from memolib.sweeps import grid
from memolib.training import Trained, train
from results import trained_networks
from results._stored import FOLDER, Experiment, Leaves
from results.network_grid import GROUPS, LAW, POINTS, D, looks, rounded, sample

SIZES = (50, 250, 500, 20_000)
SEEDS = tuple(range(5))
STEPS = 64_000
SIGMAS, LOSSES = (0.02, 0.05, 0.1, 0.13, 0.2), (0.05, 0.1, 0.2, 0.3)
BROAD = slice(0, 7)  # high and low directions
LOST = 25  # rank of the step behind which the five low directions would be left
FIRST = 320  # steps of the first of the averages that a loss curve is thinned to


@cache
def trained(seed: int, sizes: tuple[int, ...] = SIZES, stop: int = STEPS) -> Trained:
    """The first steps of the run on data sets of a seed, all in one batch."""
    data, unfinished = sample(seed), FOLDER / "unfinished" / f"panel-{seed}"
    return train(
        [data[:N] for N in sizes], ResidualMLP(D), steps=STEPS, stop=stop, seeds=seed, batch=128,
        average=0.9995, checkpoints=unfinished if stop == STEPS else None, every=2_000,
    )  # fmt: skip


def weights(N: int, seed: int) -> Path:
    """File of a network: those of seed 0 have been there before."""
    if seed == trained_networks.SEED:
        return trained_networks.STORED.path({"N": N, "steps": STEPS}, ".safetensors")
    return STORED.path({"N": N, "seed": seed}, ".safetensors")


def panel(denoiser, x, t: float, seed: int) -> dict:
    """What the panel shows, as means over points.

    The share of points at which the largest step between neighbouring singular values stands behind
    each rank, counted before the first is dropped; the singular values; the number that are alive,
    below half of the largest; the shares of the high and the low directions that lie in these. And
    the last three, times whether the step is behind rank 25.
    """
    values, vectors = (v.double() for v in stacked(denoiser, x, t, seed=[3, seed]))
    kept = values[:, 1:] / values[:, 1:2]
    rank = (kept[:, :-1] - kept[:, 1:]).argmax(dim=1) + 2
    below = (kept < 0.5).double()
    axes = (vectors[:, :, 1:] ** 2 * below[:, None]).sum(dim=2)
    out = {"ranks": (np.bincount(rank, minlength=D) / len(x)).tolist()}
    out["values"] = kept.mean(dim=0).tolist()
    for name, counted in (("", 1.0), (f", {LOST}", (rank == LOST).double())):
        out[f"alive{name}"] = float((counted * below.sum(dim=1)).mean())
        for group in ("high", "low"):
            share = axes[:, GROUPS[group]].mean(dim=1)
            out[f"{group}{name}"] = float((counted * share).mean())
    return rounded(out)


def panels(denoiser, N: int, seed: int) -> dict:
    """The panel at 64 training points and as many fresh ones, at each noise."""
    places = {"training": sample(seed)[:N][:POINTS]}
    places["fresh"] = LAW.sample(POINTS, seed=np.random.default_rng(50_000 + seed))
    return {
        f"{place} {sigma}": panel(denoiser, x, sigma**2, seed)
        for place, x in places.items()
        for sigma in SIGMAS
    }


def subspaces(denoiser, N: int, seed: int) -> dict:
    """What is left of the high and low directions at points A, B and C, as means over points.

    G_kk, the number of eigenvalues above one half, and the shares of the directions in these.
    """
    out = {}
    for sigma in LOSSES:
        for kind, x in looks(sample(seed)[:N], sigma**2, seed).items():
            G = jacobian(denoiser, x, sigma**2).double()[:, BROAD, BROAD]
            number, axes = alive(G, torch.eye(G.shape[1]))
            left = {"alive": float(number.double().mean())}
            for group in ("high", "low"):
                diagonal = G.diagonal(dim1=1, dim2=2)[:, GROUPS[group]]
                left[f"kept {group}"] = float(diagonal.mean())
                left[f"alive {group}"] = float(axes[:, GROUPS[group]].mean())
            out[f"{kind} {sigma}"] = rounded(left)
    return out


def seen(denoiser, N: int, seed: int) -> dict:
    """All that is looked at."""
    return panels(denoiser, N, seed) | subspaces(denoiser, N, seed)


@cache
def of_population(points: int, seed: int) -> dict:
    """The same of the law's own denoiser, which depends on how many training points there are."""
    return seen(LAW, points, seed)


def measured(N: int, seed: int) -> dict:
    """What is seen of a stored network, and of both limits."""
    return {
        "network": seen(load(weights(N, seed)), N, seed),
        "empirical": seen(Empirical(sample(seed)[:N]), N, seed),
        "population": of_population(min(N, POINTS), seed),
    }


def run(N: int, seed: int) -> dict:
    """Train, keep, look."""
    if seed == trained_networks.SEED:
        return measured(N, seed)
    made, place = trained(seed), SIZES.index(N)
    save(weights(N, seed), made.denoisers[place])
    losses = made.losses[[0, -1], place].tolist()
    return rounded({"losses": losses}) | measured(N, seed)


def witness(N: int, seed: int) -> list[Leaves]:
    """All that is read from the weights, and how training began; rounding may move one in 64."""
    leaves = [Leaves(measured(N, seed), tolerance=0.02)]
    if seed != trained_networks.SEED:
        first = {0: float(trained(seed, (N,), FIRST).losses[0, 0])}
        leaves.append(Leaves({"losses": first}, tolerance=0.002, beginning=True))
    return leaves


STORED = Experiment(
    run,
    grid(seed=SEEDS, N=SIZES),
    witness,
    reads=lambda N, seed: [weights(N, seed)] if seed == trained_networks.SEED else [],
    needs="one core, half an hour",
)
