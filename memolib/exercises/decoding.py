"""Checks for the chapter ``diffusion/decoding``."""

import numpy as np
from scipy.special import softmax
from scipy.stats import norm

from memolib.exercises._grading import Exercise


def _information(variances, t):
    return np.log1p(variances / t[:, None]).sum(axis=1) / 2


def _spread(variances, t):
    return np.sqrt((variances / (variances + t[:, None])).sum(axis=1))


def _log_points(variances, t, share):
    return _information(variances, t) - norm.ppf(share) * _spread(variances, t)


def _copies(variances, t, N):
    return np.maximum(N * np.exp(-_information(variances, t)), 1)


def _weights(x, data, counts, t):
    exponents = -((x[:, None] - data) ** 2).sum(axis=2) / (2 * t)
    return softmax(exponents + np.log(counts), axis=1)


def _spectrum(rng: np.random.Generator) -> dict:
    return {
        "variances": rng.uniform(0.1, 3, rng.integers(3, 8)),
        "t": rng.uniform(0.05, 2, rng.integers(9, 12)),
    }


def _spectrum_and_share(rng: np.random.Generator) -> dict:
    return _spectrum(rng) | {"share": float(rng.uniform(0.6, 0.95))}


def _spectrum_and_size(rng: np.random.Generator) -> dict:
    return {
        "variances": rng.uniform(0.1, 3, rng.integers(3, 8)),
        "t": np.r_[rng.uniform(0.5, 2, rng.integers(9, 12)), 1e-6],
        "N": float(rng.integers(500, 2_000)),
    }


def _repeated(rng: np.random.Generator) -> dict:
    n, N, d = rng.integers(2, 6), rng.integers(7, 12), rng.integers(2, 5)
    return {
        "x": rng.standard_normal((n, d)),
        "data": rng.standard_normal((N, d)),
        "counts": rng.integers(1, 9, N).astype(float),
        "t": float(rng.uniform(0.2, 0.6)),
    }


EXERCISES = {
    "dec-spread": Exercise(
        _spread,
        _spectrum,
        {
            "this is the variance; its root is asked for.": lambda variances, t: (
                _spread(variances, t) ** 2
            ),
            "this is what is left of the noise: u/(1+u), not 1/(1+u).": lambda variances, t: (
                np.sqrt((t[:, None] / (variances + t[:, None])).sum(axis=1))
            ),
            "u/(1+u) once, not squared: that is the part that x alone decides, twice.": (
                lambda variances, t: np.sqrt(
                    ((variances / (variances + t[:, None])) ** 2).sum(axis=1)
                )
            ),
            "a factor 2: each direction adds u/(1+u), not half of it.": lambda variances, t: (
                _spread(variances, t) / np.sqrt(2)
            ),
            "variances add, not deviations: the root comes last.": lambda variances, t: np.sqrt(
                variances / (variances + t[:, None])
            ).sum(axis=1),
        },
    ),
    "dec-nine-of-ten": Exercise(
        _log_points,
        _spectrum_and_share,
        {
            "fewer points, not more, than at the collapse: look at the sign.": (
                lambda variances, t, share: _log_points(variances, t, 1 - share)
            ),
            "the spread is the root of the dispersion.": lambda variances, t, share: (
                _information(variances, t) - norm.ppf(share) * _spread(variances, t) ** 2
            ),
            "this is N; the function should give ln N.": lambda variances, t, share: np.exp(
                _log_points(variances, t, share)
            ),
            "this is the collapse, where half are copied.": lambda variances, t, share: (
                _information(variances, t)
            ),
            "the quantile of the Gaussian is asked for, not its distribution function.": (
                lambda variances, t, share: (
                    _information(variances, t) - norm.cdf(share) * _spread(variances, t)
                )
            ),
        },
    ),
    "dec-copies": Exercise(
        _copies,
        _spectrum_and_size,
        {
            "a point is held once at least.": lambda variances, t, N: (
                N * np.exp(-_information(variances, t))
            ),
            "ln(N/n) = I: more information needs fewer copies.": lambda variances, t, N: np.maximum(
                np.exp(_information(variances, t)) / N, 1
            ),
            "this is ln n; the function should give n.": lambda variances, t, N: np.maximum(
                np.log(N) - _information(variances, t), 0
            ),
            "the information is half the sum of the logarithms.": lambda variances, t, N: (
                np.maximum(N * np.exp(-2 * _information(variances, t)), 1)
            ),
        },
    ),
    "dec-counts": Exercise(
        _weights,
        _repeated,
        {
            "each row should sum to 1: normalise after you count.": lambda x, data, counts, t: (
                counts * _weights(x, data, np.ones_like(counts), t)
            ),
            "the counts are missing.": lambda x, data, counts, t: _weights(
                x, data, np.ones_like(counts), t
            ),
            "the exponent needs the logarithm of the counts.": lambda x, data, counts, t: _weights(
                x, data, np.exp(counts), t
            ),
            "a point that is held often weighs more, not less.": lambda x, data, counts, t: (
                _weights(x, data, 1 / counts, t)
            ),
        },
    ),
}
