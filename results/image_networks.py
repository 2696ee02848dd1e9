"""U-Nets on images by data set, number of images and seed: python results/image_networks.py.

One run trains a U-Net on the first N images in an order of its seed, keeps its weights, generates images, judges how
many are copies, and takes spectra at training images with noise (A) and at test images with noise (C). Results lie in
image_networks/: a file a run, the weights and the generated images beside it. Needs the image data (see the credits
page), and a GPU, on which a run takes about half a minute; --seconds S starts no run after that time.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

from memolib import checkpoints, datasets, networks, training
from memolib.memorization import nearest_ratio
from memolib.networks import UNet
from memolib.points import add_noise, gaussian
from memolib.sampling import probability_flow
from memolib.spectra import asymmetry, jacobian
from memolib.sweeps import grid, sweep
from memolib.training import train

FOLDER = Path(__file__).with_suffix("")
SIZES = 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000
STEPS, BATCH = 8_000, 64
TIMES = tuple(float(s) ** 2 for s in (0.1, 0.2, 0.4, 0.8))  # of pixels from 0 (white) to 1 (ink)
POINTS, MADE, KEPT = 8, 400, 200
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def images(name: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Training images, the first 20,000 in an order of the seed, and 2,000 test images."""
    known, fresh = (getattr(datasets, name)(split).x for split in ("train", "test"))
    known[:20_000] = known[np.random.default_rng([seed, 60_000]).permutation(20_000)]
    return torch.from_numpy(known), torch.from_numpy(fresh[:2_000])


def spectra(denoiser, known: torch.Tensor, fresh: torch.Tensor, seed: int) -> dict:
    """Eigenvalues of the Jacobian's symmetric part at each point and noise, and medians of its asymmetry."""
    values, uneven = {}, {}
    for t in TIMES:
        for kind, x in (("A", known), ("C", fresh)):
            G = jacobian(denoiser, add_noise(x[:POINTS], t, seed).to(DEVICE), t).cpu()
            rows = torch.linalg.eigvalsh((G + G.mT) / 2).flip(-1).double()
            values.setdefault(kind, []).append([[round(v, 4) for v in row] for row in rows.tolist()])
            uneven.setdefault(f"asymmetry {kind}", []).append(round(float(asymmetry(G).median()), 5))
    return values | uneven


def run(name: str, N: int, seed: int) -> dict:
    """Train, keep, generate, judge."""
    known, fresh = images(name, seed)
    if N > len(known):
        raise ValueError(f"N is {N}; allowed are numbers up to {len(known)}")
    y, place = known[:N].to(DEVICE), f"{name}-{N}-{seed}"
    trained = train(y, UNet(28, 1), steps=STEPS, batch=BATCH, seeds=seed)
    D = trained.denoisers[0]
    checkpoints.save(FOLDER / f"{place}.safetensors", D.cpu())
    D = D.to(DEVICE)
    start = float((y - y.mean(dim=0)).norm(dim=1).max()) * 2
    x = start * gaussian(MADE, y.shape[1], seed=[seed, 5]).float()
    ends = probability_flow(D, x.to(DEVICE), start**2, 1e-3, steps=60)
    grey = (ends[:KEPT].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    np.savez_compressed(FOLDER / f"{place}.npz", images=grey)
    threshold, ratio = float(nearest_ratio(fresh.to(DEVICE), y).quantile(0.01)), nearest_ratio(ends, y)
    made = {"device": torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU", "torch": torch.__version__}
    made |= {"training_seconds": round(trained.seconds, 1), "parameters": D.size, "steps": STEPS, "batch": BATCH}
    made |= {"losses": [float(f"{v:.4g}") for v in trained.losses[:, 0]]}
    made |= {"copies": float((ratio < threshold).float().mean()), "threshold": threshold}
    made |= {"ratios": [round(float(v), 4) for v in ratio]}
    return made | spectra(D, known, fresh, seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--names", nargs="+", default=["mnist", "fashion_mnist"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seconds", type=float, default=np.inf)
    chosen = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    end = time.monotonic() + chosen.seconds
    for configuration in grid(seed=chosen.seeds, name=chosen.names, N=chosen.sizes):
        if time.monotonic() < end:
            made = sweep(run, [configuration], FOLDER, depends=[sys.modules[__name__], networks, training])
            print(configuration, [run["seconds"] for run in made.done], made.failed, flush=True)
