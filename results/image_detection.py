"""Training, fresh and generated images as the stored networks see them: python results/image_detection.py.

For each network of image_networks/ of seed 0, and each noise: at 100 of its training images (all, where it has fewer),
100 others that it has not seen and, where it copies some, its 200 generated ones: trace of the Jacobian and |D-x|^2/t
without noise, trace and mean of |D-y|^2/t with noise, and the largest weight of the exact empirical denoiser of the
same data; for some networks, the largest gap of the normal bundle at four images of each kind. A file a network in
image_detection/. Needs the image data (see the credits page); two to five minutes a network on one core.
"""

import sys
from pathlib import Path

import image_networks
import numpy as np
import torch
from image_networks import images

from memolib import datasets, dimension, empirical, spectra
from memolib.checkpoints import load
from memolib.dimension import effective
from memolib.empirical import Empirical
from memolib.points import add_noise
from memolib.spectra import largest_gap, normal_bundle
from memolib.sweeps import sweep

FOLDER = Path(__file__).with_suffix("")
SIZES = {"mnist": (50, 100, 200, 500, 1_000, 2_000, 5_000, 60_000), "fashion_mnist": (50, 100, 500, 1_000, 5_000)}
COUNTED = {"mnist": (50, 200, 1_000, 60_000)}  # with normal bundles, which take 3,136 answers a point
MADE = {"mnist": (100, 200), "fashion_mnist": (50,)}  # networks that make copies and others
FRESH = slice(10_000, 10_100)  # of the same shuffled images, and unseen by the networks of 5,000 and fewer
SIGMAS, SEEN, PROBES, DRAWS = (0.1, 0.2, 0.4, 0.8), 100, 8, 4


def rounded(values: torch.Tensor) -> list[float]:
    """Four digits are enough."""
    return [float(f"{v:.4g}") for v in values.tolist()]


@torch.no_grad()
def off(D, x: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
    """Give |D(x)-y|^2/t at each point."""
    return torch.cat([((D(a, t) - b) ** 2).sum(dim=1) / t for a, b in zip(x.split(50), y.split(50), strict=True)])


def readings(D, exact: Empirical, y: torch.Tensor, t: float) -> dict[str, list[float]]:
    """What is read at each of some images; noise of the same seed for all networks."""
    noisy = [add_noise(y, t, seed=draw) for draw in range(DRAWS)]
    loss = torch.stack([off(D, x, y, t) for x in noisy])
    found = {"trace": effective(D, y, t, probes=PROBES, seed=0), "pull": off(D, y, y, t)}
    found |= {"noisy trace": effective(D, noisy[0], t, probes=PROBES, seed=0), "loss": loss.mean(dim=0)}
    return {k: rounded(v) for k, v in (found | {"top weight": exact.log_weights(y, t).amax(dim=1).exp()}).items()}


def gap(D, x: torch.Tensor, t: float) -> list[float]:
    """Dimension by the largest gap of the stacked scores, however small it is, and its size."""
    singular = (1 - normal_bundle(D, x, t, copies=4 * x.shape[1], seed=0).detach()).clamp(0, 1).sqrt()
    found = largest_gap(1 - singular, minimum=1e-9)
    return [int(found.rank), float(f"{float(found.size):.4g}")]


def run(name: str, N: int) -> dict:
    """All readings of one network."""
    known, test = images(name, 0)
    labels = getattr(datasets, name)().labels
    labels[:20_000] = labels[np.random.default_rng([0, 60_000]).permutation(20_000)]
    own, place = min(N, SEEN), image_networks.FOLDER / f"{name}-{N}-0"
    y = {"training": known[:own], "fresh": known[FRESH] if N < len(known) else test[:SEEN]}
    if N in MADE.get(name, ()):
        y["generated"] = torch.from_numpy(np.load(place.with_suffix(".npz"))["images"]).float() / 255
    D, exact, found = load(place.with_suffix(".safetensors")), Empirical(known[:N]), {}
    for sigma in SIGMAS:
        found[str(sigma)] = {kind: readings(D, exact, x, sigma**2) for kind, x in y.items()}
        if N in COUNTED.get(name, ()) and sigma in (0.2, 0.4):
            for kind in ("training", "fresh"):
                found[str(sigma)][kind]["normal bundle"] = [gap(D, x[None], sigma**2) for x in y[kind][:4]]
    found["labels"] = {"training": labels[:own].tolist()}
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, sizes in SIZES.items():
        for N in sizes:
            made = sweep(
                run,
                [{"name": name, "N": N}],
                FOLDER,
                depends=[sys.modules[__name__], image_networks, dimension, empirical, spectra],
            )
            print(name, N, [one["seconds"] for one in made.done], made.failed, flush=True)
