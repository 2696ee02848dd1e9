"""U-Nets on images by data set, number of images and seed.

One run trains a U-Net on the first N images in an order of its seed, generates images, judges how
many are copies, and takes spectra at training images with noise (A) and at test images with noise
(C). Beside each result lie the weights and the generated images.
"""

import numpy as np
import torch

from memolib import checkpoints, datasets
from memolib.denoisers import Denoiser
from memolib.memorization import copy_threshold, nearest_ratio
from memolib.networks import UNet
from memolib.points import add_noise, gaussian
from memolib.sampling import probability_flow
from memolib.spectra import asymmetry, jacobian
from memolib.training import WINDOWS, Trained, train
from results._stored import Experiment, Leaves, here, save_arrays

SIZES = {  # of data sets, by name and seed
    ("mnist", 0): (50, 100, 200, 500, 1_000, 2_000, 5_000, 60_000),
    ("mnist", 1): (50, 100, 500, 1_000, 5_000),
    ("fashion_mnist", 0): (50, 100, 200, 500, 1_000, 2_000, 5_000, 60_000),
}
STEPS, BATCH = 8_000, 64
TIMES = tuple(float(s) ** 2 for s in (0.1, 0.2, 0.4, 0.8))  # of pixels from 0 (white) to 1 (ink)
POINTS, MADE, KEPT = 8, 400, 200
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def images(name: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Training images, the first 20,000 in an order of the seed, and 2,000 test images."""
    known, fresh = (getattr(datasets, name)(split).x for split in ("train", "test"))
    known[:20_000] = known[np.random.default_rng([seed, 60_000]).permutation(20_000)]
    return torch.from_numpy(known), torch.from_numpy(fresh[:2_000])


def spectra(
    denoiser: Denoiser,
    known: torch.Tensor,
    fresh: torch.Tensor,
    seed: int,
    times: tuple[float, ...] = TIMES,
    n: int = POINTS,
) -> dict:
    """Eigenvalues of the Jacobian's symmetric part at each point and noise; median asymmetry."""
    values = {}
    uneven = {}
    for t in times:
        for kind, x in (("A", known), ("C", fresh)):
            noisy = add_noise(x[:POINTS], t, np.random.default_rng(seed))[:n]
            G = jacobian(denoiser, noisy.to(DEVICE), t).cpu()
            rows = torch.linalg.eigvalsh((G + G.mT) / 2).flip(-1).double()
            values.setdefault(kind, []).append(
                [[round(v, 4) for v in row] for row in rows.tolist()]
            )
            uneven.setdefault(f"asymmetry {kind}", []).append(
                round(float(asymmetry(G).median()), 5)
            )
    return values | uneven


def generated(denoiser: Denoiser, y: torch.Tensor, seed: int, n: int) -> torch.Tensor:
    """Images that a network makes of noise; the first ones are the same for every n."""
    start = float((y - y.mean(dim=0)).norm(dim=1).max()) * 2
    x = start * gaussian(n, y.shape[1], seed=np.random.default_rng([seed, 5])).float()
    return probability_flow(denoiser, x.to(y.device), start**2, 1e-3, steps=60)


def grey(x: torch.Tensor) -> np.ndarray:
    """Images in 256 levels."""
    return (x.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def trained(y: torch.Tensor, seed: int, stop: int) -> Trained:
    """The first steps of the training."""
    return train(y.to(DEVICE), UNet(28, 1), steps=STEPS, stop=stop, batch=BATCH, seeds=seed)


def run(name: str, N: int, seed: int) -> dict:
    """Train, keep, generate, judge."""
    known, fresh = images(name, seed)
    y = known[:N].to(DEVICE)
    place = {"name": name, "N": N, "seed": seed}
    made = trained(y, seed, STEPS)
    D = made.denoisers[0]
    checkpoints.save(STORED.path(place, ".safetensors"), D.cpu())
    D = D.to(DEVICE)
    ends = generated(D, y, seed, MADE)
    save_arrays(STORED.path(place, ".npz"), images=grey(ends[:KEPT]))
    threshold = float(copy_threshold(y, fresh.to(DEVICE)))
    ratio = nearest_ratio(ends, y)
    how = {"device": here(), "torch": torch.__version__, "training_seconds": round(made.seconds, 1)}
    how |= {"parameters": D.size, "steps": STEPS, "batch": BATCH}
    found = {"losses": [float(f"{v:.4g}") for v in made.losses[:, 0]], "threshold": threshold}
    found |= {
        "copies": float((ratio < threshold).float().mean()),
        "ratios": [round(float(v), 4) for v in ratio],
    }
    return how | found | spectra(D, known, fresh, seed)


def from_weights(
    D: Denoiser, known: torch.Tensor, fresh: torch.Tensor, N: int, seed: int
) -> list[Leaves]:
    """What is read from stored weights: spectra at two points, threshold, six images, ratios."""
    y = known[:N]
    at = spectra(D, known, fresh, seed, times=TIMES[2:3], n=1)
    read = {kind: {2: {0: at[kind][0][0]}} for kind in "AC"}
    if N <= 5_000:  # else it takes minutes
        read["threshold"] = float(copy_threshold(y, fresh))
    ends = generated(D, y, seed, 6)
    made = {
        "images": dict(enumerate(grey(ends) / 255)),
        "ratios": dict(enumerate(nearest_ratio(ends, y).tolist())),
    }
    # Of some networks the ratios are of images in 256 levels.
    return [Leaves(read, 0.002, elsewhere=0.02), Leaves(made, 0.02, elsewhere=0.05)]


def witness(name: str, N: int, seed: int) -> list[Leaves]:
    """What is read from the weights; and how the training begins."""
    known, fresh = images(name, seed)
    place = {"name": name, "N": N, "seed": seed}
    stored, D = STORED.known(place), checkpoints.load(STORED.path(place, ".safetensors"))
    leaves = from_weights(D, known, fresh, N, seed)
    made = torch.from_numpy(stored["images"]).float()
    if N <= 5_000 and len(stored["ratios"]) == len(
        made
    ):  # of other networks twice as many images were judged
        copies = float((nearest_ratio(made, known[:N]) < stored["threshold"]).float().mean())
        leaves.append(Leaves({"copies": copies}, 0.006))  # one image may change sides
    if "losses" in stored:
        begun = trained(known[:N], seed, STEPS // WINDOWS)
        leaves.append(
            Leaves(
                {"losses": {0: float(begun.losses[0, 0])}}, 0.002, elsewhere=0.01, beginning=True
            )
        )
    return leaves


STORED = Experiment(
    run,
    [{"name": name, "N": N, "seed": seed} for (name, seed), sizes in SIZES.items() for N in sizes],
    witness,
    reads=lambda name, **_: [name],
    once=(
        "device",
        "torch",
        "training_seconds",
        "parameters",
        "steps",
        "batch",
        "asymmetry A",
        "asymmetry C",
    ),
    needs="image data and a GPU, half a minute a run; on a CPU an hour",
)
