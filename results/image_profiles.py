"""How MNIST, Fashion-MNIST and CIFAR-10 collapse.

For each data set, and for some of its subsets, own weight, N_eff and information of all images at
40 noise variances; and the same for Gaussian data of the same covariance, from 2,500 of them.
Seeds: order 0, noise k for subset k; Gaussian data N and k, noise 100 + k.
"""

import numpy as np
import torch

from memolib import datasets
from memolib.memorization import profile
from memolib.theory import collapse_time
from results._stored import DATA_SETS, Experiment, Leaves

SIZES = 500, 2_000, 8_000, 20_000, 60_000
SUBSETS, STEPS, VIEWS = 4, 40, 2_500  # at most four disjoint subsets of a size


def one_subset(
    y: torch.Tensor, times: np.ndarray, seed: int, n: int | None = None
) -> dict[str, list[float]]:
    """Averages over the images of a data set (the first n), at each noise variance."""
    seen = profile(y, times, n=n, seed=np.random.default_rng(seed))
    own = torch.sigmoid(seen.log_odds)
    information = seen.information()
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


def sizes_of(x: torch.Tensor) -> list[int]:
    """Sizes of the subsets of a data set."""
    return sorted({min(N, len(x)) for N in SIZES})


def images(x: torch.Tensor, times: np.ndarray, N: int, most: int = SUBSETS) -> list[dict]:
    """Profiles of disjoint subsets of a size."""
    subsets = x[: N * min(most, len(x) // N)].split(N)
    return [one_subset(y, times, seed=k) for k, y in enumerate(subsets)]


def controls(eigenvalues: np.ndarray, times: np.ndarray, N: int, sets: int) -> list[dict]:
    """Profiles of Gaussian data of the images' covariance."""
    made = [gaussian_data(eigenvalues, N, k) for k in range(sets)]
    return [one_subset(y, times, seed=100 + k, n=min(N, VIEWS)) for k, y in enumerate(made)]


def variances(x: torch.Tensor) -> np.ndarray:
    """Eigenvalues of the images' covariance."""
    return np.linalg.eigvalsh(np.cov(x.double().numpy().T)).clip(0)


def run(name: str) -> dict:
    """Profiles of images and controls, and what the Gaussian's information predicts."""
    x = shuffled(name)
    times, s2 = span(x), variances(x)
    found = {"images": len(x), "t": [float(f"{t:.9g}") for t in times]}
    found["subsets"] = {str(N): images(x, times, N) for N in sizes_of(x)}
    found["gaussian_bound"] = {str(N): float(collapse_time(s2, N)) for N in sizes_of(x)}
    found["gaussian"] = {
        str(N): controls(s2, times, N, min(SUBSETS, len(x) // N)) for N in sizes_of(x)
    }
    return found


def witness(name: str) -> list[Leaves]:
    """The first subset of 500 images, and the first of its controls."""
    x, N = shuffled(name), SIZES[0]
    times, s2 = span(x), variances(x)
    found = {
        "images": len(x),
        "t": times,
        "gaussian_bound": {str(n): collapse_time(s2, n) for n in sizes_of(x)},
    }
    found["subsets"] = {str(N): {0: images(x, times, N, most=1)[0]}}
    found["gaussian"] = {str(N): {0: controls(s2, times, N, 1)[0]}}
    return [Leaves(found, tolerance=1e-3)]


STORED = Experiment(
    run,
    [{"name": name} for name in DATA_SETS],
    witness,
    reads=lambda name: [name],
    needs="image data and two cores, half an hour",
)
