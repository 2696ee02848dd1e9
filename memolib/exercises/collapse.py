"""Checks for the chapter ``diffusion/collapse``."""

import numpy as np
from scipy.special import softmax

from memolib.exercises._grading import Exercise


def _speciation(data, a, b):
    return (data @ (b - a) / np.linalg.norm(b - a)).var() - 1


def _probabilities(log_weights, labels, normalised=True):
    w = softmax(log_weights, axis=1) if normalised else np.exp(log_weights)
    p = w @ np.eye(labels.max() + 1)[labels]
    return np.stack([(w**2).sum(axis=1), (p**2).sum(axis=1)], axis=1)


def _log10_points(m, t):
    return m / 2 * np.log10(1 + 1 / t)


def _classes(rng: np.random.Generator) -> dict:
    d = rng.integers(3, 7)
    a, b = rng.normal(0, 3, (2, d))
    data = rng.standard_normal((40, d)) * rng.uniform(1, 3, d) + np.where(
        rng.random((40, 1)) < 0.5, a, b
    )
    return {"data": data, "a": a, "b": b}


def _posterior(rng: np.random.Generator) -> dict:
    n, N, K = rng.integers(2, 5), rng.integers(8, 15), rng.integers(2, 4)
    labels = rng.permutation(np.r_[np.arange(K), rng.integers(0, K, N - K)])
    return {"log_weights": rng.normal(-2000, 1, (n, N)), "labels": labels}


EXERCISES = {
    "coll-speciation-exercise": Exercise(
        _speciation,
        _classes,
        {
            "this is the largest eigenvalue of the covariance, less 1; the variance along b - a is asked for.": (
                lambda data, a, b: np.linalg.eigvalsh(np.cov(data.T, bias=True))[-1] - 1
            ),
            "normalise b - a: it should be a unit vector.": lambda data, a, b: (
                (data @ (b - a)).var() - 1
            ),
            "this is Lambda; t_S is Lambda - 1.": lambda data, a, b: _speciation(data, a, b) + 1,
            "this is the Ornstein-Uhlenbeck time ln(Lambda)/2.": lambda data, a, b: (
                np.log(_speciation(data, a, b) + 1) / 2
            ),
            "this is the total variance, less 1.": lambda data, a, b: data.var(axis=0).sum() - 1,
        },
    ),
    "coll-agreement": Exercise(
        _probabilities,
        _posterior,
        {
            "normalise the weights of each noisy point, after subtracting the largest logarithm.": (
                lambda w, labels: _probabilities(w, labels, normalised=False)
            ),
            "the columns are exchanged: the training point comes first.": lambda w, labels: (
                _probabilities(w, labels)[:, ::-1]
            ),
            "these are the largest probabilities; two clones agree with the sum of the squares.": lambda w, labels: (
                np.stack(
                    [
                        softmax(w, axis=1).max(axis=1),
                        (softmax(w, axis=1) @ np.eye(labels.max() + 1)[labels]).max(axis=1),
                    ],
                    axis=1,
                )
            ),
            "weights should sum to 1 over the training points, for each noisy point.": lambda w, labels: (
                _probabilities(np.log(softmax(w, axis=0)), labels, normalised=False)
            ),
        },
    ),
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
}
