"""How MNIST, Fashion-MNIST and CIFAR-10 collapse: python results/image_profiles.py writes image_profiles.json.

For each data set, and for some of its subsets, own weight, N_eff and information of all images at 40 noise variances.
Needs the image data (see the credits page). About ten minutes on two cores; what is done is kept, and not done again.
"""

import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch

from memolib import datasets
from memolib.memorization import profile
from memolib.theory import collapse_time

RESULT = Path(__file__).with_suffix(".json")
SETS = {"MNIST": "mnist", "Fashion-MNIST": "fashion_mnist", "CIFAR-10 (JPEG re-encoded subset)": "cifar10"}
SIZES = 500, 2_000, 8_000, 20_000, 60_000
SUBSETS, STEPS = 4, 40  # at most four disjoint subsets of a size


def one_subset(y: torch.Tensor, times: np.ndarray, seed: int, n: int | None = None) -> dict[str, list[float]]:
    """Averages over the images of a data set (the first n), at each noise variance."""
    seen = profile(y, times, n=n, seed=seed)
    own, information = torch.sigmoid(seen.log_odds), seen.information(len(y))
    deciles = torch.quantile(own.double(), torch.tensor([0.1, 0.9], dtype=torch.float64), dim=1)
    values = {
        "own_weight": own.mean(dim=1),
        "own_weight_low": deciles[0],
        "own_weight_high": deciles[1],
        "participation": seen.participation.mean(dim=1),
        "n_eff": seen.participation.log().mean(dim=1).neg().exp(),
        "information": information.double().mean(dim=1),
    }
    return {name: [float(f"{v:.6g}") for v in row.tolist()] for name, row in values.items()}


def shuffled(name: str) -> torch.Tensor:
    """All training images of a set, in an order without pattern."""
    x = getattr(datasets, name)().x
    return torch.from_numpy(x[np.random.default_rng(0).permutation(len(x))])


def span(x: torch.Tensor) -> np.ndarray:
    """Noise variances from 0.6 to 0.0006 of the total variance of a data set."""
    return float(x.double().var(dim=0).sum()) * np.geomspace(0.6, 6e-4, STEPS)


def main() -> None:
    """Compute what is missing, and write it set by set."""
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for title, name in SETS.items():
        if title in results:
            continue
        start, x = time.perf_counter(), shuffled(name)
        times, runs = span(x), {}
        for N in sorted({min(N, len(x)) for N in SIZES}):
            subsets = x[: N * min(SUBSETS, len(x) // N)].split(N)
            begun = time.perf_counter()
            runs[str(N)] = [one_subset(y, times, seed=k) for k, y in enumerate(subsets)]
            print(f"{title}, N = {N:,}: {len(subsets)} in {time.perf_counter() - begun:.0f} s", flush=True)
        covariance = np.cov(x.double().numpy().T)
        eigenvalues = np.linalg.eigvalsh(covariance).clip(0)
        record = {
            "command": "python results/image_profiles.py",
            "seed": "order 0, noise k for subset k",
            "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
            "seconds": round(time.perf_counter() - start, 1),
            "seconds_all_images": round(time.perf_counter() - begun, 1),
        }
        results[title] = {
            "record": record,
            "images": len(x),
            "t": [float(f"{t:.9g}") for t in times],
            "gaussian_bound": {N: float(collapse_time(eigenvalues, int(N))) for N in runs},
            "subsets": runs,
        }
        part = RESULT.with_suffix(".part")
        part.write_text(
            json.dumps(results, indent=None, separators=(",", ":")).replace('{"record"', '\n{"record"') + "\n"
        )
        os.replace(part, RESULT)


if __name__ == "__main__":
    main()
