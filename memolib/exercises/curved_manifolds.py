"""Checks for the chapter ``manifold/curved_manifolds``."""

import numpy as np
from scipy.special import ive

from memolib.exercises._grading import Exercise


def _circle(x, radius, t):
    r = np.linalg.norm(x)
    b = radius * r / t
    rho = ive(1, b) / ive(0, b)
    outward = np.outer(x, x) / r**2
    across = radius**2 / t * (1 - rho / b - rho**2)
    return radius * rho / r * (np.eye(2) - outward) + across * outward


def _variances(z, F):
    return np.linalg.svd((1 - np.tanh(F @ z) ** 2)[:, None] * F, compute_uv=False) ** 2


def _log_p(z, F):
    return -z @ z / 2 - len(z) / 2 * np.log(2 * np.pi) - np.linalg.slogdet(F.T @ F)[1] / 2


def _time(log_p, m, N):
    return np.exp(-2 / m * (np.log(N) + log_p) - 1) / (2 * np.pi)


def _average(x, y, log_ratio, t):
    logs = log_ratio - ((x - y) ** 2).sum(axis=1) / (2 * t)
    w = np.exp(logs - logs.max())
    w /= w.sum()
    mean = w @ y
    return np.stack([mean, np.sqrt(w**2 @ (y - mean) ** 2)])


def _point(rng: np.random.Generator) -> dict:
    return {
        "x": rng.standard_normal(2),
        "radius": float(rng.uniform(0.5, 2)),
        "t": float(rng.uniform(0.1, 1)),
    }


def _hidden(rng: np.random.Generator) -> dict:
    m = int(rng.integers(2, 4))
    return {"z": rng.standard_normal(m), "F": rng.standard_normal((m + int(rng.integers(2, 5)), m))}


def _place(rng: np.random.Generator) -> dict:
    return {**_hidden(rng), "N": int(rng.integers(50, 5_000))}


def _draws(rng: np.random.Generator) -> dict:
    y = rng.standard_normal((40, 3))
    return {
        "x": rng.standard_normal(3),
        "y": y,
        "log_ratio": rng.standard_normal(40),
        "t": float(rng.uniform(0.5, 2)),
    }


EXERCISES = {
    "curved-circle": Exercise(
        _circle,
        _point,
        {
            (
                "along and across are exchanged: R rho/|x| belongs to the direction of the circle."
            ): lambda x, radius, t: (
                np.trace(_circle(x, radius, t)) * np.eye(2) - _circle(x, radius, t)
            ),
            (
                "is this the limit of small noise? Here t is finite, and rho below 1."
            ): lambda x, radius, t: (
                radius / np.linalg.norm(x) * (np.eye(2) - np.outer(x, x) / (x @ x))
                + t * np.outer(x, x) / (x @ x) ** 2 / 2
            ),
            (
                "G across the circle is not 0: the radius moves the answer a little."
            ): lambda x, radius, t: (
                (_circle(x, radius, t) @ [-x[1], x[0]])[:, None]
                @ np.array([[-x[1], x[0]]])
                / (x @ x)
            ),
            "this is the score's Jacobian, (G - 1)/t.": lambda x, radius, t: (
                (_circle(x, radius, t) - np.eye(2)) / t
            ),
        },
    ),
    "curved-tangent": Exercise(
        _variances,
        _hidden,
        {
            "the singular values are standard deviations; square them.": lambda z, F: np.sqrt(
                _variances(z, F)
            ),
            "this is F's own: the slope of tanh, 1 - tanh^2, is missing.": lambda z, F: (
                np.linalg.svd(F, compute_uv=False) ** 2
            ),
            "the largest comes first.": lambda z, F: _variances(z, F)[::-1],
            "the derivative of tanh is 1 - tanh^2, not 1 - tanh.": lambda z, F: (
                np.linalg.svd((1 - np.tanh(F @ z))[:, None] * F, compute_uv=False) ** 2
            ),
        },
    ),
    "curved-local-exercise": Exercise(
        lambda z, F, N: _time(_log_p(z, F), len(z), N),
        _place,
        {
            "the volume factor is missing: sqrt(det F'F).": lambda z, F, N: _time(
                _log_p(z, F) + np.linalg.slogdet(F.T @ F)[1] / 2, len(z), N
            ),
            "the volume is the root of det F'F.": lambda z, F, N: _time(
                _log_p(z, F) - np.linalg.slogdet(F.T @ F)[1] / 2, len(z), N
            ),
            "the dimension is m, that of z, not that of the space.": lambda z, F, N: _time(
                _log_p(z, F), len(F), N
            ),
            (
                "this is the same everywhere: the Gaussian factor exp(-|z|^2/2) is missing."
            ): lambda z, F, N: _time(_log_p(0 * z, F), len(z), N),
            "the factor 1/(2 pi e) is missing.": lambda z, F, N: (
                2 * np.pi * np.e * _time(_log_p(z, F), len(z), N)
            ),
        },
    ),
    "curved-importance": Exercise(
        _average,
        _draws,
        {
            "the ratio of probabilities is missing from the weights.": lambda x, y, log_ratio, t: (
                _average(x, y, 0 * log_ratio, t)
            ),
            "the weights have the ratio upside down.": lambda x, y, log_ratio, t: _average(
                x, y, -log_ratio, t
            ),
            (
                "the error is that of the mean: weights squared, sum w^2 (y - D)^2."
            ): lambda x, y, log_ratio, t: np.stack(
                [_average(x, y, log_ratio, t)[0], _spread(x, y, log_ratio, t)]
            ),
            "the exponent is |x-y|^2/2t; is t the variance here?": lambda x, y, log_ratio, t: (
                _average(x, y, log_ratio, t**2)
            ),
            "the exponent has the factor 1/2: |x-y|^2/2t.": lambda x, y, log_ratio, t: _average(
                x, y, log_ratio, t / 2
            ),
        },
    ),
}


def _spread(x, y, log_ratio, t):
    """Weighted standard deviation of the draws: not the error of their mean."""
    logs = log_ratio - ((x - y) ** 2).sum(axis=1) / (2 * t)
    w = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    return np.sqrt(w @ (y - w @ y) ** 2)
