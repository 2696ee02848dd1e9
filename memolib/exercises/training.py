"""Checks for the chapter ``networks/training``."""

import numpy as np

from memolib.exercises._grading import Exercise


def _coefficients(t, data_std):
    total = data_std**2 + t
    return np.array([data_std**2 / total, data_std * np.sqrt(t / total), total**-0.5])


def _levels(u, low, high):
    return low * (high / low) ** ((np.arange(len(u)) + u) / len(u))


def _remembered(steps, a):
    k = np.arange(steps)
    return np.prod(np.minimum(a, (1 + k) / (10 + k)))


def _exact(x, y, t):
    logs = -((x[:, None] - y) ** 2).sum(axis=2) / (2 * t)
    w = np.exp(logs - logs.max(axis=1, keepdims=True))
    return w @ y / w.sum(axis=1, keepdims=True)


def _distance(answer, x, y, t):
    exact = _exact(x, y, t)
    return np.sqrt(((answer - exact) ** 2).sum() / ((exact - x) ** 2).sum())


def _noise(rng: np.random.Generator) -> dict:
    return {"t": float(rng.uniform(0.1, 2)), "data_std": float(rng.uniform(0.2, 0.8))}


def _uniform(rng: np.random.Generator) -> dict:
    low = float(rng.uniform(0.001, 0.01))
    return {
        "u": rng.random(int(rng.integers(4, 9))),
        "low": low,
        "high": float(low * rng.uniform(50, 500)),
    }


def _run(rng: np.random.Generator) -> dict:
    return {"steps": int(rng.integers(3, 40)), "a": float(rng.uniform(0.3, 0.7))}


def _answers(rng: np.random.Generator) -> dict:
    n, d = int(rng.integers(4, 8)), int(rng.integers(2, 4))
    x, y = rng.standard_normal((n, d)), rng.standard_normal((n + 3, d))
    return {
        "answer": 0.5 * x + 0.1 * rng.standard_normal((n, d)),
        "x": x,
        "y": y,
        "t": float(rng.uniform(0.3, 1.5)),
    }


EXERCISES = {
    "train-coefficients": Exercise(
        _coefficients,
        _noise,
        {
            (
                "is data_std squared where it should be? It is s_y, and s_y^2 a variance."
            ): lambda t, data_std: _coefficients(t, data_std**0.5),
            "is t squared? It is the variance of the noise already.": lambda t, data_std: (
                _coefficients(t**2, data_std)
            ),
            "c_out and c_in are given squared: take roots.": lambda t, data_std: (
                _coefficients(t, data_std) ** np.array([1, 2, 2])
            ),
            "the order is skip, out, in.": lambda t, data_std: _coefficients(t, data_std)[
                [0, 2, 1]
            ],
            "c_skip is the data's share of the variance, not the noise's.": lambda t, data_std: (
                _coefficients(t, data_std) * [t / data_std**2, 1, 1]
            ),
        },
    ),
    "train-strata": Exercise(
        _levels,
        _uniform,
        {
            (
                "these are log-uniform, but not stratified: the k-th must lie in the k-th part."
            ): lambda u, low, high: low * (high / low) ** u,
            "these are stratified in t; the parts are equal in ln t.": lambda u, low, high: (
                low + (high - low) * (np.arange(len(u)) + u) / len(u)
            ),
            "k runs from 0.": lambda u, low, high: (
                low * (high / low) ** ((np.arange(len(u)) + 1 + u) / len(u))
            ),
            "the random place within each part is missing.": lambda u, low, high: _levels(
                0 * u, low, high
            ),
            "these are standard deviations; variances are asked for.": lambda u, low, high: np.sqrt(
                _levels(u, low, high)
            ),
        },
    ),
    "train-memory": Exercise(
        _remembered,
        _run,
        {
            "is the minimum missing? From some step on the share is a.": lambda steps, a: (
                _remembered(steps, 1.0)
            ),
            "this is a constant share a; early steps keep less.": lambda steps, a: a**steps,
            "steps count from 0: there are `steps` of them.": lambda steps, a: _remembered(
                steps + 1, a
            ),
            "this is what the last step keeps; multiply those of all steps.": lambda steps, a: (
                np.minimum(a, steps / (9 + steps))
            ),
            "this is what has been forgotten.": lambda steps, a: 1 - _remembered(steps, a),
        },
    ),
    "train-distance": Exercise(
        _distance,
        _answers,
        {
            "take the root: a distance, not its square.": lambda answer, x, y, t: (
                _distance(answer, x, y, t) ** 2
            ),
            (
                "the unit is what the exact denoiser removes, |D - x|, not |D|."
            ): lambda answer, x, y, t: (
                _distance(answer, x, y, t)
                * np.linalg.norm(_exact(x, y, t) - x)
                / np.linalg.norm(_exact(x, y, t))
            ),
            "average first, then take the ratio: not a mean of ratios.": lambda answer, x, y, t: (
                np.mean(
                    np.linalg.norm(answer - _exact(x, y, t), axis=1)
                    / np.linalg.norm(_exact(x, y, t) - x, axis=1)
                )
            ),
            (
                "the exponent is |x-y|^2/2t; is the 2 there, and t a variance?"
            ): lambda answer, x, y, t: _distance(answer, x, y, t / 2),
            "this is the distance to x itself.": lambda answer, x, y, t: (
                np.linalg.norm(answer - x) / np.linalg.norm(_exact(x, y, t) - x)
            ),
        },
    ),
}
