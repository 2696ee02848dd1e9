"""Other ways to a spectrum: its leading or trailing part from products with the Jacobian, scores at
noisy copies."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memolib import spectra
from memolib.empirical import Empirical
from memolib.manifolds import LinearManifold, random_rotation
from memolib.points import add_noise, gaussian


def linear(matrix):
    """A denoiser whose Jacobian is a given matrix, symmetric or not."""
    return lambda x, t: x @ matrix.to(x).T


@pytest.mark.parametrize("trailing", [False, True])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_parts_of_the_spectrum_of_a_denoiser(k, trailing):
    y, t = torch.sigmoid(gaussian(500, 6, seed=0) @ gaussian(6, 40, seed=99) - 1), 0.2
    D, x = Empirical(y), add_noise(y[:4], 0.2, seed=1)
    full = spectra.spectrum(D, x, t)
    part = spectra.leading(D, x, t, k, trailing=trailing, seed=2)
    assert torch.allclose(
        part.values, full[:, -k:] if trailing else full[:, :k], atol=5e-5 if trailing else 1e-9
    )
    nearest = (part.values[:, :, None] - full[:, None]).abs().min(dim=2).values
    assert (nearest <= part.error + 1e-9).all()
    assert torch.allclose(
        part.vectors.mT @ part.vectors, torch.eye(k).double().expand(4, k, k), atol=1e-12
    )
    G = spectra.jacobian(D, x, t)
    residual = (G @ part.vectors - part.vectors * part.values[:, None]).norm(dim=1)
    assert torch.allclose(part.error, residual, atol=1e-9)


def test_the_error_bounds_the_error_and_falls_with_more_blocks():
    """A spectrum that falls slowly, 1/i: eigenvalues, sorted, are within the stated residuals."""
    Q, exact = torch.linalg.qr(gaussian(300, 300, seed=3))[0], 1 / torch.arange(1.0, 301).double()
    D, x, worst = linear(Q * exact @ Q.T), gaussian(1, 300, seed=4), []
    for blocks in (1, 2, 4):
        part = spectra.leading(D, x, 1.0, 10, blocks=blocks, seed=5)
        nearest = (part.values[0, :, None] - exact).abs().min(dim=1).values
        assert (nearest <= part.error[0] + 1e-12).all()
        worst.append(float((part.values[0] - exact[:10]).abs().max()))
    assert worst[0] > 10 * worst[1] > 100 * worst[2] and worst[2] < 1e-6


def test_products_count_what_they_cost():
    """Three blocks after the first: four times the width in all, however large the space."""
    calls = 0

    def counted(x, t):
        nonlocal calls
        calls += 1
        return x * torch.linspace(0, 1, x.shape[1]).to(x)

    # with the trials of a new model
    spectra.leading(counted, gaussian(1, 400, seed=2), 1.0, 1, blocks=1, seed=1)
    calls = 0
    spectra.leading(counted, gaussian(2, 400, seed=0), 1.0, 10, seed=1)
    assert calls <= 8  # one for each block of products, with the Jacobian and with its transpose


def test_only_the_symmetric_part_counts():
    A = gaussian(30, 30, seed=6)
    part = spectra.leading(linear(A), gaussian(2, 30, seed=7), 1.0, 30, seed=8)
    assert torch.allclose(part.values[1], torch.linalg.eigvalsh((A + A.T) / 2).flip(0), atol=1e-10)
    G = torch.stack([A, A + A.T, A - A.T])
    expected = [(A - A.T).norm() / (A + A.T).norm(), 0.0, torch.inf]
    assert torch.allclose(spectra.asymmetry(G), torch.tensor(expected).double())


@settings(max_examples=20, deadline=None)
@given(d=st.integers(1, 12), data=st.data(), seed=st.integers(0, 99))
def test_any_number_from_any_space(d, data, seed):
    k = data.draw(st.integers(1, d))
    A = gaussian(d, d, seed=seed)
    S = A @ A.T / d
    part = spectra.leading(linear(S), gaussian(1, d, seed=seed), 1.0, k, seed=seed)
    assert torch.allclose(part.values[0], torch.linalg.eigvalsh(S).flip(0)[:k], atol=1e-8)


def test_bad_input():
    D, x = linear(torch.eye(3)), np.zeros((1, 3))
    for bad, name in (
        ({"k": 0}, "k is 0"),
        ({"k": 4}, "k is 4"),
        ({"k": 1, "blocks": 0}, "blocks is 0"),
    ):
        with pytest.raises(ValueError, match=name):
            spectra.leading(D, x, 1.0, **bad)
    with pytest.raises(ValueError, match="t is"):
        spectra.leading(D, x, 0.0, 1)


# Stacked scores
# ------------------------------------------------------------------------------------


def test_stacked_scores_of_a_flat_manifold():
    """For a linear denoiser the mean over copies is (1-G)(1 + xx'/t)(1-G), exactly; here by many
    copies."""
    t, variances = 0.01, np.r_[1.0, 0.25, np.zeros(6)]
    law = LinearManifold(variances, random_rotation(8, seed=1))
    x = law.sample(2, seed=2)
    values = spectra.normal_bundle(law, x, t, copies=400_000, seed=3)
    rest = torch.eye(8).double() - spectra.jacobian(law, x, t)
    exact = rest @ (torch.eye(8).double() + x[:, :, None] * x[:, None] / t) @ rest
    assert torch.allclose(values, 1 - torch.linalg.eigvalsh(exact), atol=0.01)
    assert (values[:, :2] > 0.9).all() and (values[:, 2:].abs() < 0.01).all()


def test_stacked_scores_take_four_copies_a_coordinate():
    calls = []
    spectra.normal_bundle(lambda x, t: calls.append(x) or x, np.zeros((2, 5)), 0.5, seed=1)
    calls = [c for c in calls if len(c) == 20]  # the others are the trials of a new model
    assert len(calls) == 2 and abs(float(torch.cat(calls).var()) - 0.5) < 0.15
    with pytest.raises(ValueError, match="copies is 0"):
        spectra.normal_bundle(linear(torch.eye(3)), np.zeros((1, 3)), 1.0, copies=0)


def test_points_may_be_less_precise_than_the_denoiser():
    """It answers in the precision of its data; products with its Jacobian are taken in that of the
    points."""
    D, x = Empirical(gaussian(50, 6, seed=0)), gaussian(2, 6, seed=1)
    double, single = (spectra.leading(D, points, 0.5, 3, seed=2) for points in (x, x.float()))
    assert single.values.dtype == torch.float32 and torch.allclose(
        single.values.double(), double.values, atol=1e-5
    )
