"""The own share: 0 at fresh points for any answer, the own weight for the exact denoiser."""

import numpy as np
import pytest
import torch

from memolib.empirical import Empirical
from memolib.manifolds import LinearManifold
from memolib.points import add_noise
from results import constant_rate, duplicated_points
from results.constant_rate import Bounded, own_share

LAW = LinearManifold([1.0, 1.0, 0.3, 0.1])
T = 0.04


@pytest.mark.parametrize("size", [5, 40])
def test_it_is_0_at_fresh_points_and_about_the_own_weight_at_training_points(size):
    """Over 20 data sets the mean at C is 0, though the answers are far from the law's."""
    at_fresh, at_data, weights, off = [], [], [], []
    for seed in range(20):
        y = LAW.sample(size, seed=seed)
        D = Empirical(y)
        fresh = LAW.sample(2_000, seed=1_000 + seed)
        x = add_noise(fresh, T, seed=2_000 + seed)
        at_fresh.append(own_share(D(x, T), LAW(x, T), fresh))
        off.append(float(((D(x, T) - LAW(x, T)) ** 2).mean() / ((LAW(x, T) - x) ** 2).mean()))
        many = y.repeat(2_000 // size, 1)
        x = add_noise(many, T, seed=3_000 + seed)
        at_data.append(own_share(D(x, T), LAW(x, T), many))
        own = torch.arange(size).repeat(2_000 // size)
        weights.append(float(D.log_weights(x, T).exp()[torch.arange(len(x)), own].mean()))
    assert np.mean(off) > 0.2
    error = np.std(at_fresh, ddof=1) / 20**0.5
    assert error < 0.02 and abs(np.mean(at_fresh)) < 3 * error
    assert np.mean(at_data) == pytest.approx(np.mean(weights), abs=0.08)
    assert np.mean(at_data) > 0.3


def test_it_is_what_knowing_the_points_buys_in_the_loss():
    y = LAW.sample(500, seed=1)
    x = add_noise(y, T, seed=2)
    answer, population = Empirical(y[:50])(x, T), LAW(x, T)
    loss, far, rest = (
        float((v**2).sum()) for v in (answer - y, answer - population, y - population)
    )
    assert loss == pytest.approx(far + (1 - 2 * own_share(answer, population, y)) * rest)


def test_data_with_copies_are_the_exact_denoiser_with_a_prior():
    for N, held in duplicated_points.HELD.items():
        data, (y, counts) = duplicated_points.data_of(N, 3), duplicated_points.distinct(N, 3)
        assert len(data) == counts.sum() == N and len(data.unique(dim=0)) == len(y)
        assert {n: int((counts == n).sum()) for n in held} == held
        x = add_noise(y[:40], T, seed=4)
        exact = duplicated_points.exact(N, 3)(x, T)
        assert torch.allclose(exact, Empirical(data)(x, T), atol=1e-10)


def test_the_rate_is_constant_and_no_point_runs_away():
    from memolib.training import schedule

    shares = [schedule(k, constant_rate.PLANNED) for k in (200, constant_rate.LONGEST)]
    assert shares[0] == 1 and shares[1] > 0.998
    x = torch.tensor([[100.0, 0.0, 0.0, 0.0], [0.1, 0.2, 0.0, 0.0]])
    answer = Bounded(LAW)(x, T)
    assert float(answer.norm(dim=1).max()) == pytest.approx(4)
    assert torch.equal(answer[1], LAW(x, T)[1])
