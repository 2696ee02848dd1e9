"""Checks for the chapter ``manifold/losing_dimensions``."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

from memolib.exercises._grading import Exercise


def _jacobian(x, data, t, weight_t=None, centre=True):
    w = softmax(-((x - data) ** 2).sum(axis=1) / (2 * (weight_t or t)))
    spread = data - w @ data if centre else data
    return (w[:, None] * spread).T @ spread / t


def _root(information):
    """Give the t at which a falling function of t reaches ln N."""
    return lambda variances, N: np.exp(
        brentq(lambda u: information(variances, np.exp(u)) - np.log(N), -60, 60)
    )


def _half_logs(variances, t):
    return np.log1p(variances / t).sum() / 2


def _whitened(x, data, t, variances, scale=1.0, G=None):
    G = variances / (t + variances) if G is None else G
    whitened = scale * _jacobian(x, data, t) / np.sqrt(np.outer(G, G))
    return np.linalg.eigvalsh(whitened)


def _cloud(rng: np.random.Generator) -> dict:
    N, d = rng.integers(7, 12), rng.integers(2, 6)
    return {
        "x": rng.standard_normal(d),
        "data": rng.standard_normal((N, d)),
        "t": float(rng.uniform(0.3, 0.8)),
    }


def _cloud_and_law(rng: np.random.Generator) -> dict:
    cloud = _cloud(rng)
    return cloud | {"variances": rng.uniform(0.02, 4, cloud["x"].size)}


EXERCISES = {
    "ld-jacobian-exercise": Exercise(
        _jacobian,
        _cloud,
        {
            "this is the covariance; the Jacobian is the covariance over t.": lambda x, data, t: (
                t * _jacobian(x, data, t)
            ),
            "is t the variance or its root? Divide by t, not by sqrt(t).": lambda x, data, t: (
                np.sqrt(t) * _jacobian(x, data, t)
            ),
            "this is the second moment: subtract the weighted mean first.": lambda x, data, t: (
                _jacobian(x, data, t, centre=False)
            ),
            "the weights use sigma = t; t is the variance.": lambda x, data, t: _jacobian(
                x, data, t, weight_t=t**2
            ),
            "this is the score's Jacobian, (G - 1)/t.": lambda x, data, t: (
                (_jacobian(x, data, t) - np.eye(len(x))) / t
            ),
        },
    ),
    "ld-collapse-time": Exercise(
        _root(_half_logs),
        lambda rng: {
            "variances": rng.uniform(0.01, 2, rng.integers(3, 8)),
            "N": int(rng.integers(20, 5_000)),
        },
        {
            "the information is half the sum of the logarithms.": _root(
                lambda v, t: 2 * _half_logs(v, t)
            ),
            "this is the standard deviation sqrt(t_C); the answer is the variance.": (
                lambda variances, N: np.sqrt(_root(_half_logs)(variances, N))
            ),
            "this is the collapse seen from the origin, with ln(1+u) - u/(1+u).": _root(
                lambda v, t: _half_logs(v, t) - (v / (t + v)).sum() / 2
            ),
            "this holds for equal variances only.": lambda variances, N: (
                variances.mean() / (N ** (2 / len(variances)) - 1)
            ),
        },
        tolerance=1e-3,
    ),
    "ld-alive": Exercise(
        _whitened,
        _cloud_and_law,
        {
            "the Jacobian is the covariance over t.": lambda x, data, t, variances: _whitened(
                x, data, t, variances, scale=t
            ),
            "whiten first: divide by the population's G_kk.": lambda x, data, t, variances: (
                _whitened(x, data, t, variances, G=np.ones_like(variances))
            ),
            "whiten with G_kk = s^2/(t+s^2), not with the variances.": (
                lambda x, data, t, variances: _whitened(x, data, t, variances, G=variances)
            ),
        },
    ),
}
