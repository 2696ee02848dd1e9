"""What every denoiser promises: one table of all denoisers times all properties, which a new law
joins by one line."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from torch.func import hessian, jacrev, vmap

from memolib import dimension, sampling, spectra
from memolib.denoisers import Denoiser
from memolib.empirical import Empirical
from memolib.foreign import as_denoiser
from memolib.manifolds import (
    ChartManifold,
    GaussianMixture,
    HiddenManifold,
    LinearManifold,
    SphereManifold,
)
from memolib.manifolds.linear import random_rotation
from memolib.networks import NetworkDenoiser, ResidualMLP, UNet
from memolib.points import gaussian

T = 0.3


def network(net):
    """A network with parameters that do something."""
    torch.manual_seed(0)
    for parameter in net.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return NetworkDenoiser(net, 0.8, np.full(net.d, 0.1)).eval().requires_grad_(False)


def plain_model(x, t):
    """Somebody's function."""
    return torch.tanh(x) / (1 + t)


DENOISERS = {
    "linear": lambda: LinearManifold([1.0, 0.5, 0.0], random_rotation(3, seed=1)),
    "mixture": lambda: GaussianMixture([[1.0, 0, 0], [-1, 0.5, 0]], [0.3, 0.1, 0.0], [0.3, 0.7]),
    "sphere": lambda: SphereManifold([1.0, 0.5, 0.2], random_rotation(3, seed=2)),
    "circle": ChartManifold.circle,
    "torus": ChartManifold.torus,
    "hidden": lambda: HiddenManifold(gaussian(3, 2, seed=3), samples=2_000),
    "empirical": lambda: Empirical(gaussian(40, 3, seed=4)),
    "empirical, float32": lambda: Empirical(gaussian(40, 3, seed=4).float()),
    "empirical, prior": lambda: Empirical(gaussian(4, 3, seed=5), [0.1, 0.2, 0.3, 0.4]),
    "MLP": lambda: network(ResidualMLP(3, width=8)),
    "U-Net": lambda: network(UNet(4, 1, width=8)),
    "foreign": lambda: as_denoiser(plain_model),
}
EXACT = [name for name in DENOISERS if name not in ("MLP", "U-Net", "foreign")]
WITH_DENSITY = EXACT
PROPERTIES = {}


def holds(only=None):
    """Enter a property into the table, for all denoisers or some."""

    def enter(check):
        PROPERTIES[check.__name__] = check, only or list(DENOISERS)
        return check

    return enter


def points(D, n=4, seed=0):
    """Points to look at D from."""
    return 0.7 * gaussian(n, D.d or 3, seed=seed)


def close(D, a, b, factor=1.0):
    """Equal to the precision in which D computes; networks compute in single precision."""
    single = torch.float32 in (a.dtype, b.dtype, D.precision) or isinstance(D, NetworkDenoiser)
    return torch.allclose(a.double(), b.double(), rtol=0, atol=factor * (2e-4 if single else 1e-8))


@holds()
def is_a_denoiser_that_says_what_it_is(D):
    assert (
        isinstance(D, Denoiser)
        and as_denoiser(D) is D
        and repr(D) != object.__repr__(D)
        and "object at" not in repr(D)
    )
    D(points(D), T)
    assert isinstance(D.d, int)


@holds()
def answers_in_the_precision_of_x(D):
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        x = points(D).to(dtype)
        for answer in (D(x, T), D.score(x, T), D.jacobian(x, T), D.spectrum(x, T)):
            assert answer.dtype == dtype and answer.isfinite().all()
    assert spectra.leading(D, points(D).float(), T, 1, seed=0).values.dtype == torch.float32
    assert sampling.probability_flow(D, points(D).float(), 4.0, 0.1, steps=3).dtype == torch.float32
    assert dimension.effective(D, points(D).float(), T, probes=2, seed=0).dtype == torch.float32


@holds()
def half_precision_is_rounded_single_precision(D):
    x = points(D).half()
    assert torch.equal(D(x, T), D(x.float(), T).half())


@holds()
def takes_what_numpy_takes(D):
    x = points(D)
    for other in (
        x.numpy(),
        x.tolist(),
        np.asfortranarray(x.numpy()),
        x.numpy()[::-1][::-1],
        x.T.contiguous().T,
    ):
        assert torch.equal(D(other, T), D(x, T))
    flipped = x.numpy()[::-1]  # negative strides
    assert torch.equal(D(flipped, T), D(flipped.copy(), T))
    integer = np.ones((2, x.shape[1]), dtype=int)
    assert torch.equal(D(integer, T), D(integer.astype(float), T))


@holds()
def leaves_x_and_read_only_arrays_alone(D):
    x = points(D)
    kept, frozen = x.clone(), x.numpy().copy()
    frozen.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (
            D(x, T),
            D.jacobian(x, T),
            D.spectrum(x, T),
            D(frozen, T),
            sampling.probability_flow(D, x, 1.0, 0.1, steps=2),
        )
    assert torch.equal(x, kept)


@holds()
def takes_one_noise_in_every_form(D):
    x = points(D)
    for t in (T, np.float64(T), np.array(T), torch.tensor(T, dtype=torch.float64)):
        assert torch.equal(D(x, t), D(x, T))
    assert torch.equal(D(x, 1), D(x, 1.0))


@holds()
def takes_a_noise_for_each_point(D):
    x, t = points(D), np.array([0.2, 1.0, 0.2, 3.0])
    for form in (t, torch.from_numpy(t), t.tolist()):
        for ask in (D, D.score, D.jacobian, D.spectrum):
            alone = torch.cat([ask(x[k : k + 1], t[k]) for k in range(4)])
            assert close(D, ask(x, form), alone), ask


@holds()
def a_point_is_answered_as_if_alone(D):
    x = points(D, 5)
    assert close(D, D(x, T)[2:3], D(x[2:3], T)) and close(D, D(x.flip(0), T).flip(0), D(x, T))


@holds()
def refuses_bad_noise(D):
    bad = (
        0,
        -1,
        np.nan,
        np.inf,
        "a",
        None,
        True,
        1j,
        [0.1, 0.2],
        np.ones((4, 1)),
        [0.1, -0.2, 0.3, 0.4],
    )
    for t in (*bad, np.array([0.1, 0.2, np.nan, 0.3]), np.ones(4, dtype=complex)):
        for ask in (D, D.score, D.jacobian, D.spectrum):
            with pytest.raises(ValueError, match=r"^t (is|has) .*allowed"):
                ask(points(D), t)


@holds()
def refuses_bad_points(D):
    D(points(D), T)  # a foreign model learns its d
    d = D.d
    bad = (
        np.ones(d), np.ones((0, d)), np.ones((2, d + 1)), np.ones((1, 2, d)), [["a"] * d], None,
        np.full((2, d), np.nan), np.ones((2, d), dtype=complex), [[1.0] * d, [1.0]],
        torch.ones(2, d, dtype=torch.complex64),
        np.ma.masked_array(np.ones((2, d)), mask=np.eye(2, d)),
    )  # fmt: skip
    for x in bad:
        for ask in (D, D.score, D.jacobian, D.spectrum):
            with pytest.raises(ValueError, match=r"^x (is|has) .*allowed"):
                ask(x, T)


@holds()
def the_score_is_that_of_the_answer(D):
    x = points(D)
    assert close(D, D.score(x, T), (D(x, T) - x) / T, factor=10)


@holds()
def the_jacobian_is_the_derivative(D):
    """Against finite differences along random directions, and by the products with it."""
    x, h = (
        points(D),
        1e-2 if isinstance(D, NetworkDenoiser) or D.precision == torch.float32 else 1e-4,
    )
    v, G = gaussian(*x.shape, seed=7), D.jacobian(x, T)
    difference = (D(x + h * v, T) - D(x - h * v, T)) / (2 * h)
    product = torch.einsum("nab,nb->na", G, v)
    # the draws of the hidden law move with x, which its Jacobian leaves out: an error of sampling
    atol = 0.05 if isinstance(D, HiddenManifold) else 5e-3
    rtol = 0.01 if isinstance(D, NetworkDenoiser) else 1e-5  # of the finite difference, in float32
    assert torch.allclose(product, difference, rtol=rtol, atol=atol)
    directions = torch.stack([v, gaussian(*x.shape, seed=8)])
    assert close(D, D.products(x, T, directions)[0], product, factor=5)
    transposed = torch.einsum("nba,knb->kna", G, directions)
    assert close(D, D.products(x, T, directions, transposed=True), transposed, factor=5)
    assert close(D, spectra.jacobian(D, x, T), G)


@holds()
def forward_and_reverse_mode_give_it_too(D):
    x = points(D)
    for mode in (spectra.forward_mode, spectra.reverse_mode):
        assert torch.allclose(
            mode(D, x, T), D.jacobian(x, T), atol=2e-3 if D.precision == torch.float32 else 1e-4
        )


@holds()
def the_idiom_of_torchs_manual_gives_it_too(D):
    x = points(D)
    G = vmap(jacrev(lambda point: D(point[None], T)[0]))(x)
    assert torch.allclose(G, D.jacobian(x, T), atol=2e-3 if D.precision == torch.float32 else 1e-4)
    assert close(D, vmap(lambda point: D(point[None], T)[0])(x), D(x, T))


@holds([name for name in DENOISERS if name not in ("U-Net", "circle", "torus")])
def second_derivatives_exist(D):
    x = points(D)[:1]
    assert hessian(lambda point: D(point[None], T).sum())(x[0]).isfinite().all()


@holds()
def gradients_pass_and_are_right(D):
    x = points(D).requires_grad_()
    v = gaussian(*x.shape, seed=9)
    (gradient,) = torch.autograd.grad((D(x, T) * v).sum(), x)
    expected = torch.einsum("nba,nb->na", D.jacobian(x.detach(), T), v)
    assert torch.allclose(gradient, expected, atol=2e-3 if D.precision == torch.float32 else 1e-4)


@holds()
def answers_are_free_of_graphs(D):
    x = points(D)
    for answer in (
        D(x, T),
        D.jacobian(x, T),
        D.spectrum(x, T),
        sampling.probability_flow(D, x, 1.0, 0.1, steps=2),
    ):
        answer.numpy()


@holds()
def eigenvalues_fall_and_are_those_of_the_symmetric_part(D):
    x = points(D)
    G, values = D.jacobian(x, T), D.spectrum(x, T)
    assert (values[:, :-1] >= values[:, 1:] - 1e-9).all()
    assert close(D, values, torch.linalg.eigvalsh((G + G.mT) / 2).flip(1), factor=2)
    assert close(D, spectra.spectrum(D, x, T), values)


@holds()
def copies_by_pickle_are_the_same(D):
    assert torch.equal(pickle.loads(pickle.dumps(D))(points(D), T), D(points(D), T))


@holds()
def what_is_held_is_not_shared(D):
    """Whoever writes to an answer changes no later one."""
    x = points(D)
    before = D(x, T).clone()
    jacobian = D.jacobian(x, T).clone()
    for answer in (D(x, T), D.jacobian(x, T), D.score(x, T), D.spectrum(x, T)):
        for row in answer:  # the rows of an answer that is the same everywhere may be one
            row.zero_()
    assert torch.equal(D(x, T), before) and torch.equal(D.jacobian(x, T), jacobian)


# The laws of a denoiser
# ------------------------------------------------------------------------------------


@holds(EXACT)
def exact_jacobians_are_covariances(D):
    """Symmetric, with eigenvalues from 0; above 1 where the data are more spread than the noise."""
    G = D.jacobian(points(D), T)
    assert close(D, G, G.mT) and torch.linalg.eigvalsh(G).min() > -1e-5


@holds(WITH_DENSITY)
def tweedie(D):
    """The score is the gradient of the log density."""
    x = points(D).requires_grad_()
    (gradient,) = torch.autograd.grad(D.log_density(x, T).sum(), x)
    atol = 0.1 if isinstance(D, HiddenManifold) else 2e-3 if D.precision == torch.float32 else 1e-6
    assert torch.allclose(gradient, D.score(x.detach(), T), atol=atol)


@holds(WITH_DENSITY)
def noise_obeys_the_heat_equation(D):
    """d ln p/dt = (lap ln p + |score|^2)/2, by tr G = d + t div score."""
    if isinstance(D, HiddenManifold):
        return  # its density has an error of sampling
    x, h = points(D).double(), 1e-3
    rate = (D.log_density(x, T * (1 + h)) - D.log_density(x, T * (1 - h))) / (2 * h * T)
    divergence = (D.jacobian(x, T).diagonal(dim1=1, dim2=2).sum(dim=1) - x.shape[1]) / T
    expected = (divergence + D.score(x, T).square().sum(dim=1)) / 2
    assert torch.allclose(rate, expected, atol=5e-3 if D.precision == torch.float32 else 1e-4)


@holds(EXACT)
def little_noise_is_left_alone_and_much_gives_the_mean(D):
    """At the data themselves little noise changes nothing; under much noise all answers are the
    mean of the data."""
    data = D.data[:3].double() if isinstance(D, Empirical) else D.sample(3, seed=11)
    if not isinstance(D, HiddenManifold):
        assert torch.allclose(D(data, 1e-4), data, atol=0.03)
    far = D(10.0 * points(D), 1e6)
    assert torch.allclose(far, far.mean(dim=0).expand_as(far), atol=0.05)


def table():
    return [(name, prop) for prop, (_, only) in PROPERTIES.items() for name in only]


@pytest.mark.parametrize(("name", "prop"), table(), ids=lambda v: v)
def test_contract(name, prop):
    torch.manual_seed(0)
    PROPERTIES[prop][0](DENOISERS[name]())


def test_every_law_and_every_class_of_denoiser_is_in_the_table():
    def below(cls):
        return {cls} | {c for child in cls.__subclasses__() for c in below(child)}

    public = {cls for cls in below(Denoiser) if cls.__module__.startswith("memolib.")}
    abstract = {Denoiser, Empirical.__mro__[1]}
    there = {type(make()) for make in DENOISERS.values()}
    # needs a cluster: test_scale
    assert {cls.__name__ for cls in public - abstract - there} <= {"Sharded"}


def test_rotated_laws_answer_rotated_points():
    """D of rotated data at rotated points is D rotated."""
    R, y, x = random_rotation(3, seed=20), gaussian(30, 3, seed=21), gaussian(4, 3, seed=22)
    assert torch.allclose(Empirical(y @ R.T)(x @ R.T, T), Empirical(y)(x, T) @ R.T, atol=1e-10)
    for law in (LinearManifold, SphereManifold):
        turned, straight = law([1.0, 0.5, 0.1], R), law([1.0, 0.5, 0.1])
        assert torch.allclose(turned(x @ R.T, T), straight(x, T) @ R.T, atol=1e-9)
        G = R @ straight.jacobian(x, T) @ R.T
        assert torch.allclose(turned.jacobian(x @ R.T, T), G, atol=1e-9)


def test_what_makes_a_denoiser_can_be_changed_afterwards():
    """Arrays and tensors that were handed in are copied: no answer changes, at any noise."""
    y, s2, means, x = (
        np.random.default_rng(0).standard_normal((20, 3)),
        np.array([1.0, 0.5, 0.1]),
        np.eye(3),
        gaussian(3, 3),
    )
    for make in (
        lambda a: Empirical(a),
        lambda a: Empirical(torch.from_numpy(a)),
        lambda a: HiddenManifold(a[:3, :2]),
    ):
        a = y.copy()
        D = make(a)
        before = (
            [D(x, t) for t in (1e-6, 0.1, 10.0)]
            if not isinstance(D, HiddenManifold)
            else [D(x, 0.1)]
        )
        a[:] = 0
        after = (
            [D(x, t) for t in (1e-6, 0.1, 10.0)]
            if not isinstance(D, HiddenManifold)
            else [D(x, 0.1)]
        )
        assert all(map(torch.equal, before, after))
    for make, a in (
        (LinearManifold, s2.copy()), (SphereManifold, s2.copy()),
        (lambda b: LinearManifold(s2, b), np.eye(3)), (lambda m: GaussianMixture(m, s2), means),
    ):  # fmt: skip
        D = make(a)
        before = D(x, 0.1)
        a[:] = 0.25
        assert torch.equal(D(x, 0.1), before)
