"""The random energy model: closed forms, limits, invariances, and simulation as a second way to
each number."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.special import erfcx
from scipy.stats import kstest, norm

from memolib import rem

RATIOS = np.array([0.5, 1, 1.5, 2, 3])


def standard_error(values):
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))


# Levels
# -----------------------------------------------------------------------------


def test_levels_are_gaussian_and_repeatable():
    levels = rem.sample_levels(50_000, 4.0, samples=2, seed=0)
    assert levels.shape == (2, 50_000)
    assert kstest(levels.ravel(), norm(scale=2).cdf).pvalue > 0.01
    assert np.array_equal(levels, rem.sample_levels(50_000, 4.0, samples=2, seed=0))


def test_lowest_levels_have_the_law_of_sorted_levels():
    lowest = rem.sample_lowest_levels(200, 4.0, keep=3, samples=20_000, seed=1)
    full = np.sort(rem.sample_levels(200, 4.0, samples=20_000, seed=2), axis=1)[:, :3]
    assert (np.diff(lowest, axis=1) >= 0).all()
    for k in range(3):
        assert kstest(lowest[:, k], full[:, k]).pvalue > 0.01
    # joint law, not only the margins: the gaps
    assert kstest(lowest[:, 2] - lowest[:, 0], full[:, 2] - full[:, 0]).pvalue > 0.01


def test_all_levels_can_be_kept():
    levels = rem.sample_lowest_levels(5, keep=5, samples=50_000, seed=3)
    assert abs(levels.mean()) < 4 / np.sqrt(250_000)
    assert abs(levels.var() - 1) < 0.02


@pytest.mark.parametrize("N", [1.5, 10, 1e6, 1e50, 1e300])
def test_one_level_is_expected_below_the_lowest(N):
    assert np.log(N) + norm.logcdf(rem.lowest_level(N, 9.0) / 3) == pytest.approx(0, abs=1e-9)


# Thermodynamics of given levels
# -----------------------------------------------------------------------------


def test_thermodynamics_by_hand():
    out = rem.thermodynamics([0.0, np.log(3)], 1.0)  # weights 3/4, 1/4
    assert out.free_energy == pytest.approx(-np.log(4 / 3))
    assert out.energy == pytest.approx(np.log(3) / 4)
    assert out.entropy == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    assert out.participation == pytest.approx(0.75**2 + 0.25**2)


def test_thermodynamic_identities():
    E = rem.sample_levels(500, 2.0, samples=4, seed=4)
    beta = np.array([0.1, 1.0, 5.0])
    out = rem.thermodynamics(E, beta)
    assert all(field.shape == (4, 3) for field in out)
    assert np.allclose(out.free_energy, out.energy - out.entropy / beta)
    # energy = d(beta F)/d(beta), by central differences
    h = 1e-5
    above, below = (rem.thermodynamics(E, beta + s).free_energy * (beta + s) for s in (h, -h))
    assert np.allclose((above - below) / (2 * h), out.energy, atol=1e-6)


def test_thermodynamics_is_invariant():
    E = rem.sample_levels(300, samples=2, seed=5)
    base = rem.thermodynamics(E, 2.0)
    moved = rem.thermodynamics(E + 1e4, 2.0)
    assert np.allclose(moved.participation, base.participation) and np.allclose(
        moved.entropy, base.entropy
    )
    assert np.allclose(moved.free_energy - 1e4, base.free_energy)
    assert np.allclose(rem.thermodynamics(7 * E, 2.0 / 7).entropy, base.entropy)
    assert np.allclose(rem.thermodynamics(E[:, ::-1], 2.0).participation, base.participation)


def test_thermodynamic_limits():
    E = rem.sample_levels(300, seed=6)[0]
    hot, cold = rem.thermodynamics(E, 1e-12), rem.thermodynamics(E, 1e12)
    assert hot.entropy == pytest.approx(np.log(300)) and hot.participation == pytest.approx(1 / 300)
    assert cold.entropy == 0 and cold.participation == 1 and cold.energy == E.min()
    alone = rem.thermodynamics([3.0], 2.0)
    assert alone.free_energy == 3 and alone.entropy == 0 and alone.participation == 1


# Closed forms
# -----------------------------------------------------------------------------


def test_phases():
    N, v = 1e4, 3.0
    beta_c = rem.critical_beta(N, v)
    assert beta_c == pytest.approx(np.sqrt(2 * np.log(1e4) / 3))
    beta = np.linspace(0.2, 3, 50) * beta_c
    F = rem.quenched_free_energy(beta, N, v)
    assert np.allclose(F[beta < beta_c], rem.annealed_free_energy(beta, N, v)[beta < beta_c])
    assert np.allclose(F[beta >= beta_c], -np.sqrt(2 * v * np.log(N)))
    assert (F >= rem.annealed_free_energy(beta, N, v) - 1e-12).all()  # Jensen
    # S = beta^2 dF/dbeta, by central differences away from the kink
    h = 1e-6
    slope = (
        rem.quenched_free_energy(beta + h, N, v) - rem.quenched_free_energy(beta - h, N, v)
    ) / (2 * h)
    assert np.allclose(beta**2 * slope, rem.quenched_entropy(beta, N, v), atol=1e-5)
    # the entropy of the level where the weight sits, e = -beta v
    warm = beta[beta < beta_c]
    assert np.allclose(rem.level_entropy(-warm * v, N, v), rem.quenched_entropy(warm, N, v))
    assert rem.level_entropy(-beta_c * v, N, v) == pytest.approx(0, abs=1e-12)


def test_scale_of_the_energies_does_not_matter():
    beta, N, v = np.array([0.5, 2.0]), 1e5, 4.0
    for law in (rem.quenched_entropy, rem.participation_limit, rem.participation_exact):
        assert np.allclose(law(beta, N, v), law(beta * 2, N, 1.0))
    for law in (rem.quenched_free_energy, rem.annealed_free_energy):
        assert np.allclose(law(beta, N, v), 2 * law(beta * 2, N, 1.0))


def test_a_single_level():
    assert rem.critical_beta(1) == 0
    assert rem.participation_exact(2.0, 1) == 1 and rem.participation_limit(2.0, 1) == 1
    assert (
        rem.quenched_free_energy(2.0, 1) == pytest.approx(0) and rem.quenched_entropy(2.0, 1) == 0
    )


def test_annealed_average_is_the_mean_of_z():
    E = rem.sample_levels(100, 2.0, samples=40_000, seed=7)
    z = np.exp(-0.5 * rem.thermodynamics(E, 0.5).free_energy)
    expected = np.exp(-0.5 * rem.annealed_free_energy(0.5, 100, 2.0))
    assert abs(z.mean() - expected) < 4 * standard_error(z)


def test_simulated_free_energy_and_entropy_follow_the_phases():
    """Within the known size of the corrections: the lowest level is off by ln ln N/(4 ln N), some
    10% at 1e5."""
    N, beta_c = 100_000, rem.critical_beta(100_000)
    out = rem.thermodynamics(rem.sample_levels(N, samples=50, seed=8), np.array([0.5, 2]) * beta_c)
    F, S = out.free_energy.mean(axis=0), out.entropy.mean(axis=0)
    assert F[0] == pytest.approx(rem.quenched_free_energy(0.5 * beta_c, N), rel=0.001)
    assert F[1] == pytest.approx(rem.quenched_free_energy(2 * beta_c, N), rel=0.1)
    assert F[1] > rem.annealed_free_energy(2 * beta_c, N) * 0.8
    assert S[0] == pytest.approx(rem.quenched_entropy(0.5 * beta_c, N), rel=0.01)
    assert S[1] < 0.12 * np.log(N)


@pytest.mark.parametrize("ratio", [1.5, 2, 4])
def test_the_frozen_free_energy_of_huge_systems(ratio):
    """The free energy of the lowest levels tends to -e_*, as ln ln N/ln N: an edge that is off by
    two percent would show."""
    gaps = []
    for N in (1e12, 1e50, 1e300):
        beta = ratio * rem.critical_beta(N)
        levels = rem.sample_lowest_levels(N, keep=2_000, samples=300, seed=13)
        F = rem.thermodynamics(levels, float(beta)).free_energy.mean()
        gaps.append(F / rem.quenched_free_energy(beta, N) - 1)
    assert (np.diff(np.abs(gaps)) < 0).all() and abs(gaps[-1]) < 0.006, gaps


# Participation
# -----------------------------------------------------------------------------


def test_exact_participation_at_a_million():
    exact = rem.participation_exact(np.array([1, 1.5, 2, 3]) * rem.critical_beta(1e6), 1e6)
    assert np.allclose(exact, [0.164, 0.4004, 0.5433, 0.693], atol=5e-4)


@pytest.mark.parametrize("beta", [0.01, 0.7, 2.0, 9.0])
def test_exact_participation_of_two_levels(beta):
    """N = 2: the weights depend on the difference alone, a Gaussian of variance 2, integrated
    directly."""
    difference = np.sqrt(2) * np.linspace(-9, 9, 40_001)
    weight = 1 / (1 + np.exp(-beta * difference))
    density = norm.pdf(difference, scale=np.sqrt(2))
    direct = trapezoid((weight**2 + (1 - weight) ** 2) * density, difference)
    assert rem.participation_exact(beta, 2) == pytest.approx(direct, abs=1e-9)


@pytest.mark.parametrize("N", [2, 3, 10, 1e3, 1e12, 1e50, 1e100])
def test_exact_participation_does_not_depend_on_the_step(N):
    beta = max(rem.critical_beta(N), 1) * np.array([1e-3, 0.3, 0.8, 1, 2, 10])
    assert np.allclose(
        rem.participation_exact(beta, N), rem.participation_exact(beta, N, step=0.13), rtol=1e-9
    )


@pytest.mark.parametrize("beta", [0.1, 1.0, 5.0])
def test_exact_participation_just_above_one_level(beta):
    """N need not be whole; E[Y] falls from 1 with the slope that smaller steps agree on."""
    numbers = 1 + np.array([1e-9, 1e-6, 1e-3, 1e-2])
    lost = 1 - rem.participation_exact(beta, numbers)
    assert np.allclose(
        lost[1:], 1 - rem.participation_exact(beta, numbers[1:], step=0.05), rtol=1e-3, atol=2e-9
    )
    assert (
        np.allclose(lost[1:3] / (numbers[1:3] - 1), lost[2] / 1e-3, rtol=2e-3)
        and abs(lost[0]) < 2e-9
    )


@pytest.mark.slow
def test_exact_participation_limits():
    assert rem.participation_exact(1e-6, 1000) == pytest.approx(1e-3, rel=1e-6)
    beta = rem.critical_beta(1e4) * np.array([10, 100, 1000])
    assert (np.diff(rem.participation_exact(beta, 1e4)) > 0).all()
    assert rem.participation_exact(beta[-1], 1e4) == pytest.approx(1, abs=0.001)
    gaps = [
        rem.participation_exact(2 * rem.critical_beta(N), N) - 0.5 for N in (1e3, 1e6, 1e25, 1e100)
    ]
    assert (np.diff(gaps) < 0).all() and 0 < gaps[-1] < 0.005


@pytest.mark.slow
def test_brute_force_participation():
    """Simulation with a standard error of at most .005 against the exact integral and against its
    limit."""
    N, betas = 100_000, RATIOS[1:] * rem.critical_beta(1e5)

    def one(seed):
        return rem.thermodynamics(rem.sample_levels(N, seed=seed)[0], betas).participation

    with ThreadPoolExecutor(2) as pool:
        Y = np.array(list(pool.map(one, range(3_200))))
    error = standard_error(Y)
    print("simulated", Y.mean(axis=0).round(4), "error", error.round(4))
    exact = rem.participation_exact(betas, N)
    assert (error < 0.005).all()
    assert (np.abs(Y.mean(axis=0) - exact) < 3.5 * error).all()
    assert (exact - rem.participation_limit(betas, N) > 5 * error).all()  # the limit is excluded


@pytest.mark.parametrize(("N", "ratio"), [(1e6, 1), (1e6, 2), (1e50, 1), (1e50, 3)])
def test_participation_of_the_lowest_levels(N, ratio):
    beta = ratio * rem.critical_beta(N)
    levels = rem.sample_lowest_levels(N, keep=1_000, samples=20_000, seed=9)
    Y = rem.participation_from_lowest(levels, beta, N)
    assert abs(Y.mean() - rem.participation_exact(beta, N)) < 3.5 * standard_error(Y) < 0.01


def test_the_mean_stands_in_for_the_upper_levels():
    N = 20_000
    levels = np.sort(2 * rem.sample_levels(N, samples=200, seed=10), axis=1)
    for ratio in (0.6, 1, 2):
        beta = ratio * rem.critical_beta(N, 4.0)
        full = rem.thermodynamics(levels, beta).participation
        assert np.allclose(rem.participation_from_lowest(levels, beta, N, 4.0), full)
        part = rem.participation_from_lowest(levels[:, :1_000], beta, N, 4.0)
        assert np.sqrt(np.mean((part - full) ** 2)) < 5e-4


def test_gaps_of_an_exponential_density_tell_its_slope():
    """The chapter's rule: mean gap from the k lowest levels to the next is one over the slope."""
    rng = np.random.default_rng(11)
    points = np.cumsum(rng.standard_exponential((40_000, 6)), axis=1)  # a Poisson process of rate 1
    levels = np.log(points) / 2.5  # ... of density growing like exp(2.5 E)
    gaps = (levels[:, 5:] - levels[:, :5]).mean(axis=1)
    assert abs(gaps.mean() - 1 / 2.5) < 4 * standard_error(gaps)


# Bad input
# -----------------------------------------------------------------------------

BAD = [
    (rem.sample_levels, {"N": 0}, "N"),
    (rem.sample_levels, {"N": 2.5}, "N"),
    (rem.sample_levels, {"N": 5, "v": -1}, "v"),
    (rem.sample_levels, {"N": 5, "samples": 0}, "samples"),
    (rem.sample_lowest_levels, {"N": 5, "keep": 6}, "keep"),
    (rem.sample_lowest_levels, {"N": 5, "keep": 0}, "keep"),
    (rem.thermodynamics, {"energies": [], "beta": 1}, "energies"),
    (rem.thermodynamics, {"energies": [np.nan], "beta": 1}, "energies"),
    (rem.thermodynamics, {"energies": "levels", "beta": 1}, "energies"),
    (rem.thermodynamics, {"energies": [1.0], "beta": 0}, "beta"),
    (rem.thermodynamics, {"energies": [1.0], "beta": [[1.0]]}, "beta"),
    (rem.participation_exact, {"beta": 1, "N": 1e101}, "N"),
    (rem.participation_exact, {"beta": 1, "N": 10, "step": 0}, "step"),
    (rem.thermodynamics, {"energies": [1.0, 2.0], "beta": []}, "beta"),
    (rem.participation_from_lowest, {"levels": [2.0, 1.0], "beta": 1, "N": 5}, "levels"),
    (rem.participation_from_lowest, {"levels": [1.0, 2.0], "beta": 1, "N": 1}, "N"),
    (rem.participation_from_lowest, {"levels": [[]], "beta": 1, "N": 5}, "levels"),
    (rem.participation_from_lowest, {"levels": 1.0, "beta": 1, "N": 5}, "levels"),
    (rem.lowest_level, {"N": 1}, "N"),
    (rem.level_entropy, {"energy": np.inf, "N": 10}, "energy"),
]


@pytest.mark.parametrize(("function", "arguments", "name"), BAD)
def test_bad_input_is_named(function, arguments, name):
    with pytest.raises(ValueError, match=rf"^{name} (is|has shape) .*; allowed (is|are) "):
        function(**arguments)


LAWS = [
    rem.annealed_free_energy,
    rem.quenched_free_energy,
    rem.quenched_entropy,
    rem.participation_limit,
    rem.participation_exact,
]
NOT_POSITIVE = st.one_of(st.floats(max_value=0), st.just(float("nan")), st.just(float("inf")))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(LAWS), st.sampled_from(["beta", "N", "v"]), NOT_POSITIVE)
def test_laws_refuse_what_has_no_meaning(law, name, value):
    with pytest.raises(ValueError, match=rf"^{name} is .*; allowed are "):
        law(**{"beta": 1.0, "N": 10.0, "v": 1.0} | {name: value})


@pytest.mark.parametrize("delta", [-1.0, 0.0, 1.0, 3.0])
def test_critical_window_against_the_exact_integral(delta):
    """The relative deviation shrinks with N, and is below 3% at N = 1e100; limits far from the
    transition."""
    gaps = []
    for N in (1e3, 1e12, 1e100):
        beta = rem.critical_beta(N, v=4.0) + delta / 2
        gaps.append(
            rem.participation_window(beta, N, v=4.0) / rem.participation_exact(beta, N, v=4.0) - 1
        )
    assert abs(gaps[2]) < 0.03 and abs(gaps[2]) < abs(gaps[1]) < abs(gaps[0]), gaps
    assert rem.participation_window(rem.critical_beta(1e6), 1e6) == pytest.approx(
        1 / np.sqrt(np.pi * np.log(1e6))
    )
    far = rem.critical_beta(1e6) + 200
    assert rem.participation_window(far, 1e6) == pytest.approx(
        rem.participation_limit(far, 1e6), rel=1e-4
    )
    with pytest.raises(ValueError, match=r"N is 1\.0; allowed are finite numbers above 1"):
        rem.participation_window(1.0, 1)


# What is reported at the edges
# -----------------------------------------------------------------------------


def test_nothing_is_replaced_where_all_levels_are_given():
    levels = np.sort(rem.sample_levels(20, 3.0, samples=5, seed=12), axis=1)
    for beta in (0.01, 0.5, 3.0):
        full = rem.thermodynamics(levels, beta).participation
        assert np.allclose(rem.participation_from_lowest(levels, beta, 20, 3.0), full, rtol=1e-13)
    assert rem.participation_from_lowest([1e300], 1e300, 1, 1e-300) == 1


@pytest.mark.parametrize("levels", [[-2.0, -1.5], [-0.5], [0.7, 1.2], [9.0]])
@pytest.mark.parametrize("beta", [1e-3, 0.4, 2.0, 30.0])
def test_the_mean_of_the_upper_levels_by_an_integral(levels, beta):
    v, N = 2.0, 7
    E = levels[-1] + np.linspace(0, 40, 400_001) ** 2 / 40
    density = norm.pdf(E, scale=np.sqrt(v))
    density /= trapezoid(density, E)
    z, z2 = (np.exp(-b * (np.array(levels) - levels[0])).sum()
             + (N - len(levels)) * trapezoid(np.exp(-b * (E - levels[0])) * density, E)
             for b in (beta, 2 * beta))  # fmt: skip
    assert rem.participation_from_lowest(levels, beta, N, v) == pytest.approx(z2 / z**2, rel=1e-7)


def test_lowest_levels_at_extreme_numbers():
    levels = [-40.0, -39.0]
    assert rem.participation_from_lowest(levels, 1e6, 1e300) == 1  # cold: the lowest alone
    assert rem.participation_from_lowest(levels, 1e150, 1e300) == 1
    hot = rem.participation_from_lowest([0.0], 1e-290, 1e200)
    assert hot == pytest.approx(1e-200, rel=1e-9, abs=0)  # 1/N
    # E[exp(-b E) | E > 0] = erfcx(b/sqrt(2)), where there are enough levels for it to count
    z, z2 = (1 + 1e12 * erfcx(b / np.sqrt(2)) for b in (1e6, 2e6))
    assert rem.participation_from_lowest([0.0], 1e6, 1e12) == pytest.approx(
        z2 / z**2, rel=1e-9, abs=0
    )
    # far above 0 the density falls as exp(-1e9 E): the means are 1/2 and 1/3
    assert rem.participation_from_lowest([1e9], 1e9, 3) == pytest.approx((1 + 2 / 3) / 4, rel=1e-9)
    # far below 0 the condition does not matter: exp(b^2/2)
    z, z2 = 1 + 1e26 * np.exp(0.5 - 60), 1 + 1e26 * np.exp(2 - 120)
    assert rem.participation_from_lowest([-60.0], 1.0, 1e26) == pytest.approx(z2 / z**2, rel=1e-9)
    assert rem.participation_from_lowest([1.0, 1.0], 3.0, 2) == 0.5  # equal levels do rise
    assert rem.participation_from_lowest(levels, 2.0, 10, "1") == rem.participation_from_lowest(
        levels, 2.0, 10
    )


def test_the_highest_of_a_few_levels_is_never_infinite():
    class Far(np.random.Generator):
        def standard_exponential(self, size):
            return np.full(size, 50.0)

    level = rem.sample_lowest_levels(1, 4.0, keep=1, seed=Far(np.random.PCG64()))[0, 0]
    assert norm.logsf(level / 2) == pytest.approx(-50)


@pytest.mark.parametrize("N", [1.5, 2, 100, 1e12, 1e100])
def test_exact_participation_of_wide_levels(N, monkeypatch):
    """Two rules for the same integrals: over the levels, and by parts."""
    beta = np.array([50.5, 120.0])
    by_parts = rem.participation_exact(beta, N)
    monkeypatch.setattr(rem, "WIDE", np.inf)
    assert np.allclose(by_parts, rem.participation_exact(beta, N), rtol=1e-12, atol=0)


def test_exact_participation_at_any_width():
    for beta in (1e3, 1e5, 1e9, 1e100, 1e308):
        Y = rem.participation_exact(beta, 10.0)
        lost = 1.53875 / beta  # in proportion to the temperature
        assert Y == pytest.approx(1 - lost, abs=1e-3 * lost + 1e-12)
    assert rem.participation_exact(1e-300, 10, 1e-300) == pytest.approx(0.1)
    with pytest.raises(
        ValueError, match=r"^beta is 1e\+308, v is 1e\+300; allowed are numbers whose result"
    ):
        rem.participation_exact(1e308, 10, 1e300)


@pytest.mark.parametrize("N", [2, 10, 1e6, 1e100])
def test_steps_up_to_the_largest_agree(N):
    beta = max(rem.critical_beta(N), 1) * np.array([1e-3, 0.5, 1, 2, 8])
    fine = rem.participation_exact(beta, N)
    assert np.allclose(rem.participation_exact(beta, N, step=0.5), fine, rtol=1e-6, atol=0)
    coarse = np.abs(rem.participation_exact(beta, N, step=0.35) / fine - 1).max()
    assert coarse < 1e-9 and np.allclose(
        fine, rem.participation_exact(beta, N, step=0.1), rtol=1e-11, atol=0
    )


def test_window_far_from_the_transition():
    beta = rem.critical_beta(1e6) + np.array([1e3, 1e6, 1e9])
    assert np.allclose(
        rem.participation_window(beta, 1e6), rem.participation_limit(beta, 1e6), rtol=2e-6
    )
    above = rem.participation_window(rem.critical_beta(1e100) - 30 * np.arange(2) / 2, 1e100)
    assert (above > 0).all()
    delta, v = 2.5, 9.0  # the hazard rate by its definition
    beta = rem.critical_beta(1e6, v) + delta / 3
    assert rem.participation_window(beta, 1e6, v) == pytest.approx(
        norm.pdf(delta) / norm.sf(delta) / (3 * beta)
    )


def test_closed_forms_at_extreme_scales():
    assert rem.critical_beta(10, 5e-324) == pytest.approx(np.sqrt(2 * np.log(10)) / np.sqrt(5e-324))
    assert rem.quenched_free_energy(1e300, 10, 1e300) == pytest.approx(
        -np.sqrt(2 * np.log(10)) * 1e150
    )
    assert (
        rem.quenched_entropy(1e300, 10, 1e300) == 0
        and rem.participation_limit(1e-310, 10, 1e-300) == 0
    )
    assert rem.level_entropy(1e160, 10, 1e300) == pytest.approx(-5e19)
    with pytest.raises(
        ValueError, match=r"^energy is 1e\+200, v is 1; allowed are numbers whose result"
    ):
        rem.level_entropy(1e200, 10)
    with pytest.raises(ValueError, match=r"^N is 1e\+301; allowed are numbers from 1 to 1e300"):
        rem.sample_lowest_levels(1e301, keep=1)
    out = rem.thermodynamics([0.0, 1e308], [1e-300, 1e300])
    assert out.participation.tolist() == [1, 1] and out.energy.tolist() == [0, 0]


@pytest.mark.parametrize("beta", [1.0, 3.0, 6.0, 10.0])
def test_exact_participation_of_warm_levels_is_annealed(beta):
    """Far above the transition E[Y] = N E[a^2]/(N E[a])^2 = exp(beta^2 v)/N, however wide the
    levels."""
    annealed = np.exp(beta**2 - 100 * np.log(10))
    assert rem.participation_exact(beta, 1e100) == pytest.approx(annealed, rel=1e-11, abs=0)
