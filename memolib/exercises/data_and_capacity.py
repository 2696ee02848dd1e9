"""Checks for the chapter ``networks/data_and_capacity``."""

import numpy as np

from memolib.exercises._grading import Exercise


def _ratio(x, data, power=1):
    away = np.sort(np.linalg.norm(x[:, None] - data, axis=2), axis=1)
    return (away[:, 0] / away[:, 1]) ** power


def _copies(made, fresh, data, level=0.01):
    return np.mean(_ratio(made, data) < np.quantile(_ratio(fresh, data), level))


def _border(N, share, level):
    return np.exp(np.interp(level, share[::-1], np.log(N)[::-1]))


def _exponent(N, steps):
    slopes = np.polyfit(np.log(N), np.log(steps), 1)[0]
    return np.array([slopes.mean(), slopes.std(ddof=1) / len(slopes) ** 0.5])


def _cosine(a, b, middle=np.median):
    return middle((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


def _likeness(a, b):
    return np.array([_cosine(a, b), _cosine(a, np.roll(b, -1, axis=0))])


def _generated(rng: np.random.Generator) -> dict:
    d = int(rng.integers(2, 4))
    data = rng.standard_normal((12, d))
    near = data[rng.integers(12, size=25)] + 0.02 * rng.standard_normal((25, d))
    between = (data[:-1] + data[1:]) / 2 + 0.2 * rng.standard_normal((11, d))
    return {
        "made": np.concatenate([near, between]),
        "fresh": rng.standard_normal((90, d)),
        "data": data,
    }


def _shares(rng: np.random.Generator) -> dict:
    K = int(rng.integers(5, 8))
    N = np.sort(rng.choice(np.arange(10, 3_000), K, replace=False)).astype(float)
    share = np.sort(rng.uniform(0.01, 0.99, K))[::-1]
    return {"N": N, "share": share, "level": float((share[1] + 2 * share[2]) / 3)}


def _onsets(rng: np.random.Generator) -> dict:
    K, S = int(rng.integers(3, 5)), int(rng.integers(5, 8))
    N = 50.0 * np.cumprod(rng.uniform(1.5, 3, K))
    return {"N": N, "steps": 20 * N[:, None] ** 1.5 * np.exp(0.2 * rng.standard_normal((K, S)))}


def _pairs(rng: np.random.Generator) -> dict:
    n, d = int(rng.integers(7, 12)), int(rng.integers(3, 5))
    a = rng.standard_normal((n, d)) * rng.uniform(0.5, 2, (n, 1))
    return {"a": a, "b": a + 0.5 * rng.standard_normal((n, d))}


EXERCISES = {
    "cap-copies": Exercise(
        _copies,
        _generated,
        {
            (
                "the threshold is the first percentile of the fresh points, not of "
                "the generated ones."
            ): (
                lambda made, fresh, data: np.mean(
                    _ratio(made, data) < np.quantile(_ratio(made, data), 0.01)
                )
            ),
            (
                "is this the smallest ratio of the fresh points, or the median? "
                "The first percentile is asked for."
            ): (lambda made, fresh, data: _copies(made, fresh, data, level=0.5)),
            "a copy has a *small* ratio.": lambda made, fresh, data: 1 - _copies(made, fresh, data),
            "a share, not a number of points.": lambda made, fresh, data: (
                len(made) * _copies(made, fresh, data)
            ),
            (
                "this is the threshold; the share of generated points below it is asked for."
            ): lambda made, fresh, data: np.quantile(_ratio(fresh, data), 0.01),
        },
    ),
    "cap-crossing": Exercise(
        _border,
        _shares,
        {
            "interpolate against ln N, not against N.": lambda N, share, level: np.interp(
                level, share[::-1], N[::-1]
            ),
            "np.interp wants growing abscissae; the shares fall.": lambda N, share, level: np.exp(
                np.interp(level, share, np.log(N))
            ),
            "this is ln N; give N.": lambda N, share, level: np.log(_border(N, share, level)),
            "the next measured N is not an interpolation.": lambda N, share, level: N[
                np.argmax(share < level)
            ],
        },
    ),
    "cap-exponent": Exercise(
        _exponent,
        _onsets,
        {
            (
                "this is the standard deviation over seeds; that of the mean is "
                "smaller by the root of their number."
            ): (lambda N, steps: _exponent(N, steps) * [1, steps.shape[1] ** 0.5]),
            "standard deviation with ddof=1: the mean was estimated from the same seeds.": (
                lambda N, steps: _exponent(N, steps) * [1, (1 - 1 / steps.shape[1]) ** 0.5]
            ),
            "is one of the logarithms missing? A power law is a line in both.": lambda N, steps: (
                np.array(
                    [
                        (v := np.polyfit(N, np.log(steps), 1)[0]).mean(),
                        v.std(ddof=1) / len(v) ** 0.5,
                    ]
                )
            ),
            "this is the exponent of N against the steps: exchange them.": lambda N, steps: (
                np.array(
                    [
                        (
                            v := np.array([np.polyfit(np.log(s), np.log(N), 1)[0] for s in steps.T])
                        ).mean(),
                        v.std(ddof=1) / len(v) ** 0.5,
                    ]
                )
            ),
        },
    ),
    "cap-likeness": Exercise(
        _likeness,
        _pairs,
        {
            "divide by both lengths: a cosine.": lambda a, b: np.array(
                [np.median((a * v).sum(axis=1)) for v in (b, np.roll(b, -1, axis=0))]
            ),
            "the median is asked for, not the mean.": lambda a, b: np.array(
                [_cosine(a, b, np.mean), _cosine(a, np.roll(b, -1, axis=0), np.mean)]
            ),
            "the next row of b: roll by -1 along axis 0.": lambda a, b: np.array(
                [_cosine(a, b), _cosine(a, np.roll(b, 1, axis=0))]
            ),
            "roll the rows, not the coordinates.": lambda a, b: np.array(
                [_cosine(a, b), _cosine(a, np.roll(b, -1, axis=1))]
            ),
            "the order is: same row, next row.": lambda a, b: _likeness(a, b)[::-1],
        },
    ),
}
