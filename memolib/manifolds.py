"""Data laws with exact denoisers.

A denoiser is a function ``D(x, t) = E[y | x_t = x]`` of points x, shape (n, d), and one noise variance t, with
``x_t = y + sqrt(t) xi``. The score is ``(D - x)/t`` and the denoiser's Jacobian ``G = dD/dx = Cov(y|x)/t``. Each law
also gives ``log_density``, the logarithm of the density of the noisy points.
Points are torch tensors; NumPy arrays are taken as float64.
"""

import numpy as np
import torch

from memolib._tensors import as_noise, as_points
from memolib._validate import count, real, real_array
from memolib.theory import check_mixture

ROWS = 2_000  # points at a time where each needs an integral: arrays of tens of MB


def random_rotation(d: int, seed=None) -> torch.Tensor:
    """Draw an orthogonal matrix, uniformly.

    Args:
        d: dimension, 1 or more.
        seed: int or ``numpy.random.Generator``.
    Returns:
        Matrix of shape (d, d), float64.
    Raises:
        ValueError: for d below 1.

    Source: Mezzadri, Notices of the AMS 54, 592 (2007). Chapter: ``manifold/losing_dimensions``.
    """
    d = count("d", d)
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
    return torch.from_numpy(q * np.sign(np.diag(r)))


class LinearManifold:
    """Gaussian data with a given variance along each of d orthogonal directions; calling it denoises.

    Attributes:
        variances: shape (d,), unit of the data squared; 0, or tiny, off the manifold.
        basis: orthogonal, shape (d, d); column k is the direction of ``variances[k]``.
    """

    def __init__(self, variances, basis=None):
        """Make a law from its variances and directions (the coordinate axes where no basis is given).

        Raises:
            ValueError: for negative variances, or a basis that is not orthogonal or of another dimension.
        """
        s2 = real_array("variances", variances, minimum=0)
        if s2.ndim != 1 or not s2.size:
            raise ValueError(f"variances has shape {s2.shape}; allowed is (d,) with d at least 1")
        self.variances = torch.from_numpy(s2)
        self.basis = as_points("basis", np.eye(s2.size) if basis is None else basis, s2.size).to(torch.float64)
        error = (self.basis @ self.basis.T - torch.eye(s2.size)).abs().max() if len(self.basis) == s2.size else np.inf
        if error > 1e-8:
            raise ValueError(f"basis is off orthogonality by {error:.2g}; allowed is an orthogonal (d, d) matrix")

    @classmethod
    def of_dimension(cls, m: int, d: int, variance: float = 1.0, seed=None) -> "LinearManifold":
        """Make m equal variances on a random m-dimensional subspace of d dimensions.

        Args:
            m: dimension of the manifold, from 1 to d.
            d: dimension of the space.
            variance: along the manifold, unit of the data squared.
            seed: of the subspace.
        Returns:
            LinearManifold.
        Raises:
            ValueError: for m above d, or numbers out of range.
        """
        m = count("m", m, maximum=count("d", d))
        return cls(np.r_[np.full(m, float(variance)), np.zeros(d - m)], random_rotation(d, seed))

    def sample(self, n: int, seed=None) -> torch.Tensor:
        """Draw data.

        Args:
            n: number of points, 1 or more.
            seed: int or ``numpy.random.Generator``.
        Returns:
            Points, shape (n, d), float64.
        Raises:
            ValueError: for n below 1.
        """
        z = np.random.default_rng(seed).standard_normal((count("n", n), len(self.variances)))
        return (torch.from_numpy(z) * self.variances.sqrt()) @ self.basis.T

    def __call__(self, x, t) -> torch.Tensor:
        """Denoise: ``D = sum_k u_k/(1+u_k) (x.e_k) e_k``.

        Args:
            x: points, shape (n, d).
            t: noise variance, above 0.
        Returns:
            Shape (n, d).
        Raises:
            ValueError: for points of another dimension or t not above 0.
        """
        x, t = as_points("x", x, len(self.variances)), as_noise(t)
        shrink, basis = (self.variances / (t + self.variances)).to(x), self.basis.to(x)
        return (x @ basis * shrink) @ basis.T

    def score(self, x, t) -> torch.Tensor:
        """Score ``(D - x)/t``; arguments, shape and errors as for denoising, unit one over the data's."""
        x = as_points("x", x, len(self.variances))
        return (self(x, t) - x) / as_noise(t)

    def jacobian(self, x, t) -> torch.Tensor:
        """Jacobian of the denoiser, the same at every point.

        Args:
            x: points, shape (n, d).
            t: noise variance, above 0.
        Returns:
            Shape (n, d, d).
        Raises:
            ValueError: for points of another dimension or t not above 0.
        """
        x, t = as_points("x", x, len(self.variances)), as_noise(t)
        G = (self.basis * (self.variances / (t + self.variances))) @ self.basis.T
        return G.to(x).expand(len(x), -1, -1)

    def log_density(self, x, t) -> torch.Tensor:
        """Logarithm of the density of noisy data at x.

        Args:
            x: points, shape (n, d).
            t: noise variance, above 0.
        Returns:
            Shape (n,); the density's unit is that of the data to the power -d.
        Raises:
            ValueError: for points of another dimension or t not above 0.
        """
        x, spread = as_points("x", x, len(self.variances)), as_noise(t) + self.variances
        squares = (x @ self.basis.to(x)) ** 2 / spread.to(x)
        return -(squares + torch.log(2 * torch.pi * spread).to(x)).sum(dim=1) / 2


class SphereManifold:
    """Gaussian data divided by their norm (an angular central Gaussian law); calling it denoises.

    With ``b = x/t`` in the eigenbasis, and y of norm 1, all follows from ``M(b) = E exp(b.y)``: ``D = grad ln M``, and
    ``t G`` is the Hessian of ln M. Expand the exponential; ``E[(b.z)^2n/|z|^2n]`` is an integral over q of a moment
    under ``exp(-q|z|^2)``; the series then sums to Bessel functions,
    ``M = 1 + int_0^inf P(q) sqrt(X/q) I_1(2 sqrt(Xq)) dq`` with ``g_k = s_k^2/(1+2q s_k^2)``,
    ``P = prod_k (1+2q s_k^2)^(-1/2)`` and ``X = 1/2 sum_k b_k^2 g_k``: one integral of a positive smooth function.

    Attributes:
        variances: of the Gaussian before division, shape (d,); only their ratios matter.
        basis: orthogonal, shape (d, d); column k is the direction of ``variances[k]``.

    Source: this book. Chapter: ``manifold/losing_dimensions``.
    """

    def __init__(self, variances, basis=None):
        """Make a law from the variances and directions of the Gaussian.

        Raises:
            ValueError: for negative variances or none above 0, or a basis that does not fit or is not orthogonal.
        """
        self._flat = LinearManifold(variances, basis)
        self.variances, self.basis = self._flat.variances, self._flat.basis
        if not self.variances.any():
            raise ValueError("variances is 0 in all directions; allowed are variances of which one is above 0")
        s2 = self.variances / self.variances.max()
        # trapezoid rule in ln(q), which converges exponentially; the integrand is about sqrt(2/m) wide
        step = min(0.1, 0.4 / int((s2 > 0).sum()) ** 0.5)
        log_q = torch.arange(-40, 80, step, dtype=torch.float64)[:, None]
        growth = torch.log1p(2 * log_q.exp() * s2)
        self._g = s2 * torch.exp(-growth)
        self._q, self._log_p = log_q[:, 0].exp(), log_q[:, 0] + np.log(step) - growth.sum(dim=1) / 2

    def sample(self, n: int, seed=None) -> torch.Tensor:
        """Draw data; arguments, result and errors as for ``LinearManifold``, each point of norm 1."""
        y = self._flat.sample(n, seed)
        return y / y.norm(dim=1, keepdim=True)

    def __call__(self, x, t) -> torch.Tensor:
        """Denoise; arguments, result and errors as for ``LinearManifold``."""
        x = as_points("x", x, len(self.variances))
        return (self._moments(x, as_noise(t))[0] @ self.basis.T).to(x)

    def score(self, x, t) -> torch.Tensor:
        """Score ``(D - x)/t``; arguments, shape and errors as for denoising, unit one over the data's."""
        x = as_points("x", x, len(self.variances))
        return (self(x, t) - x) / as_noise(t)

    def jacobian(self, x, t) -> torch.Tensor:
        """Jacobian of the denoiser; arguments, result and errors as for ``LinearManifold``."""
        x, t = as_points("x", x, len(self.variances)), as_noise(t)
        D, slope, b, curvature, _ = self._moments(x, t)
        G = torch.stack([torch.diag(f) for f in slope]) - D[:, :, None] * D[:, None, :]
        for k, weights in enumerate(curvature):
            steps = self._g * b[k]
            G[k] += steps.T @ (weights[:, None] * steps)
        return (self.basis @ G @ self.basis.T / t).to(x)

    def log_density(self, x, t) -> torch.Tensor:
        """Logarithm of the density of noisy data; arguments, result and errors as for ``LinearManifold``."""
        x, t = as_points("x", x, len(self.variances)), as_noise(t)
        log_norm = x.shape[1] / 2 * np.log(2 * np.pi * t)
        return (self._moments(x, t)[-1] - ((x**2).sum(dim=1) + 1) / (2 * t)).to(x) - log_norm

    def _moments(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, ...]:
        """In the eigenbasis: D, D_k/b_k, b, the weight of each q in the second derivative by X; all over M; ln M."""
        if len(x) > ROWS:
            blocks = (self._moments(block, t) for block in x.split(ROWS))
            return tuple(map(torch.cat, zip(*blocks, strict=True)))
        b = x.to(torch.float64) @ self.basis / t
        X = b**2 @ self._g.T / 2
        z = 2 * (X * self._q).sqrt()
        top = (z + self._log_p).amax(dim=1, keepdim=True).clamp(min=0)
        P = torch.exp(z + self._log_p - top)
        j = torch.where(z > 1e-9, 2 * torch.special.i1e(z) / z, 1.0)  # 2 I_1(z)/z e^-z
        M = torch.exp(-top) + (P * X * j).sum(dim=1, keepdim=True)
        slope = (P * torch.special.i0e(z)) @ self._g / M
        return b * slope, slope, b, P * self._q * j / M, (M.log() + top)[:, 0]


class GaussianMixture:
    """Mixture of K Gaussians with variances along the axes; calling it denoises.

    Attributes:
        means: shape (K, d), unit of the data.
        variances: shape (K, d), its square; 0 for points without extent.
        weights: shape (K,), above 0, summing to 1.
    """

    def __init__(self, means, variances, weights=None):
        """Make a law from its components; variances (K, d), or (d,) for all; equal weights where none are given.

        Raises:
            ValueError: for shapes that do not fit, negative variances, or weights that are not above 0 with sum 1.
        """
        if weights is None:
            weights = np.full(len(means), 1 / max(1, len(means)))
        self.means, self.variances, self.weights = map(
            torch.tensor, check_mixture(means, variances, weights)
        )  # copies, float64

    @classmethod
    def two_classes(cls, separation: float, d: int, within: float = 1.0) -> "GaussianMixture":
        """Make two equal classes at +-mu, with mu along the first axis.

        Args:
            separation: squared norm of mu, above 0, unit of the data squared.
            d: dimension, 1 or more.
            within: variance within a class, in each direction.
        Returns:
            GaussianMixture.
        Raises:
            ValueError: for numbers out of range.
        """
        mu = np.zeros(count("d", d))
        mu[0] = real("separation", separation, minimum=0, strict=True) ** 0.5
        return cls([mu, -mu], np.full(d, real("within", within, minimum=0)))

    def sample(self, n: int, seed=None) -> torch.Tensor:
        """Draw data; arguments, result and errors as for ``LinearManifold``."""
        rng = np.random.default_rng(seed)
        label = rng.choice(len(self.weights), count("n", n), p=self.weights.numpy())
        z = torch.from_numpy(rng.standard_normal((n, self.means.shape[1])))
        return self.means[label] + z * self.variances[label].sqrt()

    def log_posterior(self, x, t) -> torch.Tensor:
        """Logarithm of the probability of each component given noisy points.

        Args:
            x: points, shape (n, d).
            t: noise variance, above 0.
        Returns:
            Shape (n, K); each row's exponentials sum to 1.
        Raises:
            ValueError: for points of another dimension or t not above 0.
        """
        return torch.log_softmax(self._log_joint(x, t), dim=1)

    def log_density(self, x, t) -> torch.Tensor:
        """Logarithm of the density of noisy data; arguments, result and errors as for ``LinearManifold``."""
        return torch.logsumexp(self._log_joint(x, t), dim=1)

    def __call__(self, x, t) -> torch.Tensor:
        """Denoise; arguments, result and errors as for ``LinearManifold``."""
        p = self.log_posterior(x, t).exp()
        return sum(p[:, k : k + 1] * answer for k, answer in enumerate(self._answers(x, t)))

    def score(self, x, t) -> torch.Tensor:
        """Score ``(D - x)/t``; arguments, shape and errors as for denoising, unit one over the data's."""
        return (self(x, t) - as_points("x", x)) / as_noise(t)

    def jacobian(self, x, t) -> torch.Tensor:
        """Jacobian of the denoiser: the spread within components and between their answers, over t.

        Args:
            x: points, shape (n, d).
            t: noise variance, above 0.
        Returns:
            Shape (n, d, d).
        Raises:
            ValueError: for points of another dimension or t not above 0.
        """
        p, answers = self.log_posterior(x, t).exp(), torch.stack(list(self._answers(x, t)), dim=1)
        centred = answers - (p[:, :, None] * answers).sum(dim=1, keepdim=True)
        G = torch.einsum("nk,nka,nkb->nab", p, centred, centred) / as_noise(t)
        shrink = (self.variances / (as_noise(t) + self.variances)).to(p)
        G.diagonal(dim1=1, dim2=2).add_(p @ shrink)
        return G

    def _log_joint(self, x, t) -> torch.Tensor:
        x, t = as_points("x", x, self.means.shape[1]), as_noise(t)
        spread, means = (self.variances + t).to(x), self.means.to(x)
        logs = [
            -((x - m) ** 2 / v + torch.log(2 * torch.pi * v)).sum(dim=1) / 2 for m, v in zip(means, spread, strict=True)
        ]
        return torch.stack(logs, dim=1) + self.weights.log().to(x)

    def _answers(self, x, t):
        """Give each component's own denoiser."""
        x, t = as_points("x", x, self.means.shape[1]), as_noise(t)
        for m, v in zip(self.means.to(x), self.variances.to(x), strict=True):
            yield m + v / (t + v) * (x - m)
