"""The empirical denoiser against the plain ways to compute it, in one run: python benchmarks/empirical.py.

For each size: seconds for 1,000 queries (the best of a few runs), the largest deviation from the plain way in float64,
and the memory
that the computation takes beyond its inputs. Random data of the data sets' sizes; the cost does not depend on values.
Prints tables, and writes results/benchmarks/empirical.json with a record of the machine.
"""

import json
import os
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

from memolib.empirical import Empirical

QUERIES = 1_000
SIZES = {  # N, d, noise variance: about where the weight is on few and on many points
    "MNIST's size": (60_000, 784, 1.0),
    "CIFAR-10's size": (50_000, 3_072, 1.0),
    "30 dimensions": (60_000, 30, 0.05),
}
RESULT = Path(__file__).resolve().parent.parent / "results" / "benchmarks" / "empirical.json"


def expanded(x: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
    """Softmax of expanded squared distances: the usual few lines."""
    squares = (x**2).sum(dim=1)[:, None] - 2 * x @ y.T + (y**2).sum(dim=1)
    return torch.softmax(-squares / (2 * t), dim=1) @ y


def with_cdist(x: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
    """Softmax of torch's pairwise distances."""
    return torch.softmax(-(torch.cdist(x, y) ** 2) / (2 * t), dim=1) @ y


def attention(x: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
    """Attention by torch's public function, with the squared norms as one more coordinate of the keys."""
    keys = torch.cat([y, -(y**2).sum(dim=1, keepdim=True) / 2], dim=1)
    queries = torch.cat([x, torch.ones(len(x), 1).to(x)], dim=1) / t
    return scaled_dot_product_attention(queries[None, None], keys[None, None], y[None, None], scale=1.0)[0, 0]


def broadcasting(x: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
    """Naive NumPy, one query at a time."""
    answers = []
    for query in x.numpy():
        logs = -((query - y.numpy()) ** 2).sum(axis=1) / (2 * t)
        w = np.exp(logs - logs.max())
        answers.append(w @ y.numpy() / w.sum())
    return torch.from_numpy(np.stack(answers))


def bare_products(x: torch.Tensor, y: torch.Tensor) -> float:
    """Seconds of the two products of matrices that every way needs."""
    weights = torch.rand(len(x), len(y), dtype=x.dtype)
    return seconds(lambda: (x @ y.T, weights @ y))


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
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]
        run()
        peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]
    except OSError:
        return float("nan")
    return (int(peak) - int(before)) / 1024


def one_size(N: int, d: int, t: float, dtype: torch.dtype) -> list[dict]:
    """Rows for one size and number type."""
    generator = torch.Generator().manual_seed(0)
    y = torch.rand(N, d, generator=generator) * (1.0 if d < 100 else 0.3)
    x = (y[:QUERIES] + t**0.5 * torch.randn(QUERIES, d, generator=generator)).to(dtype)
    exact = expanded(x.double(), y.double(), t)  # not by memolib, so that its error can be seen
    y = y.to(dtype)
    memolib, bare = Empirical(y), bare_products(x, y)
    rows = [{"way": "two bare products", "s": bare}]
    ways = {
        "memolib": lambda: memolib(x, t),
        "softmax of expanded distances": lambda: expanded(x, y, t),
        "torch.cdist and softmax": lambda: with_cdist(x, y, t),
        "public attention": lambda: attention(x, y, t),
    }
    for name, run in ways.items():
        error = float((run().double() - exact).abs().max())
        rows.append({"way": name, "s": seconds(run), "MB": megabytes(run), "error": error})
    few = max(2, 20_000_000 // (N * d))  # NumPy is timed on a few queries
    once = seconds(lambda: broadcasting(x[:few], y, t), repeats=1) * QUERIES / few
    error = float((broadcasting(x[:few], y, t).double() - exact[:few]).abs().max())
    rows.append({"way": f"NumPy broadcasting (timed on {few})", "s": once, "error": error})
    return rows


def single_precision() -> list[dict]:
    """Largest error of float32 answers against float64, in units of the data's spread, at large and small noise."""
    generator = torch.Generator().manual_seed(1)
    y = torch.sigmoid(torch.randn(20_000, 20, generator=generator) @ torch.randn(20, 784, generator=generator) / 3)
    spread, rows = float(y.std(dim=0).norm()), []
    for t in (10.0, 1.0, 0.1, 0.01, 1e-3, 1e-5, 1e-7):
        x = y[:200] + t**0.5 * torch.randn(200, 784, generator=generator)
        exact = expanded(x.double(), y.double(), t)
        answers = Empirical(y)(x, t), expanded(x, y, t)
        ours, plain = (float((a.double() - exact).norm(dim=1).max()) / spread for a in answers)
        rows.append({"t": t, "memolib": ours, "softmax of expanded distances": plain})
    return rows


def main() -> None:
    """Run all cases, print them, and write them with their record."""
    start, tables = time.perf_counter(), {}
    for name, (N, d, t) in SIZES.items():
        for dtype in (torch.float32, torch.float64):
            if N * d > 1e8 and dtype == torch.float64:
                continue  # more memory than most machines give to a benchmark
            rows = one_size(N, d, t, dtype)
            title = f"{name}: N = {N:,}, d = {d:,}, {str(dtype).removeprefix('torch.')}"
            tables[title] = rows
            print(f"\n{title}")
            for row in rows:
                memory = f"{row['MB']:6.0f} MB" if "MB" in row else 9 * " "
                error = f"error {row['error']:.1e}" if "error" in row else ""
                print(f"{row['way']:38} {row['s']:8.3f} s {row['s'] / rows[0]['s']:7.2f} x  {memory}   {error}")
    tables["float32 against float64"] = single_precision()
    print("\nfloat32 against float64, largest error in units of the data's spread")
    for row in tables["float32 against float64"]:
        print("   ".join(f"{key} {value:.1e}" for key, value in row.items()))
    record = {
        "command": "python benchmarks/empirical.py",
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "seconds": round(time.perf_counter() - start, 1),
        "queries": QUERIES,
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    part = RESULT.with_suffix(".part")
    part.write_text(json.dumps({"record": record, "tables": tables}, indent=1) + "\n")
    os.replace(part, RESULT)


if __name__ == "__main__":
    main()
