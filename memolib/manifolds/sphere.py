"""Data on a sphere of any dimension, with an exact denoiser everywhere."""

import numpy as np
import torch
from scipy.special import gammaln

from memolib._tensors import as_points
from memolib._validate import Seed, generator
from memolib.denoisers import Denoiser, TensorLike
from memolib.manifolds.chart import Tangent
from memolib.manifolds.linear import LinearManifold

ROWS = 2_000  # points at a time where each needs an integral: arrays of tens of MB


class SphereManifold(Denoiser):
    """Gaussian data divided by their norm: an angular central Gaussian law.

    With ``b = x/t`` in the eigenbasis, and y of norm 1, all follows from ``M(b) = E exp(b.y)``: ``D
    = grad ln M``, and ``t G`` is the Hessian of ln M. Expand the exponential;
    ``E[(b.z)^2n/|z|^2n]`` is an integral over q of a moment under ``exp(-q|z|^2)``; the series then
    sums to Bessel functions, ``M = 1 + int_0^inf P(q) sqrt(X/q) I_1(2 sqrt(Xq)) dq`` with ``g_k =
    s_k^2/(1+2q s_k^2)``, ``P = prod_k (1+2q s_k^2)^(-1/2)`` and ``X = 1/2 sum_k b_k^2 g_k``: one
    integral of a positive smooth function. Calling it denoises, as ``Denoiser`` says.

    Args:
        variances: of the Gaussian before division, shape (d,), not below 0; only their ratios
            matter.
        basis: orthogonal, shape (d, d); column k is the direction of ``variances[k]``; the
            coordinate axes where nothing is said.

    Attributes:
        variances: shape (d,), float64.
        basis: shape (d, d), float64.
        d: number of coordinates of a point.

    Raises:
        ValueError: for negative variances or none above 0, or a basis that does not fit or is not
            orthogonal.

    Source:
        This book.

    Chapter:
        ``manifold/seen_from_the_origin``.

    Example:
        >>> from memolib import SphereManifold
        >>> law = SphereManifold([1.0, 1.0, 1.0])  # the unit sphere in space, uniform
        >>> law([[0.0, 0.0, 2.0]], t=1.0).round(decimals=4).tolist()  # 1/tanh(2) - 1/2
        [[0.0, 0.0, 0.5373]]
    """

    precision = torch.float64
    place = "cpu"

    def __init__(self, variances: TensorLike, basis: TensorLike | None = None) -> None:
        self._flat = LinearManifold(variances, basis)
        self.variances = self._flat.variances
        self.basis = self._flat.basis
        self.d = self._flat.d
        if not self.variances.any():
            allowed = "variances of which one is above 0"
            raise ValueError(f"variances is 0 in all directions; allowed are {allowed}")
        s2 = self.variances / self.variances.max()
        # The trapezoid rule in ln(q) converges exponentially; the integrand is some sqrt(2/m) wide.
        step = min(0.1, 0.4 / int((s2 > 0).sum()) ** 0.5)
        log_q = torch.arange(-40, 80, step, dtype=torch.float64)[:, None]
        growth = torch.log1p(2 * log_q.exp() * s2)
        self._g = s2 * torch.exp(-growth)
        self._q = log_q[:, 0].exp()
        self._log_p = log_q[:, 0] + np.log(step) - growth.sum(dim=1) / 2

    def sample(self, n: int, seed: Seed = None) -> torch.Tensor:
        """Draw data.

        Args:
            n: number of points, 1 or more.
            seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

        Returns:
            Points, shape (n, d), float64, each of norm 1.

        Raises:
            ValueError: for other arguments.
        """
        y = self._flat.sample(n, generator(seed, "SphereManifold.sample"))
        return y / y.norm(dim=1, keepdim=True)

    def tangent(self, y: TensorLike) -> Tangent:
        """Give tangent space, local variances and density at points of the sphere.

        The local variances are those of the Gaussian across y, over the mean square of its norm at
        that direction.

        Args:
            y: points of norm 1, shape (n, d), in the span of the r directions of variance above 0.

        Returns:
            Tangent, with m = r - 1.

        Raises:
            ValueError: for another shape, or points that are not finite.
        """
        y = as_points("y", y, len(self.variances)).double()
        rank = int((self.variances > 0).sum())
        log_det = self.variances[self.variances > 0].log().sum()
        inverse = torch.where(self.variances > 0, 1 / self.variances, 0.0)
        size = (y @ self.basis) ** 2 @ inverse
        across = torch.eye(y.shape[1], dtype=torch.float64) - y[:, :, None] * y[:, None, :]
        covariance = across @ (self.basis * self.variances @ self.basis.T) @ across
        values, vectors = torch.linalg.eigh(covariance)
        order = slice(y.shape[1] - (rank - 1), None)
        log_area = np.log(2) + rank / 2 * np.log(np.pi) - gammaln(rank / 2)
        log_density = -log_area - (log_det + rank * size.log()) / 2
        variances = values[:, order].flip(1) * size[:, None] / rank
        return Tangent(vectors[:, :, order].flip(2), variances, log_density)

    def _denoise(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return self._moments(x, t)[0] @ self.basis.T

    def _jacobian(self, x: torch.Tensor, t: float) -> torch.Tensor:
        # Rounding errors of its elements are about 1e-16/t, in units of the radius squared.
        D, slope, b, curvature, _ = self._moments(x, t)
        G = torch.stack([torch.diag(f) for f in slope]) - D[:, :, None] * D[:, None, :]
        for k, weights in enumerate(curvature):
            steps = self._g * b[k]
            G[k] += steps.T @ (weights[:, None] * steps)
        return self.basis @ G @ self.basis.T / t

    def _log_density(self, x: torch.Tensor, t: float) -> torch.Tensor:
        log_norm = x.shape[1] / 2 * np.log(2 * np.pi * t)
        return self._moments(x, t)[-1] - ((x**2).sum(dim=1) + 1) / (2 * t) - log_norm

    def _moments(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, ...]:
        """In the eigenbasis: D, D_k/b_k, b, what each q gives to d2M/dX2, all over M; ln M."""
        if len(x) > ROWS:
            blocks = (self._moments(block, t) for block in x.split(ROWS))
            return tuple(map(torch.cat, zip(*blocks, strict=True)))
        b = x.to(torch.float64) @ self.basis / t
        X = b**2 @ self._g.T / 2
        z = 2 * (X * self._q).clamp(min=1e-300).sqrt()  # the root has no slope at the centre
        top = (z + self._log_p).amax(dim=1, keepdim=True).clamp(min=0)
        P = torch.exp(z + self._log_p - top)
        safe = torch.where(z > 1e-9, z, 1.0)
        j = torch.where(z > 1e-9, 2 * torch.special.i1e(safe) / safe, 1.0)  # 2 I_1(z)/z e^-z
        M = torch.exp(-top) + (P * X * j).sum(dim=1, keepdim=True)
        slope = (P * torch.special.i0e(z)) @ self._g / M
        return b * slope, slope, b, P * self._q * j / M, (M.log() + top)[:, 0]
