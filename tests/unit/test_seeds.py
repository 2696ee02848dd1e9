"""Random numbers: equal seeds of two functions never draw equal numbers, and stored draws stay."""

import inspect
import itertools

import numpy as np
import pytest
import torch

from memolib import dimension, manifolds, memorization, points, rem, sampling, spectra, theory
from memolib._validate import generator
from memolib.empirical import Empirical

LINE = manifolds.LinearManifold([4.0, 1.0, 0.25])
SHIFT = manifolds.GaussianMixture([[0.0] * 3], [1.0] * 3)  # at 0: its samples are plain Gaussian


def normals(x):
    """The standard Gaussian numbers that draws were made of, as a flat array."""
    return np.asarray(x, dtype=float).ravel()


DRAWS = {  # of 30 standard Gaussian numbers, by function: what a seed gives
    "gaussian": lambda seed: normals(points.gaussian(10, 3, seed=seed)),
    "add_noise": lambda seed: normals(points.add_noise(torch.zeros(10, 3), 1.0, seed=seed)),
    "points": lambda seed: normals(
        points.points_of_kind("A", torch.zeros(10, 3), 1.0, 10, seed=seed)
    ),
    "linear": lambda seed: normals(LINE.sample(10, seed=seed) / LINE.variances.sqrt()),
    "mixture": lambda seed: normals(SHIFT.sample(10, seed=seed)),
    "chart": lambda seed: normals(
        manifolds.ChartManifold(lambda z: z, ["normal"] * 3).sample(10, seed=seed)
    ),
    "levels": lambda seed: normals(rem.sample_levels(30, v=2.0, seed=seed)) / np.log(30) ** 0.5,
}


@pytest.mark.parametrize("pair", itertools.combinations(DRAWS, 2), ids="-".join)
def test_equal_seeds_of_two_functions_are_independent(pair):
    """No number of one among those of the other, and no correlation, whatever the seed."""
    for seed in (0, 1, [0], [3, 4]):
        one, two = (np.sort(DRAWS[name](seed)) for name in pair)
        assert np.abs(one[:, None] - two).min() > 1e-9
        again = DRAWS[pair[0]](seed)
        assert np.array_equal(np.sort(again), one)  # and a seed gives what it gave


def test_a_data_set_and_its_noise_of_one_seed_have_the_right_distance():
    """Were they the same numbers, noisy points would be the data, stretched."""
    y = LINE.sample(2_000, seed=5)
    x = points.add_noise(y, 1.0, seed=5)
    assert (x - y).var(dim=0).tolist() == pytest.approx([1.0] * 3, rel=0.1)
    assert x.var(dim=0).tolist() == pytest.approx([5.0, 2.0, 1.25], rel=0.1)


def test_every_function_with_a_seed_has_its_own_stream(monkeypatch):
    """Watch what each asks for: no two names are equal, and none draws without asking."""
    asked = []

    def watched(seed, purpose):
        asked.append((inspect.stack()[1].function, purpose))
        return generator(seed, purpose)

    for module in (points, dimension, memorization, sampling, spectra, rem, theory.losses,
                   theory.speciation, manifolds.linear, manifolds.mixture, manifolds.chart,
                   manifolds.hidden, manifolds.sphere):  # fmt: skip
        assert "default_rng" not in inspect.getsource(module)
        if hasattr(module, "generator"):
            monkeypatch.setattr(module, "generator", watched)
    D, y = Empirical(LINE.sample(20, seed=1)), LINE.sample(8, seed=2)
    for call in (
        lambda: manifolds.random_rotation(3, seed=0),
        lambda: manifolds.HiddenManifold([[1.0], [2.0]], samples=100, seed=0),
        lambda: manifolds.LinearManifold.of_dimension(1, 3, seed=0),
        lambda: manifolds.SphereManifold([1.0, 0.5]).sample(3, seed=0),
        lambda: SHIFT.sample(3, seed=0),
        lambda: manifolds.ChartManifold.circle().sample(3, seed=0),
        lambda: points.points_of_kind("A", y, 0.1, 3, seed=0),
        lambda: points.gaussian(3, seed=0),
        lambda: dimension.effective(D, y, 0.1, probes=2, seed=0),
        lambda: spectra.normal_bundle(D, y, 0.1, seed=0),
        lambda: spectra.leading(D, y, 0.1, 1, seed=0),
        lambda: sampling.sample(D, 3, steps=2, seed=0),
        lambda: sampling.reverse_sde(D, y, 1.0, 0.1, steps=2, seed=0),
        lambda: memorization.pointwise_information(y, LINE, 0.1, seed=0),
        lambda: memorization.measured_collapse_time(y, LINE, 10, seed=0),
        lambda: memorization.profile(y, [0.1], seed=0),
        lambda: rem.sample_levels(3, seed=0),
        lambda: rem.sample_lowest_levels(30, keep=3, seed=0),
        lambda: theory.retention_training([1.0], 0.1, 10, seed=0),
        lambda: theory.mixture_information([[0.0]], [1.0], [1.0], 1.0, seed=0),
    ):
        before = len(asked)
        call()
        assert len(asked) > before
    by_purpose = {}
    for function, purpose in asked:
        by_purpose.setdefault(purpose, set()).add(function)
    assert all(len(functions) == 1 for functions in by_purpose.values()), by_purpose
    assert len(by_purpose) >= 19


def test_the_draws_behind_stored_results_stay():
    """First numbers of the data sets and of the noise that stored networks saw."""
    from results import network_grid

    rng = np.random.default_rng(3)  # a generator is taken as it is
    assert generator(rng, "anything") is rng
    y = network_grid.sample(0)
    first = np.random.default_rng(0).standard_normal((20_000, 30))[0]
    first *= np.r_[[1.0] * 2, [0.3] * 5, [0.01] * 23]
    assert np.allclose(y[0], first / np.linalg.norm(first))
    seen = network_grid.looks(y, 0.01, 7)
    noise = np.random.default_rng(20_007).standard_normal(seen["A"].shape)
    assert np.allclose(seen["A"], y[: len(noise)] + 0.1 * noise)
    assert float(y[0, 0]) == pytest.approx(FIRST["data"], rel=1e-12)
    assert float(seen["C"][0, 0]) == pytest.approx(FIRST["C"], rel=1e-12)


FIRST = {"data": 0.24491371723781863, "C": 0.6238559847889733}  # of version 0.9
