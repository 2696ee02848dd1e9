"""Hidden manifolds with many coordinates: a denoiser by importance sampling, with its error."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from memolib._tensors import as_noise, as_points, held, visible
from memolib._validate import Seed, count, generator
from memolib.denoisers import TensorLike
from memolib.manifolds.chart import ChartManifold
from memolib.points import gaussian

# Share of the draws that come from the prior: no weight exceeds 1/PRIOR times the likelihood's.
PRIOR = 0.25
STARTS = 4_000  # places tried for the most probable z
RESTARTS = 2  # how many of the best are followed
STEPS = 40  # of Gauss and Newton's method for it, each accepted only where it helps
BLOCK = 2_000_000  # numbers in one block of draws, tens of MB


class Posterior(NamedTuple):
    """Averages over the data that could have made each of n noisy points, with their errors.

    Attributes:
        mean: the denoiser D, shape (n, d).
        error: its standard error in each coordinate, shape (n, d), from their scatter: blind to
            modes not drawn.
        jacobian: G, shape (n, d, d).
        log_density: of noisy data, shape (n,).
    """

    mean: torch.Tensor
    error: torch.Tensor
    jacobian: torch.Tensor
    log_density: torch.Tensor


class HiddenManifold(ChartManifold):
    """Data ``y = f(F z)``, z standard Gaussian in m dimensions; a denoiser by importance sampling.

    Hidden coordinates are drawn around the most probable one, with the spread of the linearised
    posterior, and for a quarter from their prior, so that other modes are seen and no weight is
    unbounded. The draws are the same at every point, so that errors change slowly with x.
    ``posterior`` states the errors. With one or two coordinates ``ChartManifold`` and its
    quadrature are exact. Calling it denoises, as ``Denoiser`` says.

    Args:
        F: shape (d, m).
        f: smooth function in torch operations, each point (row) on its own.
        samples: number of draws for each point, at least 100 and 2m.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``, of the
            draws.

    Attributes:
        F: shape (d, m), float64.
        f: what was given.
        samples: number of draws for each point.
        d: number of coordinates of a point.

    Raises:
        ValueError: for an F that is not a matrix, an f that gives no points, too few samples, or
            another seed.

    Source:
        Data model of Goldt et al., arXiv 1909.11500; estimator: this book.

    Chapter:
        ``manifold/curved_manifolds``.

    Example:
        >>> import torch
        >>> from memolib import HiddenManifold
        >>> F = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
        >>> law = HiddenManifold(F, seed=0)  # 4 hidden coordinates in 6, through tanh
        >>> x = law.sample(3, seed=1)
        >>> t = 0.01
        >>> answer = law.posterior(x, t)
        >>> bool((answer.error < 0.1 * t**0.5).all())  # enough samples
        True
        >>> bool(((answer.mean - x).square().sum(dim=1) < 6 * t).all())  # no further than the noise
        True
    """

    def __init__(
        self,
        F: TensorLike,
        f: Callable[[torch.Tensor], torch.Tensor] = torch.tanh,
        *,
        samples: int = 4_000,
        seed: Seed = 0,
    ) -> None:
        self.F = held("F", F).to(torch.float64)
        m = self.F.shape[1]
        rng = generator(seed, "HiddenManifold")
        self.f = f
        self.samples = count("samples", samples, minimum=max(100, 2 * m))
        super().__init__(self._of_latents, ["normal"] * m)
        self._draws = gaussian(self.samples, m, seed=rng)
        self._local = round((1 - PRIOR) * self.samples)
        self._starts = gaussian(STARTS, m, seed=rng)
        # The local draws get their exact mean and covariance: on a flat manifold there is then no
        # sampling error but for the prior's share.
        local = self._draws[: self._local]
        local -= local.mean(dim=0)
        root = torch.linalg.cholesky(local.T @ local / self._local)
        local.copy_(torch.linalg.solve_triangular(root, local.T, upper=False).T)

    def _of_latents(self, z: torch.Tensor) -> torch.Tensor:
        return self.f(z @ self.F.T.to(z))

    def posterior(self, x: TensorLike, t: float) -> Posterior:
        """Average over the hidden coordinates of each point.

        Args:
            x: points, shape (n, d).
            t: noise variance, above 0.

        Returns:
            Posterior, in the precision of x; where an error is not small against sqrt(t), more
            samples are needed.

        Raises:
            ValueError: for other points or noise.
        """
        x = as_points("x", x, self.d)
        t = as_noise(t)
        return Posterior(*(part.to(x) for part in self._average(x.double(), t, self._all_averages)))

    def _denoise(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return self._average(x, t, self._all_averages)[0]

    def _jacobian(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return self._average(x, t, self._all_averages)[2]

    def _log_density(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return self._average(x, t, lambda y, logs, t: (self._log_mean(y, logs, t),))[0]

    def _average(
        self,
        x: torch.Tensor,
        t: float,
        of: Callable[[torch.Tensor, torch.Tensor, float], tuple[torch.Tensor, ...]],
    ) -> list[torch.Tensor]:
        """Draw for blocks of points; put together what ``of`` makes of draws and log weights."""
        rows = max(1, BLOCK // (self.samples * self.d))
        blocks = (of(*self._draw(block, t), t) for block in x.split(rows))
        return [torch.cat(parts) for parts in zip(*blocks, strict=True)]

    def _draw(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Data drawn for each x, shape (n, samples, d), and their log weights."""
        # root root' is the linearised posterior's covariance; where draws lie has no derivative.
        mode, root = self._laplace(x.detach(), t)
        prior = self._draws[self._local :].expand(len(x), -1, -1)
        z = torch.cat([mode[:, None] + self._draws[: self._local] @ root.mT, prior], dim=1)
        back = torch.linalg.solve_triangular(root, (z - mode[:, None]).mT, upper=False)
        log_prior = -(z**2).sum(dim=2) / 2
        log_det = root.diagonal(dim1=1, dim2=2).log().sum(dim=1, keepdim=True)
        log_local = -(back**2).sum(dim=1) / 2 - log_det
        proposal = torch.logaddexp(log_prior + np.log(PRIOR), log_local + np.log(1 - PRIOR))
        y = self.chart(z.flatten(0, 1)).reshape(*z.shape[:2], -1)
        return y, log_prior - proposal - (x[:, None] - y).square().sum(dim=2) / (2 * t)

    def _log_mean(self, y: torch.Tensor, logs: torch.Tensor, t: float) -> torch.Tensor:
        log_norm = np.log(self.samples) + self.d / 2 * np.log(2 * np.pi * t)
        return torch.logsumexp(logs, dim=1) - log_norm

    def _all_averages(
        self, y: torch.Tensor, logs: torch.Tensor, t: float
    ) -> tuple[torch.Tensor, ...]:
        w = torch.softmax(logs, dim=1)[:, None]
        mean = w @ y
        centred = y - mean
        error = (w**2 @ centred**2).sqrt()
        jacobian = centred.mT @ (w.mT * centred) / t
        return mean[:, 0], error[:, 0], jacobian, self._log_mean(y, logs, t)

    def _laplace(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Most probable z for each x, from several starts, and the root of the covariance there.

        The covariance is that of the linearised posterior.
        """

        def energy(z: torch.Tensor) -> torch.Tensor:
            return ((x - self.chart(z)) ** 2).sum(dim=1) / (2 * t) + (z**2).sum(dim=1) / 2

        away = torch.cdist(x, self.chart(self._starts)) ** 2
        levels = away / (2 * t) + (self._starts**2).sum(dim=1) / 2
        best = levels.topk(RESTARTS, largest=False).indices
        n = len(x)
        x = x.repeat_interleave(RESTARTS, dim=0)
        z = self._starts[best.ravel()]
        unit = torch.eye(self.F.shape[1], dtype=torch.float64)
        now = energy(z)
        damping = x.new_full((len(x), 1, 1), 1e-3)
        for _ in range(STEPS):
            J = self._slopes(z)
            force = ((x - self.chart(z))[:, None] @ J)[:, 0] / t - z
            H = J.mT @ J / t + unit
            step = torch.linalg.solve(H + damping * H.diagonal(dim1=1, dim2=2).diag_embed(), force)
            left = (force * step).sum(dim=1)
            active = left > 1e-6  # nats to gain; each point stops on its own
            if visible(active.any()) and not active.any():
                break
            then = energy(z + step)
            better = active & (then < now)
            z = torch.where(better[:, None], z + step, z)
            now = torch.where(better, then, now)
            damping = torch.where(better[:, None, None], damping / 5, damping * 5)
        lowest = now.reshape(n, RESTARTS).argmin(dim=1)
        z = z.reshape(n, RESTARTS, -1)[torch.arange(n), lowest]
        J = self._slopes(z)
        covariance = torch.linalg.inv(J.mT @ J / t + unit)
        return z, torch.linalg.cholesky((covariance + covariance.mT) / 2)
