"""Where to look: noise, and the kinds of point that give different answers.

A: a training point plus noise, ``x = y_mu + sqrt(t) xi`` (where the loss is measured); B: a
training point itself; C: a fresh noisy point, from no training point; O: the origin (where the
paper's figure looks).
"""

from typing import Protocol

import torch

from memolib._tensors import as_noise, as_points
from memolib._validate import Seed, count, generator
from memolib.denoisers import TensorLike

KINDS = ("A", "B", "C", "O")


class Law(Protocol):
    """Where data come from."""

    def sample(self, n: int, seed: Seed = None) -> torch.Tensor:
        """Draw n points.

        Args:
            n: number of points, 1 or more.
            seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

        Returns:
            Shape (n, d).
        """


def gaussian(*shape: int, seed: Seed = None) -> torch.Tensor:
    """Draw independent standard Gaussian numbers.

    Args:
        *shape: of the result.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

    Returns:
        Numbers of that shape, float64.

    Raises:
        ValueError: for another seed.

    Chapter:
        ``diffusion/empirical_score``.
    """
    return torch.from_numpy(generator(seed, "gaussian").standard_normal(shape))


def add_noise(y: TensorLike, t: float, seed: Seed = None) -> torch.Tensor:
    """Make noisy copies, ``y + sqrt(t) xi``.

    Args:
        y: points, shape (n, d).
        t: noise variance, above 0.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

    Returns:
        Shape (n, d).

    Raises:
        ValueError: for other arguments.

    Source:
        The forward process of Song et al., arXiv 2011.13456, in variance-exploding form.

    Chapter:
        ``diffusion/empirical_score``.

    Example:
        >>> import torch
        >>> from memolib import add_noise
        >>> y = torch.full((10_000, 4), 3.0)
        >>> x = add_noise(y, t=0.25, seed=0)
        >>> round(float(x.mean()), 1), round(float(x.var()), 2)  # t is a variance
        (3.0, 0.25)
    """
    y = as_points("y", y)
    t = as_noise(t)
    return y + t**0.5 * gaussian(*y.shape, seed=generator(seed, "add_noise")).to(y)


def points_of_kind(
    kind: str,
    data: TensorLike,
    t: float,
    n: int,
    *,
    law: Law | None = None,
    seed: Seed = None,
) -> torch.Tensor:
    """Give n points of one kind to look at a data set from.

    Args:
        kind: ``A``, ``B``, ``C`` or ``O``.
        data: the training points, shape (N, d); A and B use the first n of them (all, where there
            are fewer).
        t: noise variance, above 0.
        n: number of points, 1 or more; O is one point whatever n.
        law: where fresh data come from, with ``sample(n, seed)``; needed for C.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

    Returns:
        Shape (n, d).

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``diffusion/empirical_score``.

    Example:
        >>> from memolib.points import points_of_kind
        >>> data = [[1.0, 0.0], [0.0, 1.0]]
        >>> [points_of_kind(kind, data, t=0.1, n=1).tolist() for kind in "BO"]
        [[[1.0, 0.0]], [[0.0, 0.0]]]
    """
    data = as_points("data", data)
    t = as_noise(t)
    n = count("n", n)
    rng = generator(seed, "points")
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
