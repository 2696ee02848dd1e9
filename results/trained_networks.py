"""Networks of the chapter on training, trained for longer than a page can wait: python results/trained_networks.py.

Width 128, on 50, 250, 500 and 20,000 points of the book's example, 64,000 steps, as in the grid of networks; written to
trained_networks/, one safetensors file a network, after 1,000 and 64,000 steps, with a record. Ten minutes on one core.
"""

import json
import os
import platform
from pathlib import Path

import numpy as np
import torch
from network_grid import LAW

from memolib.checkpoints import save
from memolib.networks import ResidualMLP
from memolib.training import train

FOLDER = Path(__file__).with_suffix("")
SIZES, MARKS = (50, 250, 500, 20_000), (1_000, 64_000)


def main() -> None:
    """Train, and write the networks and their record."""
    torch.set_num_threads(1)
    data = LAW.sample(max(SIZES), seed=0)
    trained = train(
        [data[:N] for N in SIZES], ResidualMLP(30), steps=MARKS[-1], batch=128, average=0.9995, snapshots=MARKS,
        checkpoints=FOLDER.with_name("unfinished") / "trained", every=2_000,
    )  # fmt: skip
    for mark, denoisers in trained.snapshots.items():
        for N, denoiser in zip(SIZES, denoisers, strict=True):
            save(FOLDER / f"{N}-{mark}.safetensors", denoiser)
    record = {
        "command": "python results/trained_networks.py",
        "seeds": "data 0, network 0",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "seconds": round(trained.seconds, 1),
        "loss": {str(N): round(float(v), 4) for N, v in zip(SIZES, trained.losses[-1], strict=True)},
    }
    (FOLDER / "record.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
