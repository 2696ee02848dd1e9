"""Copies and partial copies among the images that stored networks made: python results/image_copies.py.

For each network of image_networks/: the share of copies among its 200 images, of copies in the leading principal
components of the data, and of partial ones, copies there and none as a whole; the same for a thousand test images that
set no threshold. Written to image_copies.json; image_copies.npz has the nearest training images of the first six, and
one training image to look from. Needs the image data (see the credits page); minutes on one core.
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


def copies(x: torch.Tensor, data: torch.Tensor, fresh: torch.Tensor) -> torch.Tensor:
    """Which of x are nearer to their nearest datum, in d1/d2, than all but a hundredth of fresh images are."""
    return nearest_ratio(x, data) < nearest_ratio(fresh, data).quantile(0.01)


def shares(made: torch.Tensor, data: torch.Tensor, fresh: torch.Tensor, axes: torch.Tensor) -> dict[str, float]:
    """Of copies as a whole, in the leading components, and in these only."""
    whole = copies(made, data, fresh)
    found = {"copies": float(whole.double().mean())}
    for k in COMPONENTS:
        part = copies(made @ axes[:k].T, data @ axes[:k].T, fresh @ axes[:k].T)
        found |= {f"copies in {k}": float(part.double().mean()), f"only in {k}": float((part & ~whole).double().mean())}
    return {name: round(v, 4) for name, v in found.items()}


def main() -> None:
    """All networks."""
    start, rows, kept = time.perf_counter(), [], {}
    for path in sorted(FOLDER.glob("*.safetensors")):
        name, N, seed = path.stem.rsplit("-", 2)
        known, fresh = images(name, int(seed))
        axes = torch.linalg.svd(known[:10_000] - known[:10_000].mean(dim=0), full_matrices=False)[2]
        made, data = torch.from_numpy(np.load(path.with_suffix(".npz"))["images"]).float() / 255, known[: int(N)]
        row = {"name": name, "N": int(N), "seed": int(seed), "made": shares(made, data, fresh[:1_000], axes)}
        rows.append(row | {"test": shares(fresh[1_000:], data, fresh[:1_000], axes)})
        near = data[torch.cdist(made[:6], data).argmin(dim=1)]
        kept[path.stem] = (near * 255).round().to(torch.uint8).numpy()
        if path.stem == "mnist-50-0":
            kept["image"] = (known[:1] * 255).round().to(torch.uint8).numpy()
        print(row, flush=True)
    np.savez_compressed(RESULT.with_suffix(".npz"), **kept)
    write(RESULT, {"copies": rows}, __file__, start)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
