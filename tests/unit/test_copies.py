"""Copies: the ratio far from the origin and beside repeated data, the test with its control,
samples of denoisers."""

import numpy as np
import pytest
import torch

from memolib import theory
from memolib.empirical import Empirical
from memolib.manifolds import GaussianMixture, LinearManifold
from memolib.memorization import (
    copies,
    copy_threshold,
    measured_collapse_time,
    nearest_ratio,
    profile,
)
from memolib.points import gaussian
from memolib.sampling import sample


@pytest.mark.parametrize("mean", [0.0, 100.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ratio_does_not_depend_on_the_origin(mean, dtype):
    """In single precision too: by differences, and not by scalar products of large numbers."""
    data, x = gaussian(50, 5, seed=0), gaussian(20, 5, seed=1)
    expected = nearest_ratio(x, data)
    x[:5] = data[:5] + 1e-3 * gaussian(5, 5, seed=2)
    found = nearest_ratio((x + mean).to(dtype), (data + mean).to(dtype)).double()
    assert torch.allclose(
        found[5:], expected[5:], atol=1e-2 if (dtype, mean) == (torch.float32, 1e4) else 1e-4
    )
    assert (found[:5] < 0.01).all()


def test_repeated_data_count_once():
    data, x = gaussian(30, 4, seed=0), gaussian(10, 4, seed=1)
    x[0], x[1] = data[3], data[4] + 1e-6
    twice = torch.cat([data, data[:15], data[3:4]])
    found = nearest_ratio(x, twice)
    assert (
        torch.allclose(found, nearest_ratio(x, data), atol=1e-12)
        and found[0] == 0
        and found[1] < 1e-4
    )
    assert copies(x[:2], twice, gaussian(500, 4, seed=2)).all()
    middle = (data[:1] + data[1:2]) / 2
    # a tie of two different data stays one
    assert float(nearest_ratio(middle, data[:2])) == pytest.approx(1)
    for bad in (data[:1], data[:1].expand(3, -1)):
        with pytest.raises(ValueError, match=r"data has \d points, all equal"):
            nearest_ratio(x, bad)


@pytest.mark.parametrize("level", [0.01, 0.1, 0.5])
def test_of_fresh_points_the_stated_share_passes_for_copies(level):
    law = LinearManifold([1.0, 0.5, 0.2])
    data, fresh, others = (law.sample(n, seed=k) for k, n in enumerate((200, 4_000, 4_000)))
    share = copies(others, data, fresh, level=level).double().mean()
    assert abs(float(share) - level) < 5 * (2 * level * (1 - level) / 4_000) ** 0.5
    assert copies(data + 1e-4, data, fresh, level=level).all()
    threshold = copy_threshold(data, fresh, level=level)
    below = nearest_ratio(others, data) < threshold
    assert torch.equal(copies(others, data, fresh, level=level) > 0, below)
    below = nearest_ratio(fresh, data) < threshold
    assert float(below.double().mean()) == pytest.approx(level, abs=1 / 4_000)
    for bad in (0, 1, -0.1, np.nan):
        with pytest.raises(ValueError, match="level is"):
            copies(others, data, fresh, level=bad)


def test_samples_of_any_denoiser_have_its_law():
    law = GaussianMixture([[3.0, 0], [-3, 0]], [0.1, 1.0])
    made = sample(law, 4_000, seed=0)
    assert made.shape == (4_000, 2) and torch.allclose(
        made.var(dim=0), law.sample(100_000, seed=1).var(dim=0), rtol=0.1
    )
    y = gaussian(20, 3, seed=2)
    ends = sample(Empirical(y), 200, t_end=1e-6, seed=3)
    assert torch.cdist(ends, y).min(dim=1).values.max() < 0.01  # copies, all of them
    assert torch.equal(ends, sample(Empirical(y), 200, t_end=1e-6, seed=3))
    small = sample(Empirical(1e-3 * y), 50, t_end=1e-12, seed=3)
    assert torch.cdist(small, 1e-3 * y).min(dim=1).values.max() < 1e-5
    with pytest.raises(ValueError, match="of unknown d"):
        sample(lambda x, t: x, 3)
    with pytest.raises(ValueError, match="n is 0"):
        sample(law, 0)


@pytest.mark.parametrize("n", [100, 1_000])
def test_a_collapse_time_is_right_or_refused(n):
    """However small N is: so few points do not know a small information well enough."""
    law, told = LinearManifold([1.0, 1.0, 0.1]), {}
    for N in (1.0001, 1.01, 1.5, 3, 100):
        for seed in range(5):
            try:
                found = measured_collapse_time(law.sample(n, seed=seed), law, N, seed=10 + seed)
            except ValueError as refused:
                assert f"N is {N:g}; allowed, with {n} points, are" in str(refused)
                continue
            exact = theory.collapse_time(law.variances, N)
            told[N] = told.get(N, 0) + 1
            assert found.error < 0.3 * found.t and abs(found.t - exact) < 4 * found.error
    assert not {1.0001, 1.01} & set(told) and told[3] == told[100] == 5


def test_what_a_pool_cannot_tell_is_refused():
    """More points than the pool has; a profile's own number of data; a generator as seed."""
    y, pool = gaussian(60, 3, seed=0), Empirical(gaussian(200, 3, seed=1))
    assert measured_collapse_time(y, pool, 50, seed=2).t > 0
    assert measured_collapse_time(y, pool, 50, seed=np.random.default_rng(2)).t > 0
    for N in (200, 1e6):
        with pytest.raises(ValueError, match=r"N is .* with a pool of 200 data"):
            measured_collapse_time(y, pool, N)
    with pytest.raises(ValueError, match="law is None"):
        measured_collapse_time(y, None, 50)
    seen = profile(y, [0.5, 1.0], seed=3)
    assert seen.N == 60 and torch.allclose(seen.information(), seen.log_odds + np.log(59))
