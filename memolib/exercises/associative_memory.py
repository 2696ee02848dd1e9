"""Checks for the chapter ``glass/associative_memory``."""

import numpy as np
from scipy.special import logsumexp, softmax

from memolib.exercises._grading import Exercise


def _votes(x, patterns):
    N, d = patterns.shape
    return x @ patterns.T @ patterns / d - N / d * x


def _exponents(x, patterns, t):
    return -((x[:, None] - patterns) ** 2).sum(axis=2) / (2 * t)


def _energy(x, patterns, t):
    return -t * logsumexp(_exponents(x, patterns, t), axis=1)


def _retrieve(query, patterns, t, steps):
    x = query
    for _ in range(steps):
        x = softmax(_exponents(x, patterns, t), axis=1) @ patterns
    return x


def _log_n(t, d):
    return d * (np.log(2) - np.log1p(np.exp(-2 / t)))


def _sign_load(t):
    return _log_n(t / 2, 1)


def _signs(rng: np.random.Generator) -> dict:
    d = rng.integers(6, 12)
    return {
        "x": rng.choice([-1.0, 1.0], (rng.integers(2, 5), d)),
        "patterns": rng.choice([-1.0, 1.0], (13, d)),
    }


def _cloud(rng: np.random.Generator, far: float = 0.0) -> dict:
    d = rng.integers(2, 5)
    x = rng.standard_normal((rng.integers(2, 5), d))
    x[0] += far
    return {
        "x": x,
        "patterns": rng.standard_normal((rng.integers(6, 11), d)),
        "t": float(rng.uniform(0.2, 0.6)),
    }


def _queries(rng: np.random.Generator) -> dict:
    cloud = _cloud(rng)
    return {
        "query": cloud["x"],
        "patterns": cloud["patterns"],
        "t": cloud["t"],
        "steps": int(rng.integers(2, 5)),
    }


EXERCISES = {
    "mem-hopfield": Exercise(
        _votes,
        _signs,
        {
            "the vote of a unit for itself is still in: subtract N x/d.": lambda x, y: (
                x @ y.T @ y / y.shape[1]
            ),
            "divide by d, the number of units, not by N.": lambda x, y: (
                _votes(x, y) * y.shape[1] / len(y)
            ),
            "these are the signs; the votes are asked for.": lambda x, y: np.sign(_votes(x, y)),
            "the factor 1/d is missing.": lambda x, y: _votes(x, y) * y.shape[1],
        },
    ),
    "mem-energy-exercise": Exercise(
        _energy,
        lambda rng: _cloud(rng, far=60),
        {
            "the exponentials underflow far away: take the largest exponent out first.": (
                lambda x, y, t: -t * np.log(np.exp(_exponents(x, y, t)).sum(axis=1))
            ),
            "this is the logarithm of the sum; the energy is -t times it.": lambda x, y, t: (
                -_energy(x, y, t) / t
            ),
            "this is the energy of the nearest pattern alone, the limit of small t.": (
                lambda x, y, t: -t * _exponents(x, y, t).max(axis=1)
            ),
            "is t the variance or its root? The exponent is -|x-y|^2/(2t).": lambda x, y, t: (
                _energy(x, y, t**2) / t
            ),
            "the exponent is -|x-y|^2/(2t): a factor 2 is missing.": lambda x, y, t: (
                2 * _energy(x, y, t / 2)
            ),
        },
    ),
    "mem-retrieve": Exercise(
        _retrieve,
        _queries,
        {
            "this is one update; repeat it steps times.": lambda q, y, t, steps: _retrieve(
                q, y, t, 1
            ),
            "one update too few.": lambda q, y, t, steps: _retrieve(q, y, t, steps - 1),
            "is t the variance or its root? The exponent is -|x-y|^2/(2t).": (
                lambda q, y, t, steps: _retrieve(q, y, t**2, steps)
            ),
            "the weights should sum to 1 over the patterns, for each query.": (
                lambda q, y, t, steps: softmax(_exponents(q, y, t), axis=0) @ y
            ),
        },
    ),
    "mem-load": Exercise(
        _log_n,
        lambda rng: {
            "t": np.r_[1e-4, rng.uniform(0.1, 8, rng.integers(3, 7))],
            "d": int(rng.integers(10, 60)),
        },
        {
            "this is the load alpha; multiply by d.": lambda t, d: _log_n(t, d) / d,
            "this is N; the function should give ln N.": lambda t, d: np.exp(_log_n(t, d)),
            "cosh overflows at small t: use the hint.": lambda t, d: (
                d * (1 / t - np.log(np.cosh(1 / t)))
            ),
            "the logarithm of 2 cosh is not that of cosh: ln 2 is missing.": lambda t, d: (
                _log_n(t, d) - d * np.log(2)
            ),
        },
    ),
    "mem-sign-exercise": Exercise(
        _sign_load,
        lambda rng: {"t": np.r_[1e-4, rng.uniform(0.2, 6, rng.integers(3, 7))]},
        {
            "this is where the weight goes; the crowd's votes enter squared, cosh(2/t).": (
                lambda t: _log_n(t, 1)
            ),
            "cosh overflows at small t: use ln cosh z = z + ln(1 + exp(-2z)) - ln 2.": lambda t: (
                2 / t - np.log(np.cosh(2 / t))
            ),
            "the own vote counts squared as well: 2/t, not 1/t.": lambda t: _sign_load(t) - 1 / t,
            "ln cosh and not ln 2 cosh: ln 2 is missing.": lambda t: _sign_load(t) - np.log(2),
            "the squared votes are compared, N cosh(2/t)^d with exp(2d/t): no further half.": (
                lambda t: _sign_load(t) / 2
            ),
        },
    ),
}
