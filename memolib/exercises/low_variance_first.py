"""Checks for the chapter ``networks/low_variance_first``."""

import numpy as np

from memolib.exercises._grading import Exercise


def _share(gain, variance, t):
    return 1 - gain / (1 - gain) * t / variance


def _retention(left, variance, t):
    return left * (variance + t) / (left * variance + t)


def _left(retention, variance, t):
    return retention * t / (variance + t - retention * variance)


def _predicted(low_retention, low, high, t):
    return _retention(_left(low_retention, low, t), high, t)


def _mixed(shares, high, low, t):
    return np.array([np.mean(_retention(1 - shares, v, t)) for v in (high, low)])


def _gains(rng: np.random.Generator) -> dict:
    K = int(rng.integers(3, 6))
    variance, t = rng.uniform(0.05, 2, K), float(rng.uniform(0.005, 0.3))
    left = rng.uniform(0.05, 0.9, K)
    return {"gain": left * variance / (left * variance + t), "variance": variance, "t": t}


def _retentions(rng: np.random.Generator) -> dict:
    low, t = float(rng.uniform(0.05, 0.3)), float(rng.uniform(0.005, 0.1))
    return {
        "low_retention": rng.uniform(0.1, 0.95, int(rng.integers(3, 6))),
        "low": low,
        "high": low * float(rng.uniform(3, 12)),
        "t": t,
    }


def _shares(rng: np.random.Generator) -> dict:
    low, t = float(rng.uniform(0.05, 0.3)), float(rng.uniform(0.005, 0.1))
    shares = rng.uniform(0, 1, int(rng.integers(5, 9)))
    return {"shares": shares, "high": low * float(rng.uniform(3, 12)), "low": low, "t": t}


EXERCISES = {
    "lvf-share": Exercise(
        _share,
        _gains,
        {
            "this is 1 - m, what is left; m is asked for.": lambda gain, variance, t: (
                1 - _share(gain, variance, t)
            ),
            "t is the noise *variance* already: do not square it.": lambda gain, variance, t: (
                _share(gain, variance, t**2)
            ),
            "t over the variance, not the variance over t.": lambda gain, variance, t: (
                1 - gain / (1 - gain) * variance / t
            ),
            "this takes the gain for a retention: G itself is asked about.": (
                lambda gain, variance, t: 1 - _left(gain, variance, t)
            ),
            "this is 1 minus the retention; m follows from the odds of the gain.": (
                lambda gain, variance, t: 1 - gain * (variance + t) / variance
            ),
        },
    ),
    "lvf-predict": Exercise(
        _predicted,
        _retentions,
        {
            "low and high are exchanged.": lambda low_retention, low, high, t: _predicted(
                low_retention, high, low, t
            ),
            "this is the gain; divide it by the population's, high/(high + t).": (
                lambda low_retention, low, high, t: (
                    _predicted(low_retention, low, high, t) * high / (high + t)
                )
            ),
            "this takes the retention for a gain: multiply by low/(low + t) first.": (
                lambda low_retention, low, high, t: _retention(
                    low_retention * t / (low * (1 - low_retention)), high, t
                )
            ),
            "this is 1 - m; put it into the law of the high direction.": (
                lambda low_retention, low, high, t: _left(low_retention, low, t)
            ),
        },
    ),
    "lvf-mixture": Exercise(
        _mixed,
        _shares,
        {
            "average the retentions of the points, not their shares m.": (
                lambda shares, high, low, t: _mixed(np.array([np.mean(shares)]), high, low, t)
            ),
            "the law has 1 - m, what is left: this has m.": lambda shares, high, low, t: _mixed(
                1 - shares, high, low, t
            ),
            "these are gains; a retention is a gain over that of the population.": (
                lambda shares, high, low, t: (
                    _mixed(shares, high, low, t) * [high / (high + t), low / (low + t)]
                )
            ),
            "the order is: high, low.": lambda shares, high, low, t: _mixed(shares, low, high, t),
        },
    ),
}
