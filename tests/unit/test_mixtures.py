"""Gaussian mixtures, speciation, information of a mixture, and the capacity of a dense memory."""

import time

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit, gammaln, logsumexp
from scipy.stats import norm

from memolib import spectra, theory
from memolib.empirical import Empirical
from memolib.manifolds import GaussianMixture, LinearManifold
from memolib.points import add_noise, gaussian

MIXTURE = GaussianMixture([[2.0, 0.0], [-1.0, 1.0]], [[0.3, 0.5], [0.2, 0.1]], [0.3, 0.7])


def test_mixture_denoises_as_its_samples_do():
    """Denoiser and posterior against averages over 400,000 samples under their Gaussian weights."""
    t, y = 0.4, MIXTURE.sample(400_000, seed=0)
    x = add_noise(y[:20], t, seed=1)
    pool = Empirical(y)
    assert torch.allclose(MIXTURE(x, t), pool(x, t), atol=0.02)
    assert torch.allclose(MIXTURE.log_density(x, t), pool.log_density(x, t), atol=0.02)
    assert torch.allclose(MIXTURE.jacobian(x, t), pool.jacobian(x, t), atol=0.03)
    assert (y.mean(dim=0) - MIXTURE.weights @ MIXTURE.means).abs().max() < 0.01


def test_mixture_jacobian_score_and_limits():
    x = gaussian(9, 2, seed=2)
    G = MIXTURE.jacobian(x, 0.4)
    assert torch.allclose(G, spectra.forward_mode(MIXTURE, x, 0.4), atol=1e-12) and torch.allclose(
        G, G.mT
    )
    assert torch.allclose(MIXTURE.score(x, 0.4) * 0.4, MIXTURE(x, 0.4) - x)
    one = GaussianMixture([[0.0, 0.0]], [1.0, 0.3])
    flat = LinearManifold([1.0, 0.3])
    assert torch.allclose(one(x, 0.4), flat(x, 0.4)) and torch.allclose(
        one.log_density(x, 0.4), flat.log_density(x, 0.4)
    )
    # components without extent are an empirical denoiser
    data = gaussian(5, 2, seed=3)
    assert torch.allclose(GaussianMixture(data, np.zeros(2))(x, 0.4), Empirical(data)(x, 0.4))
    assert torch.allclose(
        MIXTURE(x, 1e9), (MIXTURE.weights @ MIXTURE.means).expand(9, -1), atol=1e-6
    )
    order = GaussianMixture(
        MIXTURE.means.flip(0), MIXTURE.variances.flip(0), MIXTURE.weights.flip(0)
    )
    assert torch.allclose(order(x, 0.4), MIXTURE(x, 0.4))


def test_speciation_and_the_process_time():
    assert theory.noise_variance(np.log(3) / 2) == pytest.approx(2)
    for separation in (64, 1_000):
        t = theory.speciation_time(separation + 1)
        assert t == separation and np.log1p(t) / 2 == pytest.approx(0.5 * np.log(separation + 1))
        assert theory.clone_agreement(separation, 1.0, t) == pytest.approx(0.775, abs=0.003)
    t = np.array([1e-3, 1e9])
    assert theory.clone_agreement(64, 1.0, t) == pytest.approx([1, 0.5], abs=1e-6)


def test_clone_agreement_by_direct_integration():
    mu2, within, t = 3.0, 0.5, 1.7
    sd = np.sqrt(within + t)

    def integrand(x):
        plus, minus = norm.pdf(x, np.sqrt(mu2), sd), norm.pdf(x, -np.sqrt(mu2), sd)
        return (plus**2 + minus**2) / (plus + minus) / 2

    expected = quad(integrand, -15, 15, epsabs=1e-12)[0]
    assert theory.clone_agreement(mu2, within, t) == pytest.approx(expected, abs=1e-10)


def test_information_of_a_mixture():
    """Against the whole density by Monte Carlo, the closed form of one Gaussian, and both limits of
    the classes."""
    t, n = 0.4, 200_000
    nats, error = theory.mixture_information(
        MIXTURE.means, MIXTURE.variances, MIXTURE.weights, t, samples=n, seed=4
    )
    y = MIXTURE.sample(n, seed=5)
    x = add_noise(y, t, seed=6)
    density = -((x - y) ** 2 / t + np.log(2 * np.pi * t)).sum(dim=1) / 2 - MIXTURE.log_density(x, t)
    assert abs(float(density.mean()) - nats) < 4 * float(density.std()) / n**0.5 and error < 2e-3
    v = [1.0, 0.3, 0.0]
    assert theory.mixture_information([[1.0, 2.0, 3.0]], v, [1.0], t) == (
        pytest.approx(theory.information(v, t)),
        0,
    )
    far, near = (
        theory.mixture_information([[a, 0.0], [-a, 0.0]], [1.0, 0.2], [0.5, 0.5], t)[0]
        for a in (60, 1e-6)
    )
    within = float(theory.information([1.0, 0.2], t))
    assert far == pytest.approx(within + np.log(2), abs=1e-9) and near == pytest.approx(
        within, abs=1e-6
    )


@pytest.mark.parametrize("d", [256, 4_096])
def test_information_in_high_dimension_is_quick_and_exact(d):
    """Two classes in d dimensions with 20,000 points: the class part follows from one dimension by
    quadrature."""
    mu = np.ones(d) * 0.05
    start = time.perf_counter()
    nats, error = theory.mixture_information(
        [mu, -mu], np.ones(d), [0.5, 0.5], 2.0, samples=20_000, seed=7
    )
    assert time.perf_counter() - start < 30
    snr = mu @ mu / 3
    z = np.linspace(-12, 12, 4_001)
    class_part = np.log(2) - np.log1p(np.exp(-2 * (snr + np.sqrt(snr) * z))) @ norm.pdf(z) * (
        z[1] - z[0]
    )
    assert abs(nats - (d / 2 * np.log1p(1 / 2) + class_part)) < 4 * error < 0.02


def test_retrieval_capacity():
    assert theory.retrieval_capacity([1e-3, 1e-12, 1e-16]) == pytest.approx(np.log(2), rel=1e-14)
    assert theory.retrieval_capacity(1e4) == pytest.approx(1e-4, rel=1e-3)
    t = np.geomspace(0.05, 5, 60)
    for f in (0.05, 0.2, 0.4):
        alpha = theory.retrieval_capacity(t, f)
        assert (np.diff(alpha) <= 1e-12).all() and (alpha < theory.retrieval_capacity(t)).all()
        edge = 1 / np.arctanh(1 - 2 * f)  # both branches meet
        assert np.ptp(theory.retrieval_capacity(edge * np.array([1 - 1e-9, 1 + 1e-9]), f)) < 1e-7
        assert alpha[0] == pytest.approx(np.log(2) + f * np.log(f) + (1 - f) * np.log(1 - f))
    assert theory.retrieval_capacity(1.0, 0.5) == 0


def test_retrieval_capacity_against_simulation():
    """The own weight at a pattern passes one half at the predicted load, to within finite size."""
    d, t, rng = 60, 8.0, np.random.default_rng(8)
    alpha = float(theory.retrieval_capacity(t))
    shares = []
    for factor in (0.7, 1.3):
        N, own = round(np.exp(factor * alpha * d)), []
        for _ in range(5):
            y = torch.from_numpy(rng.choice([-1.0, 1.0], (N, d)))
            own.append(float(Empirical(y).log_weights(y[:50], t).exp().diagonal().mean()))
        shares.append(np.mean(own))
    assert shares[0] > 0.8 and shares[1] < 0.2, shares


def crowd(d, log_n, samples, rng):
    """ln of the numbers of random patterns at each Hamming distance from a query, exactly in law.

    Where a mean is so large that its fluctuations do not count it stands for the number.
    """
    k = np.arange(d + 1)
    log_mean = gammaln(d + 1) - gammaln(k + 1) - gammaln(d - k + 1) - d * np.log(2) + log_n
    drawn = rng.poisson(np.exp(np.minimum(log_mean, 18)), (samples, d + 1))
    with np.errstate(divide="ignore"):
        return k, np.where(log_mean < 18, np.log(drawn), log_mean)


def own_weight(d, wrong, t, alpha, rng):
    """Mean weight of the pattern asked for, over 1,000 crowds."""
    k, log_number = crowd(d, alpha * d, 1_000, rng)
    crowd_z = logsumexp(log_number - 2 * k / t, axis=1)
    return expit(-2 * wrong / t - crowd_z).mean()


@pytest.mark.parametrize("t", [0.2, 0.5, 0.8, 2.0])
def test_retrieval_capacity_in_both_branches(t):
    """The load at which the own weight is one half tends to the predicted one from above."""
    f, rng, gaps = 1 / 12, np.random.default_rng(9), []
    predicted = float(theory.retrieval_capacity(t, f))
    assert (t < 1 / np.arctanh(1 - 2 * f)) == (t < 0.84)  # the branches
    for d in (24, 60, 240, 960):
        low, high = 0.5 * predicted, 1.5 * predicted
        for _ in range(9):
            middle = (low + high) / 2
            held = own_weight(d, round(f * d), t, middle, rng) > 0.5
            low, high = (middle, high) if held else (low, middle)
        gaps.append(middle / predicted - 1)
    assert abs(gaps[-1]) < 0.012 and max(np.abs(gaps)) < 0.17, gaps
    if t < 0.84:  # few share the weight, and the nearest one's distance is rounded
        assert (np.diff(gaps) < 0).all(), gaps


def test_the_nearest_pattern_lies_where_the_second_branch_says():
    f, d, rng = 1 / 12, 2_400, np.random.default_rng(10)
    for factor, nearer in ((0.98, 0.0), (1.02, 1.0)):
        log_n = factor * float(theory.retrieval_capacity(0.1, f)) * d
        _, log_number = crowd(d, log_n, 200, rng)
        assert np.isfinite(log_number[:, : round(f * d)]).any(axis=1).mean() == nearer


def falling(d, alpha, rng, samples=4_000):
    """Share of stored patterns of which one given sign is not stable under votes exp(y.x)."""
    k = np.arange(d)  # distances on the other signs
    log_mean = gammaln(d) - gammaln(k + 1) - gammaln(d - k) - d * np.log(2) + alpha * d

    def votes():
        mean = np.exp(log_mean)
        few = rng.poisson(np.minimum(mean, 1e12), (samples, d))
        many = mean + np.sqrt(mean) * rng.standard_normal((samples, d))
        return np.where(mean < 1e12, few, many) @ np.exp(-2.0 * k)

    return np.mean(votes() - votes() < -1)  # in units of the own vote


def test_sign_capacity():
    """The load at which a sign of one pattern in four falls, half way from none to one half."""
    assert theory.sign_capacity(1.0) == pytest.approx(2 - np.log(np.cosh(2)))
    assert theory.sign_capacity([5e-324, 1e300]) == pytest.approx([np.log(2), 0])
    rng, alphas = np.random.default_rng(11), np.linspace(0.6, 0.72, 13)
    for d, tolerance in ((16, 0.015), (48, 0.012), (192, 0.008)):
        shares = [falling(d, alpha, rng) for alpha in alphas]
        found = np.interp(0.25, shares, alphas)
        assert abs(found - theory.sign_capacity(1.0)) < tolerance, (d, found)
    # and where all signs of half of the patterns hold, from below
    alphas = np.linspace(0.5, 0.68, 19)
    held = []
    for d in (16, 24, 48, 192):
        shares = np.array([falling(d, alpha, rng) for alpha in alphas])
        held.append(np.interp(-0.5, -((1 - shares) ** d), alphas))
    assert np.allclose(held, [0.548, 0.577, 0.617, 0.660], atol=0.008), held


def test_repeated_updates_reach_the_predicted_temperature_in_many_units():
    """At alpha = .12 and one sign in twelve wrong the valley disappears at 4.4 in 24 units, later
    in more: an effect of size, since the prediction is 6.28 for both."""
    found = []
    for d, temperatures in ((24, np.linspace(3.5, 5.5, 9)), (72, np.linspace(4.5, 6, 7))):
        limits = []
        for seed in range(6):
            rng = np.random.default_rng(seed)
            y = torch.from_numpy(rng.choice([-1.0, 1.0], (round(np.exp(0.12 * d)), d)))
            query = y[:16].clone()
            flip = rng.random(query.shape).argsort(axis=1)[:, : d // 12]
            query[np.arange(16)[:, None], flip] *= -1
            overlaps = []
            for t in temperatures:
                x = query
                for _ in range(15):
                    x = Empirical(y)(x, t)
                overlaps.append(float((x * y[:16]).mean()))
            limits.append(np.interp(-0.5, -np.array(overlaps), temperatures))
        found.append(np.mean(limits))
    capacity = theory.retrieval_capacity(np.linspace(4, 9, 5_001), 1 / 12)
    assert np.interp(-0.12, -capacity, np.linspace(4, 9, 5_001)) == pytest.approx(6.28, abs=0.01)
    assert found[0] == pytest.approx(4.42, abs=0.15) and 5.2 < found[1] < 6, found


def test_bad_input_is_named():
    good = [[0.0, 1.0], [1.0, 0.0]]
    for call, message in (
        (lambda: GaussianMixture([[]], [1.0]), r"means has shape \(1, 0\); allowed is \(K, d\)"),
        (
            lambda: GaussianMixture(good, [1.0]),
            r"variances has shape \(1,\); allowed are \(2, 2\) or \(2,\)",
        ),
        (
            lambda: GaussianMixture(good, [1.0, -1.0]),
            "variances is -1.0; allowed are finite numbers not below 0",
        ),
        (
            lambda: GaussianMixture(good, [1.0, 1.0], [0.5, 0.6]),
            r"weights has shape \(2,\) and sum 1.1",
        ),
        (
            lambda: GaussianMixture(good, [1.0, 1.0], [1.0, 0.0]),
            "weights is 0.0; allowed are finite numbers above 0",
        ),
        (lambda: GaussianMixture.two_classes(0, 3), "separation is 0"),
        (lambda: GaussianMixture.two_classes(1, 0), "d is 0; allowed are whole numbers from 1"),
        (lambda: MIXTURE(np.zeros((2, 3)), 1.0), r"x has shape \(2, 3\)"),
        (lambda: MIXTURE(np.zeros((2, 2)), 0.0), "t is 0.0"),
        (lambda: theory.mixture_information(good, [1.0, 1.0], [0.5, 0.5], 0.0), "t is 0.0"),
        (
            lambda: theory.mixture_information(good, [1.0, 1.0], [0.5, 0.5], 1.0, samples=1),
            "samples is 1",
        ),
        (
            lambda: theory.speciation_time(1.0),
            "variance is 1.0; allowed are finite numbers above 1",
        ),
        (lambda: theory.clone_agreement(1.0, -1.0, 1.0), "within is -1.0"),
        (lambda: theory.noise_variance(0.0), "s is 0.0"),
        (lambda: theory.retrieval_capacity(0.0), "t is 0.0"),
        (
            lambda: theory.retrieval_capacity(1.0, 0.6),
            "flipped is 0.6; allowed are fractions from 0 to 0.5",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
