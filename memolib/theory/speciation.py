"""Classes: when the reverse process chooses one, and how much information a mixture leaves in a noisy point."""

import numpy as np
from scipy.special import logsumexp

from memolib._validate import check_mixture, count, real, real_array
from memolib.theory._shared import FloatArray, check_noise


def noise_variance(s) -> FloatArray:
    """Noise variance of the Ornstein-Uhlenbeck process ``dx = -x ds + sqrt(2) dW`` at time s, ``t = exp(2s) - 1``.

    Args:
        s: time, above 0, any shape.
    Returns: t, in units of the process's stationary variance, shape of ``s``: the process's point at time s, divided by
    ``exp(-s)``, is the data point plus noise of this variance.
    Raises: ValueError for s not above 0. Source: Song et al., arXiv 2011.13456. Chapter: ``diffusion/noise_and_score``.
    """
    return np.expm1(2 * real_array("s", s, minimum=0, strict=True))


def speciation_time(variance: float) -> float:
    """Noise variance at which the reverse process decides between two classes: ``t_S = Lambda - 1``.

    Args:
        variance: Lambda, the variance of the data *along the line between the classes*, above 1, in units of the
            stationary variance of the process; not simply the largest eigenvalue of the covariance.
    A crossover, not a sharp time, for classes whose separation along the line between them far exceeds the variance
    within. In the Ornstein-Uhlenbeck process it is ``s_S = 1/2 ln(Lambda)``. Returns: t_S in this unit. Raises:
    ValueError for a variance not above 1: no speciation. Source: Biroli et al. (2024). Chapter: ``diffusion/collapse``.
    """
    return real("variance", variance, minimum=1, strict=True) - 1


def clone_agreement(separation: float, within: float, t) -> FloatArray:
    """Probability that two clones of one noisy point end in the same of two equal classes.

    Args:
        separation: squared norm of mu, above 0.
        within: variance within a class along mu, 0 or more.
        t: noise variance, above 0, any shape.
    Two reverse processes from one x_t end in a class with the probability p that it has given x_t, so they agree with
    probability ``E[p^2 + (1-p)^2]``; here for classes at +-mu, by Gauss-Hermite quadrature.
    Returns: from 1/2 to 1, shape of ``t``. Raises: ValueError for other arguments.
    Source: cloning test of Biroli et al. (2024). Chapter: ``diffusion/collapse``.
    """
    mu2 = real("separation", separation, minimum=0, strict=True)
    spread = real("within", within, minimum=0) + check_noise(t)
    nodes, weights = np.polynomial.hermite_e.hermegauss(201)
    snr = (mu2 / spread)[..., None]  # signal to noise along mu; the logit of p is 2 (snr + sqrt(snr) z)
    p = 1 / (1 + np.exp(-2 * np.clip(snr + np.sqrt(snr) * nodes, -300, 300)))
    return (p**2 + (1 - p) ** 2) @ weights / np.sqrt(2 * np.pi)


def mixture_information(
    means, variances, weights, t: float, *, samples: int = 20_000, seed=None
) -> tuple[float, float]:
    """Information between a point of a Gaussian mixture and its noisy copy, ``I(y; x_t)``, and its standard error.

    Args:
        means: of the K components, shape (K, d).
        variances: of the components along the d axes, shape (K, d), or (d,) for all of them.
        weights: of the components, shape (K,), above 0, summing to 1.
        t: noise variance, above 0.
        samples: number of noisy points drawn, 2 or more.
        seed: int or ``numpy.random.Generator``.
    ``I(y; x_t) = I(y; x_t | class) + I(class; x_t)``: the first is in closed form, the second, at most the entropy of
    the classes, by Monte Carlo. The excess entropy of the empirical score of N points is ``I(y; x_t) - ln N``.
    Returns: both in nats. Raises: ValueError for other arguments.
    Source: this book; excess entropy after Biroli et al. (2024). Chapter: ``diffusion/collapse``.
    """
    means, variances, weights = check_mixture(means, variances, weights)
    t, n = real("t", t, minimum=0, strict=True), count("samples", samples, minimum=2)
    spread, rng = variances + t, np.random.default_rng(seed)
    within = weights @ np.log1p(variances / t).sum(axis=1) / 2
    log_norm = np.log(weights) - np.log(spread).sum(axis=1) / 2
    about_class = []
    rows = max(1, 4_000_000 // means.shape[1])  # points at a time: tens of MB
    for start in range(0, n, rows):
        label = rng.choice(len(weights), min(rows, n - start), p=weights)
        x = means[label] + rng.standard_normal((label.size, means.shape[1])) * np.sqrt(spread[label])
        logs = np.stack(
            [c - ((x - m) ** 2 / v).sum(axis=1) / 2 for c, m, v in zip(log_norm, means, spread, strict=True)]
        )
        about_class.append(logs[label, np.arange(label.size)] - logsumexp(logs, axis=0) - np.log(weights[label]))
    values = np.concatenate(about_class)
    return float(within + values.mean()), float(values.std(ddof=1) / np.sqrt(n))
