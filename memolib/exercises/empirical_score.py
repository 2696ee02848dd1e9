"""Checks for the chapter ``diffusion/empirical_score``."""

import numpy as np
from scipy.special import softmax

from memolib.exercises._grading import Exercise


def _exponents(x, data, t):
    return -((x[:, None] - data) ** 2).sum(axis=2) / (2 * t)


def _weights(x, data, t):
    return softmax(_exponents(x, data, t), axis=1)


def _overflowing(x, data, t):
    w = np.exp(_exponents(x, data, t))
    return w / w.sum(axis=1, keepdims=True)


def _score(x, data, t):
    return (_weights(x, data, t) @ data - x) / t


def _log_points(variances, t):
    return np.log1p(variances / t[:, None]).sum(axis=1) / 2


def _squared_distances(samples, data):
    return np.sort(((samples[:, None] - data) ** 2).sum(axis=2), axis=1)


def _ratio(samples, data):
    nearest = np.sqrt(_squared_distances(samples, data))
    return nearest[:, 0] / nearest[:, 1]


def _points(rng: np.random.Generator) -> dict:
    n, N, d = rng.integers(2, 6), rng.integers(7, 12), rng.integers(2, 5)
    return {
        "x": rng.standard_normal((n, d)),
        "data": rng.standard_normal((N, d)),
        "t": float(rng.uniform(0.2, 0.6)),
    }


def _far_points(rng: np.random.Generator) -> dict:
    """Give points of which some are so far from the data that every exponential underflows."""
    inputs = _points(rng)
    inputs["x"][0] += 60
    return inputs


def _pairs(rng: np.random.Generator) -> dict:
    d = rng.integers(2, 5)
    return {
        "samples": rng.standard_normal((rng.integers(3, 6), d)),
        "data": rng.standard_normal((rng.integers(7, 12), d)),
    }


def _spectrum(rng: np.random.Generator) -> dict:
    return {
        "variances": rng.uniform(0, 3, rng.integers(3, 8)),
        "t": rng.uniform(0.05, 2, rng.integers(9, 12)),
    }


EXERCISES = {
    "emp-weights": Exercise(
        _weights,
        _far_points,
        {
            "exponentials underflow: subtract each row's largest exponent first.": _overflowing,
            "is t the variance or its root? The exponent is -|x-y|^2/(2 t).": lambda x, data, t: (
                _weights(x, data, t**2)
            ),
            "t is the variance already: no root in -|x-y|^2/(2 t).": lambda x, data, t: _weights(
                x, data, np.sqrt(t)
            ),
            "the exponent is -|x-y|^2/(2 t): a factor 2 is missing.": lambda x, data, t: _weights(
                x, data, t / 2
            ),
            "rows should sum to 1, over the data; here columns do, over x.": lambda x, data, t: (
                softmax(_exponents(x, data, t), axis=0)
            ),
            "near points should weigh most: look at the sign of the exponent.": lambda x, data, t: (
                _weights(x, data, -t)
            ),
            "these are distances in the exponent, not their squares.": lambda x, data, t: softmax(
                -np.sqrt(-2 * t * _exponents(x, data, t)) / (2 * t), axis=1
            ),
        },
    ),
    "emp-score": Exercise(
        _score,
        _far_points,
        {
            "exponentials underflow: subtract each row's largest exponent first.": (
                lambda x, data, t: (_overflowing(x, data, t) @ data - x) / t
            ),
            "this is the denoiser; the score is (denoiser - x)/t.": lambda x, data, t: (
                _weights(x, data, t) @ data
            ),
            "this is the denoiser's step, denoiser - x: divide by t.": lambda x, data, t: (
                t * _score(x, data, t)
            ),
            "is t the variance or its root? Divide by t, not by sqrt(t).": lambda x, data, t: (
                np.sqrt(t) * _score(x, data, t)
            ),
            "wrong sign: the score points towards the data.": lambda x, data, t: (
                -_score(x, data, t)
            ),
            "the weights use sigma = t; t is the variance.": lambda x, data, t: (
                (_weights(x, data, t**2) @ data - x) / t
            ),
        },
    ),
    "emp-points-needed": Exercise(
        _log_points,
        _spectrum,
        {
            "this is N; the function should give ln N.": lambda variances, t: np.exp(
                _log_points(variances, t)
            ),
            "the information is half the sum of the logarithms.": lambda variances, t: (
                2 * _log_points(variances, t)
            ),
            "are these variances or their roots? u = variance/t.": lambda variances, t: _log_points(
                variances**2, t
            ),
            "is t the variance or its root? u = variance/t.": lambda variances, t: _log_points(
                variances, t**2
            ),
            "the logarithm of the sum is not the sum of the logarithms.": lambda variances, t: (
                np.log1p(variances.sum() / t) / 2
            ),
        },
    ),
    "emp-ratio": Exercise(
        _ratio,
        _pairs,
        {
            "these are squared distances: take roots.": lambda samples, data: (
                _ratio(samples, data) ** 2
            ),
            "upside down: the nearest distance goes above.": lambda samples, data: (
                1 / _ratio(samples, data)
            ),
            "this is the nearest distance; divide by the second nearest.": lambda samples, data: (
                np.sqrt(_squared_distances(samples, data)[:, 0])
            ),
        },
    ),
}
