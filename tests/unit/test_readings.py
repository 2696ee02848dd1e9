"""What is read off curves, repetitions and directions: crossings, named estimates, v'Gv."""

import numpy as np
import pytest
import torch

from memolib import theory
from memolib.empirical import Empirical
from memolib.manifolds import EXAMPLE, LinearManifold, SphereManifold
from memolib.networks import NetworkDenoiser, ResidualMLP
from memolib.plots import crossing, mean_and_error
from memolib.points import gaussian
from memolib.spectra import along, jacobian, leading


def network():
    net = ResidualMLP(4, 8)
    for k, p in enumerate(net.parameters()):
        p.data = 0.5 * gaussian(*p.shape, seed=k).float()
    return NetworkDenoiser(net, 1.0, np.zeros(4))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("rising", [False, True])
def test_a_crossing_is_exact_for_curves_that_are_linear_in_the_logarithm(turned, rising):
    x = np.geomspace(0.01, 100, 7)
    y = (1 if rising else -1) * np.log(x) + 0.3
    there = np.exp((1.2 - 0.3) * (1 if rising else -1))
    order = slice(None, None, -1 if turned else 1)
    assert crossing(x[order], y[order], 1.2) == pytest.approx(there, rel=1e-12)


def test_a_crossing_of_a_monotone_curve_is_interpolation_in_ln_x():
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = np.sort(rng.uniform(0.1, 10, 8)), np.sort(rng.uniform(0, 1, 8))
        level = rng.uniform(y[0], y[-1])
        expected = np.exp(np.interp(level, y, np.log(x)))
        assert crossing(x, y, level) == pytest.approx(expected, rel=1e-12)
        assert crossing(x, -y, -level) == pytest.approx(expected, rel=1e-12)


def test_the_first_crossing_counts_and_none_is_not_a_number():
    x = [1.0, 10.0, 100.0, 1000.0]
    assert crossing(x, [0, 1, 0, 1], 0.5) == pytest.approx(10**0.5)
    assert crossing(x[::-1], [1, 0, 1, 0], 0.5) == pytest.approx(10**2.5)
    assert np.isnan(crossing(x, [0, 0.1, 0.2, 0.3], 0.5))
    assert np.isnan(crossing(x, [0.5] * 4, 0.5))  # it stays there
    assert crossing(x, [0, 0.5, 0.7, 0.9], 0.5) == pytest.approx(10)
    assert crossing(x, [0.5, 0.7, 0.8, 0.9], 0.5) == pytest.approx(1)


@pytest.mark.parametrize(
    "x, y, message",
    [
        ([1, 2], [1, 2, 3], r"x has shape \(2,\) and y \(3,\)"),
        ([1], [1], r"with K at least 2"),
        ([0, 1], [0, 1], "x is 0.0; allowed are finite numbers above 0"),
        ([1, 2], [0, np.nan], "y is nan"),
        ([1, 3, 2], [0, 1, 2], "x is neither growing nor falling"),
    ],
)
def test_what_is_no_curve_is_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        crossing(x, y, 0.5)


def test_estimates_have_names():
    found = mean_and_error(np.arange(12.0).reshape(3, 4), axis=1)
    assert found.mean.tolist() == [1.5, 5.5, 9.5] and found.mean is found[0]
    assert found.error == pytest.approx(np.std([0, 1, 2, 3], ddof=1) / 2)
    nats = theory.mixture_information([[0.0]], [1.0], [1.0], 1.0, samples=10, seed=0)
    assert nats.value == pytest.approx(np.log(2) / 2) and nats.error == nats[1] == 0
    kept = theory.retention_training([1.0, 0.1], 0.2, 50, samples=100, seed=0)
    assert isinstance(kept, theory.Estimate) and kept.value.shape == kept.error.shape == (2,)


@pytest.mark.parametrize(
    "denoiser",
    [
        SphereManifold([1.0, 0.5, 0.1, 0.1]),
        Empirical(gaussian(50, 4, seed=0)),
        network(),
        lambda x, t: torch.tanh(x) @ torch.arange(16.0).reshape(4, 4).to(x),
    ],
    ids=["sphere", "empirical", "network", "function"],
)
def test_answers_along_directions_are_those_of_the_jacobian(denoiser):
    x, t = gaussian(3, 4, seed=1), 0.3
    V = gaussian(3, 4, 2, seed=2)
    G = jacobian(denoiser, x, t).double()
    expected = torch.einsum("nak,nab,nbk->nk", V, G, V)
    assert torch.allclose(along(denoiser, x, t, V).double(), expected, rtol=1e-4, atol=1e-6)
    same = torch.einsum("ak,nab,bk->nk", V[0], G, V[0])
    assert torch.allclose(along(denoiser, x, t, V[0]).double(), same, rtol=1e-4, atol=1e-6)
    for bad in (V[:2], V[:, :3], V[0, 0]):
        with pytest.raises(
            ValueError, match=r"V has shape .* allowed are \(4, k\) and \(3, 4, k\)"
        ):
            along(denoiser, x, t, bad)


def test_along_leading_directions_the_answers_are_the_eigenvalues():
    D, x = Empirical(gaussian(200, 6, seed=3)), gaussian(5, 6, seed=4)
    top = leading(D, x, 0.5, 3, seed=0)
    assert torch.allclose(along(D, x, 0.5, top.vectors), top.values, atol=1e-6)


def test_the_example_is_one():
    assert EXAMPLE.shape == (30,) and EXAMPLE.sum() == pytest.approx(2 + 5 * 0.09 + 23e-4)
    assert len(set(EXAMPLE.round(12))) == 3
    law = LinearManifold(EXAMPLE)
    assert law.sample(20_000, seed=0).var(dim=0).numpy() == pytest.approx(EXAMPLE, rel=0.06)
    with pytest.raises(ValueError, match="read-only"):
        EXAMPLE[0] = 2
