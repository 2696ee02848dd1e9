"""What image networks keep along the directions that one of many images shows: python results/image_directions.py.

At noisy training images (A) and noisy test images (C): the 40 leading eigenvectors of the Jacobian of the network with
most images, and along each the answer of the others, v'Gv, of the exact empirical denoiser, and the variance of all
data. From the networks of seed 0 in image_networks/; ten minutes on one core; written to image_directions.json.
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
SETS = {"mnist": (60_000, (50, 100, 200, 500, 1_000, 2_000, 5_000)), "fashion_mnist": (5_000, (50, 100, 500, 1_000))}
SIGMAS, POINTS, K = (0.1, 0.2, 0.4), 8, 40


def along(denoiser, x: torch.Tensor, t: float, V: torch.Tensor) -> torch.Tensor:
    """Answers v'Gv at a point, for the columns of V."""
    if hasattr(denoiser, "jacobian"):
        return (V * (denoiser.jacobian(x[None], t)[0] @ V)).sum(dim=0)
    push = vmap(lambda v: jvp(lambda z: denoiser(z[None], t)[0], (x,), (v,))[1], 1, 1)
    return (V * push(V)).sum(dim=0)


def directions(name: str, reference: int, sizes: tuple[int, ...]) -> list[dict]:
    """A row for each kind of point, noise and point."""
    known, fresh = images(name, 0)
    networks = {N: load(FOLDER / f"{name}-{N}-0.safetensors") for N in (reference, *sizes)}
    centred, rows = known - known.mean(dim=0), []
    for sigma in SIGMAS:
        for kind, y in (("A", known[:POINTS]), ("C", fresh[:POINTS])):
            for i, x in enumerate(add_noise(y, sigma**2, seed=5)):
                V = leading(networks[reference], x[None], sigma**2, K, seed=0).vectors[0]
                row = {"kind": kind, "sigma": sigma, "point": i, "variance": (centred @ V).square().mean(dim=0)}
                row |= {f"{N}": along(D, x, sigma**2, V) for N, D in networks.items()}
                row |= {f"exact {N}": along(Empirical(known[:N]), x, sigma**2, V) for N in sizes}
                rows.append({k: [round(float(a), 4) for a in v] if torch.is_tensor(v) else v for k, v in row.items()})
        print(name, sigma, flush=True)
    return rows


if __name__ == "__main__":
    torch.set_num_threads(1)
    start = time.perf_counter()
    found = {name: directions(name, *some) for name, some in SETS.items()}
    write(RESULT, {"directions": found}, __file__, start)
