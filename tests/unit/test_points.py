"""Kinds of point, and the information between data points and their noisy copies."""

import numpy as np
import pytest
import torch

from memolib import theory
from memolib.empirical import Empirical
from memolib.manifolds import LinearManifold, random_rotation
from memolib.memorization import pointwise_information
from memolib.plots import mean_and_error
from memolib.points import add_noise, gaussian, points_of_kind

LAW = LinearManifold([1.0, 0.09, 0.0])


def test_kinds_of_point():
    data = LAW.sample(2_000, seed=0)
    A, B, C, O = (points_of_kind(kind, data, 0.25, 2_000, law=LAW, seed=1) for kind in "ABCO")  # noqa: E741
    assert torch.equal(B, data) and torch.equal(O, torch.zeros(1, 3, dtype=torch.float64))
    assert float((A - data).var()) == pytest.approx(0.25, rel=0.05)
    assert torch.allclose(
        C.var(dim=0), torch.tensor([1.25, 0.34, 0.25], dtype=torch.float64), rtol=0.1
    )
    # fresh: knows nothing of the data
    assert abs(torch.corrcoef(torch.stack([C[:, 0], data[:, 0]]))[0, 1]) < 0.1
    assert (
        torch.equal(A, points_of_kind("A", data, 0.25, 2_000, seed=1))
        and len(points_of_kind("A", data, 0.25, 5)) == 5
    )
    assert len(points_of_kind("B", data[:3], 0.25, 5)) == 3


def test_noise_is_standard_and_reproducible():
    xi = gaussian(100_000, seed=2)
    assert abs(float(xi.mean())) < 0.02 and float(xi.std()) == pytest.approx(1, abs=0.01)
    y = torch.ones(3, 2)
    assert (
        torch.equal(add_noise(y, 0.5, seed=3), add_noise(y, 0.5, seed=3))
        and add_noise(y, 0.5).dtype == y.dtype
    )


def test_information_of_a_known_law():
    """By Monte Carlo with the law's density, against the closed form; of its own data set never
    above ln N."""
    law, t = LinearManifold([1.0, 0.3, 0.1], random_rotation(3, seed=4)), 0.1
    density = pointwise_information(law.sample(20_000, seed=5), law, t, seed=6)
    assert (
        abs(density.mean() - theory.information(law.variances, t))
        < 4 * float(density.std()) / 20_000**0.5
    )
    y = law.sample(50, seed=7)
    for s in (1e-6, 1e-2, 1.0):
        assert float(pointwise_information(y, Empirical(y), s, seed=8).max()) <= np.log(50) + 1e-6


def test_a_pool_estimates_the_information_from_above():
    """Within sampling error for a large pool, biased upwards for a small one."""
    law, t = LinearManifold([1.0, 0.3, 0.1]), 0.1
    exact = float(theory.information(law.variances, t))
    y, bias = law.sample(20_000, seed=4), []
    for M in (100, 4_000):
        density = pointwise_information(y, Empirical(law.sample(M, seed=5)), t, seed=6)
        bias.append(float(density.mean()) - exact)
        error = float(density.std()) / len(density) ** 0.5
    assert abs(bias[1]) < 0.03 + 4 * error
    assert bias[0] > 5 * error and bias[0] > 4 * abs(bias[1])


def test_mean_and_error():
    mean, error = mean_and_error([[1.0, 2.0], [3.0, 2.0]])
    assert np.allclose(mean, [2, 2]) and np.allclose(error, [1, 0])
    runs = np.random.default_rng(9).normal(size=(400, 50))
    assert mean_and_error(runs, axis=1)[1].mean() == pytest.approx(1 / np.sqrt(50), rel=0.02)
    with pytest.raises(
        ValueError, match="values has 1 repetition along axis 0; allowed are two or more"
    ):
        mean_and_error([[1.0, 2.0]])


def test_bad_points_are_named():
    data = np.zeros((4, 3))
    for call, message in (
        (lambda: points_of_kind("D", data, 1.0, 2), "kind is 'D'; allowed are A, B, C, O"),
        (lambda: points_of_kind("C", data, 1.0, 2), "law is None; allowed, for points C"),
        (lambda: points_of_kind("A", data, 1.0, 0), "n is 0; allowed are whole numbers from 1"),
        (
            lambda: points_of_kind("A", data, 0.0, 2),
            "t is 0.0; allowed is one finite number above 0",
        ),
        (
            lambda: points_of_kind("B", data, -1.0, 2),
            "t is -1.0; allowed is one finite number above 0",
        ),
        (lambda: points_of_kind("A", data[0], 1.0, 2), r"data has shape \(3,\)"),
        (lambda: add_noise(data, -1.0), "t is -1.0"),
        (lambda: pointwise_information(np.zeros((2, 2)), LAW, 1.0), r"x has shape \(2, 2\)"),
        (lambda: pointwise_information(data, LAW, np.nan), "t is nan"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
