"""Checks for the chapter ``diffusion/noise_and_score``."""

import numpy as np
from scipy.special import softmax

from memolib.exercises._grading import Exercise


def _posterior(x, t, means, variances, weights, normalised=True):
    spread = variances + t
    logs = (
        np.log(weights) - (x[:, None] - means) ** 2 / (2 * spread) - normalised * np.log(spread) / 2
    )
    return softmax(logs, axis=1)


def _denoise(x, t, means, variances, weights, normalised=True):
    answers = means + variances / (variances + t) * (x[:, None] - means)
    return (_posterior(x, t, means, variances, weights, normalised) * answers).sum(axis=1)


def _class_means(x, t, means, variances, weights):
    return _posterior(x, t, means, variances, weights) @ means


def _heun(denoiser, x, t, s, a=None, b=None, corrected=True):
    a, b = (np.sqrt(t), np.sqrt(s)) if a is None else (a, b)
    first = (x - denoiser(x, t)) / a
    guess = x + (b - a) * first
    return x + (b - a) * (first + (guess - denoiser(guess, s)) / b) / 2 if corrected else guess


def _without_new_slope(denoiser, x, t, s):
    a, b = np.sqrt(t), np.sqrt(s)
    first = (x - denoiser(x, t)) / a
    return x + (b - a) * (first + (x - denoiser(x, s)) / b) / 2


def _bridge(x, y, t, s):
    return np.append(y + s / t * (x - y), np.sqrt(s * (1 - s / t)))


def _mixture(rng: np.random.Generator) -> dict:
    K = rng.integers(2, 5)
    weights = rng.uniform(0.5, 2, K)
    return {
        "x": rng.normal(0, 2, rng.integers(3, 7)),
        "t": float(rng.uniform(0.3, 2)),
        "means": rng.normal(0, 2, K),
        "variances": rng.uniform(0.1, 2, K),
        "weights": weights / weights.sum(),
    }


def _step(rng: np.random.Generator) -> dict:
    t = float(rng.uniform(1, 4))
    x = rng.standard_normal((rng.integers(2, 5), rng.integers(2, 4)))
    return {
        "denoiser": lambda x, t: np.tanh(x) / (1 + t),
        "x": x,
        "t": t,
        "s": t * float(rng.uniform(0.3, 0.8)),
    }


def _pinned(rng: np.random.Generator) -> dict:
    d, t = rng.integers(2, 5), float(rng.uniform(1, 4))
    return {
        "x": rng.normal(0, 2, d),
        "y": rng.normal(0, 2, d),
        "t": t,
        "s": t * float(rng.uniform(0.2, 0.8)),
    }


EXERCISES = {
    "noise-clocks": Exercise(
        lambda t: np.log1p(t) / 2,
        lambda rng: {"t": rng.uniform(0.1, 50, rng.integers(3, 8))},
        {
            "this solves t = exp(2s), without the 1.": lambda t: np.log(t) / 2,
            "a factor 1/2 is missing: t = exp(2s) - 1.": np.log1p,
            "this is t as a function of s; the other way round is asked for.": lambda t: np.expm1(
                2 * t
            ),
            "is t the variance or its root? t = exp(2s) - 1 is the variance.": lambda t: (
                np.log1p(np.sqrt(t)) / 2
            ),
        },
    ),
    "noise-mixture-exercise": Exercise(
        _denoise,
        _mixture,
        {
            "the densities need their normalisation 1/sqrt(v + t): it differs.": (
                lambda x, t, m, v, w: _denoise(x, t, m, v, w, normalised=False)
            ),
            "these are the components' means; each should first denoise for itself.": _class_means,
            "the noisy component has the variance v + t, not v.": lambda x, t, m, v, w: (
                _posterior(x, 0, m, v, w) * (m + v / (v + t) * (x[:, None] - m))
            ).sum(axis=1),
            "is t the variance or its root?": lambda x, t, m, v, w: _denoise(x, t**2, m, v, w),
            "the weights of the components are missing.": lambda x, t, m, v, w: _denoise(
                x, t, m, v, np.full_like(w, 1 / len(w))
            ),
        },
    ),
    "noise-heun": Exercise(
        _heun,
        _step,
        {
            "this is Euler's step: correct it with the slope at its end.": lambda D, x, t, s: _heun(
                D, x, t, s, corrected=False
            ),
            "the step is in sigma = sqrt(t), not in t.": lambda D, x, t, s: _heun(D, x, t, s, t, s),
            "the second slope belongs to the guess at the end, not the start.": _without_new_slope,
        },
    ),
    "noise-bridge": Exercise(
        _bridge,
        _pinned,
        {
            "this is the variance at the end; its root is asked for.": lambda x, y, t, s: np.append(
                _bridge(x, y, t, s)[:-1], s * (1 - s / t)
            ),
            "the noise of x_s given the data alone, sqrt(s): x_t pins it too.": lambda x, y, t, s: (
                np.append(_bridge(x, y, t, s)[:-1], np.sqrt(s))
            ),
            "the share of x is s/t, since t is the variance.": lambda x, y, t, s: np.append(
                y + np.sqrt(s / t) * (x - y), np.sqrt(s * (1 - s / t))
            ),
            "x and y are exchanged: at s = 0 the point is at y.": lambda x, y, t, s: _bridge(
                y, x, t, s
            ),
        },
    ),
}
