"""How far a network's Jacobian is from symmetric, and whether that tells a training point.

The Jacobian G of every exact denoiser is symmetric. Here, for networks on the book's example and
for U-Nets on images, at training points and fresh ones, with and without noise: the norms of the
antisymmetric and the symmetric part of G, their ratio (asymmetry), and the same within the alive
space of the symmetric part; on the example, what share of the squared distance of G to those of
both exact denoisers is antisymmetric. And how well each of several readings, none of which asks
for data or a second model, tells training points from fresh ones (AUC).

On the example the Jacobians are exact. For U-Nets both norms are estimated with random signs v, by
``(G + G')v`` and ``(G - G')v``; at a few points they are exact.
"""

from functools import cache

import numpy as np
import torch
from torch.func import jvp, vjp

from memolib.checkpoints import load
from memolib.denoisers import Denoiser
from memolib.empirical import Empirical
from memolib.points import add_noise
from memolib.spectra import asymmetry, jacobian
from results import cifar_networks, image_networks, network_panel
from results._stored import Experiment, Leaves
from results.network_grid import LAW, sample

EXAMPLE = [(N, seed) for N in network_panel.SIZES for seed in network_panel.SEEDS]
IMAGES = {  # of data sets: size and seed
    "mnist": [(N, 0) for N in (50, 100, 200, 500, 1_000)] + [(50, 1), (100, 1), (500, 1)],
    "fashion_mnist": [(N, 0) for N in (50, 100, 500)],
    "cifar10": [(N, seed) for N in (50, 100, 200, 500, 1_000) for seed in (0, 1)],
}
SIGMAS = {"example": (0.05, 0.1, 0.2, 0.3)} | dict.fromkeys(IMAGES, (0.1, 0.2, 0.4))
POINTS = {"example": 250, "cifar10": 100, "mnist": 60, "fashion_mnist": 60}
FRESH = 10_000  # first of the images that no network of 5,000 and fewer has seen
PROBES, TOGETHER = 4, 20
WHOLE, FEW = 0.2, 2  # noise and number of the training images with whole Jacobians
KINDS = "training", "fresh"


def network(name: str, N: int, seed: int) -> Denoiser:
    """A stored network."""
    if name == "example":
        return load(network_panel.weights(N, seed))
    made, place = cifar_networks.STORED, {"N": N, "seed": seed}
    if name != "cifar10":
        made, place = image_networks.STORED, place | {"name": name}
    return load(made.path(place, ".safetensors"))


@cache
def looked_at(name: str, N: int, seed: int) -> dict[str, torch.Tensor]:
    """Training points of a network, and points that it has not seen."""
    n = POINTS[name]
    if name == "example":
        fresh = LAW.sample(n, seed=np.random.default_rng([19, 7, seed]))
        return dict(zip(KINDS, (sample(seed)[: min(n, N)], fresh), strict=True))
    known = (
        cifar_networks.images(seed) if name == "cifar10" else image_networks.images(name, seed)
    )[0]
    return dict(zip(KINDS, (known[: min(n, N)], known[FRESH : FRESH + n]), strict=True))


def of_jacobians(G: torch.Tensor) -> dict[str, torch.Tensor]:
    """Norms of both parts and their ratio at each point; the last in the alive space as well.

    Where fewer than two directions are alive, nothing can be antisymmetric there, and it is nan.
    """
    odd, even = (torch.linalg.matrix_norm(G + sign * G.mT) / 2 for sign in (-1, 1))
    values, vectors = torch.linalg.eigh((G + G.mT) / 2)
    inside = vectors * (values > 0.5)[:, None]
    found = {"asymmetry": asymmetry(G), "odd": odd, "even": even}
    found["alive"] = (values > 0.5).sum(dim=1).double()
    within = asymmetry(inside.mT @ G @ inside)
    found["asymmetry, alive"] = torch.where(found["alive"] > 1, within, torch.nan)
    return found | {"trace": G.diagonal(dim1=1, dim2=2).sum(dim=1)}


def of_probes(
    D: Denoiser, x: torch.Tensor, t: float, rng: np.random.Generator
) -> dict[str, torch.Tensor]:
    """Norms of both parts, their ratio and the trace at each point, estimated with random signs."""
    found = []
    for some in x.split(TOGETHER):
        signs = torch.from_numpy(rng.choice([-1.0, 1.0], (PROBES, *some.shape))).to(some)
        v, points = signs.flatten(0, 1), some.repeat(PROBES, 1)
        ahead = jvp(lambda z: D(z, t), (points,), (v,))[1]
        back = vjp(lambda z: D(z, t), points)[1](v)[0]
        parts = ((ahead - back) / 2, (ahead + back) / 2)
        squares = [(p**2).sum(dim=1).reshape(PROBES, -1).mean(dim=0) for p in parts]
        trace = (v * ahead).sum(dim=1).reshape(PROBES, -1).mean(dim=0)
        found.append(torch.stack([*squares, trace]).detach().double())
    odd, even, trace = torch.cat(found, dim=1)
    parts = {"odd": odd.sqrt(), "even": even.sqrt(), "trace": trace}
    return {"asymmetry": (odd / even).sqrt()} | parts


def auc(seen: torch.Tensor, fresh: torch.Tensor) -> list[float]:
    """Probability that a training point has the larger number, and its standard error (DeLong)."""
    wins = (seen[:, None] > fresh).double() + 0.5 * (seen[:, None] == fresh)
    a, b = wins.mean(dim=1), wins.mean(dim=0)
    return [float(wins.mean()), float((a.var() / len(a) + b.var() / len(b)) ** 0.5)]


def readings(
    name: str, D: Denoiser, x: torch.Tensor, y: torch.Tensor, t: float, stream: list[int]
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Readings at points x made of y; and those that should be large at training points."""
    if name == "example":
        read = of_jacobians(jacobian(D, x, t).double())
    else:
        read = of_probes(D, x, t, np.random.default_rng(stream))
    with torch.no_grad():
        off = torch.cat([((D(a, t) - b) ** 2).sum(dim=1) / t
                         for a, b in zip(x.split(50), y.split(50), strict=True)])  # fmt: skip
    signs = {"asymmetry": read["asymmetry"], "odd": -read["odd"], "trace": -read["trace"]}
    signs["loss"] = -off  # without noise the pull
    if x is y:
        signs["FLIPD"] = -off - read["trace"]
    return read, signs


def medians(read: dict[str, torch.Tensor]) -> dict[str, float]:
    """Over points at which a reading is defined; left out where it is at none."""
    return {key: float(v.nanmedian()) for key, v in read.items() if not v.isnan().all()}


def noisy(y: torch.Tensor, t: float, stream: list[int]) -> torch.Tensor:
    """With noise of a stream of its own."""
    return add_noise(y, t, seed=np.random.default_rng(stream))


def rounded(values):
    """Four digits are enough."""
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    if isinstance(values, list):
        return [rounded(value) for value in values]
    return float(f"{values:.4g}")


def away(D: Denoiser, x: torch.Tensor, y: torch.Tensor, t: float) -> dict[str, float]:
    """Antisymmetric share of the squared distance of G to that of each exact denoiser."""
    G = jacobian(D, x, t).double()
    odd = float(((G - G.mT) ** 2).sum() / 4)
    exact = {"population": LAW, "empirical": Empirical(y)}
    return {
        f"share, {name}": odd / float(((G - f.jacobian(x, t).double()) ** 2).sum())
        for name, f in exact.items()
    }


def at(name: str, N: int, seed: int, sigma: float) -> dict:
    """All readings at one noise."""
    D, points, t = network(name, N, seed), looked_at(name, N, seed), sigma**2
    k = round(1_000 * sigma)
    found = {}
    for noise in ("", "noisy "):
        known = {}
        for i, (kind, y) in enumerate(points.items()):
            x = noisy(y, t, [19, 8 + i, seed, k]) if noise else y
            stream = [19, 10 + i + 2 * bool(noise), seed, k]
            read, known[kind] = readings(name, D, x, y, t, stream)
            found[f"{noise}{kind}"] = medians(read)
            if name == "example" and noise:
                found[f"{noise}{kind}"] |= away(D, x, sample(seed)[:N], t)
        pairs = zip(*(v.values() for v in known.values()), strict=True)
        areas = dict(zip(known["training"], (auc(*pair) for pair in pairs), strict=True))
        found[f"{noise}AUC"] = areas
    if name != "example" and sigma == WHOLE:
        x = noisy(points["training"], t, [19, 8, seed, k])[:FEW]
        whole = of_jacobians(jacobian(D, x, t).double())
        estimated = of_probes(D, x, t, np.random.default_rng([19, 14, seed, k]))
        ratio = estimated["asymmetry"] / whole["asymmetry"]
        found["whole"] = medians(whole) | {"estimate over exact": ratio.tolist()}
    return rounded(found)


def run(name: str, N: int, seed: int) -> dict:
    """All noises."""
    return {str(sigma): at(name, N, seed, sigma) for sigma in SIGMAS[name]}


def witness(name: str, N: int, seed: int) -> list[Leaves]:
    """All of the middle noise, of images the smallest but for whole Jacobians."""
    sigma = SIGMAS[name][1 if name in ("example", "cifar10") else 0]
    return [Leaves({str(sigma): at(name, N, seed, sigma)}, tolerance=0.01)]


def reads(name: str, N: int, seed: int) -> list:
    """The network's weights, and the images."""
    if name == "example":
        return [network_panel.weights(N, seed)]
    made, place = cifar_networks.STORED, {"N": N, "seed": seed}
    if name != "cifar10":
        made, place = image_networks.STORED, place | {"name": name}
    return [name, made.path(place, ".safetensors")]


STORED = Experiment(
    run,
    [{"name": "example", "N": N, "seed": seed} for N, seed in EXAMPLE]
    + [{"name": name, "N": N, "seed": seed} for name, of in IMAGES.items() for N, seed in of],
    witness,
    reads,
    needs="image data, the networks and one core, half an hour",
)
