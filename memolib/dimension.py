"""Intrinsic dimension at a point, read off any denoiser: how many directions the data have there.

Three readings of the same Jacobian ``G = dD/dx``. For a flat manifold whose directions have
variances s^2, and ``g = s^2/(s^2+t)``: tr G is the sum of g; FLIPD, on average over points of the
manifold, that of ``1 - (1-g)^2``, which is nearer to m; the stacked scores have singular values 1 -
g, but for the pull that all copies of a point share: its square is about the sum of ``t/s^2``, so
that of many directions one is missed early. All need t well below the variances along the manifold
and above those across it, and all collapse with the empirical denoiser.
"""

import torch

from memolib import spectra
from memolib._tensors import as_noise, as_points
from memolib._validate import Seed, count, generator
from memolib.denoisers import Model, TensorLike
from memolib.foreign import as_denoiser
from memolib.spectra import Gap

# As many points, or directions at points, go at once as have this many numbers: fast, some 100 MB.
TOGETHER = 2**17


def effective(
    denoiser: Model,
    x: TensorLike,
    t: float,
    *,
    probes: int | None = None,
    seed: Seed = None,
) -> torch.Tensor:
    """Give the effective dimension, the trace of the denoiser's Jacobian, exact or estimated.

    With probes v of random signs, tr G is the mean of ``v.Gv``: unbiased, without the Jacobian. Its
    standard error is ``sqrt(2 sum_{a != b} S_ab^2 / probes)``, S the symmetric part of G: where its
    eigenvalues lie from 0 to 1, at most ``sqrt(2 tr G / probes)``. It is
    ``memolib.effective_dimension``.

    Args:
        denoiser: a ``Denoiser`` or a model, built from torch operations (``torch.func``).
        x: points, shape (n, d).
        t: noise variance, above 0.
        probes: random directions at each point, 1 or more; None is exact, by the whole Jacobian.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``, of the
            probes.

    Returns:
        A pure number for each point, shape (n,).

    Raises:
        ValueError: for other arguments, or a model that ``as_denoiser`` refuses.

    Source:
        Hutchinson, Commun. Stat. Simul. Comput. 18, 1059 (1989).

    Chapter:
        ``networks/detecting_memorization``.

    Example:
        >>> import torch
        >>> from memolib import LinearManifold, effective_dimension
        >>> law = LinearManifold([1.0] * 3 + [0.0] * 7)  # m = 3 in d = 10
        >>> x = torch.zeros(1, 10, dtype=torch.float64)
        >>> effective_dimension(law, x, t=0.01).round(decimals=2).tolist()  # m/(1 + t)
        [2.97]
        >>> effective_dimension(law, x, t=0.01, probes=10, seed=0).round(decimals=2).tolist()
        [2.97]
    """
    D = as_denoiser(denoiser)
    x = as_points("x", x)
    t = as_noise(t)
    rng = generator(seed, "effective")
    d = x.shape[1]
    traces = []
    if probes is None:
        for some in x.split(max(1, 8 * TOGETHER // d**2)):
            traces.append(D.jacobian(some, t).diagonal(dim1=1, dim2=2).sum(dim=1).detach())
        return torch.cat(traces)
    probes = count("probes", probes)
    for some in x.split(max(1, TOGETHER // (probes * d))):
        signs = torch.from_numpy(rng.choice([-1.0, 1.0], (probes, *some.shape))).to(x)
        traces.append(spectra.along(D, some, t, signs.permute(1, 2, 0)).mean(dim=1).detach())
    return torch.cat(traces)


def flipd(
    denoiser: Model,
    x: TensorLike,
    t: float,
    *,
    probes: int | None = None,
    seed: Seed = None,
) -> torch.Tensor:
    """Give the dimension by the rate at which the noisy density falls, ``tr G + |D-x|^2/t``: FLIPD.

    Around a point of an m-dimensional manifold the noisy density falls as ``sigma^(m-d)``, ``sigma
    = sqrt(t)``, so that m is the limit of ``d + d ln p_t(x)/d ln sigma``. Noise obeys the heat
    equation, ``dp/dt = lap p/2``, and ``d/d ln sigma = 2t d/dt``, so the derivative is ``t lap p/p
    = t (div score + |score|^2)``. With ``score = (D-x)/t``, ``t div score = tr G - d``: d cancels.
    Look from points without noise: the mean over *noisy* points is d for all data, as the mean of
    ``lap p/p`` is the integral of ``lap p``, 0. (Networks are trained at noisy points only;
    elsewhere their G need not be a covariance, and the answer can be far off, even negative.)

    Args:
        denoiser: a ``Denoiser`` or a model, built from torch operations (``torch.func``).
        x: points of the data or the manifold, shape (n, d).
        t: noise variance, above 0.
        probes: random directions for the trace at each point, 1 or more; None is exact.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``, of the
            probes.

    Returns:
        A pure number for each point, shape (n,).

    Raises:
        ValueError: for other arguments, or a model that ``as_denoiser`` refuses.

    Source:
        Kamkari et al., arXiv 2406.03537, section 3; here for added noise, without the shrinking of
        the data.

    Chapter:
        ``networks/detecting_memorization``.

    Example:
        >>> from memolib import LinearManifold, flipd
        >>> law = LinearManifold([1.0] * 3 + [0.0] * 7)  # m = 3 in d = 10
        >>> on_it = law.sample(1_000, seed=0)
        >>> round(float(flipd(law, on_it, t=0.01).mean()), 1)
        3.0
        >>> off_it = on_it + 0.3  # across the manifold the squared distance counts, over t
        >>> round(float(flipd(law, off_it, t=0.01).mean()), -1)
        70.0
    """
    x = as_points("x", x)
    t = as_noise(t)
    trace = effective(denoiser, x, t, probes=probes, seed=seed)
    return trace + ((as_denoiser(denoiser)(x, t) - x) ** 2).sum(dim=1).detach() / t


def normal_bundle_dimension(denoiser: Model, x: TensorLike, t: float, *, seed: Seed = None) -> Gap:
    """Count the directions that stacked scores keep, by the gap between their singular values.

    Times t^(1/2), the singular values are near 0 along the manifold, and across it spread around 1
    with the number of copies, here 4d and at least 256, from ``1 - sqrt(d/copies)``, at least 1/2,
    on. That much is the gap at a manifold; half of it is asked for. Singular values above 1 (x off
    the manifold) count as 1.

    Args:
        denoiser: a ``Denoiser`` or a model.
        x: points on or near the data's manifold, shape (n, d), d at least 2.
        t: noise variance, above 0.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``, of the
            noisy copies.

    Returns:
        Gap; rank 0 where there is no gap: no manifold of 1 to d - 1 dimensions is seen.

    Raises:
        ValueError: for other arguments, or a model that ``as_denoiser`` refuses.

    Source:
        Stanczuk et al., arXiv 2212.12611, algorithm 1.

    Chapter:
        ``networks/detecting_memorization``.

    Example:
        >>> from memolib import LinearManifold, normal_bundle_dimension
        >>> law = LinearManifold([1.0] * 3 + [0.0] * 7)  # m = 3 in d = 10
        >>> x = law.sample(2, seed=0)
        >>> normal_bundle_dimension(law, x, t=0.001, seed=0).rank.tolist()
        [3, 3]
        >>> normal_bundle_dimension(law, x, t=100.0, seed=0).rank.tolist()  # lost in noise
        [0, 0]
    """
    x = as_points("x", x)
    d = x.shape[1]
    if d < 2:
        raise ValueError(f"x has shape {tuple(x.shape)}; allowed is (n, d) with d at least 2")
    copies = max(4 * d, 256)
    kept = spectra.normal_bundle(denoiser, x, t, copies=copies, seed=seed).detach()
    singular = (1 - kept).clamp(0, 1).sqrt()
    return spectra.largest_gap(1 - singular, minimum=(1 - (d / copies) ** 0.5) / 2)
