"""Curved data laws: exact denoisers against closed forms, brute-force averages, invariances and
limits."""

import numpy as np
import pytest
import torch
from scipy.special import ive

from memolib import spectra, theory
from memolib.empirical import Empirical
from memolib.manifolds import EXAMPLE, LinearManifold, SphereManifold, random_rotation
from memolib.points import add_noise, gaussian


@pytest.mark.parametrize("d", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("t", [1e-6, 1e-3, 0.1, 1.0])
def test_uniform_sphere_is_von_mises_fisher(d, t):
    """For equal variances |D| = I_{d/2}(b)/I_{d/2-1}(b), b = |x|/t, along x."""
    x = gaussian(3, d, seed=0)
    b = x.norm(dim=1).numpy() / t
    D = SphereManifold(np.full(d, 2.3))(x, t)
    assert np.allclose(D.norm(dim=1), ive(d / 2, b) / ive(d / 2 - 1, b), rtol=1e-11)
    assert torch.allclose(
        torch.nn.functional.cosine_similarity(D, x), torch.ones(3, dtype=torch.float64)
    )


@pytest.mark.parametrize("t", [2.0, 0.3])
def test_sphere_against_a_brute_force_average(t):
    """Denoiser and Jacobian against averages over a million samples, within five standard
    errors."""
    law = SphereManifold(EXAMPLE, random_rotation(30, seed=1))
    y, x = law.sample(1_000_000, seed=2), add_noise(law.sample(1, seed=3), t, seed=4)
    assert torch.allclose(y.norm(dim=1), torch.ones(len(y), dtype=torch.float64))
    w = torch.softmax(y @ x[0] / t, dim=0)
    mean = w @ y
    error = (w**2 @ (y - mean) ** 2).sqrt()
    assert (error < 1e-3).all() and ((law(x, t)[0] - mean).abs() < 5 * error).all()
    G = (y - mean).T @ ((y - mean) * w[:, None]) / t
    assert (law.jacobian(x, t)[0] - G).abs().max() < 5e-3


def test_sphere_jacobian_is_the_derivative_and_the_score_its_root():
    law = SphereManifold(EXAMPLE, random_rotation(30, seed=5))
    x = add_noise(law.sample(4, seed=6), 0.1, seed=7)
    G = law.jacobian(x, 0.1)
    assert torch.allclose(G, spectra.forward_mode(law, x, 0.1), atol=1e-11) and G.abs().max() > 0.1
    assert torch.allclose(law.score(x, 0.1) * 0.1, law(x, 0.1) - x)
    assert law(x.float(), 0.1).dtype == torch.float32


def test_sphere_can_be_differentiated_at_the_origin():
    law, origin, t = SphereManifold([1, 0.5, 0.1]), torch.zeros(1, 3, dtype=torch.float64), 0.3
    G = law.jacobian(origin, t)
    assert torch.allclose(spectra.forward_mode(law, origin, t), G)
    curvature = torch.func.hessian(lambda x: law.log_density(x[None], t)[0])(origin[0])
    assert torch.allclose(curvature, (G[0] - torch.eye(3)) / t)
    x = origin.clone().requires_grad_()
    assert torch.equal(torch.autograd.grad(law.log_density(x, t).sum(), x)[0], origin)


def test_tangent_spaces_of_small_spheres():
    """The two points of a line have none; single precision is taken as it is."""
    basis, variances, log_density = SphereManifold([1, 0, 0]).tangent([[1.0, 0, 0]])
    assert (
        basis.shape == (1, 3, 0)
        and variances.shape == (1, 0)
        and log_density.exp() == pytest.approx(0.5)
    )
    circle = SphereManifold([1, 1, 0]).tangent(torch.tensor([[1.0, 0, 0]]))
    assert torch.allclose(circle.basis[0, :, 0].abs(), torch.tensor([0.0, 1, 0]).double())
    assert circle.variances[0, 0] == pytest.approx(0.5)


def test_sphere_at_the_origin_and_in_its_limits():
    origin, law = torch.zeros(1, 30, dtype=torch.float64), SphereManifold(EXAMPLE)
    G = law.jacobian(origin, 0.2)[0]
    assert np.allclose(G.diagonal() * 0.2, theory.sphere_variances(EXAMPLE), rtol=1e-10)
    assert torch.count_nonzero(G - torch.diag(G.diagonal())) == 0 and (law(origin, 0.2) == 0).all()
    # no noise: a point near the sphere is moved onto it, along the radius; much noise: to the mean,
    # 0
    y = law.sample(5, seed=8)
    assert torch.allclose(law(1.001 * y, 1e-9), y, atol=1e-6)
    assert law(y, 1e9).norm() < 1e-8
    # one dimension: y = +-1
    x = gaussian(4, 1, seed=9)
    assert torch.allclose(SphereManifold([3.0])(x, 0.5), torch.tanh(x / 0.5))


@pytest.mark.parametrize(
    "law", [LinearManifold([1.0, 0.2], random_rotation(2, seed=13)), SphereManifold([1.0, 0.2])]
)
def test_densities_are_normalised_and_have_the_score_as_gradient(law):
    grid = torch.linspace(-5, 5, 101, dtype=torch.float64)
    x = torch.cartesian_prod(grid, grid)
    assert float(law.log_density(x, 0.1).exp().sum()) * 0.1**2 == pytest.approx(1, abs=1e-6)
    x = add_noise(law.sample(5, seed=14), 0.1, seed=15).requires_grad_()
    (gradient,) = torch.autograd.grad(law.log_density(x, 0.1).sum(), x)
    assert torch.allclose(gradient, law.score(x.detach(), 0.1), atol=1e-8)
    data = law.sample(7, seed=16)  # a mixture of seven Gaussians
    x, empirical = x.detach(), Empirical(data)
    by_hand = torch.exp(-(torch.cdist(x, data) ** 2) / 0.2).mean(dim=1) / (2 * np.pi * 0.1)
    assert torch.allclose(empirical.log_density(x, 0.1).exp(), by_hand)


def test_sphere_invariances():
    q, x = random_rotation(30, seed=10), gaussian(3, 30, seed=11)
    law = SphereManifold(EXAMPLE)
    assert torch.allclose(SphereManifold(EXAMPLE, q)(x @ q.T, 0.3), law(x, 0.3) @ q.T)
    assert torch.allclose(SphereManifold(7 * EXAMPLE)(x, 0.3), law(x, 0.3))
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(SphereManifold(EXAMPLE[order])(x[:, order], 0.3), law(x, 0.3)[:, order])
    flat = SphereManifold(np.r_[EXAMPLE[:7], np.zeros(3)])  # a direction without extent stays empty
    assert (flat(gaussian(3, 10, seed=12), 0.3)[:, 7:] == 0).all()


def test_bad_laws_are_named():
    for call, message in (
        (lambda: SphereManifold([0.0, 0.0]), "variances is 0 in all directions; allowed are"),
        (
            lambda: SphereManifold([1.0, -1.0]),
            "variances is -1.0; allowed are finite numbers not below 0",
        ),
        (lambda: SphereManifold([1.0, 1.0], np.ones((2, 2))), "basis is off orthogonality"),
        (lambda: SphereManifold([1.0, 1.0])(np.zeros((2, 3)), 1.0), r"x has shape \(2, 3\)"),
        (
            lambda: SphereManifold([1.0, 1.0])(np.zeros((2, 2)), 0.0),
            "t is 0.0; allowed is one finite number above 0",
        ),
        (lambda: SphereManifold([1.0, 1.0]).sample(0), "n is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
