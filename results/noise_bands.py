"""Which noise makes a network copy: a denoiser in one band of noise, the population in the others.

Points are made by the probability flow with a denoiser that memorizes in one third of the noise
range (on a logarithmic scale) and the exact population denoiser in the rest, or the other way
round. The denoiser is the exact empirical one, a network trained on all noise (those of
``network_panel``), or a network trained on the noise of the band alone, on about as many noisy
points of the band. Shares of copies, by the same control as in the grid of networks.
"""

from functools import cache

import numpy as np
import torch

from memolib.checkpoints import load, save
from memolib.denoisers import Denoiser
from memolib.empirical import Empirical
from memolib.networks import ResidualMLP
from memolib.sampling import probability_flow
from memolib.sweeps import grid
from memolib.training import Trained, train
from results import network_panel
from results._stored import FOLDER, Experiment, Leaves
from results.network_grid import LAW, D, copies, rounded, sample, threshold

BANDS = {"small": (0.0061, 0.05), "middle": (0.05, 0.3), "large": (0.3, 2.0)}  # sigma
SIZES, SEEDS, ALONE = (50, 250), tuple(range(5)), 50
STEPS, EARLY = 16_000, 320
ENDS, START = 200, 4.0


class Spliced(Denoiser):
    """One denoiser in a band of noise, another one outside.

    A point that has run away, far beyond noisy data, stays where it is: it will be counted as lost.
    """

    def __init__(self, inside: Denoiser, outside: Denoiser, band: str) -> None:
        self.inside, self.outside, self.d = inside, outside, D
        self.low, self.high = (sigma**2 for sigma in BANDS[band])

    def _denoise(self, x: torch.Tensor, t: float) -> torch.Tensor:
        answer = (self.inside if self.low <= t < self.high else self.outside)(x, t)
        far = x.square().sum(dim=1) > 4 * (1 + t * D)  # of norm 1 are the data
        return torch.where(far[:, None], x, answer)


def trained(band: str, seeds: tuple[int, ...] = SEEDS, stop: int = STEPS) -> Trained:
    """The first steps of networks that see the noise of a band alone."""
    unfinished = FOLDER / "unfinished" / f"bands-{band}" if stop == STEPS else None
    return train(
        [sample(seed)[:ALONE] for seed in seeds], ResidualMLP(D), steps=STEPS, stop=stop,
        seeds=list(seeds), batch=128, average=0.9995, snapshots=(EARLY,),
        t_range=tuple(sigma**2 for sigma in BANDS[band]), checkpoints=unfinished, every=4_000,
    )  # fmt: skip


def made(denoiser: Denoiser, seed: int, N: int) -> dict[str, float]:
    """Copies among the points that a denoiser makes of a seed's noise."""
    start = START**0.5 * np.random.default_rng([91, seed]).standard_normal((ENDS, D))
    ends = probability_flow(denoiser, torch.from_numpy(start), START, 1e-4, steps=30)
    y = sample(seed)[:N]
    return rounded(copies(ends, y, cached_threshold(seed, N)))


@cache
def cached_threshold(seed: int, N: int) -> float:
    """That of the grid of networks."""
    return threshold(sample(seed)[:N], seed)


def stored(band: str, seed: int, N: int) -> dict:
    """Of the exact denoiser, and of a network trained on all noise."""
    exact, network = Empirical(sample(seed)[:N]), load(network_panel.weights(N, seed))
    kinds = {
        "exact, band": Spliced(exact, LAW, band),
        "network, band": Spliced(network, LAW, band),
        "network, rest": Spliced(LAW, network, band),
        "network, all": Spliced(network, network, band),
    }
    return {f"{seed} {N} {kind}": made(D_, seed, N) for kind, D_ in kinds.items()}


def run(band: str) -> dict:
    """Train on the band alone; make points by each denoiser."""
    found = {}
    run_ = trained(band)
    save(STORED.path({"band": band}, ".safetensors"), run_.denoisers[0])  # a witness reads it
    for seed, alone, early in zip(SEEDS, run_.denoisers, run_.snapshots[EARLY], strict=True):
        for N in SIZES:
            found |= stored(band, seed, N)
        for kind, network in (("alone, band", alone), ("early, band", early)):
            found[f"{seed} {ALONE} {kind}"] = made(Spliced(network, LAW, band), seed, ALONE)
    return found


def witness(band: str) -> list[Leaves]:
    """What is read from stored networks of a seed; how training on the band begins."""
    seed = SEEDS[0]
    early = trained(band, (seed,), EARLY).snapshots[EARLY][0]
    alone = Spliced(load(STORED.path({"band": band}, ".safetensors")), LAW, band)
    read = stored(band, seed, ALONE) | {f"{seed} {ALONE} alone, band": made(alone, seed, ALONE)}
    begun = {f"{seed} {ALONE} early, band": made(Spliced(early, LAW, band), seed, ALONE)}
    return [
        Leaves(read, tolerance=0.01),
        Leaves(begun, tolerance=0.02, beginning=True),
    ]


STORED = Experiment(
    run,
    grid(band=tuple(BANDS)),
    witness,
    reads=lambda band: [network_panel.weights(N, s) for N in SIZES for s in SEEDS],
    needs="one core, ten minutes a band",
)
