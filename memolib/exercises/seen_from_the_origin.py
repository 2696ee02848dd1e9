"""Checks for the chapter ``manifold/seen_from_the_origin``."""

import numpy as np

from memolib.exercises._grading import Exercise


def _centre(data, t, centre=True, normalise=True):
    y = data / np.linalg.norm(data, axis=1, keepdims=True) if normalise else data
    y = y - y.mean(axis=0) if centre else y
    return y.T @ y / len(y) / t


def _small(C, t, limit=0.5):
    return (np.abs(1 - C / np.asarray(t)[:, None]) < limit).sum(axis=1)


def _cosines(F, k, orthonormal=True):
    leading = np.linalg.svd(F)[0][:, :k]
    basis = np.linalg.qr(F[:, :k])[0] if orthonormal else F[:, :k]
    return np.linalg.svd(leading.T @ basis, compute_uv=False).clip(max=1)


EXERCISES = {
    "ld-from-centre": Exercise(
        _centre,
        lambda rng: {
            "data": rng.standard_normal((rng.integers(6, 12), rng.integers(2, 6))),
            "t": float(rng.uniform(0.05, 0.8)),
        },
        {
            "the mean of a finite data set is not zero: subtract it.": lambda data, t: _centre(
                data, t, centre=False
            ),
            "divide each point by its norm first.": lambda data, t: _centre(
                data, t, normalise=False
            ),
            "this is the covariance; the Jacobian is the covariance over t.": lambda data, t: (
                t * _centre(data, t)
            ),
            "the covariance divides by N here, not by N - 1.": lambda data, t: (
                _centre(data, t) * len(data) / (len(data) - 1)
            ),
        },
    ),
    "ld-small-values": Exercise(
        _small,
        lambda rng: {
            "C": rng.dirichlet(np.ones(rng.integers(4, 9))),
            "t": np.geomspace(0.01, 1, rng.integers(12, 20)),
        },
        {
            "count |1 - C/t| below one half, not C/t above one half.": lambda C, t: (
                C / t[:, None] > 0.5
            ).sum(axis=1),
            "the limit is one half, not one.": lambda C, t: _small(C, t, limit=1),
            "these are the lost ones; count the small values.": lambda C, t: len(C) - _small(C, t),
        },
    ),
    "ld-columns": Exercise(
        lambda F, k: np.arccos(_cosines(F, k).min()),
        lambda rng: {
            "F": rng.standard_normal((rng.integers(6, 9), 5)) * [2, 2, 0.7, 0.7, 0.7],
            "k": 2,
        },
        {
            "this is the smallest angle; the largest has the smallest cosine.": lambda F, k: (
                np.arccos(_cosines(F, k).max())
            ),
            "this is the cosine, not the angle.": lambda F, k: _cosines(F, k).min(),
            "the answer is in radians.": lambda F, k: np.degrees(np.arccos(_cosines(F, k).min())),
            "the columns are not orthonormal: take an orthonormal basis of their span.": (
                lambda F, k: np.arccos(_cosines(F, k, orthonormal=False).min())
            ),
        },
    ),
}
