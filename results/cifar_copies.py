"""Copies among the photographs of cifar_networks/ without their grain: python results/cifar_copies.py.

The shares of copies among the stored images, as they are and after one more answer of their network, which smooths; and
the same of every second test image, with thresholds from the others, treated alike. Written to cifar_copies.json. Needs
the image data (see the credits page); a minute on one core.
"""

import time
from pathlib import Path

import numpy as np
import torch
from _record import write
from cifar_networks import FOLDER, images
from image_copies import copies

from memolib.checkpoints import load

RESULT = Path(__file__).with_suffix(".json")
SIGMA = 0.1

if __name__ == "__main__":
    torch.set_num_threads(1)
    start, rows = time.perf_counter(), []
    for path in FOLDER.glob("*.safetensors"):
        N, seed = map(int, path.stem.split("-"))
        known, fresh = images(seed)
        made, D = torch.from_numpy(np.load(path.with_suffix(".npz"))["images"]).float() / 255, load(path)
        row = {"N": N, "seed": seed}
        for kind, treat in (("as made", lambda x: x), ("smoothed", lambda x, D=D: D(x, SIGMA**2))):
            level = treat(fresh[::2])
            for name, x in (("", made), ("test ", fresh[1::2])):
                row[f"{name}{kind}"] = round(float(copies(treat(x), known[:N], level).double().mean()), 4)
        rows.append(row)
    rows.sort(key=lambda row: (row["seed"], row["N"]))
    write(RESULT, {"copies": rows}, __file__, start)
