"""Spectra of networks' Jacobians against plain ways, in one run.

Run by ``python benchmarks/network_spectra.py``.

Residual networks and U-Nets for images of 28x28 (784 coordinates) and 32x32x3 (3,072), at smooth
random images with noise: the stored U-Net of 5,000 images of MNIST, the others trained here for a
moment. Plain are automatic differentiation of one coordinate of the answer after the other,
denoising one kick or one noisy copy at a time, and, for the leading eigenvalues, memolib's own full
spectrum. Where the plain way is timed on a part, its time is scaled. Prints tables, and writes
results/benchmarks/network_spectra.json.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from _common import megabytes, seconds, stored_unet, table, write

from memolib import spectra
from memolib.networks import NetworkDenoiser, ResidualMLP, UNet
from memolib.points import add_noise, gaussian
from memolib.training import train

T = 0.1  # noise variance, of pixels from 0 to 1
LEADING = 100


def images(n: int, d: int, seed: int) -> torch.Tensor:
    """Points like images: coordinates from 0 to 1, smooth functions of 15 hidden ones.

    The functions are the same for every seed.
    """
    return torch.sigmoid(gaussian(n, 15, seed=seed) @ gaussian(15, d, seed=99) / 2).float()


def networks() -> dict[str, NetworkDenoiser]:
    """Denoisers that no longer need gradients of their parameters."""
    small, large = images(200, 784, seed=0), images(200, 3_072, seed=0)
    return {
        "ResidualMLP(784, width=256)": train(
            small, ResidualMLP(784, width=256), steps=200, batch=64
        ).denoisers[0],
        "UNet(28, 1)": stored_unet()[0],
        "ResidualMLP(3072, width=256)": train(
            large, ResidualMLP(3_072, width=256), steps=200, batch=64
        ).denoisers[0],
        "UNet(32, 3)": train(large, UNet(32, 3), steps=100, batch=8).denoisers[0],
    }


def by_rows(D: NetworkDenoiser, x: torch.Tensor, rows: int) -> torch.Tensor:
    """First rows of the Jacobians, one row of one point at a time: (n, rows, d)."""
    jacobians = []
    for point in x:
        z = point[None].clone().requires_grad_()
        answer = D(z, T)[0]
        jacobians.append(
            torch.cat([torch.autograd.grad(a, z, retain_graph=True)[0] for a in answer[:rows]])
        )
    return torch.stack(jacobians)


def by_kicks(D: NetworkDenoiser, x: torch.Tensor, kicks: int) -> torch.Tensor:
    """First columns of the differences of ``method="perturbation"``, one kick at a time."""
    columns, size = [], T**0.5
    for kick in size * torch.eye(x.shape[1])[:kicks]:
        columns.append(
            torch.cat([D(z[None] + kick, T) - D(z[None] - kick, T) for z in x]) / (2 * size)
        )
    return torch.stack(columns, dim=-1)


def by_copies(D: NetworkDenoiser, x: torch.Tensor, copies: int) -> torch.Tensor:
    """The normal bundle of one point by singular values, its scores at one copy after the other."""
    noisy = x + T**0.5 * torch.from_numpy(
        np.random.default_rng(0).standard_normal((copies, x.shape[1]))
    ).to(x)
    back = torch.cat([(D(y[None], T) - y) / T**0.5 for y in noisy])
    values = torch.linalg.svdvals(back) ** 2 / copies
    return 1 - torch.cat([values, torch.zeros(x.shape[1] - len(values))]).flip(0)


def falling(G: torch.Tensor) -> torch.Tensor:
    """Eigenvalues of the symmetric part."""
    return torch.linalg.eigvalsh((G + G.mT) / 2).flip(-1)


def measured(run: Callable) -> tuple[torch.Tensor, float, float]:
    """Answer of a run, its seconds and megabytes.

    The best of three, where one takes less than three seconds.
    """
    answers, times = [], []
    memory = megabytes(lambda: times.append(seconds(lambda: answers.append(run()), repeats=1)))
    return answers[0], seconds(run) if times[0] < 3 else times[0], memory


def row(what: str, name: str, d: int, ours: tuple, plain: tuple, deviation: float) -> dict:
    """One line of a table."""
    return {
        "what": what,
        "network": name,
        "d": d,
        "memolib, s": ours[1],
        "plain, s": plain[1],
        "ratio": plain[1] / ours[1],
        "memolib, MB": ours[2],
        "plain, MB": plain[2],
        "deviation": deviation,
    }


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference over the largest number."""
    return float((one - other).abs().max() / other.abs().max())


def whole(name: str, D: NetworkDenoiser, x: torch.Tensor) -> list[dict]:
    """Jacobian, full spectrum, orthogonal kicks, normal bundle: rows for 784 coordinates."""
    n, d = x.shape
    ours, plain = measured(lambda: spectra.jacobian(D, x, T)), measured(lambda: by_rows(D, x, d))
    rows = [row(f"Jacobian, {n} points", name, d, ours, plain, apart(ours[0], plain[0]))]
    ours, plain = (
        measured(lambda: spectra.spectrum(D, x, T)),
        measured(lambda: falling(by_rows(D, x, d))),
    )
    rows.append(row(f"full spectrum, {n} points", name, d, ours, plain, apart(ours[0], plain[0])))
    with torch.no_grad():
        ours = measured(lambda: spectra.spectrum(D, x, T, method="perturbation"))
        plain = measured(lambda: falling(by_kicks(D, x, d)))
        rows.append(
            row(f"orthogonal kicks, {n} points", name, d, ours, plain, apart(ours[0], plain[0]))
        )
        ours = measured(lambda: spectra.normal_bundle(D, x[:1], T, seed=0))
        plain = measured(lambda: by_copies(D, x[:1], 4 * d))
        rows.append(row("normal bundle, 1 point", name, d, ours, plain, apart(ours[0], plain[0])))
    return rows


def part(name: str, D: NetworkDenoiser, x: torch.Tensor, rows: int = 64) -> list[dict]:
    """Full spectrum by rows, and leading eigenvalues against it: rows for 3,072 coordinates."""
    d = x.shape[1]
    full, some = measured(lambda: spectra.spectrum(D, x, T)), measured(lambda: by_rows(D, x, rows))
    scaled = d / rows * some[1] + seconds(
        lambda: falling(gaussian(d, d, seed=0).float()), repeats=1
    )
    deviation = apart(spectra.jacobian(D, x, T)[:, :rows], some[0])
    what = f"full spectrum, 1 point (plain: {rows} rows, scaled)"
    lines = [row(what, name, d, full, (some[0], scaled, some[2]), deviation)]
    for blocks in (1, 3):
        ours = measured(
            lambda blocks=blocks: spectra.leading(D, x, T, LEADING, blocks=blocks, seed=0)
        )
        what = f"leading {LEADING}, blocks={blocks} (plain: memolib's full spectrum)"
        lines.append(row(what, name, d, ours, full, apart(ours[0].values, full[0][:, :LEADING])))
    return lines


def main() -> None:
    """Run all networks, print them, and write them with their record."""
    start, rows = time.perf_counter(), []
    torch.set_num_threads(1)
    for name, D in networks().items():
        d = D.network.d
        x = add_noise(images(2, d, seed=1), T, seed=2)
        D(x, T)
        rows += whole(name, D, x) if d == 784 else part(name, D, x[:1])
        table(name, [r for r in rows if r["network"] == name])
    write("network_spectra", {f"spectra of networks, t = {T}, float32": rows}, start)


if __name__ == "__main__":
    main()
