"""Checks for the chapter ``manifold/order_of_loss``."""

import numpy as np
from scipy.optimize import brentq

from memolib.exercises._grading import Exercise

LARGEST = 0.939693  # signal to noise at which the absolute loss at fresh points is largest


def _loss(u, chi2, Y):
    return Y * u / (1 + u) * (1 / (1 + 2 * u) + 2 * chi2 * u / (1 + 2 * u) ** 2)


def _partner(f, low=LARGEST):
    """Give the other signal to noise at which f has the value that it has at u."""
    return lambda u: brentq(lambda v: f(v) - f(u), low, 10_000, xtol=1e-12)


def _fresh(u):
    return _loss(u, 1, 1)


def _laws(rng: np.random.Generator, d: int) -> dict:
    return {
        "u": rng.uniform(0.05, 20, d),
        "chi2": rng.chisquare(1, d),
        "Y": float(rng.uniform(0.001, 0.01)),
    }


EXERCISES = {
    "ld-absolute-loss": Exercise(
        _loss,
        lambda rng: _laws(rng, rng.integers(4, 9)),
        {
            "this is the relative loss; multiply by G_kk = u/(1+u).": lambda u, chi2, Y: (
                _loss(u, chi2, Y) * (1 + u) / u
            ),
            "this is the law at points A; fresh points are asked for.": lambda u, chi2, Y: (
                Y * u / (1 + u) * ((1 + u) / (1 + 2 * u) + chi2 * u / (1 + 2 * u) ** 2)
            ),
            "chi2 is chi squared already.": lambda u, chi2, Y: _loss(u, chi2**2, Y),
            "a factor Y is missing.": lambda u, chi2, Y: _loss(u, chi2, 1),
        },
    ),
    "ld-equal-loss": Exercise(
        _partner(_fresh),
        lambda rng: {"u": float(rng.uniform(0.1, 0.9))},
        {
            "this is u itself: look beyond the maximum, at u = 0.94.": lambda u: u,
            "this is where the loss is largest; the partner lies beyond.": lambda u: LARGEST,
            "this is the difference of the two.": lambda u: _partner(_fresh)(u) - u,
            "is this the loss? The signal to noise is asked for.": _fresh,
        },
        tolerance=1e-3,
    ),
    "ld-mean-loss": Exercise(
        lambda variances, t, N: np.prod(1 + variances / t) / N,
        lambda rng: {
            "variances": rng.uniform(0.01, 2, rng.integers(3, 8)),
            "t": float(rng.uniform(0.3, 2)),
            "N": int(rng.integers(100, 5_000)),
        },
        {
            "this is e^I/N: the exponent is twice the information.": lambda variances, t, N: (
                np.sqrt(np.prod(1 + variances / t)) / N
            ),
            "this is Y at chi = 0; average over chi.": lambda variances, t, N: (
                np.prod((1 + variances / t) / np.sqrt(1 + 2 * variances / t)) / N
            ),
            "this is Y at chi = 1: the average of an exponential is not that of its exponent.": (
                lambda variances, t, N: (
                    np.prod(
                        (1 + variances / t)
                        / np.sqrt(1 + 2 * variances / t)
                        * np.exp(variances / (t + 2 * variances))
                    )
                    / N
                )
            ),
            "divide by N.": lambda variances, t, N: np.prod(1 + variances / t),
        },
    ),
}
