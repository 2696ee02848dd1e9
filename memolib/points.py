"""Where to look: noise, and the kinds of point that give different answers.

A: a training point plus noise, ``x = y_mu + sqrt(t) xi`` (where the loss is measured); B: a
training point itself;
C: a fresh noisy point, from no training point; O: the origin (where the paper's figure looks).
"""

import torch

from memolib._tensors import as_noise, as_points
from memolib._validate import count, generator

KINDS = ("A", "B", "C", "O")


def gaussian(*shape: int, seed=None) -> torch.Tensor:
    """Draw independent standard Gaussian numbers.

    Args:
        *shape: of the result.
        seed: int or ``numpy.random.Generator``.
    Returns: float64. Chapter: ``diffusion/empirical_score``.
    """
    return torch.from_numpy(generator(seed, "gaussian").standard_normal(shape))


def add_noise(y, t, seed=None) -> torch.Tensor:
    """Make noisy copies, ``y + sqrt(t) xi``.

    Args:
        y: points, shape (n, d).
        t: noise variance, above 0.
        seed: int or ``numpy.random.Generator``.
    Returns: shape (n, d). Raises: ValueError for other arguments. Chapter:
    ``diffusion/empirical_score``.
    """
    y, t = as_points("y", y), as_noise(t)
    return y + t**0.5 * gaussian(*y.shape, seed=generator(seed, "add_noise")).to(y)


def points_of_kind(kind: str, data, t, n: int, *, law=None, seed=None) -> torch.Tensor:
    """Give n points of one kind to look at a data set from.

    Args:
        kind: ``A``, ``B``, ``C`` or ``O``.
        data: the training points, shape (N, d); A and B use the first n of them (all, where there
            are fewer).
        t: noise variance, above 0.
        n: number of points, 1 or more; O is one point whatever n.
        law: where fresh data come from, with ``sample(n, seed)``; needed for C.
        seed: int or ``numpy.random.Generator``.
    Returns: shape (n, d). Raises: ValueError for other arguments. Source and Chapter:
    ``diffusion/empirical_score``.
    """
    data, t, n, rng = as_points("data", data), as_noise(t), count("n", n), generator(seed, "points")
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; allowed are {', '.join(KINDS)}")
    if kind == "O":
        return torch.zeros_like(data[:1])
    if kind == "B":
        return data[:n]
    if kind == "A":
        return add_noise(data[:n], t, rng)
    if law is None:
        raise ValueError("law is None; allowed, for points C, is a law with sample(n, seed)")
    return add_noise(law.sample(n, rng).to(data), t, rng)
