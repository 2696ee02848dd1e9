"""Everything is a denoiser: laws, data sets, networks, and by ``as_denoiser`` everybody's models.

A denoiser is ``D(x, t) = E[y | x_t = x]``: of noisy points ``x_t = y + sqrt(t) xi`` it gives the
mean of the data y that could have made them. With it come the score ``(D - x)/t`` and the Jacobian
``G = dD/dx``.
"""

from collections.abc import Callable
from typing import Any

import torch

from memolib import _derivatives
from memolib._tensors import as_noises, as_points, each_noise
from memolib._validate import ArrayLike

TensorLike = ArrayLike | torch.Tensor  # what is made a tensor
Model = Callable[[torch.Tensor, Any], torch.Tensor]  # of points and noise; a Denoiser is one

HALF = (torch.float16, torch.bfloat16)  # too coarse for spectra: the work is done in float32


class Denoiser:
    """What laws, data sets and networks have in common; calling it denoises.

    All methods take points x, shape (n, d), as tensors or as anything NumPy takes, and noise
    variances t above 0, unit of the data squared: one number, or one for each point, shape (n,).
    Answers have the precision and the device of x, and x is left as it is. Wrong points or noise
    raise a ValueError that names the argument, its value and what is allowed; inside the transforms
    of ``torch.func``, where there are no values to look at, shapes alone are checked.

    A child sets ``d`` and gives ``_denoise(x, t)`` for checked points, and a law ``_log_density``.
    Where it has better than automatic differentiation and an eigenvalue routine, it gives
    ``_jacobian``, ``_spectrum`` or ``_score``. It says with ``precision`` in which type and with
    ``place`` on which device it computes (None: as x), with ``takes_each`` whether its methods take
    a tensor of noise variances (else they are called once for each variance), and with
    ``by_reverse`` whether reverse mode is the faster way to its derivatives, as it is for networks.

    Attributes:
        d: number of coordinates of a point.

    Source:
        Robbins, An empirical Bayes approach to statistics, Proc. Third Berkeley Symp. 1, 157
        (1956); Miyasawa (1961): the score of noisy data is ``(D - x)/t``.

    Chapter:
        ``diffusion/noise_and_score``.

    Example:
        >>> import torch
        >>> from memolib import Denoiser
        >>> class TwoPoints(Denoiser):  # data at -1 and +1 on the line
        ...     d = 1
        ...
        ...     def _denoise(self, x, t):
        ...         return torch.tanh(x / t)
        >>> D = TwoPoints()
        >>> D([[0.0], [0.4]], t=0.1).round(decimals=3).tolist()  # undecided, decided
        [[0.0], [0.999]]
        >>> D.jacobian([[0.0]], t=0.1).tolist()  # the variance of what could have made x, over t
        [[[10.0]]]
    """

    d: int | None = None
    precision: torch.dtype | None = None
    place: str | torch.device | None = None
    takes_each: bool = False
    by_reverse: bool = False

    def __call__(self, x: TensorLike, t: TensorLike) -> torch.Tensor:
        """Denoise.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            Means of the data, shape (n, d).

        Raises:
            ValueError: for other points or noise.
        """
        return self._answer(self._denoise, x, t)

    def score(self, x: TensorLike, t: TensorLike) -> torch.Tensor:
        """Give the score of noisy data, ``(D - x)/t``, the gradient of their log density.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            Shape (n, d), unit one over the data's.

        Raises:
            ValueError: for other points or noise.
        """
        return self._answer(self._score, x, t)

    def jacobian(self, x: TensorLike, t: TensorLike) -> torch.Tensor:
        """Give the Jacobian ``G = dD/dx``, of exact denoisers ``Cov(y|x)/t``.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            Shape (n, d, d); ``[i, a, b]`` is the derivative of ``D_a`` by ``x_b`` at point i.

        Raises:
            ValueError: for other points or noise.
        """
        return self._answer(self._jacobian, x, t)

    def spectrum(self, x: TensorLike, t: TensorLike) -> torch.Tensor:
        """Give the eigenvalues of the Jacobian's symmetric part.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            Falling, shape (n, d).

        Raises:
            ValueError: for other points or noise.
        """
        return self._answer(self._spectrum, x, t)

    def log_density(self, x: TensorLike, t: TensorLike) -> torch.Tensor:
        """Give the log density of noisy data, where the denoiser is that of a law or of data.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).

        Returns:
            Shape (n,); the density's unit is that of the data to the power -d.

        Raises:
            ValueError: for other points or noise, or a denoiser without a density, as a network's.
        """
        return self._answer(self._log_density, x, t)

    def products(
        self,
        x: TensorLike,
        t: TensorLike,
        directions: torch.Tensor,
        *,
        transposed: bool = False,
    ) -> torch.Tensor:
        """Give ``G v``, or ``G' v``, for many directions v at each point, without the Jacobian.

        Args:
            x: points, shape (n, d).
            t: noise variance, one number or shape (n,).
            directions: shape (k, n, d), of the type of x.
            transposed: with the Jacobian's transpose.

        Returns:
            Shape (k, n, d).

        Raises:
            ValueError: for other points or noise.
        """

        def answer(x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
            return self._products(x, t, directions.to(x), transposed).transpose(0, 1)

        return self._answer(answer, x, t).transpose(0, 1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(d={self.d})"

    def _denoise(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _score(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        return (self._denoise(x, t) - x) / each_noise(t, x)

    def _jacobian(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        derivative = _derivatives.reverse if self.by_reverse else _derivatives.forward
        return derivative(lambda points: self._denoise(points, t), x)

    def _products(
        self,
        x: torch.Tensor,
        t: float | torch.Tensor,
        directions: torch.Tensor,
        transposed: bool,
    ) -> torch.Tensor:
        derivative = _derivatives.across if transposed else _derivatives.along
        return derivative(lambda points: self._denoise(points, t), x, directions)

    def _spectrum(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        G = self._jacobian(x, t)
        return torch.linalg.eigvalsh((G + G.mT) / 2).flip(-1)

    def _log_density(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        allowed = "the denoisers of laws and of data sets"
        raise ValueError(f"{self!r} has no log_density; allowed are {allowed}")

    def _answer(self, method: Callable, x: TensorLike, t: TensorLike) -> torch.Tensor:
        """Check points and noise, compute in the denoiser's own precision, answer in x's."""
        x = as_points("x", x, self.d)
        t = as_noises(t, x)
        precision = self.precision or (torch.float32 if x.dtype in HALF else x.dtype)
        inner = x.to(device=self.place, dtype=precision)
        if self.takes_each or not isinstance(t, torch.Tensor):
            return method(inner, t).to(x)
        values, which = t.unique(return_inverse=True)
        order = which.argsort(stable=True)
        parts = [method(inner[which == k], value) for k, value in enumerate(values.tolist())]
        return torch.cat(parts)[order.argsort()].to(x)
