"""Checks for the chapter ``diffusion/speciation``."""

import numpy as np
from scipy.special import softmax

from memolib.exercises._grading import Exercise


def _speciation(data, a, b):
    return (data @ (b - a) / np.linalg.norm(b - a)).var() - 1


def _probabilities(log_weights, labels, normalised=True):
    w = softmax(log_weights, axis=1) if normalised else np.exp(log_weights)
    p = w @ np.eye(labels.max() + 1)[labels]
    return np.stack([(w**2).sum(axis=1), (p**2).sum(axis=1)], axis=1)


def _largest(log_weights, labels):
    w = softmax(log_weights, axis=1)
    p = w @ np.eye(labels.max() + 1)[labels]
    return np.stack([w.max(axis=1), p.max(axis=1)], axis=1)


def _minimum(mu, spread, q0=None, steps=3_000):
    q = mu if q0 is None else q0
    for _ in range(steps):
        q = mu * np.tanh(mu * q / spread)
    return q


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
            "this is the largest eigenvalue of the covariance, less 1; the variance along b - a is "
            "asked for.": lambda data, a, b: np.linalg.eigvalsh(np.cov(data.T, bias=True))[-1] - 1,
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
            "normalise the weights of each noisy point, after subtracting the largest "
            "logarithm.": lambda w, labels: _probabilities(w, labels, normalised=False),
            "the columns are exchanged: the training point comes first.": lambda w, labels: (
                _probabilities(w, labels)[:, ::-1]
            ),
            "these are the largest probabilities; two clones agree with the sum of the "
            "squares.": _largest,
            "weights should sum to 1 over the training points, for each noisy "
            "point.": lambda w, labels: _probabilities(
                np.log(softmax(w, axis=0)), labels, normalised=False
            ),
        },
    ),
    "spec-minimum": Exercise(
        _minimum,
        lambda rng: {
            "mu": float(rng.uniform(2, 5)),
            "spread": float(rng.uniform(0.5, 3.5)),
        },
        {
            "this is the valley between the classes, 0: start the iteration at mu.": (
                lambda mu, spread: 0.0 * mu
            ),
            "this is one step of the iteration; repeat it until it stands still.": (
                lambda mu, spread: _minimum(mu, spread, steps=1)
            ),
            "this is the minimum in units of mu; multiply by mu.": lambda mu, spread: (
                _minimum(mu, spread) / mu
            ),
            "is spread the variance or its root? The argument is mu q/(s^2 + t).": (
                lambda mu, spread: _minimum(mu, spread**2)
            ),
            "this is the law near the transition, sqrt(3 (mu^2 - spread)); the solution itself is "
            "asked for.": lambda mu, spread: np.sqrt(3 * (mu**2 - spread)),
        },
    ),
}
