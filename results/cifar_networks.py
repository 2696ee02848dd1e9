"""U-Nets on CIFAR-10, grey and 16 by 16 pixels, by number of images and seed: python results/cifar_networks.py.

As image_networks.py, but small enough for a CPU: width 16, 8,000 steps of 32 images, about five minutes a run on one
core. Results lie in cifar_networks/: a file a run, the weights and 200 generated images beside it, and the nearest
training images of the first six. Needs the image data (see the credits page). --seconds S starts no run after then.
"""

import argparse
import sys
import time
from pathlib import Path

import image_networks
import numpy as np
import torch
from image_networks import spectra

from memolib import checkpoints, datasets, networks, training
from memolib.memorization import nearest_ratio
from memolib.networks import UNet
from memolib.points import gaussian
from memolib.sampling import probability_flow
from memolib.sweeps import grid, sweep
from memolib.training import train

FOLDER = Path(__file__).with_suffix("")
SIZES = 50, 100, 200, 500, 1_000, 2_000, 5_000, 20_000
STEPS, BATCH, MADE = 8_000, 32, 200


def small(x: np.ndarray) -> torch.Tensor:
    """Mean over colours and over squares of 2 by 2 pixels: (n, 3072) to (n, 256)."""
    return torch.from_numpy(x).reshape(-1, 16, 2, 16, 2, 3).mean(dim=(2, 4, 5)).flatten(1)


def images(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Training images in an order of the seed, and 2,000 test images."""
    known = datasets.cifar10().x[:20_000]
    order = np.random.default_rng([seed, 20_000]).permutation(len(known))
    return small(known[order]), small(datasets.cifar10("test").x[:2_000])


def run(N: int, seed: int) -> dict:
    """Train, keep, generate, judge."""
    known, fresh = images(seed)
    y, place = known[:N], FOLDER / f"{N}-{seed}"
    trained = train(y, UNet(16, 1, 16), steps=STEPS, batch=BATCH, seeds=seed)
    D = trained.denoisers[0]
    checkpoints.save(place.with_suffix(".safetensors"), D)
    start = float((y - y.mean(dim=0)).norm(dim=1).max()) * 2
    x = start * gaussian(MADE, y.shape[1], seed=[seed, 5]).float()
    ends = probability_flow(D, x, start**2, 1e-3, steps=60)
    near = y[torch.cdist(ends[:6], y).argmin(dim=1)]
    grey = {k: (v.clamp(0, 1) * 255).round().to(torch.uint8).numpy() for k, v in (("images", ends), ("nearest", near))}
    np.savez_compressed(place.with_suffix(".npz"), **grey)
    ratio, level = nearest_ratio(ends, y), nearest_ratio(fresh, y).quantile(0.01)
    made = {"training_seconds": round(trained.seconds, 1), "parameters": D.size, "steps": STEPS, "batch": BATCH}
    made |= {"losses": [float(f"{v:.4g}") for v in trained.losses[:, 0]]}
    made |= {"copies": float((ratio < level).float().mean()), "threshold": float(level)}
    made |= {"ratios": [round(float(v), 4) for v in ratio]}
    return made | spectra(D, known, fresh, seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seconds", type=float, default=np.inf)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    end = time.monotonic() + chosen.seconds
    for configuration in grid(seed=chosen.seeds, N=chosen.sizes):
        if time.monotonic() < end:
            made = sweep(
                run, [configuration], FOLDER, depends=[sys.modules[__name__], image_networks, networks, training]
            )
            print(configuration, [run["seconds"] for run in made.done], made.failed, flush=True)
