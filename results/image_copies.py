"""Copies and partial copies among the images that stored networks made: python results/image_copies.py.

For each network of image_networks/: the share of copies among its 200 images, of copies in the leading principal
components of the data, and of partial ones, copies there and none as a whole; the same for a thousand test images that
set no threshold; and for hybrids, a positive control: the leading components of one image and the rest of another.
Written to image_copies.json; image_copies.npz has the nearest training images of the first six, one training image to
look from, and partial copies beside their nearest training images. Needs the image data (see the credits page);
minutes on one core.
"""

import time
from pathlib import Path

import numpy as np
import torch
from _record import write
from image_networks import FOLDER, images

from memolib.memorization import nearest_ratio

RESULT = Path(__file__).with_suffix(".json")
COMPONENTS = 10, 20, 40
K = 20  # components of hybrids, and of the partial copies that are kept


def copies(x: torch.Tensor, data: torch.Tensor, fresh: torch.Tensor) -> torch.Tensor:
    """Which of x are nearer to their nearest datum, in d1/d2, than all but a hundredth of fresh images are."""
    return nearest_ratio(x, data) < nearest_ratio(fresh, data).quantile(0.01)


def nearest(x: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
    """Index of the nearest datum of each x."""
    return torch.cdist(x, data).argmin(dim=1)


def shares(made: torch.Tensor, data: torch.Tensor, fresh: torch.Tensor, axes: torch.Tensor) -> dict[str, float]:
    """Of copies as a whole, in the leading components, and in these only.

    "same": of those that are no copies, the share whose nearest training image is the same in K components and in the
    rest.
    """
    whole = copies(made, data, fresh)
    same = nearest(made @ axes[:K].T, data @ axes[:K].T) == nearest(made @ axes[K:].T, data @ axes[K:].T)
    found = {"copies": float(whole.double().mean()), "same": float(same[~whole].double().mean())}
    for k in COMPONENTS:
        part = copies(made @ axes[:k].T, data @ axes[:k].T, fresh @ axes[:k].T)
        found |= {f"copies in {k}": float(part.double().mean()), f"only in {k}": float((part & ~whole).double().mean())}
    return {name: round(v, 4) for name, v in found.items()}


def hybrids(made: torch.Tensor, data: torch.Tensor, fresh: torch.Tensor, axes: torch.Tensor) -> dict[str, float]:
    """Shares of hybrids found as copies as a whole, in K components, and as partial ones, with how many there are.

    Exact ones have the components of training images and the rest of other training images ("training") or of test
    images ("test"); "made" ones those of the generated images that are copies as a whole, and the rest of test images.
    "same": the share whose nearest training image is the same in the K components and in the rest.
    """
    P, inside = axes[:K].T, axes[:K].T @ axes[:K]
    level, other, found = fresh[:1_000], fresh[1_000:], {}
    lead = data[torch.arange(200) % len(data)]
    made = made[copies(made, data, level)]
    cases = {"training": (lead, data[(torch.arange(200) % len(data) + 1) % len(data)])}
    cases |= {"test": (lead, other[:200]), "made": (made, other[: len(made)])}
    for name, (a, b) in cases.items():
        found[f"{name} number"] = len(a)
        if len(a):
            x = b + (a - b) @ inside
            whole = copies(x, data, level)
            part = copies(x @ P, data @ P, level @ P)
            same = nearest(x @ P, data @ P) == nearest(x @ axes[K:].T, data @ axes[K:].T)
            values = {"copies": whole, "in": part, "only in": part & ~whole, "same": same}
            found |= {f"{name} {k}": round(float(v.double().mean()), 4) for k, v in values.items()}
    return found


def partial(made: torch.Tensor, data: torch.Tensor, fresh: torch.Tensor, axes: torch.Tensor) -> tuple[list, np.ndarray]:
    """The partial copies in K components, and each beside its nearest there and as a whole, shape (n, 3, d).

    A row a copy: d1/d2 over its threshold in the components ("in"), as a whole and in the rest, and whether the nearest
    as a whole and in the rest is that in the components.
    """
    P, d = axes[:K].T, len(axes)
    found = copies(made @ P, data @ P, fresh @ P) & ~copies(made, data, fresh)
    x, places, near, rows = made[found], {"in": P, "whole": torch.eye(d), "rest": axes[K:].T}, {}, []
    if not len(x):
        return rows, np.zeros((0, 3, d))
    for place, basis in places.items():
        near[place] = nearest(x @ basis, data @ basis)
        ratio = nearest_ratio(x @ basis, data @ basis) / nearest_ratio(fresh @ basis, data @ basis).quantile(0.01)
        same = (near[place] == near["in"]).tolist()
        rows.append([{place: round(v, 3), f"same {place}": y} for v, y in zip(ratio.tolist(), same, strict=True)])
    shown = torch.stack([x, data[near["in"]], data[near["whole"]]], dim=1)
    return [a | b | c for a, b, c in zip(*rows, strict=True)], shown.numpy()


def main() -> None:
    """All networks."""
    start, rows, kept, axes = time.perf_counter(), [], {}, {}
    for path in sorted(FOLDER.glob("*.safetensors")):
        name, N, seed = path.stem.rsplit("-", 2)
        known, fresh = images(name, int(seed))
        if (name, seed) not in axes:
            few = known[:10_000] - known[:10_000].mean(dim=0)
            axes[name, seed] = torch.linalg.svd(few, full_matrices=False)[2]
        V = axes[name, seed]
        made, data = torch.from_numpy(np.load(path.with_suffix(".npz"))["images"]).float() / 255, known[: int(N)]
        row = {"name": name, "N": int(N), "seed": int(seed), "made": shares(made, data, fresh[:1_000], V)}
        row |= {"test": shares(fresh[1_000:], data, fresh[:1_000], V), "hybrids": hybrids(made, data, fresh, V)}
        if 0.02 < row["made"]["copies"] < 0.6:
            row["partial"], shown = partial(made, data, fresh[:1_000], V)
            kept[f"partial {path.stem}"] = (shown * 255).round().astype(np.uint8)
        rows.append(row)
        near = data[nearest(made[:6], data)]
        kept[path.stem] = (near * 255).round().to(torch.uint8).numpy()
        if path.stem == "mnist-50-0":
            kept["image"] = (known[:1] * 255).round().to(torch.uint8).numpy()
        print(row, flush=True)
    np.savez_compressed(RESULT.with_suffix(".npz"), **kept)
    write(RESULT, {"copies": rows}, __file__, start)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
