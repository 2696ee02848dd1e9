"""Data laws with exact denoisers.

A denoiser is a function ``D(x, t) = E[y | x_t = x]`` of points x, shape (n, d), and one noise
variance t, with ``x_t = y + sqrt(t) xi``. The score is ``(D - x)/t`` and the denoiser's Jacobian
``G = dD/dx = Cov(y|x)/t``. Each law also draws samples and gives ``log_density``, of noisy points.
Points are torch tensors; NumPy arrays become float64. Flat manifolds, spheres and mixtures are
exact in closed form or by one integral; any manifold with a chart of few coordinates is exact by
quadrature; with many it is averaged by importance sampling, with a stated error.
"""

import numpy as np

from memolib.manifolds.chart import ChartManifold, Tangent
from memolib.manifolds.hidden import HiddenManifold, Posterior
from memolib.manifolds.linear import LinearManifold, random_rotation
from memolib.manifolds.mixture import GaussianMixture
from memolib.manifolds.sphere import SphereManifold

# The book's example: variances of 30 directions, two of high, five of low variance, the rest thin.
EXAMPLE = np.r_[[1.0] * 2, [0.3] * 5, [0.01] * 23] ** 2
EXAMPLE.setflags(write=False)

__all__ = [
    "EXAMPLE",
    "ChartManifold",
    "GaussianMixture",
    "HiddenManifold",
    "LinearManifold",
    "Posterior",
    "SphereManifold",
    "Tangent",
    "random_rotation",
]
