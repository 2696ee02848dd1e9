"""Is a sample a copy, and when does a data set's empirical score begin to copy? Measures for any data."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq

from memolib._tensors import as_noise, as_points
from memolib._validate import count, real, real_array
from memolib.empirical import BLOCK_BYTES, TOLERANCE
from memolib.points import add_noise, gaussian
from memolib.theory.collapse import collapse_time as gaussian_collapse_time


def nearest_ratio(x, data) -> torch.Tensor:
    """Ratio d1/d2 of the distances to the nearest and the second nearest data point: near 0 for a copy.

    Args:
        x: points to judge, shape (n, d).
        data: the data, shape (N, d) with N at least 2, distinct points.
    Returns: from 0 to 1, shape (n,). Raises: ValueError for other arguments.
    Source: the test of Yoon et al. (2023) for copies in diffusion models. Chapter: ``diffusion/empirical_score``.
    """
    data = as_points("data", data)
    if len(data) < 2:
        raise ValueError(f"data has {len(data)} point; allowed are two or more")
    x = as_points("x", x, data.shape[1]).to(data)
    rows = max(1, 4_000_000 // len(data))  # blocks of some tens of MB
    near = [
        torch.cdist(b, data, compute_mode="donot_use_mm_for_euclid_dist").topk(2, 1, False).values
        for b in x.split(rows)
    ]
    d1, d2 = torch.cat(near).T
    return d1 / d2


def pointwise_information(y, law, t, seed=None) -> torch.Tensor:
    """Information density ``ln p(x|y)/p(x)`` of data points with noisy copies x drawn here; its mean is ``I(y; x_t)``.

    Args:
        y: data points, shape (n, d).
        law: their law, with ``log_density(x, t)``.
        t: noise variance, above 0.
        seed: of the noise, int or ``numpy.random.Generator``.
    For data of unknown law take the empirical denoiser of a *pool* of other data of that law as ``law``: then the mean
    estimates the information from above (Jensen: a pool of M points makes ln p(x) too low on average, the more so the
    closer I comes to ln M). With the points' own data set as law, the mean never exceeds ln N.
    Returns: in nats, shape (n,). Raises: ValueError otherwise. Source and Chapters: ``tour``, ``diffusion/collapse``.
    """
    y, t = as_points("y", y), as_noise(t)
    return _information(y, add_noise(y, t, seed), law, t)


class CollapseTime(NamedTuple):
    """Where the information reaches ln N.

    Attributes:
        t: noise variance, unit of the data squared.
        error: its standard error from the finite number of points.
    """

    t: float
    error: float


def collapse_time(y, law, N: float, seed=None) -> CollapseTime:
    """Noise variance at which the mean ``pointwise_information`` of data points is ln N.

    Args:
        y: data points, fresh from the law or held out, shape (n, d), n at least 2.
        law: their law, with ``log_density(x, t)``; for a pool of data see ``pointwise_information``.
        N: number of training points, above 1.
        seed: int: the same noise at every t.
    Returns: CollapseTime. Raises: ValueError for other arguments. Source and Chapter: ``manifold/curved_manifolds``.
    """
    y, log_n = as_points("y", y), np.log(real("N", N, minimum=1, strict=True))
    if len(y) < 2 or not float(y.var(dim=0).sum()) > 0:
        raise ValueError(f"y has {len(y)} points, all equal; allowed are two or more that are not")
    noise = gaussian(*y.shape, seed=None if seed is None else [seed, 1])

    @cache
    def nats(log_t: float) -> np.ndarray:
        return _information(y, y + np.exp(log_t / 2) * noise, law, np.exp(log_t)).numpy()

    # a Gaussian of the same covariance collapses earlier: walk down from there, so that t is never much too small
    variances = np.linalg.eigvalsh(np.cov(y.T.numpy()).reshape(y.shape[1], -1)).clip(min=0)
    high = low = np.log(gaussian_collapse_time(variances, N))
    top, floor = high + 30, high - 30
    while floor < low and nats(low).mean() < log_n:
        low -= 0.7
    while high < top and nats(high).mean() > log_n:
        high += 0.7
    log_t = brentq(lambda v: nats(v).mean() - log_n, low, high, xtol=1e-3) if floor < low < high < top else low
    slope = (nats(log_t + 0.1) - nats(log_t - 0.1)).mean() / 0.2
    if not slope < -0.02:
        raise ValueError(f"N is {N:g}; allowed are numbers whose logarithm the information of these points passes")
    t = float(np.exp(log_t))
    return CollapseTime(t, float(-t * nats(log_t).std(ddof=1) / len(y) ** 0.5 / slope))


class Profile(NamedTuple):
    """How a data set looks from its own noisy points, at noise variances t.

    Attributes:
        t: noise variances, shape (T,), unit of the data squared.
        log_odds: of the own point against all others, ``ln w - ln(1-w)``, shape (T, n); ``sigmoid`` gives the weight w.
        participation: Y, shape (T, n); ``1/Y`` is N_eff.
    """

    t: torch.Tensor
    log_odds: torch.Tensor
    participation: torch.Tensor

    def information(self, N: int) -> torch.Tensor:
        """Pointwise information in nats, shape (T, n): ``ln(N-1)`` + log_odds, the pool being the other N - 1 data.

        N is the number of data that ``profile`` was given. On average too high, as with every pool.
        """
        return self.log_odds + np.log(N - 1)


def profile(data, t, *, n: int | None = None, seed=None) -> Profile:
    """Own weight, N_eff and information of noisy data points (points A) at many noise variances, in one pass.

    As ``|y + sqrt(t) xi - y_i|^2 = |y-y_i|^2 + 2 sqrt(t) xi (y-y_i) + t |xi|^2``, with one xi a point for all t, two
    products of matrices serve them all.

    Args:
        data: N points, 2 or more, shape (N, d); float tensors keep their type, everything else becomes float64.
        t: noise variances, above 0, shape (T,); so small ones that rounding would spoil the answers are refused.
        n: number of points to look from, the first n; None is all N.
        seed: int or ``numpy.random.Generator``, of the noise; another one than the data's.
    Returns: Profile. Raises: ValueError for other arguments. Source and Chapter: ``diffusion/collapse``.
    """
    y = as_points("data", data).detach()
    y = y - y.mean(dim=0)
    if len(y) < 2:
        raise ValueError(f"data has {len(y)} point; allowed are two or more")
    n = len(y) if n is None else count("n", n, maximum=len(y))
    times, squares, rng = real_array("t", t, minimum=0, strict=True), (y**2).sum(dim=1), np.random.default_rng(seed)
    lowest = float(squares.max()) * torch.finfo(y.dtype).eps / (2 * TOLERANCE.get(y.dtype, 0.01))
    if times.ndim != 1 or not len(times) or times.min() < lowest:
        raise ValueError(f"t is {t}; allowed, shape (T,), are values of {lowest:.3g} or more for {y.dtype} data")
    rows = max(8, BLOCK_BYTES * 4 // (len(y) * y.element_size()))  # wide enough for the products to be fast
    parts = [_profile(y, squares, slice(i, min(i + rows, n)), times, rng) for i in range(0, n, rows)]
    return Profile(torch.from_numpy(times.copy()), *(torch.cat(sums, dim=1) for sums in zip(*parts, strict=True)))


def _profile(y: torch.Tensor, squares: torch.Tensor, rows: slice, times: np.ndarray, rng) -> tuple[torch.Tensor, ...]:
    """Log odds and participation of some noisy data points, each of shape (T, rows)."""
    noise = gaussian(*y[rows].shape, seed=rng).to(y)
    halves = (y[rows] @ y.T).sub_(squares / 2).sub_(squares[rows, None] / 2).clamp_(max=0)
    cross = (noise @ y.T).sub_((noise * y[rows]).sum(dim=1, keepdim=True))
    halves[range(len(noise)), range(rows.start, rows.stop)] = -torch.inf  # the own point, whose exponent is 0
    log_odds, others = y.new_empty(2, len(times), len(noise))
    few = max(1, BLOCK_BYTES // (8 * len(y) * y.element_size()))  # so that the temporaries stay in the cache
    for some in range(0, len(noise), few):
        half, along = halves[some : some + few], cross[some : some + few]
        exponents, weights = torch.empty_like(half), torch.empty_like(half)
        for k, t in enumerate(times.tolist()):
            torch.add(half, along, alpha=t**0.5, out=exponents)
            top = exponents.mul_(1 / t).amax(dim=1)
            torch.softmax(exponents, dim=1, out=weights)
            log_odds[k, some : some + few] = weights.amax(dim=1).log() - top
            others[k, some : some + few] = torch.linalg.vector_norm(weights, dim=1) ** 2
    own = torch.sigmoid(log_odds)
    return log_odds, own**2 + (1 - own) ** 2 * others


def _information(y: torch.Tensor, x: torch.Tensor, law, t: float) -> torch.Tensor:
    log_conditional = -((x - y) ** 2).sum(dim=1) / (2 * t) - y.shape[1] / 2 * np.log(2 * np.pi * t)
    return log_conditional - law.log_density(x, t)
