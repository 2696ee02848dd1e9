"""Flat manifolds: Gaussian data with few directions of large variance."""

import numpy as np
import torch

from memolib._tensors import each_noise, held
from memolib._validate import count, generator, real_array
from memolib.denoisers import Denoiser


def random_rotation(d: int, seed=None) -> torch.Tensor:
    """Draw an orthogonal matrix, uniformly.

    Args:
        d: dimension, 1 or more.
        seed: int or ``numpy.random.Generator``.
    Returns: shape (d, d), float64. Raises: ValueError for d below 1.
    Source: Mezzadri, Notices of the AMS 54, 592 (2007). Chapter: ``manifold/seen_from_the_origin``.
    """
    d = count("d", d)
    q, r = np.linalg.qr(generator(seed, "random_rotation").standard_normal((d, d)))
    return torch.from_numpy(q * np.sign(np.diag(r)))


class LinearManifold(Denoiser):
    """Gaussian data with a given variance along each of d orthogonal directions; calling it
    denoises.

    With ``u_k = variances[k]/t``, ``D = sum_k u_k/(1+u_k) (x.e_k) e_k``: the Jacobian is the same
    everywhere.

    Attributes:
        variances: shape (d,), unit of the data squared; 0, or tiny, off the manifold.
        basis: orthogonal, shape (d, d); column k is the direction of ``variances[k]``.
    """

    takes_each = True

    def __init__(self, variances, basis=None):
        """Make a law from its variances and directions (the coordinate axes where no basis is
        given).

        Raises: ValueError for negative variances, or a basis that is not orthogonal or of another
            dimension.
        """
        s2 = real_array("variances", variances, minimum=0)
        if s2.ndim != 1 or not s2.size:
            raise ValueError(f"variances has shape {s2.shape}; allowed is (d,) with d at least 1")
        self.variances, self.d = torch.from_numpy(s2.copy()), s2.size
        self.basis = held("basis", np.eye(s2.size) if basis is None else basis, s2.size).to(
            torch.float64
        )
        error = (
            (self.basis @ self.basis.T - torch.eye(s2.size)).abs().max()
            if len(self.basis) == s2.size
            else np.inf
        )
        if error > 1e-8:
            raise ValueError(
                f"basis is off orthogonality by {error:.2g}; allowed is an orthogonal (d, d) matrix"
            )

    @classmethod
    def of_dimension(cls, m: int, d: int, variance: float = 1.0, seed=None) -> "LinearManifold":
        """Make m equal variances on a random m-dimensional subspace of d dimensions.

        Args:
            m: dimension of the manifold, from 1 to d.
            d: dimension of the space.
            variance: along the manifold, unit of the data squared.
            seed: of the subspace.
        Returns: LinearManifold. Raises: ValueError for other arguments.
        """
        m = count("m", m, maximum=count("d", d))
        return cls(np.r_[np.full(m, float(variance)), np.zeros(d - m)], random_rotation(d, seed))

    def sample(self, n: int, seed=None) -> torch.Tensor:
        """Draw n points, 1 or more, else ValueError: shape (n, d), float64; seed int or
        ``numpy.random.Generator``.
        """
        z = generator(seed, "LinearManifold.sample").standard_normal(
            (count("n", n), len(self.variances))
        )
        return (torch.from_numpy(z) * self.variances.sqrt()) @ self.basis.T

    def _denoise(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        return (x @ self.basis.to(x) * self._shrink(x, t)) @ self.basis.to(x).T

    def _score(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        return (
            -(x @ self.basis.to(x) / (each_noise(t, x) + self.variances.to(x))) @ self.basis.to(x).T
        )

    def _shrink(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        """``u/(1+u)`` of each direction, at each point where noise differs."""
        return self.variances.to(x) / (each_noise(t, x) + self.variances.to(x))

    def _jacobian(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        basis, shrink = self.basis.to(x), self._shrink(x, t)
        return ((basis * shrink[..., None, :]) @ basis.T).expand(len(x), -1, -1)

    def _spectrum(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        return self._shrink(x, t).sort(descending=True).values.expand(len(x), -1)

    def _log_density(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        spread = each_noise(t, x) + self.variances.to(x)
        return (
            -((x @ self.basis.to(x)) ** 2 / spread + torch.log(2 * torch.pi * spread)).sum(dim=1)
            / 2
        )
