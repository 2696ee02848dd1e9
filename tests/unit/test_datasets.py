import numpy as np

from memolib import datasets


def test_digits_are_real_scaled_and_labelled():
    digits = datasets.digits()
    assert digits.x.shape == (1797, 64) and digits.x.dtype == np.float64 and digits.shape == (8, 8)
    assert digits.x.min() == 0 and digits.x.max() == 1
    assert np.array_equal(digits.x * 16, np.rint(digits.x * 16))  # the files' whole grey levels
    assert np.array_equal(np.unique(digits.labels), np.arange(10))
    # images of one class are closer to their own mean than to that of another, so labels belong to images
    means = np.array([digits.x[digits.labels == c].mean(axis=0) for c in range(10)])
    nearest = ((digits.x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == digits.labels) > 0.85
