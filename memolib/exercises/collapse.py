"""Checks for the chapter ``diffusion/collapse``."""

import numpy as np
from scipy.special import log_softmax

from memolib.exercises._grading import Exercise


def _log10_points(m, t):
    return m / 2 * np.log10(1 + 1 / t)


def _number_information(log_weights, axis=1, base=None):
    logs = log_softmax(log_weights, axis=axis)
    N = log_weights.shape[1] if base is None else base
    return np.log(N) + (np.exp(logs) * logs).sum(axis=axis).mean()


def _halving(variances, t):
    return np.exp((np.log1p(2 * variances / t) - np.log1p(variances / t)).sum() / 2)


def _dimension(variances, t):
    return (variances / (variances + t)).sum()


EXERCISES = {
    "coll-images": Exercise(
        _log10_points,
        lambda rng: {
            "m": rng.integers(2, 60, rng.integers(3, 7)),
            "t": float(rng.uniform(0.01, 2)),
        },
        {
            "this is the natural logarithm; divide by ln 10.": lambda m, t: (
                _log10_points(m, t) * np.log(10)
            ),
            "a factor 1/2 is missing.": lambda m, t: 2 * _log10_points(m, t),
            "is t the variance or its root? u = 1/t.": lambda m, t: _log10_points(m, t**2),
            "this is N; its decimal logarithm is asked for.": lambda m, t: (
                10 ** _log10_points(m, t)
            ),
            "the points needed grow as t falls: 1 + 1/t.": lambda m, t: m / 2 * np.log10(1 + t),
        },
    ),
    "coll-number": Exercise(
        _number_information,
        lambda rng: {"log_weights": rng.normal(-2_000, 2, (rng.integers(4, 8), 12))},
        {
            "this is the mean entropy of the weights; subtract it from ln N.": lambda w: (
                np.log(w.shape[1]) - _number_information(w)
            ),
            "N is the number of training points, the second axis.": lambda w: _number_information(
                w, base=w.shape[0]
            ),
            "this is the entropy of the mean weights; take the entropy first, then the mean.": (
                lambda w: (
                    np.log(w.shape[1])
                    + (
                        np.exp(log_softmax(w, axis=1)).mean(axis=0)
                        * np.log(np.exp(log_softmax(w, axis=1)).mean(axis=0))
                    ).sum()
                )
            ),
            "this is in bits; use the natural logarithm.": lambda w: (
                _number_information(w) / np.log(2)
            ),
        },
    ),
    "coll-halving": Exercise(
        _halving,
        lambda rng: {
            "variances": rng.uniform(0.05, 4, rng.integers(3, 9)),
            "t": float(rng.uniform(0.05, 2)),
        },
        {
            "this is 2^(m(t)/2) with m(t) at t: a lower bound, since m(t) rises on the way.": (
                lambda variances, t: 2 ** (_dimension(variances, t) / 2)
            ),
            "this is 2^(m(t)/2) with m(t) at t/2: an upper bound.": lambda variances, t: (
                2 ** (_dimension(variances, t / 2) / 2)
            ),
            "this is the logarithm of the factor.": lambda variances, t: np.log(
                _halving(variances, t)
            ),
            "a factor 1/2 is missing in the information.": lambda variances, t: (
                _halving(variances, t) ** 2
            ),
            "this counts all dimensions in full, 2^(m/2).": lambda variances, t: (
                2 ** (len(variances) / 2)
            ),
        },
    ),
}
