"""The empirical denoiser of N points: the exact optimum of denoising score matching on them.

Weights ``w = softmax(-|x-y_i|^2/2t)``, a Boltzmann distribution at temperature t; ``D = sum w_i
y_i`` and ``G = dD/dx = Cov_w(y)/t``. ``plain`` says just that. The denoiser *is* softmax attention,
with the data as keys and values; ``memolib._softmax`` has the fast ways, and their accuracy: few
data can carry weight where t is below 1e-7 of the data's largest square (1e-4 in float32), and
their distances are then taken from differences, in float64.
"""

import math
from typing import Any, NamedTuple

import torch

from memolib._softmax import Softmax
from memolib._tensors import as_noise, as_points, held, visible
from memolib._validate import real_array
from memolib.denoisers import Denoiser


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


def plain(
    x: torch.Tensor, data: torch.Tensor, t: float, log_prior: torch.Tensor | None = None
) -> Weighted:
    """Give the sums over the data as they are defined; all faster ways give the same.

    Args:
        x: points, shape (n, d).
        data: shape (N, d), of the type of x.
        t: noise variance.
        log_prior: logarithms of the data's prior probabilities, shape (N,); None where all are
            equal.

    Returns:
        ``Weighted``; on the way to it an array of n N d numbers is made.

    Chapter:
        ``diffusion/empirical_score``.
    """
    return _sums(_exponents(x, data, t, log_prior), data)


def _exponents(
    x: torch.Tensor, data: torch.Tensor, t: float, log_prior: torch.Tensor | None
) -> torch.Tensor:
    exponents = -((x[:, None] - data) ** 2).sum(dim=2) / (2 * t)
    return exponents if log_prior is None else exponents + log_prior


def _sums(exponents: torch.Tensor, data: torch.Tensor) -> Weighted:
    weights = torch.softmax(exponents, dim=1)
    return Weighted(
        log_z=torch.logsumexp(exponents, dim=1),
        participation=(weights**2).sum(dim=1),
        mean=weights @ data,
        second=weights @ (data - data.mean(dim=0)) ** 2,
    )


class Averages(Denoiser):
    """What follows from the sums over data under weights ``exp(E_i)``, wherever the data are.

    A child gives ``ln sum exp(E_i)`` and the mean of the data by ``_attend(x, t)``, the sum of the
    squared weights by ``_participation(x, t)``; the shape (N, d) of its data; and any ``prior``.

    Chapter:
        ``diffusion/empirical_score``.
    """

    shape: tuple[int, int]
    prior: torch.Tensor | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(N={self.shape[0]}, d={self.shape[1]})"

    def n_eff(self, x: Any, t: Any) -> torch.Tensor:
        """Give the effective number of data points, ``1/Y``.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            From 1 to N, shape (n,).
        """
        return self._answer(lambda x, t: 1 / self._participation(x, t), x, t)

    def _attend(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        raise NotImplementedError

    def _participation(self, x: torch.Tensor, t: float) -> torch.Tensor:
        raise NotImplementedError

    def _denoise(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return self._attend(x, t)[1]

    def _log_density(self, x: torch.Tensor, t: float) -> torch.Tensor:
        N, d = self.shape
        log_norm = d / 2 * math.log(2 * math.pi * t) + (math.log(N) if self.prior is None else 0)
        return self._attend(x, t)[0] - log_norm


class Empirical(Averages):
    """Empirical denoiser of a data set; calling it denoises, in the precision of the data.

    Args:
        data: the N points, shape (N, d); a copy is held. Float tensors keep their dtype,
            everything else becomes float64.
        prior: probability of each point before x is seen, shape (N,); None where all are equal.

    Attributes:
        data: the N points, shape (N, d).
        prior: shape (N,), or None.

    Raises:
        ValueError: unless data is finite, of shape (N, d), N 1 or more, and any prior above 0, sum
            1 (to 1e-9).

    Chapter:
        ``diffusion/empirical_score``.

    Example:
        >>> import torch
        >>> from memolib import Empirical
        >>> D = Empirical([[1.0, 0.0], [-1.0, 0.0]])
        >>> x = torch.tensor([[0.1, 0.0]])
        >>> D(x, t=10.0), D(x, t=0.01)  # much noise: the mean of the data; little: the nearest
        (tensor([[0.0100, 0.0000]]), tensor([[1., 0.]]))
        >>> [round(float(D.n_eff(x, t)), 2) for t in (10.0, 0.1, 0.01)]
        [2.0, 1.27, 1.0]
    """

    def __init__(self, data: Any, prior: Any = None) -> None:
        self.data = held("data", data)
        self.shape = tuple(self.data.shape)
        self.d = self.shape[1]
        self.precision = self.data.dtype
        self.place = str(self.data.device)
        if prior is not None:
            self.prior = self._checked(prior)
        self._softmax = Softmax(self.data, None if prior is None else self.prior.log())

    def _checked(self, prior: Any) -> torch.Tensor:
        p = torch.from_numpy(real_array("prior", prior, minimum=0, strict=True))
        if p.shape != self.data.shape[:1] or abs(float(p.sum()) - 1) > 1e-9:
            given = f"shape {tuple(p.shape)}, sum {float(p.sum()):.9g}"
            raise ValueError(f"prior has {given}; allowed is ({len(self.data)},), 1")
        return p.to(self.data)

    def log_weights(self, x: Any, t: Any) -> torch.Tensor:
        """Give the logarithms of the weights: of all results the one that is N wide.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            Shape (n, N); the exponentials of each row sum to 1.
        """

        def log_weights(x: torch.Tensor, t: float) -> torch.Tensor:
            if self._differentiated(x) or self._hidden(x):
                return self._plain_log_weights(x, t)
            return torch.log_softmax(self._softmax.exponents(x, t), dim=1)

        return self._answer(log_weights, x, t)

    def weighted(self, x: Any, t: Any) -> Weighted:
        """Give all sums over the data that need no d x d matrix, in one pass.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number.

        Returns:
            ``Weighted``, in the precision of x.
        """
        x, t = as_points("x", x, self.d), as_noise(t)
        return Weighted(*(part.to(x) for part in self._weighted(x.to(self.data), t)))

    def variance(self, x: Any, t: Any) -> torch.Tensor:
        """Give the diagonal of the weighted covariance, t times that of the Jacobian.

        It costs a fraction of the Jacobian. Its rounding is that of the squared norm of the centred
        data, not of the variance itself.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            Shape (n, d), 0 or more.
        """

        def variance(x: torch.Tensor, t: float) -> torch.Tensor:
            sums = self._weighted(x, t)
            return (sums.second - (sums.mean - self._softmax.center) ** 2).clamp(min=0)

        return self._answer(variance, x, t)

    def _jacobian(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """``Cov_w/t``, by the data that carry it."""
        if self._hidden(x):
            return super()._jacobian(x, t)
        carriers = self._softmax.carriers_of_spread(x, t)
        return torch.stack([self._softmax.covariance(*some) / t for some in carriers])

    def _spectrum(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """Where fewer than d data carry the covariance, of their Gram matrix.

        With s_i = sqrt(w_i) (y_i - D) as rows of S, G is S'S/t, and SS'/t has the same eigenvalues
        except zeros.
        """
        if self._differentiated(x) or self._hidden(x):
            return super()._spectrum(x, t)
        values = x.new_zeros(x.shape)
        carriers = self._softmax.carriers_of_spread(x, t)
        for row, (rows, weights) in zip(values, carriers, strict=True):
            if len(rows) < self.d:
                points = self._softmax.points[rows]
                spread = (points - weights @ points) * weights[:, None].sqrt()
                row[: len(rows)] = torch.linalg.eigvalsh(spread @ spread.T).flip(0)
            else:
                row[:] = torch.linalg.eigvalsh(self._softmax.covariance(rows, weights)).flip(0)
        return values.clamp_(min=0) / t

    def _attend(self, x: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        """``ln sum exp(E_i)``, and the mean of the data under these weights."""
        if self._hidden(x):
            return self._plainly(x, t)[::2]
        if self._softmax.rounds(x, t):
            return self._softmax.few(x, t)
        if self._differentiated(x):
            return self._plainly(x, t)[::2]
        if self._softmax.can_fuse(x):
            try:
                return self._softmax.fused(x, t)
            except NotImplementedError:  # the kernel has no forward mode
                return self._plainly(x, t)[::2]
        return self._softmax.blocks(x, t)[:3:2]

    def _participation(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """Sum of the squared weights."""
        if self._hidden(x):
            return self._plainly(x, t).participation
        if self._softmax.rounds(x, t):
            return self._softmax.few_participation(x, t)
        if self._differentiated(x) or not self._softmax.can_fuse(x):
            return self._weighted(x, t).participation
        once, twice = (self._softmax.fused(x, t, power)[0] for power in (1, 2))
        return torch.exp(twice - 2 * once).clamp(1 / self.shape[0], 1)

    def _weighted(self, x: torch.Tensor, t: float) -> Weighted:
        if self._differentiated(x) or self._hidden(x):
            return self._plainly(x, t)
        return Weighted(*self._softmax.blocks(x, t))

    def _plainly(self, x: torch.Tensor, t: float) -> Weighted:
        """All weights at once, in operations that can be differentiated.

        By differences only where it has to be: scalar products take less memory.
        """
        if self._softmax.data_alone_round(t):
            return plain(x, self.data, t, self._softmax.log_prior)
        sums = _sums(self._softmax.products(x, t), self.data)
        return sums._replace(log_z=sums.log_z + self._softmax.shared(x, t))

    def _plain_log_weights(self, x: torch.Tensor, t: float) -> torch.Tensor:
        if self._softmax.data_alone_round(t):
            return torch.log_softmax(_exponents(x, self.data, t, self._softmax.log_prior), dim=1)
        return torch.log_softmax(self._softmax.products(x, t), dim=1)

    def _differentiated(self, x: torch.Tensor) -> bool:
        """Whether derivatives may be asked for: then all goes the plain way, whatever it costs."""
        return torch.is_grad_enabled() and (x.requires_grad or self.data.requires_grad)

    @staticmethod
    def _hidden(x: torch.Tensor) -> bool:
        """Whether x has no values, inside a transform: then no fast way can be chosen."""
        return not visible(x.sum() > 0)
