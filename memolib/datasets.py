"""Real data sets as arrays."""

from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits


class Images(NamedTuple):
    """A set of N images.

    Attributes:
        x: float64, shape (N, d), one flattened image a row.
        labels: int64, shape (N,), the class of each image.
        shape: of one image, so that ``x[i].reshape(shape)`` can be shown.
    """

    x: np.ndarray
    labels: np.ndarray
    shape: tuple[int, ...]


def digits() -> Images:
    """scikit-learn's 1,797 handwritten digits of 8x8 pixels; nothing is downloaded.

    The files hold whole grey levels from 0 to 16 (the count of ink dots in a 4x4 square of the original scan);
    ``x`` is that count divided by 16, so one unit is a fully inked pixel, and noise variances t are in units
    of (fully inked pixel)^2, that is 256 squared grey levels.

    Returns:
        Images with x of shape (1797, 64), values 0 to 1, and labels 0 to 9.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), test part. First used in
    the chapter ``glass/random_energy_model``.
    """
    raw = load_digits()
    return Images(raw.data / 16, raw.target.astype(np.int64), (8, 8))
