"""Marchenko-Pastur spectra of random manifolds, and the gap of a spectrum."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from memolib import spectra, theory
from memolib.manifolds import LinearManifold

rng = np.random.default_rng(0)


def tangent_eigenvalues(d, m, variance=1.0):
    F = rng.standard_normal((d, m)) * np.sqrt(variance / m)
    return np.linalg.eigvalsh(F.T @ F)


def kolmogorov(sample, distribution):
    ranks = np.arange(1, sample.size + 1) / sample.size
    values = distribution(np.sort(sample))
    return max(np.abs(values - ranks).max(), np.abs(values - ranks + 1 / sample.size).max())


def test_spectra_of_random_manifolds():
    """d = 2,000, m = 500, 20 matrices: Kolmogorov distance below .01; a wrong aspect ratio is far
    above it."""
    gamma = np.concatenate([tangent_eigenvalues(2_000, 500, 0.3) for _ in range(20)])
    assert kolmogorov(gamma, lambda g: theory.tangent_distribution(g, 500, 2_000, 0.3)) < 0.01
    for m in (450, 550):
        assert (
            kolmogorov(gamma, lambda g, m=m: theory.tangent_distribution(g, m, 2_000, 0.3)) > 0.03
        )
    low, high = theory.tangent_edges(500, 2_000, 0.3)
    assert gamma.min() == pytest.approx(low, rel=0.05) and gamma.max() == pytest.approx(
        high, rel=0.05
    )


@pytest.mark.parametrize(("m", "d"), [(1, 50), (10, 40), (40, 40)])
def test_density_integrates_to_its_distribution(m, d):
    low, high = theory.tangent_edges(m, d, 2.0)
    for share in (0.3, 0.7, 1.0):
        top = low + share * (high - low)
        # gamma = low + z^2 removes the root (m = d: pole) at the lower edge
        area = quad(
            lambda z: 2 * z * theory.tangent_density(low + z * z, m, d, 2.0), 0, np.sqrt(top - low)
        )[0]
        assert theory.tangent_distribution(top, m, d, 2.0) == pytest.approx(area, abs=2e-4)
    assert theory.tangent_density([low / 2 - 1e-9, high * 1.01], m, d, 2.0) == pytest.approx([0, 0])
    assert theory.tangent_distribution([-1, high + 1], m, d, 2.0).tolist() == [0, 1]


def test_moments_and_scaling():
    """Mean of gamma is s^2 d/m, its variance (s^2 d/m)^2 m/d; everything scales with s^2."""
    m, d, s2 = 20, 80, 0.7
    gamma = np.linspace(*theory.tangent_edges(m, d, s2), 200_001)
    weight = theory.tangent_density(gamma, m, d, s2) * (gamma[1] - gamma[0])
    mean = (gamma * weight).sum()
    assert mean == pytest.approx(s2 * d / m, rel=1e-4)
    assert ((gamma - mean) ** 2 * weight).sum() == pytest.approx(mean**2 * m / d, rel=1e-4)
    assert np.allclose(
        theory.tangent_density(3 * gamma, m, d, 3 * s2) * 3, theory.tangent_density(gamma, m, d, s2)
    )


def test_density_of_the_jacobian():
    m, d, t = 20, 80, 1.3
    g = np.linspace(0.01, 0.99, 50_001)
    density = theory.jacobian_density(g, t, m, d)
    assert density.sum() * (g[1] - g[0]) == pytest.approx(1, rel=1e-3)
    sample = np.concatenate([tangent_eigenvalues(d, m) for _ in range(400)])
    sample = sample / (sample + t)
    assert (g * density).sum() * (g[1] - g[0]) == pytest.approx(sample.mean(), abs=0.003)


def test_largest_gap():
    law = LinearManifold(np.r_[np.full(3, 1.0), np.full(4, 0.01), np.zeros(5)])
    x = torch.zeros(1, 12, dtype=torch.float64)
    found = {t: spectra.largest_gap(spectra.spectrum(law, x, t)) for t in (100.0, 0.1, 1e-4)}
    # none, the large ones, all
    assert [int(found[t].rank[0]) for t in (100.0, 0.1, 1e-4)] == [
        0,
        3,
        7,
    ]
    assert float(found[0.1].size[0]) == pytest.approx(1 / 1.1 - 0.01 / 0.11)
    for call, message in (
        (lambda: spectra.largest_gap(np.zeros((2, 1))), "eigenvalues is not falling"),
        (lambda: spectra.largest_gap([[0.0, 1.0]]), "eigenvalues is not falling"),
        (
            lambda: spectra.largest_gap([[1.0, 0.0]], minimum=0),
            "minimum is 0.0; allowed are finite numbers above 0",
        ),
        (lambda: theory.tangent_edges(5, 3), "m is 5; allowed are whole numbers from 1 to 3"),
        (
            lambda: theory.tangent_edges(2, 3, 0.0),
            r"variance is 0\.0; allowed are finite numbers above 0",
        ),
        (
            lambda: theory.jacobian_density(1.0, 1.0, 2, 3),
            r"g is 1\.0; allowed are numbers from 0 to below 1",
        ),
        (lambda: theory.jacobian_density(0.5, 0.0, 2, 3), r"t is 0\.0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_distribution_of_square_matrices_in_closed_form():
    """m = d: F(x) = [sqrt(x (4-x)) + 4 arcsin(sqrt(x)/2)]/(2 pi), in units of the variance."""
    x = np.r_[np.geomspace(1e-4, 1, 400), np.linspace(1, 4, 400)]
    exact = (np.sqrt(x * (4 - x)) + 4 * np.arcsin(np.sqrt(x) / 2)) / (2 * np.pi)
    assert np.abs(theory.tangent_distribution(0.3 * x, 40, 40, 0.3) - exact).max() < 6e-5
    assert np.allclose(
        theory.tangent_density(0.3 * x, 40, 40, 0.3), np.sqrt((4 - x) / x) / (0.6 * np.pi)
    )


def test_distribution_is_the_integral_of_the_density():
    low, high = theory.tangent_edges(10, 40, 2.0)
    for share in (0.1, 0.37, 0.8):
        top = low + share * (high - low)
        area = quad(
            lambda z: 2 * z * theory.tangent_density(low + z * z, 10, 40, 2.0),
            0,
            np.sqrt(top - low),
        )[0]
        assert theory.tangent_distribution(top, 10, 40, 2.0) == pytest.approx(area, abs=1e-6)


def test_spectra_at_extreme_scales():
    # one direction of so many that all its eigenvalues are equal to all digits
    assert theory.tangent_edges(1, 10**40, 1e-40) == pytest.approx((1, 1))
    assert theory.tangent_distribution([0.5, 2.0], 1, 10**40, 1e-40).tolist() == [0, 1]
    assert theory.tangent_density([0.5, -1e300, 1e300], 1, 10**40, 1e-40).tolist() == [0, 0, 0]
    assert theory.jacobian_density([0.0, 1 - 1e-16], 1e300, 2, 5).tolist() == [0, 0]
    assert theory.jacobian_density([0.0, 0.5], 1e300, 10, 40, 1e-300).tolist() == [0, 0]
    assert theory.jacobian_density(0.5, 3e300, 10, 40, 1e300) == pytest.approx(
        theory.jacobian_density(0.5, 3.0, 10, 40)
    )
    with pytest.raises(
        ValueError,
        match=r"^m is 1, d is 1e\+30, variance is 1e\+300; allowed are numbers whose result",
    ):
        theory.tangent_edges(1, 10**30, 1e300)
    with pytest.raises(
        ValueError, match=r"^gamma is 2e-310, variance is 1e-310; allowed are numbers whose result"
    ):
        theory.tangent_density(2e-310, 10, 40, 1e-310)
