"""Curved manifolds given by a chart: circle, torus, swiss roll, any other of few coordinates."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import roots_legendre

from memolib._derivatives import forward
from memolib._tensors import as_noise, as_points
from memolib._validate import Seed, count, generator, real
from memolib.denoisers import Denoiser, TensorLike
from memolib.empirical import Empirical

# The variance of each kind of coordinate.
LATENTS = {"angle": (2 * np.pi) ** 2 / 12, "unit": 1 / 12, "normal": 1.0}
# Of quadrature nodes, in units of sqrt(t)/speed: the trapezoid rule's error is exp(-2 (pi/0.7)^2).
SPACING = 0.7
REACH = 7.0  # standard deviations of a normal coordinate that the nodes cover
MAX_NODES = 2_000_000
FEWEST = 48  # nodes along a coordinate


class Tangent(NamedTuple):
    """Tangent spaces at n points of a manifold of m in d dimensions.

    Attributes:
        basis: orthonormal columns, shape (n, d, m), along falling local variance.
        variances: local variances, shape (n, m), falling: those of flat data with the chart's slope
            at the point.
        log_density: logarithm of the data's density per m-dimensional volume, shape (n,).
    """

    basis: torch.Tensor
    variances: torch.Tensor
    log_density: torch.Tensor


# Functions of this module, and not inside others, so that a law can be sent to another process.


def _circle(radius: float, z: torch.Tensor) -> torch.Tensor:
    return radius * torch.cat([z.cos(), z.sin()], dim=1)


def _torus(radius: float, tube: float, z: torch.Tensor) -> torch.Tensor:
    along, around = z.T
    out = radius + tube * around.cos()
    return torch.stack([out * along.cos(), out * along.sin(), tube * around.sin()], dim=1)


def _swiss_roll(turns: float, width: float, z: torch.Tensor) -> torch.Tensor:
    angle = 2 * np.pi * turns * z[:, 0]
    radius = (1 + 2 * z[:, 0]) / 3
    return torch.stack([radius * angle.cos(), radius * angle.sin(), width * z[:, 1]], dim=1)


class ChartManifold(Denoiser):
    """Data ``y = chart(z)``, the coordinates z independent and of known law; exact by quadrature.

    A quadrature is an empirical denoiser whose points are the nodes, with the rule's weights: as
    many points as it takes for any finer rule to give the same answer. The trapezoid rule converges
    exponentially once its spacing on the manifold is below sqrt(t); angles and normal coordinates
    use it, ``unit`` coordinates Gauss and Legendre's. Calling it denoises, as ``Denoiser`` says.

    Args:
        chart: function of hidden coordinates, shape (n, m), giving points, shape (n, d), in torch
            operations.
        latent: the law of each of the m coordinates: ``angle`` (uniform from 0 to 2 pi, periodic),
            ``unit`` (uniform from 0 to 1) or ``normal`` (standard Gaussian).

    Attributes:
        chart: what was given.
        latent: the same, as a tuple.
        d: number of coordinates of a point.

    Raises:
        ValueError: for an unknown kind of coordinate, or none, or a chart that does not give one
            point for each z; at the first answer, for more than three coordinates, or noise so
            small that more than two million nodes are needed.

    Source:
        This book.

    Chapter:
        ``manifold/curved_manifolds``.

    Example:
        >>> import torch
        >>> from memolib import ChartManifold
        >>> def parabola(z):
        ...     return torch.cat([z, z**2], dim=1)
        >>> law = ChartManifold(parabola, ["normal"])
        >>> x = [[0.0, 1.0]]  # between two branches, at (-0.7, 0.5) and (0.7, 0.5)
        >>> law(x, t=0.01).round(decimals=1).tolist()
        [[0.0, 0.5]]
        >>> law.spectrum(x, t=0.01)[0, 0].round().item()  # across them, about 0.7^2/t
        48.0
    """

    precision = torch.float64
    place = "cpu"

    def __init__(
        self,
        chart: Callable[[torch.Tensor], torch.Tensor],
        latent: Sequence[str],
    ) -> None:
        if not latent or isinstance(latent, str) or any(kind not in LATENTS for kind in latent):
            raise ValueError(f"latent is {latent!r}; allowed are sequences of {', '.join(LATENTS)}")
        self.chart = chart
        self.latent = tuple(latent)
        z = self.latents(1_000, seed=0)
        y = as_points("chart(z)", chart(z))
        if len(y) != len(z):
            allowed = f"({len(z)}, d), a point for each z"
            raise ValueError(f"chart(z) has shape {tuple(y.shape)}; allowed is {allowed}")
        self.d = y.shape[1]
        # The largest slopes, also where only the outermost nodes of normal coordinates reach.
        normal = torch.tensor([kind == "normal" for kind in self.latent])
        spread = REACH * (2 * torch.rand(z.shape, generator=torch.Generator().manual_seed(0)) - 1)
        slopes = self._slopes(torch.cat([z, torch.where(normal, spread, z)]))
        self._speeds = slopes.norm(dim=1).amax(dim=0).clamp(min=1e-12).numpy()
        self._nodes: tuple[float, Empirical | None] = (0.0, None)

    @classmethod
    def circle(cls, radius: float = 1.0) -> "ChartManifold":
        """Make a uniform circle in the plane.

        Args:
            radius: above 0, unit of the data.

        Returns:
            ChartManifold, m = 1, d = 2.

        Raises:
            ValueError: for another radius.
        """
        radius = real("radius", radius, minimum=0, strict=True)
        return cls(partial(_circle, radius), ["angle"])

    @classmethod
    def torus(cls, radius: float = 1.0, tube: float = 0.4) -> "ChartManifold":
        """Make a torus in space whose two angles are uniform: denser inside than outside.

        Args:
            radius: of the circle in the middle of the tube, unit of the data.
            tube: radius of the tube, above 0 and below ``radius``.

        Returns:
            ChartManifold, m = 2 (along the circle, around the tube), d = 3.

        Raises:
            ValueError: for other radii.
        """
        radius = real("radius", radius, minimum=0, strict=True)
        tube = real("tube", tube, minimum=0, strict=True)
        if tube >= radius:
            raise ValueError(f"tube is {tube}; allowed are numbers below the radius, {radius}")
        return cls(partial(_torus, radius, tube), ["angle", "angle"])

    @classmethod
    def swiss_roll(cls, turns: float = 1.5, width: float = 1.0) -> "ChartManifold":
        """Make a rolled-up rectangle.

        Radius and angle grow together, the radius from 1/3 to 1.

        Args:
            turns: number of turns, above 0.
            width: of the roll along its axis, above 0, unit of the data.

        Returns:
            ChartManifold, m = 2 (along the spiral, along the axis), d = 3; uniform in the angle,
            not in the length.

        Raises:
            ValueError: for other arguments.
        """
        turns = real("turns", turns, minimum=0, strict=True)
        width = real("width", width, minimum=0, strict=True)
        return cls(partial(_swiss_roll, turns, width), ["unit", "unit"])

    def latents(self, n: int, seed: Seed = None) -> torch.Tensor:
        """Draw hidden coordinates, of which ``chart`` makes data.

        Args:
            n: number of points, 1 or more.
            seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

        Returns:
            Coordinates, shape (n, m), float64.

        Raises:
            ValueError: for other arguments.
        """
        n = count("n", n)
        rng = generator(seed, "ChartManifold.latents")
        draw = {
            "angle": lambda: rng.uniform(0, 2 * np.pi, n),
            "unit": lambda: rng.uniform(0, 1, n),
            "normal": lambda: rng.standard_normal(n),
        }
        return torch.from_numpy(np.stack([draw[kind]() for kind in self.latent], axis=1))

    def sample(self, n: int, seed: Seed = None) -> torch.Tensor:
        """Draw data, ``chart(latents(n, seed))``.

        Args:
            n: number of points, 1 or more.
            seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

        Returns:
            Points, shape (n, d).

        Raises:
            ValueError: for other arguments.
        """
        return self.chart(self.latents(n, seed))

    def tangent(self, z: TensorLike) -> Tangent:
        """Give tangent space, local variances and density at the points ``chart(z)``.

        The local variances are the eigenvalues of ``J Var(z) J'``, J the chart's slope: with normal
        coordinates the population's G has the eigenvalues s^2/(t + s^2) along them, but for
        curvature.

        Args:
            z: hidden coordinates, shape (n, m).

        Returns:
            Tangent.

        Raises:
            ValueError: for another shape, or coordinates that are not finite.
        """
        z = as_points("z", z, len(self.latent))
        slopes = self._slopes(z)
        variances = z.new_tensor([LATENTS[kind] for kind in self.latent])
        basis, scales, _ = torch.linalg.svd(slopes * variances.sqrt(), full_matrices=False)
        log_latent = sum(self._log_latent(kind, z[:, k]) for k, kind in enumerate(self.latent))
        log_density = log_latent - scales.log().sum(dim=1) + variances.log().sum() / 2
        return Tangent(basis, scales**2, log_density)

    def quadrature(self, t: float) -> Empirical:
        """Give the denoiser at one noise variance: the empirical one of weighted quadrature nodes.

        The smaller t is, the more nodes.

        Args:
            t: noise variance, above 0.

        Returns:
            Empirical, of the nodes as data.

        Raises:
            ValueError: for another t, more than three coordinates, or where more than two million
                nodes are needed.
        """
        t = as_noise(t)
        known, denoiser = self._nodes
        if known != t:
            denoiser = self._quadrature(t)
            self._nodes = (t, denoiser)
        return denoiser

    def _quadrature(self, t: float) -> Empirical:
        if FEWEST ** len(self.latent) > MAX_NODES:
            given = f"latent has {len(self.latent)} entries"
            raise ValueError(f"{given}; allowed, for quadrature, are up to three")
        if math.prod(self._counts(t)) > MAX_NODES:
            least = t
            while math.prod(self._counts(least)) > MAX_NODES:
                least *= 1.01
            allowed = f"allowed, for quadrature on this manifold, is {least:.3g} or more"
            raise ValueError(f"t is {t:g}; {allowed}")
        counts = self._counts(t)
        rules = [self._rule(kind, n) for kind, n in zip(self.latent, counts, strict=True)]
        axes = np.meshgrid(*(nodes for nodes, _ in rules), indexing="ij")
        z = np.stack(axes, axis=-1).reshape(-1, len(rules))
        weights = rules[0][1]
        for _, more in rules[1:]:
            weights = np.outer(weights, more).ravel()
        return Empirical(self.chart(torch.from_numpy(z)), weights)

    def _counts(self, t: float) -> list[int]:
        """Nodes along each coordinate."""
        return [max(FEWEST, int(n) + 1) for n in self._spans() * self._speeds / (SPACING * t**0.5)]

    def _denoise(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return self.quadrature(t)._denoise(x, t)

    def _jacobian(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return self.quadrature(t)._jacobian(x, t)

    def _log_density(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return self.quadrature(t)._log_density(x, t)

    def _slopes(self, z: torch.Tensor) -> torch.Tensor:
        """Derivative of the chart by each coordinate, shape (n, d, m)."""
        return forward(self.chart, z)

    def _spans(self) -> np.ndarray:
        # Gauss and Legendre's nodes lie pi/2 times as far apart in the middle as on average.
        lengths = {"angle": 2 * np.pi, "unit": np.pi / 2, "normal": 2 * REACH}
        return np.array([lengths[kind] for kind in self.latent])

    @staticmethod
    def _rule(kind: str, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and weights, summing to 1, for an average over one coordinate."""
        if kind == "angle":
            return 2 * np.pi * np.arange(n) / n, np.full(n, 1 / n)
        if kind == "unit":
            nodes, weights = roots_legendre(n)
            return (nodes + 1) / 2, weights / 2
        nodes = np.linspace(-REACH, REACH, n)
        weights = np.exp(-(nodes**2) / 2)
        return nodes, weights / weights.sum()

    @staticmethod
    def _log_latent(kind: str, z: torch.Tensor) -> torch.Tensor:
        if kind == "normal":
            return -(z**2) / 2 - np.log(2 * np.pi) / 2
        return torch.full_like(z, -np.log(2 * np.pi) if kind == "angle" else 0.0)
