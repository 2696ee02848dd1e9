"""Points and noise variances as float tensors: what every denoiser takes."""

import numpy as np
import torch

from memolib._validate import real_array


def as_points(name: str, value, d: int | None = None) -> torch.Tensor:
    """Give points of shape (n, d) as a finite tensor; NumPy becomes float64, float tensors keep dtype and device."""
    if not isinstance(value, torch.Tensor):
        value = torch.from_numpy(real_array(name, value))
    if not value.is_floating_point():
        value = value.to(torch.float64)
    if value.ndim != 2 or value.shape[0] == 0 or value.shape[1] == 0 or (d is not None and value.shape[1] != d):
        raise ValueError(f"{name} has shape {tuple(value.shape)}; allowed is (n, {d or 'd'}) with n at least 1")
    if not torch.isfinite(value).all():
        raise ValueError(f"{name} is not finite everywhere; allowed are finite numbers")
    return value


def as_noise(t) -> float:
    """Check a noise variance: one finite number above 0."""
    value = np.asarray(t.detach().cpu() if isinstance(t, torch.Tensor) else t, dtype=np.float64)
    if value.ndim or not np.isfinite(value) or value <= 0:
        raise ValueError(f"t is {t}; allowed is one finite number above 0, a noise variance")
    return float(value)
