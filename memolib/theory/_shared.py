"""Argument checks, formulas for any scale and the root finder that these modules share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

from memolib._validate import ArrayLike, finite, real, real_array

FloatArray = np.ndarray
SMALLEST = np.log(np.finfo(float).tiny)
LARGEST = np.log(np.finfo(float).max)


class Estimate(NamedTuple):
    """What an average over random draws gives, and how far off it may be.

    Attributes:
        value: the average, a number or an array.
        error: its standard error, of the same shape and unit.
    """

    value: FloatArray | float
    error: FloatArray | float


def check_variances(variances: ArrayLike) -> FloatArray:
    """Give variances as float64 of shape (d,), none below 0."""
    s2 = real_array("variances", variances, minimum=0)
    if s2.ndim != 1 or not s2.size:
        raise ValueError(f"variances has shape {s2.shape}; allowed is (d,) with d at least 1")
    return s2


def check_points(name: str, x: ArrayLike, s2: FloatArray) -> FloatArray:
    """Give points as float64 of shape (..., d)."""
    x = real_array(name, x)
    if x.ndim == 0 or x.shape[-1] != s2.size:
        allowed = f"(..., {s2.size}), as many coordinates as variances"
        raise ValueError(f"{name} has shape {x.shape}; allowed is {allowed}")
    return x


def check_point(name: str, x: ArrayLike, s2: FloatArray) -> FloatArray:
    """Give one point as float64 of shape (d,)."""
    x = check_points(name, x, s2)
    if x.ndim != 1:
        raise ValueError(f"{name} has shape {x.shape}; allowed is one point of shape ({s2.size},)")
    return x


def check_noise(t: ArrayLike) -> FloatArray:
    """Give noise variances as float64, above 0."""
    return real_array("t", t, minimum=0, strict=True)


def check_one_noise(t: float) -> np.float64:
    """Give one noise variance, above 0; a NumPy number, whose overflow is no exception."""
    return np.float64(real("t", t, minimum=0, strict=True))


def check_size(N: float, *, strict: bool = False) -> float:
    """Give a number of data points, at least (``strict``: above) 1."""
    return real("N", N, minimum=1, strict=strict)


def log_one_plus(s2: FloatArray, t: Any) -> FloatArray:
    """``ln(1 + s^2/t)``, also where the quotient overflows; under ``errstate``."""
    u = s2 / t
    return np.where(np.isfinite(u), np.log1p(u), np.log(s2) - np.log(t))


def share(s2: FloatArray, t: Any) -> FloatArray:
    """``s^2/(t + s^2)``, also where the sum overflows; under ``errstate``."""
    return 1 / (1 + t / s2)


def length(s2: FloatArray, t: Any) -> FloatArray:
    """``sqrt(t + s^2)``, also where the sum overflows."""
    return np.hypot(np.sqrt(t), np.sqrt(s2))


def root(function: Callable[[float], float], low: float, high: float, xtol: float) -> float:
    """Give the root between two arguments, also where the function is infinite at one of them."""

    def bounded(argument: float) -> float:
        return float(np.clip(function(argument), -1e6, 1e6))

    return brentq(bounded, low, high, xtol=xtol, maxiter=1_000)


def root_in_log_t(
    decreasing: Callable[[float], float],
    s2: FloatArray,
    **arguments: Any,
) -> float:
    """Give the t where a function of t that falls from above to below 0 vanishes.

    It is bracketed, so it is found. 0 where that t is less than the smallest number; where it is
    above the largest one, ``arguments`` are refused.
    """
    low = np.log(s2[s2 > 0].min())
    high = min(np.log(s2.max()), LARGEST)
    while decreasing(np.exp(low)) < 0:
        low -= 5
        if low < SMALLEST:
            return 0.0
    while decreasing(np.exp(high)) > 0:
        if high == LARGEST:
            finite(np.inf, **arguments)
        high = min(high + 5, LARGEST)
    return float(np.exp(root(lambda log_t: decreasing(np.exp(log_t)), low, high, xtol=1e-13)))
