"""The images of image_detection.py in a network that knows them all alike: python results/image_reference.py.

The network of 60,000 digits was trained on the training images of the smaller ones, and on the images that are fresh to
them. What it says of an image is what the image's own difficulty says; a test of a smaller network can subtract it.
|D-x|^2/t without noise and the mean of |D-y|^2/t with noise, at the same 100 + 100 images, and at the generated ones of
two networks. Needs the image data (see the credits page); written to image_reference.json; minutes on one core.
"""

import time
from pathlib import Path

import image_networks
import numpy as np
import torch
from _record import write
from image_detection import DRAWS, FRESH, MADE, SEEN, SIGMAS, off, rounded
from image_networks import images

from memolib.checkpoints import load
from memolib.points import add_noise

RESULT = Path(__file__).with_suffix(".json")

if __name__ == "__main__":
    torch.set_num_threads(1)
    start, known = time.perf_counter(), images("mnist", 0)[0]
    y = {"training": known[:SEEN], "fresh": known[FRESH]}
    for N in MADE["mnist"]:
        made = np.load(image_networks.FOLDER / f"mnist-{N}-0.npz")["images"]
        y[f"generated {N}"] = torch.from_numpy(made).float() / 255
    D, found = load(image_networks.FOLDER / "mnist-60000-0.safetensors"), {}
    for sigma in SIGMAS:
        t = sigma**2
        for kind, x in y.items():
            loss = [off(D, add_noise(x, t, seed=draw), x, t) for draw in range(DRAWS)]
            values = {"pull": rounded(off(D, x, x, t)), "loss": rounded(torch.stack(loss).mean(dim=0))}
            found.setdefault(str(sigma), {})[kind] = values
    write(RESULT, {"readings": found}, __file__, start)
