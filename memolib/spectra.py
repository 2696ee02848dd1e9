"""Spectra of any denoiser's Jacobian ``G = dD/dx``: which directions at x are alive.

Eigenvalues of G are near 1 along the data's manifold and near 0 across it; signed eigenvalues tell
a lost direction (0) from one that overshoots (above 1), which the singular values of the score,
``|G - 1|/t``, cannot.
"""

from typing import NamedTuple

import numpy as np
import torch

from memolib import _derivatives
from memolib._derivatives import TOGETHER
from memolib._tensors import as_noise, as_points
from memolib._validate import Seed, count, generator, real, real_array
from memolib.denoisers import Denoiser, Model, TensorLike
from memolib.foreign import as_denoiser

METHODS = ("exact", "perturbation")


def jacobian(denoiser: Model, x: TensorLike, t: TensorLike) -> torch.Tensor:
    """Give a denoiser's Jacobian: its own where it offers one, else by automatic differentiation.

    Args:
        denoiser: a ``Denoiser``, or a model of points and their noise variance, of which
            ``as_denoiser`` makes one; so in all functions of this module.
        x: points, shape (n, d).
        t: noise variance, above 0, one number or shape (n,).

    Returns:
        Shape (n, d, d); ``[i, a, b]`` is the derivative of D_a by x_b at point i.

    Raises:
        ValueError: for other arguments, or a model that ``as_denoiser`` refuses.

    Source:
        Achilli et al., arXiv 2410.08727.

    Chapter:
        ``manifold/losing_dimensions``.

    Example:
        >>> from memolib import LinearManifold, jacobian
        >>> law = LinearManifold([3.0, 0.0])  # along the manifold s^2/(s^2 + t), across it 0
        >>> jacobian(law, [[5.0, 0.1]], t=1.0).tolist()
        [[[0.75, 0.0], [0.0, 0.0]]]
    """
    return as_denoiser(denoiser).jacobian(x, t)


def forward_mode(denoiser: Model, x: TensorLike, t: float) -> torch.Tensor:
    """Give the Jacobian by d forward-mode derivatives, whatever else the denoiser offers.

    Args:
        denoiser: a ``Denoiser`` or a model.
        x: points, shape (n, d); each derivative is of the whole batch.
        t: noise variance, above 0.

    Returns:
        Shape (n, d, d).

    Raises:
        ValueError: for other arguments, or a model that ``as_denoiser`` refuses.

    Source:
        Griewank and Walther, Evaluating Derivatives (2008), section 3.1.

    Chapter:
        ``manifold/losing_dimensions``.
    """
    D = as_denoiser(denoiser)
    x = as_points("x", x)
    t = as_noise(t)
    return _derivatives.forward(lambda points: D(points, t), x)


def reverse_mode(denoiser: Model, x: TensorLike, t: float) -> torch.Tensor:
    """Give the Jacobian by d reverse-mode derivatives: half the time for networks.

    Args:
        denoiser: a ``Denoiser`` or a model.
        x: points, shape (n, d); each derivative is of the whole batch.
        t: noise variance, above 0.

    Returns:
        Shape (n, d, d).

    Raises:
        ValueError: for other arguments, or a model that ``as_denoiser`` refuses.

    Source:
        Griewank and Walther, Evaluating Derivatives (2008), section 3.2.

    Chapter:
        ``networks/training``.
    """
    D = as_denoiser(denoiser)
    x = as_points("x", x)
    t = as_noise(t)
    return _derivatives.reverse(lambda points: D(points, t), x)


def _denoise(denoiser: Denoiser, x: torch.Tensor, t: float) -> torch.Tensor:
    """Denoise points of shape (..., d), a part at a time, without graphs but where x has one."""
    parts = x.flatten(0, -2).split(max(1, TOGETHER // x.shape[-1]))
    with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
        return torch.cat([denoiser(part, t) for part in parts]).reshape(x.shape)


def spectrum(
    denoiser: Model, x: TensorLike, t: TensorLike, *, method: str = "exact"
) -> torch.Tensor:
    """Give the eigenvalues of the symmetric part of the denoiser's Jacobian, falling.

    Args:
        denoiser: a ``Denoiser``, whose own spectrum is taken where it offers one, or a model.
        x: points, shape (n, d).
        t: noise variance, above 0, one number or, for ``exact``, shape (n,).
        method: ``exact``, or ``perturbation``: symmetric differences of size sqrt(t) along the
            coordinate axes, a finite kick. (The public code's is half as long for exact scores;
            for networks it kicks along a random basis, as ``stacked`` does.)

    Returns:
        Pure numbers, shape (n, d).

    Raises:
        ValueError: for other arguments, or a model that ``as_denoiser`` refuses.

    Source:
        Achilli et al., arXiv 2410.08727.

    Chapter:
        ``manifold/losing_dimensions``.

    Example:
        >>> from memolib import LinearManifold, spectrum
        >>> law = LinearManifold([0.0, 9.0, 1.0])  # two directions in three
        >>> spectrum(law, [[1.0, 2.0, 3.0]], t=1.0).tolist()  # s^2/(s^2 + t)
        [[0.9, 0.5, 0.0]]
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; allowed are {', '.join(METHODS)}")
    D = as_denoiser(denoiser)
    if method == "exact":
        return D.spectrum(x, t)
    x = _single(as_points("x", x))
    t = as_noise(t)
    kicks = t**0.5 * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)[:, None]
    G = (_denoise(D, x + kicks, t) - _denoise(D, x - kicks, t)).permute(1, 2, 0) / (2 * t**0.5)
    return torch.linalg.eigvalsh((G + G.mT) / 2).flip(-1)


def _single(x: torch.Tensor) -> torch.Tensor:
    """TensorLike in single precision at least, which eigenvalue routines ask for."""
    return x if x.dtype.itemsize > 2 else x.float()


def normal_bundle(
    denoiser: Model,
    x: TensorLike,
    t: float,
    *,
    copies: int | None = None,
    seed: Seed = None,
) -> torch.Tensor:
    """Give one minus the squared singular values of t^(1/2) times stacked scores.

    They are near 1 along the manifold and 0 across it: the scores at noisy copies of a point on the
    manifold point back to it, across it. A finite kick, no Jacobian.

    Args:
        denoiser: a ``Denoiser`` or a model.
        x: points on or near the data's manifold, shape (n, d).
        t: noise variance, above 0, of the copies and of the scores there.
        copies: of each point, 1 or more; 4d by default.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

    Returns:
        Falling, shape (n, d); the mean over copies, so that their number only sets the noise.

    Raises:
        ValueError: for other arguments, or a model that ``as_denoiser`` refuses.

    Source:
        Stanczuk et al., arXiv 2212.12611, algorithm 1.

    Chapter:
        ``networks/training``.

    Example:
        >>> import torch
        >>> from memolib import LinearManifold, normal_bundle
        >>> line = LinearManifold([1.0, 0.0, 0.0])  # in space: one direction along, two across
        >>> kept = normal_bundle(line, torch.zeros(1, 3), t=0.01, copies=10_000, seed=0)
        >>> kept.abs().round(decimals=1).tolist()
        [[1.0, 0.0, 0.0]]
    """
    x = _single(as_points("x", x))
    t = as_noise(t)
    rng = generator(seed, "normal_bundle")
    D = as_denoiser(denoiser)
    d = x.shape[1]
    copies = 4 * d if copies is None else count("copies", copies)
    values = []
    for point in x:
        noisy = point + t**0.5 * torch.from_numpy(rng.standard_normal((copies, d))).to(x)
        back = (_denoise(D, noisy, t) - noisy) / t**0.5
        values.append(1 - torch.linalg.eigvalsh(back.T @ back / copies))
    return torch.stack(values)


class Stacked(NamedTuple):
    """Singular values of scores that were stacked, in units of t^(-1/2), and their directions.

    Attributes:
        values: falling, shape (n, d): near 1 across the manifold, near 0 along it.
        vectors: right singular vectors as columns, in the space of the points, shape (n, d, d).
    """

    values: torch.Tensor
    vectors: torch.Tensor


def stacked(denoiser: Model, x: TensorLike, t: float, *, seed: Seed = None) -> Stacked:
    """Singular values of t^(1/2) times the scores at x moved by t^(1/2) along a random basis.

    The d scores at ``x + t^(1/2) z_k``, with orthonormal z_k of their own at each point, are the
    rows of a matrix; the score at x itself is not taken off them. Where that is large it makes one
    singular value the largest.

    Args:
        denoiser: function of points (n, d) and a noise variance, giving (n, d).
        x: points, shape (n, d).
        t: noise variance, above 0, of the scores; its root is the length of the kicks.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``, of the
            bases.

    Returns:
        ``Stacked``.

    Raises:
        ValueError: for other arguments.

    Source:
        Public code of Achilli et al., arXiv 2410.08727.

    Chapter:
        ``networks/training``.

    Example:
        >>> from memolib.manifolds import LinearManifold
        >>> from memolib.spectra import stacked
        >>> found = stacked(LinearManifold([1, 1, 0]), [[0.0, 0.0, 0.0]], 0.01, seed=0)
        >>> found.values.numpy().round(2)
        array([[1.  , 0.01, 0.01]])
    """
    D = as_denoiser(denoiser)
    x = _single(as_points("x", x))
    t = as_noise(t)
    n, d = x.shape
    bases, signs = np.linalg.qr(generator(seed, "stacked").standard_normal((n, d, d)))
    bases *= np.sign(np.diagonal(signs, axis1=1, axis2=2))[:, None]  # then uniform over rotations
    moved = x[:, None] + t**0.5 * torch.from_numpy(bases).to(x).mT
    _, values, vectors = torch.linalg.svd((_denoise(D, moved, t) - moved) / t**0.5)
    return Stacked(values, vectors.mT)


class Leading(NamedTuple):
    """Part of the spectrum of the symmetric part of Jacobians.

    Attributes:
        values: eigenvalues, falling, shape (n, k).
        vectors: orthonormal eigenvectors as columns, shape (n, d, k).
        error: residual ``|G v - v lambda|``, shape (n, k): within it of each value lies an
            eigenvalue.
    """

    values: torch.Tensor
    vectors: torch.Tensor
    error: torch.Tensor


def leading(
    denoiser: Model,
    x: TensorLike,
    t: float,
    k: int,
    *,
    blocks: int = 3,
    trailing: bool = False,
    seed: Seed = None,
) -> Leading:
    """Give the largest eigenvalues of Jacobians without the Jacobians, by block Krylov spaces.

    Args:
        denoiser: a ``Denoiser`` or a model, built from torch operations (``torch.func``).
        x: points, shape (n, d).
        t: noise variance, above 0.
        k: number of eigenvalues, from 1 to d.
        blocks: of about k products with G and as many with its transpose, 1 or more; more of them
            are more accurate.
        trailing: the smallest instead; of a denoiser they are near 0, and close together.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``, of the
            random start.

    Returns:
        Leading.

    Raises:
        ValueError: for other arguments, or a model that ``as_denoiser`` refuses.

    Source:
        Musco and Musco, arXiv 1504.05477, algorithm 2.

    Chapter:
        ``networks/training``.

    Example:
        >>> import torch
        >>> from memolib import LinearManifold, leading
        >>> law = LinearManifold([9.0, 4.0] + [0.0] * 98)  # a plane in 100 dimensions
        >>> x = torch.zeros(1, 100, dtype=torch.float64)
        >>> top = leading(law, x, t=1.0, k=3, seed=0)
        >>> top.values.abs().round(decimals=4).tolist(), bool(top.error.max() < 1e-6)
        ([[0.9, 0.8, 0.0]], True)
    """
    D = as_denoiser(denoiser)
    x = _single(as_points("x", x))
    t = as_noise(t)
    n, d = x.shape
    k = count("k", k, maximum=d)
    blocks = count("blocks", blocks)
    rng = generator(seed, "leading")

    def product(V: torch.Tensor) -> torch.Tensor:
        """Of the symmetric part of G with vectors, shape (n, d, width)."""
        directions = V.permute(2, 0, 1)
        ahead = D.products(x, t, directions)
        back = D.products(x, t, directions, transposed=True)
        return (ahead + back).permute(1, 2, 0) / 2

    width = k + max(8, k // 10)
    width = d if (blocks + 1) * width >= d else width  # then the whole space costs no more
    block = torch.linalg.qr(torch.from_numpy(rng.standard_normal((n, d, width))).to(x))[0]
    spaces = [block]
    images = [product(block)]
    while len(spaces) <= blocks and width < d:
        block = images[-1]
        basis = torch.cat(spaces, dim=2)
        for _ in range(2):  # twice is enough for orthogonality to rounding
            block = torch.linalg.qr(block - basis @ (basis.mT @ block))[0]
        spaces.append(block)
        images.append(product(block))
    basis = torch.cat(spaces, dim=2)
    image = torch.cat(images, dim=2)
    values, rotation = torch.linalg.eigh(basis.mT @ image)
    some = slice(0, k) if trailing else slice(-k, None)
    values = values[:, some].flip(1)
    rotation = rotation[:, :, some].flip(2)
    vectors = basis @ rotation
    return Leading(values, vectors, (image @ rotation - vectors * values[:, None]).norm(dim=1))


def asymmetry(G: TensorLike) -> torch.Tensor:
    """Give the antisymmetric part of Jacobians over their symmetric part, by Frobenius norm.

    Args:
        G: Jacobians, shape (n, d, d).

    Returns:
        Shape (n,); 0 for exact denoisers and where the Jacobian is 0 altogether, infinite where
        only its symmetric part is.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``networks/training``.
    """
    G = _matrices("G", G)
    odd = torch.linalg.matrix_norm(G - G.mT)
    even = torch.linalg.matrix_norm(G + G.mT)
    return torch.where(odd > 0, odd / even, 0.0)


def retention(G: TensorLike, population: TensorLike, basis: TensorLike) -> torch.Tensor:
    """Give the share of the population's Jacobian that is left along a subspace.

    With its orthonormal columns B it is ``tr(B' G B)/tr(B' G_pop B)``.

    Args:
        G: Jacobians, shape (n, d, d).
        population: Jacobians of the population's denoiser at the same x and t, shape (n, d, d).
        basis: orthonormal columns that span the subspace, r up to d, shape (d, r), or (n, d, r),
            one for each point.

    Returns:
        Shape (n,): 1 where nothing is lost, 0 where everything is.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``manifold/losing_dimensions``.

    Example:
        >>> import torch
        >>> from memolib import Empirical, LinearManifold, retention
        >>> law = LinearManifold([1.0, 1.0])
        >>> few = Empirical(law.sample(100, seed=0))
        >>> x = torch.zeros(1, 2)
        >>> def left(t):
        ...     return retention(few.jacobian(x, t), law.jacobian(x, t), torch.eye(2)).item()
        >>> [round(left(t), 2) for t in (10.0, 1e-5)]  # much noise, little: on one point alone
        [0.99, 0.0]
    """
    G = _matrices("G", G)
    population = _matrices("population", population)
    basis = torch.as_tensor(basis)
    if basis.ndim not in (2, 3) or not 0 < basis.shape[-1] <= basis.shape[-2]:
        allowed = "(d, r) or (n, d, r) with a rank r up to d"
        raise ValueError(f"basis has shape {tuple(basis.shape)}; allowed is {allowed}")
    n = len(basis) if basis.ndim == 3 else len(G)
    d, r = basis.shape[-2:]
    for name, matrix in (("G", G), ("population", population)):
        if matrix.shape != (n, d, d):
            allowed = f"({n}, {d}, {d})"
            raise ValueError(f"{name} has shape {tuple(matrix.shape)}; allowed is {allowed}")
    unit = torch.eye(r, dtype=basis.dtype, device=basis.device)
    off = (basis.mT @ basis - unit).abs().max()
    if off > 1e-4:
        allowed = "orthonormal columns"
        raise ValueError(f"basis is off orthonormality by {float(off):.2g}; allowed are {allowed}")
    return _trace_along(G, basis) / _trace_along(population, basis)


def _trace_along(matrices: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """``tr(B' M B)``."""
    basis = basis.to(matrices)
    return (basis * (matrices @ basis)).sum(dim=(-2, -1))


def _matrices(name: str, value: TensorLike) -> torch.Tensor:
    """Give matrices of shape (n, d, d) as a finite tensor."""
    if not isinstance(value, torch.Tensor):
        value = torch.from_numpy(np.array(real_array(name, value)))
    if value.ndim != 3 or value.shape[1] != value.shape[2] or 0 in value.shape:
        raise ValueError(f"{name} has shape {tuple(value.shape)}; allowed is (n, d, d)")
    if not torch.isfinite(value).all():
        raise ValueError(f"{name} is not finite everywhere; allowed are finite numbers")
    return value if value.dtype.itemsize > 2 else value.float()


class Alive(NamedTuple):
    """Directions that a denoiser still answers to.

    Attributes:
        number: of alive directions at each point, shape (n,).
        share: of each coordinate axis that lies in the alive directions, from 0 to 1, shape (n, d);
            sums to ``number``.
    """

    number: torch.Tensor
    share: torch.Tensor


def alive(G: TensorLike, population: TensorLike, *, threshold: float = 0.5) -> Alive:
    """Count the directions along which a Jacobian keeps more than a threshold of the population's.

    They are the eigenvalues of ``P^(-1/2) G P^(-1/2)`` above it: the Jacobian, whitened by the
    population's P.

    Args:
        G: Jacobians, shape (n, d, d), of which the symmetric part counts; for a manifold, their
            block along the tangent space.
        population: P, shape (d, d), or (n, d, d), one for each point; symmetric with positive
            eigenvalues. The unit matrix leaves G as it is.
        threshold: above it a direction is alive; a pure number.

    Returns:
        Alive.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``manifold/losing_dimensions``.

    Example:
        >>> import torch
        >>> from memolib import alive
        >>> G = torch.diag(torch.tensor([0.9, 0.3, 0.3]))[None]
        >>> P = torch.diag(torch.tensor([0.9, 0.4, 0.9]))  # what the population keeps
        >>> living = alive(G, P)  # of it G keeps 1, 3/4 and 1/3
        >>> living.number.tolist(), living.share.tolist()
        ([2], [[1.0, 1.0, 0.0]])
    """
    G = _matrices("G", G)
    threshold = real("threshold", threshold)
    P = torch.as_tensor(population)
    P = _matrices("population", P[None] if P.ndim == 2 else P)
    if P.shape[1:] != G.shape[1:] or len(P) not in (1, len(G)):
        given = f"population has shape {tuple(P.shape)} and G {tuple(G.shape)}"
        raise ValueError(f"{given}; allowed are (d, d) or (n, d, d), (n, d, d)")
    scales, axes = torch.linalg.eigh(P.to(G))
    if scales.min() <= 0:
        given = f"population has an eigenvalue {float(scales.min()):.3g}"
        raise ValueError(f"{given}; allowed are eigenvalues above 0")
    root = (axes / scales[:, None].sqrt()) @ axes.mT
    values, vectors = torch.linalg.eigh(root @ ((G + G.mT) / 2) @ root)
    above = values > threshold
    return Alive(above.sum(dim=1), (vectors**2 * above[:, None]).sum(dim=2))


class Gap(NamedTuple):
    """Largest step in a falling spectrum.

    Attributes:
        rank: number of eigenvalues above it, shape (n,); 0 where no step is large enough.
        size: of the largest step, whether it is large enough or not, shape (n,).
    """

    rank: torch.Tensor
    size: torch.Tensor


def largest_gap(eigenvalues: TensorLike, *, minimum: float = 0.5) -> Gap:
    """Find the largest step between neighbouring eigenvalues of G.

    Its position is the dimension that x sees.

    Args:
        eigenvalues: as ``spectrum`` gives them: from 0 to about 1, falling, shape (n, d), d at
            least 2.
        minimum: smallest step that counts as a gap, above 0; below it the answer is honest: rank 0,
            no gap.

    Returns:
        Gap.

    Raises:
        ValueError: for other arguments.

    Source:
        After Stanczuk et al., arXiv 2212.12611.

    Chapter:
        ``manifold/spectral_gaps``.

    Example:
        >>> from memolib.spectra import largest_gap
        >>> largest_gap([[0.9, 0.8, 0.1, 0.0], [0.6, 0.5, 0.3, 0.2]]).rank.tolist()
        [2, 0]
    """
    values = as_points("eigenvalues", eigenvalues)
    steps = values[:, :-1] - values[:, 1:]
    rounding = 10 * torch.finfo(values.dtype).eps * values.abs().max()
    if values.shape[1] < 2 or (steps < -rounding).any():
        allowed = "(n, d) with d at least 2, falling"
        raise ValueError(f"eigenvalues is not falling along its last axis; allowed is {allowed}")
    minimum = real("minimum", minimum, minimum=0, strict=True)
    size, where = steps.max(dim=1)
    return Gap(torch.where(size >= minimum, where + 1, 0), size)


def along(denoiser: Model, x: TensorLike, t: float, V: TensorLike) -> torch.Tensor:
    """Answers ``v'Gv`` of a denoiser along given directions v, without the Jacobian.

    Args:
        denoiser: a ``Denoiser`` or a model.
        x: points, shape (n, d).
        t: noise variance, above 0.
        V: directions as columns, of length 1 for answers that compare with eigenvalues: shape (n,
            d, k), as ``leading`` gives them, or (d, k), the same at all points.

    Returns:
        Pure numbers, shape (n, k).

    Raises:
        ValueError: for directions of another shape.

    Source:
        This book.

    Chapter:
        ``networks/images``.

    Example:
        >>> import torch
        >>> from memolib.manifolds import LinearManifold
        >>> from memolib.spectra import along
        >>> law = LinearManifold([3.0, 1.0])  # at t = 1 it keeps s^2/(1 + s^2)
        >>> along(law, torch.zeros(1, 2), 1.0, torch.eye(2))
        tensor([[0.7500, 0.5000]])
    """
    D = as_denoiser(denoiser)
    x = as_points("x", x)
    t = as_noise(t)
    V = torch.as_tensor(V)
    if V.shape[-2:-1] != x.shape[1:] or V.shape[:-2] not in ((), x.shape[:1]):
        n, d = x.shape
        raise ValueError(f"V has shape {tuple(V.shape)}; allowed are ({d}, k) and ({n}, {d}, k)")
    directions = V.to(x).expand(len(x), -1, -1).permute(2, 0, 1)
    # v'Gv is v'G'v, which for networks is several times as fast.
    answers = D.products(x, t, directions, transposed=D.by_reverse)
    return (directions * answers).sum(dim=2).T
