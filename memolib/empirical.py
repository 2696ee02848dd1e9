"""The empirical denoiser of N points: the exact optimum of denoising score matching on them.

Weights ``w = softmax(-|x-y_i|^2/2t)``, a Boltzmann distribution at temperature t; ``D = sum w_i y_i`` and
``G = dD/dx = Cov_w(y)/t``. Data and queries are taken in blocks, so that the memory beyond inputs and results is a few
times ``BLOCK_BYTES``, whatever the number of points (the Jacobian needs a few vectors of N besides).

Accuracy, in float64: while t is above 1e-7 times the largest squared norm of centred data and queries, each exponent
is right to about 1e-9. Below, direct differences are used, with a relative error of about 1e-15 in each squared
distance: two points tied at distance r share their weight wrongly by up to 1e-15 r^2/t. In float32 the same holds with
1e-7 for 1e-15. Data with far outliers lose digits when they are centred.
"""

import math
from typing import NamedTuple

import torch

from memolib._tensors import as_noise, as_points
from memolib._validate import real_array

BLOCK_BYTES = 32_000_000  # of one block of weights: a few MB to tens of MB are fastest, and bound the memory
NEGLIGIBLE = 1e-18  # leaving out weights below this part of the largest changes a covariance by < N 1e-18 diameter^2


class Weighted(NamedTuple):
    """Sums over the data under the weights of each query.

    Attributes:
        log_z: ``ln sum exp(-|x-y_i|^2/2t)``, shape (n,); each term times its prior where there is one.
        participation: Y = sum of squared weights, shape (n,); ``1/Y`` is N_eff.
        mean: the denoiser D, shape (n, d).
        second: weighted mean of the squared centred coordinates, shape (n, d).
    """

    log_z: torch.Tensor
    participation: torch.Tensor
    mean: torch.Tensor
    second: torch.Tensor


class Empirical:
    """Empirical denoiser of a data set; calling it denoises.

    All methods of x and t take points x, shape (n, d), and one noise variance t, above 0, unit of the data squared,
    and raise a ValueError for points of another dimension or t not above 0.

    Attributes:
        data: the N points, shape (N, d).
        prior: probability of each point before x is seen, shape (N,); None where all are equal.
    """

    def __init__(self, data, prior=None):
        """Hold the data: float tensors keep their dtype, everything else becomes float64.

        Raises: ValueError unless data is finite, of shape (N, d), N 1 or more, and any prior above 0, sum 1 (to 1e-9).
        """
        self.data, self.prior = as_points("data", data), prior
        if prior is not None:
            p = torch.from_numpy(real_array("prior", prior, minimum=0, strict=True))
            if p.shape != self.data.shape[:1] or abs(float(p.sum()) - 1) > 1e-9:
                size = len(self.data)
                raise ValueError(f"prior has shape {tuple(p.shape)}, sum {float(p.sum()):.9g}; allowed is ({size},), 1")
            self.prior = p.to(self.data)
            self._log_prior = self.prior.log()
        self._center = self.data.mean(dim=0)
        self._points = self.data - self._center
        self._half_norms = (self._points**2).sum(dim=1) / 2

    def __call__(self, x, t) -> torch.Tensor:
        """Denoise: the average of the data under the weights, shape (n, d)."""
        return self.weighted(x, t).mean

    def score(self, x, t) -> torch.Tensor:
        """Score ``(D - x)/t``, shape (n, d), unit one over the data's."""
        x = self._queries(x)
        return (self(x, t) - x) / as_noise(t)

    def log_weights(self, x, t) -> torch.Tensor:
        """Logarithms of the weights, shape (n, N), the one result of that size; each row's exponentials sum to 1."""
        return torch.log_softmax(self._exponents(self._queries(x) - self._center, as_noise(t)), dim=1)

    def log_density(self, x, t) -> torch.Tensor:
        """Log density of noisy data (N Gaussians of variance t), shape (n,), in the data's unit to the power -d."""
        N, d = self.data.shape
        log_norm = d / 2 * math.log(2 * math.pi * as_noise(t)) + (math.log(N) if self.prior is None else 0)
        return self.weighted(x, t).log_z - log_norm

    def n_eff(self, x, t) -> torch.Tensor:
        """Effective number of data points, ``1/Y``, from 1 to N, shape (n,)."""
        return 1 / self.weighted(x, t).participation

    def weighted(self, x, t) -> Weighted:
        """All sums over the data that need no d x d matrix, in one pass over blocks, as ``Weighted``."""
        x, t = self._queries(x) - self._center, as_noise(t)
        return Weighted(*map(torch.cat, zip(*(self._one_block(block, t) for block in self._split(x)), strict=True)))

    def variance(self, x, t) -> torch.Tensor:
        """Diagonal of the weighted covariance, shape (n, d): t times that of the Jacobian, at a fraction of its cost.

        Its rounding is that of the squared norm of the centred data, not of the variance itself.
        """
        sums = self.weighted(x, t)
        return (sums.second - (sums.mean - self._center) ** 2).clamp(min=0)

    def jacobian(self, x, t) -> torch.Tensor:
        """Jacobian ``Cov_w/t``, shape (n, d, d), by the points that carry weight; symmetric, eigenvalues 0 or more."""
        x, t = self._queries(x) - self._center, as_noise(t)
        limit = math.log(NEGLIGIBLE)
        return torch.stack(
            [
                self._covariance(row, (row > row.max() + limit).nonzero()[:, 0]) / t
                for block in x.split(max(1, BLOCK_BYTES // (len(self.data) * x.element_size())))
                for row in self._exponents(block, t)
            ]
        )

    def _covariance(self, exponents: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Weighted covariance of the points kept, in blocks."""
        blocks = kept.split(self._data_block())
        weights = torch.softmax(exponents[kept], dim=0).split(self._data_block())
        mean = sum(w @ self._points[rows] for w, rows in zip(weights, blocks, strict=True))
        spreads = ((self._points[rows] - mean) * w[:, None].sqrt() for w, rows in zip(weights, blocks, strict=True))
        return sum(spread.T @ spread for spread in spreads)

    def _queries(self, x) -> torch.Tensor:
        return as_points("x", x, self.data.shape[1]).to(self.data)

    def _split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Blocks of queries: with all N points where that fits, so that each is one product of matrices."""
        return x.split(max(1, BLOCK_BYTES // (min(len(self.data), self._data_block()) * x.element_size())))

    def _data_block(self) -> int:
        """Rows of data whose coordinates fit one block."""
        return max(1, BLOCK_BYTES // (max(16, self.data.shape[1]) * self.data.element_size()))

    def _exponents(self, x: torch.Tensor, t: float, rows: slice = slice(None)) -> torch.Tensor:
        """``-|x-y_i|^2/2t``, plus the prior's logarithm where there is one, for centred queries."""
        points = self._points[rows]
        scale = max(float(self._half_norms.max()), float((x**2).sum(dim=1).max()) / 2)
        if scale * torch.finfo(x.dtype).eps < 1e-9 * t:
            out = torch.addmm(-self._half_norms[rows], x, points.T)
            out = out.sub_((x**2).sum(dim=1, keepdim=True) / 2).clamp_(max=0).div_(t)
            return out if self.prior is None else out.add_(self._log_prior[rows])
        out = torch.cdist(x, points, compute_mode="donot_use_mm_for_euclid_dist").square_().div_(-2 * t)
        if not torch.isfinite(out.amax(dim=1)).all():
            raise ValueError(
                f"t is {t:g}; allowed, for points this far away, are values that |x-y|^2/2t does not overflow"
            )
        return out if self.prior is None else out.add_(self._log_prior[rows])

    def _one_block(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, ...]:
        """Sums for a block of queries, merged over blocks of data by their largest exponents."""
        top = x.new_full((len(x), 1), -torch.inf)
        z, z2 = x.new_zeros(len(x), 1), x.new_zeros(len(x), 1)
        first, second = torch.zeros_like(x), torch.zeros_like(x)
        for start in range(0, len(self.data), self._data_block()):
            rows = slice(start, start + self._data_block())
            exponents = self._exponents(x, t, rows)
            new_top = torch.maximum(top, exponents.amax(dim=1, keepdim=True))
            keep = torch.exp(top - new_top)
            weights = exponents.sub_(new_top).exp_()
            z = z * keep + weights.sum(dim=1, keepdim=True)
            first = first * keep + weights @ self._points[rows]
            second = second * keep + weights @ self._points[rows] ** 2
            z2 = z2 * keep**2 + weights.square_().sum(dim=1, keepdim=True)
            top = new_top
        return (top + z.log())[:, 0], (z2 / z**2)[:, 0], first / z + self._center, second / z
