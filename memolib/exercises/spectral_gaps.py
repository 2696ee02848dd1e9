"""Checks for the chapter ``manifold/spectral_gaps``."""

import numpy as np

from memolib.exercises._grading import Exercise


def _edges(m, d, s2):
    root = np.sqrt(m / d)
    return s2 * d / m * np.array([(1 - root) ** 2, (1 + root) ** 2])


def _widest(upper, lower):
    a, b = np.sqrt(upper), np.sqrt(lower)
    return np.stack([a * b, (a - b) / (a + b)])


def _second_moment(G, x0, t):
    slope = (G - np.eye(len(x0))) / t
    return t * slope @ slope.T + np.outer(slope @ x0, slope @ x0)


def _shape(rng: np.random.Generator) -> dict:
    d = int(rng.integers(40, 200))
    return {"m": int(rng.integers(5, d // 2)), "d": d, "s2": float(rng.uniform(0.2, 3))}


def _pairs(rng: np.random.Generator) -> dict:
    lower = rng.uniform(0.01, 1, rng.integers(3, 7))
    return {"upper": lower * rng.uniform(3, 50, lower.size), "lower": lower}


def _stack(rng: np.random.Generator) -> dict:
    d = rng.integers(3, 7)
    A = rng.standard_normal((d, d))
    return {"G": A @ A.T / 10, "x0": rng.standard_normal(d), "t": float(rng.uniform(0.2, 2))}


EXERCISES = {
    "gaps-edges": Exercise(
        _edges,
        _shape,
        {
            "the factor d/m is missing: the entries have variance s2/m.": lambda m, d, s2: (
                _edges(m, d, s2) * m / d
            ),
            "the ratio is upside down: sqrt(m/d).": lambda m, d, s2: (
                s2 * d / m * np.array([(1 - np.sqrt(d / m)) ** 2, (1 + np.sqrt(d / m)) ** 2])
            ),
            "the bracket is squared.": lambda m, d, s2: (
                s2 * d / m * np.array([1 - np.sqrt(m / d), 1 + np.sqrt(m / d)])
            ),
            "the lower edge comes first.": lambda m, d, s2: _edges(m, d, s2)[::-1],
        },
    ),
    "gaps-widest": Exercise(
        _widest,
        _pairs,
        {
            "the middle is the geometric one, sqrt(upper lower).": lambda u, v: np.stack(
                [(u + v) / 2, _widest(u, v)[1]]
            ),
            "this is the step at t = lower; it is largest between the two.": lambda u, v: np.stack(
                [v, u / (u + v) - 0.5]
            ),
            "the noise comes first, then the step.": lambda u, v: _widest(u, v)[::-1],
            "t is a variance: t = sqrt(upper lower) is one already, without a root.": lambda u, v: (
                np.stack([np.sqrt(_widest(u, v)[0]), _widest(u, v)[1]])
            ),
        },
    ),
    "gaps-stack-exercise": Exercise(
        _second_moment,
        _stack,
        {
            "the outer product of the mean score is missing.": lambda G, x, t: _second_moment(
                G, 0 * x, t
            ),
            "the covariance of the copies is t, not 1: t (G-1)(G-1)/t^2.": lambda G, x, t: (
                _second_moment(G, x, t)
                + (1 / t**2 - 1 / t) * (G - np.eye(len(x))) @ (G - np.eye(len(x)))
            ),
            "these are the answers of the denoiser; the score is (G - 1) x/t.": lambda G, x, t: (
                t * G @ G.T + np.outer(G @ x, G @ x)
            ),
            "the outer product is of the mean score, not of the point.": lambda G, x, t: (
                _second_moment(G, 0 * x, t) + np.outer(x, x)
            ),
        },
    ),
}
