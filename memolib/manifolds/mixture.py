"""Mixtures of Gaussians: classes, or points."""

from collections.abc import Iterator

import numpy as np
import torch

from memolib._validate import Seed, check_mixture, count, generator, real, real_array
from memolib.denoisers import Denoiser, TensorLike


class GaussianMixture(Denoiser):
    """Mixture of K Gaussians with variances along the axes.

    Its denoiser is the mean of the components' own, weighted by how probable each is at x. Calling
    it denoises, as ``Denoiser`` says.

    Args:
        means: shape (K, d), unit of the data.
        variances: shape (K, d), or (d,) for all, unit of the data squared; 0 for points without
            extent.
        weights: shape (K,), above 0, summing to 1; equal where nothing is said.

    Attributes:
        means: shape (K, d), float64.
        variances: shape (K, d), float64.
        weights: shape (K,), float64.
        d: number of coordinates of a point.

    Raises:
        ValueError: for other shapes, negative variances, or weights that are not above 0 with sum
            1.

    Source:
        Biroli et al., Nat. Commun. 15, 9957 (2024), for two classes.

    Chapter:
        ``diffusion/collapse``.

    Example:
        >>> from memolib import GaussianMixture
        >>> law = GaussianMixture([[-2.0], [2.0]], [0.0])  # two points on the line
        >>> law([[0.0], [1.0]], t=1.0).round(decimals=3).tolist()  # 2 tanh(2x/t)
        [[0.0], [1.928]]
    """

    def __init__(
        self,
        means: TensorLike,
        variances: TensorLike,
        weights: TensorLike | None = None,
    ) -> None:
        means = real_array("means", means)
        if weights is None:
            weights = np.full(means.shape[:1], 1 / max((1, *means.shape[:1])))
        # Copies, without negative strides.
        parts = [np.array(part) for part in check_mixture(means, variances, weights)]
        self.means, self.variances, self.weights = map(torch.from_numpy, parts)
        self.d = self.means.shape[1]

    @classmethod
    def two_classes(cls, separation: float, d: int, within: float = 1.0) -> "GaussianMixture":
        """Make two equal classes at +-mu, with mu along the first axis.

        Args:
            separation: squared norm of mu, above 0, unit of the data squared.
            d: dimension, 1 or more.
            within: variance within a class, in each direction, 0 or more.

        Returns:
            GaussianMixture.

        Raises:
            ValueError: for other arguments.
        """
        d = count("d", d)
        mu = np.zeros(d)
        mu[0] = real("separation", separation, minimum=0, strict=True) ** 0.5
        return cls([mu, -mu], np.full(d, real("within", within, minimum=0)))

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
        rng = generator(seed, "GaussianMixture.sample")
        label = rng.choice(len(self.weights), n, p=self.weights.numpy())
        z = torch.from_numpy(rng.standard_normal((n, self.means.shape[1])))
        return self.means[label] + z * self.variances[label].sqrt()

    def log_posterior(self, x: TensorLike, t: TensorLike) -> torch.Tensor:
        """Give the log probability that a noisy point comes from each component.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            Shape (n, K).

        Raises:
            ValueError: for other points or noise.
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
        spread = (self.variances + t).to(x)
        means = self.means.to(x)
        logs = [
            -((x - m) ** 2 / v + torch.log(2 * torch.pi * v)).sum(dim=1) / 2
            for m, v in zip(means, spread, strict=True)
        ]
        return torch.stack(logs, dim=1) + self.weights.log().to(x)

    def _answers(self, x: torch.Tensor, t: float) -> Iterator[torch.Tensor]:
        """Give each component's own denoiser."""
        for m, v in zip(self.means.to(x), self.variances.to(x), strict=True):
            yield m + v / (t + v) * (x - m)
