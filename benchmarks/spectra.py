"""Spectra of Jacobians against the plain way and automatic differentiation, in one run.

Run by ``python benchmarks/spectra.py``.

The empirical denoiser of 60,000 points of MNIST's size, at 100 noisy points: eigenvalues by the
Gram matrix of the points that matter; the plain way, softmax weights, one covariance of the points
whose weight is not zero, and an eigenvalue routine (timed on ten points); and forward-mode
differentiation of the same denoiser (timed on two). The data are smooth functions of 15 hidden
coordinates, so that few or many of them carry weight, as with images. Prints a table, and writes
results/benchmarks/spectra.json.
"""

import time

import torch
from _common import seconds, table, write
from torch.func import jvp, vmap

from memolib.empirical import Empirical
from memolib.points import add_noise, gaussian

POINTS, N, PIXELS = 100, 60_000, 784
TIMES = 0.1, 0.5, 1.0, 1.3, 2.0, 3.0, 5.0, 20.0


def by_covariance(y: torch.Tensor, x: torch.Tensor, t: float) -> torch.Tensor:
    """Eigenvalues of the weighted covariance over t, one product of matrices a point.

    In double precision, as the routine fails on nearly singular matrices of single precision.
    """
    weights = torch.softmax((x @ y.T - (y**2).sum(dim=1) / 2) / t, dim=1)

    def spectrum(w: torch.Tensor) -> torch.Tensor:
        carry = w > 0
        points, w = y[carry], w[carry]
        spread = points - w @ points
        covariance = (spread * w[:, None]).T @ spread / t
        return torch.linalg.eigvalsh(covariance.double()).flip(0)

    return torch.stack([spectrum(w) for w in weights])


def by_autograd(y: torch.Tensor, x: torch.Tensor, t: float) -> torch.Tensor:
    """Eigenvalues of the Jacobian of a plain softmax denoiser, by d forward-mode derivatives.

    98 at a time.
    """
    biases = -(y**2).sum(dim=1) / 2

    def denoise(point: torch.Tensor) -> torch.Tensor:
        return torch.softmax((y @ point + biases) / t, dim=0) @ y

    def spectrum(point: torch.Tensor) -> torch.Tensor:
        along = vmap(lambda direction: jvp(denoise, (point,), (direction,))[1], chunk_size=98)
        return torch.linalg.eigvalsh(along(torch.eye(len(point)).to(point))).flip(0)

    return torch.stack([spectrum(point) for point in x])


def main() -> None:
    """Run all noise variances, print them, and write them with their record."""
    start, rows = time.perf_counter(), []
    y = torch.sigmoid(gaussian(N, 15, seed=0) @ gaussian(15, PIXELS, seed=1) / 2).float()
    D = Empirical(y)
    for t in TIMES:
        x = add_noise(y[:POINTS], t, seed=2)
        mean, found = D.data.mean(dim=0), {}
        mine = (
            seconds(lambda x=x, t=t, found=found: found.update(ours=D.spectrum(x, t)), repeats=1)
            / POINTS
        )
        by_hand = seconds(lambda x=x, t=t: by_covariance(y, x[:10], t), repeats=2) / 10
        centred = D.data - mean, x[:2] - mean
        theirs = (
            seconds(
                lambda t=t, found=found, c=centred: found.update(theirs=by_autograd(*c, t)),
                repeats=1,
            )
            / 2
        )
        rows.append(
            {
                "t": t,
                "N_eff": float(D.n_eff(x, t).log().mean().exp()),
                "points that matter": float(
                    torch.tensor(
                        [float(len(kept)) for kept, _ in D._softmax.carriers_of_spread(x, t)]
                    ).median()
                ),
                "memolib, ms": 1000 * mine,
                "plain, ms": 1000 * by_hand,
                "autograd, ms": 1000 * theirs,
                "plain over memolib": by_hand / mine,
                "deviation": float((found["ours"][:2] - found["theirs"]).abs().max()),
            }
        )
        table(f"t = {t}", rows[-1:])
    write("spectra", {"empirical denoiser, 60,000 points, d = 784, float32": rows}, start)


if __name__ == "__main__":
    main()
