"""Checks for the chapter ``networks/two_clocks``."""

import numpy as np

from memolib.exercises._grading import Exercise


def _other(r, u, v):
    left = r / (u + 1 - r * u)
    return left * (v + 1) / (left * v + 1)


def _lost_at(variances, t, kappa, level):
    return -np.log(level) * (variances + t) / (2 * kappa * t)


def _stored_share(low, high, power, grid=np.geomspace):
    t = grid(low, high, 20_001)
    w = t**-power
    return 1 - (w * t / (1 + t)).sum() / w.sum()


EXERCISES = {
    "clocks-other": Exercise(
        _other,
        lambda rng: {
            "r": float(rng.uniform(0.2, 0.9)),
            "u": float(rng.uniform(5, 30)),
            "v": float(rng.uniform(1, 4)),
        },
        {
            "u and v are exchanged: r is the retention of the direction with u.": lambda r, u, v: (
                _other(r, v, u)
            ),
            "this is the share of labels that is left; put it into the law for v.": (
                lambda r, u, v: r / (u + 1 - r * u)
            ),
            "this is G itself; divide it by the population's v/(v + 1).": lambda r, u, v: (
                _other(r, u, v) * v / (v + 1)
            ),
            "retentions of two directions are not equal.": lambda r, u, v: r,
            "r is a retention, not G: it has been divided by u/(u + 1) already.": (
                lambda r, u, v: _other(r * (u + 1) / u, u, v)
            ),
        },
    ),
    "clocks-rate": Exercise(
        _lost_at,
        lambda rng: {
            "variances": rng.uniform(0.1, 3, int(rng.integers(2, 5))),
            "t": float(rng.uniform(0.05, 0.5)),
            "kappa": float(rng.uniform(0.01, 0.1)),
            "level": float(rng.uniform(0.2, 0.9)),
        },
        {
            "is the 2 of the rate 2 kappa missing?": lambda variances, t, kappa, level: (
                2 * _lost_at(variances, t, kappa, level)
            ),
            "the slope competes: the rate is 2 kappa t/(s^2 + t), not 2 kappa.": (
                lambda variances, t, kappa, level: -np.log(level) / (2 * kappa) + 0 * variances
            ),
            "high variance is lost later: the rate is 2 kappa t/(s^2 + t).": (
                lambda variances, t, kappa, level: (
                    -np.log(level) * (variances + t) / (2 * kappa * variances)
                )
            ),
            "the level is one of the retention r, not of the share learned, 1 - r.": (
                lambda variances, t, kappa, level: _lost_at(variances, t, kappa, 1 - level)
            ),
        },
    ),
    "clocks-border": Exercise(
        _stored_share,
        lambda rng: {
            "low": float(rng.uniform(0.01, 0.05)),
            "high": float(rng.uniform(2, 20)),
            "power": float(rng.uniform(0.1, 0.6)),
        },
        {
            "this is the other share: 1/(1 + s^2/t) is t/(1 + t).": lambda low, high, power: (
                1 - _stored_share(low, high, power)
            ),
            "the weight is t to the power -power.": lambda low, high, power: _stored_share(
                low, high, -power
            ),
            "is the noise log-uniform? Equal steps in ln t, not in t.": lambda low, high, power: (
                _stored_share(low, high, power, np.linspace)
            ),
        },
        tolerance=2e-3,
    ),
}
