"""The collapse theorem by simulation: both bounds, single trajectories, what counts as a
dimension."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import norm

from memolib import theory
from memolib.empirical import Empirical
from memolib.manifolds import GaussianMixture, LinearManifold
from memolib.memorization import profile
from memolib.points import add_noise, gaussian, points_of_kind
from memolib.sampling import reverse_sde


def power(density, rate):
    """Largest power of a test of this false alarm rate, by draws of the information density."""
    i = -np.sort(-density)
    return np.searchsorted(np.cumsum(np.exp(-i)) / i.size, rate) / i.size


@pytest.mark.parametrize(("m", "N", "sets"), [(4, 6, 150), (16, 1_024, 2), (24, 16_384, 1)])
def test_the_own_weight_lies_between_both_bounds(m, N, sets):
    """And half or twice ln N in their place would be refused."""
    s2 = np.ones(m)
    t = np.array([0.5, 1.0, 2.0]) * theory.collapse_time(s2, N)
    runs = [
        profile(gaussian(N, m, seed=k), t, n=min(N, 300), seed=50 + k).log_odds.sigmoid().numpy()
        for k in range(sets)
    ]
    weights = np.concatenate(runs, axis=1)
    mean = weights.mean(axis=1)
    error = weights.std(axis=1) / weights.shape[1] ** 0.5 + 0.002
    y = gaussian(40_000, m, seed=3)
    xi = gaussian(40_000, m, seed=4)

    def outside(size):
        low = [theory.own_weight(y, xi, s2, v, size).mean() for v in t]
        high = [power(theory.information_density(y, xi, s2, v), 1 / size) for v in t]
        return np.max(np.maximum(low - mean, mean - high) / error)

    assert outside(N) < 3
    assert outside(N**0.5) > 6
    assert outside(N**2) > 6


def test_a_trajectory_commits_by_the_law_of_its_information_density():
    """Share of reverse trajectories whose end has more than half of the weight from t on."""
    m, N, n = 32, 1_000, 150
    grid = theory.collapse_time(np.ones(m), N) * np.geomspace(5, 0.1, 31)
    shares = []
    for seed in range(4):
        D = Empirical(gaussian(N, m, seed=seed))
        path = [add_noise(D.data[:n], grid[0], seed=10 + seed)]
        for k, (here, there) in enumerate(pairwise(grid)):
            path.append(reverse_sde(D, path[-1], here, there, steps=5, seed=[seed, k]))
        end = D.log_weights(path[-1], grid[-1]).argmax(dim=1)[:, None]
        above = [
            (D.log_weights(x, t).gather(1, end) > np.log(0.5))[:, 0].numpy()
            for x, t in zip(path, grid, strict=True)
        ]
        shares.append(np.array(above)[::-1].cumprod(axis=0)[::-1].mean(axis=1))
    share = np.mean(shares, axis=0)
    beyond = theory.information(np.ones(m), grid) - np.log(N)
    dispersion = m / (1 + grid)

    def distance(V):
        return np.abs(share - norm.cdf(beyond / V**0.5)).max()

    assert distance(dispersion) < 0.08
    assert distance(2 * dispersion) > 0.1
    assert distance(dispersion / 3) > 0.1
    assert np.abs(share - norm.cdf((beyond - np.log(2)) / dispersion**0.5)).max() > 0.08


def retained(law, along, N, t):
    """Share of the variance 1 along some directions that is left at points A."""
    left = []
    for seed in range(8):
        D = Empirical(law.sample(N, seed=seed))
        x = points_of_kind("A", D.data, t, 60, seed=100 + seed)
        left.append(float(D.variance(x, t)[:, along].mean()) * (1 + t) / t)
    return np.mean(left), np.std(left) / 8**0.5


def test_coordinates_off_the_manifold_count_by_the_nats_they_carry():
    for across, counts in ((1e-4, False), (1e-2, True)):
        s2 = np.r_[np.ones(10), np.full(190, across)]
        law = LinearManifold(s2)
        t_c = theory.collapse_time(s2, 1_000)
        share, error = retained(law, range(10), 1_000, t_c)
        assert share == pytest.approx(0.5, abs=3 * error + 0.05)
        share, error = retained(law, range(10), 1_000, theory.collapse_time(np.ones(10), 1_000))
        assert (share < 0.5 - 5 * error) == counts


def test_two_classes_retain_half_where_one_does_with_half_of_the_points():
    law = GaussianMixture.two_classes(256, 5)
    two, one = (theory.collapse_time(np.ones(5), n) for n in (500, 1_000))
    share, error = retained(law, range(1, 5), 1_000, two)
    assert share == pytest.approx(0.5, abs=3 * error + 0.03)
    share, error = retained(law, range(1, 5), 1_000, one)
    assert share < 0.5 - 3 * error
