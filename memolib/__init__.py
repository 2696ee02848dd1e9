"""The helper package of *Losing Dimensions*, a book on memorization in generative diffusion.

One convention runs through everything: t is always a noise *variance*, and a set of N data points
seen through noise t is a system of N energy levels at temperature t. One idea runs through
everything: all are denoisers.

What a researcher needs stands here, as ``memolib.spectrum`` or ``memolib.copies``, and is loaded
when it is first used: ``import memolib`` itself, ``memolib.theory`` and ``memolib.rem`` load no
torch. The core needs NumPy, SciPy, torch, tqdm and safetensors; figures and data sets need the
extra ``book``, data in shards the extra ``cluster``, and they say so where it is missing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("losing-dimensions")

_HOMES = {  # module: names that it lends
    "cluster": ("Sharded",),
    "checkpoints": ("load", "save"),
    "denoisers": ("Denoiser",),
    "dimension": ("flipd", "normal_bundle_dimension"),
    "empirical": ("Empirical",),
    "foreign": ("as_denoiser",),
    "manifolds": (
        "ChartManifold",
        "GaussianMixture",
        "HiddenManifold",
        "LinearManifold",
        "SphereManifold",
    ),
    "memorization": ("copies", "nearest_ratio", "pointwise_information", "profile"),
    "networks": ("NetworkDenoiser", "ResidualMLP", "UNet"),
    "points": ("add_noise",),
    "sampling": ("probability_flow", "reverse_sde", "sample"),
    "spectra": ("alive", "jacobian", "leading", "normal_bundle", "retention", "spectrum"),
    "training": ("train",),
}
_NAMES = {name: (home, name) for home, names in _HOMES.items() for name in names}
_NAMES["effective_dimension"] = ("dimension", "effective")
_MODULES = (
    *_HOMES,
    "datasets",
    "exercises",
    "explore",
    "plots",
    "rem",
    "results",
    "sweeps",
    "theory",
)

__all__ = ["__version__", *sorted(_NAMES), *sorted(_MODULES)]


def __getattr__(name: str) -> Any:
    """Load what is asked for (PEP 562)."""
    if name in _NAMES:
        home, inside = _NAMES[name]
        return getattr(import_module(f"memolib.{home}"), inside)
    if name in _MODULES:
        return import_module(f"memolib.{name}")
    raise AttributeError(f"module 'memolib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
