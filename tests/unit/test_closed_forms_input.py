"""Every public function of ``rem`` and ``theory`` under any input: a right-shaped answer, or a
refusal by name."""

import copy
import doctest
import importlib
import inspect
import re
import typing
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memolib import rem, theory

CASES = {"answered": 0, "refused": 0}


@pytest.fixture(scope="module", autouse=True)
def counts():
    yield
    print("\ncases:", CASES)


# Arguments: each kind draws a value for d coordinates and a leading shape
# -----------------------------------------

EXTREME = [5e-324, 1e-310, 1e-300, 1e-160, 1e-100, 1e100, 1e154, 1e160, 1e300, 1.7e308]
positive = st.one_of(
    st.floats(-12, 12).map(lambda e: 10.0**e), st.just(1.0), st.sampled_from(EXTREME)
)
signed = st.one_of(
    st.just(0.0), st.tuples(positive, st.sampled_from([-1, 1])).map(lambda p: p[0] * p[1])
)
not_negative = st.one_of(st.just(0.0), positive)
above_one = st.one_of(
    st.sampled_from([1.0, 1 + 2e-16, 1 + 1e-9, 1.5, 2.0, 10**30, 1e100, 1e300]),
    st.floats(0, 20).map(lambda e: 10.0**e),
    st.integers(1, 100),
)
small_count = st.integers(1, 20)


def array(elements, shape):
    """Array of a shape, and at times the lists that NumPy would make it of."""
    size = int(np.prod(shape))
    made = st.lists(elements, min_size=size, max_size=size).map(
        lambda v: np.array(v, dtype=float).reshape(shape)
    )
    return (
        st.one_of(made, made.map(np.ndarray.tolist), made.map(np.asfortranarray))
        if shape
        else elements
    )


def one(elements):
    return lambda d, lead: elements


def many(elements):
    return lambda d, lead: array(elements, lead)


def vectors(elements):
    return lambda d, lead: array(elements, (*lead, d))


def vector(elements):
    return lambda d, lead: array(elements, (d,))


def chi_squares(d, lead):
    return st.one_of(not_negative, array(not_negative, (d,)), array(not_negative, (*lead, d)))


def sorted_levels(d, lead):
    return array(signed, (*lead, d)).map(lambda v: np.sort(np.asarray(v, dtype=float), axis=-1))


def mixture_means(d, lead):
    return array(signed, (2, d))


def mixture_variances(d, lead):
    return st.one_of(array(not_negative, (2, d)), array(not_negative, (d,)))


seeds = one(st.one_of(st.none(), st.integers(0, 2**70), st.lists(st.integers(0, 9), max_size=3)))
flags = one(st.booleans())
number, numbers, sizes, size = one(positive), many(positive), many(above_one), one(above_one)
variances, points, point = vector(not_negative), vectors(signed), vector(signed)


def shape(*names):
    """Common shape of some arguments; np.broadcast_shapes takes no more than 32 axes."""
    return lambda a: sum(np.zeros(np.shape(a[name])) for name in names).shape


def scalar(a):
    return ()


def pairs(a):
    return (), ()


def leading(*names):
    return lambda a: shape(*names)(a)[:-1]


directions = shape("chi2", "variances")
LAW = {"beta": numbers, "N": sizes, "v": number}
GAP = {"m": one(small_count), "d": one(st.sampled_from([1, 20, 50, 10**30])), "variance": number}
LOSS = {"chi2": chi_squares, "variances": variances, "t": number, "N": size}
CLASSES = {"separation": number, "within": one(not_negative)}
weights = one(st.sampled_from([0.5, 1e-300, 1e-3, 0.5 + 1e-9, 0.9, 1 - 1e-16]))
SEEN = {"x": point, "variances": variances}
TABLE = {
    rem.sample_levels: (
        {"N": one(small_count), "v": number, "samples": one(small_count), "seed": seeds},
        lambda a: (int(a["samples"]), int(a["N"])),
    ),
    rem.sample_lowest_levels: (
        {
            "N": size,
            "v": number,
            "keep": one(st.integers(1, 3)),
            "samples": one(small_count),
            "seed": seeds,
        },
        lambda a: (int(a["samples"]), int(a["keep"])),
    ),
    rem.thermodynamics: (
        {"energies": points, "beta": one(st.one_of(positive, array(positive, (2,))))},
        lambda a: (np.shape(a["energies"])[:-1] + np.shape(a["beta"]),) * 4,
    ),
    rem.critical_beta: ({"N": sizes, "v": number}, shape("N")),
    rem.level_entropy: ({"energy": many(signed), "N": sizes, "v": number}, shape("energy", "N")),
    rem.annealed_free_energy: (LAW, shape("beta", "N")),
    rem.quenched_free_energy: (LAW, shape("beta", "N")),
    rem.quenched_entropy: (LAW, shape("beta", "N")),
    rem.participation_limit: (LAW, shape("beta", "N")),
    rem.lowest_level: ({"N": sizes, "v": number}, shape("N")),
    rem.participation_exact: (
        {"beta": number, "N": size, "v": number, "step": one(st.sampled_from([0.2, 0.5]))},
        shape("beta", "N"),
    ),
    rem.participation_window: (LAW, shape("beta", "N")),
    rem.participation_exponents: ({"ratio": numbers}, lambda a: (np.shape(a["ratio"]),) * 2),
    rem.hazard: ({"delta": many(signed)}, shape("delta")),
    rem.participation_from_lowest: (
        {"levels": sorted_levels, "beta": number, "N": size, "v": number},
        leading("levels"),
    ),
    theory.information: ({"variances": variances, "t": numbers}, shape("t")),
    theory.collapse_time: ({"variances": variances, "N": size}, scalar),
    theory.local_collapse_time: (
        {"log_density": many(signed), "m": one(small_count), "N": size},
        shape("log_density"),
    ),
    theory.entropy_at: (
        {"x": points, "variances": variances, "t": number, "N": size},
        leading("x"),
    ),
    theory.collapse_time_at: (SEEN | {"N": size}, scalar),
    theory.condensed_participation: (SEEN | {"t": number, "N": size}, scalar),
    theory.critical_window: (
        {"beta": numbers, "critical": numbers, "curvature": numbers},
        shape("beta", "critical", "curvature"),
    ),
    theory.information_density: (
        {"y": points, "xi": points, "variances": variances, "t": number},
        leading("y", "xi"),
    ),
    theory.own_weight: (
        {"y": points, "xi": points, "variances": variances, "t": number, "N": size},
        leading("y", "xi"),
    ),
    theory.index_information: ({"variances": variances, "t": numbers, "N": size}, shape("t")),
    theory.dispersion: ({"variances": variances, "t": numbers}, shape("t")),
    theory.own_weight_normal: ({"variances": variances, "t": numbers, "N": size}, shape("t")),
    theory.tangent_edges: (GAP, pairs),
    theory.tangent_density: ({"gamma": many(signed)} | GAP, shape("gamma")),
    theory.tangent_distribution: ({"gamma": many(signed)} | GAP, shape("gamma")),
    theory.jacobian_density: (
        {"g": many(st.floats(0, 1, exclude_max=True)), "t": number} | GAP,
        shape("g"),
    ),
    theory.participation: (LOSS, lambda a: directions(a)[:-1]),
    theory.loss_fresh: (LOSS, directions),
    theory.loss_noisy: (LOSS, directions),
    theory.retention_training: (
        {
            "variances": vector(positive),
            "t": number,
            "N": size,
            "samples": one(st.integers(2, 9)),
            "seed": seeds,
        },
        lambda a: (np.shape(a["variances"]),) * 2,
    ),
    theory.law_limit: ({"variances": variances, "N": size}, scalar),
    theory.retrieval_capacity: ({"t": numbers, "flipped": one(st.floats(0, 0.5))}, shape("t")),
    theory.sign_capacity: ({"t": numbers}, shape("t")),
    theory.gaussian_collapse_time: ({"x": points, "variances": variances, "N": size}, leading("x")),
    theory.gaussian_loss_time: ({"variances": variances, "N": size}, shape("variances")),
    theory.paper_singular_values: (
        {"variances": variances, "t": number, "N": size, "normalised": flags, "homogeneous": flags},
        shape("variances"),
    ),
    theory.sphere_variances: ({"variances": variances}, shape("variances")),
    theory.noise_variance: ({"s": numbers}, shape("s")),
    theory.speciation_time: ({"variance": number}, scalar),
    theory.clone_agreement: (
        {"separation": number, "within": one(not_negative), "t": numbers},
        shape("t"),
    ),
    theory.class_potential: (
        {"q": many(signed)} | CLASSES | {"t": number, "weight": weights},
        shape("q"),
    ),
    theory.class_minimum: (CLASSES | {"t": number, "weight": weights}, scalar),
    theory.spinodal_time: (CLASSES | {"weight": weights}, scalar),
    theory.mixture_information: (
        {
            "means": mixture_means,
            "variances": mixture_variances,
            "weights": one(st.sampled_from([[0.5, 0.5], np.array([0.999, 0.001])])),
            "t": number,
            "samples": one(st.integers(2, 9)),
            "seed": seeds,
        },
        pairs,
    ),
}
INFINITE = {theory.collapse_time, theory.collapse_time_at, theory.law_limit}  # at N = 1


class Broken:
    """Its conversion and its text fail in their own ways."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("broken")

    def __repr__(self):
        raise RuntimeError("broken")


HOSTILE = [
    np.nan,
    np.inf,
    -np.inf,
    -1.0,
    -1e-300,
    0,
    -0.0,
    2.5,
    1e300,
    True,
    10**400,
    10**5000,
    -(10**30),
    1 + 1j,
    np.complex128(2),
    [1.0, 1j],
    np.array([1.0, 2.0], dtype=complex),
    np.array([1j, "a"], dtype=object),
    np.array([np.complex128(1), None], dtype=object),
    np.ma.masked,
    np.ma.masked_array([1.0, 2.0], [False, True]),
    np.ma.masked_array([1.0, 2.0]),
    [1.0, np.ma.masked],
    np.longdouble("1e4000"),
    "a",
    "1",
    "",
    "nan",
    b"2",
    "x" * 10_000,
    None,
    object(),
    Broken(),
    {},
    {1.0},
    [],
    [[]],
    [[1.0], [1.0, 2.0]],
    np.datetime64("2020-01-01"),
    np.timedelta64(5, "s"),
    np.zeros((0, 3)),
    np.ones((2, 1)),
    np.ones(4),
    np.ones((2, 3, 4)),
    np.full((3, 3), np.nan),
    [1.0, -1.0],
    [np.inf, 1.0],
    range(3),
    lambda: 1.0,
    int,
    np.array(7, dtype=np.uint8),
    np.ones(3, dtype=np.float16),
    np.zeros(2, dtype="f8,i4"),
    np.ones((1,) * 64),
    torch.ones(3, requires_grad=True),
    torch.tensor(2.0, requires_grad=True),
    torch.ones(2, dtype=torch.complex64),
    torch.ones(2, dtype=torch.bfloat16),
]
BAD_SEEDS = [-1, "a", "12", 1.5, 1j, [-1], [1.5], object(), Broken(), np.nan, np.array([0.5]), {}]


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray) and a.dtype != object:
        return np.ma.allequal(a, b) or np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    return isinstance(a, (list, np.ndarray)) or a is b or a == b or a != a


def check(function, arguments):
    """Call a function: what it gives is finite and of the right shape, what it refuses has a
    name."""
    try:
        before = copy.deepcopy(arguments)
    except TypeError:
        before = arguments
    with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
        warnings.simplefilter("error")
        try:
            result = function(**arguments)
        except ValueError as error:
            names = "|".join(inspect.signature(function).parameters)
            assert re.match(rf"({names}) (is|has) .*allowed (is|are) ", str(error), re.DOTALL), str(
                error
            )
            assert len(str(error)) < 1_500
            CASES["refused"] += 1
            return None
    CASES["answered"] += 1
    results = result if isinstance(result, tuple) else (result,)
    wanted = TABLE[function][1](arguments)
    wanted = wanted if isinstance(result, tuple) else (wanted,)
    assert [np.shape(r) for r in results] == list(wanted)
    if not (
        function in INFINITE
        and float(getattr(arguments["N"], "item", lambda: arguments["N"])()) == 1
    ):
        assert all(np.isfinite(r).all() for r in results), results
    if before is not arguments:
        assert all(same(before[name], arguments[name]) for name in arguments if name != "seed")
    return result


def ids(function):
    return f"{function.__module__.split('.')[1]}.{function.__name__}"


FUNCTIONS = pytest.mark.parametrize("function", TABLE, ids=ids)
# The same cases each time: a reader's test run does not depend on luck.
EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def drawn(data, function):
    kinds = TABLE[function][0]
    d = data.draw(st.sampled_from([1, 2, 3, 7]))
    lead = data.draw(st.sampled_from([(), (), (2,), (0,), (2, 3)]))
    return {name: data.draw(kind(d, lead), label=name) for name, kind in kinds.items()}


def test_the_table_has_all_functions_and_arguments():
    public = [
        v for v in vars(rem).values() if inspect.isfunction(v) and v.__module__ == "memolib.rem"
    ]
    public = [f for f in public if not f.__name__.startswith("_")] + [
        f for n in theory.__all__ if inspect.isfunction(f := getattr(theory, n))
    ]
    assert set(public) == set(TABLE)
    for function, (kinds, _) in TABLE.items():
        assert list(kinds) == list(inspect.signature(function).parameters), function
        hints = typing.get_type_hints(function)
        assert set(hints) == {*kinds, "return"}, function


@FUNCTIONS
@EXAMPLES
@given(st.data())
def test_any_scale_and_shape(function, data):
    check(function, drawn(data, function))


@FUNCTIONS
@EXAMPLES
@given(st.data())
def test_any_hostile_value(function, data):
    arguments = drawn(data, function)
    name = data.draw(st.sampled_from(sorted(arguments)))
    values = BAD_SEEDS if name == "seed" else HOSTILE
    arguments[name] = values[data.draw(st.integers(0, len(values) - 1), label=name)]
    check(function, arguments)


def usual(function):
    """Arguments that every function answers, for three coordinates."""
    given = {
        "N": 10,
        "v": 2.0,
        "samples": 5,
        "seed": 0,
        "keep": 3,
        "energies": [1.0, 2.0],
        "beta": 0.7,
        "energy": 1.0,
        "step": 0.3,
        "levels": [-2.0, -1.0],
        "variances": [1.0, 0.5, 0.2],
        "t": 0.3,
        "log_density": 0.4,
        "m": 2,
        "d": 5,
        "variance": 1.5,
        "x": [1.0, 0.1, 0.3],
        "y": [1.0, 0.1, 0.3],
        "xi": [0.1, 2.0, -1.0],
        "gamma": 2.0,
        "g": 0.5,
        "chi2": 1.0,
        "flipped": 0.1,
        "normalised": False,
        "homogeneous": True,
        "s": 0.3,
        "separation": 2.0,
        "within": 0.1,
        "means": [[0.0, 1.0, 2.0], [1.0, 0.0, 0.0]],
        "weights": [0.3, 0.7],
        "q": 0.7,
        "weight": 0.4,
        "ratio": 0.8,
        "delta": 0.5,
        "critical": 1.0,
        "curvature": 2.0,
    }
    return {name: given[name] for name in inspect.signature(function).parameters}


def flat(result):
    return np.concatenate(
        [np.ravel(part) for part in (result if isinstance(result, tuple) else (result,))]
    )


@FUNCTIONS
def test_each_argument_under_each_hostile_value(function):
    base = flat(function(**usual(function)))
    for name in usual(function):
        for value in BAD_SEEDS if name == "seed" else HOSTILE:
            check(function, usual(function) | {name: value})
    # text, tensors, lists and arrays that say the same are the same
    for form in (
        str,
        np.asarray,
        lambda v: torch.tensor(v, dtype=torch.float64, requires_grad=True),
    ):
        for name, value in usual(function).items():
            if name not in ("seed", "normalised", "homogeneous") and (
                form is not str or np.ndim(value) == 0
            ):
                assert np.array_equal(
                    flat(function(**usual(function) | {name: form(value)})), base
                ), (name, form)


REFUSED = [
    np.nan,
    np.inf,
    -1.0,
    1 + 1j,
    "a",
    None,
    10**400,
    np.ma.masked_array([1.0]),
    [1j],
    [np.ma.masked],
    Broken(),
]


SIGNED = {
    "energies",
    "energy",
    "levels",
    "delta",
    "log_density",
    "x",
    "y",
    "xi",
    "gamma",
    "means",
    "q",
}


@FUNCTIONS
@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_what_has_no_meaning_is_refused_by_its_name(function, value):
    for name in usual(function):
        if name != "seed" and not (value is REFUSED[2] and name in SIGNED):
            with pytest.raises(ValueError, match=rf"(?s)^{name} (is|has) .*; allowed (is|are) "):
                function(**usual(function) | {name: value})


@pytest.mark.parametrize("number", range(len(BAD_SEEDS)))
def test_bad_seeds_are_named(number):
    for function in (
        rem.sample_levels,
        rem.sample_lowest_levels,
        theory.retention_training,
        theory.mixture_information,
    ):
        with pytest.raises(ValueError, match=r"^seed is .*; allowed are whole numbers from 0"):
            function(**usual(function) | {"seed": BAD_SEEDS[number]})
        rng = np.random.default_rng(0)
        first, again, equal = (
            flat(function(**usual(function) | {"seed": seed})) for seed in (rng, 0, 0)
        )
        assert np.array_equal(equal, again) and not np.array_equal(first, again)
        other = flat(function(**usual(function) | {"seed": rng}))  # a Generator goes on
        assert not np.array_equal(first, other)
        assert np.array_equal(flat(function(**usual(function) | {"seed": [0]})), again)


MISFITS = [
    (theory.participation, {"chi2": [1.0, 1.0], "variances": [1.0] * 3, "t": 1.0, "N": 9}, "chi2"),
    (theory.loss_fresh, {"chi2": [1.0, 1.0], "variances": [1.0] * 3, "t": 1.0, "N": 9}, "chi2"),
    (theory.loss_noisy, {"chi2": [1.0] * 4, "variances": [1.0], "t": 1.0, "N": 9}, "chi2"),
    (
        theory.information_density,
        {"y": np.zeros((2, 3)), "xi": np.zeros((3, 3)), "variances": [1.0] * 3, "t": 1},
        "y",
    ),
    (
        theory.own_weight,
        {"y": np.zeros((2, 3)), "xi": np.zeros((3, 3)), "variances": [1] * 3, "t": 1, "N": 2},
        "y",
    ),
    (
        theory.condensed_participation,
        {"x": np.ones((2, 3)), "variances": [1.0] * 3, "t": 0.2, "N": 100},
        "x",
    ),
    (
        theory.condensed_participation,
        {"x": np.ones((0, 3)), "variances": [1.0] * 3, "t": 0.2, "N": 100},
        "x",
    ),
    (theory.collapse_time_at, {"x": np.ones((1, 3)), "variances": [1.0] * 3, "N": 100}, "x"),
    (rem.level_entropy, {"energy": [1.0] * 3, "N": [2.0] * 2}, "energy"),
    *[
        (law, {"beta": [1.0] * 3, "N": [2.0] * 2}, "beta")
        for law in (
            rem.annealed_free_energy,
            rem.quenched_free_energy,
            rem.quenched_entropy,
            rem.participation_limit,
            rem.participation_exact,
            rem.participation_window,
        )
    ],
    (rem.participation_exact, {"beta": 1.0, "N": 10, "step": 5}, "step"),
    (rem.participation_exact, {"beta": 1.0, "N": 10, "step": 0.51}, "step"),
    (rem.participation_exact, {"beta": 1.0, "N": 10, "step": 0.009}, "step"),
    (rem.sample_lowest_levels, {"N": 1.01e300, "keep": 1}, "N"),
    (rem.sample_levels, {"N": 10**18}, "samples"),
    (rem.sample_levels, {"N": 10**300}, "samples"),
    (
        theory.retention_training,
        {"variances": [1.0], "t": 1.0, "N": 2, "samples": 10**18},
        "samples",
    ),
    (
        theory.mixture_information,
        {"means": [[0.0]], "variances": [1.0], "weights": [1.0], "t": 1.0, "samples": 1e10},
        "samples",
    ),
    (
        theory.mixture_information,
        {"means": [[0.0]] * 2, "variances": [1.0], "weights": [1e308] * 2, "t": 1.0},
        "weights",
    ),
    (
        theory.paper_singular_values,
        {"variances": [1.0], "t": 1.0, "N": 2, "normalised": "yes"},
        "normalised",
    ),
    (
        theory.paper_singular_values,
        {"variances": [1.0], "t": 1.0, "N": 2, "homogeneous": None},
        "homogeneous",
    ),
    (theory.paper_singular_values, {"variances": [1.0], "t": 1e-150, "N": 2}, "variances"),
    (theory.collapse_time, {"variances": [1e300], "N": 1 + 1e-15}, "variances"),
    (rem.annealed_free_energy, {"beta": 1e300, "N": 2, "v": 1e300}, "beta"),
]


@pytest.mark.parametrize(("function", "arguments", "name"), MISFITS)
def test_misfits_are_named(function, arguments, name):
    with pytest.raises(ValueError, match=rf"^{name} (is|has) .*; allowed (is|are) "):
        function(**arguments)


# Invariances
# ------------------------------------------------------------------------------

POWERS = {  # of the factor on all variances, that the result carries
    theory.information: 0,
    theory.collapse_time: 1,
    theory.entropy_at: 0,
    theory.collapse_time_at: 1,
    theory.condensed_participation: 0,
    theory.information_density: 0,
    theory.own_weight: 0,
    theory.participation: 0,
    theory.dispersion: 0,
    theory.own_weight_normal: 0,
    theory.loss_fresh: 0,
    theory.loss_noisy: 0,
    theory.retention_training: 0,
    theory.law_limit: 1,
    theory.gaussian_collapse_time: 1,
    theory.gaussian_loss_time: 1,
    theory.paper_singular_values: -1,
    theory.sphere_variances: 0,
    theory.mixture_information: 0,
    theory.tangent_edges: 1,
    theory.tangent_density: -1,
    theory.tangent_distribution: 0,
    theory.jacobian_density: 0,
    theory.clone_agreement: 0,
    theory.index_information: 0,
    theory.class_potential: 0,
    theory.class_minimum: 0.5,
    theory.spinodal_time: 1,
    rem.critical_beta: -0.5,
    rem.sample_levels: 0.5,
    rem.sample_lowest_levels: 0.5,
    rem.level_entropy: 0,
    rem.annealed_free_energy: 0.5,
    rem.quenched_free_energy: 0.5,
    rem.quenched_entropy: 0,
    rem.participation_limit: 0,
    rem.lowest_level: 0.5,
    rem.participation_exact: 0,
    rem.participation_window: 0,
    rem.participation_from_lowest: 0,
    theory.critical_window: 0,
}
ARGUMENT_POWERS = {
    "variances": 1,
    "variance": 1,
    "t": 1,
    "x": 0.5,
    "y": 0.5,
    "q": 0.5,
    "means": 0.5,
    "gamma": 1,
    "separation": 1,
    "within": 1,
    "v": 1,
    "beta": -0.5,
    "energy": 0.5,
    "levels": 0.5,
    "critical": -0.5,
    "curvature": 1,
}


@pytest.mark.parametrize("function", POWERS, ids=ids)
@pytest.mark.parametrize("factor", [1e-12, 1e-3, 7.0, 1e12, 1e100, 1e-100])
def test_units_do_not_matter(function, factor):
    base = flat(function(**usual(function)))
    scaled = {
        n: np.multiply(v, factor ** ARGUMENT_POWERS[n]) if n in ARGUMENT_POWERS else v
        for n, v in usual(function).items()
    }
    assert np.allclose(
        flat(function(**scaled)) / factor ** POWERS[function], base, rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("function", POWERS, ids=ids)
@settings(EXAMPLES, max_examples=20)
@given(st.data())
def test_units_do_not_matter_anywhere(function, data):
    """By powers of 4, whose roots are exact: with any arguments for which both are answered."""
    fixed = {"seed": 0, "homogeneous": True}  # the published form has no consistent units
    arguments = {name: fixed.get(name, value) for name, value in drawn(data, function).items()}
    factor = 4.0 ** data.draw(st.integers(-15, 15))
    scaled = dict(arguments)
    for name in ARGUMENT_POWERS.keys() & arguments.keys():
        with np.errstate(over="ignore"):
            scaled[name] = np.multiply(arguments[name], factor ** ARGUMENT_POWERS[name])
        sizes = np.abs(scaled[name])
        if ((sizes > 1e307) | ((sizes > 0) & (sizes < 1e-307))).any():
            return  # no longer the same numbers
    first, second = check(function, arguments), check(function, scaled)
    if first is not None and second is not None:
        unscaled = flat(second) / factor ** POWERS[function]
        rounding = 1e-12 if function is theory.mixture_information else 1e-290  # a difference
        assert np.allclose(unscaled, flat(first), rtol=1e-9, atol=rounding), (first, second)


PERMUTED = [f for f in POWERS if "variances" in usual(f) and "samples" not in usual(f)]


@pytest.mark.parametrize("function", PERMUTED, ids=ids)
def test_the_order_of_directions_does_not_matter(function):
    order = [2, 0, 1]
    base = function(**usual(function))
    moved = {n: np.asarray(v)[order] if np.ndim(v) else v for n, v in usual(function).items()}
    assert np.allclose(
        function(**moved), np.asarray(base)[order] if np.ndim(base) else base, rtol=1e-12, atol=0
    )


MODULES = [
    "rem",
    *(
        f"theory.{name}"
        for name in (
            "channel",
            "collapse",
            "condensation",
            "gaps",
            "losses",
            "memory",
            "paper",
            "speciation",
        )
    ),
]


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_the_docstrings_run(module):
    module = importlib.import_module(f"memolib.{module}")
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
    for function in (f for f in TABLE if f.__module__ == module.__name__):
        lines = [line.strip() for line in inspect.getdoc(function).splitlines()]
        assert {"Args:", "Returns:", "Raises:", "Source:", "Chapter:"} <= set(lines), function
