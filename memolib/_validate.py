"""Bad input is refused with the argument's name, its value and what is allowed."""

import numpy as np


def real_array(name: str, value, *, minimum: float = -np.inf, strict: bool = False) -> np.ndarray:
    """Give ``value`` as a float64 array whose elements are finite and at least (``strict``: above) ``minimum``."""
    allowed = "finite numbers"
    if minimum > -np.inf:
        allowed += f" {'above' if strict else 'not below'} {minimum:g}"
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; allowed are {allowed}") from None
    bad = ~np.isfinite(array) | (array <= minimum if strict else array < minimum)
    if bad.any():
        raise ValueError(f"{name} is {array[bad].flat[0]}; allowed are {allowed}")
    return array


def real(name: str, value, *, minimum: float = -np.inf, strict: bool = False) -> float:
    """Give ``value`` as one finite float, at least (``strict``: above) ``minimum``."""
    array = real_array(name, value, minimum=minimum, strict=strict)
    if array.ndim:
        raise ValueError(f"{name} has shape {array.shape}; allowed is one number")
    return float(array)


def count(name: str, value, *, minimum: int = 1, maximum: float = np.inf) -> int:
    """Give ``value`` as a whole number from ``minimum`` to ``maximum``."""
    allowed = f"whole numbers from {minimum}" + (f" to {maximum:.0f}" if maximum < np.inf else "")
    number = real(name, value)
    if number != int(number) or not minimum <= number <= maximum:
        raise ValueError(f"{name} is {value}; allowed are {allowed}")
    return int(number)


def check_mixture(means, variances, weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the parts of a Gaussian mixture as float64: means (K, d), variances (K, d) and weights (K,)."""
    means = real_array("means", means)
    if means.ndim != 2 or 0 in means.shape:
        raise ValueError(f"means has shape {means.shape}; allowed is (K, d) with K and d at least 1")
    variances = real_array("variances", variances, minimum=0)
    if variances.shape not in (means.shape, means.shape[1:]):
        raise ValueError(f"variances has shape {variances.shape}; allowed are {means.shape} or {means.shape[1:]}")
    weights = real_array("weights", weights, minimum=0, strict=True)
    if weights.shape != means.shape[:1] or abs(weights.sum() - 1) > 1e-9:
        raise ValueError(
            f"weights has shape {weights.shape} and sum {weights.sum():.9g}; allowed is {means.shape[:1]} with sum 1"
        )
    return means, np.broadcast_to(variances, means.shape), weights
