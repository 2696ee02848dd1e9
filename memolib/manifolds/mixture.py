"""Mixtures of Gaussians: classes, or points."""

import numpy as np
import torch

from memolib._tensors import as_noise, as_points
from memolib._validate import check_mixture, count, real


class GaussianMixture:
    """Mixture of K Gaussians with variances along the axes; calling it denoises.

    Attributes:
        means: shape (K, d), unit of the data.
        variances: shape (K, d), its square; 0 for points without extent.
        weights: shape (K,), above 0, summing to 1.
    """

    def __init__(self, means, variances, weights=None):
        """Make a law from its components; variances (K, d), or (d,) for all; equal weights where none are given.

        Raises: ValueError for other shapes, negative variances, or weights that are not above 0 with sum 1.
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
            within: variance within a class, in each direction, 0 or more.
        Returns: GaussianMixture. Raises: ValueError for other arguments.
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
        """Log probability of each component given x, shape (n, K); arguments and errors as for ``LinearManifold``."""
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
        """Jacobian of the denoiser: the spread within components and between their answers, over t, shape (n, d, d)."""
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
