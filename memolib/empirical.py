"""The empirical denoiser of N points: the exact optimum of denoising score matching on them.

Weights ``w = softmax(-|x-y_i|^2/2t)``, a Boltzmann distribution at temperature t; ``D = sum w_i
y_i`` and ``G = dD/dx = Cov_w(y)/t``. The denoiser *is* softmax attention, with the data as keys and
values, so on a CPU it runs in torch's fused attention kernel, which never stores the weights:
``-|x-y|^2/2t`` is a scalar product of ``(x, 1)/t`` and ``(y, -|y|^2/2)``, up to what all y share.
Elsewhere data and queries are taken in blocks. The memory beyond inputs, one copy of the data and
results is a few times ``BLOCK_BYTES``, whatever the number of points.

Accuracy: scalar products of centred points have rounding errors of eps S in units of the data
squared, S the largest squared norm of centred data and queries, so exponents are off by up to eps
S/2t. Where that exceeds ``TOLERANCE`` (t below 1e-7 S in float64, 1e-4 S in float32) few points can
carry weight: they are found by scalar products, and their distances taken from direct differences,
in float64 (``log_weights`` and ``variance``, which need all points, take all differences, in the
data's own type). Data with far outliers lose digits when they are centred.
"""

import math
from typing import NamedTuple

import torch

from memolib._tensors import as_noise, as_points, held, visible
from memolib._validate import real_array
from memolib.denoisers import Denoiser

BLOCK_BYTES = (
    32_000_000  # of one block of weights: a few MB to tens of MB are fastest, and bound the memory
)
TOLERANCE = {
    torch.float64: 1e-9,
    torch.float32: 1e-3,
}  # largest error of an exponent from scalar products
FUSED = getattr(
    torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None
)  # not in torch 2.2
NEGLIGIBLE = 1e-18  # leaving out weights below this part of the largest changes a covariance by < N 1e-18 diameter^2


class Weighted(NamedTuple):
    """Sums over the data under the weights of each query.

    Attributes:
        log_z: ``ln sum exp(-|x-y_i|^2/2t)``, shape (n,); each term times its prior where there is
            one.
        participation: Y = sum of squared weights, shape (n,); ``1/Y`` is N_eff.
        mean: the denoiser D, shape (n, d).
        second: weighted mean of the squared centred coordinates, shape (n, d).
    """

    log_z: torch.Tensor
    participation: torch.Tensor
    mean: torch.Tensor
    second: torch.Tensor


class Averages(Denoiser):
    """What follows from ``ln sum_i exp(E_i)``, the mean of the data under these weights, and their
    participation.

    A child gives the first two by ``_attend(x, t)`` and the third by ``_participation(x, t)``; the
    shape (N, d) of its data; and whether they have a ``prior``.
    """

    shape: tuple[int, int]
    prior = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(N={self.shape[0]}, d={self.shape[1]})"

    def n_eff(self, x, t) -> torch.Tensor:
        """Give the effective number of data points, ``1/Y``.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            From 1 to N, shape (n,).
        """
        return self._answer(lambda x, t: 1 / self._participation(x, t), x, t)

    def _denoise(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return self._attend(x, t)[1]

    def _log_density(self, x: torch.Tensor, t: float) -> torch.Tensor:
        N, d = self.shape
        log_norm = d / 2 * math.log(2 * math.pi * t) + (math.log(N) if self.prior is None else 0)
        return self._attend(x, t)[0] - log_norm


class Empirical(Averages):
    """Empirical denoiser of a data set; calling it denoises. It computes in the precision of the
    data.

    Attributes:
        data: the N points, shape (N, d).
        prior: probability of each point before x is seen, shape (N,); None where all are equal.
    """

    def __init__(self, data, prior=None):
        """Hold a copy of the data: float tensors keep their dtype, everything else becomes float64.

        Raises: ValueError unless data is finite, of shape (N, d), N 1 or more, and any prior above
            0, sum 1 (to 1e-9).
        """
        self.data, self.prior = held("data", data), prior
        self.d, self.precision, self.place = (
            self.data.shape[1],
            self.data.dtype,
            str(self.data.device),
        )
        if prior is not None:
            p = torch.from_numpy(real_array("prior", prior, minimum=0, strict=True))
            if p.shape != self.data.shape[:1] or abs(float(p.sum()) - 1) > 1e-9:
                size = len(self.data)
                raise ValueError(
                    f"prior has shape {tuple(p.shape)}, sum {float(p.sum()):.9g}; allowed is ({size},), 1"
                )
            self.prior = p.to(self.data)
            self._log_prior = self.prior.log()
        self.shape = tuple(self.data.shape)
        self._center = self.data.mean(dim=0)
        points = self.data - self._center
        self._keys = torch.cat([points, -(points**2).sum(dim=1, keepdim=True) / 2], dim=1)
        self._points, self._biases = self._keys[:, :-1], self._keys[:, -1]
        self._largest = -2 * float(self._biases.detach().min())

    def log_weights(self, x, t) -> torch.Tensor:
        """Give the logarithms of the weights: of all results the one that is N wide.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            Shape (n, N); the exponentials of each row sum to 1.
        """
        return self._answer(self._log_weights, x, t)

    def _log_weights(self, x: torch.Tensor, t: float) -> torch.Tensor:
        centred = x - self._center
        if self._differentiated(x) or self._hidden(x):
            return torch.log_softmax(self._plain_exponents(centred, t), dim=1)
        return torch.log_softmax(self._exponents(centred, t), dim=1)

    def weighted(self, x, t) -> Weighted:
        """Give all sums over the data that need no d x d matrix, in one pass.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number.

        Returns:
            ``Weighted``, in the precision of x.
        """
        x, t = as_points("x", x, self.d), as_noise(t)
        return Weighted(*(part.to(x) for part in self._weighted(x.to(self.data), t)))

    def _weighted(self, x: torch.Tensor, t: float) -> Weighted:
        x = x - self._center
        if self._differentiated(x):
            return self._plainly(x, t)
        return Weighted(
            *map(
                torch.cat,
                zip(*(self._one_block(block, t) for block in self._split(x)), strict=True),
            )
        )

    def variance(self, x, t) -> torch.Tensor:
        """Give the diagonal of the weighted covariance: t times that of the Jacobian, at a fraction
        of its cost.

        Its rounding is that of the squared norm of the centred data, not of the variance itself.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            Shape (n, d), 0 or more.
        """

        def variance(x: torch.Tensor, t: float) -> torch.Tensor:
            sums = self._weighted(x, t)
            return (sums.second - (sums.mean - self._center) ** 2).clamp(min=0)

        return self._answer(variance, x, t)

    def _jacobian(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """``Cov_w/t``, by the points that carry weight."""
        if self._hidden(x):
            return super()._jacobian(x, t)
        return torch.stack([self._covariance(*carried) / t for carried in self._matter(x, t)])

    def _spectrum(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """Where fewer than d points matter, of their Gram matrix.

        With s_i = sqrt(w_i) (y_i - D) as rows of S, G is S'S/t, and SS'/t has the same eigenvalues
        except zeros.
        """
        if self._differentiated(x) or self._hidden(x):
            return super()._spectrum(x, t)
        values = x.new_zeros(x.shape)
        for row, (rows, weights) in zip(values, self._matter(x, t), strict=True):
            if len(rows) < x.shape[1]:
                points = self._points[rows]
                spread = (points - weights @ points) * weights[:, None].sqrt()
                row[: len(rows)] = torch.linalg.eigvalsh(spread @ spread.T).flip(0)
            else:
                row[:] = torch.linalg.eigvalsh(self._covariance(rows, weights)).flip(0)
        return values.clamp_(min=0) / t

    def _matter(self, x: torch.Tensor, t: float):
        """Give for each query the data that matter to the Jacobian, and their weights.

        What the others add to any eigenvalue, at most their weighted ``|y-D|^2/t``, is below 1e-11
        (1e-6 in float32).
        """
        error = 1e-11 if x.dtype == torch.float64 else 1e-6
        for rows, exponents in self._carriers(x, t):
            blocks, weights = rows.split(self._data_block()), torch.softmax(exponents, dim=0).to(x)
            parts = weights.split(self._data_block())
            mean = sum(w @ self._points[some] for some, w in zip(blocks, parts, strict=True))
            along = torch.cat([self._points[some] @ mean for some in blocks])
            squares = (mean @ mean - 2 * along - 2 * self._biases[rows]).clamp(min=0)
            shares, order = (weights * (1 + squares / t)).sort()
            kept = order[shares.cumsum(0) > error]
            yield rows[kept], weights[kept] / weights[kept].sum()

    def _covariance(self, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Weighted covariance of some points, in blocks."""
        blocks = list(
            zip(rows.split(self._data_block()), weights.split(self._data_block()), strict=True)
        )
        mean = sum(w @ self._points[some] for some, w in blocks)
        spreads = ((self._points[some] - mean).mul_(w[:, None].sqrt()) for some, w in blocks)
        return sum(spread.T @ spread for spread in spreads)

    def _attend(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        """``ln sum exp(E_i)`` over the data's exponents E, and the mean of the data under these
        weights.
        """
        centred = x - self._center
        if self._hidden(x):
            return self._plainly(centred, t)[::2]
        if self._few_carry(centred, t):
            return self._attend_few(x, t)
        if self._differentiated(x):
            return self._plainly(centred, t)[::2]
        if self._can_fuse(x):
            try:
                return self._fused(centred, t)
            except NotImplementedError:  # inside forward-mode differentiation
                return self._plainly(centred, t)[::2]
        return self._weighted(x, t)[::2]

    def _participation(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """Sum of the squared weights."""
        centred = x - self._center
        if self._hidden(x):
            return self._plainly(centred, t).participation
        if self._few_carry(centred, t):
            weights = (torch.softmax(exponents, dim=0) for _, exponents in self._carriers(x, t))
            return torch.stack([w @ w for w in weights]).to(x)
        if self._differentiated(x) or not self._can_fuse(x):
            return self._weighted(x, t).participation
        once, twice = self._fused(centred, t)[0], self._fused(centred, t, power=2)[0]
        return torch.exp(twice - 2 * once).clamp(1 / self.shape[0], 1)

    def _differentiated(self, x: torch.Tensor) -> bool:
        """Whether somebody may ask for derivatives: then everything goes the plain way, whatever it
        costs.
        """
        return torch.is_grad_enabled() and (x.requires_grad or self._keys.requires_grad)

    def _few_carry(self, centred: torch.Tensor, t: float) -> bool:
        """Whether exponents from scalar products would be off by too much, so that few data can
        carry weight.
        """
        return self._rounding(centred, t) > TOLERANCE.get(centred.dtype, 0)

    @staticmethod
    def _can_fuse(x: torch.Tensor) -> bool:
        return FUSED is not None and x.device.type == "cpu" and x.dtype in TOLERANCE

    def _plainly(self, x: torch.Tensor, t: float) -> Weighted:
        """All weights at once, in operations that can be differentiated, for centred queries."""
        exponents = self._plain_exponents(x, t)
        w = torch.softmax(exponents, dim=1)
        return Weighted(
            torch.logsumexp(exponents, dim=1), (w**2).sum(dim=1), w @ self.data, w @ self._points**2
        )

    def _plain_exponents(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """All exponents at once: by scalar products, or by differences where the data alone would
        spoil those.
        """
        if self._largest * torch.finfo(x.dtype).eps / (2 * t) <= TOLERANCE.get(x.dtype, 0):
            exponents = (
                x @ self._points.T + self._biases - (x**2).sum(dim=1, keepdim=True) / 2
            ) / t
        else:
            exponents = -((x[:, None] - self._points) ** 2).sum(dim=2) / (2 * t)
        return exponents if self.prior is None else exponents + self._log_prior

    @staticmethod
    def _hidden(x: torch.Tensor) -> bool:
        """Whether x has no values to look at, inside a transform: then no fast way can be
        chosen.
        """
        return not visible(x.sum() > 0)

    def _fused(
        self, x: torch.Tensor, t: float, power: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``ln sum exp(power E_i)``, and the mean under these weights, by torch's attention."""
        keys = self._keys
        if self.prior is not None:
            keys = torch.cat([self._points, (self._biases + t * self._log_prior)[:, None]], dim=1)
        queries, keys = (
            torch.cat([x, x.new_ones(len(x), 1)], dim=1)[None, None] * (power / t),
            keys[None, None],
        )
        mean, log_z = FUSED(queries, keys, keys, 0.0, False, scale=1.0)
        return log_z[0, 0] - (x**2).sum(dim=1) * (power / (2 * t)), mean[
            0, 0, :, :-1
        ] + self._center

    def _attend_few(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        log_z, means = [], []
        for rows, exponents in self._carriers(x, t):
            w = torch.softmax(exponents, dim=0)
            parts = zip(w.split(self._data_block()), rows.split(self._data_block()), strict=True)
            log_z.append(torch.logsumexp(exponents, dim=0))
            means.append(sum(v @ self.data[some].to(v) for v, some in parts))
        return torch.stack(log_z).to(x), torch.stack(means).to(x)

    def _carriers(self, x: torch.Tensor, t: float):
        """Give for each query the data that can carry weight, and their exponents."""
        rounding = self._rounding(x - self._center, t)
        window, direct = -math.log(NEGLIGIBLE) + 8 * rounding, rounding > TOLERANCE.get(x.dtype, 0)
        for block in x.split(max(1, BLOCK_BYTES // (len(self.data) * x.element_size()))):
            centred = block - self._center
            levels = torch.addmm(self._biases, centred, self._points.T)
            if self.prior is not None:
                levels.add_(t * self._log_prior)
            for query, row, offset in zip(block, levels, (centred**2).sum(dim=1) / 2, strict=True):
                rows = (row >= row.max() - t * window).nonzero()[:, 0]
                exponents = self._direct(query, rows, t) if direct else (row[rows] - offset) / t
                yield rows, exponents

    def _direct(self, query: torch.Tensor, rows: torch.Tensor, t: float) -> torch.Tensor:
        """Exponents from differences, in float64."""
        query, blocks = query.double(), rows.split(self._data_block())
        squares = torch.cat(
            [((self.data[some].double() - query) ** 2).sum(dim=1) for some in blocks]
        )
        exponents = -squares / (2 * t)
        if not torch.isfinite(exponents.max()):
            raise ValueError(
                f"t is {t:g}; allowed, for points this far away, are values that |x-y|^2/2t does not overflow"
            )
        return exponents if self.prior is None else exponents + self._log_prior[rows].double()

    def _rounding(self, x: torch.Tensor, t: float) -> float:
        """Bound on the rounding error of exponents from scalar products, for centred queries."""
        scale = max(self._largest, float((x.detach() ** 2).sum(dim=1).max()))
        return scale * torch.finfo(x.dtype).eps / (2 * t) if scale else 0.0

    def _split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Blocks of queries: with all N points where that fits, so that each is one product of
        matrices.
        """
        return x.split(
            max(1, BLOCK_BYTES // (min(len(self.data), self._data_block()) * x.element_size()))
        )

    def _data_block(self) -> int:
        """Rows of data whose coordinates fit one block."""
        return max(1, BLOCK_BYTES // (max(16, self.data.shape[1]) * self.data.element_size()))

    def _exponents(self, x: torch.Tensor, t: float, rows: slice = slice(None)) -> torch.Tensor:
        """``-|x-y_i|^2/2t``, plus the prior's logarithm where there is one, for centred queries."""
        points = self._points[rows]
        if self._rounding(x, t) <= TOLERANCE.get(x.dtype, 0):
            out = torch.addmm(self._biases[rows], x, points.T)
            out = out.sub_((x**2).sum(dim=1, keepdim=True) / 2).clamp_(max=0).div_(t)
        else:
            out = (
                torch.cdist(x, points, compute_mode="donot_use_mm_for_euclid_dist")
                .square_()
                .div_(-2 * t)
            )
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
