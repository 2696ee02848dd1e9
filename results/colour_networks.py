"""U-Nets on CIFAR-10 in colour, 32 by 32 pixels, by width, number of images and seed.

As ``cifar_networks``, at full size: 3,072 numbers an image. One core multiplies in bfloat16 about
half as fast again as in single precision, and trains a network of width 48 in half an hour; all
that is measured is measured in single precision, on the weights as they are stored, in half
precision. Beside each result lie the weights, some generated images and their nearest training
images.
"""

import numpy as np
import torch

from memolib import checkpoints, datasets
from memolib.denoisers import Denoiser
from memolib.memorization import copy_threshold, nearest_ratio
from memolib.networks import NetworkDenoiser, UNet
from memolib.points import gaussian
from memolib.sampling import probability_flow
from memolib.training import WINDOWS, Trained, train
from results._stored import FOLDER, Experiment, Leaves, here, save_arrays

KNOWN, SIZE = 20_000, 32  # images at hand, pixels along a side
ORDER = (  # of training: what the figure needs first comes first
    *((48, N, 0) for N in (50, 200, 1_000, 100, 3_000, 400, 25, 20_000, 8_000)),
    *((32, N, 0) for N in (25, 50, 100, 400, 3_000)),
    *((48, N, 1) for N in (50, 100, 200)),
)
STEPS, BATCH = 8_000, 32
MADE, KEPT, SHOWN = 200, 32, 8
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Halved(torch.nn.Module):
    """A network that multiplies in bfloat16; its parameters stay in single precision."""

    def __init__(self, width: int):
        super().__init__()
        self.network = UNet(SIZE, 3, width)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Give F."""
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            return self.network(x, c).float()


def planes(x: np.ndarray) -> torch.Tensor:
    """Images as the network has them, one colour after the other: (n, 3072) to (n, 3072)."""
    return torch.from_numpy(x).unflatten(1, (SIZE**2, 3)).mT.flatten(1).contiguous()


def images(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Training images in an order of the seed, and 1,000 test images."""
    known = datasets.cifar10().x[:KNOWN]
    order = np.random.default_rng([seed, 3_072]).permutation(len(known))
    return planes(known[order]), planes(datasets.cifar10("test").x[:1_000])


def trained(y: torch.Tensor, width: int, seed: int, stop: int, **kept) -> Trained:
    """The first steps of the training."""
    how = {"steps": STEPS, "batch": BATCH, "seeds": seed} | kept
    return train(y.to(DEVICE), lambda: Halved(width), stop=stop, **how)


def generated(denoiser: Denoiser, y: torch.Tensor, seed: int, n: int) -> torch.Tensor:
    """Images that a network makes of noise; the first ones are the same for every n."""
    start = float((y - y.mean(dim=0)).norm(dim=1).max()) * 2
    x = start * gaussian(n, y.shape[1], seed=np.random.default_rng([seed, 5])).float()
    return probability_flow(denoiser, x.to(y.device), start**2, 1e-3, steps=60)


def levels(x: torch.Tensor) -> np.ndarray:
    """Images in 256 levels, shape (n, 3, 32, 32)."""
    kept = (x.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return kept.reshape(-1, 3, SIZE, SIZE)


def run(width: int, N: int, seed: int) -> dict:
    """Train, keep, generate, judge."""
    known, fresh = images(seed)
    y, fresh = known[:N].to(DEVICE), fresh.to(DEVICE)
    place = {"width": width, "N": N, "seed": seed}
    unfinished = FOLDER / "unfinished" / f"colour-{width}-{N}-{seed}"
    made = trained(y, width, seed, STEPS, checkpoints=unfinished, every=250)
    D = made.denoisers[0]
    D = NetworkDenoiser(D.network.network, float(D.data_std), D.mean.cpu())
    checkpoints.save(STORED.path(place, ".safetensors"), D.cpu(), half=True)
    D = checkpoints.load(STORED.path(place, ".safetensors")).to(DEVICE)
    ends = torch.cat([generated(D, y, seed + 10 * k, MADE // 4) for k in range(4)])
    nearest = y[torch.cdist(ends[:SHOWN], y).argmin(dim=1)]
    save_arrays(STORED.path(place, ".npz"), images=levels(ends[:KEPT]), nearest=levels(nearest))
    ratio = nearest_ratio(ends, y)
    threshold = float(copy_threshold(y, fresh))
    return {
        "device": here(),
        "torch": torch.__version__,
        "training_seconds": round(made.seconds, 1),
        "parameters": D.size,
        "steps": STEPS,
        "batch": BATCH,
        "losses": [float(f"{v:.4g}") for v in made.losses[:, 0]],
        "threshold": threshold,
        "copies": float((ratio < threshold).float().mean()),
        "ratios": [round(float(v), 4) for v in ratio],
    }


def witness(width: int, N: int, seed: int) -> list[Leaves]:
    """Two images from the weights, what of those kept is a copy, and how the training begins."""
    known, fresh = images(seed)
    place = {"width": width, "N": N, "seed": seed}
    stored, D = STORED.known(place), checkpoints.load(STORED.path(place, ".safetensors"))
    y = known[:N]
    ends = generated(D, y, seed, 2)
    read = {
        "images": dict(enumerate(levels(ends) / 255)),
        "ratios": dict(enumerate(nearest_ratio(ends, y).tolist())),
    }
    kept = torch.from_numpy(stored["images"]).float().flatten(1)
    ratios = nearest_ratio(kept, y)
    nearest = levels(y[torch.cdist(kept[:SHOWN], y).argmin(dim=1)]) / 255
    copies = float((torch.tensor(stored["ratios"]) < stored["threshold"]).float().mean())
    begun = float(trained(y, width, seed, STEPS // WINDOWS).losses[0, 0])
    return [
        Leaves(read, 0.02, elsewhere=0.05),
        Leaves({"threshold": float(copy_threshold(y, fresh)), "copies": copies}, 0.002),
        Leaves({"ratios": dict(enumerate(ratios.tolist())), "nearest": nearest}, 0.01),
        Leaves({"losses": {0: begun}}, 0.01, elsewhere=0.02, beginning=True),
    ]


STORED = Experiment(
    run,
    [{"width": width, "N": N, "seed": seed} for width, N, seed in ORDER],
    witness,
    reads=lambda **_: ["cifar10"],
    once=("device", "torch", "training_seconds", "parameters", "steps", "batch"),
    needs="image data and one core, half an hour a run",
)
