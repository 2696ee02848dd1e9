"""What image networks keep along the directions that one of many images shows.

At noisy training images (A) and noisy test images (C): the 40 leading eigenvectors of the Jacobian
of the network with most images, and along each the answer of the others, v'Gv, of the exact
empirical denoiser, and the variance of all data.
"""

from pathlib import Path

import numpy as np

from memolib.checkpoints import load
from memolib.empirical import Empirical
from memolib.points import add_noise
from memolib.spectra import along, leading
from results import image_networks
from results._stored import Experiment, Leaves
from results.image_networks import images

SETS = {  # name and seed: sizes
    ("mnist", 0): (50, 100, 200, 500, 1_000),
    ("mnist", 1): (50, 100, 500),
    ("fashion_mnist", 0): (50, 100, 500, 1_000),
}
REFERENCES = {"mnist": 60_000, "fashion_mnist": 5_000}  # of seed 0
SIGMAS, POINTS, K = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8), 8, 40
EXACT = 200


def weights(name: str, N: int, seed: int) -> Path:
    """File of a stored network."""
    return image_networks.STORED.path({"name": name, "N": N, "seed": seed}, ".safetensors")


def directions(name: str, seed: int, sigmas: tuple[float, ...], points: int) -> list[dict]:
    """A row for each noise, kind of point and point."""
    known, fresh = images(name, seed)
    reference = load(weights(name, REFERENCES[name], 0))
    denoisers = {f"{N}": load(weights(name, N, seed)) for N in SETS[name, seed]}
    denoisers |= {f"{REFERENCES[name]}": reference, f"exact {EXACT}": Empirical(known[:EXACT])}
    centred = known - known.mean(dim=0)
    rows = []
    for sigma in sigmas:
        for kind, y in (("A", known[:POINTS]), ("C", fresh[:POINTS])):
            for i, x in enumerate(add_noise(y, sigma**2, seed=np.random.default_rng(5))[:points]):
                rng = np.random.default_rng(0)
                V = leading(reference, x[None], sigma**2, K, seed=rng).vectors[0]
                row = {"seed": seed, "kind": kind, "sigma": sigma, "point": i}
                found = {"variance": (centred @ V).square().mean(dim=0)}
                found |= {N: along(D, x[None], sigma**2, V)[0] for N, D in denoisers.items()}
                for key, values in found.items():
                    row[key] = [round(v, 3) for v in values.tolist()]
                rows.append(row)
    return rows


def run(name: str, seed: int) -> dict:
    """All noises and points."""
    return {"rows": directions(name, seed, SIGMAS, POINTS)}


def witness(name: str, seed: int) -> list[Leaves]:
    """The first point of each kind, at the fourth noise."""
    rows = directions(name, seed, SIGMAS[3:4], 1)
    places = (3 * 2 * POINTS, (3 * 2 + 1) * POINTS)
    values = [{k: v for k, v in row.items() if k != "kind"} for row in rows]
    return [Leaves({"rows": dict(zip(places, values, strict=True))}, tolerance=0.002)]


def reads(name: str, seed: int) -> list:
    """The networks' weights, and the data."""
    return [
        name,
        weights(name, REFERENCES[name], 0),
        *(weights(name, N, seed) for N in SETS[name, seed]),
    ]


STORED = Experiment(
    run,
    [{"name": name, "seed": seed} for name, seed in SETS],
    witness,
    reads,
    once=("rows/kind",),
    needs="image data, the networks and one core, half an hour",
)
