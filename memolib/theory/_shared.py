"""Argument checks and the root finder that the modules of ``memolib.theory`` share."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from memolib._validate import real_array

FloatArray = np.ndarray
SMALLEST = np.log(np.finfo(float).tiny)


def check_variances(variances) -> FloatArray:
    s2 = real_array("variances", variances, minimum=0)
    if s2.ndim != 1 or not s2.size:
        raise ValueError(f"variances has shape {s2.shape}; allowed is (d,) with d at least 1")
    return s2


def check_points(name: str, x, s2: FloatArray) -> FloatArray:
    x = real_array(name, x)
    if x.ndim == 0 or x.shape[-1] != s2.size:
        raise ValueError(f"{name} has shape {x.shape}; allowed is (..., {s2.size}), as many coordinates as variances")
    return x


def check_noise(t) -> FloatArray:
    return real_array("t", t, minimum=0, strict=True)


def root_in_log_t(decreasing: Callable[[float], float], s2: FloatArray) -> float:
    """Give the t where a function of t that falls from above to below 0 vanishes: it is bracketed, so it is found.

    0 where that t is less than the smallest number.
    """
    low, high = np.log(s2[s2 > 0].min()), np.log(s2.max())
    while decreasing(np.exp(low)) < 0:
        low -= 5
        if low < SMALLEST:
            return 0.0
    while decreasing(np.exp(high)) > 0:
        high += 5
    return float(np.exp(brentq(lambda log_t: decreasing(np.exp(log_t)), low, high, xtol=1e-13)))
