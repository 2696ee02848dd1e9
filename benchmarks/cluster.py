"""The empirical denoiser on a cluster of processes, and what larger data would cost.

Run by ``python benchmarks/cluster.py``.

1,000 queries to 60,000 points of MNIST's size, in float32, in this process and on one and two
worker processes of one thread each; the rate of the two workers then gives hours and memory for
larger data sets. Writes results/benchmarks/cluster.json.
"""

import time

import torch
from _common import seconds, table, write
from distributed import LocalCluster

from memolib.cluster import Sharded
from memolib.empirical import Empirical

N, Q, PIXELS, T = 60_000, 1_000, 784, 1.0
LARGER = {
    "a million images of 28x28": (1e6, 784),
    "a hundred million images of 32x32x3": (1e8, 3_072),
}


def main() -> None:
    """Time, extrapolate, print and write."""
    start, generator = time.perf_counter(), torch.Generator().manual_seed(0)
    y = torch.rand(N, PIXELS, generator=generator) * 0.3
    x = y[:Q] + T**0.5 * torch.randn(Q, PIXELS, generator=generator)
    torch.set_num_threads(1)
    D = Empirical(y)
    exact, rows = (
        D(x, T),
        [{"where": "this process, one thread", "s": seconds(lambda: D(x, T)), "deviation": 0.0}],
    )
    for workers in (1, 2):
        with LocalCluster(workers, threads_per_worker=1, dashboard_address=":0") as local:
            shards = Sharded(list(y.chunk(workers)), local.scheduler_address)
            shards._client.run(torch.set_num_threads, 1)
            deviation = float((shards(x, T) - exact).abs().max())
            where = f"{workers} worker{'s' * (workers > 1)} of one thread"
            rows.append(
                {"where": where, "s": seconds(lambda D=shards: D(x, T)), "deviation": deviation}
            )
            shards.close()
    rate = 4 * N * Q * PIXELS / rows[-1]["s"] / 2  # operations per second and core
    estimates = [
        {
            "data": name,
            "operations per query": 4 * size * d,
            "core-hours for 1,000 queries": 4 * size * d * 1_000 / rate / 3_600,
            "GB in float32": 4 * size * d / 1e9,
            "workers of 16 GB": float(
                -(-2 * 4 * size * d // 12e9)
            ),  # the data and one copy, in 12 of 16 GB
        }
        for name, (size, d) in LARGER.items()
    ]
    table("1,000 queries, N = 60,000, d = 784, float32", rows)
    table(f"at {rate / 1e9:.0f} billion operations per second and core", estimates)
    write("cluster", {"measured": rows, "estimated": estimates}, start, rate=rate)


if __name__ == "__main__":
    main()
