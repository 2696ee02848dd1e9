"""What the benchmarks share: timing, memory, and results written with their record."""

import ctypes
import json
import os
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from memolib import results
from memolib._files import write_text
from memolib.checkpoints import load
from memolib.networks import NetworkDenoiser

RESULTS = Path(__file__).resolve().parent.parent / "results" / "benchmarks"


def seconds(run: Callable, repeats: int = 3) -> float:
    """Best wall-clock time of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def megabytes(run: Callable) -> float:
    """Peak memory of a run beyond what is held before it (Linux; elsewhere not a number)."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # give back what was freed
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]
        run()
        peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]
    except (OSError, AttributeError, TypeError):
        return float("nan")
    return (int(peak) - int(before)) / 1024


def stored_unet() -> tuple[NetworkDenoiser, torch.Tensor]:
    """The stored U-Net of 5,000 images of MNIST, and an image that it generated, shape (1, 784)."""
    place = {"name": "mnist", "N": 5_000, "seed": 0}
    with np.load(results.file("image_networks", ".npz", **place)) as arrays:
        image = torch.from_numpy(arrays["images"][:1] / 255).float()
    return load(results.file("image_networks", ".safetensors", **place)), image


def exponent(sizes: list[float], times: list[float]) -> tuple[float, float]:
    """Power of the size that the time grows with, by least squares of logarithms, and its error."""
    (slope, _), covariance = np.polyfit(np.log(sizes), np.log(times), 1, cov=True)
    return float(slope), float(covariance[0, 0] ** 0.5)


def table(title: str, rows: list[dict]) -> None:
    """Print rows of names and numbers."""
    print(f"\n{title}")
    for row in rows:
        print(
            "   ".join(
                f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()
            ),
            flush=True,
        )


def write(name: str, tables: dict, start: float, **more) -> None:
    """Write results/benchmarks/NAME.json with a record of command and machine, in one step."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    record = {
        "command": f"python benchmarks/{name}.py",
        "machine": f"{platform.machine()}, {cores} cores",
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "seconds": round(time.perf_counter() - start, 1),
    }
    write_text(
        RESULTS / f"{name}.json",
        json.dumps({"record": record | more, "tables": tables}, indent=1) + "\n",
    )
