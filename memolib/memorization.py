"""Is a sample a copy, and when does a data set's empirical score begin to copy? Measures for any data."""

import numpy as np
import torch

from memolib._tensors import as_noise, as_points
from memolib.empirical import Empirical
from memolib.points import add_noise


def nearest_ratio(x, data) -> torch.Tensor:
    """Ratio d1/d2 of the distances to the nearest and the second nearest data point: near 0 for a copy.

    Args:
        x: points to judge, shape (n, d).
        data: the data, shape (N, d) with N at least 2, distinct points.
    Returns:
        Ratios from 0 to 1, shape (n,).
    Raises:
        ValueError: for fewer than two data points, or shapes that do not fit.

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


def pool_information(y, pool, t, seed=None) -> torch.Tensor:
    """Information density of data points, the law replaced by a pool of other data: ``ln p(x|y) - ln p_pool(x)``.

    ``p_pool`` is the mean over the pool of Gaussians of variance t. The mean over y estimates the information
    ``I(y; x_t)``, from above: by Jensen, a pool of M points makes the density too low on average, the more so the
    closer I comes to ln M.

    Args:
        y: data points, shape (n, d), none of which is in the pool.
        pool: other data of the same law, shape (M, d).
        t: noise variance, above 0.
        seed: of the noise, int or ``numpy.random.Generator``.
    Returns:
        One density in nats for each point, shape (n,).
    Raises:
        ValueError: for shapes that do not fit or t not above 0.

    Source: this book. Chapter: ``tour``.
    """
    D, t = Empirical(pool), as_noise(t)
    y = as_points("y", y, D.data.shape[1]).to(D.data)
    x = add_noise(y, t, seed)
    return np.log(len(D.data)) - ((x - y) ** 2).sum(dim=1) / (2 * t) - D.weighted(x, t).log_z
