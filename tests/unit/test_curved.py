"""Curved manifolds: quadrature and importance sampling against closed forms, brute force and each
other."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ive

from memolib import spectra, theory
from memolib.empirical import Empirical
from memolib.manifolds import (
    ChartManifold,
    GaussianMixture,
    HiddenManifold,
    LinearManifold,
    SphereManifold,
    chart,
    random_rotation,
)
from memolib.memorization import measured_collapse_time
from memolib.points import add_noise, gaussian

F_PLANE = torch.tensor([[1.0, 0.5], [-0.3, 1.0], [0.8, -1.0]], dtype=torch.float64)
LAWS = {
    "circle": ChartManifold.circle(),
    "torus": ChartManifold.torus(),
    "swiss roll": ChartManifold.swiss_roll(),
    "hidden": ChartManifold(lambda z: torch.tanh(z @ F_PLANE.T), ["normal", "normal"]),
}
EVERY_LAW = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)


def F_of(m, d, seed=0):
    return np.random.default_rng(seed).standard_normal((d, m)) / np.sqrt(m)


@pytest.mark.parametrize("t", [2.0, 0.1, 1e-3, 1e-5])
def test_circle_has_its_closed_form(t):
    """|D| = I_1(b)/I_0(b) along x, b = |x|/t; the sphere's integral is a second way to all
    results."""
    x, law, sphere = (
        0.5 + gaussian(4, 2, seed=0) * min(t, 0.5) ** 0.5,
        ChartManifold.circle(),
        SphereManifold([1, 1]),
    )
    b = x.norm(dim=1).numpy() / t
    assert np.allclose(law(x, t).norm(dim=1), ive(1, b) / ive(0, b), rtol=1e-10)
    for method, tolerance in (("jacobian", 1e-8), ("log_density", 1e-9), ("score", 1e-7)):
        assert torch.allclose(
            getattr(law, method)(x, t), getattr(sphere, method)(x, t), rtol=tolerance, atol=1e-7
        )
    assert torch.allclose(ChartManifold.circle(3.0)(3 * x, 9 * t), 3 * law(x, t), rtol=1e-9)


@pytest.mark.slow
@EVERY_LAW
@pytest.mark.parametrize("t", [0.3, 0.01])
def test_quadrature_against_a_million_samples(law, t):
    """Denoiser within five standard errors, Jacobian and density within one in a hundred."""
    x, sample = (
        add_noise(law.sample(6, seed=1), t, seed=2),
        Empirical(law.sample(1_000_000, seed=3)),
    )
    for k in range(len(x)):
        w = sample.log_weights(x[k : k + 1], t).exp()[0]
        mean = w @ sample.data
        error = (w**2 @ (sample.data - mean) ** 2).sqrt()
        assert (error < 0.02 * t**0.5).all() and (
            (law(x[k : k + 1], t)[0] - mean).abs() < 5 * error
        ).all()
    G = sample.jacobian(x, t)
    assert (law.jacobian(x, t) - G).abs().max() < 0.03
    assert (law.log_density(x, t) - sample.log_density(x, t)).abs().max() < 0.05


@EVERY_LAW
def test_finer_quadrature_changes_nothing(law, monkeypatch):
    x = add_noise(law.sample(20, seed=4), 0.02, seed=5)
    coarse, n = law(x, 0.02), len(law.quadrature(0.02).data)
    monkeypatch.setattr(chart, "SPACING", 0.35)
    monkeypatch.setattr(law, "_nodes", (0.0, None))
    fine = law(x, 0.02)
    assert len(law.quadrature(0.02).data) > 1.5 * n and (fine - coarse).abs().max() < 1e-9
    law._nodes = (0.0, None)


@pytest.mark.parametrize("t", [1.0, 0.05])
def test_flat_charts_are_linear_manifolds(t):
    values, vectors = np.linalg.eigh((F_PLANE @ F_PLANE.T).numpy())
    flat, x = LinearManifold(values.clip(0), vectors), gaussian(5, 3, seed=6)
    law = ChartManifold(lambda z: z @ F_PLANE.T, ["normal", "normal"])
    assert torch.allclose(law(x, t), flat(x, t), atol=1e-9)
    assert torch.allclose(law.jacobian(x, t), flat.jacobian(x, t), atol=1e-9)
    assert torch.allclose(law.log_density(x, t), flat.log_density(x, t), atol=1e-9)
    tangent = law.tangent(gaussian(4, 2, seed=7))
    assert np.allclose(tangent.variances, values[:0:-1]) and torch.allclose(
        tangent.basis @ tangent.basis.mT, torch.from_numpy(vectors[:, 1:] @ vectors[:, 1:].T)
    )
    sampled = HiddenManifold(F_PLANE, lambda y: y, samples=20_000).posterior(x, t)
    assert ((sampled.mean - flat(x, t)).abs() < 5 * sampled.error).all() and (
        sampled.error < 0.02 * t**0.5
    ).all()
    assert (sampled.log_density - flat.log_density(x, t)).abs().max() < 0.02
    assert (sampled.jacobian - flat.jacobian(x, t)).abs().max() < 0.06


@pytest.mark.parametrize("f", [torch.tanh, torch.sin, torch.nn.functional.softplus])
@pytest.mark.parametrize("t", [1.0, 0.1, 0.03])
def test_importance_sampling_agrees_with_quadrature(f, t):
    """Its stated error bounds its deviation, and is not far above it."""
    law = HiddenManifold(F_of(2, 5), f, samples=8_000)
    exact, x = ChartManifold(law.chart, law.latent), add_noise(law.sample(60, seed=8), t, seed=9)
    found = law.posterior(x, t)
    ratio = (found.mean - exact(x, t)) / found.error
    # a posterior of several maxima, as under the sine, may have one that the draws miss
    assert (ratio.abs() > 6).double().mean() < 0.01
    assert 0.2 < float((ratio**2).mean()) ** 0.5 < 1.2
    assert (found.log_density - exact.log_density(x, t)).abs().max() < 0.1
    assert (found.jacobian - exact.jacobian(x, t)).abs().mean() < 0.01
    assert torch.allclose(law.jacobian(x[:3], t), found.jacobian[:3]) and torch.allclose(
        law(x[:3], t), found.mean[:3]
    )


def test_importance_sampling_against_a_million_samples():
    law, t = HiddenManifold(F_of(5, 12)), 0.5
    x, sample = add_noise(law.sample(5, seed=10), t, seed=11), law.sample(1_000_000, seed=12)
    found = law.posterior(x, t)
    for k in range(len(x)):
        w = torch.softmax(-((x[k] - sample) ** 2).sum(dim=1) / (2 * t), dim=0)
        mean = w @ sample
        error = (w**2 @ (sample - mean) ** 2 + found.error[k] ** 2).sqrt()
        assert ((found.mean[k] - mean).abs() < 5 * error).all()
    assert (found.log_density - Empirical(sample).log_density(x, t)).abs().max() < 0.15


def test_tangent_spaces_of_the_torus():
    law, z = ChartManifold.torus(1.0, 0.4), ChartManifold.torus().latents(7, seed=13)
    tangent, out = law.tangent(z), 1 + 0.4 * torch.cos(z[:, 1])
    assert torch.allclose(tangent.variances[:, 0], out**2 * torch.pi**2 / 3)
    assert torch.allclose(tangent.variances[:, 1], torch.full_like(out, 0.16 * torch.pi**2 / 3))
    assert torch.allclose(tangent.log_density.exp(), 1 / (4 * torch.pi**2 * 0.4 * out))
    assert torch.allclose(
        tangent.basis.mT @ tangent.basis, torch.eye(2, dtype=torch.float64).expand(7, 2, 2)
    )
    step = law.chart(z + 1e-6 * torch.tensor([0.3, 1.0], dtype=torch.float64)) - law.chart(z)
    across = step - (tangent.basis @ (tangent.basis.mT @ step[:, :, None]))[:, :, 0]
    assert across.norm(dim=1).max() < 1e-5 * step.norm(dim=1).min()


@pytest.mark.parametrize("law", [*LAWS.values(), HiddenManifold(F_of(3, 6))])
def test_density_per_volume_is_the_limit_of_small_noise(law):
    """ln p_t(y) -> ln p(y) - (d-m)/2 ln(2 pi t), and jacobian -> the projection on the tangent
    space."""
    z, t = law.latents(200, seed=14), 0.002
    tangent, y = law.tangent(z), law.chart(z)
    d, m = tangent.basis.shape[1:]
    expected = tangent.log_density - (d - m) / 2 * np.log(2 * np.pi * t)
    assert (law.log_density(y, t) - expected).abs().median() < 0.05
    G = law.jacobian(y, t)
    assert (G - tangent.basis @ tangent.basis.mT).abs().amax(dim=(1, 2)).median() < 0.05


def test_hidden_manifold_keeps_the_linear_formula_up_to_curvature():
    law, t = HiddenManifold(0.1 * F_of(3, 40), samples=8_000), 0.02  # nearly flat: |y| is about 0.1
    z = law.latents(40, seed=15)
    tangent, G = law.tangent(z), law.jacobian(law.chart(z), t)
    found = (tangent.basis * (G @ tangent.basis)).sum(dim=1)
    # errors of single points are a few percent, of their mean half a percent
    flat = tangent.variances / (t + tangent.variances)
    assert (found.mean(dim=0) - flat.mean(dim=0)).abs().max() < 0.015
    assert flat.mean(dim=0).min() < 0.9


def test_tangent_spaces_of_the_sphere():
    s2 = np.r_[2.0, 1.0, 0.5, 0.3, 0.0]
    law = SphereManifold(s2, random_rotation(5, seed=16))
    y = law.sample(200_000, seed=17)
    tangent = law.tangent(y)
    assert tangent.basis.shape == (200_000, 5, 3)
    assert torch.einsum("nd,ndm->nm", y, tangent.basis).abs().max() < 1e-7
    # the unit sphere in four dimensions has area 2 pi^2
    share = torch.exp(-tangent.log_density) / (2 * np.pi**2)
    assert abs(float(share.mean()) - 1) < 5 * float(share.std()) / len(y) ** 0.5 < 0.03
    uniform = SphereManifold(np.ones(6)).tangent(
        y[:3, [0, 1, 2, 3, 4, 4]] * 0 + torch.eye(6, dtype=torch.float64)[:3]
    )
    assert torch.allclose(uniform.variances, torch.full((3, 5), 1 / 6, dtype=torch.float64))
    assert torch.allclose(
        uniform.log_density.exp(), torch.full((3,), 1 / np.pi**3, dtype=torch.float64)
    )
    t = 1e-3
    # two directions across: along y, and the empty one
    expected = tangent.log_density[:50] - np.log(2 * np.pi * t)
    assert (law.log_density(y[:50], t) - expected).abs().median() < 0.02


@EVERY_LAW
def test_limits_and_rotation(law):
    z = law.latents(6, seed=18)
    y, q = law.chart(z), random_rotation(law.d, seed=19)
    centre = law.sample(400_000, seed=20).mean(dim=0)
    assert torch.allclose(law(y, 1e6), centre.expand_as(y), atol=0.01)
    assert torch.allclose(law(y, 0.002), y, atol=0.05)
    turned = ChartManifold(lambda z: law.chart(z) @ q.T, law.latent)
    assert torch.allclose(turned(y @ q.T, 0.05), law(y, 0.05) @ q.T)
    assert law(y.float(), 0.05).dtype == torch.float32


@pytest.mark.slow
@pytest.mark.parametrize("N", [100, 5_000])
def test_collapse_time_by_information(N):
    law = LinearManifold(np.r_[[1.0] * 2, [0.3] * 5, [0.0] * 3] ** 2, random_rotation(10, seed=21))
    exact = theory.collapse_time(law.variances, N)
    runs = [
        measured_collapse_time(law.sample(500, seed=k), law, N, seed=100 + k) for k in range(12)
    ]
    deviations = np.array([(run.t - exact) / run.error for run in runs])
    assert (
        np.abs(deviations).max() < 4
        and 0.5 < deviations.std() < 1.7
        and runs[0].error < 0.1 * exact
    )
    circle = ChartManifold.circle()
    found = measured_collapse_time(circle.sample(2_000, seed=22), circle, N, seed=23)
    assert found.t == pytest.approx(
        theory.local_collapse_time(-np.log(2 * np.pi), 1, N), abs=4 * found.error
    )


def test_collapse_time_of_clusters_is_beyond_their_plateau():
    """Two narrow clusters: the information stands at ln 2 over many decades before it rises
    again."""
    law = GaussianMixture([[50.0, 0.0], [-50.0, 0.0]], [1e-6, 1e-6])
    found = measured_collapse_time(law.sample(400, seed=30), law, 10, seed=31)
    assert found.t == pytest.approx(theory.collapse_time([1e-6, 1e-6], 5), abs=4 * found.error)
    assert 0 < found.error < 0.2 * found.t


@pytest.mark.parametrize(
    "f, share", [(torch.tanh, 1.0), (torch.sin, 0.99), (lambda y: torch.tanh(8 * y), 0.98)]
)
def test_the_most_probable_coordinates_are_found(f, share):
    """At points A the mode found is at least as probable as the z that made them, but for rare
    points."""
    law, t = HiddenManifold(gaussian(30, 5, seed=4) / 5**0.5, f, samples=500), 0.1
    z = law.latents(400, seed=32)
    x = add_noise(law.chart(z), t, seed=33)
    energies = [
        ((x - law.chart(v)) ** 2).sum(dim=1) / (2 * t) + (v**2).sum(dim=1) / 2
        for v in (law._laplace(x, t)[0], z)
    ]
    assert (energies[0] <= energies[1] + 1e-6).double().mean() >= share


def test_local_collapse_time_is_the_small_noise_limit():
    s2, y = np.array([1.0, 0.5, 0.2]), gaussian(20, 3, seed=24).numpy() * np.sqrt([1.0, 0.5, 0.2])
    log_density = -((y**2 / s2 + np.log(2 * np.pi * s2)).sum(axis=1)) / 2
    for k, t in enumerate(theory.local_collapse_time(log_density, 3, 1e7)):
        nats = (
            np.log1p(s2 / t) + (y[k] ** 2 + t) / (t + s2) - 1
        ).sum() / 2  # information density, mean over noise
        assert nats == pytest.approx(np.log(1e7), abs=5e-3)


def test_a_prior_is_a_number_of_copies(monkeypatch):
    y, x = gaussian(40, 3, seed=25), gaussian(9, 3, seed=26)
    copies = torch.arange(40) % 3 + 1.0
    monkeypatch.setattr("memolib._softmax.BLOCK_BYTES", 16 * 8 * 7)  # seven rows of data at a time
    weighted, repeated = (
        Empirical(y, copies.double() / copies.sum()),
        Empirical(y.repeat_interleave(copies.int(), dim=0)),
    )
    for t in (3.0, 0.05, 1e-9):
        for method in ("__call__", "jacobian", "log_density", "variance"):
            assert torch.allclose(
                getattr(weighted, method)(x, t), getattr(repeated, method)(x, t), atol=1e-9
            )
    even = Empirical(y, np.full(40, 1 / 40))
    assert torch.allclose(even.n_eff(x, 0.1), Empirical(y).n_eff(x, 0.1))
    assert torch.allclose(even.log_weights(x, 0.1), Empirical(y).log_weights(x, 0.1))


def test_retention_takes_a_basis_for_each_point():
    law, t = ChartManifold.torus(), 0.01
    z, D = law.latents(5, seed=27), Empirical(law.sample(300, seed=28))
    x, basis = add_noise(law.chart(z), t, seed=29), law.tangent(z).basis
    G, exact = D.jacobian(x, t), law.jacobian(x, t)
    one_by_one = [spectra.retention(G[k : k + 1], exact[k : k + 1], basis[k]) for k in range(5)]
    assert torch.allclose(spectra.retention(G, exact, basis), torch.cat(one_by_one))
    with pytest.raises(ValueError, match=r"G has shape \(4, 3, 3\); allowed is \(5, 3, 3\)"):
        spectra.retention(G[:4], exact[:4], basis)


# of its three coordinates two need fewer nodes than an axis has at least
ROD = ChartManifold(lambda z: torch.cat([z[:, :1], z[:, 1:] / 1_000], dim=1), ["unit"] * 3)


@given(st.sampled_from([0.0, -1.0, float("nan"), float("inf")]))
def test_bad_numbers_are_named(bad):
    for call, name in (
        (lambda: ChartManifold.circle(bad), "radius"),
        (lambda: ChartManifold.torus(bad), "radius"),
        (lambda: ChartManifold.torus(1, bad), "tube"),
        (lambda: ChartManifold.swiss_roll(bad), "turns"),
        (lambda: ChartManifold.swiss_roll(1, bad), "width"),
        (lambda: LAWS["circle"](np.zeros((1, 2)), bad), "t"),
        (lambda: HiddenManifold(F_of(2, 3), samples=bad), "samples"),
        (lambda: theory.local_collapse_time(0.0, 1, bad), "N"),
        (lambda: Empirical(np.zeros((2, 1)), [1.0, bad]), "prior"),
    ):
        with pytest.raises(ValueError, match=f"^{name} "):
            call()


@pytest.mark.parametrize("law", [ChartManifold.circle(), ChartManifold.torus(2, 0.5), ROD])
def test_the_least_noise_that_is_named_is_enough(law, monkeypatch):
    """Also where an axis has its fewest nodes and the others have all the rest."""
    monkeypatch.setattr("memolib.manifolds.chart.MAX_NODES", 48**3)
    monkeypatch.setattr(law, "_nodes", (None, None))
    with pytest.raises(ValueError, match="t is 1e-12; allowed") as refused:
        law.quadrature(1e-12)
    least = float(re.search(r"is (\S+) or more", str(refused.value))[1])
    assert len(law.quadrature(1.01 * least).data) <= 48**3
    with pytest.raises(ValueError, match="allowed, for quadrature"):
        law.quadrature(0.95 * least)


def test_bad_laws_are_named():
    circle = LAWS["circle"]
    for call, message in (
        (lambda: ChartManifold(lambda z: z, []), "latent is"),
        (
            lambda: ChartManifold(lambda z: z, "normal"),
            "latent is 'normal'; allowed are sequences of angle, unit",
        ),
        (lambda: ChartManifold(lambda z: z, ["gauss"]), "latent is"),
        (lambda: ChartManifold(lambda z: z[:3], ["unit"]), r"chart\(z\) has shape \(3, 1\)"),
        (
            lambda: ChartManifold.torus(1.0, 1.5),
            "tube is 1.5; allowed are numbers below the radius, 1",
        ),
        (lambda: circle(np.zeros((1, 3)), 0.1), r"x has shape \(1, 3\)"),
        (
            lambda: circle(np.zeros((1, 2)), 1e-14),
            "t is 1e-14; allowed, for quadrature on this manifold, is",
        ),
        (lambda: circle.tangent(np.zeros((1, 2))), r"z has shape \(1, 2\)"),
        (lambda: circle.latents(0), "n is 0"),
        (
            lambda: LAWS["torus"](np.zeros((1, 3)), 1e-9),
            "t is 1e-09; allowed, for quadrature on this manifold, is",
        ),
        (
            lambda: ChartManifold(lambda z: z, ["angle"] * 4).quadrature(10.0),
            "latent has 4 entries; allowed, for",
        ),
        (lambda: HiddenManifold(np.zeros(3)), r"F has shape \(3,\)"),
        (
            lambda: HiddenManifold(np.eye(80), samples=100),
            "samples is 100; allowed are whole numbers from 160",
        ),
        (
            lambda: HiddenManifold(F_of(2, 3), seed=-1),
            "seed is -1; allowed are whole numbers from 0",
        ),
        (
            lambda: HiddenManifold(F_of(2, 3)).posterior(np.zeros((1, 2)), 0.1),
            r"x has shape \(1, 2\)",
        ),
        (lambda: SphereManifold([1.0, 1.0]).tangent(np.zeros((1, 3))), r"y has shape \(1, 3\)"),
        (
            lambda: measured_collapse_time(np.zeros((1, 2)), circle, 10),
            "y has 1 points, all equal; allowed are two or more that are not",
        ),
        (
            lambda: measured_collapse_time(np.ones((3, 2)), circle, 1),
            "N is 1.0; allowed are finite numbers above 1",
        ),
        (
            lambda: measured_collapse_time(np.ones((3, 2)), circle, 10),
            "y has 3 points, all equal; allowed are",
        ),
        (
            lambda: measured_collapse_time(np.eye(5), Empirical(np.eye(5)), 10),
            "N is 10; allowed, with a pool of 5 data",
        ),
        (
            lambda: measured_collapse_time(np.eye(5), Empirical(np.eye(5)), 5),
            "N is 5; allowed, with a pool of 5 data",
        ),
        (
            lambda: Empirical(np.zeros((2, 1)), [0.5, 0.4]),
            r"prior has shape \(2,\), sum 0.9; allowed is \(2,\), 1",
        ),
        (lambda: Empirical(np.zeros((2, 1)), [1.0]), r"prior has shape \(1,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
