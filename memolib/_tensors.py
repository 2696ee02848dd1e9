"""Points and noise variances as float tensors: what every denoiser takes."""

import numpy as np
import torch

from memolib._validate import real_array


def as_points(name: str, value, d: int | None = None) -> torch.Tensor:
    """Give points of shape (n, d) as a finite tensor; NumPy becomes float64, float tensors keep
    dtype and device.

    A tensor comes back as it is, and so must not be written to or kept: what is kept is ``held``.
    """
    if not isinstance(value, torch.Tensor):
        value = _as_tensor(name, value)
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


def _as_tensor(name: str, value) -> torch.Tensor:
    """Give what is no tensor as one in float64, with numbers of its own: no negative strides, no
    other owner.
    """
    if np.ma.isMaskedArray(value):
        raise ValueError(
            f"{name} is a masked array; allowed are numbers that are all there: fill it, or drop rows"
        )
    array = value if isinstance(value, np.ndarray) else real_array(name, value)
    if np.iscomplexobj(array):
        raise ValueError(f"{name} is complex; allowed are real numbers")
    return torch.from_numpy(np.array(real_array(name, array)))


def held(name: str, value, d: int | None = None) -> torch.Tensor:
    """Give points to be kept: a copy, which nobody else can change, in single precision at
    least.
    """
    points = as_points(name, value, d)
    return points.clone() if points.dtype.itemsize > 2 else points.float()


def as_noise(t) -> float:
    """Check a noise variance: one finite number above 0."""
    value = _numbers(t)
    if value.ndim or not np.isfinite(value) or value <= 0:
        raise ValueError(f"t is {t}; allowed is one finite number above 0, a noise variance")
    return float(value)


def as_noises(t, x: torch.Tensor) -> float | torch.Tensor:
    """Check the noise variances of points: one number, or one for each as a tensor of shape (n,),
    in float64.
    """
    if isinstance(t, torch.Tensor) and not visible(
        (t > 0).all()
    ):  # inside a transform: a shape, and no values
        if t.shape not in ((), x.shape[:1]):
            raise ValueError(f"t has shape {tuple(t.shape)}; allowed are one number or ({len(x)},)")
        return t.expand(len(x))
    if not np.ndim(t):
        return as_noise(t)
    value = (
        torch.as_tensor(t, device=x.device)
        if isinstance(t, torch.Tensor)
        else torch.from_numpy(_numbers(t))
    )
    if value.shape != x.shape[:1]:
        raise ValueError(f"t has shape {tuple(value.shape)}; allowed are one number or ({len(x)},)")
    if not (torch.isfinite(value) & (value > 0)).all():
        worst = value[~(torch.isfinite(value) & (value > 0))][0]
        raise ValueError(
            f"t has an entry {float(worst):g}; allowed are finite numbers above 0, noise variances"
        )
    return value.to(x.device, torch.float64)


def each_noise(t: float | torch.Tensor, x: torch.Tensor) -> float | torch.Tensor:
    """Give noise variances so that they divide points: of shape (n, 1) where there is one for
    each.
    """
    return t.to(x)[:, None] if isinstance(t, torch.Tensor) else t


def visible(value: torch.Tensor) -> bool:
    """Tell whether a tensor's value can be looked at: inside ``torch.func.vmap`` there is none."""
    try:
        bool(value)
    except RuntimeError:
        return False
    return True


def _numbers(t) -> np.ndarray:
    try:
        array = np.asarray(t.detach().cpu() if isinstance(t, torch.Tensor) else t)
        if array.dtype.kind not in "iuf":
            raise TypeError(array.dtype)
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"t is {t!r}; allowed are finite numbers above 0, noise variances"
        ) from None
