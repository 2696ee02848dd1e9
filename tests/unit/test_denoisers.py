"""Linear manifolds, the empirical denoiser, spectra and sampling: exactness, invariances, limits,
bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memolib import _softmax, spectra, theory
from memolib.empirical import Empirical
from memolib.manifolds import EXAMPLE, LinearManifold, random_rotation
from memolib.memorization import nearest_ratio
from memolib.points import gaussian
from memolib.sampling import probability_flow


def brute_force(data, x, t):
    """Weights, mean and covariance/t by explicit loops in NumPy."""
    data, x = data.numpy(), x.numpy()
    means, jacobians, all_weights = [], [], []
    for q in x:
        e = -((data - q) ** 2).sum(axis=1) / (2 * t)
        w = np.exp(e - e.max())
        w /= w.sum()
        mean = w @ data
        means.append(mean)
        jacobians.append((w[:, None] * (data - mean)).T @ (data - mean) / t)
        all_weights.append(w)
    return np.array(all_weights), np.array(means), np.array(jacobians)


# Linear manifolds
# ------------------------------------------------------------------------------------


def test_samples_have_the_covariance():
    manifold = LinearManifold([4.0, 1.0, 0.0], random_rotation(3, seed=1))
    y = manifold.sample(200_000, seed=2).numpy()
    expected = (manifold.basis * manifold.variances) @ manifold.basis.T
    assert np.allclose(np.cov(y.T), expected, atol=0.05)
    assert torch.equal(manifold.sample(5, seed=3), manifold.sample(5, seed=3))


def test_linear_denoiser_is_the_regression_on_noisy_data():
    manifold, t = LinearManifold([4.0, 1.0, 0.0], random_rotation(3, seed=1)), 0.7
    y = manifold.sample(400_000, seed=4)
    x = y + t**0.5 * gaussian(400_000, 3, seed=5)
    slope = torch.linalg.lstsq(x, y).solution.T
    assert torch.allclose(manifold.jacobian(x[:1], t)[0], slope, atol=0.01)
    assert torch.allclose(manifold(x[:9], t), x[:9] @ manifold.jacobian(x[:1], t)[0].T)
    assert torch.allclose(manifold.score(x[:9], t) * t, manifold(x[:9], t) - x[:9])


def test_subspace_of_given_dimension():
    manifold = LinearManifold.of_dimension(3, 8, 2.0, seed=6)
    assert torch.linalg.matrix_rank(manifold.sample(50, seed=7)) == 3
    eigenvalues = spectra.spectrum(manifold, gaussian(1, 8, seed=0), 0.5)[0]
    assert torch.allclose(
        eigenvalues, torch.tensor([0.8] * 3 + [0.0] * 5, dtype=torch.float64), atol=1e-12
    )


def test_random_rotations_are_orthogonal():
    q = random_rotation(20, seed=8)
    assert torch.allclose(q @ q.T, torch.eye(20, dtype=torch.float64), atol=1e-12)


# The empirical denoiser
# ------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0.003, 0.05, 1.0])
def test_empirical_denoiser_against_loops(t):
    data = LinearManifold(EXAMPLE).sample(300, seed=9) + 5
    x = data[:20] + t**0.5 * gaussian(20, 30, seed=10)
    D = Empirical(data)
    weights, means, jacobians = brute_force(data, x, t)
    assert np.allclose(D.log_weights(x, t).exp(), weights, atol=1e-9)
    assert np.allclose(D(x, t), means, atol=1e-9)
    assert np.allclose(D.jacobian(x, t), jacobians, atol=1e-8)
    assert np.allclose(D.n_eff(x, t), 1 / (weights**2).sum(axis=1), rtol=1e-8)
    assert np.allclose(D.variance(x, t) / t, np.diagonal(jacobians, axis1=1, axis2=2), atol=1e-8)
    energies = ((data.numpy()[None] - x.numpy()[:, None]) ** 2).sum(axis=2) / (2 * t)
    assert np.allclose(D.weighted(x, t).log_z, np.log(np.exp(-energies).sum(axis=1)), atol=1e-8)


@pytest.mark.parametrize("t", [0.01, 0.1, 1.0, 10.0])
def test_jacobian_equals_automatic_differentiation(t):
    data = LinearManifold(EXAMPLE).sample(500, seed=11)
    D, x = Empirical(data), data[:10] + t**0.5 * gaussian(10, 30, seed=12)
    G, automatic = D.jacobian(x, t), spectra.forward_mode(D, x, t)
    assert (G - automatic).abs().max() <= 1e-10 * max(1, float(G.abs().max()))
    if 0.05 < t <= 1:
        assert G.abs().max() > 0.3  # of order 1: not a comparison of zeros
    assert torch.allclose(G, G.mT)


@pytest.mark.parametrize("t", [1e-12, 1e-9, 1e-6, 1e-3, 1.0, 1e6, 1e12])
def test_weights_are_finite_and_normalised_at_every_noise(t):
    data = LinearManifold(EXAMPLE).sample(100, seed=13)
    for D in (Empirical(data), Empirical(data[:1]), Empirical(data.float())):
        x = torch.cat([data[:5], gaussian(5, 30, seed=14), 1e3 * gaussian(5, 30, seed=15)])
        weights = D.log_weights(x, t).exp()
        assert torch.isfinite(weights).all()
        assert (weights.sum(dim=1) - 1).abs().max() < (
            1e-5 if D.precision == torch.float32 else 1e-12
        )
        n_eff = D.n_eff(x, t)
        assert (n_eff > 1 - 1e-5).all() and (n_eff < len(D.data) * (1 + 1e-5)).all()
        assert torch.isfinite(D.jacobian(x, t)).all()


def test_one_point_and_the_limits_of_noise():
    data = LinearManifold(EXAMPLE).sample(50, seed=16)
    x = gaussian(4, 30, seed=17)
    one = Empirical(data[:1])
    assert torch.equal(one(x, 0.3), data[:1].expand(4, -1)) and (one.jacobian(x, 0.3) == 0).all()
    D = Empirical(data)
    assert torch.allclose(D(x, 1e12), data.mean(dim=0).expand(4, -1), atol=1e-9)
    nearest = data[torch.cdist(x, data).argmin(dim=1)]
    assert torch.allclose(D(x, 1e-9), nearest)


def test_near_ties_share_as_stated():
    """Two points at equal distance r share the weight up to an error of about 1e-15 r^2/t in the
    exponent."""
    data = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [30.0, 40.0]], dtype=torch.float64)
    for t in (1e-1, 1e-4, 1e-8):
        weights = (
            Empirical(data).log_weights(torch.tensor([[0.0, 0.3]], dtype=torch.float64), t).exp()
        )
        assert abs(weights[0, 0] - 0.5) < max(1e-8, 1e-14 * 1.09 / t)


def test_invariances():
    data = LinearManifold(EXAMPLE).sample(200, seed=18)
    x, t = data[:8] + 0.2 * gaussian(8, 30, seed=19), 0.04
    base = Empirical(data)
    q, shift = random_rotation(30, seed=20), gaussian(30, seed=21)
    moved = Empirical(data @ q.T + shift)
    assert torch.allclose(moved(x @ q.T + shift, t), base(x, t) @ q.T + shift, atol=1e-9)
    assert torch.allclose(
        moved.jacobian(x @ q.T + shift, t), q @ base.jacobian(x, t) @ q.T, atol=1e-9
    )
    scaled = Empirical(3 * data)
    assert torch.allclose(scaled(3 * x, 9 * t), 3 * base(x, t))
    assert torch.allclose(scaled.jacobian(3 * x, 9 * t), base.jacobian(x, t))
    shuffled = Empirical(data[torch.randperm(200, generator=torch.Generator().manual_seed(0))])
    assert torch.allclose(shuffled(x, t), base(x, t))


def test_blocks_change_nothing_and_bound_the_memory(monkeypatch):
    data = LinearManifold(EXAMPLE).sample(3_000, seed=22)
    x, t = data[:40] + 0.2 * gaussian(40, 30, seed=23), 0.04
    whole, G = Empirical(data).weighted(x, t), Empirical(data).jacobian(x, t)
    monkeypatch.setattr(_softmax, "BLOCK_BYTES", 20_000)  # many blocks of queries and of data
    assert Empirical(data)._softmax.block_rows() < 200
    for ours, theirs in zip(Empirical(data).weighted(x, t), whole, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert torch.allclose(Empirical(data).jacobian(x, t), G, rtol=1e-12, atol=1e-12)


def test_points_at_a_collapse_keep_half():
    """Mean retention at points A crosses one half near t_C (within 10%: at 0.9 t_C below, at 1.1
    t_C above)."""
    manifold, N = LinearManifold(EXAMPLE), 1_000
    t_c = theory.collapse_time(EXAMPLE, N)
    means = {}
    for factor in (0.9, 1.1):
        t, kept = factor * t_c, []
        for seed in range(8):
            data = manifold.sample(N, seed=seed)
            x = data[:200] + t**0.5 * gaussian(200, 30, seed=100 + seed)
            population = (manifold.variances / (t + manifold.variances))[:7].sum()
            kept.append(
                float((Empirical(data).variance(x, t)[:, :7].sum(dim=1) / t / population).mean())
            )
        means[factor] = np.mean(kept), np.std(kept, ddof=1) / np.sqrt(8)
    assert means[0.9][0] + 2 * means[0.9][1] < 0.5 < means[1.1][0] - 2 * means[1.1][1], means


def test_own_weight_formula():
    """Measured own weight at points A is at least the formula's (Jensen), and close to it."""
    manifold = LinearManifold(EXAMPLE)
    for N, t, measured in ((1_000, 0.05, 0.38), (8_000, 0.01, 0.79)):
        own, bound = [], []
        for seed in range(8):
            data, xi = manifold.sample(N, seed=seed), gaussian(100, 30, seed=200 + seed)
            x = data[:100] + t**0.5 * xi
            own.append(float(Empirical(data).log_weights(x, t).exp().diagonal().mean()))
            bound.append(theory.own_weight(data[:100].numpy(), xi.numpy(), EXAMPLE, t, N).mean())
        assert np.mean(own) == pytest.approx(measured, abs=0.03)
        assert np.mean(bound) < np.mean(own) < np.mean(bound) + 0.15


# Spectra
# ------------------------------------------------------------------------------------


def test_methods_agree_where_the_denoiser_is_linear():
    manifold = LinearManifold(EXAMPLE, random_rotation(30, seed=24))
    x = gaussian(3, 30, seed=25)
    exact = spectra.spectrum(manifold, x, 0.1)
    assert torch.allclose(
        exact, torch.from_numpy(EXAMPLE / (0.1 + EXAMPLE)).expand(3, -1), atol=1e-10
    )
    assert torch.allclose(
        spectra.spectrum(manifold, x, 0.1, method="perturbation"), exact, atol=1e-10
    )
    assert torch.allclose(
        spectra.forward_mode(manifold, x, 0.1), manifold.jacobian(x, 0.1), atol=1e-12
    )


def test_a_small_kick_tends_to_the_exact_spectrum():
    """The perturbation is a finite kick: it differs from the Jacobian, and less where the denoiser
    is smoother."""
    data = LinearManifold(EXAMPLE).sample(200, seed=26)
    D = Empirical(data)
    gap = []
    for t in (1.0, 100.0, 10_000.0):
        x = data[:5] + 0.1 * gaussian(5, 30, seed=27)
        exact = spectra.spectrum(D, x, t)
        gap.append(
            float(
                (spectra.spectrum(D, x, t, method="perturbation") - exact).abs().max() / exact.max()
            )
        )
    assert gap[0] > gap[1] > gap[2] and gap[2] < 1e-3


def test_retention():
    manifold = LinearManifold(EXAMPLE, random_rotation(30, seed=28))
    G = manifold.jacobian(gaussian(4, 30, seed=0), 0.1)
    subspace = manifold.basis[:, :7]
    assert torch.allclose(spectra.retention(G, G, subspace), torch.ones(4, dtype=torch.float64))
    assert torch.allclose(
        spectra.retention(0.3 * G, G, subspace), torch.full((4,), 0.3, dtype=torch.float64)
    )
    turned = subspace @ random_rotation(7, seed=29)  # another basis of the same subspace
    H = G + 0.1 * gaussian(4, 30, 30, seed=30)
    assert torch.allclose(spectra.retention(H, G, turned), spectra.retention(H, G, subspace))


def test_alive_directions():
    """By hand for diagonal matrices; turning everything turns the directions; whitening removes any
    scale."""
    G = torch.diag(torch.tensor([0.9, 0.3, 0.1], dtype=torch.float64))[None]
    P = torch.diag(torch.tensor([1.0, 0.5, 0.5], dtype=torch.float64))
    found = spectra.alive(G, P)
    assert found.number.tolist() == [2] and torch.allclose(
        found.share[0], torch.tensor([1.0, 1.0, 0.0]).double()
    )
    assert spectra.alive(G, torch.eye(3)).number.tolist() == [1]
    assert spectra.alive(G, torch.eye(3), threshold=0.05).number.tolist() == [3]
    q, a = random_rotation(3, seed=34), gaussian(3, 3, seed=35)
    assert spectra.alive(q @ G @ q.T, q @ P @ q.T).number.tolist() == [2]
    assert torch.allclose(
        spectra.alive(a @ a.T @ torch.eye(3).double() * 0.6 + 0 * G, a @ a.T).number,
        found.number + 1,
    )
    # two points of any weights leave at most one direction
    D = Empirical(gaussian(2, 3, seed=36))
    assert (
        spectra.alive(D.jacobian(gaussian(50, 3, seed=37), 0.5), torch.eye(3)).number <= 1
    ).all()
    for call, message in (
        (lambda: spectra.alive(G[0], P), r"G has shape \(3, 3\)"),
        (
            lambda: spectra.alive(G, torch.zeros(3, 3)),
            "population has an eigenvalue 0; allowed are",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()


# Sampling
# ------------------------------------------------------------------------------------


def test_samples_of_the_empirical_denoiser_are_copies():
    data = LinearManifold(EXAMPLE).sample(100, seed=32)
    x = probability_flow(Empirical(data), 10 * gaussian(50, 30, seed=33), 100, 1e-6, steps=80)
    nearest = torch.cdist(x, data).sort(dim=1).values
    assert (nearest[:, 0] < 0.02 * nearest[:, 1]).float().mean() > 0.9


def test_nearest_ratio():
    data = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 10.0]], dtype=torch.float64)
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.5, 0.0]], dtype=torch.float64)
    assert torch.allclose(
        nearest_ratio(x, data), torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    )
    assert torch.allclose(nearest_ratio(7 * x, 7 * data), nearest_ratio(x, data))
    with pytest.raises(ValueError, match="data has 1 points, all equal"):
        nearest_ratio(x, data[:1])
    with pytest.raises(ValueError, match=r"x has shape \(3, 3\)"):
        nearest_ratio(np.zeros((3, 3)), data)


# Bad input
# ------------------------------------------------------------------------------------

MANIFOLD, DATA = LinearManifold([1.0, 0.5]), Empirical(gaussian(5, 2, seed=0))
GOOD_X = np.zeros((3, 2))
BAD_T = st.one_of(st.floats(max_value=0), st.just(float("nan")), st.just(float("inf")))
TAKES_X_AND_T = {
    "manifold": MANIFOLD,
    "manifold.jacobian": MANIFOLD.jacobian,
    "manifold.score": MANIFOLD.score,
    "empirical": DATA,
    "empirical.jacobian": DATA.jacobian,
    "empirical.score": DATA.score,
    "empirical.weighted": DATA.weighted,
    "empirical.variance": DATA.variance,
    "empirical.log_weights": DATA.log_weights,
    "spectrum": lambda x, t: spectra.spectrum(MANIFOLD, x, t),
    "forward_mode": lambda x, t: spectra.forward_mode(DATA, x, t),
    "probability_flow": lambda x, t: probability_flow(MANIFOLD, x, 1.0, t),
}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(TAKES_X_AND_T)), BAD_T)
def test_bad_noise_is_named(name, t):
    with pytest.raises(ValueError, match=r"^t is .*; allowed is one finite number above 0"):
        TAKES_X_AND_T[name](GOOD_X, t)


@pytest.mark.parametrize("name", TAKES_X_AND_T)
@pytest.mark.parametrize(
    "x", [np.zeros(2), np.zeros((3, 2, 1)), np.zeros((0, 2)), np.full((1, 2), np.nan), "points"]
)
def test_bad_points_are_named(name, x):
    with pytest.raises(ValueError, match=r"^x (is|has shape) .*; allowed (is|are) "):
        TAKES_X_AND_T[name](x, 0.5)
    if name not in ("spectrum", "forward_mode", "probability_flow"):
        with pytest.raises(ValueError, match=r"^x has shape \(3, 5\); allowed is \(n, 2\)"):
            TAKES_X_AND_T[name](np.zeros((3, 5)), 0.5)


def test_other_bad_input_is_named():
    G = MANIFOLD.jacobian(GOOD_X, 1.0)
    for call, message in (
        (
            lambda: LinearManifold([1.0, -1.0]),
            "variances is -1.0; allowed are finite numbers not below 0",
        ),
        (lambda: LinearManifold([]), r"variances has shape \(0,\)"),
        (lambda: LinearManifold([1.0, 1.0], np.ones((2, 2))), "basis is off orthogonality"),
        (lambda: LinearManifold([1.0, 1.0], np.eye(3)), r"basis has shape \(3, 3\)"),
        (
            lambda: LinearManifold.of_dimension(5, 3),
            "m is 5; allowed are whole numbers from 1 to 3",
        ),
        (lambda: MANIFOLD.sample(0), "n is 0; allowed are whole numbers from 1"),
        (lambda: Empirical(np.zeros((0, 3))), r"data has shape \(0, 3\)"),
        (lambda: Empirical(np.full((2, 3), np.inf)), "data is inf"),
        (lambda: DATA(GOOD_X, 1e-320), r"t is .*e-32\d; allowed, for points this far away"),
        (
            lambda: spectra.spectrum(MANIFOLD, GOOD_X, 1.0, method="guess"),
            "method is 'guess'; allowed are exact",
        ),
        (
            lambda: spectra.retention(G, G, np.eye(2)[:, :1].repeat(3, axis=1)),
            r"basis has shape \(2, 3\)",
        ),
        (lambda: spectra.retention(G[0], G, np.eye(2)), r"G has shape \(2, 2\)"),
        (
            lambda: probability_flow(MANIFOLD, GOOD_X, 0.1, 1.0),
            "t_start is 0.1; allowed are noise variances above",
        ),
        (lambda: probability_flow(MANIFOLD, GOOD_X, 1.0, 0.1, steps=0), "steps is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_measures_of_jacobians_take_numpy_and_judge_the_symmetric_part():
    G, P = gaussian(4, 3, 3, seed=1), torch.diag(torch.tensor([1.0, 0.5, 0.1])).double()
    lower = torch.tensor([[[0.0, 3.0], [0.0, 0.0]]])
    one, two = spectra.alive(lower, torch.eye(2)), spectra.alive(lower.mT, torch.eye(2))
    assert int(one.number) == int(two.number) == 1 and torch.allclose(one.share, two.share)
    each = spectra.alive(G, P.expand(4, 3, 3))
    assert all(map(torch.equal, each, spectra.alive(G, P))) and all(
        map(torch.equal, each, spectra.alive(G.numpy(), P.numpy()))
    )
    turned = torch.stack([random_rotation(3, seed=k) for k in range(4)])
    parts = [spectra.alive(G[k : k + 1], turned[k] @ P @ turned[k].T).number for k in range(4)]
    assert torch.equal(spectra.alive(G, turned @ P @ turned.mT).number, torch.cat(parts))
    B = turned[:, :, :2]
    assert torch.allclose(
        spectra.retention(G.numpy(), G.numpy(), B.numpy()), torch.ones(4).double()
    )
    assert torch.equal(spectra.asymmetry(np.zeros((1, 2, 2))), torch.zeros(1).double())
    assert spectra.asymmetry(torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])) == torch.inf
    for bad, says in (
        (lambda: spectra.retention(G, G[:3], B), r"population has shape \(3, 3, 3\)"),
        (lambda: spectra.retention(G, G, 2 * B), "basis is off orthonormality by 3"),
        (lambda: spectra.alive(G, -P), "population has an eigenvalue -1"),
        (lambda: spectra.alive(G, torch.eye(2)), "population has shape"),
        (lambda: spectra.alive(G, P, threshold=np.nan), "threshold is nan"),
        (lambda: spectra.asymmetry(np.full((1, 2, 2), np.nan)), "G is nan"),
        (lambda: spectra.largest_gap([[1.0, 0.5]], minimum=np.nan), "minimum is nan"),
    ):
        with pytest.raises(ValueError, match=says):
            bad()
    risen = torch.tensor([[1.0, 0.5, 0.5 + 1e-17, 0.0]], dtype=torch.float64)
    assert int(spectra.largest_gap(risen).rank) == 1
