"""Sampling with a score that is no gradient: a score times ``1 + c K``, K antisymmetric.

For any density p, ``K grad ln p`` times p has no divergence: ``div K grad p = tr K Hess p = 0``. So
the flow of a denoiser ``x + (1 + c K)(D - x)``, however large its error, carries the densities of D
itself. Here for the population, for the exact denoiser of 250 points and for a network of these:
mean squares of generated points along each group of directions, share of copies, asymmetry, and how
like the points are to those of the same noise without K.
"""

import numpy as np
import torch

from memolib.denoisers import Denoiser
from memolib.empirical import Empirical
from memolib.memorization import nearest_ratio
from memolib.points import add_noise
from memolib.sampling import probability_flow
from memolib.spectra import asymmetry, jacobian
from memolib.sweeps import grid
from results import network_panel
from results._stored import Experiment, Leaves
from results.network_grid import GROUPS, LAW, D, likeness, sample, threshold
from results.not_a_gradient import rounded

N, STEPS, TURNS, SIGMA = 250, 60, (0.0, 1.0), 0.1
POINTS = {"population": 100, "empirical": 500, "network": 500}


def turning(seed: int) -> torch.Tensor:
    """A random antisymmetric matrix, of largest singular value 1."""
    K = torch.from_numpy(np.random.default_rng([20, 1, seed]).standard_normal((D, D)))
    K = K - K.T
    return K / torch.linalg.matrix_norm(K, 2)


class Turned(Denoiser):
    """The denoiser whose score is that of another, times 1 + K.

    A point that has run away, far beyond noisy data, stays where it is, and counts as lost.
    """

    def __init__(self, denoiser: Denoiser, K: torch.Tensor) -> None:
        self.denoiser, self.K, self.d = denoiser, K, D

    def _denoise(self, x: torch.Tensor, t: float) -> torch.Tensor:
        away = self.denoiser(x, t) - x
        far = x.square().sum(dim=1) > 4 * (1 + t * D)  # of norm 1 are the data
        return x + torch.where(far[:, None], 0, away + away @ self.K.T.to(away))


def at(denoiser: Denoiser, y: torch.Tensor, seed: int, points: int) -> dict:
    """What is made without K and with it."""
    start = torch.from_numpy(np.random.default_rng([20, 2, seed]).standard_normal((points, D)))
    seen = add_noise(LAW.sample(64, seed=np.random.default_rng([20, 3, seed])), SIGMA**2, seed)
    found, plain = {}, None
    for c in TURNS:
        D_c = Turned(denoiser, c * turning(seed))
        made = probability_flow(D_c, 2 * start, 4.0, 1e-4, steps=STEPS).double()
        plain = made if plain is None else plain
        kept = made.norm(dim=1) < 2
        squares = {g: float(made[kept][:, part].square().mean()) for g, part in GROUPS.items()}
        G = jacobian(D_c, seen, SIGMA**2)
        copied = nearest_ratio(made[kept], y) < threshold(y, seed)
        found[str(c)] = squares | {
            "copies": float(copied.double().mean()),
            "like": likeness(plain, made),
            "lost": 1 - float(kept.double().mean()),
            "asymmetry": float(asymmetry(G).median()),
        }
    return rounded(found)


def run(seed: int) -> dict:
    """For the population, the exact denoiser of the data and a network of these."""
    y = sample(seed)[:N]
    network = network_panel.load(network_panel.weights(N, seed))
    denoisers = {"population": LAW, "empirical": Empirical(y), "network": network}
    return {name: at(f, y, seed, POINTS[name]) for name, f in denoisers.items()}


def witness(seed: int) -> list[Leaves]:
    """All of it."""
    return [Leaves(run(seed), tolerance=0.01)]


STORED = Experiment(
    run,
    grid(seed=tuple(range(5))),
    witness,
    reads=lambda seed: [network_panel.weights(N, seed)],
    needs="the networks and one core, a minute",
)
