"""Closed forms for Gaussian data against theory's numbers, limits, invariances and independent
second ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from memolib import theory
from memolib.manifolds import EXAMPLE


@pytest.mark.parametrize(
    ("N", "t_c"), [(250, 0.05239), (500, 0.04028), (1_000, 0.03142), (20_000, 0.01192)]
)
def test_collapse_times_of_the_example(N, t_c):
    assert theory.collapse_time(EXAMPLE, N) == pytest.approx(t_c, rel=0.002)


def test_collapse_time_of_equal_variances():
    for m, s2, N in ((1, 1.0, 100), (5, 0.3, 1e4), (50, 2.0, 1e6)):
        variances = np.r_[np.full(m, s2), np.zeros(7)]
        assert theory.collapse_time(variances, N) == pytest.approx(
            s2 / (N ** (2 / m) - 1), rel=1e-10
        )
        # dimensions off the manifold do not enter
        assert theory.collapse_time(variances[:m], N) == pytest.approx(
            theory.collapse_time(variances, N), rel=1e-12
        )


def test_collapse_time_limits():
    assert (
        theory.collapse_time(EXAMPLE, 1) == np.inf
        and theory.collapse_time_at(EXAMPLE, EXAMPLE, 1) == np.inf
    )
    assert (
        theory.collapse_time([0.0, 0.0], 10) == 0
        and theory.collapse_time_at([0.0, 0.0], [0.0, 0.0], 10) == 0
    )
    assert theory.collapse_time([1e-12], 1e9) == pytest.approx(1e-12 / (1e18 - 1), rel=1e-9)
    assert theory.collapse_time(EXAMPLE, 1 + 1e-6) > 1e5
    assert (
        theory.collapse_time([1.0], 1e150) == pytest.approx(1e-300)
        and theory.collapse_time([1.0], 1e200) == 0
    )
    small, usual = (theory.collapse_time_at([0.0], [s2], 100) for s2 in (1e-200, 1.0))
    assert (
        small == pytest.approx(1e-200 * usual) and theory.collapse_time_at([0.0], [1.0], 1e300) == 0
    )
    # u(1+u)/(1+2u)^2 -> 1/4
    assert theory.law_limit([1.0], 1e80) == pytest.approx(np.exp(0.5) * 1e-160, rel=1e-6)
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


def test_entropy_at_is_the_legendre_transform_of_the_exact_exponent():
    """S(1) = ln N + zeta - zeta', with zeta(lam) = ln E_y exp(-lam|x-y|^2/2t) by Monte Carlo in
    three dimensions."""
    s2, t, N = np.array([1.0, 0.3, 0.1]), 0.5, 1e4
    x = np.array([0.7, -0.4, 0.2])
    rng = np.random.default_rng(1)
    energy = (((rng.standard_normal((2_000_000, 3)) * np.sqrt(s2)) - x) ** 2).sum(axis=1) / (2 * t)
    weight = np.exp(-energy)
    zeta, slope = np.log(weight.mean()), -(weight * energy).mean() / weight.mean()
    assert theory.entropy_at(x, s2, t, N) == pytest.approx(np.log(N) + zeta - slope, abs=0.005)


def test_entropy_at_averages_to_the_information():
    rng, t, N = np.random.default_rng(2), 0.05, 1e3
    x = rng.standard_normal((100_000, 30)) * np.sqrt(EXAMPLE + t)
    S = theory.entropy_at(x, EXAMPLE, t, N)
    assert abs(S.mean() - (np.log(N) - theory.information(EXAMPLE, t))) < 4 * S.std() / np.sqrt(
        100_000
    )
    assert (np.diff(theory.entropy_at(x[0] * np.array([[0.0], [1], [2]]), EXAMPLE, t, N)) < 0).all()


def test_collapse_time_at_a_point():
    for N in (250, 1_000, 20_000):
        at_origin = theory.collapse_time_at(np.zeros(30), EXAMPLE, N)
        assert theory.entropy_at(np.zeros(30), EXAMPLE, at_origin, N) == pytest.approx(0, abs=1e-9)
        assert at_origin == pytest.approx(theory.collapse_time(EXAMPLE, N) / 3, rel=0.06)
        far = 3 * np.sqrt(EXAMPLE)
        assert theory.collapse_time_at(far, EXAMPLE, N) > theory.collapse_time(EXAMPLE, N)


@pytest.mark.parametrize("place", ["origin", "typical"])
def test_levels_condense_at_the_predicted_noise(place):
    """There the mean Y is that of the window of the transition; 30 percent off in t it is not."""
    variances, N = np.r_[np.ones(24), np.full(24, 0.25)], 1_024
    if place == "origin":
        x = np.zeros(48)
        t = theory.collapse_time_at(x, variances, N)
    else:
        t = theory.collapse_time(variances, N)
        x = np.sqrt(t + variances)
        assert theory.collapse_time_at(x, variances, N) == pytest.approx(t, rel=1e-9)
    rng = np.random.default_rng(0)
    y = rng.standard_normal((400, N, 48)) * np.sqrt(variances)
    distances = ((x - y) ** 2).sum(axis=2)

    def off(t):
        u = variances / t
        curvature = u**2 / (1 + u) ** 2 + 2 * x**2 * variances * t / (t + variances) ** 3
        Y = (softmax(-distances / (2 * t), axis=1) ** 2).sum(axis=1)
        return Y.mean() / np.sqrt(4 / np.pi / curvature.sum()) - 1, Y.std() / 20 / Y.mean()

    ratio, error = off(t)
    assert error < 0.05 and abs(ratio) < 0.2
    assert off(0.7 * t)[0] > 0.5 and off(1.3 * t)[0] < -0.25
    assert off(theory.collapse_time(variances, N))[0] < -0.9 or place == "typical"


def test_condensed_participation():
    x = np.sqrt(EXAMPLE)
    assert theory.condensed_participation(x, EXAMPLE, 1.0, 1_000) == 0
    values = [
        theory.condensed_participation(x, EXAMPLE, t, 1_000) for t in (0.03, 0.01, 1e-3, 1e-6)
    ]
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
    loss = np.array(
        [theory.loss_fresh(1.0, [v], 1.0, 1)[0] / theory.participation(1.0, [v], 1.0, 1) for v in u]
    )
    loss *= u / (1 + u)
    assert u[loss.argmax()] == pytest.approx(0.94, abs=0.01)
    for at, value in ((0.1, 0.088), (0.5, 0.25), (1, 0.278), (2, 0.24), (10, 0.085)):
        assert np.interp(at, u, loss) == pytest.approx(value, abs=6e-4)


def test_participation_is_the_annealed_average():
    """Mean over typical x at first order: E_x Y = e^(2I)/N, here by Monte Carlo where it does
    converge."""
    s2, t, N = np.array([1.0, 0.5]), 3.0, 100
    x = np.random.default_rng(4).standard_normal((400_000, 2)) * np.sqrt(s2 + t)
    Y = theory.participation(x**2 / (t + s2), s2, t, N)
    assert abs(Y.mean() - np.exp(2 * theory.information(s2, t)) / N) < 4 * Y.std() / np.sqrt(
        400_000
    )


def test_retention_at_training_points_of_the_example():
    r, error = theory.retention_training(EXAMPLE, 0.1, 1_000, seed=5)
    assert r[:2].mean() == pytest.approx(0.677, abs=0.02) and r[2:7].mean() == pytest.approx(
        0.753, abs=0.023
    )
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
    assert theory.gaussian_collapse_time(x, EXAMPLE, N) == pytest.approx(
        np.sqrt(V / (2 * np.log(N))), rel=0.01
    )
    # far above the transition both forms are the population's singular values
    for homogeneous in (False, True):
        values = theory.paper_singular_values(EXAMPLE, 5.0, N, homogeneous=homogeneous)
        assert np.allclose(values, 1 / (5 + EXAMPLE))
    # normalised: each direction sets in at its own loss time, the largest variance first
    s2, onset = EXAMPLE[[0, 2]], theory.gaussian_loss_time(EXAMPLE[[0, 2]], N)
    for k, t_k in enumerate(onset):
        for homogeneous in (False, True):
            above, below = (
                theory.paper_singular_values(s2, t, N, normalised=True, homogeneous=homogeneous)[k]
                * (t + s2[k])
                for t in (1.01 * t_k, 0.9 * t_k)
            )
            assert above == pytest.approx(1) and below > 1.01
    published = theory.paper_singular_values(EXAMPLE, 0.07, N, normalised=True)
    assert 0.07 * published[[0, 2, 29]] == pytest.approx([15.97, 0.44, 1.0], abs=0.005)
    # units: stretching the data by 2 and t by 4 divides the homogeneous values by 4, not the
    # published ones
    base, stretched = (
        [
            theory.paper_singular_values(k * EXAMPLE, k * 0.05, N, homogeneous=h)
            for h in (True, False)
        ]
        for k in (1, 4)
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
    assert theory.collapse_time(EXAMPLE[order], 500) == pytest.approx(
        theory.collapse_time(EXAMPLE, 500)
    )
    assert theory.collapse_time(9 * EXAMPLE, 500) == pytest.approx(
        9 * theory.collapse_time(EXAMPLE, 500)
    )
    chi2 = np.random.default_rng(9).random(30)
    for law in (theory.loss_fresh, theory.loss_noisy):
        base = law(chi2, EXAMPLE, 0.3, 1e4)
        assert np.allclose(law(chi2[order], EXAMPLE[order], 0.3, 1e4), base[order])
        assert np.allclose(law(chi2, 9 * EXAMPLE, 2.7, 1e4), base)


CALLS = {
    "information": lambda v, t, N: theory.information(v, t),
    "collapse_time": lambda v, t, N: theory.collapse_time(v, N),
    "entropy_at": lambda v, t, N: theory.entropy_at(np.zeros(2), v, t, N),
    "own_weight": lambda v, t, N: theory.own_weight(np.zeros(2), np.zeros(2), v, t, N),
    "loss_fresh": lambda v, t, N: theory.loss_fresh(1.0, v, t, N),
    "loss_noisy": lambda v, t, N: theory.loss_noisy(1.0, v, t, N),
    "law_limit": lambda v, t, N: theory.law_limit(v, N),
    "paper_singular_values": lambda v, t, N: theory.paper_singular_values(v, t, N),
}
TAKES_T = {
    "information",
    "entropy_at",
    "own_weight",
    "loss_fresh",
    "loss_noisy",
    "paper_singular_values",
}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(CALLS)),
    st.one_of(st.floats(max_value=0), st.just(np.nan), st.just(np.inf)),
)
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
        (lambda: theory.entropy_at(np.zeros(3), [1.0, 1.0], 1.0, 10), "x"),
        (lambda: theory.collapse_time_at(np.zeros((1, 2)), [1.0, 1.0], 10), "x"),
        (lambda: theory.information([[1.0]], 1.0), "variances"),
        (lambda: theory.information([], 1.0), "variances"),
        (lambda: theory.own_weight(np.zeros(2), np.zeros(3), [1.0, 1.0], 1.0, 10), "xi"),
    ):
        with pytest.raises(ValueError, match=rf"^{name} has shape .*; allowed is "):
            call()
    with pytest.raises(ValueError, match="variances is 0 in all directions"):
        theory.sphere_variances([0.0, 0.0])


# Formulas written out a second time
# ---------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0.02, 0.1, 0.3])
def test_the_published_singular_values(t):
    """The paper's code at its default: both phi, below the transition of either and above."""
    s2, N = np.array([1.0, 0.5, 0.0]), 1_000
    at_origin = np.sqrt((s2**2).sum() / 2 / (2 * np.log(N)))
    displaced = np.sqrt(((s2**2).sum() / 2 + t * s2) / (2 * np.log(N)))
    phi_0, phi = max(0, 1 / t - 1 / at_origin), np.maximum(0, 1 / t - 1 / displaced)
    lam, F = 1 / (t + s2), (s2 / (t**2 * (t + s2))).sum()
    v = F * (phi_0 + phi)
    assert np.allclose(theory.paper_singular_values(s2, t, N), np.sqrt(lam**2 + v**2), rtol=1e-12)
    sphere = np.maximum(0, 1 / t - 1 / np.sqrt(np.maximum(t * s2, 1e-300) / (2 * np.log(N))))
    published = theory.paper_singular_values(s2, t, N, normalised=True)
    assert np.allclose(published, np.sqrt(lam**2 + (F * sphere) ** 2), rtol=1e-12)
    homogeneous = np.sqrt(lam**2 + F * np.maximum(0, 1 - t / displaced))
    assert np.allclose(
        theory.paper_singular_values(s2, t, N, homogeneous=True), homogeneous, rtol=1e-12
    )


def test_condensation_by_the_exponent_written_out():
    s2, x, t, N = np.array([1.0, 0.3, 0.0]), np.array([1.2, -0.4, 2.0]), 5e-4, 500

    def entropy(lam):
        u = lam * s2 / t
        pull = lam**2 * x**2 * s2 / (t + lam * s2) ** 2
        return np.log(N) - (np.log(1 + u) - u / (1 + u) + pull).sum() / 2

    Y = theory.condensed_participation(x, s2, t, N)
    assert 0.1 < Y < 0.9 and entropy(1 - Y) == pytest.approx(0, abs=1e-9)
    assert theory.entropy_at(x, s2, t, N) == pytest.approx(entropy(1), rel=1e-12)
    # just above and just below the collapse at x
    t_c = theory.collapse_time_at(x, s2, N)
    assert theory.condensed_participation(x, s2, t_c * 1.001, N) == 0
    assert 0 < theory.condensed_participation(x, s2, t_c * 0.999, N) < 0.01


def test_laws_of_loss_written_out():
    s2, chi2, t, N = np.array([2.0, 0.1, 0.0]), np.array([0.3, 4.0, 1.0]), 0.7, 1e4
    u = s2 / t
    Y = np.prod((1 + u) / np.sqrt(1 + 2 * u) * np.exp(chi2 * u / (1 + 2 * u))) / N
    assert theory.participation(chi2, s2, t, N) == pytest.approx(Y, rel=1e-13)
    fresh = Y * (1 / (1 + 2 * u) + 2 * chi2 * u / (1 + 2 * u) ** 2)
    noisy = Y * ((1 + u) / (1 + 2 * u) + chi2 * u / (1 + 2 * u) ** 2)
    assert np.allclose(theory.loss_fresh(chi2, s2, t, N), fresh, rtol=1e-13)
    assert np.allclose(theory.loss_noisy(chi2, s2, t, N), noisy, rtol=1e-13)
    many = np.stack([chi2, 2 * chi2])
    assert np.allclose(theory.loss_noisy(many, s2, t, N)[0], noisy, rtol=1e-13)
    assert np.allclose(
        theory.loss_fresh(many[:, :1], s2, t, N)[0], theory.loss_fresh(0.3, s2, t, N), rtol=1e-13
    )


@pytest.mark.parametrize("t", [1e-300, 1e-160, 1e-12, 1e300])
def test_laws_of_loss_at_any_noise(t):
    """One direction of variance 1 at chi = 1: for large u, Y = sqrt(u/2) e^(1/2)/N and fresh loss
    Y/u."""
    Y, fresh, noisy = (
        float(np.ravel(law(1.0, [1.0], t, 1)).item())
        for law in (theory.participation, theory.loss_fresh, theory.loss_noisy)
    )
    if t > 1:
        assert (Y, fresh, noisy) == (1, 1, 1)
    else:
        assert Y == pytest.approx(np.exp(0.5) / np.sqrt(2 * t), rel=1e-11)
        assert fresh / Y == pytest.approx(t, rel=1e-11, abs=0) and noisy / Y == pytest.approx(
            0.5, rel=1e-11
        )


def test_extreme_scales():
    s2 = np.array([1.0, 0.5, 0.0])
    assert theory.information([1e300], 1e-300) == pytest.approx(300 * np.log(10))
    assert theory.information([1.7e308] * 2, 1.7e308) == pytest.approx(np.log(2))
    assert theory.condensed_participation(np.zeros(3), s2, 1e-300, 100) == 1
    # off the manifold: no matter
    assert theory.condensed_participation([0.0, 0.0, 1e300], s2, 1e-300, 100) == 1
    assert theory.condensed_participation([1e300, 0, 0], s2, 1e-300, 100) == 1
    far = theory.collapse_time_at([1e160, 0, 0], s2, 100)  # x^2 s^2/(2 t^2) = ln N
    assert far == pytest.approx(1e160 / np.sqrt(2 * np.log(100)), rel=1e-9)
    assert theory.entropy_at([1e160, 0, 5.0], s2, 1e160, 100) == pytest.approx(np.log(100) - 0.5)
    assert theory.entropy_at([0.0], [1.7e308], 1.7e308, 1) == pytest.approx(-(np.log(2) - 0.5) / 2)
    assert theory.information_density([1e200], [0.0], [1.0], 1e300) == pytest.approx(5e99)
    largest = theory.information_density([1e154], [0.0], [1.7e308], 1.7e308)
    assert largest == pytest.approx((np.log(2) + 1 / 3.4) / 2)
    assert theory.paper_singular_values(s2, 1e300, 100) == pytest.approx(1e-300, rel=1e-12, abs=0)
    assert np.isfinite(theory.paper_singular_values(s2, 1e-150, 100, homogeneous=True)).all()
    assert theory.gaussian_collapse_time([1e200], [1e200], 10) == pytest.approx(
        1e300 / np.sqrt(2 * np.log(10))
    )
    assert theory.collapse_time([1e300, 1e-300], 10) == pytest.approx(1e300 / 99)
    assert theory.collapse_time([1.0], 1 + 1e-14) == pytest.approx(0.5 / np.log(1 + 1e-14))
    assert theory.law_limit([1e300], 2) == pytest.approx(1e300 * theory.law_limit([1.0], 2))
    small = theory.sphere_variances([1.0, 1e-60])  # s_k/(s_1 + s_2)
    assert small == pytest.approx([1, 1e-30], rel=1e-9, abs=0)
    assert theory.retention_training([1.0], 1e-300, 10, samples=10, seed=0)[0] == pytest.approx(
        0, abs=1e-12
    )
    with pytest.raises(
        ValueError,
        match=r"^x is from 0 to 1e\+308, variances is .*; allowed are numbers whose result",
    ):
        theory.entropy_at([1e308, 0, 0], s2, 1e-5, 100)


def test_local_collapse_time_is_where_a_patch_holds_one_point():
    log_density = np.array([-1.0, 0.5])
    t = theory.local_collapse_time(log_density, 3, 200)
    assert np.allclose(200 * np.exp(log_density) * (2 * np.pi * np.e * t) ** 1.5, 1)


@pytest.mark.parametrize("flipped", [0.0, 0.02, 0.3])
def test_retrieval_capacity_by_its_two_regimes(flipped):
    t = np.array([0.1, 0.3, 0.6, 1.0, 3.0])
    many = (1 - 2 * flipped) / t - np.log(np.cosh(1 / t))
    entropy = -sum(p * np.log(p) for p in (flipped, 1 - flipped) if p)
    expected = np.where(1 - 2 * flipped >= np.tanh(1 / t), many, np.log(2) - entropy)
    assert np.allclose(theory.retrieval_capacity(t, flipped), np.maximum(expected, 0), rtol=1e-10)
    assert theory.retrieval_capacity(0.5, 0.5) == 0
    # 1 - 2f and tanh(1/t) both round to 1: the nearest pattern decides all the same
    assert theory.retrieval_capacity(1e-18, 1e-17) == pytest.approx(np.log(2), rel=1e-12)
    assert theory.retrieval_capacity([1e-300, 1.0], 0.0)[0] == np.log(2)
    with pytest.raises(ValueError, match=r"flipped is 0\.6; allowed are fractions from 0 to 0\.5"):
        theory.retrieval_capacity(1.0, 0.6)


@pytest.mark.parametrize(("separation", "t"), [(0.01, 1.0), (1.0, 0.5), (64.0, 63.0), (200.0, 1.0)])
def test_clone_agreement_by_an_integral(separation, t):
    within, mu = 0.5, np.sqrt(separation)
    spread = within + t
    z = np.linspace(-12, 12, 40_001)
    x = mu + np.sqrt(spread) * z
    p = 1 / (1 + np.exp(-2 * mu * x / spread))
    expected = (
        ((p**2 + (1 - p) ** 2) * np.exp(-(z**2) / 2)).sum() * (z[1] - z[0]) / np.sqrt(2 * np.pi)
    )
    assert theory.clone_agreement(separation, within, t) == pytest.approx(expected, abs=1e-8)
    assert theory.clone_agreement(1e300, 0, [1e-300, 1e300]) == pytest.approx(
        [1, theory.clone_agreement(1, 0, 1)]
    )
    assert theory.clone_agreement(1e-300, 0, 1e300) == pytest.approx(0.5)
    assert theory.noise_variance([np.log(2), 1e-20]) == pytest.approx([3, 2e-20], abs=0)
    assert theory.speciation_time(3) == 2


def test_information_of_a_mixture():
    # one component: in closed form, and no error
    value, error = theory.mixture_information([[5.0, 1.0]], [1.0, 0.2], [1.0], 0.3, seed=0)
    assert value == pytest.approx(theory.information([1.0, 0.2], 0.3)) and error == 0
    # two far apart, of different weights and extents: the entropy of the classes comes on top
    p, variances = np.array([0.9, 0.1]), np.array([[1.0, 2.0], [0.1, 0.0]])
    for offset in (0.0, 1e12):  # a common offset costs no digits
        value, error = theory.mixture_information(
            np.array([[-50.0, 0], [50, 0]]) + offset, variances, p, 0.3, seed=1
        )
        within = p @ [theory.information(v, 0.3) for v in variances]
        assert abs(value - within + p @ np.log(p)) < 4 * error
    # near each other: by an integral over x, with densities written out
    p, means, variances, t = np.array([0.4, 0.6]), np.array([-0.7, 1.0]), np.array([0.0, 4.0]), 0.4
    x = np.linspace(-15, 15, 20_001)
    densities = np.exp(-((x - means[:, None]) ** 2) / (2 * (variances[:, None] + t)))
    densities /= np.sqrt(2 * np.pi * (variances[:, None] + t))
    marginal = p @ densities
    entropy = -(marginal * np.log(marginal)).sum() * (x[1] - x[0])
    mixture = means[:, None], variances[:, None], p, t
    values, errors = np.array(
        [theory.mixture_information(*mixture, samples=1_000, seed=s) for s in range(400)]
    ).T
    information = entropy - np.log(2 * np.pi * np.e * t) / 2
    assert abs(values.mean() - information) < 4 * errors.mean() / np.sqrt(400)
    # the quoted error is the scatter
    assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.15)
    default = theory.mixture_information(*mixture, seed=0)[1]
    assert default == pytest.approx(errors.mean() / np.sqrt(20), rel=0.1)  # of 20,000 points


def test_the_quoted_error_of_retention_is_the_scatter():
    runs = [theory.retention_training([1.0, 0.1], 0.2, 50, samples=200, seed=s) for s in range(400)]
    means, errors = (np.array(part) for part in zip(*runs, strict=True))
    assert np.allclose(errors.mean(axis=0), means.std(axis=0, ddof=1), rtol=0.15)
    assert (
        theory.retention_training([1.0, 0.1], 0.2, 50, seed=0)[1] < 0.003
    ).all()  # by default 100,000 points


@pytest.mark.parametrize(("t", "N"), [(0.5, 3), (0.1, 20)])
def test_retention_in_one_direction_by_an_integral(t, N):
    s2 = 2.0
    u, z = s2 / t, np.linspace(-10, 10, 20_001)
    p = 1 / (1 + (N - 1) * np.exp(-(np.log(1 + u) + z**2 * s2 / (t + s2)) / 2))
    retained = (1 - p) * (1 + p * z**2 / (1 + u))
    expected = (retained * np.exp(-(z**2) / 2)).sum() * (z[1] - z[0]) / np.sqrt(2 * np.pi)
    mean, error = theory.retention_training([s2], t, N, seed=0)
    assert abs(mean[0] - expected) < 4 * error[0] < 0.01
