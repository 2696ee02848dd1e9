"""Checks for the chapter ``networks/images``."""

import numpy as np

from memolib.exercises._grading import Exercise


def _kept(G, reference, V):
    part, whole = ((V * (m @ V)).sum(axis=0) for m in (G, reference))
    return part / whole


def _trace(product, probes):
    values = np.array([v @ product(v) for v in probes])
    return np.array([values.mean(), values.std(ddof=1) / len(values) ** 0.5])


def _copies(x, fresh, data):
    def ratio(v):
        away = np.sort(np.linalg.norm(v[:, None] - data, axis=2), axis=1)
        return away[:, 0] / away[:, 1]

    return ratio(x) < np.quantile(ratio(fresh), 0.01)


def _axes(data, k):
    return np.linalg.svd(data - data.mean(axis=0), full_matrices=False)[2][:k].T


def _prominent(made, fresh, data, k, keep=lambda prominent, whole: prominent & ~whole):
    P = _axes(data, k)
    return np.mean(keep(_copies(made @ P, fresh @ P, data @ P), _copies(made, fresh, data)))


def _jacobians(rng: np.random.Generator) -> dict:
    d, k = int(rng.integers(5, 8)), int(rng.integers(2, 4))
    G, reference = (m @ m.T / d + 0.3 * np.eye(d) for m in rng.standard_normal((2, d, d)))
    G += 0.3 * rng.standard_normal((d, d))
    return {"G": G, "reference": reference, "V": np.linalg.qr(rng.standard_normal((d, k)))[0]}


def _signs(rng: np.random.Generator) -> dict:
    d, K = int(rng.integers(4, 9)), int(rng.integers(5, 12))
    G = rng.standard_normal((d, d))
    return {"product": lambda v: G @ v, "probes": rng.choice([-1.0, 1.0], size=(K, d))}


def _images(rng: np.random.Generator) -> dict:
    d, k = 6, int(rng.integers(2, 4))
    scales = np.r_[3 * np.ones(k), np.ones(d - k)]
    data = rng.standard_normal((12, d)) * scales
    fresh = rng.standard_normal((150, d)) * scales
    P = _axes(data, k) @ _axes(data, k).T
    part = data[rng.integers(12, size=20)] @ P + (rng.standard_normal((20, d)) * scales) @ (
        np.eye(d) - P
    )
    whole = data[rng.integers(12, size=10)] + 0.02 * rng.standard_normal((10, d))
    return {
        "made": np.concatenate([part, whole, fresh[:7] + 0.5]),
        "fresh": fresh,
        "data": data,
        "k": k,
    }


EXERCISES = {
    "img-kept": Exercise(
        _kept,
        _jacobians,
        {
            (
                "this is the ratio of the traces over all directions; one number "
                "for each is asked for."
            ): (
                lambda G, reference, V: np.full(
                    V.shape[1], np.trace(V.T @ G @ V) / np.trace(V.T @ reference @ V)
                )
            ),
            "the ratio is upside down.": lambda G, reference, V: 1 / _kept(G, reference, V),
            "this is |Gv|/|G_ref v|: take the component along v.": lambda G, reference, V: (
                np.linalg.norm(G @ V, axis=0) / np.linalg.norm(reference @ V, axis=0)
            ),
            "divide by the reference's answer along the same direction.": lambda G, reference, V: (
                V * (G @ V)
            ).sum(axis=0),
        },
    ),
    "img-trace": Exercise(
        _trace,
        _signs,
        {
            (
                "this is the standard deviation of one probe; that of the mean is "
                "smaller by the root of their number."
            ): (lambda product, probes: _trace(product, probes) * [1, len(probes) ** 0.5]),
            "standard deviation with ddof=1: the mean was estimated from the same probes.": (
                lambda product, probes: _trace(product, probes) * [1, (1 - 1 / len(probes)) ** 0.5]
            ),
            "v'Gv needs no division by d: the signs have square 1.": lambda product, probes: (
                _trace(product, probes) / probes.shape[1]
            ),
            "this is the sum over the probes; their mean is asked for.": lambda product, probes: (
                _trace(product, probes) * len(probes)
            ),
        },
    ),
    "img-prominent": Exercise(
        _prominent,
        _images,
        {
            (
                "these are all copies in the prominent components; leave out those "
                "that are copies as a whole."
            ): (
                lambda made, fresh, data, k: _prominent(
                    made, fresh, data, k, lambda prominent, whole: prominent
                )
            ),
            "these are the copies as a whole.": lambda made, fresh, data, k: _prominent(
                made, fresh, data, k, lambda prominent, whole: whole
            ),
            "the other way round: copies as a whole that are none in the prominent components.": (
                lambda made, fresh, data, k: _prominent(
                    made, fresh, data, k, lambda prominent, whole: whole & ~prominent
                )
            ),
            (
                "these are the first k coordinates, not the principal components."
            ): lambda made, fresh, data, k: np.mean(
                _copies(made[:, :k], fresh[:, :k], data[:, :k]) & ~_copies(made, fresh, data)
            ),
            "the threshold in the components is that of fresh images in the components.": (
                lambda made, fresh, data, k: np.mean(
                    (
                        _ratio(made @ _axes(data, k), data @ _axes(data, k))
                        < np.quantile(_ratio(fresh, data), 0.01)
                    )
                    & ~_copies(made, fresh, data)
                )
            ),
        },
    ),
}


def _ratio(x, data):
    away = np.sort(np.linalg.norm(x[:, None] - data, axis=2), axis=1)
    return away[:, 0] / away[:, 1]
