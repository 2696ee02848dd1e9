"""U-Nets on CIFAR-10, grey and 16 by 16 pixels, by number of images and seed.

As ``image_networks``, but small enough for a CPU: width 16, 8,000 steps of 32 images. Beside each
result lie the weights, 200 generated images, and the nearest training images of the first six.
"""

import numpy as np
import torch

from memolib import checkpoints, datasets
from memolib.memorization import copy_threshold, nearest_ratio
from memolib.networks import UNet
from memolib.training import WINDOWS, Trained, train
from results._stored import Experiment, Leaves, save_arrays
from results.image_networks import TIMES, from_weights, generated, grey, spectra

# by seed
SIZES = {
    0: (50, 100, 200, 500, 1_000, 2_000, 5_000, 20_000),
    1: (50, 100, 200, 500, 1_000, 2_000),
}
STEPS, BATCH, MADE = 8_000, 32, 200


def small(x: np.ndarray) -> torch.Tensor:
    """Mean over colours and over squares of 2 by 2 pixels: (n, 3072) to (n, 256)."""
    return torch.from_numpy(x).reshape(-1, 16, 2, 16, 2, 3).mean(dim=(2, 4, 5)).flatten(1)


def images(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Training images in an order of the seed, and 2,000 test images."""
    known = datasets.cifar10().x[:20_000]
    order = np.random.default_rng([seed, 20_000]).permutation(len(known))
    return small(known[order]), small(datasets.cifar10("test").x[:2_000])


def trained(y: torch.Tensor, seed: int, stop: int) -> Trained:
    """The first steps of the training."""
    return train(y, UNet(16, 1, 16), steps=STEPS, stop=stop, batch=BATCH, seeds=seed)


def run(N: int, seed: int) -> dict:
    """Train, keep, generate, judge."""
    known, fresh = images(seed)
    y = known[:N]
    place = {"N": N, "seed": seed}
    made = trained(y, seed, STEPS)
    D = made.denoisers[0]
    checkpoints.save(STORED.path(place, ".safetensors"), D)
    ends = generated(D, y, seed, MADE)
    near = y[torch.cdist(ends[:6], y).argmin(dim=1)]
    save_arrays(STORED.path(place, ".npz"), images=grey(ends), nearest=grey(near))
    ratio = nearest_ratio(ends, y)
    level = copy_threshold(y, fresh)
    how = {
        "training_seconds": round(made.seconds, 1),
        "parameters": D.size,
        "steps": STEPS,
        "batch": BATCH,
    }
    found = {"losses": [float(f"{v:.4g}") for v in made.losses[:, 0]], "threshold": float(level)}
    found |= {
        "copies": float((ratio < level).float().mean()),
        "ratios": [round(float(v), 4) for v in ratio],
    }
    return how | found | spectra(D, known, fresh, seed)


def witness(N: int, seed: int) -> list[Leaves]:
    """What is read from the weights and images; and how the training begins."""
    known, fresh = images(seed)
    place = {"N": N, "seed": seed}
    y = known[:N]
    stored, D = STORED.known(place), checkpoints.load(STORED.path(place, ".safetensors"))
    read = {name: {2: v[0]} for name, v in spectra(D, known, fresh, seed, times=TIMES[2:3]).items()}
    read["nearest"] = grey(y[torch.cdist(generated(D, y, seed, 6), y).argmin(dim=1)]) / 255
    copies = nearest_ratio(torch.from_numpy(stored["images"]).float(), y) < stored["threshold"]
    begun = {"losses": {0: float(trained(y, seed, STEPS // WINDOWS).losses[0, 0])}}
    return [
        *from_weights(D, known, fresh, N, seed),
        Leaves(read, 0.002),
        Leaves({"copies": float(copies.float().mean())}, 0.006),  # one image may change sides
        Leaves(begun, 0.002, beginning=True),
    ]


STORED = Experiment(
    run,
    [{"N": N, "seed": seed} for seed, sizes in SIZES.items() for N in sizes],
    witness,
    reads=lambda **_: ["cifar10"],
    once=("training_seconds", "parameters", "steps", "batch"),
    needs="image data and one core, five minutes a run",
)
