"""Copies and partial copies among the images that stored networks made.

For digits and clothes: the share of copies among a network's 200 images, of copies in the leading
principal components of the data, and of partial ones, copies there and none as a whole; the same
for a thousand test images that set no threshold; and for hybrids, a positive control: the leading
components of one image and the rest of another. Beside the result lie the nearest training images
of the first six, and partial copies beside their nearest training images.

For the small photographs, whose networks leave grain: copies among the images as they are, and
after one more answer of the network, which smooths; and the same of every second test image, with
thresholds from the others, treated alike.
"""

import numpy as np
import torch

from memolib.checkpoints import load
from memolib.memorization import copies, copy_threshold, nearest_ratio
from results import cifar_networks, image_networks
from results._stored import Experiment, Leaves, save_arrays
from results.image_networks import grey

SIGMA = 0.1  # of the answer that smooths
# keeps the first training image too, for pages that look from there
SHOWN = {
    "name": "mnist",
    "N": 50,
    "seed": 0,
}
COMPONENTS = 10, 20, 40
K = 20  # components of hybrids, and of the partial copies that are kept


def nearest(x: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
    """Index of the nearest datum of each x."""
    return torch.cdist(x, data).argmin(dim=1)


def shares(
    made: torch.Tensor, data: torch.Tensor, fresh: torch.Tensor, axes: torch.Tensor
) -> dict[str, float]:
    """Of copies as a whole, in the leading components, and in these only.

    "same": of those that are no copies, the share whose nearest training image is the same in K
    components and in the rest.
    """
    whole = copies(made, data, fresh)
    leading, rest = axes[:K].T, axes[K:].T
    same = nearest(made @ leading, data @ leading) == nearest(made @ rest, data @ rest)
    found = {"copies": float(whole.mean()), "same": float(same[whole == 0].double().mean())}
    for k in COMPONENTS:
        P = axes[:k].T
        part = copies(made @ P, data @ P, fresh @ P)
        found[f"copies in {k}"] = float(part.mean())
        found[f"only in {k}"] = float((part * (1 - whole)).mean())
    return {name: round(v, 4) for name, v in found.items()}


def hybrids(
    made: torch.Tensor, data: torch.Tensor, fresh: torch.Tensor, axes: torch.Tensor
) -> dict[str, float]:
    """Shares of hybrids found as copies as a whole, in K components, and as partial ones.

    With how many there are. Exact ones have the components of training images and the rest of other
    training images ("training") or of test images ("test"); "made" ones those of the generated
    images that are copies as a whole, and the rest of test images. "same": the share whose nearest
    training image is the same in the K components and in the rest.
    """
    P, rest = axes[:K].T, axes[K:].T
    level, other = fresh[:1_000], fresh[1_000:]
    found = {}
    lead = data[torch.arange(200) % len(data)]
    made = made[copies(made, data, level) > 0]
    cases = {"training": (lead, data[(torch.arange(200) % len(data) + 1) % len(data)])}
    cases |= {"test": (lead, other[:200]), "made": (made, other[: len(made)])}
    for name, (a, b) in cases.items():
        found[f"{name} number"] = len(a)
        if len(a):
            x = b + (a - b) @ (P @ P.T)
            whole = copies(x, data, level)
            part = copies(x @ P, data @ P, level @ P)
            same = nearest(x @ P, data @ P) == nearest(x @ rest, data @ rest)
            values = {"copies": whole, "in": part, "only in": part * (1 - whole), "same": same}
            found |= {f"{name} {k}": round(float(v.double().mean()), 4) for k, v in values.items()}
    return found


def partial(
    made: torch.Tensor, data: torch.Tensor, fresh: torch.Tensor, axes: torch.Tensor
) -> tuple[list, np.ndarray]:
    """The partial copies in K components, and images: each beside its nearest there and as a whole.

    A row a copy: d1/d2 over its threshold in the components ("in"), as a whole and in the rest, and
    whether the nearest as a whole and in the rest is that in the components. Images have shape (n,
    3, d).
    """
    P, d = axes[:K].T, len(axes)
    inside = copies(made @ P, data @ P, fresh @ P)
    whole = copies(made, data, fresh)
    x = made[(inside > 0) & (whole == 0)]
    places = {"in": P, "whole": torch.eye(d), "rest": axes[K:].T}
    near = {}
    rows = []
    if not len(x):
        return rows, np.zeros((0, 3, d))
    for place, basis in places.items():
        near[place] = nearest(x @ basis, data @ basis)
        ratio = nearest_ratio(x @ basis, data @ basis)
        ratio = ratio / copy_threshold(data @ basis, fresh @ basis)
        same = (near[place] == near["in"]).tolist()
        rows.append(
            [
                {place: round(v, 3), f"same {place}": y}
                for v, y in zip(ratio.tolist(), same, strict=True)
            ]
        )
    shown = torch.stack([x, data[near["in"]], data[near["whole"]]], dim=1)
    return [a | b | c for a, b, c in zip(*rows, strict=True)], shown.numpy()


def axes_of(known: torch.Tensor) -> torch.Tensor:
    """Principal directions of the first 10,000 images, as rows."""
    few = known[:10_000]
    return torch.linalg.svd(few - few.mean(dim=0), full_matrices=False)[2]


def images_made(experiment: Experiment, **place: str | int) -> torch.Tensor:
    """Images that a stored network made."""
    return torch.from_numpy(np.load(experiment.path(place, ".npz"))["images"]).float() / 255


def run(name: str, N: int, seed: int) -> dict:
    """One network."""
    if name == "cifar10":
        return smoothed(N, seed)
    known, fresh = image_networks.images(name, seed)
    made, data, V = (
        images_made(image_networks.STORED, name=name, N=N, seed=seed),
        known[:N],
        axes_of(known),
    )
    found = {
        "made": shares(made, data, fresh[:1_000], V),
        "test": shares(fresh[1_000:], data, fresh[:1_000], V),
    }
    found["hybrids"] = hybrids(made, data, fresh, V)
    place, kept = (
        {"name": name, "N": N, "seed": seed},
        {"nearest": grey(data[nearest(made[:6], data)])},
    )
    if place == SHOWN:
        kept["first"] = grey(known[:1])
    if 0.02 < found["made"]["copies"] < 0.6:
        found["partial"], shown = partial(made, data, fresh[:1_000], V)
        kept["shown"] = grey(torch.from_numpy(shown))
    save_arrays(STORED.path(place, ".npz"), **kept)
    return found


def smoothed(N: int, seed: int) -> dict:
    """Copies among small photographs, as they are and smoothed."""
    known, fresh = cifar_networks.images(seed)
    made = images_made(cifar_networks.STORED, N=N, seed=seed)
    D, found = load(cifar_networks.STORED.path({"N": N, "seed": seed}, ".safetensors")), {}
    for kind, treat in (("as made", lambda x: x), ("smoothed", lambda x: D(x, SIGMA**2))):
        level = treat(fresh[::2])
        for name, x in (("", made), ("test ", fresh[1::2])):
            share = copies(treat(x), known[:N], level).mean()
            found[f"{name}{kind}"] = round(float(share), 4)
    return found


def witness(name: str, N: int, seed: int) -> list[Leaves]:
    """Everything where that takes seconds; of large data sets the copies in few components."""
    if name == "cifar10":
        return [Leaves(smoothed(N, seed), tolerance=0.006)]  # of 200 images one may change sides
    known, fresh = image_networks.images(name, seed)
    made, data, V = (
        images_made(image_networks.STORED, name=name, N=N, seed=seed),
        known[:N],
        axes_of(known),
    )
    if N <= 1_000:
        found = {
            "made": shares(made, data, fresh[:1_000], V),
            "test": shares(fresh[1_000:], data, fresh[:1_000], V),
        }
        found |= {
            "hybrids": hybrids(made, data, fresh, V),
            "nearest": grey(data[nearest(made[:6], data)]) / 255,
        }
        if 0.02 < found["made"]["copies"] < 0.6:
            found["partial"], shown = partial(made, data, fresh[:1_000], V)
            found["partial"], found["shown"] = (
                dict(enumerate(found["partial"])),
                grey(torch.from_numpy(shown)) / 255,
            )
    else:
        found = {"nearest": grey(data[nearest(made[:6], data)]) / 255, "made": {}}
        for k in COMPONENTS:
            P = V[:k].T
            part = copies(made @ P, data @ P, fresh[:1_000] @ P)
            found["made"][f"copies in {k}"] = float(part.mean())
    first = (
        {"first": grey(known[:1]) / 255} if SHOWN == {"name": name, "N": N, "seed": seed} else {}
    )
    return [Leaves(found | first, tolerance=0.006)]


def reads(name: str, N: int, seed: int) -> list:
    """Images and weights of the network, and the data."""
    if name == "cifar10":
        made = cifar_networks.STORED
        place = {"N": N, "seed": seed}
        return [name, made.path(place, ".npz"), made.path(place, ".safetensors")]
    return [name, image_networks.STORED.path({"name": name, "N": N, "seed": seed}, ".npz")]


STORED = Experiment(
    run,
    [*image_networks.STORED.configurations]
    + [{"name": "cifar10"} | place for place in cifar_networks.STORED.configurations],
    witness,
    reads,
    needs="image data, the networks and one core, a quarter of an hour",
)
