"""Points and noise variances as float tensors: what every denoiser takes."""

from typing import Any

import numpy as np
import torch

from memolib._validate import real_array, shown


def as_points(name: str, value: Any, d: int | None = None) -> torch.Tensor:
    """Give points of shape (n, d) as a finite tensor.

    NumPy becomes float64, float tensors keep dtype and device. A tensor comes back as it is, and so
    must not be written to or kept: what is kept is ``held``.
    """
    if not isinstance(value, torch.Tensor):
        value = torch.from_numpy(np.array(real_array(name, value)))  # a copy: no negative strides
    if value.is_complex():
        raise ValueError(f"{name} is complex; allowed are real numbers")
    if not value.is_floating_point():
        value = value.to(torch.float64)
    if value.ndim != 2 or 0 in value.shape or (d is not None and value.shape[1] != d):
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}; allowed is (n, {d or 'd'}) with n at least 1"
        )
    if visible(finite := torch.isfinite(value).all()) and not finite:
        raise ValueError(f"{name} is not finite everywhere; allowed are finite numbers")
    return value


def held(name: str, value: Any, d: int | None = None) -> torch.Tensor:
    """Give points to be kept: a copy that nobody else can change, in single precision at least."""
    points = as_points(name, value, d)
    return points.clone() if points.dtype.itemsize > 2 else points.float()


def as_noise(t: Any) -> float:
    """Check a noise variance: one finite number above 0."""
    value = _numbers(t)
    if value.ndim or not np.isfinite(value) or value <= 0:
        raise ValueError(f"t is {shown(t)}; allowed is one finite number above 0, a noise variance")
    return float(value)


def as_noises(t: Any, x: torch.Tensor) -> float | torch.Tensor:
    """Check noise variances of points: one number, or a tensor of one for each, float64."""
    if isinstance(t, torch.Tensor) and not visible(torch.isfinite(t).all()):
        if t.shape not in ((), x.shape[:1]):  # inside a transform there is a shape, and no values
            raise _wrong_shape(t, x)
        return t.expand(len(x))
    values = _numbers(t)
    if not values.ndim:
        return as_noise(t)
    if values.shape != x.shape[:1]:
        raise _wrong_shape(values, x)
    bad = ~np.isfinite(values) | (values <= 0)
    if bad.any():
        allowed = "finite numbers above 0, noise variances"
        raise ValueError(f"t has an entry {values[bad][0]:g}; allowed are {allowed}")
    return torch.from_numpy(values).to(x.device)


def each_noise(t: float | torch.Tensor, x: torch.Tensor) -> float | torch.Tensor:
    """Give noise variances as they divide points: of shape (n, 1) where each has its own."""
    return t.to(x)[:, None] if isinstance(t, torch.Tensor) else t


def visible(value: torch.Tensor) -> bool:
    """Tell whether a tensor's value can be looked at: inside ``torch.func.vmap`` there is none."""
    try:
        bool(value)
    except RuntimeError:
        return False
    return True


def _wrong_shape(t: torch.Tensor | np.ndarray, x: torch.Tensor) -> ValueError:
    return ValueError(f"t has shape {tuple(t.shape)}; allowed are one number or ({len(x)},)")


def _numbers(t: Any) -> np.ndarray:
    """Give real numbers as float64, of a shape and with values that are not checked here."""
    try:
        if isinstance(t, torch.Tensor):
            t = t.detach().cpu()
            t = (t.double() if t.is_floating_point() else t).numpy()  # NumPy has no bfloat16
        array = np.asarray(t)
        if array.dtype.kind not in "iuf" or np.ma.isMaskedArray(t):
            raise TypeError(array.dtype)
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"t is {shown(t)}; allowed are finite numbers above 0, noise variances"
        ) from None
