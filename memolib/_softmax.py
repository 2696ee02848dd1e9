"""Fast ways of one softmax: the weights ``exp(-|x-y_i|^2/2t)`` of many data, and sums under them.

Up to what all data share, the exponents are scalar products of ``(x, 1)/t`` and ``(y, -|y|^2/2)``:
the queries and keys of attention. Three ways lead to the sums that ``empirical.plain`` defines:

* ``fused``: torch's fused attention kernel, on a CPU, which never stores the weights;
* ``blocks``: blocks of data and of queries, merged by their largest exponents, anywhere;
* ``few``: the data that carry weight alone, with exponents from direct differences.

Memory beyond inputs, one copy of the data and results is a few times ``BLOCK_BYTES``, whatever the
number of data.

Accuracy: scalar products of centred data have rounding errors of eps S in units of the data
squared, S the largest squared norm of centred data and queries, so exponents are off by up to eps
S/2t. Where that exceeds ``TOLERANCE`` (t below 1e-7 S in float64, 1e-4 S in float32), few data can
carry weight: they are found by scalar products, and their exponents taken from differences, in
float64. What needs all exponents (``exponents``, ``blocks``) then takes all differences, in the
data's own type. Data with far outliers lose digits when they are centred.
"""

import math
from collections.abc import Iterator

import torch

BLOCK_BYTES = 32_000_000  # of one block of weights: the fastest size, and a bound on the memory
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}  # of exponents from scalar products
FUSED = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)  # from 2.3 on
NEGLIGIBLE = 1e-18  # weights below this part of the largest: < N 1e-18 diameter^2 of a covariance


class Softmax:
    """The weights of data at queries; methods take queries (n, d) of the data's type, and one t.

    Attributes:
        data: shape (N, d).
        log_prior: what is added to the exponents, shape (N,); None where all data are equal.
        points: the data without their mean, shape (N, d).
    """

    def __init__(self, data: torch.Tensor, log_prior: torch.Tensor | None) -> None:
        """Hold the data, and their keys."""
        self.data = data
        self.log_prior = log_prior
        self.center = data.mean(dim=0)
        points = data - self.center
        self.keys = torch.cat([points, -(points**2).sum(dim=1, keepdim=True) / 2], dim=1)
        self.points = self.keys[:, :-1]
        self.biases = self.keys[:, -1]
        self.largest = -2 * float(self.biases.detach().min())

    def rounds(self, x: torch.Tensor, t: float) -> bool:
        """Tell whether scalar products would spoil exponents, so that few data can carry weight."""
        return self._rounding(x - self.center, t) > TOLERANCE.get(x.dtype, 0)

    def data_alone_round(self, t: float) -> bool:
        """Tell the same of queries that are no farther out than the data."""
        eps = torch.finfo(self.data.dtype).eps
        return self.largest * eps / (2 * t) > TOLERANCE.get(self.data.dtype, 0)

    @staticmethod
    def can_fuse(x: torch.Tensor) -> bool:
        """Tell whether torch has its fused kernel for such queries."""
        return FUSED is not None and x.device.type == "cpu" and x.dtype in TOLERANCE

    def products(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """All exponents by scalar products, for derivatives, without ``shared``.

        Queries may so be far away: what all data share would take digits from what they do not.
        """
        exponents = ((x - self.center) @ self.points.T + self.biases) / t
        return exponents if self.log_prior is None else exponents + self.log_prior

    def shared(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """What all exponents share, ``-|x|^2/2t`` from the mean of the data, shape (n,)."""
        return -((x - self.center) ** 2).sum(dim=1) / (2 * t)

    def exponents(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """All exponents, shape (n, N): of all results the one that is N wide."""
        return self._exponents(x - self.center, t)

    def fused(self, x: torch.Tensor, t: float, power: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """``ln sum exp(power E_i)`` of the exponents E, and the mean of the data under them."""
        x, keys = x - self.center, self.keys
        if self.log_prior is not None:
            keys = torch.cat([self.points, (self.biases + t * self.log_prior)[:, None]], dim=1)
        queries = torch.cat([x, x.new_ones(len(x), 1)], dim=1) * (power / t)
        queries, keys = queries[None, None], keys[None, None]  # one batch of one head
        mean, log_z = FUSED(queries, keys, keys, 0.0, False, scale=1.0)
        offsets = (x**2).sum(dim=1) * (power / (2 * t))
        return log_z[0, 0] - offsets, mean[0, 0, :, :-1] + self.center

    def blocks(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, ...]:
        """All sums of ``empirical.Weighted``: log_z, participation, mean and second."""
        rows = min(len(self.data), self.block_rows())
        # with all N data where that fits, so that each block is one product of matrices
        parts = (x - self.center).split(max(1, BLOCK_BYTES // (rows * x.element_size())))
        sums = [self._merged(part, t) for part in parts]
        return tuple(map(torch.cat, zip(*sums, strict=True)))

    def few(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        """``ln sum exp(E_i)``, and the mean of the data, by the data that carry weight."""
        log_z, means = [], []
        for rows, exponents in self.carriers(x, t):
            weights = torch.softmax(exponents, dim=0)
            parts = zip(self._split(weights), self._split(rows), strict=True)
            log_z.append(torch.logsumexp(exponents, dim=0))
            means.append(sum(w @ self.data[block].to(w) for w, block in parts))
        return torch.stack(log_z).to(x), torch.stack(means).to(x)

    def few_participation(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """The sum of squared weights, by the data that carry weight."""
        weights = (torch.softmax(exponents, dim=0) for _, exponents in self.carriers(x, t))
        return torch.stack([w @ w for w in weights]).to(x)

    def carriers(self, x: torch.Tensor, t: float) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Give for each query the data that can carry weight, and their exponents."""
        rounding = self._rounding(x - self.center, t)
        window = -math.log(NEGLIGIBLE) + 8 * rounding
        direct = rounding > TOLERANCE.get(x.dtype, 0)
        for block in x.split(max(1, BLOCK_BYTES // (len(self.data) * x.element_size()))):
            centred = block - self.center
            levels = torch.addmm(self.biases, centred, self.points.T)
            if self.log_prior is not None:
                levels.add_(t * self.log_prior)
            offsets = (centred**2).sum(dim=1) / 2
            for query, row, offset in zip(block, levels, offsets, strict=True):
                rows = (row >= row.max() - t * window).nonzero()[:, 0]
                yield rows, self._direct(query, rows, t) if direct else (row[rows] - offset) / t

    def carriers_of_spread(
        self, x: torch.Tensor, t: float
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Give for each query the data that carry the covariance over t, and their weights.

        What the others add to any eigenvalue, at most their weighted ``|y-D|^2/t``, is below 1e-11
        (1e-6 in float32).
        """
        error = 1e-11 if x.dtype == torch.float64 else 1e-6
        for rows, exponents in self.carriers(x, t):
            weights = torch.softmax(exponents, dim=0).to(x)
            mean = self._mean(rows, weights)
            projections = torch.cat([self.points[block] @ mean for block in self._split(rows)])
            squares = (mean @ mean - 2 * projections - 2 * self.biases[rows]).clamp(min=0)
            shares, order = (weights * (1 + squares / t)).sort()
            kept = order[shares.cumsum(0) > error]
            yield rows[kept], weights[kept] / weights[kept].sum()

    def covariance(self, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Weighted covariance of some of the data, shape (d, d)."""
        mean = self._mean(rows, weights)
        parts = zip(self._split(rows), self._split(weights), strict=True)
        spreads = ((self.points[block] - mean).mul_(w[:, None].sqrt()) for block, w in parts)
        return sum(spread.T @ spread for spread in spreads)

    def block_rows(self) -> int:
        """Number of data whose coordinates fit one block."""
        return max(1, BLOCK_BYTES // (max(16, self.data.shape[1]) * self.data.element_size()))

    def _split(self, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Split what belongs to some of the data into blocks."""
        return values.split(self.block_rows())

    def _mean(self, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Weighted mean of some of ``points``."""
        parts = zip(self._split(rows), self._split(weights), strict=True)
        return sum(w @ self.points[block] for block, w in parts)

    def _direct(self, query: torch.Tensor, rows: torch.Tensor, t: float) -> torch.Tensor:
        """Exponents of some of the data from differences, in float64."""
        query = query.double()
        parts = [((self.data[b].double() - query) ** 2).sum(dim=1) for b in self._split(rows)]
        exponents = -torch.cat(parts) / (2 * t)
        _refuse_overflow(exponents.max(), t)
        return exponents if self.log_prior is None else exponents + self.log_prior[rows].double()

    def _rounding(self, x: torch.Tensor, t: float) -> float:
        """Bound on the rounding error of exponents from scalar products, for centred queries."""
        scale = max(self.largest, float((x.detach() ** 2).sum(dim=1).max()))
        return scale * torch.finfo(x.dtype).eps / (2 * t) if scale else 0.0

    def _exponents(self, x: torch.Tensor, t: float, rows: slice = slice(None)) -> torch.Tensor:
        """Exponents of a range of the data, for centred queries."""
        points = self.points[rows]
        if self._rounding(x, t) <= TOLERANCE.get(x.dtype, 0):
            out = torch.addmm(self.biases[rows], x, points.T)
            out = out.sub_((x**2).sum(dim=1, keepdim=True) / 2).clamp_(max=0).div_(t)
        else:
            out = torch.cdist(x, points, compute_mode="donot_use_mm_for_euclid_dist")
            out = out.square_().div_(-2 * t)
            _refuse_overflow(out.amax(dim=1), t)
        return out if self.log_prior is None else out.add_(self.log_prior[rows])

    def _merged(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, ...]:
        """Sums for a block of centred queries, merged over blocks of data."""
        top = x.new_full((len(x), 1), -torch.inf)
        z, squared = x.new_zeros(len(x), 1), x.new_zeros(len(x), 1)
        first, second = torch.zeros_like(x), torch.zeros_like(x)
        for start in range(0, len(self.data), self.block_rows()):
            rows = slice(start, start + self.block_rows())
            exponents = self._exponents(x, t, rows)
            new_top = torch.maximum(top, exponents.amax(dim=1, keepdim=True))
            keep = torch.exp(top - new_top)
            weights = exponents.sub_(new_top).exp_()
            z = z * keep + weights.sum(dim=1, keepdim=True)
            first = first * keep + weights @ self.points[rows]
            second = second * keep + weights @ self.points[rows] ** 2
            squared = squared * keep**2 + weights.square_().sum(dim=1, keepdim=True)
            top = new_top
        return (
            (top + z.log())[:, 0],
            (squared / z**2)[:, 0],
            first / z + self.center,
            second / z,
        )


def _refuse_overflow(exponents: torch.Tensor, t: float) -> None:
    if not torch.isfinite(exponents).all():
        raise ValueError(
            f"t is {t:g}; allowed, for points this far away, are values "
            "that |x-y|^2/2t does not overflow"
        )
