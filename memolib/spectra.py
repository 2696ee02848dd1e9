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
from memolib._validate import count, generator, real, real_array
from memolib.denoisers import Denoiser
from memolib.foreign import as_denoiser

METHODS = ("exact", "perturbation")


def jacobian(denoiser, x, t) -> torch.Tensor:
    """Give the Jacobian of a denoiser: its own where it offers one, else by automatic
    differentiation.

    Args:
        denoiser: a ``Denoiser``, or a function of points (n, d) and a noise variance, giving (n,
            d), of which ``as_denoiser`` makes one.
        x: points, shape (n, d).
        t: noise variance, above 0.

    Returns:
        Shape (n, d, d); ``[i, a, b]`` is the derivative of D_a by x_b at point i.

    Source:
        Achilli et al., arXiv 2410.08727.

    Chapter:
        ``manifold/losing_dimensions``
    """
    return as_denoiser(denoiser).jacobian(x, t)


def forward_mode(denoiser, x, t) -> torch.Tensor:
    """Give the Jacobian by d forward-mode derivatives of the whole batch, whatever else the
    denoiser offers.

    Args:
        denoiser: as for ``jacobian``.
        x: points, shape (n, d).
        t: noise variance, above 0.

    Returns:
        Shape (n, d, d).

    Chapter:
        ``manifold/losing_dimensions``
    """
    D, x, t = as_denoiser(denoiser), as_points("x", x), as_noise(t)
    return _derivatives.forward(lambda points: D(points, t), x)


def reverse_mode(denoiser, x, t) -> torch.Tensor:
    """Give the Jacobian by d reverse-mode derivatives: half the time for networks.

    Args:
        denoiser: as for ``jacobian``.
        x: points, shape (n, d).
        t: noise variance, above 0.

    Returns:
        Shape (n, d, d).

    Chapter:
        ``networks/training``
    """
    D, x, t = as_denoiser(denoiser), as_points("x", x), as_noise(t)
    return _derivatives.reverse(lambda points: D(points, t), x)


def _denoise(denoiser: Denoiser, x: torch.Tensor, t: float) -> torch.Tensor:
    """Denoise points of shape (..., d), a part of them at a time, without graphs but where x has
    one.
    """
    parts = x.flatten(0, -2).split(max(1, TOGETHER // x.shape[-1]))
    with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
        return torch.cat([denoiser(part, t) for part in parts]).reshape(x.shape)


def spectrum(denoiser, x, t, *, method: str = "exact") -> torch.Tensor:
    """Eigenvalues of the symmetric part of the denoiser's Jacobian, falling; its own where it
    offers them.

    Args:
        denoiser: function of points (n, d) and a noise variance, giving (n, d).
        x: points, shape (n, d).
        t: noise variance, above 0.
        method: ``exact``, or ``perturbation``: symmetric differences of size sqrt(t) along the
            coordinate axes, a finite kick (the public experiments kick along a random orthogonal
            basis).
    Returns: shape (n, d). Raises, Source and Chapter: as for ``jacobian``; ValueError for an
    unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; allowed are {', '.join(METHODS)}")
    D = as_denoiser(denoiser)
    if method == "exact":
        return D.spectrum(x, t)
    x, t = _single(as_points("x", x)), as_noise(t)
    kicks = t**0.5 * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)[:, None]
    G = (_denoise(D, x + kicks, t) - _denoise(D, x - kicks, t)).permute(1, 2, 0) / (2 * t**0.5)
    return torch.linalg.eigvalsh((G + G.mT) / 2).flip(-1)


def _single(x: torch.Tensor) -> torch.Tensor:
    """Points in single precision at least, which eigenvalue routines ask for."""
    return x if x.dtype.itemsize > 2 else x.float()


def normal_bundle(denoiser, x, t, *, copies: int | None = None, seed=None) -> torch.Tensor:
    """One minus the squared singular values of t^(1/2) times stacked scores: near 1 along the
    manifold, 0 across it.

    The scores at noisy copies of a point on the manifold point back to it, across it: a finite
    kick, no Jacobian.

    Args:
        denoiser: function of points (n, d) and a noise variance, giving (n, d).
        x: points on or near the data's manifold, shape (n, d).
        t: noise variance, above 0, of the copies and of the scores there.
        copies: of each point, 1 or more; 4d by default.
        seed: int or ``numpy.random.Generator``, of the noise.
    Returns: falling, shape (n, d); the mean over copies, so that their number only sets the noise.
    Raises: ValueError for other arguments. Source: Stanczuk et al., arXiv 2212.12611, algorithm 1.
    Chapter: ``networks/training``.
    """
    x, t, rng = _single(as_points("x", x)), as_noise(t), generator(seed, "normal_bundle")
    denoiser = as_denoiser(denoiser)
    copies, values = 4 * x.shape[1] if copies is None else count("copies", copies), []
    for point in x:
        noisy = point + t**0.5 * torch.from_numpy(rng.standard_normal((copies, x.shape[1]))).to(x)
        back = (_denoise(denoiser, noisy, t) - noisy) / t**0.5
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


def stacked(denoiser, x, t, *, seed=None) -> Stacked:
    """Singular values of t^(1/2) times the scores at x moved by t^(1/2) along a random basis.

    The d scores at ``x + t^(1/2) z_k``, with orthonormal z_k of their own at each point, are the
    rows of a matrix; the score at x itself is not taken off them. Where that is large it makes one
    singular value the largest.

    Args:
        denoiser: function of points (n, d) and a noise variance, giving (n, d).
        x: points, shape (n, d).
        t: noise variance, above 0, of the scores; its root is the length of the kicks.
        seed: int or ``numpy.random.Generator``, of the bases.

    Returns:
        ``Stacked``.

    Raises:
        ValueError: for other arguments.

    Source:
        Public code of Achilli et al., arXiv 2410.08727.

    Chapter:
        ``networks/training``

    >>> from memolib.manifolds import LinearManifold
    >>> law = LinearManifold([1, 1, 0])
    >>> stacked(law, torch.zeros(1, 3, dtype=torch.float64), 0.01, seed=0).values.numpy().round(2)
    array([[1.  , 0.01, 0.01]])
    """
    D, x, t = as_denoiser(denoiser), _single(as_points("x", x)), as_noise(t)
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
    denoiser, x, t, k: int, *, blocks: int = 3, trailing: bool = False, seed=None
) -> Leading:
    """Largest eigenvalues of Jacobians without the Jacobians: block Krylov spaces from a random
    start.

    Args:
        denoiser: function of points (n, d) and a noise variance, built from torch operations
            (``torch.func``).
        x: points, shape (n, d).
        t: noise variance, above 0.
        k: number of eigenvalues, from 1 to d.
        blocks: of about k products with G and as many with its transpose, 1 or more; more of them
            are more accurate.
        trailing: the smallest instead; of a denoiser they are near 0, and close together.
        seed: int or ``numpy.random.Generator``, of the start.
    Returns: Leading. Raises: ValueError for other arguments.
    Source: Musco and Musco, arXiv 1504.05477, algorithm 2. Chapter: ``networks/training``.
    """
    D, x, t = as_denoiser(denoiser), _single(as_points("x", x)), as_noise(t)
    n, d = x.shape
    k, blocks = count("k", k, maximum=d), count("blocks", blocks)

    def product(V: torch.Tensor) -> torch.Tensor:
        """Of the symmetric part of G with vectors, shape (n, d, width)."""
        directions = V.permute(2, 0, 1)
        both = D.products(x, t, directions), D.products(x, t, directions, transposed=True)
        return (both[0] + both[1]).permute(1, 2, 0) / 2

    width = k + max(8, k // 10)
    width = d if (blocks + 1) * width >= d else width  # then the whole space costs no more
    block = torch.linalg.qr(
        torch.from_numpy(generator(seed, "leading").standard_normal((n, d, width))).to(x)
    )[0]
    spaces, images = [block], [product(block)]
    while len(spaces) <= blocks and width < d:
        block, basis = images[-1], torch.cat(spaces, dim=2)
        for _ in range(2):  # twice is enough for orthogonality to rounding
            block = torch.linalg.qr(block - basis @ (basis.mT @ block))[0]
        spaces.append(block)
        images.append(product(block))
    basis, image = torch.cat(spaces, dim=2), torch.cat(images, dim=2)
    values, rotation = torch.linalg.eigh(basis.mT @ image)
    some = slice(0, k) if trailing else slice(-k, None)
    values, rotation = values[:, some].flip(1), rotation[:, :, some].flip(2)
    vectors = basis @ rotation
    return Leading(values, vectors, (image @ rotation - vectors * values[:, None]).norm(dim=1))


def asymmetry(G) -> torch.Tensor:
    """Give the antisymmetric part of Jacobians over their symmetric part, by Frobenius norm; 0 for
    exact denoisers.

    Args:
        G: Jacobians, shape (n, d, d).

    Returns:
        Shape (n,); 0 where the Jacobian is 0 altogether, infinite where only its symmetric part is.

    Chapter:
        ``networks/training``
    """
    G = _matrices("G", G)
    odd, even = torch.linalg.matrix_norm(G - G.mT), torch.linalg.matrix_norm(G + G.mT)
    return torch.where(odd > 0, odd / even, 0.0)


def retention(G, population, basis) -> torch.Tensor:
    """Give the share of the population's Jacobian that is left along a subspace, ``tr(B' G B)/tr(B'
    G_pop B)``.

    Args:
        G: Jacobians, shape (n, d, d).
        population: Jacobians of the population's denoiser at the same x and t, shape (n, d, d).
        basis: orthonormal columns that span the subspace, r up to d, shape (d, r), or (n, d, r),
            one for each point.

    Returns:
        Shape (n,): 1 where nothing is lost, 0 where everything is.

    Chapter:
        ``manifold/losing_dimensions``
    """
    G, population, basis = (
        _matrices("G", G),
        _matrices("population", population),
        torch.as_tensor(basis),
    )
    if basis.ndim not in (2, 3) or not 0 < basis.shape[-1] <= basis.shape[-2]:
        raise ValueError(
            f"basis has shape {tuple(basis.shape)}; allowed is (d, r) or (n, d, r) with a rank r up to d"
        )
    n = len(basis) if basis.ndim == 3 else len(G)
    for name, matrix in (("G", G), ("population", population)):
        if matrix.shape != (n, basis.shape[-2], basis.shape[-2]):
            allowed = f"({n}, {basis.shape[-2]}, {basis.shape[-2]})"
            raise ValueError(f"{name} has shape {tuple(matrix.shape)}; allowed is {allowed}")
    off = (
        (basis.mT @ basis - torch.eye(basis.shape[-1], dtype=basis.dtype, device=basis.device))
        .abs()
        .max()
    )
    if off > 1e-4:
        raise ValueError(
            f"basis is off orthonormality by {float(off):.2g}; allowed are orthonormal columns"
        )
    left, full = ((basis.to(m) * (m @ basis.to(m))).sum(dim=(-2, -1)) for m in (G, population))
    return left / full


def _matrices(name: str, value) -> torch.Tensor:
    """Give matrices of shape (n, d, d) as a finite tensor."""
    value = (
        value
        if isinstance(value, torch.Tensor)
        else torch.from_numpy(np.array(real_array(name, value)))
    )
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


def alive(G, population, *, threshold: float = 0.5) -> Alive:
    """Count eigenvalues of ``P^(-1/2) G P^(-1/2)`` above a threshold: the Jacobian, whitened by the
    population's P.

    Args:
        G: Jacobians, shape (n, d, d), of which the symmetric part counts; for a manifold, their
            block along the tangent space.
        population: P, shape (d, d), or (n, d, d), one for each point; symmetric with positive
            eigenvalues. The unit matrix leaves G as it is.
        threshold: above it a direction is alive; a pure number.

    Returns:
        ``Alive``.

    Chapter:
        ``manifold/losing_dimensions``
    """
    G, threshold = _matrices("G", G), real("threshold", threshold)
    P = torch.as_tensor(population)
    P = _matrices("population", P[None] if P.ndim == 2 else P)
    if P.shape[1:] != G.shape[1:] or len(P) not in (1, len(G)):
        raise ValueError(
            f"population has shape {tuple(P.shape)} and G {tuple(G.shape)}; allowed are (d, d) or (n, d, d), (n, d, d)"
        )
    scales, axes = torch.linalg.eigh(P.to(G))
    if scales.min() <= 0:
        raise ValueError(
            f"population has an eigenvalue {float(scales.min()):.3g}; allowed are eigenvalues above 0"
        )
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


def largest_gap(eigenvalues, *, minimum: float = 0.5) -> Gap:
    """Find the largest step between neighbouring eigenvalues of G: its position is the dimension
    that x sees.

    Args:
        eigenvalues: as ``spectrum`` gives them: from 0 to about 1, falling, shape (n, d), d at
            least 2.
        minimum: smallest step that counts as a gap, above 0; below it the answer is honest: rank 0,
            no gap.
    Returns: Gap. Raises: ValueError for other arguments.
    Source: after Stanczuk et al., arXiv 2212.12611. Chapter: ``manifold/spectral_gaps``.
    """
    values = as_points("eigenvalues", eigenvalues)
    steps = values[:, :-1] - values[:, 1:]
    rounding = 10 * torch.finfo(values.dtype).eps * values.abs().max()
    if values.shape[1] < 2 or (steps < -rounding).any():
        raise ValueError(
            "eigenvalues is not falling along its last axis; allowed is (n, d) with d at least 2, falling"
        )
    minimum = real("minimum", minimum, minimum=0, strict=True)
    size, where = steps.max(dim=1)
    return Gap(torch.where(size >= minimum, where + 1, 0), size)
