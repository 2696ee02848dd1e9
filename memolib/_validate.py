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
