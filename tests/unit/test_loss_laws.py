"""The first-order laws of loss at points A, B and C against simulated data sets, direction by
direction."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from memolib import theory
from memolib.empirical import Empirical
from memolib.manifolds import EXAMPLE, LinearManifold
from memolib.points import points_of_kind

TANGENT = slice(0, 7)


def simulated_losses(chi2, t, N, own, data_sets, seed):
    """Losses 1 - r_k at one x over random data sets, less their first-order term, whose mean is
    exactly 0.

    That term is ``1/N sum_i a_i [1 - (y_i - m)^2/V]`` with ``a_i = p(x|y_i)/p(x)`` and the
    posterior mean m and variance V of y given x: the weights over-count or under-count directions
    at random, far more than they lose.
    """
    rng = np.random.default_rng(seed)
    x = np.sqrt(chi2 * (t + EXAMPLE))
    mean, variance = x * EXAMPLE / (t + EXAMPLE), EXAMPLE * t / (t + EXAMPLE)
    log_norm = -(np.log1p(EXAMPLE / t) + x**2 / (t + EXAMPLE)).sum() / 2
    losses, participations = [], []
    for _ in range(data_sets):
        y = rng.standard_normal((N, 30)) * np.sqrt(EXAMPLE)
        if own:  # one point is the one that x was made from: a draw given x
            y[0] = mean + np.sqrt(variance) * rng.standard_normal(30)
        log_a = -((x - y) ** 2).sum(axis=1) / (2 * t) - log_norm
        a, square = np.exp(log_a), (y - mean) ** 2
        w = a / a.sum()
        lost = 1 - (w @ square - (w @ (y - mean)) ** 2) / variance
        others = slice(1, None) if own else slice(None)
        losses.append(lost - a[others] @ (1 - square[others] / variance) / N)
        participations.append((w**2).sum())
    return np.array(losses), np.array(participations)


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True], ids=["C", "A"])
@pytest.mark.parametrize("chi", [0, 1, 2])
def test_loss_laws(own, chi):
    """Within 3 standard errors + 2 Y of the law in each direction, with standard errors of at most
    5% of it.

    At chi = 2 a data set is 26 times as large as at chi = 0: a quarter as many, and errors of at
    most 10%.
    """
    t, chi2 = 1.0, np.r_[chi**2, np.ones(29)]
    N = int(np.ceil(220 * theory.participation(chi2, EXAMPLE, t, 1)))
    Y = float(theory.participation(chi2, EXAMPLE, t, N))
    assert 1 / Y >= 200
    law = (theory.loss_noisy if own else theory.loss_fresh)(chi2, EXAMPLE, t, N)
    with ThreadPoolExecutor(2) as pool:
        runs = list(
            pool.map(
                lambda s: simulated_losses(chi2, t, N, own, 3_000 if chi < 2 else 750, s), range(8)
            )
        )
    losses, participations = (np.concatenate(parts) for parts in zip(*runs, strict=True))
    error = losses.std(axis=0, ddof=1) / np.sqrt(len(losses))
    deviation = losses.mean(axis=0) - law
    print(
        f"{'A' if own else 'C'}, chi = {chi}: N = {N}, 1/Y = {1 / Y:.0f}, "
        f"largest error/law {(error / law).max():.3f}, "
    )
    print("deviation/law", (deviation / law)[[0, 1, 2, 29]].round(3), "2Y", round(2 * Y, 4))
    assert (error <= (0.05 if chi < 2 else 0.1) * law).all()
    assert (np.abs(deviation) <= 3 * error + 2 * Y * law).all()
    assert participations.mean() == pytest.approx(Y, rel=0.05)
    # the test has power: the law of the other kind of point is excluded
    other = (theory.loss_fresh if own else theory.loss_noisy)(chi2, EXAMPLE, t, N)
    assert (np.abs(losses.mean(axis=0) - other) > 5 * error + 2 * Y * other)[:2].any()


def test_retention_at_training_points():
    """Points B at N = 1,000, t = .1: within 3% of the formula, high variance lost first even in
    relative terms."""
    N, t, manifold, means = 1_000, 0.1, LinearManifold(EXAMPLE), []
    population = (manifold.variances / (t + manifold.variances))[TANGENT]
    for seed in range(12):
        data = manifold.sample(N, seed=seed)
        means.append((Empirical(data).variance(data, t)[:, TANGENT] / t / population).mean(dim=0))
    means = torch.stack(means)
    high, low = means[:, :2].mean(dim=1), means[:, 2:].mean(dim=1)
    formula = theory.retention_training(EXAMPLE, t, N, seed=0)[0]
    assert float(high.mean()) == pytest.approx(formula[:2].mean(), rel=0.03)
    assert float(low.mean()) == pytest.approx(formula[2:7].mean(), rel=0.03)
    assert float(high.mean()) == pytest.approx(0.674, abs=0.01) and float(
        low.mean()
    ) == pytest.approx(0.748, abs=0.01)
    gap = low - high
    assert gap.mean() > 5 * gap.std() / 12**0.5


def test_condensed_phase_of_many_dimensions():
    """E[Y] at points C tends to 1 - lam_c as m grows at fixed ln N/m: from above, and ever
    closer."""
    gaps = {}
    for m, N in ((20, 32), (60, 32_768)):
        law, v = LinearManifold(np.ones(m)), np.ones(m)
        t_c = theory.collapse_time(v, N)
        assert t_c == pytest.approx(1 / (2**0.5 - 1), rel=1e-6)  # the same for both: N^(2/m) is
        for factor in (0.5, 0.1):
            t, runs = factor * t_c, []
            for seed in range(8):
                y = law.sample(N, seed=seed)
                x = points_of_kind("C", y, t, 60, law=law, seed=100 + seed)
                predicted = np.mean([theory.condensed_participation(p, v, t, N) for p in x.numpy()])
                runs.append(float(Empirical(y).weighted(x, t).participation.mean()) - predicted)
            gaps[m, factor] = np.mean(runs), np.std(runs, ddof=1) / 8**0.5
    assert 0 < gaps[60, 0.1][0] < 0.06 and gaps[20, 0.1][0] < 0.09, gaps
    drop = gaps[20, 0.5][0] - gaps[60, 0.5][0]
    assert drop > 3 * np.hypot(gaps[20, 0.5][1], gaps[60, 0.5][1]), gaps
