"""Classes: when the reverse process chooses one, and a mixture's information in a noisy point."""

import numpy as np
from scipy.special import logsumexp

from memolib._validate import (
    ArrayLike,
    Seed,
    check_mixture,
    count,
    finite,
    generator,
    real,
    real_array,
)
from memolib.theory._shared import (
    Estimate,
    FloatArray,
    check_noise,
    check_one_noise,
    length,
    log_one_plus,
)


def noise_variance(s: ArrayLike) -> FloatArray:
    """Noise variance of the Ornstein-Uhlenbeck process ``dx = -x ds + sqrt(2) dW`` at time s.

    ``t = exp(2s) - 1``: the process's point at time s, divided by ``exp(-s)``, is the data point
    plus noise of this variance.

    Args:
        s: time, above 0, any shape.

    Returns:
        t, in units of the process's stationary variance, shape of ``s``.

    Raises:
        ValueError: for s not above 0.

    Source:
        Song et al., arXiv 2011.13456.

    Chapter:
        ``diffusion/noise_and_score``.
    """
    s = real_array("s", s, minimum=0, strict=True)
    with np.errstate(all="ignore"):
        return finite(np.expm1(2 * s), s=s)


def speciation_time(variance: float) -> float:
    """Noise variance at which the reverse process decides between two classes: ``Lambda - 1``.

    A crossover, not a sharp time, for classes whose separation along the line between them far
    exceeds the variance within. In the Ornstein-Uhlenbeck process it is ``s_S = 1/2 ln(Lambda)``.

    Args:
        variance: Lambda, the variance of the data *along the line between the classes*, above 1,
            in units of the stationary variance of the process; not simply the largest eigenvalue
            of the covariance.

    Returns:
        t_S in this unit.

    Raises:
        ValueError: for a variance not above 1: no speciation.

    Source:
        Biroli et al. (2024).

    Chapter:
        ``diffusion/collapse``.

    Example:
        >>> from memolib import theory
        >>> theory.speciation_time(65)
        64.0
    """
    return real("variance", variance, minimum=1, strict=True) - 1


def clone_agreement(separation: float, within: float, t: ArrayLike) -> FloatArray:
    """Probability that two clones of one noisy point end in the same of two equal classes.

    Two reverse processes from one x_t end in a class with the probability p that it has given x_t,
    so they agree with probability ``E[p^2 + (1-p)^2]``; here for classes at +-mu, by Gauss-Hermite
    quadrature.

    Args:
        separation: squared norm of mu, above 0.
        within: variance within a class along mu, 0 or more.
        t: noise variance, above 0, any shape.

    Returns:
        From 1/2 to 1, shape of ``t``.

    Raises:
        ValueError: for other arguments.

    Source:
        Cloning test of Biroli et al. (2024).

    Chapter:
        ``diffusion/collapse``.

    Example:
        >>> from memolib import theory
        >>> float(theory.clone_agreement(64.0, 1.0, theory.speciation_time(65)).round(2))
        0.77
    """
    mu2 = real("separation", separation, minimum=0, strict=True)
    within = real("within", within, minimum=0)
    t = check_noise(t)
    nodes, weights = np.polynomial.hermite_e.hermegauss(201)
    with np.errstate(all="ignore"):
        snr = mu2 / (within + t.reshape(-1, 1))  # signal to noise along mu
    snr = np.minimum(snr, 1e6)  # from where on p is 1 to all digits
    logit = 2 * np.clip(snr + np.sqrt(snr) * nodes, -300, 300)
    p = 1 / (1 + np.exp(-logit))
    return ((p**2 + (1 - p) ** 2) @ weights / np.sqrt(2 * np.pi)).reshape(t.shape)[()]


def mixture_information(
    means: ArrayLike,
    variances: ArrayLike,
    weights: ArrayLike,
    t: float,
    *,
    samples: int = 20_000,
    seed: Seed = None,
) -> Estimate:
    """Information between a point of a Gaussian mixture and its noisy copy, and its standard error.

    ``I(y; x_t) = I(y; x_t | class) + I(class; x_t)``: the first is in closed form, the second, at
    most the entropy of the classes, by Monte Carlo. The excess entropy of the empirical score of N
    points is ``I(y; x_t) - ln N``.

    Args:
        means: of the K components, shape (K, d).
        variances: of the components along the d axes, shape (K, d), or (d,) for all of them.
        weights: of the components, shape (K,), above 0, summing to 1.
        t: noise variance, above 0.
        samples: number of noisy points drawn, from 2 to 1e9; time is in proportion to it.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

    Returns:
        ``Estimate`` of the information, in nats.

    Raises:
        ValueError: for other arguments.

    Source:
        This book; excess entropy after Biroli et al. (2024).

    Chapter:
        ``diffusion/collapse``.

    Example:
        >>> from memolib import theory
        >>> two = [[-9.0], [9.0]], [0.0], [0.5, 0.5]  # far apart: ln 2
        >>> value, error = theory.mixture_information(*two, t=1.0, seed=0)
        >>> round(value, 4)
        0.6931
    """
    means, variances, weights = check_mixture(means, variances, weights)
    t = check_one_noise(t)
    samples = count("samples", samples, minimum=2, maximum=1e9)
    rng = generator(seed, "mixture_information")
    with np.errstate(all="ignore"):
        spread = length(variances, t)  # standard deviations of x_t in its class
        within = weights @ log_one_plus(variances, t).sum(axis=1) / 2
        log_norm = np.log(weights) - np.log(spread).sum(axis=1)
        about_class = []
        rows = max(1, 4_000_000 // means.shape[1])  # points at a time: tens of MB
        for start in range(0, samples, rows):
            label = rng.choice(len(weights), min(rows, samples - start), p=weights)
            noise = rng.standard_normal((label.size, means.shape[1])) * spread[label]
            # From the means' differences: their common part does not cost digits.
            logs = np.empty((len(weights), label.size))
            for k, mean in enumerate(means):
                apart = (means[label] - mean + noise) / spread[k]
                logs[k] = log_norm[k] - (apart**2).sum(axis=1) / 2
            own = logs[label, np.arange(label.size)]
            about_class.append(own - logsumexp(logs, axis=0) - np.log(weights[label]))
        values = np.concatenate(about_class)
    value = finite(within + values.mean(), means=means, variances=variances, t=t)
    return Estimate(float(value), float(values.std(ddof=1) / np.sqrt(samples)))
