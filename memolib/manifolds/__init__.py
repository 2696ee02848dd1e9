"""Data laws with exact denoisers.

Each law is a ``Denoiser``, and so answers for its noisy points: the denoiser itself, ``score``,
``jacobian``, ``spectrum`` and ``log_density``; and it draws data, ``sample(n, seed)``. Flat
manifolds, spheres and mixtures are exact in closed form or by one integral; any manifold with a
chart of few coordinates is exact by quadrature; with many it is averaged by importance sampling,
with a stated error.
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
