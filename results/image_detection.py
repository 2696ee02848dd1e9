"""Training, fresh and generated images as the stored networks see them.

For each network of ``image_networks`` of seed 0, and each noise: at 100 of its training images
(all, where it has fewer), 100 others that it has not seen and, where it copies some, its 200
generated ones: trace of the Jacobian and |D-x|^2/t without noise, trace and mean of |D-y|^2/t with
noise, and the largest weight of the exact empirical denoiser of the same data; for some networks,
the largest gap of the normal bundle at four images of each kind.

The network of 60,000 digits knows the training images of the smaller ones and the images that are
fresh to them alike: what it says of an image is the image's own difficulty, which a test of a
smaller network can subtract ("reference").
"""

from pathlib import Path

import numpy as np
import torch

from memolib import datasets
from memolib.checkpoints import load
from memolib.denoisers import Denoiser
from memolib.dimension import effective
from memolib.empirical import Empirical
from memolib.points import add_noise
from memolib.spectra import largest_gap, normal_bundle
from results import image_networks
from results._stored import Experiment, Leaves, by_place
from results.image_networks import images

SIZES = {
    "mnist": (50, 100, 200, 500, 1_000, 2_000, 5_000, 60_000),
    "fashion_mnist": (50, 100, 500, 1_000, 5_000),
}
# with normal bundles, which take 3,136 answers a point
COUNTED = {"mnist": (50, 200, 1_000, 60_000)}
MADE = {"mnist": (100, 200), "fashion_mnist": (50,)}  # networks that make copies and others
# of the same shuffled images, and unseen by the networks of 5,000 and fewer
FRESH = slice(10_000, 10_100)
REFERENCE = "mnist", 60_000
SIGMAS, SEEN, PROBES, DRAWS = (0.1, 0.2, 0.4, 0.8), 100, 8, 4


def rounded(values: torch.Tensor) -> list[float]:
    """Four digits are enough."""
    return [float(f"{v:.4g}") for v in values.tolist()]


@torch.no_grad()
def off(D: Denoiser, x: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
    """Give |D(x)-y|^2/t at each point."""
    return torch.cat(
        [((D(a, t) - b) ** 2).sum(dim=1) / t for a, b in zip(x.split(50), y.split(50), strict=True)]
    )


def readings(D: Denoiser, exact: Empirical, y: torch.Tensor, t: float) -> dict[str, list[float]]:
    """What is read at each of some images; noise of the same seed for all networks."""
    noisy = [add_noise(y, t, seed=np.random.default_rng(draw)) for draw in range(DRAWS)]
    loss = torch.stack([off(D, x, y, t) for x in noisy])

    def trace(x: torch.Tensor) -> torch.Tensor:
        return effective(D, x, t, probes=PROBES, seed=np.random.default_rng(0))

    found = {
        "trace": trace(y),
        "pull": off(D, y, y, t),
        "noisy trace": trace(noisy[0]),
        "loss": loss.mean(dim=0),
    }
    return {
        k: rounded(v)
        for k, v in (found | {"top weight": exact.log_weights(y, t).amax(dim=1).exp()}).items()
    }


def gap(D: Denoiser, x: torch.Tensor, t: float) -> list[float]:
    """Dimension by the largest gap of the stacked scores, however small it is, and its size."""
    kept = normal_bundle(D, x, t, copies=4 * x.shape[1], seed=np.random.default_rng(0))
    singular = (1 - kept.detach()).clamp(0, 1).sqrt()
    found = largest_gap(1 - singular, minimum=1e-9)
    return [int(found.rank), float(f"{float(found.size):.4g}")]


def stored(name: str, N: int, suffix: str) -> Path:
    """A file of a network of seed 0."""
    return image_networks.STORED.path({"name": name, "N": N, "seed": 0}, suffix)


def generated(name: str, N: int) -> torch.Tensor:
    """Images that a network made."""
    return torch.from_numpy(np.load(stored(name, N, ".npz"))["images"]).float() / 255


def labels_of(name: str) -> np.ndarray:
    """Labels of the training images, in the networks' order."""
    labels = getattr(datasets, name)().labels
    labels[:20_000] = labels[np.random.default_rng([0, 60_000]).permutation(20_000)]
    return labels


def looked_at(name: str, N: int) -> dict[str, torch.Tensor]:
    """Images of each kind."""
    known, test = images(name, 0)
    y = {
        "training": known[: min(N, SEEN)],
        "fresh": known[FRESH] if N < len(known) else test[:SEEN],
    }
    return y | ({"generated": generated(name, N)} if N in MADE.get(name, ()) else {})


def references() -> dict[str, torch.Tensor]:
    """Images of each kind that the smaller networks are tested with."""
    known = images("mnist", 0)[0]
    made = {f"generated {N}": generated("mnist", N) for N in MADE["mnist"]}
    return {"training": known[:SEEN], "fresh": known[FRESH]} | made


def reference(
    D: Denoiser, y: dict[str, torch.Tensor], sigma: float
) -> dict[str, dict[str, list[float]]]:
    """|D-x|^2/t without noise, and the mean of |D-y|^2/t with noise, at each image."""
    t = sigma**2
    found = {}
    for kind, x in y.items():
        loss = [
            off(D, add_noise(x, t, seed=np.random.default_rng(draw)), x, t) for draw in range(DRAWS)
        ]
        found[kind] = {
            "pull": rounded(off(D, x, x, t)),
            "loss": rounded(torch.stack(loss).mean(dim=0)),
        }
    return found


def run(name: str, N: int) -> dict:
    """All readings of one network."""
    known = images(name, 0)[0]
    y = looked_at(name, N)
    D, exact, found = load(stored(name, N, ".safetensors")), Empirical(known[:N]), {}
    for sigma in SIGMAS:
        found[str(sigma)] = {kind: readings(D, exact, x, sigma**2) for kind, x in y.items()}
        if N in COUNTED.get(name, ()) and sigma in (0.2, 0.4):
            for kind in ("training", "fresh"):
                found[str(sigma)][kind]["normal bundle"] = [
                    gap(D, x[None], sigma**2) for x in y[kind][:4]
                ]
    found["labels"] = {"training": labels_of(name)[: len(y["training"])].tolist()}
    if (name, N) == REFERENCE:
        found["reference"] = {str(sigma): reference(D, references(), sigma) for sigma in SIGMAS}
    return found


def witness(name: str, N: int) -> list[Leaves]:
    """Readings at the first images of each kind, at one noise."""
    sigma = 0.4
    some = 20  # as many as share one draw of random directions
    known = images(name, 0)[0]
    y = {kind: x[:some] for kind, x in looked_at(name, N).items()}
    D, exact = load(stored(name, N, ".safetensors")), Empirical(known[:N])
    found = by_place({kind: readings(D, exact, x, sigma**2) for kind, x in y.items()})
    if N in COUNTED.get(name, ()):
        for kind in ("training", "fresh"):
            found[kind]["normal bundle"] = {0: gap(D, y[kind][:1], sigma**2)}
    found = {str(sigma): found, "labels": {"training": labels_of(name)[: min(N, SEEN)]}}
    if (name, N) == REFERENCE:
        y = {kind: x[:some] for kind, x in references().items()}
        found["reference"] = {str(sigma): by_place(reference(D, y, sigma))}
    return [Leaves(found, tolerance=0.002)]


def reads(name: str, N: int) -> list:
    """Weights and images of the networks, and the data."""
    made = [stored(name, n, ".npz") for n in MADE.get(name, ()) if n == N or (name, N) == REFERENCE]
    return [name, stored(name, N, ".safetensors"), *made]


STORED = Experiment(
    run,
    [{"name": name, "N": N} for name, sizes in SIZES.items() for N in sizes],
    witness,
    reads,
    needs="image data, the networks and one core, half an hour",
)
