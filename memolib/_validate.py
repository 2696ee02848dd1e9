"""Bad input is refused with the argument's name, its value and what is allowed."""

from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import numpy as np

ArrayLike = float | Sequence[Any] | np.ndarray
Seed = int | Sequence[int] | np.random.Generator | None


def shown(value: object) -> str:
    """Give a value's text for a message, on one line, whatever the value and however long."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an object's own fault, or a number of more digits than Python prints
        text = f"of type {type(value).__name__}"
    return text if len(text) <= 500 else text[:500] + "..."


def real_array(
    name: str,
    value: Any,
    *,
    minimum: float = -np.inf,
    strict: bool = False,
) -> np.ndarray:
    """Give ``value`` as float64, its elements finite and at least (``strict``: above) ``minimum``.

    Masked and complex numbers and dates are refused, since a conversion would drop a part of them;
    a tensor's gradients are not followed.
    """
    allowed = "finite numbers"
    if minimum > -np.inf:
        allowed += f" {'above' if strict else 'not below'} {minimum:g}"
    if getattr(value, "requires_grad", False):
        value = value.detach()
    try:
        raw = np.asarray(value)
        if _is_masked(value) or _is_not_real(raw):
            raise TypeError
        with np.errstate(all="ignore"):  # a number too large for float64 becomes inf: refused below
            array = np.asarray(raw, dtype=np.float64)
    except Exception:  # whatever an object's own conversion raises
        raise ValueError(f"{name} is {shown(value)}; allowed are {allowed}") from None
    bad = ~np.isfinite(array) | (array <= minimum if strict else array < minimum)
    if bad.any():
        raise ValueError(f"{name} is {array[bad].flat[0]}; allowed are {allowed}")
    return array


def _is_masked(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_is_masked(element) for element in value)
    return isinstance(value, np.ma.MaskedArray)


def _is_not_real(raw: np.ndarray) -> bool:
    if raw.dtype == object:  # elements of several kinds
        return any(np.iscomplexobj(element) or _is_masked(element) for element in raw.flat)
    return raw.dtype.kind in "cmMV"


def real(name: str, value: Any, *, minimum: float = -np.inf, strict: bool = False) -> float:
    """Give ``value`` as one finite float, at least (``strict``: above) ``minimum``."""
    array = real_array(name, value, minimum=minimum, strict=strict)
    if array.ndim:
        raise ValueError(f"{name} has shape {array.shape}; allowed is one number")
    return float(array)


def count(name: str, value: Any, *, minimum: int = 1, maximum: float = np.inf) -> int:
    """Give ``value`` as a whole number from ``minimum`` to ``maximum``."""
    allowed = f"whole numbers from {minimum}" + (f" to {maximum:.0f}" if maximum < np.inf else "")
    number = real(name, value)
    if number != int(number) or not minimum <= number <= maximum:
        raise ValueError(f"{name} is {value}; allowed are {allowed}")
    return int(number)


def flag(name: str, value: Any) -> bool:
    """Give ``value`` as a bool, which it must be."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} is {shown(value)}; allowed are True and False")
    return bool(value)


def generator(seed: Any, purpose: str) -> np.random.Generator:
    """Give the random numbers that ``seed`` starts for one purpose.

    The purpose is the name of the function that draws: data and noise of equal seeds are not the
    same numbers. A ``Generator`` is given back as it is.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    try:
        if isinstance(
            seed, (str, np.random.BitGenerator, np.random.SeedSequence)
        ):  # NumPy would take "12"
            raise TypeError
        return np.random.default_rng(
            np.random.SeedSequence(seed, spawn_key=(crc32(purpose.encode()),))
        )
    except Exception:  # whatever an object's own conversion raises
        raise ValueError(
            f"seed is {shown(seed)}; allowed are whole numbers from 0, sequences of them, "
            "None and a numpy.random.Generator"
        ) from None


def drawn(draw: Callable[[tuple[int, ...]], np.ndarray], **sizes: int) -> np.ndarray:
    """Draw an array of the shape that ``sizes`` give; what does not fit into memory is refused."""
    try:
        return draw(tuple(sizes.values()))
    except (MemoryError, OverflowError, ValueError):
        given = ", ".join(f"{name} is {size:g}" for name, size in sizes.items())
        raise ValueError(f"{given}; allowed are arrays that fit into memory") from None


def broadcast_shape(**arrays: np.ndarray) -> tuple[int, ...]:
    """Give the common shape of arrays, which are named where they have none."""
    try:
        return np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except (ValueError, RuntimeError):
        given = " and ".join(f"{name} has shape {array.shape}" for name, array in arrays.items())
        raise ValueError(f"{given}; allowed are shapes that broadcast, of up to 32 axes") from None


def finite(result: Any, **arguments: Any) -> Any:
    """Give ``result``; where it is beyond the range of floats the arguments are refused.

    It stands behind all else: arguments that are good one by one may be too large or too small
    together.
    """
    if np.isfinite(result).all():
        return result
    given = []
    for name, value in arguments.items():
        array = np.asarray(value)
        ends = f"{array.min():g}" if array.size == 1 else f"from {array.min():g} to {array.max():g}"
        given.append(f"{name} is {ends}")
    allowed = "numbers whose result is within the range of floats"
    raise ValueError(f"{', '.join(given)}; allowed are {allowed}")


def check_mixture(
    means: Any,
    variances: Any,
    weights: Any,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give a Gaussian mixture's means (K, d), variances (K, d) and weights (K,) as float64."""
    means = real_array("means", means)
    if means.ndim != 2 or 0 in means.shape:
        allowed = "(K, d) with K and d at least 1"
        raise ValueError(f"means has shape {means.shape}; allowed is {allowed}")
    variances = real_array("variances", variances, minimum=0)
    if variances.shape not in (means.shape, means.shape[1:]):
        allowed = f"{means.shape} or {means.shape[1:]}"
        raise ValueError(f"variances has shape {variances.shape}; allowed are {allowed}")
    weights = real_array("weights", weights, minimum=0, strict=True)
    with np.errstate(over="ignore"):
        total = weights.sum()
    if weights.shape != means.shape[:1] or abs(total - 1) > 1e-9:
        given = f"shape {weights.shape} and sum {total:.9g}"
        raise ValueError(f"weights has {given}; allowed is {means.shape[:1]} with sum 1")
    return means, np.broadcast_to(variances, means.shape), weights
