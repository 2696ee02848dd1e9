"""What image networks keep along the directions that one of many images shows: python results/image_directions.py.

At noisy training images (A) and noisy test images (C): the 40 leading eigenvectors of the Jacobian of the network with
most images, and along each the answer of the others, v'Gv, of the exact empirical denoiser, and the variance of all
data. From the networks of image_networks/; half an hour on one core; written to image_directions.json.
"""

import time
from pathlib import Path

import torch
from _record import write
from image_networks import FOLDER, images
from torch.func import jvp, vmap

from memolib.checkpoints import load
from memolib.empirical import Empirical
from memolib.points import add_noise
from memolib.spectra import leading

RESULT = Path(__file__).with_suffix(".json")
SETS = {  # name and seed: sizes
    ("mnist", 0): (50, 100, 200, 500, 1_000),
    ("mnist", 1): (50, 100, 500),
    ("fashion_mnist", 0): (50, 100, 500, 1_000),
}
REFERENCES = {"mnist": 60_000, "fashion_mnist": 5_000}  # of seed 0
SIGMAS, POINTS, K = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8), 8, 40
EXACT = 200


def along(denoiser, x: torch.Tensor, t: float, V: torch.Tensor) -> torch.Tensor:
    """Answers v'Gv at a point, for the columns of V."""
    if hasattr(denoiser, "jacobian"):
        return (V * (denoiser.jacobian(x[None], t)[0] @ V)).sum(dim=0)
    push = vmap(lambda v: jvp(lambda z: denoiser(z[None], t)[0], (x,), (v,))[1], 1, 1)
    return (V * push(V)).sum(dim=0)


def directions(name: str, seed: int, sizes: tuple[int, ...]) -> list[dict]:
    """A row for each kind of point, noise and point."""
    known, fresh = images(name, seed)
    reference = load(FOLDER / f"{name}-{REFERENCES[name]}-0.safetensors")
    denoisers = {f"{N}": load(FOLDER / f"{name}-{N}-{seed}.safetensors") for N in sizes}
    denoisers |= {f"{REFERENCES[name]}": reference, f"exact {EXACT}": Empirical(known[:EXACT])}
    centred, rows = known - known.mean(dim=0), []
    for sigma in SIGMAS:
        for kind, y in (("A", known[:POINTS]), ("C", fresh[:POINTS])):
            for i, x in enumerate(add_noise(y, sigma**2, seed=5)):
                V = leading(reference, x[None], sigma**2, K, seed=0).vectors[0]
                row = {"seed": seed, "kind": kind, "sigma": sigma, "point": i}
                found = {"variance": (centred @ V).square().mean(dim=0)}
                found |= {N: along(D, x, sigma**2, V) for N, D in denoisers.items()}
                rows.append(row | {k: [round(v, 3) for v in values.tolist()] for k, values in found.items()})
        print(name, seed, sigma, flush=True)
    return rows


if __name__ == "__main__":
    torch.set_num_threads(1)
    start, found = time.perf_counter(), {}
    for (name, seed), sizes in SETS.items():
        found.setdefault(name, []).extend(directions(name, seed, sizes))
    write(RESULT, {"directions": found}, __file__, start, indent=None)
