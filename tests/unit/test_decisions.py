"""Parts of the experiments on disjoint pairs, bands of noise, targets and sampling paths."""

import numpy as np
import pytest
import torch

from memolib.empirical import Empirical
from memolib.manifolds import EXAMPLE
from results import disjoint_pairs, noise_bands, target_noise, underfitting
from results.network_grid import LAW, TIMES, D, sample


def test_the_fitted_law_has_the_shape_of_the_data(monkeypatch):
    """Of 8,000 points Tyler's shape gives the example's variances to 8 percent, each within 5
    standard errors of sqrt(2/N); of points it holds none."""
    monkeypatch.setattr(disjoint_pairs, "ENDS", 20_000)
    x = disjoint_pairs.fitted(sample(0)[:8_000])
    high, low, thin = (float(x[:, group].square().sum()) for group in (slice(2), slice(2, 7), 7))
    known = LAW.sample(200_000, seed=0)
    assert high == pytest.approx(float(known[:, :2].square().sum()) / 10, rel=0.01)
    assert low == pytest.approx(float(known[:, 2:7].square().sum()) / 10, rel=0.03)
    assert thin == pytest.approx(float(known[:, 7].square().sum()) / 10, rel=0.1)
    assert torch.allclose(x.norm(dim=1), torch.ones(1, dtype=x.dtype))
    assert len(EXAMPLE) == D


def test_own_and_other_are_told_apart():
    """Points at the own set are all nearer to it; fresh ones, used for both, are half."""
    sets = disjoint_pairs.pair(0, 100)
    assert not (sets[0][:, None] == sets[1][None]).all(dim=2).any()
    own = disjoint_pairs.seen([y[:50] + 1e-3 for y in sets], sets)
    assert own["own"] == 1 and own["copies"] == 1 and own["distance"] < 0.1 * own["other"]
    fresh = LAW.sample(200, seed=7)
    half = disjoint_pairs.seen([fresh, fresh], sets)
    assert half["own"] == 0.5 and half["alike"] == pytest.approx(1) and half["apart"] == 0


def test_the_excess_is_what_the_loss_has_above_the_least():
    """Within the error of 500 points: the mean of F's loss is excess plus least loss."""
    y, x, best = disjoint_pairs.fresh(0)
    excess = [0.1 * (at - b) for at, b in zip(x, best, strict=True)]
    found = np.mean(disjoint_pairs.weighted([b + e - y for b, e in zip(best, excess, strict=True)]))
    least = np.mean(disjoint_pairs.weighted([b - y for b in best]))
    more = np.mean(disjoint_pairs.weighted(excess))
    assert found == pytest.approx(least + more, abs=0.005) and more > 0.01
    levels, (low, high) = np.log(disjoint_pairs.LEVELS), np.log([(30**-0.5 / 30) ** 2, 4.0])
    assert np.allclose(levels, low + (high - low) * (np.arange(12) + 0.5) / 12, atol=0.02)


@pytest.mark.parametrize("d", [2, 30])
def test_targets_have_one_mean(d):
    """The exact denoiser is memolib's, with a noise for each point; four draws scatter about it."""
    data, sigma = target_noise.sample(d, 0), 0.3
    x = target_noise.looks(d, 0, sigma)["C"]
    t = torch.full((len(x),), sigma**2, dtype=x.dtype)
    targets = target_noise.targets(data, 0)
    known = Empirical(data)(x, sigma**2)
    assert torch.allclose(targets["exact"](x, x, t), known)
    draws = torch.stack([targets["four"](x, x, t) for _ in range(400)])
    w = target_noise.posterior(x, t, data)
    variance = (w @ data.square() - (w @ data).square()).mean()
    assert (draws.mean(dim=0) - known).square().mean() == pytest.approx(
        float(variance) / 1_600, rel=0.2
    )
    assert draws.var(dim=0).mean() == pytest.approx(float(variance) / 4, rel=0.05)


def test_a_spliced_denoiser_is_one_in_its_band_and_the_other_outside():
    x, own = LAW.sample(5, seed=1), Empirical(sample(0)[:50])
    spliced = noise_bands.Spliced(own, LAW, "middle")
    for sigma, which in ((0.04, LAW), (0.06, own), (0.29, own), (0.31, LAW)):
        assert torch.equal(spliced(x, sigma**2), which(x, sigma**2))
    away = torch.cat([3 * x[:1], x[1:2]])
    held = spliced(away, 0.04**2)
    assert torch.equal(held[0], away[0]) and torch.allclose(held[1:], LAW(x[1:2], 0.04**2))
    edges = [edge for band in noise_bands.BANDS.values() for edge in band]
    assert edges[1:-1:2] == edges[2::2]


def test_exact_paths_have_the_law_of_noisy_training_points():
    """S of the empirical denoiser is A: about as far from the nearest training point, and from the
    population's answer, which at C is another; 256 points each, so to 15 percent."""
    own, seen = Empirical(sample(0)[:50]), underfitting.read
    found = seen(own, 0, 50)
    k = TIMES.index(0.1**2)
    assert max(found["to empirical A"] + found["to empirical S"]) < 1e-6
    assert found["shell S"][k] == pytest.approx(found["shell A"][k], rel=0.05)
    assert found["limits S"][k] == pytest.approx(found["limits A"][k], rel=0.15)
    assert found["limits C"][k] > 1.5 * found["limits A"][k]
