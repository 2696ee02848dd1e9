"""Spectra of stored image networks that have none yet: python results/image_spectra.py.

For networks that image_networks.py trained and kept, but had no time to measure: the same copies (from the images that
are kept) and the same spectra, on a CPU, three minutes a network; written to image_networks/, a file a network. Needs
the image data (see the credits page).
"""

import json
import time

import numpy as np
import torch
from _record import write
from image_networks import FOLDER, images, spectra

from memolib.checkpoints import load
from memolib.memorization import nearest_ratio


def measure(name: str, N: int, seed: int) -> dict:
    """What image_networks.py measures of a network, of the images kept."""
    known, fresh = images(name, seed)
    place = f"{name}-{N}-{seed}"
    made = torch.from_numpy(np.load(FOLDER / f"{place}.npz")["images"]).float() / 255
    threshold, ratio = float(nearest_ratio(fresh, known[:N]).quantile(0.01)), nearest_ratio(made, known[:N])
    found = {"copies": float((ratio < threshold).float().mean()), "threshold": threshold}
    found["ratios"] = [round(float(v), 4) for v in ratio]
    return found | spectra(load(FOLDER / f"{place}.safetensors"), known, fresh, seed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    runs = [json.loads(path.read_text())["configuration"] for path in FOLDER.glob("*.json")]
    for path in sorted(FOLDER.glob("*.safetensors")):
        name, N, seed = path.stem.rsplit("-", 2)
        configuration = {"seed": int(seed), "name": name, "N": int(N)}
        if configuration not in runs:
            start = time.perf_counter()
            found = {"configuration": configuration, "result": measure(name, int(N), int(seed))}
            write(path.with_suffix(".json"), found, __file__, start)
            print(path.stem, flush=True)
