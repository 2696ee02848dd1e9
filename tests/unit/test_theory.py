"""Closed forms for Gaussian data against theory's numbers, limits, invariances and independent second ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memolib import theory

EXAMPLE = np.r_[[1.0] * 2, [0.3] * 5, [0.01] * 23] ** 2


@pytest.mark.parametrize(("N", "t_c"), [(250, 0.05239), (500, 0.04028), (1_000, 0.03142), (20_000, 0.01192)])
def test_collapse_times_of_the_example(N, t_c):
    assert theory.collapse_time(EXAMPLE, N) == pytest.approx(t_c, rel=0.002)


def test_collapse_time_of_equal_variances():
    for m, s2, N in ((1, 1.0, 100), (5, 0.3, 1e4), (50, 2.0, 1e6)):
        variances = np.r_[np.full(m, s2), np.zeros(7)]
        assert theory.collapse_time(variances, N) == pytest.approx(s2 / (N ** (2 / m) - 1), rel=1e-10)
        # dimensions off the manifold do not enter
        assert theory.collapse_time(variances[:m], N) == pytest.approx(theory.collapse_time(variances, N), rel=1e-12)


def test_collapse_time_limits():
    assert theory.collapse_time(EXAMPLE, 1) == np.inf and theory.collapse_time_at(EXAMPLE, EXAMPLE, 1) == np.inf
    assert theory.collapse_time([0.0, 0.0], 10) == 0 and theory.collapse_time_at([0.0, 0.0], [0.0, 0.0], 10) == 0
    assert theory.collapse_time([1e-12], 1e9) == pytest.approx(1e-12 / (1e18 - 1), rel=1e-9)
    assert theory.collapse_time(EXAMPLE, 1 + 1e-6) > 1e5
    assert theory.collapse_time([1.0], 1e150) == pytest.approx(1e-300) and theory.collapse_time([1.0], 1e200) == 0
    small, usual = (theory.collapse_time_at([0.0], [s2], 100) for s2 in (1e-200, 1.0))
    assert small == pytest.approx(1e-200 * usual) and theory.collapse_time_at([0.0], [1.0], 1e300) == 0
    assert theory.law_limit([1.0], 1e80) == pytest.approx(np.exp(0.5) * 1e-160, rel=1e-6)  # u(1+u)/(1+2u)^2 -> 1/4
    times = [theory.collapse_time(EXAMPLE, N) for N in (2, 10, 1e3, 1e6, 1e12)]
    assert (np.diff(times) < 0).all()


def test_information_by_monte_carlo():
    """Mean of ln p(x|y)/p(x) with the densities written out, not through the package."""
    rng, t, n = np.random.default_rng(0), 0.0314, 200_000
    y = rng.standard_normal((n, 30)) * np.sqrt(EXAMPLE)
    xi = rng.standard_normal((n, 30))
    x = y + np.sqrt(t) * xi
    log_conditional = -(((x - y) ** 2) / (2 * t) + np.log(2 * np.pi * t) / 2).sum(axis=1)
    log_marginal = -(x**2 / (2 * (t + EXAMPLE)) + np.log(2 * np.pi * (t + EXAMPLE)) / 2).sum(axis=1)
    density = log_conditional - log_marginal
    error = density.std() / np.sqrt(n)
    assert abs(density.mean() - theory.information(EXAMPLE, t)) < 4 * error < 0.03
    assert np.allclose(theory.information_density(y, xi, EXAMPLE, t), density)


def test_level_entropy_is_the_legendre_transform_of_the_exact_exponent():
    """S(1) = ln N + zeta - zeta', with zeta(lam) = ln E_y exp(-lam|x-y|^2/2t) by Monte Carlo in three dimensions."""
    s2, t, N = np.array([1.0, 0.3, 0.1]), 0.5, 1e4
    x = np.array([0.7, -0.4, 0.2])
    rng = np.random.default_rng(1)
    energy = (((rng.standard_normal((2_000_000, 3)) * np.sqrt(s2)) - x) ** 2).sum(axis=1) / (2 * t)
    weight = np.exp(-energy)
    zeta, slope = np.log(weight.mean()), -(weight * energy).mean() / weight.mean()
    assert theory.level_entropy(x, s2, t, N) == pytest.approx(np.log(N) + zeta - slope, abs=0.005)


def test_level_entropy_averages_to_the_information():
    rng, t, N = np.random.default_rng(2), 0.05, 1e3
    x = rng.standard_normal((100_000, 30)) * np.sqrt(EXAMPLE + t)
    S = theory.level_entropy(x, EXAMPLE, t, N)
    assert abs(S.mean() - (np.log(N) - theory.information(EXAMPLE, t))) < 4 * S.std() / np.sqrt(100_000)
    assert (np.diff(theory.level_entropy(x[0] * np.array([[0.0], [1], [2]]), EXAMPLE, t, N)) < 0).all()


def test_collapse_time_at_a_point():
    for N in (250, 1_000, 20_000):
        at_origin = theory.collapse_time_at(np.zeros(30), EXAMPLE, N)
        assert theory.level_entropy(np.zeros(30), EXAMPLE, at_origin, N) == pytest.approx(0, abs=1e-9)
        assert at_origin == pytest.approx(theory.collapse_time(EXAMPLE, N) / 3, rel=0.06)
        far = 3 * np.sqrt(EXAMPLE)
        assert theory.collapse_time_at(far, EXAMPLE, N) > theory.collapse_time(EXAMPLE, N)


def test_condensed_participation():
    x = np.sqrt(EXAMPLE)
    assert theory.condensed_participation(x, EXAMPLE, 1.0, 1_000) == 0
    values = [theory.condensed_participation(x, EXAMPLE, t, 1_000) for t in (0.03, 0.01, 1e-3, 1e-6)]
    assert (np.diff(values) > 0).all() and values[-1] > 0.99
    assert theory.condensed_participation(x, EXAMPLE, 1.0, 1) == 1


def test_own_weight_limits():
    rng = np.random.default_rng(3)
    y, xi = rng.standard_normal((2, 100, 30)) * np.sqrt(EXAMPLE), rng.standard_normal((100, 30))
    assert (theory.own_weight(y, xi, EXAMPLE, 0.1, 1) == 1).all()
    assert np.allclose(theory.own_weight(y, xi, EXAMPLE, 1e9, 100), 0.01, rtol=1e-3)
    assert (theory.own_weight(y, xi, EXAMPLE, 1e-9, 100) > 0.999).all()


@pytest.mark.parametrize("law", [theory.loss_fresh, theory.loss_noisy])
def test_laws_by_their_limits(law):
    s2 = np.array([1e-9, 1e9])  # u = 0 and u = infinity at t = 1
    Y = theory.participation(1.0, s2, 1.0, 1e12)
    small, large = law(1.0, s2, 1.0, 1e12) / Y
    assert small == pytest.approx(1, rel=1e-6)  # a direction of no extent loses Y
    assert large == pytest.approx({theory.loss_fresh: 0, theory.loss_noisy: 0.5}[law], abs=1e-6)


def test_absolute_loss_at_fresh_points_peaks_where_the_variance_is_near_t():
    u = np.geomspace(0.01, 100, 2_000)
    loss = np.array([theory.loss_fresh(1.0, [v], 1.0, 1)[0] / theory.participation(1.0, [v], 1.0, 1) for v in u])
    loss *= u / (1 + u)
    assert u[loss.argmax()] == pytest.approx(0.94, abs=0.01)
    for at, value in ((0.1, 0.088), (0.5, 0.25), (1, 0.278), (2, 0.24), (10, 0.085)):
        assert np.interp(at, u, loss) == pytest.approx(value, abs=6e-4)


def test_participation_is_the_annealed_average():
    """Mean over typical x at first order: E_x Y = e^(2I)/N, here by Monte Carlo where it does converge."""
    s2, t, N = np.array([1.0, 0.5]), 3.0, 100
    x = np.random.default_rng(4).standard_normal((400_000, 2)) * np.sqrt(s2 + t)
    Y = theory.participation(x**2 / (t + s2), s2, t, N)
    assert abs(Y.mean() - np.exp(2 * theory.information(s2, t)) / N) < 4 * Y.std() / np.sqrt(400_000)


def test_retention_at_training_points_of_the_example():
    r, error = theory.retention_training(EXAMPLE, 0.1, 1_000, seed=5)
    assert r[:2].mean() == pytest.approx(0.677, abs=0.02) and r[2:7].mean() == pytest.approx(0.753, abs=0.023)
    assert (error < 0.002).all()
    assert np.allclose(theory.retention_training(EXAMPLE, 1e9, 1_000, seed=5)[0], 1, atol=0.01)
    assert np.allclose(theory.retention_training(EXAMPLE, 1e-9, 1_000, seed=5)[0], 0, atol=1e-6)


@pytest.mark.parametrize(("N", "limit"), [(250, 0.105), (1_000, 0.060), (20_000, 0.021)])
def test_domain_of_the_laws(N, limit):
    assert theory.law_limit(EXAMPLE, N) == pytest.approx(limit, abs=6e-4)
    assert 1.7 < theory.law_limit(EXAMPLE, N) / theory.collapse_time(EXAMPLE, N) < 2.1


def test_paper_estimates():
    N = 1_000
    assert theory.gaussian_loss_time(EXAMPLE, N)[0] == pytest.approx(0.0724, abs=1e-4)
    origin = theory.gaussian_collapse_time(np.zeros(30), EXAMPLE, N)
    assert origin == pytest.approx(np.sqrt((EXAMPLE**2).sum() / 2 / (2 * np.log(N))))
    # the variance of |x-y|^2/2 by simulation
    x = np.sqrt(EXAMPLE)
    y = np.random.default_rng(6).standard_normal((400_000, 30)) * np.sqrt(EXAMPLE)
    V = (((x - y) ** 2).sum(axis=1) / 2).var()
    assert theory.gaussian_collapse_time(x, EXAMPLE, N) == pytest.approx(np.sqrt(V / (2 * np.log(N))), rel=0.01)
    # far above the transition both forms are the population's singular values
    for homogeneous in (False, True):
        values = theory.paper_singular_values(EXAMPLE, 5.0, N, homogeneous=homogeneous)
        assert np.allclose(values, 1 / (5 + EXAMPLE))
    # normalised: each direction sets in at its own loss time, the largest variance first
    s2, onset = EXAMPLE[[0, 2]], theory.gaussian_loss_time(EXAMPLE[[0, 2]], N)
    for k, t_k in enumerate(onset):
        for homogeneous in (False, True):
            above, below = (
                theory.paper_singular_values(s2, t, N, normalised=True, homogeneous=homogeneous)[k] * (t + s2[k])
                for t in (1.01 * t_k, 0.9 * t_k)
            )
            assert above == pytest.approx(1) and below > 1.01
    published = theory.paper_singular_values(EXAMPLE, 0.07, N, normalised=True)
    assert 0.07 * published[[0, 2, 29]] == pytest.approx([15.97, 0.44, 1.0], abs=0.005)
    # units: stretching the data by 2 and t by 4 divides the homogeneous values by 4, not the published ones
    base, stretched = (
        [theory.paper_singular_values(k * EXAMPLE, k * 0.05, N, homogeneous=h) for h in (True, False)] for k in (1, 4)
    )
    assert np.allclose(stretched[0] * 4, base[0])
    assert not np.allclose(stretched[1] * 4, base[1])


def test_sphere_variances_by_simulation_and_in_closed_form():
    exact = theory.sphere_variances(EXAMPLE)
    assert exact.sum() == pytest.approx(1, abs=1e-9)
    assert exact[[0, 2]] == pytest.approx([0.352, 0.0590], abs=5e-4)
    z = np.random.default_rng(7).standard_normal((400_000, 30)) * np.sqrt(EXAMPLE)
    shares = z**2 / (z**2).sum(axis=1, keepdims=True)
    assert (np.abs(shares.mean(axis=0) - exact) < 4.5 * shares.std(axis=0) / np.sqrt(400_000)).all()
    assert np.allclose(theory.sphere_variances([2.0] * 9), 1 / 9)
    assert np.allclose(theory.sphere_variances([5.0, 0.0]), [1, 0])
    # two dimensions: E[z1^2/|z|^2] = s1/(s1+s2)
    assert np.allclose(theory.sphere_variances([9.0, 1.0]), [0.75, 0.25])


def test_units_and_order_do_not_matter():
    order = np.random.default_rng(8).permutation(30)
    assert theory.collapse_time(EXAMPLE[order], 500) == pytest.approx(theory.collapse_time(EXAMPLE, 500))
    assert theory.collapse_time(9 * EXAMPLE, 500) == pytest.approx(9 * theory.collapse_time(EXAMPLE, 500))
    chi2 = np.random.default_rng(9).random(30)
    for law in (theory.loss_fresh, theory.loss_noisy):
        base = law(chi2, EXAMPLE, 0.3, 1e4)
        assert np.allclose(law(chi2[order], EXAMPLE[order], 0.3, 1e4), base[order])
        assert np.allclose(law(chi2, 9 * EXAMPLE, 2.7, 1e4), base)


CALLS = {
    "information": lambda v, t, N: theory.information(v, t),
    "collapse_time": lambda v, t, N: theory.collapse_time(v, N),
    "level_entropy": lambda v, t, N: theory.level_entropy(np.zeros(2), v, t, N),
    "own_weight": lambda v, t, N: theory.own_weight(np.zeros(2), np.zeros(2), v, t, N),
    "loss_fresh": lambda v, t, N: theory.loss_fresh(1.0, v, t, N),
    "loss_noisy": lambda v, t, N: theory.loss_noisy(1.0, v, t, N),
    "law_limit": lambda v, t, N: theory.law_limit(v, N),
    "paper_singular_values": lambda v, t, N: theory.paper_singular_values(v, t, N),
}
TAKES_T = {"information", "level_entropy", "own_weight", "loss_fresh", "loss_noisy", "paper_singular_values"}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(CALLS)), st.one_of(st.floats(max_value=0), st.just(np.nan), st.just(np.inf)))
def test_bad_numbers_are_named(name, bad):
    if name in TAKES_T:
        with pytest.raises(ValueError, match=r"^t is .*; allowed are "):
            CALLS[name]([1.0, 0.5], bad, 10)
    if name != "information":
        with pytest.raises(ValueError, match=r"^N is .*; allowed are "):
            CALLS[name]([1.0, 0.5], 1.0, bad)
    if bad < 0 or not np.isfinite(bad):
        with pytest.raises(ValueError, match=r"^variances is .*; allowed are "):
            CALLS[name]([1.0, bad], 1.0, 10)


def test_bad_shapes_are_named():
    for call, name in (
        (lambda: theory.level_entropy(np.zeros(3), [1.0, 1.0], 1.0, 10), "x"),
        (lambda: theory.collapse_time_at(np.zeros((1, 2)), [1.0, 1.0], 10), "x"),
        (lambda: theory.information([[1.0]], 1.0), "variances"),
        (lambda: theory.information([], 1.0), "variances"),
        (lambda: theory.own_weight(np.zeros(2), np.zeros(3), [1.0, 1.0], 1.0, 10), "xi"),
    ):
        with pytest.raises(ValueError, match=rf"^{name} has shape .*; allowed is "):
            call()
    with pytest.raises(ValueError, match="variances is 0 in all directions"):
        theory.sphere_variances([0.0, 0.0])
