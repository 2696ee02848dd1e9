"""Is a sample a copy? Tests that compare samples with the data that a model was made from."""

import torch

from memolib._tensors import as_points


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
