"""Every check accepts the chapter's solution and refuses wrong answers for the right reason."""

import re

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.optimize import brentq
from scipy.special import ive, log_ndtr, softmax
from scipy.stats import norm

from memolib.exercises import EXERCISES, check, grade
from tools.notebooks import chapters, read

SOLUTION = re.compile(r"\{solution\} (?P<label>\S+)\n.*?```python\n(?P<code>.*?)```", re.S)
EXERCISE = re.compile(
    r"\{exercise\}[^\n]*\n:label: (?P<label>\S+)\n(?P<text>.*?)^````", re.S | re.M
)


def prose():
    return "\n".join(
        c.source for path in chapters() for c in read(path).cells if c.cell_type == "markdown"
    )


def halved(share, high, low, t):
    """Retentions of both groups, by the law of effective variance."""
    variance = np.array([high, low])
    return (1 - share) * (variance + t) / ((1 - share) * variance + t)


def effective(kept, one, other, t):
    """Retention along another direction, through the variance that is left along one."""
    gain = kept * one / (one + t)
    left = gain * t / (one * (1 - gain))
    return left * (other + t) / (left * other + t)


def n_eff(energies, beta):
    w = np.exp(-beta * (energies - energies.min()))
    return w.sum() ** 2 / (w**2).sum()


def temperature(count, energies, target):
    return np.exp(-brentq(lambda u: count(energies, np.exp(u)) - target, -12, 12))


def log_z(beta, N, v):
    e = np.maximum(-beta * v, -np.sqrt(2 * v * np.log(N)))
    return np.log(N) - e**2 / (2 * v) - beta * e


def exp_entropy(energies, beta):
    w = np.exp(-beta * (energies - energies.min()))
    w /= w.sum()
    return np.exp(-np.sum(w * np.log(w + 1e-300)))


def stable_weights(x, data, t):
    e = -((x[:, None] - data) ** 2).sum(axis=2) / (2 * t)
    w = np.exp(e - e.max(axis=1, keepdims=True))
    return w / w.sum(axis=1, keepdims=True)


def squared(samples, data):
    return np.sort(((samples[:, None] - data) ** 2).sum(axis=2), axis=1)


def covariance(x, data, t):
    w = stable_weights(x[None], data, t)[0]
    return np.cov(data.T, aweights=w, ddof=0)


def unit(data):
    return data / np.sqrt((data**2).sum(axis=1, keepdims=True))


def angle_of_columns(F, k):
    leading = np.linalg.eigh(F @ F.T)[1][:, -k:]
    return subspace_angles(F[:, :k], leading).max()


def across(x):
    return np.eye(2) - np.outer(x, x) / (x @ x)


def rho(x, radius, t):
    b = radius * np.sqrt(x @ x) / t
    return ive(1, b) / ive(0, b)


def local_time(z, F, N):
    log_p = -z @ z / 2 - len(z) / 2 * np.log(2 * np.pi) - np.log(np.linalg.det(F.T @ F)) / 2
    return (N * np.exp(log_p)) ** (-2 / len(z)) / (2 * np.pi * np.e)


def weighted(x, y, log_ratio, t, power=2):
    w = softmax(log_ratio - ((x - y) ** 2).sum(axis=1) / (2 * t))
    return np.stack([w @ y, np.sqrt(w**power @ (y - w @ y) ** 2)])


def collapse(variances, N):
    return np.exp(brentq(lambda u: np.log1p(variances / np.exp(u)).sum() / 2 - np.log(N), -60, 60))


def information(variances, t):
    return np.log(1 + variances / t[:, None]).sum(axis=1) / 2


def spread(variances, t):
    return np.sqrt((variances / (variances + t[:, None])).sum(axis=1))


def softmax_weights(x, data, t, axis=1):
    w = np.exp(-((x[:, None] - data) ** 2).sum(axis=2) / (2 * t))
    return w / w.sum(axis=axis, keepdims=True)


# label: [(a plausible wrong answer, what the message must say)]
def naive_mixture(x, t, m, v, w, norm):
    p = w * np.exp(-((x[:, None] - m) ** 2) / (2 * (v + t))) / norm
    return (p * (m + v / (v + t) * (x[:, None] - m))).sum(axis=1) / p.sum(axis=1)


def class_agreement(w, labels):
    p = np.stack([w[:, labels == k].sum(axis=1) for k in range(labels.max() + 1)], axis=1)
    return np.stack([(w**2).sum(axis=1), (p**2).sum(axis=1)], axis=1)


def softmax_sum(x, data, t):
    return np.exp(-((x[:, None] - data) ** 2).sum(axis=2) / (2 * t)).sum(axis=1)


def stable_energy(x, data, t):
    exponents = -((x[:, None] - data) ** 2).sum(axis=2) / (2 * t)
    return -t * np.logaddexp.reduce(exponents, axis=1)


def hazard(delta):
    return np.exp(-(delta**2) / 2 - log_ndtr(-delta)) / np.sqrt(2 * np.pi)


def mean_over_second(e, N):
    p = norm.cdf(e)
    return N * p / (1 + (N - 1) * p)


def strata(u):
    return (np.arange(len(u)) + u) / len(u)


def gap(answer, x, y, t):
    return answer - softmax_weights(x, y, t) @ y


def d1_d2(x, data):
    away = np.sort(np.linalg.norm(x[:, None] - data, axis=2), axis=1)
    return away[:, 0] / away[:, 1]


def fits(N, steps):
    return np.array([np.polyfit(np.log(N), np.log(s), 1)[0] for s in steps.T])


def cosines(a, b):
    return np.einsum("ij,ij->i", a, b) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))


def quadratic(product, probes):
    return np.array([v @ product(v) for v in probes])


def pcs(data, k):
    return np.linalg.eigh(np.cov(data.T))[1][:, ::-1][:, :k]


def second_over_first(y):
    """Of the distances to other points."""
    away = np.sort(np.linalg.norm(y[:, None] - y, axis=2), axis=1)
    return away[:, 2] / away[:, 1]


def two_nearest(y):
    """Dimension by the two nearest neighbours."""
    return 1 / np.mean(np.log(second_over_first(y)))


def own_weight(y, s2, t, others):
    """Of a training point without noise among so many others of a Gaussian law."""
    log_odds = 0.5 * np.sum(np.log(1 + s2 / t) + y**2 / (s2 + t), axis=1) - np.log(others)
    return 1 / (1 + np.exp(-log_odds))


def likes(made, fresh, data, P=None):
    P = np.eye(data.shape[1]) if P is None else P
    return d1_d2(made @ P, data @ P) < np.quantile(d1_d2(fresh @ P, data @ P), 0.01)


def eigenvalues(x, data, t, G=1.0):
    return np.linalg.eigvalsh(
        covariance(x, data, t) / t / np.sqrt(np.outer(G * np.ones_like(x), G * np.ones_like(x)))
    )


def clocks_other(r, u, v):
    left = r / (u + 1 - r * u)
    return left * (v + 1) / (left * v + 1)


def stored_share(low, high, power, grid=np.geomspace):
    t = grid(low, high, 20_001)
    return 1 - (t ** (1 - power) / (1 + t)).sum() / (t**-power).sum()


WRONG = {
    "rem-effective-levels": [
        (
            lambda energies, beta: (
                1 / np.sum((np.exp(-beta * energies) / np.exp(-beta * energies).sum()) ** 2)
            ),
            "lowest",
        ),
        (lambda energies, beta: 1 / n_eff(energies, beta), "1/Y"),
        (lambda energies, beta: n_eff(-energies, beta), "sign"),
        (lambda energies, beta: n_eff(energies, 1 / beta), "temperature"),
        (lambda energies, beta: 2 * n_eff(energies, beta), "factor 2"),
        (
            lambda energies, beta: 1 / np.exp(-beta * (energies - energies.min())).max(),
            "values differ",
        ),
        (lambda energies, beta: energies, "shape"),
    ],
    "rem-levels-needed": [
        (lambda beta, v: v / beta**2 / 2, "inverse temperature"),
        (lambda beta, v: beta**2 * v, "factor 2"),
        (lambda beta, v: beta**2 * v**2 / 2, "variance already"),
        (lambda beta, v: np.exp(beta**2 * v / 2), "ln N"),
        (lambda beta, v: (beta**2 * v / 2)[:, None], "shape"),
    ],
    "rem-log-z": [
        (lambda beta, N, v: np.log(N) + beta**2 * v / 2, "annealed"),
        (lambda beta, N, v: -log_z(beta, N, v) / beta, "free energy"),
        (lambda beta, N, v: log_z(np.sqrt(beta), N, v), "values differ"),
        (
            lambda beta, N, v: (
                np.log(N) + np.minimum(beta, np.sqrt(2 * np.log(N) / v)) ** 2 * v / 2
            ),
            "still grows with beta",
        ),
        (lambda beta, N, v: np.float64(1.0), "shape"),
    ],
    "rem-finite-size": [
        (lambda beta, N, v: np.maximum(1 - np.sqrt(2 * np.log(N) / v) / beta, 0), "large N"),
        (lambda beta, N, v: 1 + norm.ppf(1 / N) / (beta * np.sqrt(v)), "never negative"),
        (lambda beta, N, v: np.maximum(1 - np.abs(norm.ppf(1 / N)) / beta, 0), "root"),
    ],
    "rem-digit-temperature": [
        (
            lambda energies, n_eff: 1 / temperature(globals()["n_eff"], energies, n_eff),
            "inverse temperature",
        ),
        (
            lambda energies, n_eff: np.sqrt(temperature(globals()["n_eff"], energies, n_eff)),
            "variance",
        ),
        (lambda energies, n_eff: temperature(exp_entropy, energies, n_eff), "1/Y"),
        (lambda energies, n_eff: temperature(globals()["n_eff"], energies / 2, n_eff), "halved"),
    ],
    "cond-ess": [
        (lambda w: np.exp(w).sum() ** 2 / (np.exp(w) ** 2).sum(), "overflow"),
        (
            lambda w: (np.exp(2 * (w - w.max()))).sum() / np.exp(w - w.max()).sum() ** 2,
            "upside down",
        ),
        (lambda w: np.exp(w - w.max()).sum() / np.exp(2 * (w - w.max())).sum(), "values differ"),
    ],
    "cond-entropy-exercise": [
        (lambda beta, E: np.log(np.exp(-beta * (E - E.min())).mean()), "values differ"),
        (
            lambda beta, E: np.log(np.exp(-beta * (E - E.min())).sum()) - beta * E.min(),
            "mean energy",
        ),
        (
            lambda beta, E: np.log(len(E)) + np.log(np.exp(-beta * E).mean()) + beta * E.mean(),
            "not finite",
        ),
    ],
    "cond-critical": [
        (lambda m, N: 1 / (N ** (2 / m) - 1), "typical points"),
        (lambda m, N: np.sqrt(m / 2 / (2 * np.log(N))), "second-cumulant"),
        (lambda m, N: np.sqrt(m / (2 * np.log(N))), "values differ"),
    ],
    "cond-window-exercise": [
        (lambda beta, N: beta - np.sqrt(2 * np.log(N)), "values differ"),
        (lambda beta, N: 1 - np.sqrt(2 * np.log(N)) / beta, "values differ"),
        (lambda beta, N: hazard(beta - np.sqrt(2 * np.log(N))), "divide by beta"),
    ],
    "cond-moments": [
        (lambda e, N: np.c_[np.minimum(N * norm.cdf(e), 1), mean_over_second(e, N)], "first"),
        (lambda e, N: np.c_[mean_over_second(e, N), N * norm.cdf(e)], "never above 1"),
        (lambda e, N: np.c_[mean_over_second(e, N + 1), np.minimum(N * norm.cdf(e), 1)], "differ"),
    ],
    "mem-hopfield": [
        (lambda x, y: (x @ y.T) @ y / y.shape[1], "itself"),
        (lambda x, y: np.where(x @ y.T @ y - len(y) * x > 0, 1.0, -1.0), "values differ"),
        (lambda x, y: x @ (y.T @ y) / y.shape[1] - x, "values differ"),
    ],
    "mem-energy-exercise": [
        (lambda x, y, t: -t * np.log(softmax_sum(x, y, t)), "underflow"),
        (lambda x, y, t: squared(x, y).min(axis=1) / 2, "nearest pattern"),
        (lambda x, y, t: stable_energy(x, y, t) * 2, "factor 2"),
        (lambda x, y, t: stable_energy(x, y, np.sqrt(t)), "values differ"),
        (lambda x, y, t: stable_energy(x, y, t) + t * np.log(len(y)), "values differ"),
    ],
    "mem-retrieve": [
        (lambda q, y, t, steps: stable_weights(q, y, t) @ y, "one update"),
        (lambda q, y, t, steps: q + stable_weights(q, y, t) @ y, "values differ"),
        (lambda q, y, t, steps: stable_weights(q, y, t), "shape"),
    ],
    "mem-load": [
        (lambda t, d: d * np.log(2 / (1 + np.exp(-2 / t))) / np.log(2), "factor"),
        (lambda t, d: d * (1 / t - np.log(np.cosh(1 / t))), "overflow"),
        (lambda t, d: np.full_like(t, d * np.log(2)), "values differ"),
    ],
    "mem-sign-exercise": [
        (lambda t: np.log(2 / (1 + np.exp(-2 / t))), "squared"),
        (lambda t: 2 / t - np.log(np.cosh(2 / t)), "overflow"),
        (lambda t: np.full_like(t, np.log(2)), "values differ"),
    ],
    "noise-clocks": [
        (lambda t: 0.5 * np.log(t), "without the 1"),
        (lambda t: np.log(1 + t), "1/2"),
        (lambda t: np.sqrt(np.log(1 + t) / 2), "root"),
    ],
    "noise-mixture-exercise": [
        (lambda x, t, m, v, w: naive_mixture(x, t, m, v, w, np.ones_like(v)), "normalisation"),
        (
            lambda x, t, m, v, w: naive_mixture(x, t**2, m, v, w, np.sqrt(v + t**2)),
            "variance or its root",
        ),
        (
            lambda x, t, m, v, w: naive_mixture(x, t, m, v, np.ones_like(w), np.sqrt(v + t)),
            "weights of the components",
        ),
        (lambda x, t, m, v, w: x + naive_mixture(x, t, m, v, w, np.sqrt(v + t)), "values differ"),
    ],
    "noise-heun": [
        (lambda D, x, t, s: x + (np.sqrt(s) - np.sqrt(t)) * (x - D(x, t)) / np.sqrt(t), "Euler"),
        (lambda D, x, t, s: x + (s - t) * (x - D(x, t)) / (2 * t), "values differ"),
        (lambda D, x, t, s: D(x, t), "values differ"),
    ],
    "noise-bridge": [
        (lambda x, y, t, s: np.append(y + s / t * (x - y), s - s**2 / t), "variance"),
        (lambda x, y, t, s: np.append(x + s / t * (y - x), np.sqrt(s - s**2 / t)), "exchanged"),
        (lambda x, y, t, s: y + s / t * (x - y), "shape"),
        (lambda x, y, t, s: np.append(y + s / t * (x - y), np.sqrt(t - s)), "values differ"),
    ],
    "emp-weights": [
        (softmax_weights, "underflow"),
        (lambda x, data, t: stable_weights(x, data, t**2), "variance or its root"),
        (lambda x, data, t: stable_weights(x, data, t).T, "transposed"),
        (lambda x, data, t: stable_weights(x, data, t / 2), "factor 2"),
        (lambda x, data, t: stable_weights(x, data, t**0.5), "no root"),
        (lambda x, data, t: stable_weights(x, data, t) / 2, "factor 0.5"),
    ],
    "emp-score": [
        (lambda x, data, t: stable_weights(x, data, t) @ data, "this is the denoiser"),
        (lambda x, data, t: (softmax_weights(x, data, t) @ data - x) / t, "underflow"),
        (
            lambda x, data, t: (stable_weights(x, data, t) @ data - x) / np.sqrt(t),
            "variance or its root",
        ),
        (lambda x, data, t: (x - stable_weights(x, data, t) @ data) / t, "sign"),
        (lambda x, data, t: ((stable_weights(x, data, t) @ data - x) / t).T, "shape"),
        (
            lambda x, data, t: (stable_weights(x, data, t) @ data * len(data) - x) / t,
            "values differ",
        ),
    ],
    "emp-points-needed": [
        (lambda variances, t: np.log(1 + variances / t[:, None]).sum(axis=1), "half"),
        (
            lambda variances, t: np.log(1 + variances**2 / t[:, None]).sum(axis=1) / 2,
            "variances or their roots",
        ),
        (lambda variances, t: np.log(1 + variances[:, None] / t).sum(axis=1) / 2, "shape"),
        (lambda variances, t: np.sqrt(np.prod(1 + variances / t[:, None], axis=1)), "ln N"),
    ],
    "emp-ratio": [
        (
            lambda samples, data: squared(samples, data)[:, 0] / squared(samples, data)[:, 1],
            "squared",
        ),
        (
            lambda samples, data: np.sqrt(
                squared(samples, data)[:, 1] / squared(samples, data)[:, 0]
            ),
            "upside down",
        ),
        (lambda samples, data: np.sqrt(squared(data, samples)[:, 0]), "shape"),
    ],
    "dec-spread": [
        (lambda variances, t: (variances / (variances + t[:, None])).sum(axis=1), "variance"),
        (
            lambda variances, t: np.sqrt((variances / t[:, None]).sum(axis=1)),
            "values differ",
        ),
        (
            lambda variances, t: np.sqrt((1 / (1 + variances / t[:, None])).sum(axis=1)),
            "left of the noise",
        ),
    ],
    "dec-nine-of-ten": [
        (lambda v, t, share: information(v, t) + norm.ppf(share) * spread(v, t), "sign"),
        (lambda v, t, share: information(v, t), "collapse"),
        (lambda v, t, share: np.exp(information(v, t) - norm.ppf(share) * spread(v, t)), "ln N"),
        (lambda v, t, share: share * information(v, t), "values differ"),
    ],
    "dec-copies": [
        (lambda v, t, N: N / np.exp(information(v, t)), "once at least"),
        (lambda v, t, N: np.maximum(np.log(N) - information(v, t), 0), "ln n"),
        (lambda v, t, N: np.maximum(N - np.exp(information(v, t)), 1), "values differ"),
    ],
    "dec-counts": [
        (lambda x, data, counts, t: stable_weights(x, data, t) * counts, "sum to 1"),
        (lambda x, data, counts, t: stable_weights(x, data, t), "missing"),
        (lambda x, data, counts, t: stable_weights(x, data, t).T, "transposed"),
    ],
    "coll-speciation-exercise": [
        (
            lambda data, a, b: np.linalg.eigvalsh(np.cov(data.T, bias=True)).max() - 1,
            "largest eigenvalue",
        ),
        (lambda data, a, b: np.log((data @ (b - a) / np.linalg.norm(b - a)).var()) / 2, "Ornstein"),
        (lambda data, a, b: ((b - a) ** 2).sum() / 4, "values differ"),
    ],
    "coll-agreement": [
        (lambda w, labels: (np.exp(w) / np.exp(w).sum(axis=1, keepdims=True)) ** 2, "shape"),
        (
            lambda w, labels: class_agreement(np.exp(w) / np.exp(w).sum(1, keepdims=True), labels),
            "not finite",
        ),
        (lambda w, labels: class_agreement(softmax(w, axis=1), labels)[:, ::-1], "exchanged"),
        (lambda w, labels: class_agreement(softmax(w, axis=1), labels).T, "shape"),
    ],
    "spec-minimum": [
        (lambda mu, spread: mu * np.tanh(mu / spread), "values differ"),
        (lambda mu, spread: mu * np.tanh(mu**2 / spread), "one step"),
        (lambda mu, spread: np.array([-mu, mu]), "shape"),
    ],
    "coll-images": [
        (lambda m, t: m / 2 * np.log(1 + 1 / t), "natural"),
        (lambda m, t: m * np.log10(1 + 1 / np.sqrt(t)), "values differ"),
        (lambda m, t: np.log10(m / 2 * (1 + 1 / t)), "values differ"),
    ],
    "coll-number": [
        (lambda w: -(np.exp(w) * w).sum(axis=1).mean(), "values differ"),
        (lambda w: -(softmax(w, axis=1) * np.log(softmax(w, axis=1))).sum(1).mean(), "subtract"),
        (lambda w: np.log(12) + (softmax(w, axis=1) * np.log(softmax(w, axis=1))).sum(1), "shape"),
    ],
    "coll-halving": [
        (lambda s2, t: 2 ** ((s2 / (s2 + t)).sum() / 2), "lower bound"),
        (lambda s2, t: 2 ** (len(s2) / 2), "all dimensions"),
        (lambda s2, t: np.sqrt((1 + 2 * s2 / t) / (1 + s2 / t)), "shape"),
    ],
    "gaps-edges": [
        (
            lambda m, d, s2: s2 * np.array([(1 - np.sqrt(m / d)) ** 2, (1 + np.sqrt(m / d)) ** 2]),
            "d/m is missing",
        ),
        (lambda m, d, s2: s2 * d / m * np.array([1 - m / d, 1 + m / d]), "values differ"),
        (lambda m, d, s2: s2 * d / m * (1 + np.sqrt(m / d)) ** 2, "shape"),
    ],
    "gaps-widest": [
        (lambda u, v: np.stack([(u + v) / 2, (u - v) / (u + v)]), "values differ"),
        (lambda u, v: np.stack([np.sqrt(u * v), u / (u + v) - v / (u + v)]), "values differ"),
        (
            lambda u, v: np.stack(
                [np.sqrt(u * v), u / (u + np.sqrt(u * v)) - v / (v + np.sqrt(u * v))], axis=1
            ),
            "shape",
        ),
    ],
    "gaps-stack-exercise": [
        (lambda G, x, t: (G - np.eye(len(x))) @ (G - np.eye(len(x))) / t, "mean score is missing"),
        (
            lambda G, x, t: np.outer((G - np.eye(len(x))) @ x, (G - np.eye(len(x))) @ x) / t**2,
            "values differ",
        ),
        (lambda G, x, t: (G - np.eye(len(x))) @ x / t, "shape"),
    ],
    "ld-jacobian-exercise": [
        (lambda x, data, t: covariance(x, data, t), "over t"),
        (lambda x, data, t: covariance(x, data, t) / np.sqrt(t), "variance or its root"),
        (lambda x, data, t: np.diag(covariance(x, data, t)) / t, "shape"),
        (lambda x, data, t: np.cov(data.T) / t, "values differ"),
        (lambda x, data, t: covariance(x, data, t) / t * len(data), "values differ"),
    ],
    "ld-collapse-time": [
        (lambda variances, N: collapse(variances, np.sqrt(N)), "half the sum"),
        (lambda variances, N: np.sqrt(collapse(variances, N)), "variance"),
        (lambda variances, N: collapse(np.sqrt(variances), N), "values differ"),
    ],
    "ld-absolute-loss": [
        (lambda u, chi2, Y: Y * (1 / (1 + 2 * u) + 2 * chi2 * u / (1 + 2 * u) ** 2), "relative"),
        (
            lambda u, chi2, Y: Y * u * (1 + u + chi2 * u / (1 + 2 * u)) / (1 + u) / (1 + 2 * u),
            "points A",
        ),
        (
            lambda u, chi2, Y: u / (1 + u) * (1 / (1 + 2 * u) + 2 * chi2 * u / (1 + 2 * u) ** 2),
            "missing",
        ),
        (
            lambda u, chi2, Y: Y * u / (1 + u) * (1 / (1 + u) + 2 * chi2 * u / (1 + 2 * u) ** 2),
            "values differ",
        ),
    ],
    "ld-equal-loss": [
        (lambda u: u, "u itself"),
        (lambda u: 0.939693, "largest"),
        (lambda u: 1 / u, "values differ"),
        (lambda u: [u, 1 / u], "shape"),
    ],
    "ld-mean-loss": [
        (
            lambda variances, t, N: np.exp(np.log1p(variances / t).sum() / 2) / N,
            "twice the information",
        ),
        (lambda variances, t, N: np.prod(1 + variances / t), "divide by N"),
        (lambda variances, t, N: np.prod(1 + variances / np.sqrt(t)) / N, "values differ"),
        (lambda variances, t, N: (1 + variances / t) / N, "shape"),
    ],
    "ld-from-centre": [
        (lambda data, t: unit(data).T @ unit(data) / len(data) / t, "mean of a finite"),
        (lambda data, t: np.cov(data.T, ddof=0) / t, "norm first"),
        (lambda data, t: np.cov(unit(data).T, ddof=0), "over t"),
        (lambda data, t: np.cov(unit(data).T) / t, "not by N - 1"),
        (lambda data, t: np.cov(unit(data).T, ddof=0) / np.sqrt(t), "values differ"),
        (lambda data, t: np.diag(np.cov(unit(data).T, ddof=0)) / t, "shape"),
    ],
    "ld-small-values": [
        (lambda C, t: (C / t[:, None] > 0.5).sum(axis=1), "above one half"),
        (lambda C, t: (np.abs(1 - C / t[:, None]) < 1).sum(axis=1), "not one"),
        (lambda C, t: (np.abs(1 - C / t[:, None]) < 0.5).sum(), "shape"),
        (lambda C, t: (np.abs(1 - C / (C + t[:, None])) < 0.5).sum(axis=1), "values differ"),
    ],
    "ld-columns": [
        (lambda F, k: np.cos(angle_of_columns(F, k)), "cosine"),
        (lambda F, k: np.degrees(angle_of_columns(F, k)), "radians"),
        (lambda F, k: angle_of_columns(F, k + 1), "values differ"),
        (lambda F, k: [angle_of_columns(F, k)] * k, "shape"),
    ],
    "ld-alive": [
        (lambda x, data, t, variances: eigenvalues(x, data, t), "whiten first"),
        (
            lambda x, data, t, variances: eigenvalues(x, data, t, variances / (t + variances)) * t,
            "over t",
        ),
        (
            lambda x, data, t, variances: eigenvalues(x, data, t, variances),
            "not with the variances",
        ),
        (
            lambda x, data, t, variances: (
                eigenvalues(x, data, t, variances / (t + variances)) > 0.5
            ).sum(),
            "shape",
        ),
    ],
    "curved-circle": [
        (
            lambda x, R, t: R / np.sqrt(x @ x) * across(x) + t / 2 * np.outer(x, x) / (x @ x) ** 2,
            "small noise",
        ),
        (lambda x, R, t: R / np.sqrt(x @ x) * (1 - rho(x, R, t)) * across(x), "values differ"),
        (
            lambda x, R, t: R * rho(x, R, t) / np.sqrt(x @ x) * across(x),
            "across the circle is not 0",
        ),
        (lambda x, R, t: R * rho(x, R, t) / np.sqrt(x @ x), "shape"),
    ],
    "curved-tangent": [
        (
            lambda z, F: np.linalg.svd(F / np.cosh(F @ z)[:, None] ** 2, compute_uv=False),
            "square them",
        ),
        (lambda z, F: np.linalg.eigvalsh(F.T @ F)[::-1], "slope of tanh"),
        (
            lambda z, F: np.linalg.svd(np.tanh(F @ z)[:, None] * F, compute_uv=False) ** 2,
            "values differ",
        ),
        (
            lambda z, F: np.linalg.eigvalsh((F / np.cosh(F @ z)[:, None] ** 2).T @ F),
            "values differ",
        ),
        (lambda z, F: np.linalg.eigvalsh(F @ F.T), "shape"),
    ],
    "curved-local-exercise": [
        (lambda z, F, N: local_time(z, np.eye(len(z)), N), "volume factor is missing"),
        (lambda z, F, N: local_time(0 * z, F, N), "same everywhere"),
        (lambda z, F, N: local_time(z, F, N) * 2 * np.pi * np.e, "factor 1/"),
        (lambda z, F, N: local_time(z, F, 1 / N), "values differ"),
    ],
    "curved-importance": [
        (lambda x, y, log_ratio, t: weighted(x, y, 0 * log_ratio, t), "missing from the weights"),
        (lambda x, y, log_ratio, t: weighted(x, y, -log_ratio, t), "upside down"),
        (lambda x, y, log_ratio, t: weighted(x, y, log_ratio, t, power=1), "weights squared"),
        (lambda x, y, log_ratio, t: weighted(x, y, log_ratio, t)[::-1], "values differ"),
        (lambda x, y, log_ratio, t: weighted(x, y, log_ratio, t)[0], "shape"),
    ],
    "train-coefficients": [
        (lambda t, s: [s / (s + t), np.sqrt(s * t / (s + t)), (s + t) ** -0.5], "variance"),
        (lambda t, s: [s**2 / (s**2 + t), s**2 * t / (s**2 + t), 1 / (s**2 + t)], "take roots"),
        (
            lambda t, s: [s**2 / (s**2 + t), (s**2 + t) ** -0.5, s * np.sqrt(t / (s**2 + t))],
            "order is",
        ),
        (
            lambda t, s: [t / (s**2 + t), s * np.sqrt(t / (s**2 + t)), (s**2 + t) ** -0.5],
            "not the noise's",
        ),
        (lambda t, s: [s**2 / (s**2 + t), np.sqrt(t), (s**2 + t) ** -0.5], "values differ"),
    ],
    "train-strata": [
        (lambda u, low, high: np.exp(np.log(low) + u * np.log(high / low)), "not stratified"),
        (lambda u, low, high: low + (high - low) * strata(u), "stratified in t"),
        (lambda u, low, high: low * (high / low) ** strata(1 + u), "k runs from 0"),
        (lambda u, low, high: low * (high / low) ** strata(0.5 + 0 * u), "values differ"),
        (lambda u, low, high: strata(u) * np.log(high / low) + np.log(low), "values differ"),
    ],
    "train-memory": [
        (lambda steps, a: np.prod([(1 + k) / (10 + k) for k in range(steps)]), "minimum"),
        (lambda steps, a: a**steps, "constant share"),
        (
            lambda steps, a: np.prod([min(a, (1 + k) / (10 + k)) for k in range(steps + 1)]),
            "count from 0",
        ),
        (
            lambda steps, a: 1 - np.prod([min(a, (1 + k) / (10 + k)) for k in range(steps)]),
            "forgotten",
        ),
        (lambda steps, a: [min(a, (1 + k) / (10 + k)) for k in range(steps)], "shape"),
    ],
    "train-distance": [
        (
            lambda answer, x, y, t: (
                (gap(answer, x, y, t) ** 2).sum() / (gap(x, x, y, t) ** 2).sum()
            ),
            "take the root",
        ),
        (
            lambda answer, x, y, t: (
                np.linalg.norm(gap(answer, x, y, t)) / np.linalg.norm(gap(0 * x, x, y, t))
            ),
            "not |D|",
        ),
        (
            lambda answer, x, y, t: (
                np.linalg.norm(gap(answer, x, y, t), axis=1)
                / np.linalg.norm(gap(x, x, y, t), axis=1)
            ).mean(),
            "mean of ratios",
        ),
        (
            lambda answer, x, y, t: (
                np.linalg.norm(gap(answer, x, y, t / 2)) / np.linalg.norm(gap(x, x, y, t / 2))
            ),
            "t a variance",
        ),
        (lambda answer, x, y, t: np.linalg.norm(gap(answer, x, y, t)), "values differ"),
    ],
    "cap-copies": [
        (
            lambda made, fresh, data: (
                d1_d2(made, data) < np.quantile(d1_d2(made, data), 0.01)
            ).mean(),
            "generated",
        ),
        (
            lambda made, fresh, data: (d1_d2(made, data) < np.median(d1_d2(fresh, data))).mean(),
            "percentile is asked",
        ),
        (
            lambda made, fresh, data: (
                d1_d2(made, data) >= np.quantile(d1_d2(fresh, data), 0.01)
            ).mean(),
            "small",
        ),
        (lambda made, fresh, data: np.quantile(d1_d2(fresh, data), 0.01), "threshold"),
        (lambda made, fresh, data: (d1_d2(made, data) < 0.3).mean(), "values differ"),
    ],
    "cap-crossing": [
        (lambda N, share, level: np.interp(level, share[::-1], N[::-1]), "against ln N"),
        (lambda N, share, level: np.interp(level, share[::-1], np.log(N)[::-1]), "give N"),
        (lambda N, share, level: N[share < level][0], "next measured"),
        (lambda N, share, level: N[share > level][-1], "values differ"),
    ],
    "cap-exponent": [
        (
            lambda N, steps: [fits(N, steps).mean(), fits(N, steps).std(ddof=1)],
            "root of their number",
        ),
        (
            lambda N, steps: [fits(N, steps).mean(), fits(N, steps).std() / len(steps.T) ** 0.5],
            "ddof=1",
        ),
        (lambda N, steps: fits(N, steps).mean(), "shape"),
        (lambda N, steps: [fits(N, steps).mean(), 0.0], "values differ"),
    ],
    "copy-own-share": [
        (
            lambda answer, population, y: np.mean(
                np.einsum("ij,ij->i", answer - population, y - population)
                / np.linalg.norm(y - population, axis=1) ** 2
            ),
            "mean of the points' ratios",
        ),
        (
            lambda answer, population, y: (
                np.linalg.norm(answer - population) ** 2 / np.linalg.norm(y - population) ** 2
            ),
            "inner product",
        ),
        (lambda answer, population, y: answer - population, "shape"),
    ],
    "copy-onset": [
        (
            lambda steps, share, level: [
                steps[np.argmax(c >= level)] if c.max() >= level else 0 for c in share.T
            ],
            "not an interpolation",
        ),
        (lambda steps, share, level: steps[(share >= level).argmax(axis=0)], "values differ"),
        (lambda steps, share, level: np.full(share.shape[1], np.inf), "not finite"),
    ],
    "copy-border": [
        (
            lambda sigma, information, N, n: np.exp(
                np.interp(-np.log(N), -information, np.log(sigma))
            ),
            "held once",
        ),
        (
            lambda sigma, information, N, n: np.interp(-np.log(N / n), -information, sigma),
            "ln sigma",
        ),
        (lambda sigma, information, N, n: information - np.log(N / n), "shape"),
    ],
    "copy-lean": [
        (
            lambda made, own, other: np.mean(
                squared(made, own).mean(axis=1) < squared(made, other).mean(axis=1)
            ),
            "values differ",
        ),
        (
            lambda made, own, other: np.mean(squared(made, own)[:, 0] > squared(made, other)[:, 0]),
            "its own set",
        ),
        (lambda made, own, other: squared(made, own)[:, 0], "shape"),
    ],
    "cap-likeness": [
        (
            lambda a, b: [np.median((a * b).sum(1)), np.median((a * np.roll(b, -1, 0)).sum(1))],
            "both lengths",
        ),
        (lambda a, b: [cosines(a, b).mean(), cosines(a, np.roll(b, -1, 0)).mean()], "not the mean"),
        (
            lambda a, b: [np.median(cosines(a, b)), np.median(cosines(a, np.roll(b, 1, 0)))],
            "roll by -1",
        ),
        (
            lambda a, b: [np.median(cosines(a, np.roll(b, -1, 0))), np.median(cosines(a, b))],
            "order is",
        ),
        (lambda a, b: [np.median(cosines(a, b)), 0.0], "values differ"),
    ],
    "lvf-share": [
        (lambda gain, variance, t: gain / (1 - gain) * t / variance, "m is asked for"),
        (lambda gain, variance, t: 1 - gain / (1 - gain) * t**2 / variance, "variance* already"),
        (lambda gain, variance, t: 1 - gain / (1 - gain) * variance / t, "t over the variance"),
        (lambda gain, variance, t: 1 - gain * (1 + t / variance), "follows from the odds"),
        (lambda gain, variance, t: 1 - gain, "values differ"),
    ],
    "lvf-predict": [
        (
            lambda low_retention, low, high, t: effective(low_retention, high, low, t),
            "exchanged",
        ),
        (
            lambda low_retention, low, high, t: (
                effective(low_retention, low, high, t) / (1 + t / high)
            ),
            "divide it by",
        ),
        (lambda low_retention, low, high, t: effective(low_retention, low, 1e-9, t), "values"),
        (lambda low_retention, low, high, t: low_retention, "values differ"),
    ],
    "lvf-mixture": [
        (lambda shares, high, low, t: halved(shares.mean(), high, low, t), "not their shares"),
        (
            lambda shares, high, low, t: halved(1 - shares[:, None], high, low, t).mean(axis=0),
            "what is left",
        ),
        (
            lambda shares, high, low, t: halved(shares[:, None], low, high, t).mean(axis=0),
            "the order is",
        ),
        (
            lambda shares, high, low, t: np.median(halved(shares[:, None], high, low, t), axis=0),
            "values differ",
        ),
    ],
    "img-kept": [
        (
            lambda G, R, V: np.ones(V.shape[1]) * np.trace(V.T @ G @ V) / np.trace(V.T @ R @ V),
            "each is asked",
        ),
        (lambda G, R, V: np.diag(V.T @ R @ V) / np.diag(V.T @ G @ V), "upside down"),
        (lambda G, R, V: np.sqrt(((G @ V) ** 2).sum(0) / ((R @ V) ** 2).sum(0)), "along v"),
        (lambda G, R, V: np.diag(V.T @ G @ V), "divide by"),
        (lambda G, R, V: np.diag(V.T @ np.linalg.inv(R) @ G @ V), "values differ"),
    ],
    "img-trace": [
        (
            lambda product, v: [quadratic(product, v).mean(), quadratic(product, v).std(ddof=1)],
            "one probe",
        ),
        (
            lambda product, v: [
                quadratic(product, v).mean(),
                quadratic(product, v).std() / len(v) ** 0.5,
            ],
            "ddof=1",
        ),
        (lambda product, v: quadratic(product, v).mean(), "shape"),
        (
            lambda product, v: [sum(product(e)[i] for i, e in enumerate(np.eye(v.shape[1]))), 0.0],
            "values differ",
        ),
    ],
    "img-prominent": [
        (lambda made, fresh, data, k: np.mean(likes(made, fresh, data, pcs(data, k))), "leave out"),
        (lambda made, fresh, data, k: np.mean(likes(made, fresh, data)), "copies as a whole"),
        (
            lambda made, fresh, data, k: np.mean(
                likes(made, fresh, data) & ~likes(made, fresh, data, pcs(data, k))
            ),
            "other way round",
        ),
        (
            lambda made, fresh, data, k: np.mean(
                likes(made, fresh, data, np.eye(data.shape[1])[:, :k]) & ~likes(made, fresh, data)
            ),
            "first k coordinates",
        ),
        (
            lambda made, fresh, data, k: np.mean(likes(made, fresh, data, pcs(data, k + 1))),
            "values differ",
        ),
    ],
    "det-found": [
        (
            lambda seen, fresh, a: np.mean(seen > np.sort(seen)[int((1 - a) * len(seen))]),
            "values differ",
        ),
        (lambda seen, fresh, a: np.mean(seen > np.quantile(seen, 1 - a)), "quantile of the fresh"),
        (lambda seen, fresh, a: np.mean(seen > np.quantile(fresh, a)), "1 - accused"),
        (lambda seen, fresh, a: 1 - np.mean(seen > np.quantile(fresh, 1 - a)), "higher numbers"),
        (lambda seen, fresh, a: np.mean(fresh > np.quantile(fresh, 1 - a)), "fresh points accused"),
        (lambda seen, fresh, a: np.mean([s > f for s in seen for f in fresh]), "area under"),
    ],
    "det-flipd": [
        (lambda x, s2, t: np.ones(len(x)) * np.sum(1 / (1 + t / s2)), "tr G alone"),
        (lambda x, s2, t: np.sum(x**2 * t / (s2 + t) ** 2, axis=1), "add tr G"),
        (
            lambda x, s2, t: np.sum(1 / (1 + t / s2)) + np.sum(x**2 / (s2 + t) ** 2, axis=1),
            "not by t squared",
        ),
        (lambda x, s2, t: np.ones(len(x)) * np.sum(1 - (t / (s2 + t)) ** 2), "at each point"),
        (
            lambda x, s2, t: (
                np.sum(1 / (1 + t / s2)) + np.sum((x * s2 / (s2 + t)) ** 2 / t, axis=1)
            ),
            "not -g x",
        ),
        (lambda x, s2, t: np.sum(1 / (1 + t / s2)) + np.sum(x**2, axis=1), "values differ"),
    ],
    "clocks-other": [
        (lambda r, u, v: clocks_other(r, v, u), "exchanged"),
        (lambda r, u, v: r / (u + 1 - r * u), "share of labels"),
        (lambda r, u, v: clocks_other(r, u, v) / (1 + 1 / v), "population's"),
        (lambda r, u, v: r, "not equal"),
        (lambda r, u, v: clocks_other(r**2, u, v), "values differ"),
    ],
    "clocks-rate": [
        (lambda variances, t, kappa, level: -np.log(level) * (1 + variances / t) / kappa, "2 of"),
        (
            lambda variances, t, kappa, level: -np.log(level) * (1 + t / variances) / (2 * kappa),
            "lost later",
        ),
        (
            lambda variances, t, kappa, level: (
                -np.log1p(-level) * (1 + variances / t) / (2 * kappa)
            ),
            "not of the share learned",
        ),
        (lambda variances, t, kappa, level: -np.log(level) / (2 * kappa), "shape"),
    ],
    "clocks-border": [
        (lambda low, high, power: 1 - stored_share(low, high, power), "other share"),
        (lambda low, high, power: stored_share(low, high, -power), "-power"),
        (lambda low, high, power: stored_share(low, high, power, np.linspace), "log-uniform"),
        (lambda low, high, power: stored_share(low**2, high**2, power), "values differ"),
    ],
    "det-two": [
        (lambda y: 1 / two_nearest(y), "one over"),
        (lambda y: 0.0, "leave it out"),
        (lambda y: two_nearest(y) / 2, "squared distances"),
        (lambda y: np.mean(1 / np.log(second_over_first(y))), "average the logarithms"),
        (lambda y: np.mean(second_over_first(y)), "without the logarithm"),
        (lambda y: two_nearest(y) * (1 - 1 / len(y)), "values differ"),
    ],
    "det-own": [
        (lambda y, s2, t, N: 1 - own_weight(y, s2, t, N - 1), "all others"),
        (lambda y, s2, t, N: own_weight(y, s2, t, N), "N - 1"),
        (lambda y, s2, t, N: own_weight(y, s2, t, (N - 1) * np.exp(len(s2) / 2)), "noisy point"),
        (
            lambda y, s2, t, N: own_weight(y * ((s2 + t) / s2) ** 0.5, s2, t, N - 1),
            "divided by s_k",
        ),
        (lambda y, s2, t, N: (lambda p: p / (1 - p))(own_weight(y, s2, t, N - 1)), "ratio/"),
        (lambda y, s2, t, N: own_weight(y, s2, 2 * t, N - 1), "values differ"),
    ],
}


def solutions() -> dict[str, str]:
    return {m["label"]: m["code"] for m in SOLUTION.finditer(prose())}


def stubs() -> dict[str, str]:
    """Give the function's name that the notebook's cell hands to the check, by label."""
    code = "\n".join(
        c.source for path in chapters() for c in read(path).cells if c.cell_type == "code"
    )
    return dict(re.findall(r'^check\("(\S+)", (\w+)\)', code, re.M))


def test_every_exercise_has_solution_check_and_wrong_answers():
    texts = {m["label"]: m["text"] for m in EXERCISE.finditer(prose())}
    assert texts.keys() == EXERCISES.keys() == WRONG.keys() == solutions().keys() == stubs().keys()
    for label, text in texts.items():
        assert re.search(r"\*Difficulty [1-5] of 5, \d+ minutes\.\*", text), label
        assert ":class: hint dropdown" in text, label
    assert 3 <= len(texts)


@pytest.mark.parametrize("label", EXERCISES)
def test_the_solution_passes(label, capsys):
    namespace = {"np": np}
    exec(solutions()[label], namespace)
    answer = namespace[stubs()[label]]
    passed, message = grade(label, answer)
    assert passed, message
    check(label, answer)
    assert capsys.readouterr().out.startswith(f"✔ {label}")


@pytest.mark.parametrize("label", EXERCISES)
def test_the_blank_stub_is_told_to_return(label, capsys):
    def stub(*arguments): ...

    passed, message = grade(label, stub)
    assert not passed and "nothing returned yet" in message
    check(label, stub)
    assert capsys.readouterr().out.startswith(f"✘ {label}")


@pytest.mark.parametrize(
    ("label", "answer", "reason"), [(k, f, r) for k, v in WRONG.items() for f, r in v]
)
def test_wrong_answers_are_refused_for_the_right_reason(label, answer, reason):
    passed, message = grade(label, answer)
    assert not passed
    assert reason in message, message


@pytest.mark.parametrize("label", EXERCISES)
def test_each_known_mistake_is_recognised(label):
    assert len(EXERCISES[label].mistakes) >= 2
    for reason, mistake in EXERCISES[label].mistakes.items():
        passed, message = grade(label, mistake)
        assert not passed and reason in message, (reason, message)


def test_generic_differences_are_named():
    def needed(beta, v):
        return beta**2 * v / 2

    for answer, reason in (
        (lambda beta, v: -needed(beta, v), "wrong sign"),
        (lambda beta, v: needed(beta, v) + 1, "constant 1"),
        (lambda beta, v: np.sqrt(needed(beta, v)), "root"),
        (lambda beta, v: needed(beta, v) ** 2, "square"),
        (lambda beta, v: 1 / needed(beta, v), "inverse"),
        (lambda beta, v: needed(beta, v) * np.nan, "not finite"),
        (lambda beta, v: np.sin(needed(beta, v)), "values differ"),
        (lambda beta, v: undefined, "raised NameError"),  # noqa: F821
        (lambda beta, v: "words", "should return numbers"),
    ):
        passed, message = grade("rem-levels-needed", answer)
        assert not passed and reason in message, message


def test_answers_cannot_change_their_arguments():
    def cheat(beta, v):
        beta *= 0
        return beta

    assert not grade("rem-levels-needed", cheat).passed


def test_argument_names_are_free_and_the_example_shows_a_wrong_value():
    passed, message = grade("rem-levels-needed", lambda b, variance: b**2 * variance / 2)
    assert passed, message
    _, message = grade("rem-levels-needed", lambda b, v: np.r_[(b**2 * v / 2)[:-1], 7.0])
    assert "value 7, should be" in message


def test_bad_calls_are_explained():
    with pytest.raises(ValueError, match="label is 'rem-logz'; the nearest are rem-log-z, "):
        grade("rem-logz", print)
    with pytest.raises(ValueError, match=r"label is 'qqqq'; each exercise's text has its own"):
        grade("qqqq", print)
    with pytest.raises(ValueError, match="label is <built-in function print>"):
        grade(print, "rem-log-z")
    with pytest.raises(ValueError) as error:
        grade("REM-LOG", print)
    assert "rem-log-z" in str(error.value) and len(str(error.value)) < 150  # not all labels
    with pytest.raises(ValueError, match=r"answer is 3\.0; allowed is a function"):
        check("rem-log-z", 3.0)
