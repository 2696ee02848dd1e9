"""Checks for the chapter ``glass/random_energy_model``."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp
from scipy.stats import norm

from memolib.exercises._grading import Exercise


def _log_weights(energies, beta):
    return -beta * energies - logsumexp(-beta * energies)


def _effective_levels(energies, beta):
    return np.exp(-logsumexp(2 * _log_weights(energies, beta)))


def _exp_entropy(energies, beta):
    log_w = _log_weights(energies, beta)
    return np.exp(-np.sum(np.exp(log_w) * log_w))


def _overflowing(energies, beta):
    weights = np.exp(-beta * energies)
    return weights.sum() ** 2 / (weights**2).sum()


def _far_levels(rng: np.random.Generator) -> dict:
    # Far from 0, exp(-beta E) under- or overflows unless the lowest energy is subtracted.
    levels = rng.normal(rng.choice([-3000, 3000]), 3, rng.integers(5, 50))
    return {"energies": levels, "beta": float(rng.uniform(0.2, 0.5))}


def _log_z(beta, N, v):
    beta_c = np.sqrt(2 * np.log(N) / v)
    return np.where(beta < beta_c, np.log(N) + beta**2 * v / 2, beta * np.sqrt(2 * v * np.log(N)))


def _estimate(slope):
    return lambda beta, N, v: np.maximum(1 - slope(N, v) / beta, 0)


def _temperature(levels_that_count):
    """Give the t at which a count of levels, a rising function of t, reaches n_eff."""

    def solve(energies, n_eff):
        middle = np.log(np.ptp(energies))
        return np.exp(
            brentq(
                lambda u: levels_that_count(energies, np.exp(-u)) - n_eff, middle - 12, middle + 12
            )
        )

    return solve


def _distances(rng: np.random.Generator) -> dict:
    points = rng.standard_normal((rng.integers(200, 400), 6))
    return {"energies": (points**2).sum(axis=1) / 2, "n_eff": float(rng.uniform(3, 30))}


EXERCISES = {
    "rem-effective-levels": Exercise(
        _effective_levels,
        _far_levels,
        {
            "exp(-beta E) over- or underflows here: subtract the lowest energy first.": (
                _overflowing
            ),
            "this is Y = sum w^2; the number of levels is 1/Y.": lambda energies, beta: (
                1 / _effective_levels(energies, beta)
            ),
            "this is exp(entropy), another count of levels; 1/Y uses squared weights.": (
                _exp_entropy
            ),
            "low energies should weigh most: look at the sign in exp(-beta E).": (
                lambda energies, beta: _effective_levels(-energies, beta)
            ),
            "is beta the inverse temperature or the temperature?": lambda energies, beta: (
                _effective_levels(energies, 1 / beta)
            ),
        },
    ),
    "rem-levels-needed": Exercise(
        lambda beta, v: beta**2 * v / 2,
        lambda rng: {
            "beta": rng.uniform(0.5, 3, rng.integers(2, 6)),
            "v": float(rng.uniform(0.5, 4)),
        },
        {
            "this is N; the function should give ln N.": lambda beta, v: np.exp(beta**2 * v / 2),
            "is beta the inverse temperature or the temperature?": lambda beta, v: (
                v / (2 * beta**2)
            ),
            "v is a variance already: do not square it.": lambda beta, v: beta**2 * v**2 / 2,
            "is v the variance or its root?": lambda beta, v: beta**2 * np.sqrt(v) / 2,
        },
    ),
    "rem-log-z": Exercise(
        _log_z,
        lambda rng: {
            "beta": rng.uniform(0.2, 12, rng.integers(6, 12)),
            "N": int(rng.integers(100, 100_000)),
            "v": float(rng.uniform(0.5, 2)),
        },
        {
            "this is the annealed ln E[Z]; beyond beta_c it counts levels that do not exist.": (
                lambda beta, N, v: np.log(N) + beta**2 * v / 2
            ),
            "beyond beta_c, ln Z still grows with beta: the lowest level contributes -beta E.": (
                lambda beta, N, v: _log_z(np.minimum(beta, np.sqrt(2 * np.log(N) / v)), N, v)
            ),
            "beyond beta_c, ln Z is beta times e_*: the factor beta is missing.": (
                lambda beta, N, v: np.where(
                    beta < np.sqrt(2 * np.log(N) / v),
                    _log_z(beta, N, v),
                    np.sqrt(2 * v * np.log(N)),
                )
            ),
            "the sign is wrong beyond beta_c: the lowest energy is -e_*, Z has exp(+beta e_*).": (
                lambda beta, N, v: (
                    np.where(beta < np.sqrt(2 * np.log(N) / v), 1, -1) * _log_z(beta, N, v)
                )
            ),
            "this is the free energy -ln(Z)/beta.": lambda beta, N, v: -_log_z(beta, N, v) / beta,
        },
    ),
    "rem-finite-size": Exercise(
        _estimate(lambda N, v: -norm.ppf(1 / N) / np.sqrt(v)),
        lambda rng: {
            "beta": rng.uniform(0.5, 20, rng.integers(8, 12)),
            "N": float(10 ** rng.uniform(3, 12)),
            "v": float(rng.uniform(0.5, 3)),
        },
        {
            "this is the limit of large N; use the energy below which one level is expected.": (
                _estimate(lambda N, v: np.sqrt(2 * np.log(N) / v))
            ),
            "the slope of ln(density) at energy e is |e|/v: is v the variance or its root?": (
                _estimate(lambda N, v: -norm.ppf(1 / N))
            ),
            "this adds |e_1|/(beta v): the 1/N quantile is negative already, take its modulus.": (
                lambda beta, N, v: np.maximum(1 - norm.ppf(1 / N) / (beta * np.sqrt(v)), 0)
            ),
            "e_1 scales with the standard deviation: it is sqrt(v) times the standard one.": (
                _estimate(lambda N, v: -norm.ppf(1 / N) / v)
            ),
            "a participation ratio is never negative: for beta below |e_1|/v the estimate is 0.": (
                lambda beta, N, v: 1 + norm.ppf(1 / N) / (beta * np.sqrt(v))
            ),
        },
    ),
    "rem-digit-temperature": Exercise(
        _temperature(_effective_levels),
        _distances,
        {
            "this is the inverse temperature; the answer is t = 1/beta.": lambda energies, n_eff: (
                1 / _temperature(_effective_levels)(energies, n_eff)
            ),
            "this solves exp(entropy) = n_eff; N_eff is 1/Y.": _temperature(_exp_entropy),
            "the energies are halved squared distances already: do not halve them again.": (
                lambda energies, n_eff: _temperature(_effective_levels)(energies / 2, n_eff)
            ),
            "this is the standard deviation sqrt(t); the answer is the variance t.": (
                lambda energies, n_eff: np.sqrt(_temperature(_effective_levels)(energies, n_eff))
            ),
        },
        tolerance=5e-3,
    ),
}
