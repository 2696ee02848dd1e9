"""Condensation: exponents of the participation ratio above the transition, the critical window of
any levels, and what the theorem's hypotheses keep out."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import digamma, gammaln, polygamma
from scipy.stats import norm

from memolib import rem, theory


def standard_error(values):
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))


# Mean and typical participation above the transition
# -------------------------------------------------------------------------------------

# On both sides of 1/2 and 1/sqrt(3) = .577, near enough that a tenth more or less would show.
RATIOS = np.array([0.3, 0.45, 0.47, 0.53, 0.55, 0.6, 0.62, 0.65, 0.8, 0.9])


def test_the_mean_participation_follows_its_exponent():
    """The local slope of the exact integral in ln N, at N = 1e100."""
    N = np.array([1e98, 1e100])
    Y = [rem.participation_exact(ratio * rem.critical_beta(N), N) for ratio in RATIOS]
    slope = np.diff(np.log(Y), axis=1)[:, 0] / np.log(100)
    assert np.abs(slope - rem.participation_exponents(RATIOS).mean).max() < 0.003


def test_the_typical_participation_follows_its_exponent():
    """Medians over lowest levels, the bulk at its mean: their slopes from N to N^2, at three N."""
    sizes = np.array([1e37, 1e75, 1e150, 1e300])
    medians = []
    for N in sizes:
        levels = rem.sample_lowest_levels(N, keep=300, samples=1_000, seed=1)
        betas = RATIOS * rem.critical_beta(N)
        Y = [rem.participation_from_lowest(levels, beta, N) for beta in betas]
        medians.append(np.median(np.log(Y), axis=1))
    slopes = np.diff(medians, axis=0) / np.diff(np.log(sizes))[:, None]
    gaps = np.abs(slopes - rem.participation_exponents(RATIOS).typical).max(axis=1)
    assert (gaps < [0.01, 0.005, 0.003]).all(), gaps


def test_exponents_where_their_branches_meet():
    for edge in (1 / 2, 1 / np.sqrt(3), 1):
        below, above = (
            np.array(rem.participation_exponents(edge * (1 + side))) for side in (-1e-9, 1e-9)
        )
        assert np.allclose(below, above, atol=1e-8)
    ratio = np.linspace(0.01, 2, 400)
    mean, typical = rem.participation_exponents(ratio)
    assert (mean >= typical).all()  # Jensen
    assert (mean == typical)[(ratio <= 1 / 2) | (ratio >= 1)].all()
    assert (mean > typical)[(ratio > 0.51) & (ratio < 1)].all()
    # one level of weight one half or more, at a price: E Y is the probability of such a sample
    x = 0.8
    energies = np.linspace(1, 2, 100_001)  # in units of e_*
    price, gain = 1 - energies**2, np.minimum(2 * (2 * x * energies - 1 - x**2), 0)
    assert (price + gain).max() == pytest.approx(rem.participation_exponents(x).mean, abs=1e-8)


def test_rare_samples_carry_the_mean_only_from_half_the_critical_beta_on():
    """Share of the top hundredth of samples in the mean, and the scatter of Y."""
    N, shares = 1e6, []
    levels = rem.sample_lowest_levels(N, keep=4_000, samples=1_500, seed=2)
    for ratio in (0.2, 0.3, 0.5, 0.6):
        Y = np.sort(rem.participation_from_lowest(levels, ratio * rem.critical_beta(N), N))
        shares.append(Y[-15:].sum() / Y.sum())
    assert shares[0] < 0.012 and shares[1] < 0.02 and min(shares[2:]) > 0.12, shares


@pytest.mark.parametrize("theta", [0.25, 0.5])
def test_the_frozen_entropy(theta):
    """``psi(1) - psi(1 - theta)``, mean and variance of Y, by a Poisson process of slope theta."""
    rng = np.random.default_rng(3)
    # weights of levels whose density grows as exp(theta E) at temperature 1
    parts = []
    for _ in range(5):  # of 2,500 samples
        log_a = -np.log(np.cumsum(rng.standard_exponential((2_500, 1_500)), axis=1)) / theta
        parts.append(np.exp(log_a - log_a[:, :1]))
    a = np.concatenate(parts)
    w = a / a.sum(axis=1, keepdims=True)
    entropy = -(w * np.log(w)).sum(axis=1)
    expected = digamma(1) - digamma(1 - theta)
    assert abs(entropy.mean() - expected) < 4 * standard_error(entropy) + 0.006
    Y = (w**2).sum(axis=1)
    assert abs(Y.mean() - (1 - theta)) < 4 * standard_error(Y)
    assert Y.var() == pytest.approx(theta * (1 - theta) / 3, rel=0.04)


# The critical window of any levels
# -------------------------------------------------------------------------------------


def exact(beta, N, energies, log_density):
    """E[Y] of N independent levels of a tabulated density: N int s psi phi^(N-1) ds."""
    density = np.exp(log_density) * np.gradient(energies)
    log_a = -beta * energies

    def lost(log_s):
        return -np.expm1(-np.exp(np.minimum(log_s + log_a, 6.7))) @ density

    def where(exponent):
        return brentq(
            lambda log_s: np.log(N * lost(log_s) + 1e-300) - np.log(exponent),
            -log_a.max() - 2_000,
            -log_a.min() + 2_000,
        )

    total, step = 0.0, 0.1
    for log_s in np.arange(where(1e-10), where(40), step):
        sa = np.exp(np.minimum(log_s + log_a, 6.7))
        survives = np.exp((N - 1) * np.log1p(-min(lost(log_s), 1 - 1e-16)))
        total += (sa**2 * np.exp(-sa)) @ density * survives
    return N * total * step


def gaussian(N):
    """lam_c, zeta'' there, energies and log density of Gaussian levels."""
    E = np.linspace(-np.sqrt(2 * np.log(N)) - 8, 9, 12_001)
    return np.sqrt(2 * np.log(N)), 1.0, E, norm.logpdf(E)


def gumbel(N):
    """Levels -ln G, G exponential: zeta = ln Gamma(1 + lam)."""

    def entropy(lam):
        return np.log(N) + gammaln(1 + lam) - lam * digamma(1 + lam)

    lam = brentq(entropy, 1e-3, 1e6)
    E = np.linspace(-np.log(np.log(N) + 40), 40, 20_001)
    return lam, float(polygamma(1, 1 + lam)), E, -E - np.exp(-E)


def distances(N):
    """Half squared norms in so many dimensions that ln N = .433 m."""
    m = np.log(N) / 0.433
    lam = brentq(lambda k: np.log(N) - m / 2 * (np.log1p(k) - k / (1 + k)), 1e-9, 1e9)
    E = np.exp(np.linspace(np.log(m / 2) - 16 * np.sqrt(2 / m) - 2, np.log(m), 20_001))
    return lam, m / 2 / (1 + lam) ** 2, E, (m / 2 - 1) * np.log(E) - E - gammaln(m / 2)


@pytest.mark.parametrize("law", [gaussian, gumbel, distances])
def test_levels_of_smooth_laws_share_one_window(law):
    """The exact integral against the window: the deviation falls in proportion to the width."""
    widths, deviations = [], []
    for N in (1e12, 1e60):
        critical, curvature, E, log_density = law(N)
        widths.append(1 / critical / np.sqrt(curvature))
        betas = critical + np.array([-1, 0, 1, 3]) / np.sqrt(curvature)
        Y = np.array([exact(beta, N, E, log_density) for beta in betas])
        window = theory.critical_window(betas, critical, curvature)
        assert window[1] == pytest.approx(np.sqrt(2 / np.pi) * widths[-1])
        deviations.append(np.abs(Y / window - 1))
    assert (np.array(deviations).T < 0.9 * np.array(widths)).all(), deviations
    assert (deviations[1][1:] < deviations[0][1:]).all(), deviations


@pytest.mark.parametrize("law", [gaussian, gumbel, distances])
def test_levels_of_smooth_laws_share_one_limit(law):
    """``1 - lam_c/beta`` at multiples of lam_c: another exponent than 1 would show."""
    for ratio in (1.5, 2, 5):
        gaps = []
        for N in (1e12, 1e60):
            critical, _, E, log_density = law(N)
            gaps.append(exact(ratio * critical, N, E, log_density) - (1 - 1 / ratio))
        assert 0 < gaps[1] < 0.3 * gaps[0] and gaps[1] < 0.03, gaps


def test_the_tabulated_integral_is_that_of_gaussian_levels():
    critical, _, E, log_density = gaussian(1e12)
    for beta in critical * np.array([0.8, 1, 1.7]):
        ours = exact(beta, 1e12, E, log_density)
        assert ours == pytest.approx(float(rem.participation_exact(beta, 1e12)), rel=1e-4)


def test_levels_with_an_exponential_tail_have_a_window_of_their_own():
    """Laplace levels: lam_c sqrt(zeta'') grows, but zeta'''/zeta''^(3/2) tends to 2."""
    N = 1e60

    def slope(k):
        return k / (1 - k**2 / 2)

    critical = brentq(
        lambda k: np.log(N) - np.log(1 - k**2 / 2) - k * slope(k), 1e-9, np.sqrt(2) - 1e-12
    )
    curvature = (1 + critical**2 / 2) / (1 - critical**2 / 2) ** 2
    E = np.linspace(-(np.log(N) + 40) / np.sqrt(2), 30, 40_001)
    for delta in (0.0, 3.0):
        beta = critical + delta / np.sqrt(curvature)
        scaled = exact(beta, N, E, -np.sqrt(2) * abs(E) - np.log(2) / 2) * beta * curvature**0.5
        own = (delta - 1) / -np.expm1(1 - delta)  # of a density that is exponential to its edge
        assert scaled == pytest.approx(own, rel=0.02)
        assert abs(scaled / rem.hazard(delta) - 1) > 0.2


def test_the_transition_of_distances_is_rounded_by_its_dimension():
    """Seen from the origin: relative width sqrt(2/m)(1 + t_O), and E Y there."""
    for m, N in ((20, 1e5), (40, 1e5)):
        t = theory.collapse_time_at(np.zeros(m), np.ones(m), N)
        width = np.sqrt(2 / m) * (1 + t)
        window = theory.critical_window(1 / t, 1 / t, m / 2 / (1 + 1 / t) ** 2)
        assert window == pytest.approx(np.sqrt(2 / np.pi) * width)
        E = np.exp(np.linspace(np.log(m) - 12, np.log(m) + 2, 20_001))
        log_density = (m / 2 - 1) * np.log(E) - E - gammaln(m / 2)
        assert exact(1 / t, N, E, log_density) == pytest.approx(window, rel=0.15)


# What the hypotheses of the theorem keep out
# -------------------------------------------------------------------------------------


def test_levels_on_a_lattice_share_the_lowest_place():
    """Distances to random signs, d = 40, N = 1e6: E Y saturates at E[1/n_0], below 1 - 1/ratio."""
    d, N = 40, 1e6
    k = np.arange(d + 1)
    expected = N * np.exp(gammaln(d + 1) - gammaln(k + 1) - gammaln(d - k + 1) - d * np.log(2))

    def entropy(u):
        return np.log(N / 2**d) + d * np.log1p(np.exp(-u)) + d * u / (1 + np.exp(u))

    critical = brentq(entropy, 1e-6, 50)
    n = np.random.default_rng(4).poisson(expected, (8_000, d + 1))
    lowest = (n > 0).argmax(axis=1)[:, None]
    for ratio, low, high in ((3, 0.59, 0.64), (5, 0.60, 0.65), (10, 0.60, 0.65)):
        a = np.where(k >= lowest, np.exp(-ratio * critical * (k - lowest)), 0)
        Y = (n * a**2).sum(axis=1) / (n * a).sum(axis=1) ** 2
        assert low < Y.mean() < high < 1 - 1 / ratio
    shared = 1 / n[np.arange(len(n)), lowest[:, 0]]
    assert abs(Y.mean() - shared.mean()) < 1e-3


def test_a_rare_shifted_part_does_not_move_the_typical_transition():
    """N(0, 1) levels, each shifted by -12 with probability e^-14: zeta's own lam_c is 1.28, but
    nearly all samples are Gaussian ones, critical at 4.80."""
    N, rare, shift = 100_000, np.exp(-14), 12.0

    def zeta(u):
        return u**2 / 2 + np.log1p(rare * np.expm1(shift * u))

    def slope(u):
        return u + shift * rare * np.exp(shift * u) / (1 + rare * np.expm1(shift * u))

    critical = brentq(lambda u: np.log(N) + zeta(u) - u * slope(u), 0.5, 3)
    assert critical == pytest.approx(1.282, abs=1e-3)
    E = np.linspace(-24, 9, 40_001)
    log_density = np.logaddexp(
        np.log1p(-rare) + norm.logpdf(E), np.log(rare) + norm.logpdf(E + shift)
    )
    for ratio, found in ((1.5, 0.0793), (2, 0.0841), (3, 0.1489)):
        Y = exact(ratio * critical, N, E, log_density)
        assert Y == pytest.approx(found, abs=0.002) and Y < (1 - 1 / ratio) / 3
