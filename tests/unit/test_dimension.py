"""Intrinsic dimension from any denoiser: closed forms, the density's own rate, limits, noise of the
estimates."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memolib import dimension, spectra
from memolib.dimension import effective, flipd, normal_bundle_dimension
from memolib.empirical import Empirical
from memolib.manifolds import (
    ChartManifold,
    GaussianMixture,
    LinearManifold,
    SphereManifold,
    random_rotation,
)
from memolib.networks import NetworkDenoiser, ResidualMLP, UNet
from memolib.points import add_noise, gaussian

VARIANCES = np.r_[1.0, 0.3, 0.05, np.zeros(5)]
FLAT = LinearManifold(VARIANCES, random_rotation(8, seed=1))
LAWS = {
    "linear": FLAT,
    "mixture": GaussianMixture(
        np.c_[[1.0, -1, 0], [0, 1, 2], [0, 0, 1]], [1.0, 0.3, 0.01], [0.5, 0.2, 0.3]
    ),
    "sphere": SphereManifold([1.0, 0.5, 0.2, 0.1]),
    "circle": ChartManifold.circle(),
    "empirical": Empirical(FLAT.sample(200, seed=2)),
}
ESTIMATORS = effective, flipd, normal_bundle_dimension


def on(law, n, seed=3):
    """Points without noise."""
    return law.data[:n] if isinstance(law, Empirical) else law.sample(n, seed)


def plain(law):
    """The same denoiser without a Jacobian of its own."""
    return lambda x, t: law(x, t)


# Closed forms
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("t", [1e-3, 0.1, 2.0])
def test_a_flat_manifold(t):
    x = FLAT.sample(4, seed=3)
    g, s2 = VARIANCES / (VARIANCES + t), torch.from_numpy(VARIANCES)
    assert torch.allclose(
        effective(FLAT, x, t), torch.full((4,), g.sum(), dtype=torch.float64), rtol=1e-12
    )
    expected = g.sum() + t * ((x @ FLAT.basis) ** 2 / (t + s2) ** 2).sum(dim=1)
    assert torch.allclose(flipd(FLAT, x, t), expected, rtol=1e-12)
    many = flipd(FLAT, FLAT.sample(20_000, seed=4), t)
    assert abs(float(many.mean()) - (1 - (1 - g) ** 2).sum()) < 5 * float(many.std()) / 20_000**0.5


@pytest.mark.parametrize("t", [0.02, 0.3])
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_flipd_is_the_rate_of_the_density(law, t):
    """At points on and off the data: d + d ln p/d ln sigma, by symmetric differences of the exact
    log density."""
    x, h = torch.cat([on(law, 4), add_noise(on(law, 4), 2 * t, seed=5)]), 1e-4
    rise = law.log_density(x, t * np.exp(2 * h)) - law.log_density(x, t * np.exp(-2 * h))
    assert torch.allclose(flipd(law, x, t), x.shape[1] + rise / (2 * h), rtol=0, atol=2e-6)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_flipd_of_noisy_points_is_the_number_of_coordinates_on_average(law):
    n, t = 2_000, 0.3
    y = (
        law.data[np.random.default_rng(6).integers(200, size=n)]
        if isinstance(law, Empirical)
        else law.sample(n, 6)
    )
    values = flipd(law, add_noise(y, t, seed=7), t)
    assert abs(float(values.mean()) - y.shape[1]) < 5 * float(values.std()) / n**0.5


@pytest.mark.parametrize("t", [0.01, 0.5])
@pytest.mark.parametrize(
    "law", [v for k, v in LAWS.items() if k != "circle"], ids=[k for k in LAWS if k != "circle"]
)
def test_own_jacobian_and_derivatives_agree(law, t, monkeypatch):
    """Also where only few numbers go at once."""
    x = on(law, 5)
    own = effective(law, x, t)
    assert torch.allclose(effective(plain(law), x, t), own, atol=1e-9)
    monkeypatch.setattr(dimension, "TOGETHER", 20)
    assert torch.allclose(effective(plain(law), x, t), own, atol=1e-9)
    assert torch.allclose(effective(law, x, t), own, atol=1e-12)


# Limits
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(("law", "m"), [("linear", 3), ("sphere", 3), ("circle", 1)])
def test_little_noise_shows_the_manifold_and_much_noise_nothing(law, m):
    D, x = LAWS[law], on(LAWS[law], 3)
    for estimate in effective, flipd:
        assert torch.allclose(estimate(D, x, 1e-5), torch.tensor(float(m)).double(), atol=1e-2)
    assert normal_bundle_dimension(D, x, 1e-4, seed=8).rank.tolist() == [m] * 3
    if law != "circle":
        for estimate in effective, flipd:
            assert (estimate(D, x, 1e5).abs() < 1e-3).all()
        assert normal_bundle_dimension(D, x, 1e5, seed=8).rank.tolist() == [0] * 3


def test_a_data_set_has_its_manifold_s_dimension_until_it_collapses():
    law = LinearManifold.of_dimension(2, 12, seed=9)
    y = law.sample(4_000, seed=10)
    D, x = Empirical(y), y[y.norm(dim=1) < 1][:4]
    for estimate in effective, flipd:
        assert ((estimate(D, x, 0.05) - 2).abs() < 0.2).all() and (
            estimate(D, x, 1e-7) < 1e-3
        ).all()
    assert normal_bundle_dimension(D, x, 0.05, seed=11).rank.tolist() == [2] * 4
    assert normal_bundle_dimension(D, x, 1e-7, seed=11).rank.tolist() == [0] * 4


def test_a_rotation_changes_nothing():
    y, t, Q = FLAT.sample(300, seed=12), 0.02, random_rotation(8, seed=13)
    pairs = (FLAT, LinearManifold(VARIANCES, Q.T @ FLAT.basis)), (Empirical(y), Empirical(y @ Q))
    for D, turned in pairs:
        for estimate in effective, flipd:
            assert torch.allclose(estimate(D, y[:5], t), estimate(turned, y[:5] @ Q, t), atol=1e-10)
    gaps = [
        normal_bundle_dimension(D, x, 1e-4, seed=14)
        for D, x in zip(pairs[0], (y[:5], y[:5] @ Q), strict=True)
    ]
    assert gaps[0].rank.tolist() == gaps[1].rank.tolist() == [3] * 5


# Random directions
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("probes", [1, 4])
def test_probes_are_unbiased_and_have_the_stated_error(probes):
    """The same point many times, each with its own probes; a Jacobian that is not symmetric."""
    n, A = 40_000, gaussian(6, 6, seed=15)
    values = effective(
        lambda x, t: x @ A.T, torch.zeros(n, 6).double(), 1.0, probes=probes, seed=16
    )
    S = (A + A.T) / 2
    error = float((2 * ((S**2).sum() - (S.diagonal() ** 2).sum()) / probes) ** 0.5)
    assert abs(float(values.mean() - A.trace())) < 4 * error / n**0.5
    assert abs(float(values.std()) / error - 1) < 0.03


def test_probes_take_no_jacobian_and_follow_their_seed():
    calls = []

    class Guarded(LinearManifold):
        def _denoise(self, x, t):
            calls.append(1)
            return super()._denoise(x, t)

        def _jacobian(self, x, t):
            raise AssertionError("the Jacobian was asked for")

    D, x = Guarded(VARIANCES, FLAT.basis), FLAT.sample(3, seed=17)
    first = flipd(D, x, 0.1, probes=5, seed=18)
    assert len(calls) == 2  # one batch of products, one answer
    assert torch.equal(first, flipd(D, x, 0.1, probes=5, seed=18))
    assert not torch.equal(first, flipd(D, x, 0.1, probes=5, seed=19))
    rest = first - effective(D, x, 0.1, probes=5, seed=18)
    assert torch.allclose(rest, flipd(FLAT, x, 0.1) - effective(FLAT, x, 0.1), atol=1e-12)


# Stacked scores
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3, 8, 40, 100])
def test_noise_alone_makes_no_gap(d):
    """Neither where no direction is alive nor where all are."""
    for variance in (1e-6, 1e6):
        law, x = LinearManifold(np.full(d, variance)), torch.zeros(20, d).double()
        assert (normal_bundle_dimension(law, x, 1.0, seed=20).rank == 0).all()


def test_the_gap_is_the_step_that_noisy_copies_leave():
    """From singular values t/(t+s^2) to the edge of the noise's at 1 - sqrt((d-m)/4d)."""
    law = LinearManifold(np.r_[np.full(10, 1.0), np.zeros(190)])
    gap = normal_bundle_dimension(law, torch.zeros(2, 200), 1e-6, seed=21)
    assert (
        gap.rank.tolist() == [10, 10] and ((gap.size - (1 - (190 / 800) ** 0.5)).abs() < 0.03).all()
    )


def test_points_off_the_manifold_are_no_trouble():
    """There all copies point back the same way: one direction far above the noise, which is no gap
    to count."""
    x = FLAT.sample(4, seed=22)
    assert (
        normal_bundle_dimension(FLAT, add_noise(x, 0.01, seed=23), 1e-4, seed=24).rank.tolist()
        == [3] * 4
    )


def test_copies_follow_their_seed():
    sizes = [normal_bundle_dimension(FLAT, np.zeros((1, 8)), 0.01, seed=s).size for s in (0, 0, 1)]
    assert sizes[0] == sizes[1] != sizes[2]


# What is promised
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("m", [5, 20, 100])
def test_within_a_tenth_in_784_dimensions(m):
    """Variances from 0.01 to 1, at t = 1e-5: there all are at their best
    (results/benchmarks/dimension.json)."""
    law, t = (
        LinearManifold(
            np.r_[np.geomspace(0.01, 1, m), np.zeros(784 - m)], random_rotation(784, seed=m)
        ),
        1e-5,
    )
    x = law.sample(3, seed=25)
    assert ((effective(law, x, t) / m - 1).abs() < 0.01).all()
    assert ((flipd(law, x, t) / m - 1).abs() < 0.01).all()
    assert ((flipd(law, x, t, probes=1_000, seed=26) / m - 1).abs() < 0.1).all()
    assert normal_bundle_dimension(law, x[:2], t, seed=27).rank.tolist() == [m] * 2


def test_what_copies_share_costs_the_normal_bundle_one_of_many_directions():
    """The common pull of the copies, of square sum t/s^2 > 1/4, counts as across; without it (x =
    0) none is lost."""
    law = LinearManifold(np.r_[np.full(100, 0.01), np.zeros(200)])
    x = torch.cat([law.sample(2, seed=28), torch.zeros(1, 300)])
    assert normal_bundle_dimension(law, x, 1e-4, seed=29).rank.tolist() == [99, 99, 100]


@pytest.mark.parametrize(
    "network", [ResidualMLP(16, 8, 1), UNet(4, 1, 8)], ids=["ResidualMLP", "UNet"]
)
def test_networks_are_denoisers(network):
    """Random networks, with parameters that require gradients: none come back."""
    generator = torch.Generator().manual_seed(28)
    for p in network.parameters():
        p.data = 0.3 * torch.randn(p.shape, generator=generator)
    D, x, t = NetworkDenoiser(network, 1.0, np.full(16, 0.5)), gaussian(3, 16, seed=29), 0.1
    trace = torch.stack([G.trace() for G in spectra.jacobian(D, x, t).detach()])
    assert torch.allclose(effective(D, x, t), trace, atol=1e-4) and trace.std() > 0.01
    off = ((x - D(x, t)) ** 2).sum(dim=1).detach() / t
    assert torch.allclose(flipd(D, x, t), trace + off, atol=1e-4)
    estimate = effective(D, x, t, probes=4_000, seed=30)
    S = (lambda G: (G + G.mT) / 2)(spectra.jacobian(D, x, t).detach())
    assert ((estimate - trace).abs() < 5 * (2 * (S**2).sum(dim=(1, 2)) / 4_000) ** 0.5 + 1e-4).all()
    answers = (
        effective(D, x.float(), t),
        flipd(D, x.float(), t),
        normal_bundle_dimension(D, x, t, seed=31).size,
    )
    assert (
        all(a.shape == (3,) and not a.requires_grad for a in answers)
        and answers[0].dtype == torch.float32
    )


# Bad input
# -----------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    estimate=st.sampled_from(ESTIMATORS),
    t=st.one_of(st.floats(max_value=0), st.sampled_from([np.nan, np.inf])),
)
def test_noise_is_above_zero(estimate, t):
    with pytest.raises(ValueError, match=r"t is .*allowed is one finite number above 0"):
        estimate(plain(FLAT), np.zeros((1, 8)), t)


@settings(max_examples=30, deadline=None)
@given(
    estimate=st.sampled_from(ESTIMATORS),
    shape=st.lists(st.integers(0, 3), max_size=3).filter(lambda s: len(s) != 2 or 0 in s),
)
def test_points_have_two_axes(estimate, shape):
    with pytest.raises(ValueError, match=r"x has shape .*allowed is"):
        estimate(lambda x, t: x, np.zeros(shape), 1.0)


@settings(max_examples=30, deadline=None)
@given(
    estimate=st.sampled_from([effective, flipd]),
    probes=st.one_of(
        st.integers(max_value=0), st.floats(0.1, 9).filter(lambda p: p % 1), st.just(np.nan)
    ),
)
def test_probes_are_counted(estimate, probes):
    with pytest.raises(ValueError, match=r"probes is .*allowed are"):
        estimate(FLAT, np.zeros((1, 8)), 1.0, probes=probes)


@pytest.mark.parametrize("estimate", ESTIMATORS)
def test_points_are_finite_and_fit_the_law(estimate):
    with pytest.raises(ValueError, match="x is not finite"):
        estimate(FLAT, torch.full((1, 8), torch.nan), 1.0)
    with pytest.raises(ValueError, match=r"has shape .*allowed is \(n, 8\)"):
        estimate(FLAT, np.zeros((1, 7)), 1.0)


def test_one_coordinate_has_no_normal_bundle():
    with pytest.raises(
        ValueError, match=r"x has shape \(1, 1\); allowed is \(n, d\) with d at least 2"
    ):
        normal_bundle_dimension(lambda x, t: x, np.zeros((1, 1)), 1.0)
