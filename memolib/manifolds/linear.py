"""Flat manifolds: Gaussian data with few directions of large variance."""

import numpy as np
import torch

from memolib._tensors import each_noise, held
from memolib._validate import Seed, count, generator, real_array
from memolib.denoisers import Denoiser, TensorLike


def random_rotation(d: int, seed: Seed = None) -> torch.Tensor:
    """Draw an orthogonal matrix, uniformly.

    Args:
        d: dimension, 1 or more.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

    Returns:
        Shape (d, d), float64.

    Raises:
        ValueError: for other arguments.

    Source:
        Mezzadri, Notices of the AMS 54, 592 (2007).

    Chapter:
        ``manifold/seen_from_the_origin``.
    """
    d = count("d", d)
    q, r = np.linalg.qr(generator(seed, "random_rotation").standard_normal((d, d)))
    return torch.from_numpy(q * np.sign(np.diag(r)))


class LinearManifold(Denoiser):
    """Gaussian data with a given variance along each of d orthogonal directions.

    With ``u_k = variances[k]/t``, ``D = sum_k u_k/(1+u_k) (x.e_k) e_k``: the Jacobian is the same
    everywhere. Calling it denoises, as ``Denoiser`` says.

    Args:
        variances: shape (d,), not below 0, unit of the data squared; 0, or tiny, off the manifold.
        basis: orthogonal, shape (d, d); column k is the direction of ``variances[k]``; the
            coordinate axes where nothing is said.

    Attributes:
        variances: shape (d,), float64.
        basis: shape (d, d), float64.
        d: number of coordinates of a point.

    Raises:
        ValueError: for negative variances, or a basis that is not orthogonal or of another
            dimension.

    Source:
        Achilli et al., arXiv 2410.08727.

    Chapter:
        ``manifold/losing_dimensions``.

    Example:
        >>> from memolib import LinearManifold
        >>> law = LinearManifold([3.0, 0.0])  # a line in the plane
        >>> law([[4.0, 4.0]], t=1.0).tolist()  # along it 3/4 is kept, across it nothing
        [[3.0, 0.0]]
    """

    takes_each = True

    def __init__(self, variances: TensorLike, basis: TensorLike | None = None) -> None:
        s2 = real_array("variances", variances, minimum=0)
        if s2.ndim != 1 or not s2.size:
            raise ValueError(f"variances has shape {s2.shape}; allowed is (d,) with d at least 1")
        self.variances = torch.from_numpy(s2.copy())
        self.d = s2.size
        basis = np.eye(s2.size) if basis is None else basis
        self.basis = held("basis", basis, s2.size).to(torch.float64)
        error = np.inf
        if len(self.basis) == s2.size:
            error = (self.basis @ self.basis.T - torch.eye(s2.size)).abs().max()
        if error > 1e-8:
            allowed = "an orthogonal (d, d) matrix"
            raise ValueError(f"basis is off orthogonality by {error:.2g}; allowed is {allowed}")

    @classmethod
    def of_dimension(
        cls, m: int, d: int, variance: float = 1.0, seed: Seed = None
    ) -> "LinearManifold":
        """Make m equal variances on a random m-dimensional subspace of d dimensions.

        Args:
            m: dimension of the manifold, from 1 to d.
            d: dimension of the space.
            variance: along the manifold, unit of the data squared.
            seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``, of
                the subspace.

        Returns:
            LinearManifold.

        Raises:
            ValueError: for other arguments.
        """
        m = count("m", m, maximum=count("d", d))
        variances = np.r_[np.full(m, float(variance)), np.zeros(d - m)]
        rng = generator(seed, "LinearManifold.of_dimension")
        return cls(variances, random_rotation(d, rng))

    def sample(self, n: int, seed: Seed = None) -> torch.Tensor:
        """Draw data.

        Args:
            n: number of points, 1 or more.
            seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

        Returns:
            Points, shape (n, d), float64.

        Raises:
            ValueError: for other arguments.
        """
        n = count("n", n)
        z = generator(seed, "LinearManifold.sample").standard_normal((n, self.d))
        return (torch.from_numpy(z) * self.variances.sqrt()) @ self.basis.T

    def _denoise(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        return (x @ self.basis.to(x) * self._shrink(x, t)) @ self.basis.to(x).T

    def _score(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        spread = each_noise(t, x) + self.variances.to(x)
        return -(x @ self.basis.to(x) / spread) @ self.basis.to(x).T

    def _shrink(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        """``u/(1+u)`` of each direction, at each point where noise differs."""
        return self.variances.to(x) / (each_noise(t, x) + self.variances.to(x))

    def _jacobian(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        basis = self.basis.to(x)
        shrink = self._shrink(x, t)
        return ((basis * shrink[..., None, :]) @ basis.T).expand(len(x), -1, -1)

    def _spectrum(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        return self._shrink(x, t).sort(descending=True).values.expand(len(x), -1)

    def _log_density(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        spread = each_noise(t, x) + self.variances.to(x)
        terms = (x @ self.basis.to(x)) ** 2 / spread + torch.log(2 * torch.pi * spread)
        return -terms.sum(dim=1) / 2
