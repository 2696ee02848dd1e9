"""Estimates of the dimension against the plain ways, and against the truth.

Run by ``python benchmarks/dimension.py``.

At a point of 784 coordinates, for the empirical denoiser of 5,000 points and for a trained U-Net:
FLIPD with the trace by 784 reverse-mode derivatives, one after the other; the normal bundle's gap
by scores at one noisy copy at a time and a full singular value decomposition. (memolib: best of
two, as torch's first forward-mode derivative takes seconds.) Then all estimates on flat manifolds
of 5, 20 and 100 dimensions with variances from 0.01 to 1, known exactly. Prints tables, and writes
results/benchmarks/dimension.json.
"""

import time

import numpy as np
import torch
from _common import megabytes, seconds, stored_unet, table, write

from memolib.dimension import effective, flipd, normal_bundle_dimension
from memolib.empirical import Empirical
from memolib.manifolds import LinearManifold, random_rotation
from memolib.points import gaussian

N, PIXELS, COPIES, PROBES = 5_000, 784, 4 * 784, 100


def plain_flipd(denoise, x: torch.Tensor, t: float) -> torch.Tensor:
    """Trace by one reverse-mode derivative for each coordinate."""
    x = x.clone().requires_grad_()
    answer, trace = denoise(x, t), 0.0
    for k in range(x.shape[1]):
        trace += float(torch.autograd.grad(answer[0, k], x, retain_graph=True)[0][0, k])
    return trace + ((answer - x) ** 2).sum(dim=1).detach() / t


def plain_bundle(denoise, x: torch.Tensor, t: float) -> torch.Tensor:
    """Largest step between singular values of scores at noisy copies.

    In units where the noise's lie around 1.
    """
    noise, scores = np.random.default_rng(0).standard_normal((COPIES, x.shape[1])), []
    with torch.no_grad():
        for xi in noise:
            noisy = x + t**0.5 * torch.from_numpy(xi).to(x)
            scores.append((denoise(noisy, t) - noisy)[0] / t)
    singular = torch.linalg.svd(torch.stack(scores))[1] * (t / COPIES) ** 0.5
    return -singular.clamp(max=1).diff().min()


def measured(run, repeats: int = 1) -> tuple[float, float, float]:
    """Answer, seconds, and peak memory in MB."""
    answers, times = [], []
    memory = megabytes(lambda: times.append(seconds(lambda: answers.append(run()), repeats)))
    return float(answers[0]), times[0], memory


def speed(denoiser, denoise, x: torch.Tensor, t: float) -> list[dict]:
    """Rows for one denoiser, given as memolib's and in plain operations."""
    trace, gap = (
        measured(lambda: plain_flipd(denoise, x, t)),
        measured(lambda: plain_bundle(denoise, x, t)),
    )
    ways = (
        ("FLIPD, exact", lambda: flipd(denoiser, x, t), trace),
        (f"FLIPD, {PROBES} probes", lambda: flipd(denoiser, x, t, probes=PROBES, seed=0), trace),
        ("normal bundle, gap", lambda: normal_bundle_dimension(denoiser, x, t, seed=0).size, gap),
    )
    rows = []
    for way, run, (expected, theirs, plain_memory) in ways:
        answer, mine, memory = measured(run, repeats=2)
        row = {"way": way, "answer": answer, "deviation": abs(answer - expected)}
        row |= {"memolib, s": mine, "plain, s": theirs, "ratio": theirs / mine}
        rows.append(row | {"memolib, MB": memory, "plain, MB": plain_memory})
    return rows


def accuracy(m: int, t: float) -> dict:
    """Estimates at points of a flat manifold: mean of ten (normal bundle: of three)."""
    law = LinearManifold(
        np.r_[np.geomspace(0.01, 1, m), np.zeros(PIXELS - m)], random_rotation(PIXELS, seed=m)
    )
    x = law.sample(10, seed=1)
    return {
        "m": m,
        "t": t,
        "tr G": float(effective(law, x, t).mean()),
        f"tr G, {PROBES} probes": float(effective(law, x, t, probes=PROBES, seed=2).mean()),
        "FLIPD": float(flipd(law, x, t).mean()),
        "normal bundle": float(normal_bundle_dimension(law, x[:3], t, seed=3).rank.double().mean()),
    }


def main() -> None:
    """Run all, print it, and write it with its record."""
    start, tables = time.perf_counter(), {}
    torch.set_num_threads(1)
    y = torch.sigmoid(gaussian(N, 15, seed=0) @ gaussian(15, PIXELS, seed=1) / 2).float()
    biases = -(y**2).sum(dim=1) / 2
    empirical = (
        Empirical(y),
        lambda x, t: torch.softmax((x @ y.T + biases) / t, dim=1) @ y,
        y[:1],
        3.0,
    )
    unet, image = stored_unet()
    network = unet, unet, image, 0.3
    for title, case in (("empirical denoiser, 5,000 points", empirical), ("U-Net", network)):
        tables[f"{title}, one point, d = {PIXELS}, t = {case[-1]:g}"] = rows = speed(*case)
        table(title, rows)
    tables["flat manifolds"] = [
        accuracy(m, t) for m in (5, 20, 100) for t in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    ]
    table("flat manifolds", tables["flat manifolds"])
    write("dimension", tables, start)


if __name__ == "__main__":
    main()
