"""Is a sample a copy, and when does a data set's empirical score begin to copy?

Measures for any data: nothing here asks for their law but what compares with it.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq

from memolib import theory
from memolib._softmax import BLOCK_BYTES, TOLERANCE
from memolib._tensors import as_noise, as_points
from memolib._validate import Seed, count, generator, real, real_array
from memolib.denoisers import Denoiser, TensorLike
from memolib.empirical import Averages
from memolib.points import add_noise, gaussian


def nearest_ratio(x: TensorLike, data: TensorLike) -> torch.Tensor:
    """Give the ratio d1/d2 of the distances to the nearest and the second nearest data point.

    It is near 0 for a copy. Data that occur more than once count once, so that a copy of such a
    datum is a copy too.

    Args:
        x: points to judge, shape (n, d).
        data: the data, shape (N, d), two different points or more.

    Returns:
        From 0 to 1, shape (n,), in the precision of the data.

    Raises:
        ValueError: for data that are all equal.

    Source:
        The test of Yoon et al. (2023) for copies in diffusion models.

    Chapter:
        ``diffusion/empirical_score``.

    Example:
        >>> import torch
        >>> from memolib import nearest_ratio
        >>> data = torch.tensor([[0.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
        >>> nearest_ratio(torch.tensor([[4.0, 0.0], [1.0, 0.0]]), data)
        tensor([0.0000, 0.3333])
    """
    data = as_points("data", data)
    data = data if data.dtype.itemsize > 2 else data.float()
    x = as_points("x", x, data.shape[1]).to(data)
    if (data == data[0]).all():
        allowed = "two different ones or more"
        raise ValueError(f"data has {len(data)} points, all equal; allowed are {allowed}")
    d1, d2 = _two_nearest(x, data)
    tied = d1 == d2  # a datum that occurs twice, perhaps
    if tied.any():
        d1[tied], d2[tied] = _two_nearest(x[tied], data.unique(dim=0))
    return d1 / d2


def _two_nearest(x: torch.Tensor, data: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances to the nearest and the second nearest datum.

    By differences, which are right far from the origin; in blocks of tens of MB.
    """
    mode = "donot_use_mm_for_euclid_dist"
    near = []
    for block in x.split(max(1, 4_000_000 // len(data))):
        away = torch.cdist(block, data, compute_mode=mode)
        near.append(away.topk(2, dim=1, largest=False).values)
    d1, d2 = torch.cat(near).T
    return d1.clone(), d2.clone()


def copy_threshold(data: TensorLike, fresh: TensorLike, *, level: float = 0.01) -> torch.Tensor:
    """Give the d1/d2 that all but a share ``level`` of fresh points exceed: below it is a copy.

    Args:
        data: the training data, shape (N, d), two different points or more.
        fresh: the control, points of the same law that no model was trained on, shape (m, d).
        level: share of fresh points that pass for copies, above 0 and below 1.

    Returns:
        One number, in the precision of the data.

    Raises:
        ValueError: for other arguments.

    Source:
        The control: this book.

    Chapter:
        ``networks/data_and_capacity``.
    """
    level = real("level", level, minimum=0, strict=True)
    if level >= 1:
        raise ValueError(f"level is {level}; allowed are numbers below 1")
    return nearest_ratio(fresh, data).quantile(level)


def copies(
    x: TensorLike, data: TensorLike, fresh: TensorLike, *, level: float = 0.01
) -> torch.Tensor:
    """Tell which points are copies: d1/d2 is below that of nearly all fresh points.

    Args:
        x: points to judge, such as samples of a model, shape (n, d).
        data: the training data, shape (N, d), two different points or more.
        fresh: the control, points of the same law that no model was trained on, shape (m, d).
        level: share of fresh points that pass for copies, above 0 and below 1.

    Returns:
        1 for copies and 0 for others, shape (n,), float64: its mean is the share of copies.

    Raises:
        ValueError: for other arguments.

    Source:
        The control: this book.

    Chapter:
        ``networks/data_and_capacity``.

    Example:
        >>> from memolib import copies
        >>> from memolib.points import gaussian
        >>> data, fresh = gaussian(100, 5, seed=0), gaussian(1_000, 5, seed=1)
        >>> copies(data[:4] + 1e-3, data, fresh).mean()
        tensor(1., dtype=torch.float64)
    """
    return (nearest_ratio(x, data) < copy_threshold(data, fresh, level=level)).double()


def pointwise_information(
    y: TensorLike,
    law: Denoiser,
    t: float,
    seed: Seed = None,
) -> torch.Tensor:
    """Information density ``ln p(x|y)/p(x)`` of data points with noisy copies x drawn here.

    Its mean is ``I(y; x_t)``. For data of unknown law take the empirical denoiser of a *pool* of
    other data of that law as ``law``: then the mean estimates the information from above (Jensen: a
    pool of M points makes ln p(x) too low on average, the more so the closer I comes to ln M). With
    the points' own data set as law, the mean never exceeds ln N.

    Args:
        y: data points, shape (n, d).
        law: their law, with ``log_density(x, t)``.
        t: noise variance, above 0.
        seed: of the noise, a whole number or ``numpy.random.Generator``.

    Returns:
        In nats, shape (n,).

    Raises:
        ValueError: for other arguments.

    Source:
        Cover and Thomas, Elements of Information Theory, chapter 9.

    Chapter:
        ``diffusion/collapse``.

    Example:
        >>> from memolib import theory
        >>> from memolib.manifolds import LinearManifold
        >>> from memolib import pointwise_information
        >>> law = LinearManifold([3.0, 3.0])
        >>> nats = pointwise_information(law.sample(10_000, seed=0), law, 1.0, seed=1)
        >>> bool(abs(nats.mean() - theory.information([3.0, 3.0], 1.0)) < 0.03)
        True
    """
    y = as_points("y", y)
    t = as_noise(t)
    return _information(y, add_noise(y, t, generator(seed, "pointwise_information")), law, t)


def _information(y: torch.Tensor, x: torch.Tensor, law: Denoiser, t: float) -> torch.Tensor:
    """Information density of points and their noisy copies."""
    if not callable(getattr(law, "log_density", None)):
        allowed = "one with log_density(x, t): of a law, or of data"
        raise ValueError(f"law is {law!r}; allowed is {allowed}")
    log_conditional = -((x - y) ** 2).sum(dim=1) / (2 * t) - y.shape[1] / 2 * np.log(2 * np.pi * t)
    return log_conditional - law.log_density(x, t)


class CollapseTime(NamedTuple):
    """Where the information reaches ln N.

    Attributes:
        t: noise variance, unit of the data squared.
        error: its standard error from the finite number of points.
    """

    t: float
    error: float


def measured_collapse_time(
    y: TensorLike, law: Denoiser, N: float, seed: Seed = None
) -> CollapseTime:
    """Noise variance at which the mean ``pointwise_information`` of data points is ln N.

    For Gaussian data ``theory.collapse_time`` is the same in closed form.

    Args:
        y: data points, fresh from the law or held out, shape (n, d), n at least 2.
        law: their law, with ``log_density(x, t)``; for a pool of data see
            ``pointwise_information``.
        N: number of training points, above 1, and so large that n points can tell: ln N is at least
            five times the standard error of their mean information.
        seed: whole number or ``numpy.random.Generator``, of the noise, the same at every t.

    Returns:
        CollapseTime.

    Raises:
        ValueError: for other arguments; where the information of these points does not fall through
            ln N.

    Source:
        This book.

    Chapter:
        ``manifold/curved_manifolds``.

    Example:
        >>> from memolib import theory
        >>> from memolib.manifolds import LinearManifold
        >>> from memolib.memorization import measured_collapse_time
        >>> law = LinearManifold([1.0, 0.1])
        >>> found = measured_collapse_time(law.sample(1_000, seed=0), law, 100, seed=1)
        >>> bool(abs(found.t - theory.collapse_time([1.0, 0.1], 100)) < 3 * found.error)
        True
    """
    y = as_points("y", y)
    log_n = np.log(real("N", N, minimum=1, strict=True))
    if len(y) < 2 or not float(y.var(dim=0).sum()) > 0:
        raise ValueError(f"y has {len(y)} points, all equal; allowed are two or more that are not")
    if isinstance(law, Averages) and float(N) >= law.shape[0]:
        allowed = f"with a pool of {law.shape[0]} data as law, are numbers below that"
        raise ValueError(f"N is {N:g}; allowed, {allowed}")
    noise = gaussian(*y.shape, seed=generator(seed, "measured_collapse_time")).to(y)

    @cache
    def nats(log_t: float) -> np.ndarray:
        return _information(y, y + np.exp(log_t / 2) * noise, law, np.exp(log_t)).cpu().numpy()

    def surplus(log_t: float) -> float:
        return nats(log_t).mean() - log_n

    start = _gaussian_log_time(y, N)
    log_t = _fall(surplus, start, max(start, np.log(float(y.var(dim=0).sum()))) + 30)
    slope = (surplus(log_t + 0.1) - surplus(log_t - 0.1)) / 0.2
    error = nats(log_t).std(ddof=1) / len(y) ** 0.5
    if error > log_n / 5:
        allowed = f"with {len(y)} points, are numbers of a logarithm of {5 * error:.2g} or more"
        raise ValueError(f"N is {N:g}; allowed, {allowed}: five errors of their information")
    if not slope < -0.02:
        allowed = "numbers whose logarithm the information of these points passes"
        raise ValueError(f"N is {N:g}; allowed are {allowed}")
    t = float(np.exp(log_t))
    return CollapseTime(t, float(-t * error / slope))


def _gaussian_log_time(y: torch.Tensor, N: float) -> float:
    """Give the logarithm of the time at which Gaussian data of the same covariance collapse."""
    covariance = np.cov(y.T.cpu().numpy()).reshape(y.shape[1], -1)
    return float(np.log(theory.collapse_time(np.linalg.eigvalsh(covariance).clip(min=0), N)))


def _fall(surplus: Callable[[float], float], start: float, top: float) -> float:
    """Find where a falling function passes 0; far below ``start``, or at ``top``, if it never does.

    Gaussian data collapse earlier than others of their covariance: from there we walk down first,
    so that t is never much too small. The covariance of fewer points than coordinates is not all of
    theirs, and may start us far below.
    """
    low = high = start
    while start - 30 < low and surplus(low) < 0:
        low -= 0.7
    while high < top and surplus(high) > 0:
        high += 0.7
    if start - 30 < low < high < top:
        return brentq(surplus, low, high, xtol=1e-3)
    return low if surplus(low) < 0 else high


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
        """Give the pointwise information in nats, ``ln(N-1)`` + log_odds.

        The pool are the other N - 1 data. On average it is too high, as with every pool.

        Returns:
            Shape (T, n).
        """
        return self.log_odds + np.log(self.N - 1)


def profile(
    data: TensorLike,
    t: TensorLike,
    *,
    n: int | None = None,
    seed: Seed = None,
) -> Profile:
    """Own weight, N_eff and information of noisy data points (points A) at many noise variances.

    In one pass: as ``|y + sqrt(t) xi - y_i|^2 = |y-y_i|^2 + 2 sqrt(t) xi (y-y_i) + t |xi|^2``, with
    one xi a point for all t, two products of matrices serve them all.

    Args:
        data: N points, 2 or more, shape (N, d); float tensors keep their type, everything else
            becomes float64.
        t: noise variances, above 0, shape (T,); so small ones that rounding would spoil the answers
            are refused.
        n: number of points to look from, the first n; None is all N.
        seed: whole number or ``numpy.random.Generator``, of the noise.

    Returns:
        Profile.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``diffusion/collapse``.

    Example:
        >>> from memolib import profile
        >>> from memolib.points import gaussian
        >>> seen = profile(gaussian(200, 5, seed=0), [1e-4, 1e4], seed=1)
        >>> (1 / seen.participation).mean(dim=1).round()  # N_eff: the own point, and all data
        tensor([  1., 200.], dtype=torch.float64)
    """
    y = as_points("data", data).detach()
    y = y - y.mean(dim=0)
    if len(y) < 2:
        raise ValueError(f"data has {len(y)} point; allowed are two or more")
    n = len(y) if n is None else count("n", n, maximum=len(y))
    times = real_array("t", t, minimum=0, strict=True)
    squares = (y**2).sum(dim=1)
    rng = generator(seed, "profile")
    lowest = float(squares.max()) * torch.finfo(y.dtype).eps / (2 * TOLERANCE.get(y.dtype, 0.01))
    if times.ndim != 1 or not len(times) or times.min() < lowest:
        allowed = f"shape (T,), are values of {lowest:.3g} or more for {y.dtype} data"
        raise ValueError(f"t is {t}; allowed, {allowed}")
    # Wide enough for the products to be fast.
    rows = max(8, BLOCK_BYTES * 4 // (len(y) * y.element_size()))
    parts = []
    for i in range(0, n, rows):
        parts.append(_profile(y, squares, slice(i, min(i + rows, n)), times, rng))
    log_odds, participation = (torch.cat(sums, dim=1) for sums in zip(*parts, strict=True))
    return Profile(torch.from_numpy(times.copy()), log_odds, participation, len(y))


def _profile(
    y: torch.Tensor,
    squares: torch.Tensor,
    rows: slice,
    times: np.ndarray,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log odds and participation of some noisy data points, each of shape (T, rows)."""
    noise = gaussian(*y[rows].shape, seed=rng).to(y)
    # The exponent at t is (near + sqrt(t) along)/t.
    near = (y[rows] @ y.T).sub_(squares / 2).sub_(squares[rows, None] / 2).clamp_(max=0)
    along = (noise @ y.T).sub_((noise * y[rows]).sum(dim=1, keepdim=True))
    # The own point, whose exponent is 0, is left out.
    near[range(len(noise)), range(rows.start, rows.stop)] = -torch.inf
    log_odds, others = y.new_empty(2, len(times), len(noise))
    # As many rows at a time as let the temporaries stay in the cache.
    chunk = max(1, BLOCK_BYTES // (8 * len(y) * y.element_size()))
    for start in range(0, len(noise), chunk):
        part = slice(start, start + chunk)
        exponents = torch.empty_like(near[part])
        weights = torch.empty_like(near[part])
        for k, t in enumerate(times.tolist()):
            torch.add(near[part], along[part], alpha=t**0.5, out=exponents)
            top = exponents.mul_(1 / t).amax(dim=1)
            torch.softmax(exponents, dim=1, out=weights)
            log_odds[k, part] = weights.amax(dim=1).log() - top
            others[k, part] = torch.linalg.vector_norm(weights, dim=1) ** 2
    own = torch.sigmoid(log_odds)
    return log_odds, own**2 + (1 - own) ** 2 * others
