"""Every public function of points, at any scale and in any form: the right answer, or a refusal.

``rem`` and ``theory`` have their own such tests. Here a *world* is drawn (data, points to look
from, a noise variance), from one datum in one dimension on, with duplicates, at scales from 1e-12
to 1e12; the answer at its scale and in one form of its arrays must be that of the same world at
scale 1 in plain arrays, in the answer's unit. Bad arguments must be refused by name. The number of
cases is printed with -s.
"""

import contextlib
import io
import warnings
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memolib import dimension, memorization, points, sampling, spectra
from memolib.empirical import Empirical
from memolib.foreign import as_denoiser
from memolib.manifolds import (
    ChartManifold,
    GaussianMixture,
    HiddenManifold,
    LinearManifold,
    SphereManifold,
    random_rotation,
)

CASES = {"answered": 0, "refused": 0, "bad": 0}


@pytest.fixture(scope="module", autouse=True)
def counts():
    yield
    print("\ncases:", CASES)


# Worlds, and the forms in which arrays come
# ------------------------------------------------------------------------------------


class World(NamedTuple):
    """Numbers to ask about, in units of ``scale``, and how their arrays are handed over."""

    x: np.ndarray
    data: np.ndarray
    t: float
    scale: float
    form: str = "plain"

    def points(self):
        return FORMS[self.form](self.scale * self.x)

    def held(self):
        return FORMS[self.form](self.scale * self.data)

    def noise(self):
        return self.t * self.scale**2

    def noises(self):
        return 9 * self.noise(), self.noise()

    def unit(self):
        return self._replace(scale=1.0, form="plain")

    def variances(self):
        """Of a law like the data; a half of them 0."""
        return self.scale**2 * np.where(np.arange(self.x.shape[1]) % 2, 0.0, 1.0)


def frozen(a):
    a = a.copy()
    a.flags.writeable = False
    return a


FORMS = {
    "plain": lambda a: a,
    "lists": lambda a: a.tolist(),
    "tuple of arrays": tuple,
    "Fortran order": np.asfortranarray,
    "negative strides": lambda a: a[::-1].copy()[::-1],
    "every second": lambda a: np.repeat(a, 2, axis=0)[::2],
    "read-only": frozen,
    "long double": lambda a: a.astype(np.longdouble),
    "objects": lambda a: a.astype(object),
    "big-endian": lambda a: a.astype(">f8"),
    "tensor": torch.from_numpy,
    "transposed tensor": lambda a: torch.from_numpy(a.T.copy()).T,
    "tensor with a graph behind": lambda a: torch.from_numpy(a).requires_grad_().detach(),
}


@st.composite
def worlds(draw, lowest=-4, highest=4, least=1, coordinates=1):
    """Draw a world: n points, N data (``least`` or more), d coordinates, ln t from a range."""
    n, N, d = (
        draw(st.integers(1, 3)),
        draw(st.integers(least, 6)),
        draw(st.integers(coordinates, 4)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    data = rng.standard_normal((N, d))
    if least == 1 and draw(st.booleans()):
        data[N // 2 :] = data[: N - N // 2]  # duplicates; of one datum, itself
    x = rng.standard_normal((n, d))
    if draw(st.booleans()):
        x = data[rng.integers(N, size=n)]  # at the data themselves
    t = 10 ** draw(st.floats(lowest, highest))
    return World(x, data, t, 2.0 ** draw(st.integers(-40, 40)), draw(st.sampled_from(list(FORMS))))


# Functions: what to call, the answer's power of the unit of length, and its shape
# ------------------------------------------------------------------------------------


def law(w):
    return LinearManifold(w.variances())


def somebodys(w):
    """A function that knows nothing of memolib."""
    s2 = w.scale**2
    return lambda x, t: x * (s2 / (s2 + t)) - s2**1.5 / (s2 + t) * 0.5


def mixture(w):
    """Of one component a datum, with and without extent."""
    return GaussianMixture(w.held(), w.variances())


def of(make, ask):
    """A method of a denoiser, at the world's points and noise."""
    return lambda w: getattr(make(w), ask)(w.points(), w.noise())


def empirical(w):
    return Empirical(w.held())


def weighted_prior(w):
    p = np.arange(1.0, len(w.data) + 1)
    return Empirical(w.held(), p / p.sum())


def foreign(w):
    return as_denoiser(somebodys(w))


def circle(w):
    return ChartManifold.circle(w.scale)


def n_d(w):
    return w.x.shape


def n_only(w):
    return w.x.shape[:1]


def n_dd(w):
    return (*w.x.shape, w.x.shape[1])


def n_N(w):
    return len(w.x), len(w.data)


METHODS = {
    "__call__": (1, n_d), "score": (-1, n_d), "jacobian": (0, n_dd), "spectrum": (0, n_d),
    "log_density": ("log", n_only),
}  # fmt: skip
DENOISERS = {"empirical": empirical, "prior": weighted_prior, "linear": law, "mixture": mixture}
TABLE = {
    f"{name}.{method}": (of(make, method), *METHODS[method])
    for name, make in (DENOISERS | {"foreign": foreign}).items()
    for method in METHODS
    if (name, method) != ("foreign", "log_density")
} | {
    "empirical.n_eff": (of(empirical, "n_eff"), 0, n_only),
    "empirical.variance": (of(empirical, "variance"), 2, n_d),
    "empirical.log_weights": (of(empirical, "log_weights"), 0, n_N),
    "empirical.weighted": (lambda w: empirical(w).weighted(w.points(), w.noise()).second, 2, n_d),
    "prior.n_eff": (of(weighted_prior, "n_eff"), 0, n_only),
    "mixture.log_posterior": (of(mixture, "log_posterior"), 0, n_N),
    "mixture.sample": (lambda w: mixture(w).sample(3, 0), 1, lambda w: (3, w.x.shape[1])),
    "linear.sample": (lambda w: law(w).sample(3, 0), 1, lambda w: (3, w.x.shape[1])),
    "two_classes": (
        lambda w: GaussianMixture.two_classes(w.scale**2, w.x.shape[1], w.scale**2 / 2).score(
            w.points(), w.noise()
        ), -1, n_d,
    ),
    "of_dimension": (  # as many dimensions as there are coordinates
        lambda w: LinearManifold.of_dimension(w.x.shape[1], w.x.shape[1], w.scale**2, 0)(
            w.points(), w.noise()
        ), 1, n_d,
    ),
    "spectra.jacobian": (lambda w: spectra.jacobian(somebodys(w), w.points(), w.noise()), 0, n_dd),
    "forward_mode": (lambda w: spectra.forward_mode(empirical(w), w.points(), w.noise()), 0, n_dd),
    "reverse_mode": (lambda w: spectra.reverse_mode(empirical(w), w.points(), w.noise()), 0, n_dd),
    "spectrum, kicks": (
        lambda w: spectra.spectrum(empirical(w), w.points(), w.noise(), method="perturbation"),
        0, n_d,
    ),
    "normal_bundle": (
        lambda w: spectra.normal_bundle(law(w), w.points(), w.noise(), copies=9, seed=0), 0, n_d,
    ),
    "leading": (
        lambda w: spectra.leading(empirical(w), w.points(), w.noise(), w.x.shape[1], seed=0)[0],
        0, n_d,
    ),
    "effective": (lambda w: dimension.effective(mixture(w), w.points(), w.noise()), 0, n_only),
    "effective, probes": (
        lambda w: dimension.effective(somebodys(w), w.points(), w.noise(), probes=2, seed=0),
        0, n_only,
    ),
    "flipd": (lambda w: dimension.flipd(empirical(w), w.points(), w.noise()), 0, n_only),
    "nearest_ratio": (lambda w: memorization.nearest_ratio(w.points(), w.held()), 0, n_only),
    "copies": (
        lambda w: memorization.copies(w.points(), w.held(), 2.0 * w.scale * w.data + w.scale),
        0, n_only,
    ),
    "pointwise_information": (
        lambda w: memorization.pointwise_information(w.points(), mixture(w), w.noise(), 0),
        0, n_only,
    ),
    "profile": (
        lambda w: memorization.profile(w.held(), [w.noise()], seed=0).participation,
        0, lambda w: (1, len(w.data)),
    ),
    "collapse_time": (
        lambda w: torch.tensor(
            memorization.measured_collapse_time(w.held(), law(w), 50, 0)
        ).double(),
        2, lambda w: (2,),
    ),
    "sample": (
        lambda w: sampling.sample(
            mixture(w), 2, t_start=w.noises()[0], t_end=w.noise(), steps=3, seed=0
        ),
        1, lambda w: (2, w.x.shape[1]),
    ),
    "probability_flow": (
        lambda w: sampling.probability_flow(empirical(w), w.points(), *w.noises(), steps=3),
        1, n_d,
    ),
    "reverse_sde": (
        lambda w: sampling.reverse_sde(mixture(w), w.points(), *w.noises(), steps=3, seed=0),
        1, n_d,
    ),
    "flow_log_density": (
        lambda w: sampling.flow_log_density(empirical(w), w.points(), *w.noises()[::-1], steps=3),
        "log", n_only,
    ),
    "add_noise": (lambda w: points.add_noise(w.points(), w.noise(), 0), 1, n_d),
    **{
        f"points {kind}": (
            lambda w, kind=kind: points.points_of_kind(
                kind, w.held(), w.noise(), 2, law=law(w), seed=0
            ),
            1, lambda w, kind=kind: (
                {"O": 1, "C": 2}.get(kind, min(2, len(w.data))), w.data.shape[1]
            ),
        )
        for kind in "ABCO"
    },
}  # fmt: skip
# Where t spans more: what the denoiser of data does at noise far below and far above its distances.
RANGE = {name: (-10, 10) for name in TABLE if name.split(".")[0] in ("empirical", "prior")}
# Two data that differ, or more; two coordinates or more.
LEAST = {name: 2 for name in ("nearest_ratio", "copies", "profile", "collapse_time")}


def call(function, world):
    """The answer, with nothing of the world outside changed: torch's random numbers, the points."""
    before, x = torch.get_rng_state(), world.x.copy()
    answer = function(world)
    assert torch.equal(torch.get_rng_state(), before) and np.array_equal(world.x, x)
    return answer


def refusable(name, world):
    """Whether a world may be refused: what no answer can be given to, or only a wrong one."""
    if name == "profile":
        return world.t < 1e-6
    return name == "collapse_time"  # few points need not pass the level


@pytest.mark.parametrize("name", TABLE)
@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_any_scale_and_any_form(name, data):
    function, power, shape = TABLE[name]
    low, high = RANGE.get(name, (-4, 4))
    world = data.draw(worlds(low, high, least=LEAST.get(name, 1)))
    try:
        answer = call(function, world)
    except ValueError as error:
        assert refusable(name, world) and "allowed" in str(error)
        CASES["refused"] += 1
        return
    expected = function(world.unit())
    assert tuple(answer.shape) == tuple(shape(world)) and torch.isfinite(answer).all()
    assert answer.dtype in (torch.float64, torch.int64)
    if power == "log":
        expected = expected - world.x.shape[1] * np.log(world.scale)
    else:
        expected = expected * world.scale**power
    size = float(expected.abs().max())
    error = 1e-3 if name == "collapse_time" else 1e-7  # of a root that is sought to this accuracy
    assert torch.allclose(answer, expected, rtol=error, atol=error * size + 1e-300), name
    CASES["answered"] += 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", [*DENOISERS, "foreign"])
@settings(max_examples=8, deadline=None, derandomize=True, database=None)
@given(world=worlds(-3, 3))
def test_low_precision_is_that_of_rounded_points(name, dtype, world):
    """Of points in half or single precision: finite, in their type, near the double answer."""
    world = world.unit()
    D = (DENOISERS | {"foreign": foreign})[name](world)
    x = torch.from_numpy(world.x).to(dtype)
    for method in ("__call__", "jacobian", "spectrum"):
        answer = getattr(D, method)(x, world.t)
        exact = getattr(D, method)(x.double(), world.t)
        assert answer.dtype == dtype and torch.isfinite(answer).all()
        off = (answer.double() - exact).abs().max()
        eps = max(torch.finfo(dtype).eps, 2e-4)  # rounding moves the weights of near ties
        assert off <= 4 * eps * (1 + exact.abs().max()) * max(1.0, 1 / world.t**0.5)
        CASES["answered"] += 1


# Bad arguments
# ------------------------------------------------------------------------------------

GOOD = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0]])
BAD_POINTS = {
    "NaN": np.where(GOOD == 2, np.nan, GOOD), "inf": np.where(GOOD == 2, -np.inf, GOOD),
    "one axis": GOOD[0], "three axes": GOOD[None], "no rows": GOOD[:0], "no columns": GOOD[:, :0],
    "complex": GOOD * (1 + 0j), "complex tensor": torch.from_numpy(GOOD) * 1j,
    "masked": np.ma.masked_equal(GOOD, 2), "list of masked": [np.ma.masked_equal(GOOD[0], 2)],
    "text": "points", "texts": [["a", "b", "c"]], "ragged": [[1.0, 2.0, 3.0], [1.0]], "None": None,
    "dates": GOOD.astype("datetime64[s]"), "a set": {1.0, 2.0}, "too large": [[10**400, 1, 1]],
}  # fmt: skip
BAD_NOISES = {
    "0": 0.0, "-1": -1, "NaN": np.nan, "inf": np.inf, "None": None, "text": "0.1", "True": True,
    "complex": 1j, "complex tensor": torch.tensor(1j), "masked": np.ma.masked_equal(1.0, 1.0),
    "huge": 10**400, "huge digits": 10**5000, "empty": [], "dict": {},
    "date": np.datetime64("2020"),
}  # fmt: skip
ARRAYS = {  # a function of one bad argument, and its name
    "Empirical": (Empirical, "data"),
    "LinearManifold, basis": (lambda a: LinearManifold(np.ones(3), a), "basis"),
    "GaussianMixture": (lambda a: GaussianMixture(a, np.ones(3)), "means"),
    "HiddenManifold": (HiddenManifold, "F"),
    **{
        f"{name}.{ask}": (lambda a, name=name, ask=ask: getattr(good(name), ask)(a, 0.5), "x")
        for name in (*DENOISERS, "foreign", "sphere") for ask in ("__call__", "score", "spectrum")
    },
    "weighted": (lambda a: good("empirical").weighted(a, 0.5), "x"),
    "n_eff": (lambda a: good("empirical").n_eff(a, 0.5), "x"),
    "variance": (lambda a: good("empirical").variance(a, 0.5), "x"),
    "log_weights": (lambda a: good("empirical").log_weights(a, 0.5), "x"),
    "jacobian": (lambda a: spectra.jacobian(good("linear"), a, 0.5), "x"),
    "forward_mode": (lambda a: spectra.forward_mode(good("linear"), a, 0.5), "x"),
    "reverse_mode": (lambda a: spectra.reverse_mode(good("linear"), a, 0.5), "x"),
    "kicks": (lambda a: spectra.spectrum(good("linear"), a, 0.5, method="perturbation"), "x"),
    "normal_bundle": (lambda a: spectra.normal_bundle(good("linear"), a, 0.5), "x"),
    "leading": (lambda a: spectra.leading(good("linear"), a, 0.5, 1), "x"),
    "largest_gap": (spectra.largest_gap, "eigenvalues"),
    "effective": (lambda a: dimension.effective(good("linear"), a, 0.5), "x"),
    "effective, probes": (lambda a: dimension.effective(good("linear"), a, 0.5, probes=1), "x"),
    "flipd": (lambda a: dimension.flipd(good("linear"), a, 0.5), "x"),
    "bundle dimension": (lambda a: dimension.normal_bundle_dimension(good("linear"), a, 0.5), "x"),
    "nearest_ratio, x": (lambda a: memorization.nearest_ratio(a, GOOD), "x"),
    "nearest_ratio, data": (lambda a: memorization.nearest_ratio(GOOD, a), "data"),
    "copies": (lambda a: memorization.copies(GOOD, a, GOOD), "data"),
    "pointwise_information": (
        lambda a: memorization.pointwise_information(a, good("linear"), 0.5), "y",
    ),
    "collapse_time": (lambda a: memorization.measured_collapse_time(a, good("linear"), 10), "y"),
    "profile": (lambda a: memorization.profile(a, [1.0]), "data"),
    "probability_flow": (lambda a: sampling.probability_flow(good("linear"), a, 1.0, 0.1), "x"),
    "reverse_sde": (lambda a: sampling.reverse_sde(good("linear"), a, 1.0, 0.1), "x"),
    "flow_log_density": (lambda a: sampling.flow_log_density(good("linear"), a, 0.1, 1.0), "x"),
    "add_noise": (lambda a: points.add_noise(a, 0.5), "y"),
    "points": (lambda a: points.points_of_kind("A", a, 0.5, 1), "data"),
    "tangent": (lambda a: good("sphere").tangent(a), "y"),
    "chart": (lambda a: ChartManifold.torus().tangent(a), "z"),
    "as_denoiser, data": (lambda a: as_denoiser(lambda x, t: x / (1 + t), data=a), "data"),
}  # fmt: skip
NOISES = {
    **{
        f"{name}.{ask}": (lambda t, name=name, ask=ask: getattr(good(name), ask)(GOOD, t), "t")
        for name in (*DENOISERS, "foreign", "sphere") for ask in ("__call__", "score", "spectrum")
    },
    "weighted": (lambda t: good("empirical").weighted(GOOD, t), "t"),
    "forward_mode": (lambda t: spectra.forward_mode(good("linear"), GOOD, t), "t"),
    "kicks": (lambda t: spectra.spectrum(good("linear"), GOOD, t, method="perturbation"), "t"),
    "normal_bundle": (lambda t: spectra.normal_bundle(good("linear"), GOOD, t), "t"),
    "leading": (lambda t: spectra.leading(good("linear"), GOOD, t, 1), "t"),
    "effective": (lambda t: dimension.effective(good("linear"), GOOD, t), "t"),
    "flipd": (lambda t: dimension.flipd(good("linear"), GOOD, t), "t"),
    "bundle dimension": (lambda t: dimension.normal_bundle_dimension(good("linear"), GOOD, t), "t"),
    "pointwise_information": (
        lambda t: memorization.pointwise_information(GOOD, good("linear"), t), "t",
    ),
    "profile": (lambda t: memorization.profile(GOOD, t), "t"),
    "t_end": (lambda t: sampling.probability_flow(good("linear"), GOOD, 1.0, t), "t"),
    "t_start": (lambda t: sampling.reverse_sde(good("linear"), GOOD, t, 1e-3), "t"),
    "add_noise": (lambda t: points.add_noise(GOOD, t), "t"),
    "points": (lambda t: points.points_of_kind("A", GOOD, t, 1), "t"),
    "quadrature": (lambda t: ChartManifold.circle().quadrature(t), "t"),
}  # fmt: skip


def good(name):
    """A denoiser in three dimensions."""
    if name == "sphere":
        return SphereManifold([1.0, 0.5, 0.0])
    world = World(GOOD, np.vstack([GOOD, GOOD + 1]), 0.5, 1.0)
    return (DENOISERS | {"foreign": foreign})[name](world)


def refused(function, value, name):
    """Refused by the argument's name, the value's kind and what is allowed, without a warning."""
    with pytest.raises(ValueError, match=rf"(?s)^{name}\S* (is|has) .*; allowed"):
        function(value)
    CASES["bad"] += 1


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("bad", BAD_POINTS)
def test_bad_points_are_refused_by_name(name, bad):
    if bad == "None" and name in ("LinearManifold, basis", "as_denoiser, data"):
        return  # the default
    refused(ARRAYS[name][0], BAD_POINTS[bad], ARRAYS[name][1])


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("bad", BAD_NOISES)
def test_bad_noises_are_refused_by_name(name, bad):
    refused(NOISES[name][0], BAD_NOISES[bad], NOISES[name][1])


NUMBERS = {
    "variances": (lambda a: LinearManifold([1.0, a]), "variances"),
    "weights": (lambda a: GaussianMixture(GOOD, np.ones(3), [1.0, a]), "weights"),
    "prior": (lambda a: Empirical(GOOD, [0.5, a]), "prior"),
    "sphere": (lambda a: SphereManifold([1.0, a]), "variances"),
    "radius": (ChartManifold.circle, "radius"),
    "tube": (lambda a: ChartManifold.torus(tube=a), "tube"),
    "turns": (ChartManifold.swiss_roll, "turns"),
    "separation": (lambda a: GaussianMixture.two_classes(a, 2), "separation"),
    "within": (lambda a: GaussianMixture.two_classes(1.0, 2, a), "within"),
    "N": (lambda a: memorization.measured_collapse_time(GOOD, good("linear"), a), "N"),
    "level": (lambda a: memorization.copies(GOOD, GOOD, GOOD, level=a), "level"),
    "threshold": (lambda a: spectra.alive(np.eye(3)[None], np.eye(3), threshold=a), "threshold"),
    "minimum": (lambda a: spectra.largest_gap([[1.0, 0.0]], minimum=a), "minimum"),
}
COUNTS = {
    "n of a sample": (lambda n: LinearManifold([1.0]).sample(n), "n"),
    "n of a mixture": (lambda n: good("mixture").sample(n), "n"),
    "n of a chart": (lambda n: ChartManifold.circle().sample(n), "n"),
    "n of a sphere": (lambda n: good("sphere").sample(n), "n"),
    "n, sampling": (lambda n: sampling.sample(good("linear"), n), "n"),
    "n of points": (lambda n: points.points_of_kind("A", GOOD, 0.5, n), "n"),
    "n of a profile": (lambda n: memorization.profile(GOOD, [1.0], n=3 if n is None else n), "n"),
    "m": (lambda m: LinearManifold.of_dimension(m, 3), "m"),
    "d": (random_rotation, "d"),
    "d of classes": (lambda d: GaussianMixture.two_classes(1.0, d), "d"),
    "k": (lambda k: spectra.leading(good("linear"), GOOD, 0.5, k), "k"),
    "blocks": (lambda k: spectra.leading(good("linear"), GOOD, 0.5, 1, blocks=k), "blocks"),
    "copies": (
        lambda k: spectra.normal_bundle(good("linear"), GOOD, 0.5, copies=0 if k is None else k),
        "copies",
    ),
    "probes": (
        lambda k: dimension.effective(good("linear"), GOOD, 0.5, probes=0 if k is None else k),
        "probes",
    ),
    "steps": (
        lambda k: sampling.probability_flow(good("linear"), GOOD, 1.0, 0.1, steps=k), "steps",
    ),
    "samples": (lambda k: HiddenManifold(np.ones((3, 1)), samples=k), "samples"),
    "shape": (lambda k: as_denoiser(lambda x, t: x, shape=(k, 2)), "shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, None, "one", 1j, [[1.0]], 10**400])
def test_bad_numbers_are_refused_by_name(name, bad):
    if name == "threshold" and bad == -1.0:
        return  # any number may be asked for
    refused(*NUMBERS[name][:1], bad, NUMBERS[name][1])


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("bad", [0, -1, 1.5, np.nan, np.inf, None, "one", 1j, [2, 3], 10**400])
def test_bad_counts_are_refused_by_name(name, bad):
    refused(*COUNTS[name][:1], bad, COUNTS[name][1])


# Matrices, and laws with scales of their own
# ------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(-40, 40), st.integers(0, 2**32))
def test_measures_of_jacobians_have_no_unit(d, n, power, seed):
    """Also of one by one matrices, of equal ones, and of none that lives."""
    rng, scale = np.random.default_rng(seed), 2.0**power
    G = rng.standard_normal((n, d, d))
    G, P = G @ G.transpose(0, 2, 1), np.eye(d) * 2
    B = np.linalg.qr(rng.standard_normal((d, d)))[0][:, : 1 + seed % d]
    kept = spectra.retention(scale * G, scale * G, B)
    assert torch.allclose(kept, torch.ones(n).double())
    assert torch.allclose(spectra.asymmetry(scale * G), torch.zeros(n).double(), atol=1e-14)
    whole, part = spectra.alive(G, P), spectra.alive(scale * G, scale * P)
    assert torch.equal(whole.number, part.number)
    assert torch.allclose(whole.share.sum(dim=1), whole.number.double())
    assert torch.equal(spectra.alive(0 * G, P).number, torch.zeros(n).long())
    if d > 1:
        falling = np.sort(rng.uniform(0, 1, (n, d)))[:, ::-1]
        one, other = (spectra.largest_gap(c * falling, minimum=c * 0.3) for c in (1.0, scale))
        assert torch.equal(one.rank, other.rank) and torch.allclose(one.size * scale, other.size)
        steps = falling[:, :-1] - falling[:, 1:]
        assert np.allclose(one.size, steps.max(axis=1))
        expected = np.where(steps.max(axis=1) >= 0.3, steps.argmax(axis=1) + 1, 0)
        assert one.rank.tolist() == expected.tolist()
    CASES["answered"] += 5


@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(worlds(-3, 4, coordinates=2))
def test_a_circle_of_any_radius(w):
    w = w._replace(x=w.x[:, :2])
    for method, (power, _) in METHODS.items():
        answer, expected = of(circle, method)(w), of(circle, method)(w.unit())
        shift = -2 * np.log(w.scale) if power == "log" else 0.0
        expected = expected * (1.0 if power == "log" else w.scale**power) + shift
        size = float(expected.abs().max())
        assert torch.allclose(answer, expected, rtol=1e-6, atol=1e-6 * size), method
        CASES["answered"] += 1


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(
    st.integers(1, 4),
    st.floats(-6, 12),
    st.floats(-12, 12),
    st.integers(-40, 40),
    st.integers(0, 99),
)
def test_a_sphere_at_any_noise_from_any_distance(d, log_t, log_far, power, seed):
    """One direction: two points. Answers inside the ball; only ratios of variances matter."""
    s2 = np.where(np.arange(d) < max(1, d - 1), 1.0 + np.arange(d), 0.0)
    one, other = SphereManifold(s2), SphereManifold(2.0**power * s2)
    x = 10**log_far * points.gaussian(2, d, seed=seed)
    t = 10**log_t * max(1.0, 10**log_far)
    D = one(x, t)
    assert torch.isfinite(D).all() and (D.norm(dim=1) <= 1 + 1e-9).all()
    assert torch.allclose(other(x, t), D, atol=1e-9)
    assert torch.isfinite(one.log_density(x, t)).all()
    values = one.spectrum(x, t) * t
    assert (values > -1e-9).all() and (values.sum(dim=1) <= 1 + 1e-9).all()  # of a covariance
    if d == 1:
        assert torch.allclose(D, torch.tanh(x / t), atol=1e-9)
    CASES["answered"] += 4


@settings(max_examples=3, deadline=None, derandomize=True, database=None)
@given(st.integers(1, 2), st.sampled_from([1e-6, 1.0, 1e6]), st.integers(0, 99))
def test_a_hidden_manifold_of_any_scale(m, scale, seed):
    """A linear f: the closed form, whatever the unit, and with d coordinates too."""
    F = scale * points.gaussian(2, m, seed=seed)
    hidden = HiddenManifold(F, lambda z: z, samples=500)
    values, axes = torch.linalg.eigh(F @ F.T)
    flat = LinearManifold(values.clamp(min=0), axes)
    x, t = scale * points.gaussian(2, 2, seed=seed + 1), 0.3 * scale**2
    assert torch.allclose(hidden(x, t), flat(x, t), atol=0.1 * scale)
    CASES["answered"] += 1


# The door
# ------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(worlds(-3, 3), st.sampled_from(["data", "noise", "score", "velocity"]), st.data())
def test_every_convention_is_the_same_denoiser(w, predicts, data):
    """A law, spelled as its noise, score or velocity, at any scale, on any clock: its answers."""
    time = (
        "step"
        if predicts == "velocity"
        else data.draw(st.sampled_from(["variance", "sigma", "step"]))
    )
    time_as = data.draw(st.sampled_from(["number", "scalar", "each"]))
    w = w._replace(scale=1.0) if time == "step" else w
    exact, levels = law(w), np.geomspace(1e-4, 1e4, 30)
    schedule = 1 / (1 + levels) if time == "step" else None

    def model(x, clock):
        assert isinstance(clock, float) == (time_as == "number")
        clock = torch.as_tensor(clock, dtype=torch.float64).expand(len(x))[:, None]
        t = clock if time == "variance" else clock**2
        a = torch.ones(())
        if time == "step":
            t = torch.exp(torch.from_numpy(np.interp(clock, np.arange(30), np.log(levels))))
            a = (1 + t) ** -0.5
        rows = zip(x, a.expand(len(x), 1), t[:, 0], strict=True)
        y = torch.cat([exact(row[None] / b, s) for row, b, s in rows])
        noise = (x / a - y) / t**0.5
        answers = {"data": y, "noise": noise, "score": -noise / (t**0.5 * a)}
        answers["velocity"] = a * noise - (1 - a**2) ** 0.5 * y
        return answers[predicts]

    D = as_denoiser(model, predicts=predicts, time=time, time_as=time_as, schedule=schedule)
    answer, expected = D(w.points(), w.noise()), exact(w.points(), w.noise())
    size = float(np.abs(w.scale * w.x).max()) + float(expected.abs().max()) + w.noise() ** 0.5
    assert torch.allclose(answer, expected, atol=1e-6 * size) and D.d == w.x.shape[1]
    CASES["answered"] += 1


def test_nothing_is_written_anywhere():
    """No warning, no output, no change of what is handed over."""
    x, out = GOOD.copy(), io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(out):
        warnings.simplefilter("error")
        for name in (*DENOISERS, "foreign", "sphere"):
            for method in ("__call__", "score", "jacobian", "spectrum"):
                getattr(good(name), method)(x, 0.5)
    assert np.array_equal(x, GOOD) and not out.getvalue()


# What stands beside the formulas: shapes that are refused, how much goes at once, graphs
# ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(3, 3), (1, 2, 3), (1, 3, 2), (0, 2, 2), (1, 0, 0), (1, 1, 2, 2)]
)
def test_jacobians_are_square(shape):
    for ask in (
        spectra.asymmetry,
        lambda G: spectra.alive(G, np.eye(2)),
        lambda G: spectra.retention(G, np.ones((1, 2, 2)), np.eye(2)),
    ):
        refused(ask, np.ones(shape), "G")


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3), (2,), (2, 0), (1, 1, 2, 2)])
def test_a_basis_spans_a_subspace(shape):
    G = np.ones((1, 2, 2))
    with pytest.raises(ValueError, match=r"basis has shape .*; allowed is \(d, r\)"):
        spectra.retention(G, G, np.ones(shape))


def test_few_points_go_at_once(monkeypatch):
    """In d = 4: 8 TOGETHER/d^2 points for Jacobians, TOGETHER/(probes d) for probes."""
    seen = []

    class Counting(LinearManifold):
        def _jacobian(self, x, t):
            seen.append(len(x))
            return super()._jacobian(x, t)

        def _products(self, x, t, directions, transposed):
            seen.append(len(x))
            return super()._products(x, t, directions, transposed)

    D, x = Counting([1.0, 0.5, 0.2, 0.0]), points.gaussian(16, 4, seed=0)
    whole = dimension.effective(D, x, 0.5)
    monkeypatch.setattr(dimension, "TOGETHER", 16)
    seen.clear()
    assert torch.equal(dimension.effective(D, x, 0.5), whole) and seen == [8, 8]
    seen.clear()
    dimension.effective(D, x, 0.5, probes=2, seed=0)
    assert seen == [2] * 8


def test_graphs_are_kept_only_where_they_are_asked_for():
    """Data and parameters that require gradients leave none behind in what is a measurement."""
    data = torch.from_numpy(np.vstack([GOOD, GOOD + 1])).requires_grad_()
    seen = memorization.profile(data, [1.0], seed=0)
    assert not seen.log_odds.requires_grad and not seen.participation.requires_grad
    inside = torch.nn.Linear(3, 3).double()
    for D in (Empirical(data), as_denoiser(lambda x, t: inside(x))):
        for answer in (
            dimension.effective(D, GOOD, 0.5),
            dimension.effective(D, GOOD, 0.5, probes=2, seed=0),
            dimension.flipd(D, GOOD, 0.5),
            sampling.sample(
                D if D.d else as_denoiser(lambda x, t: inside(x), d=3), 2, steps=2, seed=0
            ),
        ):
            assert not answer.requires_grad


def test_two_classes_lie_along_the_first_axis():
    """Also closer than 1, and without extent."""
    law = GaussianMixture.two_classes(0.25, 3, 0.0)
    assert law.means.tolist() == [[0.5, 0.0, 0.0], [-0.5, 0.0, 0.0]]
    assert not law.variances.any() and law.weights.tolist() == [0.5, 0.5]
