"""Is a sample a copy, and when does a data set's empirical score begin to copy? Measures for any
data.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq

from memolib._softmax import BLOCK_BYTES, TOLERANCE
from memolib._tensors import as_noise, as_points
from memolib._validate import count, generator, real, real_array
from memolib.empirical import Averages
from memolib.points import add_noise, gaussian
from memolib.theory.collapse import collapse_time as gaussian_collapse_time


def nearest_ratio(x, data) -> torch.Tensor:
    """Give the ratio d1/d2 of the distances to the nearest and the second nearest data point: near
    0 for a copy.

    Data that occur more than once count once, so that a copy of such a datum is a copy too.

    Args:
        x: points to judge, shape (n, d).
        data: the data, shape (N, d), two different points or more.

    Returns:
        From 0 to 1, shape (n,), in the precision of the data.

    Source:
        The test of Yoon et al. (2023) for copies in diffusion models.

    Chapter:
        ``diffusion/empirical_score``

    Example:
        >>> import torch
        >>> from memolib.memorization import nearest_ratio
        >>> data = torch.tensor([[0.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
        >>> nearest_ratio(torch.tensor([[4.0, 0.0], [1.0, 0.0]]), data)
        tensor([0.0000, 0.3333])
    """
    data = as_points("data", data)
    data = data if data.dtype.itemsize > 2 else data.float()
    x = as_points("x", x, data.shape[1]).to(data)
    if (data == data[0]).all():
        raise ValueError(
            f"data has {len(data)} points, all equal; allowed are two different ones or more"
        )
    d1, d2 = _two_nearest(x, data)
    tied = d1 == d2  # a datum that occurs twice, perhaps
    if tied.any():
        d1[tied], d2[tied] = _two_nearest(x[tied], data.unique(dim=0))
    return d1 / d2


def _two_nearest(x: torch.Tensor, data: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances to the nearest and the second nearest datum, by differences, in blocks of tens of
    MB.
    """
    blocks = x.split(max(1, 4_000_000 // len(data)))
    near = [
        torch.cdist(b, data, compute_mode="donot_use_mm_for_euclid_dist").topk(2, 1, False).values
        for b in blocks
    ]
    d1, d2 = torch.cat(near).T
    return d1.clone(), d2.clone()


def copies(x, data, fresh, *, level: float = 0.01) -> torch.Tensor:
    """Tell which points are copies: nearer to their nearest datum, in d1/d2, than nearly all fresh
    points are.

    Args:
        x: points to judge, such as samples of a model, shape (n, d).
        data: the training data, shape (N, d), two different points or more.
        fresh: the control, points of the same law that no model was trained on, shape (m, d).
        level: share of fresh points that pass for copies, above 0 and below 1.

    Returns:
        1 for copies and 0 for others, shape (n,), float64: its mean is the share of copies.

    Source:
        The control: this book.

    Chapter:
        ``networks/images``

    Example:
        >>> from memolib.memorization import copies
        >>> from memolib.points import gaussian
        >>> data, fresh = gaussian(100, 5, seed=0), gaussian(1_000, 5, seed=1)
        >>> copies(data[:4] + 1e-3, data, fresh).mean()
        tensor(1., dtype=torch.float64)
    """
    level = real("level", level, minimum=0, strict=True)
    if level >= 1:
        raise ValueError(f"level is {level}; allowed are numbers below 1")
    return (nearest_ratio(x, data) < nearest_ratio(fresh, data).quantile(level)).double()


def pointwise_information(y, law, t, seed=None) -> torch.Tensor:
    """Information density ``ln p(x|y)/p(x)`` of data points with noisy copies x drawn here; its
    mean is ``I(y; x_t)``.

    Args:
        y: data points, shape (n, d).
        law: their law, with ``log_density(x, t)``.
        t: noise variance, above 0.
        seed: of the noise, int or ``numpy.random.Generator``.
    For data of unknown law take the empirical denoiser of a *pool* of other data of that law as
    ``law``: then the mean estimates the information from above (Jensen: a pool of M points makes ln
    p(x) too low on average, the more so the closer I comes to ln M). With the points' own data set
    as law, the mean never exceeds ln N.
    Returns: in nats, shape (n,). Raises: ValueError otherwise. Source and Chapters: ``tour``,
    ``diffusion/collapse``.
    """
    y, t = as_points("y", y), as_noise(t)
    return _information(y, add_noise(y, t, generator(seed, "pointwise_information")), law, t)


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
        law: their law, with ``log_density(x, t)``; for a pool of data see
            ``pointwise_information``.
        N: number of training points, above 1.
        seed: int or ``numpy.random.Generator``, of the noise, which is the same at every t.
    Returns: CollapseTime. Raises: ValueError for other arguments. Source and Chapter:
    ``manifold/curved_manifolds``.
    """
    y, log_n = as_points("y", y), np.log(real("N", N, minimum=1, strict=True))
    if len(y) < 2 or not float(y.var(dim=0).sum()) > 0:
        raise ValueError(f"y has {len(y)} points, all equal; allowed are two or more that are not")
    if isinstance(law, Averages) and float(N) >= law.shape[0]:
        raise ValueError(
            f"N is {N:g}; allowed, with a pool of {law.shape[0]} data as law, are numbers below that"
        )
    noise = gaussian(*y.shape, seed=generator(seed, "collapse_time"))

    @cache
    def nats(log_t: float) -> np.ndarray:
        return _information(y, y + np.exp(log_t / 2) * noise, law, np.exp(log_t)).cpu().numpy()

    # a Gaussian of the same covariance collapses earlier: walk down from there, so that t is never
    # much too small
    variances = np.linalg.eigvalsh(np.cov(y.T.numpy()).reshape(y.shape[1], -1)).clip(min=0)
    high = low = np.log(gaussian_collapse_time(variances, N))
    top, floor = high + 30, high - 30
    while floor < low and nats(low).mean() < log_n:
        low -= 0.7
    while high < top and nats(high).mean() > log_n:
        high += 0.7
    log_t = (
        brentq(lambda v: nats(v).mean() - log_n, low, high, xtol=1e-3)
        if floor < low < high < top
        else low
    )
    slope = (nats(log_t + 0.1) - nats(log_t - 0.1)).mean() / 0.2
    if not slope < -0.02:
        raise ValueError(
            f"N is {N:g}; allowed are numbers whose logarithm the information of these points passes"
        )
    t = float(np.exp(log_t))
    return CollapseTime(t, float(-t * nats(log_t).std(ddof=1) / len(y) ** 0.5 / slope))


class Profile(NamedTuple):
    """How a data set looks from its own noisy points, at noise variances t.

    Attributes:
        t: noise variances, shape (T,), unit of the data squared.
        log_odds: of the own point against all others, ``ln w - ln(1-w)``, shape (T, n); ``sigmoid``
            gives the weight w.
        participation: Y, shape (T, n); ``1/Y`` is N_eff.
        N: number of data.
    """

    t: torch.Tensor
    log_odds: torch.Tensor
    participation: torch.Tensor
    N: int

    def information(self) -> torch.Tensor:
        """Give the pointwise information in nats, ``ln(N-1)`` + log_odds: the pool are the other N
        - 1 data.

        On average it is too high, as with every pool.

        Returns:
            Shape (T, n).
        """
        return self.log_odds + np.log(self.N - 1)


def profile(data, t, *, n: int | None = None, seed=None) -> Profile:
    """Own weight, N_eff and information of noisy data points (points A) at many noise variances, in
    one pass.

    As ``|y + sqrt(t) xi - y_i|^2 = |y-y_i|^2 + 2 sqrt(t) xi (y-y_i) + t |xi|^2``, with one xi a
    point for all t, two products of matrices serve them all.

    Args:
        data: N points, 2 or more, shape (N, d); float tensors keep their type, everything else
            becomes float64.
        t: noise variances, above 0, shape (T,); so small ones that rounding would spoil the answers
            are refused.
        n: number of points to look from, the first n; None is all N.
        seed: int or ``numpy.random.Generator``, of the noise.
    Returns: Profile. Raises: ValueError for other arguments. Source and Chapter:
    ``diffusion/collapse``.
    """
    y = as_points("data", data).detach()
    y = y - y.mean(dim=0)
    if len(y) < 2:
        raise ValueError(f"data has {len(y)} point; allowed are two or more")
    n = len(y) if n is None else count("n", n, maximum=len(y))
    times, squares, rng = (
        real_array("t", t, minimum=0, strict=True),
        (y**2).sum(dim=1),
        generator(seed, "profile"),
    )
    lowest = float(squares.max()) * torch.finfo(y.dtype).eps / (2 * TOLERANCE.get(y.dtype, 0.01))
    if times.ndim != 1 or not len(times) or times.min() < lowest:
        raise ValueError(
            f"t is {t}; allowed, shape (T,), are values of {lowest:.3g} or more for {y.dtype} data"
        )
    rows = max(
        8, BLOCK_BYTES * 4 // (len(y) * y.element_size())
    )  # wide enough for the products to be fast
    parts = [
        _profile(y, squares, slice(i, min(i + rows, n)), times, rng) for i in range(0, n, rows)
    ]
    log_odds, participation = (torch.cat(sums, dim=1) for sums in zip(*parts, strict=True))
    return Profile(torch.from_numpy(times.copy()), log_odds, participation, len(y))


def _profile(
    y: torch.Tensor, squares: torch.Tensor, rows: slice, times: np.ndarray, rng
) -> tuple[torch.Tensor, ...]:
    """Log odds and participation of some noisy data points, each of shape (T, rows)."""
    noise = gaussian(*y[rows].shape, seed=rng).to(y)
    halves = (y[rows] @ y.T).sub_(squares / 2).sub_(squares[rows, None] / 2).clamp_(max=0)
    cross = (noise @ y.T).sub_((noise * y[rows]).sum(dim=1, keepdim=True))
    halves[
        range(len(noise)), range(rows.start, rows.stop)
    ] = -torch.inf  # the own point, whose exponent is 0
    log_odds, others = y.new_empty(2, len(times), len(noise))
    few = max(
        1, BLOCK_BYTES // (8 * len(y) * y.element_size())
    )  # so that the temporaries stay in the cache
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
    if not callable(getattr(law, "log_density", None)):
        raise ValueError(
            f"law is {law!r}; allowed is one with log_density(x, t): of a law, or of data"
        )
    log_conditional = -((x - y) ** 2).sum(dim=1) / (2 * t) - y.shape[1] / 2 * np.log(2 * np.pi * t)
    return log_conditional - law.log_density(x, t)
