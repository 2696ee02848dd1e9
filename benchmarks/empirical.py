"""The empirical denoiser against the plain ways to compute it, in one run.

Run by ``python benchmarks/empirical.py``.

For each size: seconds for 1,000 queries (the best of a few runs), the largest deviation from the
plain way in float64, and the memory that the computation takes beyond its inputs; then how time
grows with N, Q and d, and the seconds for 40 noise variances. Random data of the data sets' sizes;
the cost does not depend on values. KeOps is timed where it is installed (pip install pykeops; it
compiles with g++). Prints tables, and writes results/benchmarks/empirical.json.
"""

import time

import numpy as np
import torch
from _common import exponent, megabytes, seconds, table, write
from torch.nn.functional import scaled_dot_product_attention

from memolib.empirical import Empirical
from memolib.memorization import profile

try:
    from pykeops.torch import LazyTensor
except ImportError:
    LazyTensor = None

QUERIES = 1_000
SIZES = {  # N, d, noise variance: about where the weight is on few and on many points
    "MNIST's size": (60_000, 784, 1.0),
    "CIFAR-10's size": (50_000, 3_072, 1.0),
    "30 dimensions": (60_000, 30, 0.05),
}


def expanded(x: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
    """Softmax of expanded squared distances: the usual few lines."""
    squares = (x**2).sum(dim=1)[:, None] - 2 * x @ y.T + (y**2).sum(dim=1)
    return torch.softmax(-squares / (2 * t), dim=1) @ y


def with_cdist(x: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
    """Softmax of torch's pairwise distances."""
    return torch.softmax(-(torch.cdist(x, y) ** 2) / (2 * t), dim=1) @ y


def attention(x: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
    """Attention by torch's public function, the squared norms one more coordinate of the keys."""
    keys = torch.cat([y, -(y**2).sum(dim=1, keepdim=True) / 2], dim=1)
    queries = torch.cat([x, torch.ones(len(x), 1).to(x)], dim=1) / t
    return scaled_dot_product_attention(
        queries[None, None], keys[None, None], y[None, None], scale=1.0
    )[0, 0]


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


def keops(x: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
    """KeOps: compiled formulas that never store the weights."""
    squares = ((LazyTensor(x[:, None, :]) - LazyTensor(y[None, :, :])) ** 2).sum(-1)
    return (-squares / (2 * t)).sumsoftmaxweight(LazyTensor(y[None, :, :]), dim=1)


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
    slow = {"NumPy broadcasting": (broadcasting, max(2, 20_000_000 // (N * d)))}
    if LazyTensor is not None:
        slow["KeOps"] = keops, max(20, 100_000_000 // (N * d))
    for name, (run, few) in slow.items():  # timed on a few queries
        error = float((run(x[:few], y, t).double() - exact[:few]).abs().max())
        once = seconds(lambda run=run, few=few: run(x[:few], y, t), repeats=1) * QUERIES / few
        rows.append({"way": f"{name} (timed on {few})", "s": once, "error": error})
    return rows


def scaling() -> dict[str, list[dict]]:
    """Seconds against N, Q and d, one at a time, in float32.

    About N = 20,000, Q = 500 and d = 784.
    """
    generator, middle, tables = (
        torch.Generator().manual_seed(2),
        {"N": 20_000, "Q": 500, "d": 784},
        {},
    )
    ranges = {
        "N": (2_500, 5_000, 10_000, 20_000, 40_000, 80_000),
        "Q": (64, 125, 250, 500, 1_000, 2_000),
        "d": (49, 98, 196, 392, 784, 1_568, 3_136),
    }
    for name, sizes in ranges.items():
        rows = []
        for size in sizes:
            N, Q, d = (middle | {name: size}).values()
            y = torch.rand(N, d, generator=generator) * 0.3
            x, D = y[:Q] + torch.randn(Q, d, generator=generator), Empirical(y)
            D(x, 1.0)  # warm
            rows.append({name: size, "memolib": seconds(lambda D=D, x=x: D(x, 1.0))})
            rows[-1]["softmax of expanded distances"] = seconds(
                lambda x=x, y=y: expanded(x, y, 1.0)
            )
        last = {name: "exponent"}
        for way in ("memolib", "softmax of expanded distances"):
            last[way], last[f"{way}, error"] = exponent(sizes, [row[way] for row in rows])
        tables[f"time against {name}"] = [*rows, last]
    return tables


def many_noises(N: int = 60_000, d: int = 784, steps: int = 40) -> list[dict]:
    """Own weight, N_eff and information of all N points at 40 noise variances.

    In one pass, and in one call for each.
    """
    y = torch.rand(N, d, generator=torch.Generator().manual_seed(3)) * 0.3
    D, times, few = Empirical(y), np.geomspace(30, 0.3, steps), 500

    def one_by_one() -> None:
        for t in times:
            x = y[:few] + t**0.5 * torch.randn(few, d)
            D.n_eff(x, t), D.log_density(x, t)

    return [
        {
            "way": "memolib.memorization.profile, all points",
            "s": seconds(lambda: profile(y, times, seed=0), repeats=1),
        },
        {
            "way": f"one noise variance at a time (timed on {few} points)",
            "s": seconds(one_by_one, 1) * N / few,
        },
    ]


def single_precision() -> list[dict]:
    """Largest error of float32 answers against float64, at large and small noise.

    In units of the data's spread.
    """
    generator = torch.Generator().manual_seed(1)
    y = torch.sigmoid(
        torch.randn(20_000, 20, generator=generator) @ torch.randn(20, 784, generator=generator) / 3
    )
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
                times = f"{row['s']:8.3f} s {row['s'] / rows[0]['s']:7.2f} x"
                print(f"{row['way']:38} {times}  {memory}   {error}")
    tables["float32 against float64"] = single_precision()
    tables |= scaling()
    tables["40 noise variances, N = 60,000, d = 784, float32"] = many_noises()
    for title in list(tables)[-5:]:
        table(title, tables[title])
    write(
        "empirical",
        tables,
        start,
        queries=QUERIES,
        keops="installed" if LazyTensor else "not installed",
    )


if __name__ == "__main__":
    main()
