"""Checks for the chapter ``glass/condensation``."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, logsumexp, ndtr, softmax

from memolib.exercises._grading import Exercise


def _size(log_weights):
    return np.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights))


def _overflowing_size(log_weights):
    a = np.exp(log_weights)
    return a.sum() ** 2 / (a**2).sum()


def _entropy(beta, energies):
    w = softmax(-beta * energies)
    return logsumexp(-beta * energies) + beta * w @ energies


def _root(bracket):
    """Give the noise variance at which m/2 times a bracket of u = 1/t, rising in u, equals ln N."""
    return lambda m, N: np.exp(
        -brentq(lambda log_u: m / 2 * bracket(np.exp(log_u)) - np.log(N), -30, 40)
    )


def _bracket(u):
    return np.log1p(u) - u / (1 + u)


def _log_hazard(delta):
    return -(delta**2) / 2 - np.log(2 * np.pi) / 2 - log_ndtr(-delta)


def _window(beta, N):
    return np.exp(_log_hazard(beta - np.sqrt(2 * np.log(N)))) / beta


def _naive_window(beta, N):
    delta = beta - np.sqrt(2 * np.log(N))
    return np.exp(-(delta**2) / 2) / np.sqrt(2 * np.pi) / np.exp(log_ndtr(-delta)) / beta


def _dimensions(rng: np.random.Generator) -> dict:
    m = int(rng.integers(3, 30))
    return {"m": m, "N": float(np.exp(m * rng.uniform(0.1, 3)))}


def _betas(rng: np.random.Generator) -> dict:
    N = float(10 ** rng.uniform(3, 9))
    return {
        "beta": np.sqrt(2 * np.log(N)) + np.r_[rng.uniform(-2, 5, rng.integers(3, 7)), 100.0],
        "N": N,
    }


def _pair(lower, upper):
    return np.stack([lower, upper], axis=1)


def _moments(e, N):
    p = ndtr(e)
    return _pair(N * p / (1 - p + N * p), np.minimum(N * p, 1))


def _depths(rng: np.random.Generator) -> dict:
    # Few levels, so that p counts beside 1, and energies at which bounds are and are not above 1
    N = int(rng.integers(5, 60))
    return {"e": -rng.uniform(0.1, 4, rng.integers(5, 9)), "N": N}


EXERCISES = {
    "cond-ess": Exercise(
        _size,
        lambda rng: {"log_weights": rng.normal(rng.choice([-5000, 5000]), 2, rng.integers(20, 60))},
        {
            "the exponentials overflow or underflow: subtract the largest logarithm first.": (
                _overflowing_size
            ),
            "upside down: this is Y; the size is 1/Y.": lambda w: 1 / _size(w),
            "this is the exponential of the entropy, another measure of the number.": lambda w: (
                np.exp(logsumexp(w) - softmax(w) @ w)
            ),
            "this is one over the largest weight, another measure of the number.": lambda w: (
                1 / softmax(w).max()
            ),
        },
    ),
    "cond-entropy-exercise": Exercise(
        _entropy,
        lambda rng: {
            "beta": float(rng.uniform(0.5, 3)),
            "energies": rng.normal(2000, 1, rng.integers(20, 60)),
        },
        {
            "this is ln N + zeta: add beta times the mean energy.": lambda beta, E: logsumexp(
                -beta * E
            ),
            "beta is missing in front of the mean energy.": lambda beta, E: (
                logsumexp(-beta * E) + softmax(-beta * E) @ E
            ),
            "ln N is missing: zeta is the logarithm of the mean weight.": lambda beta, E: (
                _entropy(beta, E) - np.log(len(E))
            ),
            "ln N is counted twice: it is in ln Z already.": lambda beta, E: (
                _entropy(beta, E) + np.log(len(E))
            ),
            "the mean energy is that under the weights, not the plain mean.": lambda beta, E: (
                logsumexp(-beta * E) + beta * E.mean()
            ),
        },
        tolerance=1e-5,
    ),
    "cond-critical": Exercise(
        _root(_bracket),
        _dimensions,
        {
            "this is the collapse for typical points; from the origin u/(1+u) is subtracted.": (
                _root(np.log1p)
            ),
            "this is the second-cumulant estimate sqrt(m/(4 ln N)).": lambda m, N: np.sqrt(
                m / 4 / np.log(N)
            ),
            "this is u = 1/t; the answer is t.": lambda m, N: 1 / _root(_bracket)(m, N),
            "a factor 1/2 is missing: m/2 times the bracket.": lambda m, N: _root(_bracket)(
                2 * m, N
            ),
            "this is sigma; the answer is the variance.": lambda m, N: np.sqrt(
                _root(_bracket)(m, N)
            ),
        },
        tolerance=1e-3,
    ),
    "cond-window-exercise": Exercise(
        _window,
        _betas,
        {
            "both factors underflow for large delta: subtract logarithms.": _naive_window,
            "divide by beta, not by beta_c.": lambda beta, N: (
                _window(beta, N) * beta / np.sqrt(2 * np.log(N))
            ),
            "this is beta E[Y]; divide by beta.": lambda beta, N: _window(beta, N) * beta,
            "the tail is the upper one, above delta.": lambda beta, N: (
                np.exp(_log_hazard(-(beta - np.sqrt(2 * np.log(N))))) / beta
            ),
        },
    ),
    "cond-moments": Exercise(
        _moments,
        _depths,
        {
            "the lower bound comes first, in column 0.": lambda e, N: _moments(e, N)[:, ::-1],
            "a probability is never above 1: cut the upper bound off.": lambda e, N: _pair(
                _moments(e, N)[:, 0], N * ndtr(e)
            ),
            "E n^2 is the variance plus the square of the mean: the variance is Np(1-p), not Np.": (
                lambda e, N: _pair(N * ndtr(e) / (1 + N * ndtr(e)), np.minimum(N * ndtr(e), 1))
            ),
            "these are levels above e: below e is the lower tail.": lambda e, N: _moments(-e, N),
            "the lower bound is (E n)^2 over E n^2, not over the variance of n.": lambda e, N: (
                _pair(np.minimum(N * ndtr(e) / ndtr(-e), 1), np.minimum(N * ndtr(e), 1))
            ),
            "this is the probability itself; the bounds are asked for.": lambda e, N: _pair(
                -np.expm1(N * log_ndtr(-e)), -np.expm1(N * log_ndtr(-e))
            ),
        },
    ),
}
