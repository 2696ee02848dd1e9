"""Stacked scores at kicks along a random basis, as the published network panel has them."""

import numpy as np
import pytest
import torch

from memolib.empirical import Empirical
from memolib.manifolds import LinearManifold
from memolib.spectra import stacked

VARIANCES = np.r_[[1.0] * 2, [0.09] * 3, [1e-4] * 5]


def test_of_flat_data_at_the_centre_they_are_those_of_one_minus_the_jacobian():
    """The denoiser is linear, so that a kick is a derivative, in whatever basis."""
    law, t = LinearManifold(VARIANCES), 0.01
    values, vectors = stacked(law, torch.zeros(3, 10).double(), t, seed=0)
    exact = np.sort(t / (t + VARIANCES))[::-1]
    assert np.allclose(values, exact, atol=1e-12)
    shares = (vectors**2).numpy()  # the last two are the plane of high variance
    assert np.allclose(shares[:, :2, -2:].sum(axis=1), 1)
    assert np.allclose(shares[:, 2:5, 5:8].sum(axis=1), 1)


def test_away_from_the_centre_the_score_itself_is_added_to_each_row():
    """With orthonormal z the matrix is Z (G - 1)' + 1 s', of which s' s d is known beforehand."""
    law, t, x = LinearManifold(VARIANCES), 0.01, torch.full((1, 10), 0.2).double()
    shrink = t / (t + VARIANCES)
    s = shrink * x[0].numpy() / t**0.5
    values, _ = stacked(law, x, t, seed=1)
    again = np.random.default_rng(2)
    # An independent way: expand S'S = (G-1)^2 + w s' + s w' + d s s', with w = (G-1) Z' 1.
    found = []
    for _ in range(400):
        w = again.standard_normal(10)
        w *= shrink * (10**0.5 / np.linalg.norm(w))  # Z' 1 is uniform on the sphere of radius 10^.5
        gram = np.diag(shrink**2) + np.outer(w, s) + np.outer(s, w) + 10 * np.outer(s, s)
        found.append(np.linalg.eigvalsh(gram)[::-1] ** 0.5)
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
    assert (abs(values[0].numpy() - mean) < 4 * spread + 1e-9).all()
    many, _ = stacked(law, x.expand(400, -1), t, seed=3)
    assert np.allclose(many.mean(dim=0), mean, atol=4 * (2 / 400) ** 0.5 * spread.max())
    # The largest is the common part, 10^.5 |s| with a correction; it stands alone.
    assert abs(mean[0] / (10**0.5 * np.linalg.norm(s)) - 1) < 0.1
    assert mean[1] < 1.01


def test_kicks_are_of_length_sigma_and_bases_uniform():
    """Recovered from what a denoiser is asked; E z_11^4 = 3/(d (d + 2)) on the sphere."""
    asked = []

    def watch(x, t):
        asked.append(x)
        return torch.zeros_like(x)

    x = torch.zeros(4_000, 4).double()
    stacked(watch, x, 0.04, seed=5)
    kicks = torch.cat(asked)[-16_000:].reshape(4_000, 4, 4)
    assert torch.allclose(kicks @ kicks.mT, 0.04 * torch.eye(4).double(), atol=1e-12)
    z = kicks / 0.2
    assert abs(z.mean(dim=0)).max() < 4 * 0.5 / 4_000**0.5
    fourth = (z**4).mean(dim=0)
    assert abs(fourth - 3 / 24).max() < 4 * 0.17 / 4_000**0.5
    assert 0.45 < float((torch.linalg.det(z) > 0).double().mean()) < 0.55  # of O(d), not of SO(d)


def test_at_a_training_point_alone_nothing_is_alive_and_among_many_the_manifold_is():
    law = LinearManifold(VARIANCES)
    y = law.sample(4_000, seed=0)
    one = stacked(Empirical(y[:5]), y[:5], 1e-3, seed=1).values
    assert (one > 0.99).all()
    few = stacked(law, y[:50] * torch.tensor(VARIANCES > 0.01), 1e-3, seed=1).values
    assert (few[:, -4:] < 0.02).all()  # the fifth is of the score at the point
    assert (few[:, :5] > 0.8).all()


def test_equal_seeds_give_equal_bases_and_points_have_their_own():
    law, x = LinearManifold(VARIANCES), torch.full((2, 10), 0.3).double()
    one, two = (stacked(law, x, 0.01, seed=7).values for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.allclose(one[0], one[1])
    assert not torch.allclose(one, stacked(law, x, 0.01, seed=8).values)


def test_single_precision_stays_and_bad_noise_is_refused():
    law = LinearManifold(VARIANCES)
    assert stacked(law, torch.zeros(1, 10), 0.1, seed=0).values.dtype == torch.float32
    with pytest.raises(ValueError, match="t is 0"):
        stacked(law, torch.zeros(1, 10), 0)
