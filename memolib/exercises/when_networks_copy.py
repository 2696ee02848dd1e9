"""Checks for the chapter ``networks/when_networks_copy``."""

import numpy as np

from memolib.exercises._grading import Exercise


def _share(answer, population, y):
    away = y - population
    return np.sum((answer - population) * away) / np.sum(away**2)


def _first(steps, share, level, between):
    """First crossing of each column by linear interpolation of something of the steps."""
    up, back = between
    found = []
    for column in share.T:
        above = np.flatnonzero(column >= level)
        k = above[0] if len(above) else 0
        part = (level - column[k - 1]) / (column[k] - column[k - 1])
        between_marks = back(up(steps[k - 1]) + part * (up(steps[k]) - up(steps[k - 1])))
        found.append(between_marks if len(above) else 0.0)
    return np.array(found)


def _onset(steps, share, level):
    return _first(steps, share, level, (np.log, np.exp))


def _border(sigma, information, N, n):
    return np.exp(np.interp(-np.log(N / n), -information, np.log(sigma)))


def _nearest(x, data):
    return np.linalg.norm(x[:, None] - data, axis=2).min(axis=1)


def _lean(made, own, other):
    return np.mean(_nearest(made, own) < _nearest(made, other))


def _answers(rng: np.random.Generator) -> dict:
    n, d = int(rng.integers(6, 10)), int(rng.integers(3, 6))
    y = rng.standard_normal((n, d)) * rng.uniform(0.5, 2, (n, 1))
    population = 0.6 * y + 0.3 * rng.standard_normal((n, d))
    answer = population + 0.4 * (y - population) + 0.3 * rng.standard_normal((n, d))
    return {"answer": answer, "population": population, "y": y}


def _curve(rng: np.random.Generator) -> dict:
    K, S = int(rng.integers(6, 10)), int(rng.integers(3, 6))
    share = np.sort(rng.uniform(0.3, 0.9, (K, S)), axis=0)
    share[0] = rng.uniform(0.01, 0.1, S)
    share[3:5] = share[3:5][::-1]  # scatter
    share[:, rng.integers(S)] *= 0.2
    return {"steps": 100 * 2.0 ** np.arange(K), "share": share, "level": rng.uniform(0.2, 0.25)}


def _noises(rng: np.random.Generator) -> dict:
    sigma = np.geomspace(0.03, 1, int(rng.integers(8, 13)))
    information = 3.5 * np.log(1 + rng.uniform(0.05, 0.2) / sigma**2)
    n = int(rng.integers(2, 20))
    return {
        "sigma": sigma,
        "information": information,
        "N": float(rng.integers(300, 2_000)),
        "n": n,
    }


def _two_sets(rng: np.random.Generator) -> dict:
    d = int(rng.integers(2, 4))
    own, other = rng.standard_normal((9, d)), rng.standard_normal((12, d))
    near = own[rng.integers(9, size=10)] + 0.3 * rng.standard_normal((10, d))
    return {
        "made": np.concatenate([near, rng.standard_normal((17, d))]),
        "own": own,
        "other": other,
    }


EXERCISES = {
    "copy-own-share": Exercise(
        _share,
        _answers,
        {
            "sum over all points first, then divide: this is the mean of the points' ratios.": (
                lambda answer, population, y: np.mean(
                    ((answer - population) * (y - population)).sum(axis=1)
                    / ((y - population) ** 2).sum(axis=1)
                )
            ),
            "subtract the population's answer from the network's.": (
                lambda answer, population, y: (
                    np.sum(answer * (y - population)) / np.sum((y - population) ** 2)
                )
            ),
            "a projection: an inner product with y - population, not a ratio of lengths.": (
                lambda answer, population, y: (
                    np.sum((answer - population) ** 2) / np.sum((y - population) ** 2)
                )
            ),
            "a cosine; the length of answer - population is to count.": (
                lambda answer, population, y: (
                    np.sum((answer - population) * (y - population))
                    / np.linalg.norm(answer - population)
                    / np.linalg.norm(y - population)
                )
            ),
        },
    ),
    "copy-onset": Exercise(
        _onset,
        _curve,
        {
            "interpolate against the logarithm of the steps.": lambda steps, share, level: _first(
                steps, share, level, (np.asarray, np.asarray)
            ),
            "the next measured number of steps is not an interpolation.": (
                lambda steps, share, level: np.where(
                    (share >= level).any(axis=0), steps[(share >= level).argmax(axis=0)], 0
                )
            ),
            "a level that is not reached has no onset: give 0, not the last mark.": (
                lambda steps, share, level: np.where(
                    (share >= level).any(axis=0), _onset(steps, share, level), steps[-1]
                )
            ),
        },
    ),
    "copy-border": Exercise(
        _border,
        _noises,
        {
            "this is the border of a point that is held once: ln(N/n).": (
                lambda sigma, information, N, n: _border(sigma, information, N, 1)
            ),
            "this is the border for n N points; copies make them fewer.": (
                lambda sigma, information, N, n: _border(sigma, information, N * n, 1)
            ),
            "np.interp wants growing abscissae; the information falls with the noise.": (
                lambda sigma, information, N, n: np.exp(
                    np.interp(np.log(N / n), information, np.log(sigma))
                )
            ),
            "interpolate ln sigma, and give sigma.": lambda sigma, information, N, n: np.interp(
                -np.log(N / n), -information, sigma
            ),
            "information is a logarithm already: compare it with ln(N/n).": (
                lambda sigma, information, N, n: np.exp(
                    np.interp(-N / n, -information, np.log(sigma))
                )
            ),
        },
    ),
    "copy-lean": Exercise(
        _lean,
        _two_sets,
        {
            "the share that is nearer to its own set, not to the other.": (
                lambda made, own, other: 1 - _lean(made, own, other)
            ),
            "compare the nearest points of each set, not the means of all distances.": (
                lambda made, own, other: np.mean(
                    np.linalg.norm(made[:, None] - own, axis=2).mean(axis=1)
                    < np.linalg.norm(made[:, None] - other, axis=2).mean(axis=1)
                )
            ),
            "a share, not a number of points.": lambda made, own, other: (
                len(made) * _lean(made, own, other)
            ),
        },
    ),
}
