"""Mixtures of Gaussians: classes, or points."""

import numpy as np
import torch

from memolib._validate import check_mixture, count, generator, real, real_array
from memolib.denoisers import Denoiser


class GaussianMixture(Denoiser):
    """Mixture of K Gaussians with variances along the axes; calling it denoises.

    Attributes:
        means: shape (K, d), unit of the data.
        variances: shape (K, d), its square; 0 for points without extent.
        weights: shape (K,), above 0, summing to 1.
    """

    def __init__(self, means, variances, weights=None):
        """Make a law from its components; variances (K, d), or (d,) for all; equal weights where
        none are given.

        Raises: ValueError for other shapes, negative variances, or weights that are not above 0
            with sum 1.
        """
        means = real_array("means", means)
        if weights is None:
            weights = np.full(means.shape[:1], 1 / max(1, len(np.atleast_1d(means))))
        checked = check_mixture(means, variances, weights)
        self.means, self.variances, self.weights = (
            torch.from_numpy(np.array(part))
            for part in checked  # copies, without negative strides
        )
        self.d = self.means.shape[1]

    @classmethod
    def two_classes(cls, separation: float, d: int, within: float = 1.0) -> "GaussianMixture":
        """Make two equal classes at +-mu, with mu along the first axis.

        Args:
            separation: squared norm of mu, above 0, unit of the data squared.
            d: dimension, 1 or more.
            within: variance within a class, in each direction, 0 or more.
        Returns: GaussianMixture. Raises: ValueError for other arguments.
        """
        d = count("d", d)
        mu = np.zeros(d)
        mu[0] = real("separation", separation, minimum=0, strict=True) ** 0.5
        return cls([mu, -mu], np.full(d, real("within", within, minimum=0)))

    def sample(self, n: int, seed=None) -> torch.Tensor:
        """Draw data; arguments, result and errors as for ``LinearManifold``."""
        n, rng = count("n", n), generator(seed, "GaussianMixture.sample")
        label = rng.choice(len(self.weights), n, p=self.weights.numpy())
        z = torch.from_numpy(rng.standard_normal((n, self.means.shape[1])))
        return self.means[label] + z * self.variances[label].sqrt()

    def log_posterior(self, x, t) -> torch.Tensor:
        """Give the log probability of each component.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            Shape (n, K).
        """
        return self._answer(lambda x, t: torch.log_softmax(self._log_joint(x, t), dim=1), x, t)

    def _log_density(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return torch.logsumexp(self._log_joint(x, t), dim=1)

    def _denoise(self, x: torch.Tensor, t: float) -> torch.Tensor:
        p = torch.softmax(self._log_joint(x, t), dim=1)
        return sum(p[:, k : k + 1] * answer for k, answer in enumerate(self._answers(x, t)))

    def _score(self, x: torch.Tensor, t: float) -> torch.Tensor:
        p = torch.softmax(self._log_joint(x, t), dim=1)
        parts = zip(self.means.to(x), (self.variances + t).to(x), strict=True)
        return sum(p[:, k : k + 1] * (mean - x) / spread for k, (mean, spread) in enumerate(parts))

    def _jacobian(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """The spread within components and between their answers, over t."""
        p = torch.softmax(self._log_joint(x, t), dim=1)
        answers = torch.stack(list(self._answers(x, t)), dim=1)
        centred = answers - (p[:, :, None] * answers).sum(dim=1, keepdim=True)
        between = torch.einsum("nk,nka,nkb->nab", p, centred, centred) / t
        return between + torch.diag_embed(p @ (self.variances / (t + self.variances)).to(p))

    def _log_joint(self, x: torch.Tensor, t: float) -> torch.Tensor:
        spread, means = (self.variances + t).to(x), self.means.to(x)
        logs = [
            -((x - m) ** 2 / v + torch.log(2 * torch.pi * v)).sum(dim=1) / 2
            for m, v in zip(means, spread, strict=True)
        ]
        return torch.stack(logs, dim=1) + self.weights.log().to(x)

    def _answers(self, x: torch.Tensor, t: float):
        """Give each component's own denoiser."""
        for m, v in zip(self.means.to(x), self.variances.to(x), strict=True):
            yield m + v / (t + v) * (x - m)
