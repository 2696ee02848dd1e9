"""How MNIST, Fashion-MNIST and CIFAR-10 collapse: python results/image_profiles.py writes image_profiles.json.

For each data set, and for some of its subsets, own weight, N_eff and information of all images at 40 noise variances;
and the same for Gaussian data of the same covariance, from 2,500 of them. Needs the image data (see the credits page).
About 25 minutes on one core. What is done is kept; to do it again, name the data sets, as in
python results/image_profiles.py mnist cifar10.
"""

import json
import os
import platform
import sys
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
SUBSETS, STEPS, VIEWS = 4, 40, 2_500  # at most four disjoint subsets of a size


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


def gaussian_data(eigenvalues: np.ndarray, N: int, k: int) -> torch.Tensor:
    """Gaussian data set k of a covariance, along its principal directions."""
    draws = np.random.default_rng([N, k]).standard_normal((N, len(eigenvalues)), dtype=np.float32)
    return torch.from_numpy(draws * np.sqrt(eigenvalues).astype(np.float32))


def record(start: float) -> dict:
    """How and where it was made, and the seconds since the start."""
    return {
        "command": "python results/image_profiles.py",
        "seed": "order 0, noise k for subset k; Gaussian data N and k, noise 100 + k",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "seconds": round(time.perf_counter() - start, 1),
    }


def images(x: torch.Tensor, times: np.ndarray) -> dict:
    """Profiles of disjoint subsets of every size."""
    runs = {}
    for N in sorted({min(N, len(x)) for N in SIZES}):
        subsets = x[: N * min(SUBSETS, len(x) // N)].split(N)
        runs[str(N)] = [one_subset(y, times, seed=k) for k, y in enumerate(subsets)]
    return runs


def controls(x: torch.Tensor, times: np.ndarray) -> dict:
    """Profiles of Gaussian data of the images' covariance, and the collapse times that their information predicts."""
    eigenvalues = np.linalg.eigvalsh(np.cov(x.double().numpy().T)).clip(0)
    bounds, runs = {}, {}
    for N in sorted({min(N, len(x)) for N in SIZES}):
        bounds[str(N)] = float(collapse_time(eigenvalues, N))
        sets = [gaussian_data(eigenvalues, N, k) for k in range(min(SUBSETS, len(x) // N))]
        runs[str(N)] = [one_subset(y, times, seed=100 + k, n=min(N, VIEWS)) for k, y in enumerate(sets)]
    return {"gaussian_bound": bounds, "gaussian": runs}


def main(again: list[str]) -> None:
    """Compute what is missing, or named, and write it set by set."""
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for title, name in SETS.items():
        kept = {} if name in again else results.get(title, {})
        if "gaussian" in kept:
            continue
        x = shuffled(name)
        times = span(x)
        if "subsets" not in kept:
            start = time.perf_counter()
            kept = {"images": len(x), "t": [float(f"{t:.9g}") for t in times], "subsets": images(x, times)}
            kept["record"] = record(start)
        start = time.perf_counter()
        kept |= controls(x, times)
        kept["record_gaussian"] = record(start)
        results[title] = kept
        part = RESULT.with_suffix(".part")
        part.write_text(json.dumps(results, separators=(",", ":")) + "\n")
        os.replace(part, RESULT)
        print(f"{title}: {kept['record']['seconds']} s, {kept['record_gaussian']['seconds']} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
