"""Speciation as a transition of the potential, and the rounding of the collapse, by second ways."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm

from memolib import theory
from memolib.empirical import Empirical
from memolib.manifolds import GaussianMixture
from memolib.points import add_noise, gaussian

MU2 = 16.0
WITHIN = 1.5
LAW = (MU2, WITHIN)


def two_classes(weight):
    return GaussianMixture([[4.0], [-4.0]], [WITHIN], [weight, 1 - weight])


def minima(t, weight):
    """Places of all minima of a mixture's log density on a fine grid, by sign changes of its
    score."""
    q = torch.linspace(-6, 6, 120_001, dtype=torch.float64)[:, None]
    score = two_classes(weight).score(q, t)[:, 0]
    return q[1:, 0][(score[:-1] > 0) & (score[1:] <= 0)].numpy()


@pytest.mark.parametrize("weight", [0.5, 0.3, 0.99])
@pytest.mark.parametrize("t", [0.4, 5.0, 30.0])
def test_the_potential_is_minus_the_log_density(t, weight):
    q = np.linspace(-7, 7, 57)
    density = two_classes(weight).log_density(torch.from_numpy(q)[:, None], t).numpy()
    total = theory.class_potential(q, *LAW, t, weight) + density
    assert np.ptp(total) < 1e-12


@pytest.mark.parametrize("weight", [0.5, 0.3, 0.8])
@pytest.mark.parametrize("t", [0.5, 6.0, 13.0, 20.0])
def test_the_minimum_is_the_deepest_of_the_density_and_a_fixed_point_of_the_denoiser(t, weight):
    q = theory.class_minimum(*LAW, t, weight)
    found = minima(t, weight)
    deepest = found[np.argmin(theory.class_potential(found, *LAW, t, weight))]
    assert abs(q) == pytest.approx(abs(deepest), abs=2e-4)
    assert q == 0 or np.sign(q) == (1 if weight >= 0.5 else -1)
    x = torch.tensor([[q]], dtype=torch.float64)
    assert float(two_classes(weight)(x, t)) == pytest.approx(q, abs=1e-12)


def test_the_minima_leave_the_middle_with_exponent_one_half():
    t_s = MU2 - WITHIN
    below = np.array([1e-2, 1e-3, 1e-4])
    q = np.array([theory.class_minimum(*LAW, t_s - b) for b in below])
    assert q / np.sqrt(3 * below) == pytest.approx([1, 1, 1], rel=1e-3)
    assert theory.class_minimum(*LAW, t_s) == theory.class_minimum(*LAW, t_s + 1e-9) == 0


def test_the_susceptibility_diverges_twice_as_fast_above_as_below():
    """t/(1 - G) of the denoiser at the minimum: |mu|^4/(t - t_S) above, half of it below."""
    t_s = MU2 - WITHIN
    law = two_classes(0.5)
    for away, share in ((0.01, 1.0), (-0.01, 0.5)):
        t = t_s + away
        x = torch.tensor([[theory.class_minimum(*LAW, t)]], dtype=torch.float64)
        response = t / (1 - float(law.jacobian(x, t)))
        assert response * abs(away) / MU2**2 == pytest.approx(share, rel=3e-3)


@pytest.mark.parametrize("weight", [0.5, 0.6, 0.9, 0.05])
def test_the_spinodal_is_where_the_second_minimum_comes(weight):
    t = theory.spinodal_time(*LAW, weight)
    assert len(minima(t * 0.999, weight)) == 2
    assert len(minima(t * 1.001, weight)) == 1
    assert t == theory.spinodal_time(*LAW, 1 - weight) <= MU2 - WITHIN
    assert theory.spinodal_time(MU2, MU2, weight) == 0


def test_the_spinodal_near_equal_weights():
    """b^3/6 = ln(w/(1-w)) = 4(w - 1/2): the time falls from t_S like the excess to the 2/3."""
    excess = 1e-6
    fall = MU2 - WITHIN - theory.spinodal_time(*LAW, 0.5 + excess)
    assert fall / MU2 == pytest.approx((24 * excess) ** (2 / 3) / 4, rel=1e-3)


def test_information_about_the_number_by_simulation():
    """ln N less the mean entropy of the weights at points A: 24 directions, N = 4,096."""
    m, N = 24, 4_096
    t_c = theory.collapse_time(np.ones(m), N)
    for factor in (0.3, 0.7, 1.0, 1.5, 3.0, 10.0):
        t = factor * t_c
        values = []
        for seed in range(4):
            D = Empirical(gaussian(N, m, seed=seed))
            logs = D.log_weights(add_noise(D.data[:150], t, seed=50 + seed), t)
            values.append(np.log(N) + (logs.exp() * logs).sum(dim=1).numpy())
        values = np.concatenate(values)
        error = values.std() / len(values) ** 0.5
        closed = theory.index_information(np.ones(m), t, N)
        assert abs(values.mean() - closed) < 4 * error + 0.02 * np.log(N), factor
        assert closed <= min(theory.information(np.ones(m), t), np.log(N))


def test_information_about_the_number_is_the_mean_of_the_smaller():
    """By quadrature over the information density, with unequal variances."""
    s2 = np.array([4.0, 1.0, 0.2, 0.0])
    N = 30
    for t in (0.05, 0.5, 3.0):
        nats = theory.information(s2, t)
        width = np.sqrt((s2 / (s2 + t)).sum())
        z = np.linspace(-12, 12, 200_001)
        mean = np.minimum(nats + width * z, np.log(N)) @ norm.pdf(z) * (z[1] - z[0])
        closed = theory.index_information(s2, t, N)
        assert closed == pytest.approx(mean, abs=1e-6) or closed == 0
    assert theory.index_information([0.0], 1.0, 5) == 0
    assert theory.index_information(s2, 1.0, 1) == 0


def test_clone_agreement_at_speciation_of_any_pair_of_classes():
    """Where t = |mu|^2 - s^2 the agreement is one number, the same for all separations."""
    for separation, within in ((4.0, 1.0), (300.0, 1.0), (300.0, 200.0)):
        agreement = theory.clone_agreement(separation, within, separation - within)
        assert agreement == pytest.approx(0.77520, abs=1e-5)


def test_two_classes_collapse_where_one_does_with_half_of_the_points():
    mu = np.zeros((2, 64))
    mu[:, 0] = 16, -16
    t = theory.collapse_time(np.ones(64), 500)
    nats, error = theory.mixture_information(mu, np.ones(64), [0.5, 0.5], t, seed=1)
    assert nats == pytest.approx(np.log(1_000), abs=4 * error + 1e-3)
    root = brentq(
        lambda v: (
            theory.mixture_information(mu, np.ones(64), [0.5, 0.5], v, seed=1)[0] - np.log(1_000)
        ),
        t / 2,
        2 * t,
        xtol=1e-4,
    )
    assert root == pytest.approx(t, rel=1e-3)
