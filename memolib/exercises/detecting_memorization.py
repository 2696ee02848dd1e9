"""Checks for the chapter ``networks/detecting_memorization``."""

import numpy as np

from memolib.exercises._grading import Exercise


def _found(seen, fresh, accused):
    return np.mean(seen > np.quantile(fresh, 1 - accused))


def _flipd(x, variances, t):
    g = variances / (variances + t)
    return g.sum() + ((1 - g) ** 2 * x**2).sum(axis=1) / t


def _two_nearest(y):
    d1, d2 = np.sort(np.linalg.norm(y[:, None] - y, axis=2), axis=1)[:, 1:3].T
    return len(y) / np.log(d2 / d1).sum()


def _shows(y, variances, t, N):
    squares = (y**2 / (variances + t)).sum(axis=1)
    others = np.log(N - 1) - (np.log1p(variances / t).sum() + squares) / 2
    return 1 / (1 + np.exp(others))


def _scores(rng: np.random.Generator) -> dict:
    return {
        "seen": rng.standard_normal(int(rng.integers(40, 60))) + 1,
        "fresh": rng.standard_normal(int(rng.integers(70, 90))),
        "accused": 0.2,
    }


def _points(rng: np.random.Generator) -> dict:
    variances = rng.uniform(0.2, 2, size=int(rng.integers(3, 7)))
    x = rng.standard_normal((int(rng.integers(3, 6)), len(variances))) * variances**0.5
    return {"x": x, "variances": variances, "t": float(rng.uniform(0.2, 1))}


def _cloud(rng: np.random.Generator) -> dict:
    return {"y": rng.standard_normal((int(rng.integers(30, 50)), int(rng.integers(2, 5))))}


def _training(rng: np.random.Generator) -> dict:
    given = _points(rng)
    return {
        "y": given["x"],
        "variances": given["variances"],
        "t": given["t"],
        "N": int(rng.integers(10, 40)),
    }


EXERCISES = {
    "det-found": Exercise(
        _found,
        _scores,
        {
            (
                "this is the threshold's share of the training points: take the "
                "quantile of the fresh ones."
            ): (lambda seen, fresh, accused: np.mean(seen > np.quantile(seen, 1 - accused))),
            "this accuses all but the stated share: the threshold is the quantile 1 - accused.": (
                lambda seen, fresh, accused: np.mean(seen > np.quantile(fresh, accused))
            ),
            "training points have the higher numbers.": lambda seen, fresh, accused: np.mean(
                seen < np.quantile(fresh, 1 - accused)
            ),
            "this is the share of fresh points accused.": lambda seen, fresh, accused: np.mean(
                fresh > np.quantile(fresh, 1 - accused)
            ),
            "this is the area under the whole curve.": lambda seen, fresh, accused: np.mean(
                seen[:, None] > fresh
            ),
        },
    ),
    "det-flipd": Exercise(
        _flipd,
        _points,
        {
            "this is tr G alone; add |D - x|^2/t.": lambda x, variances, t: np.full(
                len(x), (variances / (variances + t)).sum()
            ),
            "this is |D - x|^2/t alone; add tr G.": lambda x, variances, t: (
                _flipd(x, variances, t) - (variances / (variances + t)).sum()
            ),
            "|D - x|^2 is divided by t, not by t squared.": lambda x, variances, t: (
                (variances / (variances + t)).sum()
                + (_flipd(x, variances, t) - (variances / (variances + t)).sum()) / t
            ),
            (
                "this is the average over data points; the answer at each point is asked for."
            ): lambda x, variances, t: np.full(len(x), (1 - (t / (variances + t)) ** 2).sum()),
            "D - x is -(1-g) x, not -g x.": lambda x, variances, t: (
                (variances / (variances + t)).sum()
                + ((variances / (variances + t)) ** 2 * x**2).sum(axis=1) / t
            ),
        },
    ),
    "det-two": Exercise(
        _two_nearest,
        _cloud,
        {
            "this is one over the dimension.": lambda y: 1 / _two_nearest(y),
            "the nearest point is the point itself, at distance 0; leave it out.": lambda y: 0.0,
            (
                "these are the ratios of squared distances; their logarithms are twice as large."
            ): lambda y: _two_nearest(y) / 2,
            (
                "average the logarithms, then invert; this averages the inverse logarithms."
            ): lambda y: np.mean(
                1 / np.log(np.divide(*np.sort(np.linalg.norm(y[:, None] - y, axis=2))[:, 2:0:-1].T))
            ),
            "this is the mean of d2/d1 without the logarithm.": lambda y: np.mean(
                np.divide(*np.sort(np.linalg.norm(y[:, None] - y, axis=2))[:, 2:0:-1].T)
            ),
        },
    ),
    "det-own": Exercise(
        _shows,
        _training,
        {
            (
                "this is the weight of all others; the own one is asked for."
            ): lambda y, variances, t, N: 1 - _shows(y, variances, t, N),
            "the others are N - 1, not N.": lambda y, variances, t, N: _shows(
                y, variances, t, N + 1
            ),
            (
                "this is the weight at a noisy point, on average: here x = y, so "
                "that no |xi|^2 is subtracted."
            ): (
                lambda y, variances, t, N: (
                    1
                    / (
                        1
                        + np.exp(
                            -(np.log1p(variances / t) + y**2 / (variances + t) - 1).sum(axis=1) / 2
                        )
                        * (N - 1)
                    )
                )
            ),
            "y_k^2 is divided by s_k^2 + t.": lambda y, variances, t, N: (
                1
                / (
                    1
                    + (N - 1)
                    * np.exp(-(np.log1p(variances / t).sum() + (y**2 / variances).sum(axis=1)) / 2)
                )
            ),
            (
                "this is the ratio of the weights; the own weight is ratio/(1 + ratio)."
            ): lambda y, variances, t, N: 1 / (1 / _shows(y, variances, t, N) - 1),
        },
    ),
}
