"""Classes: when the reverse process chooses one, and a mixture's information in a noisy point."""

import numpy as np
from scipy.special import logit, logsumexp

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
    root,
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
        ``diffusion/speciation``.

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
        ``diffusion/speciation``.

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


def _weight(weight: float) -> float:
    """Give the weight of a class, inside 0 to 1."""
    weight = real("weight", weight, minimum=0, strict=True)
    if weight >= 1:
        raise ValueError(f"weight is {weight}; allowed are numbers above 0 and below 1")
    return weight


def class_potential(
    q: ArrayLike,
    separation: float,
    within: float,
    t: float,
    weight: float = 0.5,
) -> FloatArray:
    """Potential on the line through two classes: minus the log density of noisy points there.

    ``U(q, t) = q^2/(2 (s^2 + t)) - ln cosh(|mu| q/(s^2 + t) + h)``, ``h = 1/2 ln(w/(1 - w))``: a
    constant is left out. Its minima are the fixed points of the denoiser, and of one mean-field
    Ising magnet in the field h.

    Args:
        q: coordinate along mu, any shape.
        separation: squared norm of mu, above 0; the classes are at +-mu.
        within: variance s^2 within a class along mu, 0 or more.
        t: noise variance, above 0.
        weight: w, of the class at +mu, above 0 and below 1.

    Returns:
        Potential in nats, shape of ``q``.

    Raises:
        ValueError: for other arguments.

    Source:
        Raya and Ambrogioni (2023); Biroli et al. (2024), section 2.

    Chapter:
        ``diffusion/speciation``.

    Example:
        >>> from memolib import theory
        >>> flat = theory.class_potential([-0.1, 0.0, 0.1], 4.0, 1.0, 3.0)  # at t = |mu|^2 - s^2
        >>> flat.round(5).tolist()  # q^4/12 |mu|^4: no curvature
        [0.0, 0.0, 0.0]
    """
    q = real_array("q", q)
    mu2 = real("separation", separation, minimum=0, strict=True)
    s2 = np.float64(real("within", within, minimum=0))
    t = check_one_noise(t)
    field = logit(_weight(weight)) / 2
    with np.errstate(all="ignore"):
        spread = length(s2, t)
        along = np.abs(np.sqrt(mu2) / spread * (q / spread) + field)
        potential = (q / spread) ** 2 / 2 - along - np.log1p(np.exp(-2 * along)) + np.log(2)
    return finite(potential, q=q, separation=mu2, within=s2, t=t, weight=weight)[()]


def class_minimum(separation: float, within: float, t: float, weight: float = 0.5) -> float:
    """Where the potential of two classes is lowest: the solution of the self-consistent equation.

    ``q = |mu| tanh(|mu| q/(s^2 + t) + h)``, ``h = 1/2 ln(w/(1 - w))``. For equal classes it leaves
    0 at ``t = |mu|^2 - s^2``, like ``sqrt(3 (|mu|^2 - s^2 - t))``.

    Args:
        separation: squared norm of mu, above 0; the classes are at +-mu.
        within: variance s^2 within a class along mu, 0 or more.
        t: noise variance, above 0.
        weight: w, of the class at +mu, above 0 and below 1.

    Returns:
        q on the heavier class's side, from ``-|mu|`` to ``|mu|``; of two equal ones that at +mu.

    Raises:
        ValueError: for other arguments.

    Source:
        Raya and Ambrogioni (2023); Ambrogioni (2024).

    Chapter:
        ``diffusion/speciation``.

    Example:
        >>> from memolib import theory
        >>> round(theory.class_minimum(4.0, 1.0, 0.2), 3), theory.class_minimum(4.0, 1.0, 3.0)
        (1.995, 0.0)
    """
    mu2 = real("separation", separation, minimum=0, strict=True)
    s2 = np.float64(real("within", within, minimum=0))
    t = check_one_noise(t)
    field = float(logit(_weight(weight)) / 2)
    side = -1.0 if field < 0 else 1.0
    with np.errstate(all="ignore"):
        heat = (length(s2, t) / np.sqrt(mu2)) ** 2  # (s^2 + t)/|mu|^2, the magnet's temperature
        if field == 0 and heat >= 1:
            return 0.0
        low = np.sqrt(max(0.0, 1 - heat))  # where the curvature is 0: the minimum lies beyond

        def pull(order: float) -> float:
            """Slope of the potential, downwards, at q = order |mu|."""
            return np.tanh(order / heat + abs(field)) - order

        return side * float(np.sqrt(mu2) * root(pull, low, 1, xtol=1e-300))


def spinodal_time(separation: float, within: float, weight: float = 0.5) -> float:
    """Noise variance below which the rarer of two classes has a minimum of its own.

    There the potential has an inflection of slope 0: at ``t = |mu|^2/cosh(b/2)^2 - s^2`` with
    ``sinh(b) - b = |ln(w/(1 - w))|``; for equal weights ``t = |mu|^2 - s^2``, the speciation time.

    Args:
        separation: squared norm of mu, above 0; the classes are at +-mu.
        within: variance s^2 within a class along mu, 0 or more.
        weight: w, of one of the classes, above 0 and below 1.

    Returns:
        Noise variance; 0 where the rarer class has no minimum at any.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``diffusion/speciation``.

    Example:
        >>> from memolib import theory
        >>> theory.spinodal_time(65.0, 1.0), round(theory.spinodal_time(65.0, 1.0, 0.9), 2)
        (64.0, 22.67)
    """
    mu2 = real("separation", separation, minimum=0, strict=True)
    s2 = real("within", within, minimum=0)
    odds = abs(float(logit(_weight(weight))))
    b = root(lambda b: np.sinh(b) - b - odds, 0, odds + 2, xtol=1e-300)
    return float(max(0.0, mu2 / np.cosh(b / 2) ** 2 - s2))


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
    most the entropy of the classes, by Monte Carlo. N points collapse where it is ``ln N``; the
    excess entropy of the literature is ``ln N - I(y; x_t)``.

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
