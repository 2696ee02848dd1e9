"""Samplers and the likelihood along the flow: orders of convergence, exact laws, reproducibility,
bad input."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from memolib.empirical import Empirical
from memolib.manifolds import GaussianMixture, LinearManifold
from memolib.points import add_noise, gaussian
from memolib.sampling import flow_log_density, probability_flow, reverse_sde

LAW = LinearManifold([1.0, 0.09, 0.0])
MIXTURE = GaussianMixture([[2.0, 0.0], [-1.0, 1.0]], [[0.3, 0.5], [0.2, 0.1]], [0.3, 0.7])


def order(errors):
    """Slope of ln(error) when the number of steps doubles each time."""
    return -np.diff(np.log2(errors))


def test_flow_of_gaussian_data_is_exact_to_second_order():
    """For Gaussian data the flow only stretches: x(t) = x(T) sqrt((t+s^2)/(T+s^2)) along each
    direction."""
    x = 10 * gaussian(20, 3, seed=0)
    stretch = ((1e-2 + LAW.variances) / (100 + LAW.variances)).sqrt()
    errors = [
        float((probability_flow(LAW, x, 100, 1e-2, steps=n) - x * stretch).abs().max())
        for n in (40, 80, 160)
    ]
    assert order(errors) == pytest.approx([2, 2], abs=0.15)


def test_sde_of_gaussian_data_errs_in_inverse_proportion_to_the_steps():
    """The variance after n steps follows by hand, since each is linear; it tends to t + s^2 at
    first order."""
    t, T, n = 1e-2, 100.0, 40_000
    x = T**0.5 * gaussian(n, 3, seed=1) * ((T + LAW.variances) / T).sqrt()
    exact = t + LAW.variances
    errors = []
    for steps in (40, 80, 160):
        times = np.geomspace(T, t, steps + 1)
        v = (T + LAW.variances).numpy()
        for a, b in pairwise(times):
            shrink = (LAW.variances / (a + LAW.variances)).numpy()
            v = v * (shrink + b / a * (1 - shrink)) ** 2 + b * (1 - b / a)
        y = reverse_sde(LAW, x, T, t, steps=steps, seed=2)
        error = y.var(dim=0) * (2 / n) ** 0.5
        assert (np.abs(y.var(dim=0).numpy() - v) < 4 * error.numpy()).all()
        errors.append(abs(v[0] - float(exact[0])))
    assert order(errors) == pytest.approx([1, 1], abs=0.1)


@pytest.mark.parametrize("sampler", [probability_flow, reverse_sde])
def test_samplers_give_the_mixture(sampler):
    """Weights, means and variances of the components, within a few standard errors."""
    x = sampler(MIXTURE, 30 * gaussian(20_000, 2, seed=3), 900, 1e-4, steps=150)
    heavy = MIXTURE.log_posterior(x, 1e-4).argmax(dim=1)
    for k, weight in enumerate(MIXTURE.weights):
        part = x[heavy == k]
        assert abs(len(part) / len(x) - float(weight)) < 0.015
        assert torch.allclose(part.mean(dim=0), MIXTURE.means[k], atol=0.04)
        assert torch.allclose(part.var(dim=0), MIXTURE.variances[k], rtol=0.1)


def test_sde_from_a_noisy_training_point_ends_at_a_point_by_its_weight():
    """Started at x_t, the reverse SDE of the empirical denoiser ends at point i with probability
    w_i(x_t)."""
    data = gaussian(6, 2, seed=4)
    x, t, n = add_noise(data[:1], 0.6, seed=5), 0.6, 20_000
    ends = reverse_sde(Empirical(data), x.expand(n, -1), t, 1e-6, steps=400, seed=6)
    share = torch.bincount(torch.cdist(ends, data).argmin(dim=1), minlength=6) / n
    weights = Empirical(data).log_weights(x, t)[0].exp()
    assert (share - weights).abs().max() < 0.015 and 0.05 < float(weights.max()) < 0.95


def test_samplers_are_reproducible_and_take_any_batch():
    x = gaussian(8, 2, seed=7)
    one, again = (reverse_sde(MIXTURE, x, 4.0, 0.01, steps=9, seed=8) for _ in range(2))
    assert torch.equal(one, again) and not torch.equal(
        one, reverse_sde(MIXTURE, x, 4.0, 0.01, steps=9, seed=9)
    )
    assert torch.allclose(
        probability_flow(MIXTURE, x, 4.0, 0.01)[:3],
        probability_flow(MIXTURE, x[:3], 4.0, 0.01),
        rtol=1e-12,
    )
    assert reverse_sde(MIXTURE, x.float(), 4.0, 0.01, steps=9, seed=8).dtype == torch.float32


def test_progress_is_shown_when_asked_for(capsys):
    x = gaussian(2, 3, seed=10)
    probability_flow(LAW, x, 1.0, 0.1, steps=3, progress=True)
    assert "removing noise" in capsys.readouterr().err
    reverse_sde(LAW, x, 1.0, 0.1, steps=3)
    assert capsys.readouterr().err == ""


def test_likelihood_along_the_flow():
    """Against the mixture's own density, at second order in the steps; exact where the law is
    Gaussian."""
    x = add_noise(MIXTURE.sample(50, seed=11), 0.05, seed=12)
    exact = MIXTURE.log_density(x, 0.05)
    errors = [
        float((flow_log_density(MIXTURE, x, 0.05, 1e9, steps=n) - exact).abs().max())
        for n in (200, 400, 800)
    ]
    assert errors[-1] < 5e-3 and order(errors) == pytest.approx([2, 2], abs=0.35)
    x = add_noise(LAW.sample(9, seed=13), 0.05, seed=14)
    assert torch.allclose(
        flow_log_density(LAW, x, 0.05, 1e7, steps=1_500), LAW.log_density(x, 0.05), atol=1e-3
    )


def test_bad_input_is_named():
    x = np.zeros((2, 2))
    for call, message in (
        (
            lambda: reverse_sde(MIXTURE, x, 1.0, 0.0),
            "t is 0.0; allowed is one finite number above 0",
        ),
        (
            lambda: reverse_sde(MIXTURE, x, 0.1, 1.0),
            "t_start is 0.1; allowed are noise variances above t_end = 1",
        ),
        (
            lambda: reverse_sde(MIXTURE, x, 1.0, 0.1, steps=0),
            "steps is 0; allowed are whole numbers from 1",
        ),
        (lambda: reverse_sde(MIXTURE, x[0], 1.0, 0.1), r"x has shape \(2,\)"),
        (
            lambda: flow_log_density(MIXTURE, x, 1.0, 0.5),
            "t_end is 0.5; allowed are noise variances above t_start",
        ),
        (lambda: flow_log_density(MIXTURE, x, -1.0, 0.5), "t is -1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
