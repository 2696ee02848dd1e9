"""What stands beside the formulas: defaults, second fields, bounds that are promised.

Each of these tests fails where a change of the code was found that no other test saw.
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from memolib import as_denoiser, normal_bundle_dimension, spectra, theory
from memolib._softmax import Softmax
from memolib.empirical import Empirical
from memolib.manifolds import (
    ChartManifold,
    HiddenManifold,
    LinearManifold,
    SphereManifold,
    hidden,
)
from memolib.memorization import (
    copies,
    copy_threshold,
    measured_collapse_time,
    nearest_ratio,
    profile,
)
from memolib.points import gaussian


def test_a_swiss_roll_has_its_turns_radii_and_width():
    """The radius grows from 1/3 to 1 while the angle makes the stated turns; the width is along."""
    law = ChartManifold.swiss_roll(turns=1.25, width=3.0)
    z = torch.tensor([[0.0, 0.0], [0.2, 0.5], [1.0, 1.0]], dtype=torch.float64)
    y = law.chart(z)
    assert y[:, :2].norm(dim=1).numpy() == pytest.approx([1 / 3, 1.4 / 3, 1.0])
    # A quarter of a turn after 1/5 of the way, and after all of it one turn and a quarter.
    assert y[:, 0].numpy() == pytest.approx([1 / 3, 0.0, 0.0], abs=1e-12)
    assert y[:, 1].numpy() == pytest.approx([0.0, 1.4 / 3, 1.0], abs=1e-12)
    assert y[:, 2].tolist() == [0.0, 1.5, 3.0]
    assert torch.equal(
        ChartManifold.swiss_roll().chart(z), ChartManifold.swiss_roll(1.5, 1).chart(z)
    )


@pytest.mark.parametrize("kind", ["angle", "unit", "normal"])
def test_local_variances_are_those_of_the_coordinates_that_are_drawn(kind):
    """Of a flat chart, the tangent's variances are the variances of data."""
    slopes = torch.tensor([[3.0, 0.0], [0.0, 0.5], [0.0, 0.0]]).double()
    law = ChartManifold(lambda z: z @ slopes.T.to(z), [kind, kind])
    found = law.tangent([[0.3, 0.4]])
    drawn = law.sample(20_000, seed=0).var(dim=0)[:2]
    assert torch.allclose(found.variances[0], drawn, rtol=0.05)  # its error is below 1%
    volume = {"angle": 4 * np.pi**2, "unit": 1.0, "normal": 2 * np.pi * math.exp(0.125)}[kind]
    assert float(found.log_density) == pytest.approx(-np.log(volume * 1.5))
    axes = torch.eye(3, 2, dtype=torch.float64)
    assert torch.allclose(found.basis[0].abs(), axes, atol=1e-12)


def test_local_variances_of_a_sphere_are_over_the_mean_square_of_the_norm():
    """The norm's law in a direction is integrated; the variances across it are by hand."""
    s2, y = np.array([4.0, 2.0, 1.0]), np.array([0.0, 0.6, 0.8])
    size = (y**2 / s2).sum()
    parts = [quad(lambda r, p=p: r**p * np.exp(-(r**2) * size / 2), 0, 40)[0] for p in (4, 2)]
    across = np.array([4.0, 2 * 0.64 + 1 * 0.36])  # along (1, 0, 0) and (0, 0.8, -0.6)
    found = SphereManifold(s2).tangent(y[None])
    assert found.variances[0].numpy() == pytest.approx(across / (parts[0] / parts[1]), rel=1e-6)
    assert np.abs(found.basis[0, :, 0].numpy()) == pytest.approx([1.0, 0.0, 0.0], abs=1e-9)


def test_the_linearised_posterior_of_a_linear_chart_is_the_posterior():
    """Mode and covariance of the hidden coordinates are ridge regression's, whatever the noise."""
    F, t = gaussian(5, 3, seed=1), 2.0
    law = HiddenManifold(F, lambda y: y, samples=200, seed=0)
    x = 3 * gaussian(6, 5, seed=2)
    mode, root = law._laplace(x, t)
    covariance = torch.linalg.inv(F.T @ F / t + torch.eye(3))
    assert torch.allclose(mode, x @ F @ covariance / t, atol=5e-3)  # it stops within 1e-6 nats
    assert torch.allclose(root @ root.mT, covariance.expand(6, -1, -1), atol=1e-12)


def test_a_manifold_of_stated_dimension_has_variance_1_where_none_is_stated():
    assert LinearManifold.of_dimension(2, 5, seed=0).variances.tolist() == [1, 1, 0, 0, 0]
    assert LinearManifold.of_dimension(1, 2, 3.0, seed=0).variances.tolist() == [3, 0]


@pytest.mark.parametrize("dtype, error", [(torch.float64, 1e-11), (torch.float32, 1e-6)])
def test_data_left_out_of_a_covariance_add_less_than_is_promised(dtype, error):
    """Data far out in the direction of the mean: of little weight, but far from the others."""
    y = torch.tensor([[1.0, 0.0], [2.0, 0.0], [-3.0, 0.0], [0.2, 0.0], [-0.2, 0.0]]).to(dtype)
    for u in range(8, 80, 3):  # squared distances over t
        t = 1 / u
        ((rows, weights),) = Softmax(y, None).carriers_of_spread(y[:1], t)
        squares = ((y - y[0]).double() ** 2).sum(dim=1)
        shares = torch.softmax(-squares / (2 * t), dim=0)
        mean = shares @ y.double()
        adds = shares * ((y.double() - mean) ** 2).sum(dim=1) / t
        left = [k for k in range(len(y)) if k not in rows.tolist()]
        assert float(adds[left].sum()) < error, u
        assert float(weights.sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_exponents_of_half_precision_are_never_from_scalar_products(dtype):
    """However large t is."""
    softmax = Softmax(gaussian(8, 3, seed=0).to(dtype), None)
    assert softmax.rounds(softmax.data, 1e3) and softmax.data_alone_round(1e3)
    for rows, exponents in softmax.carriers(softmax.data, 1e3):
        assert exponents.dtype == torch.float64 and len(rows) == 8


def test_variances_are_never_negative():
    """Also where one datum has all the weight, and rounding alone is left."""
    y = gaussian(50, 4, seed=0)
    for D in (Empirical(y), Empirical(y.float() + 10)):
        for t in np.geomspace(1e-4, 0.1, 13):
            assert (D.variance(D.data, t) >= 0).all()


def test_the_profile_is_that_of_the_empirical_denoiser():
    """Own weight and participation at the same noisy points, at every t, by the other way."""
    y, times = gaussian(40, 3, seed=3), [0.05, 0.3, 2.0]
    seen = profile(y, times, n=7, seed=np.random.default_rng(5))
    noise = gaussian(7, 3, seed=np.random.default_rng(5))
    D = Empirical(y)
    for k, t in enumerate(times):
        x = y[:7] + t**0.5 * noise
        own = D.log_weights(x, t).exp()[range(7), range(7)]
        assert torch.allclose(seen.log_odds[k].sigmoid(), own, rtol=1e-6, atol=1e-12)
        assert torch.allclose(1 / seen.participation[k], D.n_eff(x, t), rtol=1e-6)
        others = (own / (1 - own)).log() + math.log(39)
        assert torch.allclose(seen.information()[k], others, atol=1e-6)


@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-3), (torch.float16, 1e-2)]
)
def test_a_profile_is_refused_where_rounding_passes_the_tolerance(dtype, tolerance):
    """Of exponents: eps times the largest square of the centred data, over 2t."""
    y = torch.tensor([[11.0, 4.0], [7.0, 4.0], [6.0, 4.0]]).to(dtype)  # 3, -1, -2 from 8
    lowest = 9 * torch.finfo(dtype).eps / (2 * tolerance)
    profile(y, [1.01 * lowest], seed=0)
    with pytest.raises(ValueError, match=r"t is .*values of"):
        profile(y, [0.99 * lowest], seed=0)


def test_the_search_starts_from_the_most_probable_places_tried(monkeypatch):
    """Without steps, the answer is the best of the starts, noise and prior weighed as they are."""
    law, t = HiddenManifold(gaussian(4, 2, seed=1), samples=200, seed=0), 0.3
    x = torch.cat([gaussian(20, 4, seed=2), 0.1 * gaussian(20, 4, seed=3)])
    monkeypatch.setattr(hidden, "STEPS", 0)
    found, _ = law._laplace(x, t)
    away = ((x[:, None] - law.chart(law._starts)) ** 2).sum(dim=2)
    energies = away / (2 * t) + (law._starts**2).sum(dim=1) / 2
    assert torch.equal(found, law._starts[energies.argmin(dim=1)])


def test_few_data_do_not_decide_between_conventions():
    """Half of x, stated as the data: on four points, noise of that variance fits better by chance.

    On many points it fits better by more than its error allows, and the model is refused.
    """
    with pytest.raises(ValueError, match="predicts='noise', time='variance' would leave"):
        as_denoiser(lambda x, t: x / 2, data=gaussian(256, 2, seed=0))
    data = gaussian(4, 2, seed=0)
    for share in (0.5, 0.9):
        D = as_denoiser(lambda x, t, share=share: share * x, data=data)
        assert D(data, 1.0).equal(share * data)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_spectra_at_points_of_half_precision_are_in_single(dtype):
    """Eigenvalue routines ask for it."""
    law, x = LinearManifold([4.0, 1.0, 0.0]), torch.zeros(1, 3, dtype=dtype)
    bent = spectra.spectrum(law, x, 1.0, method="perturbation")
    assert bent.dtype == torch.float32
    assert bent[0].tolist() == pytest.approx([0.8, 0.5, 0.0], abs=1e-6)
    assert spectra.normal_bundle(law, x, 0.01, seed=0).dtype == torch.float32
    assert spectra.stacked(law, x, 0.01, seed=0).values.dtype == torch.float32
    assert spectra.leading(law, x, 1.0, 1, seed=0).values.dtype == torch.float32


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_eigenvalues_may_rise_by_rounding_of_the_largest(scale):
    """By ten roundings, in whatever unit they are."""
    eps = torch.finfo(torch.float64).eps
    rising = scale * torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    rising[0, 2] = 9 * eps * scale
    assert spectra.largest_gap(rising, minimum=scale / 2).rank.tolist() == [1]
    rising[0, 2] = 11 * eps * scale
    with pytest.raises(ValueError, match="not falling"):
        spectra.largest_gap(rising)


def test_a_copy_lies_below_the_threshold_and_not_on_it():
    """Of 101 fresh points a hundredth is exceeded by all but one, and reached by one more."""
    data, fresh = gaussian(30, 3, seed=0), gaussian(101, 3, seed=1)
    ratios = nearest_ratio(fresh, data)
    threshold = copy_threshold(data, fresh)  # level=0.01 where nothing is said
    assert float(threshold) == pytest.approx(float(ratios.sort().values[1]))
    assert torch.equal(copies(fresh, data, fresh), (ratios < threshold).double())
    data, fresh = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.25], [0.25], [0.25]])
    assert copies(fresh, data, fresh).tolist() == [0, 0, 0]  # all on it
    assert copies([[0.2], [0.4]], data, fresh).tolist() == [1, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_effective_number_of_data_is_from_1_to_all(dtype):
    """Exactly, also where rounding is all that could take it outside."""
    D = Empirical(gaussian(1_000, 5, seed=0).to(dtype))
    for t in (1e-2, 1e2, 1e4, 1e6):
        assert 1 <= float(D.n_eff(D.data[:50], t).min())
        assert float(D.n_eff(D.data[:50], t).max()) <= 1_000


def test_a_direction_at_the_threshold_is_not_alive():
    G = torch.diag(torch.tensor([0.75, 0.5, 0.25]))[None]
    assert spectra.alive(G, torch.eye(3)).number.tolist() == [1]  # above 0.5 where nothing is said
    assert spectra.alive(G, torch.eye(3), threshold=0.25).number.tolist() == [2]


@pytest.mark.parametrize("d, copies", [(6, 256), (70, 280)])
def test_the_gap_of_stacked_scores_is_of_as_many_copies_as_stated(d, copies):
    """Between singular values; half of what is expected across a manifold is asked for."""
    law = LinearManifold([1.0] * 2 + [0.0] * (d - 2))
    x = law.sample(2, seed=0)
    found = normal_bundle_dimension(law, x, 0.01, seed=1)
    kept = spectra.normal_bundle(law, x, 0.01, copies=copies, seed=1)
    steps = (1 - kept.clamp(0, 1)).sqrt().diff(dim=1)
    assert torch.allclose(found.size, steps.amax(dim=1))
    assert found.rank.tolist() == [2, 2]
    least = (1 - (d / copies) ** 0.5) / 2
    for t in (0.3, 0.6, 1.0, 2.0, 4.0, 8.0):  # there the gap closes
        found = normal_bundle_dimension(law, x, t, seed=1)
        assert torch.equal(found.rank > 0, found.size >= least), t


@pytest.mark.parametrize("t", [0.5, 1e-9])
@pytest.mark.parametrize("prior", [None, [0.2, 0.3, 0.5]])
def test_logarithms_of_weights_have_derivatives_at_every_noise(t, prior):
    """Of weight i it is ``(y_i - D)/t``, also where t is so small that differences are taken."""
    y = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, -1.0]], dtype=torch.float64)
    D, apart = Empirical(y, prior), y[1] - y[0]
    # Between the first two, off their middle by so little that both have weight.
    x = ((y[0] + y[1]) / 2 + 0.3 * t * apart / apart.square().sum())[None]
    wanted = D.log_weights(x, t)
    x.requires_grad_()
    logs = D.log_weights(x, t)
    assert torch.allclose(logs.exp(), wanted.exp(), atol=1e-6)
    assert 0.2 < float(logs[0, 0].exp().detach()) < 0.8
    for k in range(2):
        (slope,) = torch.autograd.grad(logs[0, k], x, retain_graph=True)
        assert torch.allclose(t * slope, y[k] - D(x.detach(), t), atol=1e-6)


def test_a_models_data_are_tried_within_its_schedule():
    """Of which neither 1% of the data's variance is a step, nor anything above four times it."""
    kept = np.linspace(0.9, 0.2, 20)
    levels = np.log((1 - kept) / kept)

    def noise_of(z, step):  # of unit Gaussian data, whose scaled noisy points are Gaussian too
        t = math.exp(np.interp(step, np.arange(20), levels))
        return z * math.sqrt(t / (1 + t))

    data, convention = gaussian(200, 2, seed=0), {"time": "step", "schedule": kept}
    D = as_denoiser(noise_of, predicts="noise", data=data, **convention)
    assert torch.allclose(D(data, 0.7), data / 1.7)
    with pytest.raises(ValueError, match="predicts='noise', time='step' would leave"):
        as_denoiser(noise_of, predicts="data", data=data, **convention)
    large = as_denoiser(noise_of, predicts="noise", data=data * 0.99, **convention)
    for t in np.exp(levels[[0, -1]]):  # the first and the last step belong to it
        assert torch.allclose(large(data, t), data / (1 + t))
    with pytest.raises(ValueError, match=r"t is 5.0; allowed, on this schedule"):
        large(data, 5.0)


def test_a_model_that_cannot_be_remembered_is_tried_each_time():
    class Unhashable:
        __hash__ = None

        def __call__(self, x, t):
            return x / (1 + t)

    x, model = gaussian(3, 2, seed=0), Unhashable()
    for _ in range(2):
        assert torch.allclose(as_denoiser(model)(x, 1.0), x / 2)


@pytest.mark.parametrize("t", [0.5, 1e-9])
def test_transforms_of_functions_give_what_the_fast_ways_give(t):
    """Inside them points have no values to choose a way by."""
    y = gaussian(12, 3, seed=0)
    D, x = Empirical(y), y[:4] + 0.1 * t**0.5 * gaussian(4, 3, seed=1)
    for method in (D.n_eff, D.jacobian, D.spectrum, D.variance, D.log_density, D):
        inside = torch.func.vmap(lambda p, method=method: method(p[None], t)[0])(x)
        assert torch.allclose(inside, method(x, t), rtol=1e-6, atol=1e-6), method


def test_information_that_never_reaches_the_logarithm_of_n_is_refused():
    """Of eight possible data it is ln 8 at most, whatever the noise."""

    class EightPoints:
        def log_density(self, x, t):
            return Empirical(data).log_density(x, t)

    data = gaussian(8, 2, seed=0)
    y = data.repeat(50, 1)
    with pytest.raises(ValueError, match="N is 100; allowed are numbers whose logarithm"):
        measured_collapse_time(y, EightPoints(), 100, seed=0)
    assert 0 < measured_collapse_time(y, EightPoints(), 3, seed=0).t < y.var(dim=0).sum()


def test_a_basis_may_be_off_orthonormality_by_single_precision_only():
    G, basis = torch.eye(3, dtype=torch.float64)[None], torch.eye(3, 2, dtype=torch.float64)
    basis[1, 0] = 0.9e-4  # the two columns' scalar product
    assert float(spectra.retention(G / 2, G, basis)) == pytest.approx(0.5)
    basis[1, 0] = 1.1e-4
    with pytest.raises(ValueError, match=r"basis is off orthonormality by 0.00011"):
        spectra.retention(G / 2, G, basis)


def test_dimensions_keep_no_graph():
    """A number of directions has no derivative, and the gap's would keep all copies' graphs."""
    x = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    found = normal_bundle_dimension(LinearManifold([1.0, 0.0, 0.0]), x, 0.01, seed=0)
    assert not found.size.requires_grad


@pytest.mark.parametrize("n", [2, 10])
def test_a_collapse_time_is_found_by_fewer_points_than_coordinates(n):
    """In many dimensions the information of each is sharp.

    Their own covariance has n - 1 directions: the search must not end where those collapse.
    """
    variances, N = np.ones(400), 1e12
    law, wanted = LinearManifold(variances), theory.collapse_time(variances, N)
    found = measured_collapse_time(law.sample(n, seed=0), law, N, seed=1)
    assert 0 < found.error < 0.2 * found.t
    if n == 2:  # the scatter of two is no measure of an error
        assert found.t == pytest.approx(wanted, rel=0.4)
    else:
        assert found.t == pytest.approx(wanted, abs=4 * found.error)
    with pytest.raises(ValueError, match="y has 1 points"):
        measured_collapse_time(law.sample(1, seed=0), law, N, seed=1)
