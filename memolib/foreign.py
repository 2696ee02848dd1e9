"""The one door for other people's models: ``as_denoiser`` understands them or refuses them.

Every public function passes what it is given through it, so that nothing behind it has to be
careful.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch.func import jvp, vjp

from memolib._tensors import as_noises, as_points, each_noise, visible
from memolib._validate import count, real_array
from memolib.denoisers import HALF, Denoiser, Model, TensorLike
from memolib.points import gaussian

PREDICTS = ("data", "noise", "velocity", "score")
TIMES = ("variance", "sigma", "step")
TIMES_AS = ("number", "scalar", "each")
# Of finite differences, in units of sqrt(t): for models that vary faster than noise.
KICKS = (2e-2, 2e-3, 2e-4, 2e-5)
BETTER = 0.97  # another convention fits where its error is this part of the stated one's,
SURE = 4.0  # by as many standard errors

# Of models that came without a convention: each is tried once.
_records: WeakKeyDictionary = WeakKeyDictionary()


def as_denoiser(
    model: Model,
    *,
    d: int | None = None,
    predicts: str = "data",
    time: str = "variance",
    time_as: str = "number",
    schedule: TensorLike | None = None,
    shape: tuple[int, ...] | None = None,
    dtype: torch.dtype | None = None,
    data: TensorLike | None = None,
) -> Denoiser:
    """Make a denoiser of a model; a ``Denoiser`` is given back as it is.

    The model is called in evaluation mode, with a copy of the points in its own type and on its own
    device, and is left as it was. At the first call it is tried, in a moment: two calls must agree
    (no randomness), a point alone must get the answer that it gets among others (no coupling), and
    before derivatives are believed, one is compared with a finite difference. Nothing is guessed: a
    broken rule is a ValueError that says which, and what to do.

    Args:
        model: function or module of two arguments, points and their noise.
        d: number of coordinates of a point; by default that of the first points it sees.
        predicts: what the model answers with: ``data`` (the clean data, as a denoiser does),
            ``noise`` (the standard Gaussian numbers in x), ``score`` or, with a schedule,
            ``velocity`` (``a xi - sqrt(1-a^2) y``).
        time: what its second argument is: the noise ``variance``, ``sigma`` (its root), or the
            ``step`` of a variance-preserving schedule, whose points are ``a y + sqrt(1-a^2) xi``:
            they are rescaled here.
        time_as: how it wants that: a Python ``number``, a tensor ``scalar`` of shape (), or
            ``each``, shape (n,).
        schedule: for steps, the ``a^2`` (``alphas_cumprod``) of each, falling, between 0 and 1;
            between two steps, steps are fractions, equal in the logarithm of the noise variance.
        shape: of one point as the model wants it, such as (3, 32, 32) for images; by default (d,).
        dtype: in which the model computes; by default that of its first parameter, or of the
            points.
        data: some training data, shape (n, d): asks whether the model denoises them, and refuses
            it, with the convention that fits better, where it does not.

    Returns:
        Denoiser.

    Raises:
        ValueError: for other arguments, or a model that does not denoise the data; at the first
            call, for one that breaks a rule.

    Source:
        Conventions: Karras et al., arXiv 2206.00364, section 2; Ho et al., arXiv 2006.11239;
        velocities: Salimans and Ho, arXiv 2202.00512, appendix D.

    Chapter:
        ``networks/training``.

    Example:
        >>> import torch
        >>> from memolib import as_denoiser
        >>> def noise_of(x, sigma):  # of Gaussian data: it was trained to predict the noise
        ...     return x * sigma / (1 + sigma**2)
        >>> D = as_denoiser(noise_of, predicts="noise", time="sigma")
        >>> D(torch.ones(1, 2), t=1.0)
        tensor([[0.5000, 0.5000]])
        >>> data = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
        >>> try:
        ...     as_denoiser(noise_of, predicts="score", time="sigma", data=data)
        ... except ValueError as error:
        ...     print(str(error).split(", and ")[1])
        predicts='noise', time='sigma' would leave 0.81
    """
    plain = (predicts, time, time_as) == ("data", "variance", "number")
    plain = plain and all(value is None for value in (d, schedule, shape, dtype, data))
    if isinstance(model, Denoiser):
        if not plain:
            allowed = "it alone, without a convention"
            raise ValueError(f"model is {model!r}, a denoiser already; allowed is {allowed}")
        return model
    if not callable(model):
        raise ValueError(f"model is {model!r}; allowed is a function or a module of (x, t)")
    _one_of("predicts", predicts, PREDICTS)
    _one_of("time", time, TIMES)
    _one_of("time_as", time_as, TIMES_AS)
    if (time == "step") != (schedule is not None) or (predicts == "velocity" and schedule is None):
        allowed = "one with time='step', and velocities need it"
        raise ValueError(f"schedule is {schedule}; allowed is {allowed}")
    if schedule is not None:
        kept = real_array("schedule", schedule, minimum=0, strict=True)
        if kept.ndim != 1 or len(kept) < 2 or (np.diff(kept) >= 0).any() or kept[0] >= 1:
            allowed = "two or more falling numbers between 0 and 1"
            raise ValueError(f"schedule has shape {kept.shape}; allowed are {allowed}")
        schedule = np.log((1 - kept) / kept)  # of the noise variance of each step, rising
    if shape is not None:
        shape = tuple(count("shape", size) for size in shape)
        d = int(np.prod(shape)) if d is None else d
    made = Foreign(model, d, predicts, time, time_as, schedule, shape, dtype)
    if plain:
        made.record = _record_of(model)
    if data is not None:
        _denoises(made, as_points("data", data, d))
    return made


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")


class Foreign(Denoiser):
    """Somebody's model as a denoiser, made by ``as_denoiser``.

    Its answers have no graph unless x requires gradients.

    Attributes:
        model: what was given.
        d: number of coordinates of a point; None until the first call, where it was not given.
        record: what its trials have shown: whether it was ``tried``, and which ``modes`` of
            differentiation are right, forward and reverse.

    Chapter:
        ``networks/training``.
    """

    def __init__(
        self,
        model: Model,
        d: int | None,
        predicts: str,
        time: str,
        time_as: str,
        schedule: np.ndarray | None,
        shape: tuple[int, ...] | None,
        dtype: torch.dtype | None,
    ) -> None:
        """Hold what ``as_denoiser`` has checked."""
        self.model = model
        self.d = d
        self.shape = shape
        self.schedule = schedule
        self.predicts = predicts
        self.time = time
        self.time_as = time_as
        self.takes_each = time_as == "each"
        self.by_reverse = isinstance(model, torch.nn.Module)
        first = next((p for p in _parameters(model) if p.is_floating_point()), None)
        self.own_type = dtype or (None if first is None else first.dtype)
        self.own_device = None if first is None else first.device
        self.record: dict[str, Any] = {}

    def __repr__(self) -> str:
        name = getattr(self.model, "__name__", type(self.model).__name__)
        stated = f"predicts={self.predicts!r}, time={self.time!r}, time_as={self.time_as!r}"
        return f"as_denoiser({name}, {stated})"

    def _answer(self, method: Callable, x: TensorLike, t: TensorLike) -> torch.Tensor:
        x = as_points("x", x, self.d)
        if visible(x.sum() > 0):
            t = as_noises(t, x)
            self._try(x, t)
            if method not in (self._denoise, self._score):
                self._try_derivatives(x, t)
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            return super()._answer(method, x, t)

    def _denoise(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        sigma = each_noise(t, x) ** 0.5
        # The part of y in a schedule's points.
        shrunk = (1 + each_noise(t, x)) ** -0.5 if self.time == "step" else 1.0
        answer = self._call(x * shrunk, t)
        if self.predicts == "noise":
            return x - sigma * answer
        if self.predicts == "score":  # of shrunk points it is as much larger
            return x + sigma**2 * shrunk * answer
        if self.predicts == "velocity":
            return shrunk * (shrunk * x - sigma * answer)
        return answer

    def _jacobian(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        return self.model.jacobian(x, t) if self._offers_jacobian() else super()._jacobian(x, t)

    def _products(
        self,
        x: torch.Tensor,
        t: float | torch.Tensor,
        directions: torch.Tensor,
        transposed: bool,
    ) -> torch.Tensor:
        if self._offers_jacobian() or not self.record["modes"][transposed]:
            sums = "nba,knb->kna" if transposed else "nab,knb->kna"
            return torch.einsum(sums, self._jacobian(x, t), directions)
        return super()._products(x, t, directions, transposed)

    def _offers_jacobian(self) -> bool:
        stated = self.predicts, self.time
        return stated == ("data", "variance") and callable(getattr(self.model, "jacobian", None))

    def _call(self, points: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        """Answer of the model itself, checked."""
        own = points.clone().to(device=self.own_device, dtype=self.own_type or points.dtype)
        own = own if self.shape is None else own.unflatten(1, self.shape)
        with _evaluating(self.model):
            answer = self.model(own, self._time_of(t, own))
        if not isinstance(answer, torch.Tensor) or not answer.is_floating_point():
            kind = str(answer.dtype) if isinstance(answer, torch.Tensor) else type(answer).__name__
            allowed = "a tensor of real numbers, of the shape of x"
            raise ValueError(f"{self!r} answers with {kind}; allowed is {allowed}")
        if answer.shape != own.shape:
            given = f"shape {tuple(answer.shape)}"
            raise ValueError(f"{self!r} answers with {given}; allowed is {tuple(own.shape)}")
        if visible(finite := torch.isfinite(answer).all()) and not finite:
            given = f"numbers that are not finite, at t = {t}"
            raise ValueError(f"{self!r} answers with {given}; allowed are finite ones")
        return answer.flatten(1).to(points)

    def _time_of(self, t: float | torch.Tensor, own: torch.Tensor) -> float | torch.Tensor:
        """The model's second argument."""
        value = t**0.5 if self.time == "sigma" else t
        if self.time == "step":
            plain = t.cpu() if isinstance(t, torch.Tensor) else t
            level = np.log(np.asarray(plain, dtype=np.float64))
            low, high = self.schedule[[0, -1]]
            if level.min() < low - 1e-9 or level.max() > high + 1e-9:
                allowed = f"allowed, on this schedule, are {np.exp(low):.3g} to {np.exp(high):.3g}"
                raise ValueError(f"t is {t}; {allowed}")
            value = np.interp(level, self.schedule, np.arange(len(self.schedule)))
            value = torch.from_numpy(value) if isinstance(t, torch.Tensor) else float(value)
        if self.time_as == "number":
            return value
        tensor = torch.as_tensor(value).to(own)
        return tensor if self.time_as == "scalar" else tensor.expand(len(own))

    def _plain(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        """Answer without trials."""
        return Denoiser._answer(self, self._denoise, x, t)

    def _try(self, x: torch.Tensor, t: float | torch.Tensor) -> None:
        """At the first call: does it answer, twice alike, each point for itself, and not change?"""
        if self.record.get("tried"):
            self.d = x.shape[1]
            return
        some, few = _some(x, t, 4)
        if len(some) == 1:  # a point needs company
            some = torch.cat([some, some * 1.5 + 0.5])
            few = few.expand(2) if isinstance(few, torch.Tensor) else few
        before = {name: buffer.clone() for name, buffer in _buffers(self.model)}
        with torch.no_grad():
            once = self._first_answer(some, few)
            twice = self._first_answer(some, few)
            alone = self._first_answer(*_some(some, few, 1))
        changed = [
            name for name, buffer in _buffers(self.model) if not torch.equal(buffer, before[name])
        ]
        for name, buffer in _buffers(self.model):
            buffer.data.copy_(before[name])
        if changed:
            given = f"changes its buffers {', '.join(changed)}"
            raise ValueError(f"{self!r} {given}; allowed is one that stays as it is")
        eps = torch.finfo(self.own_type or some.dtype).eps
        rounding = 200 * eps * (1 + float(once.abs().max()))
        if (off := float((once - twice).abs().max())) > rounding:
            given = f"answers twice differently, by {off:.2g} (randomness)"
            raise ValueError(f"{self!r} {given}; allowed is one answer")
        if (off := float((once[:1] - alone).abs().max())) > rounding:
            raise ValueError(
                f"{self!r} answers a point alone and among others differently, by {off:.2g} "
                "(coupling of points, as by batch normalization); allowed is one that answers each "
                "point for itself"
            )
        self.d = x.shape[1]
        self.record["tried"] = True

    def _first_answer(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        try:
            return self._plain(x, t)
        except (AttributeError, LookupError, RuntimeError, TypeError) as error:
            shape = tuple(x.shape if self.shape is None else (len(x), *self.shape))
            raise ValueError(
                f"{self!r} fails on points of shape {shape}, type {self.own_type or x.dtype}, with "
                f"{self.time} as {self.time_as}: {error!r}; allowed is a model of (x, t), and "
                "as_denoiser takes what this one wants (predicts, time, time_as, shape, dtype)"
            ) from error

    def _try_derivatives(self, x: torch.Tensor, t: float | torch.Tensor) -> None:
        """Before derivatives are believed: compare one, both ways, with finite differences."""
        if self._offers_jacobian():
            return
        if "modes" in self.record:
            self._choose(self.record["modes"])
            return
        some, few = _some(x, t, 2)
        some = some.float() if some.dtype in HALF else some
        v = gaussian(*some.shape, seed=0).to(some)
        v /= v.norm(dim=1).max()
        seen = []
        for kick in KICKS:
            u, wanted, allowed = self._difference(some, few, v, kick)
            found = [self._slope(some, few, v, u, by_reverse) for by_reverse in (False, True)]
            works = [isinstance(slope, float) and abs(slope - wanted) <= allowed for slope in found]
            if any(works):
                self.record["modes"] = works
                self._choose(works)
                return
            seen.append((found, wanted))
        self._refuse_derivatives(*seen[0])

    def _difference(
        self, x: torch.Tensor, t: float | torch.Tensor, v: torch.Tensor, kick: float
    ) -> tuple[torch.Tensor, float, float]:
        """Derivative u along v by a finite difference, its square ``u.Gv``, and a bound on errors.

        The bound is on what a right derivative may differ by.
        """
        eps = torch.finfo(self.own_type or x.dtype).eps
        h = max(kick * float(torch.as_tensor(t).min()) ** 0.5, 4 * eps**0.5 * float(x.abs().max()))
        with torch.no_grad():
            u = (self._plain(x + h * v, t) - self._plain(x - h * v, t)) / (2 * h)
            size = float(self._plain(x, t).abs().max() + x.abs().max())
        wanted = float(u.square().sum())
        rounding = 8 * eps * size / h * x.numel() ** 0.5
        return u, wanted, 0.2 * wanted + rounding * (wanted**0.5 + rounding)

    def _choose(self, works: list[bool]) -> None:
        """Keep to the way that is faster, if it is right."""
        self.by_reverse = works[True] if self.by_reverse else not works[False]

    def _slope(
        self,
        x: torch.Tensor,
        t: float | torch.Tensor,
        v: torch.Tensor,
        u: torch.Tensor,
        by_reverse: bool,
    ) -> float | Exception:
        """``u.Gv`` by one mode of automatic differentiation, or what it raises."""

        def answer(points: torch.Tensor) -> torch.Tensor:
            return self._plain(points, t)

        try:
            if by_reverse:
                return float((vjp(answer, x)[1](u)[0] * v).sum().detach())
            return float((jvp(answer, (x,), (v,))[1] * u).sum().detach())
        except RuntimeError as error:  # such as of attention, which has no forward mode
            return error

    def _refuse_derivatives(self, found: list[float | Exception], wanted: float) -> None:
        slopes = [slope for slope in found if isinstance(slope, float)]
        if not slopes:
            reason = found[True]  # what reverse mode said
            message = f"{self!r} has no derivative: {reason!r}; allowed are torch operations"
            raise ValueError(message) from reason
        if 0.0 in slopes:
            raise ValueError(
                f"{self!r} cuts derivatives (no_grad, inference_mode or detach): they are 0, and "
                "differences are not; allowed is a model that lets them pass"
            )
        raise ValueError(
            f"{self!r} has a derivative of {slopes[0]:.3g} where a finite difference gives "
            f"{wanted:.3g}; allowed is a model that torch differentiates rightly"
        )


def _denoises(model: Foreign, y: torch.Tensor) -> None:
    """Refuse a model that does worse on noisy data than another reading of it, or than nothing."""
    y = y[:256]
    wide = y.double()
    spread = float(wide.var(dim=0).mean() if len(y) > 1 else wide.square().mean())
    times = [spread * part for part in (0.01, 0.1, 1.0)]
    if model.schedule is not None:
        low, high = np.exp(model.schedule[[0, -1]])
        times = [float(np.clip(t, low, high)) for t in times]

    noisy = [(y + t**0.5 * gaussian(*y.shape, seed=k).to(y), t) for k, t in enumerate(times)]
    model._try(y, times[1])

    def error(answer: Callable) -> np.ndarray:
        """Squared error over the noise variance, for each variance and point."""
        with torch.no_grad():
            off = [(answer(x, t) - y).double().square().mean(dim=1) / t for x, t in noisy]
        return torch.stack(off).cpu().numpy()

    stated = error(model._plain)
    nothing = error(lambda x, t: x)
    others = {}
    for predicts in PREDICTS:
        for time in ("step",) if model.schedule is not None else ("variance", "sigma"):
            if predicts == "velocity" and time != "step":
                continue
            if (predicts, time) != (model.predicts, model.time):
                fixed = model.time_as, model.schedule, model.shape, model.own_type
                other = Foreign(model.model, model.d, predicts, time, *fixed)
                others[f"predicts={predicts!r}, time={time!r}"] = error(other._plain)
    name, best = min(others.items(), key=lambda item: item[1].mean())
    gain = (stated - best).mean(axis=0)  # at the same points with the same noise
    fits_better = best.mean() < BETTER * min(stated.mean(), nothing.mean())
    fits_better = fits_better and gain.mean() > SURE * gain.std() / len(gain) ** 0.5
    denoises = (stated.mean(axis=1) < nothing.mean(axis=1)).any()
    if fits_better or not denoises:
        advice = "no other convention does"
        if best.mean() < nothing.mean():
            advice = f"{name} would leave {best.mean():.2g}"
        raise ValueError(
            f"{model!r} does not denoise these data: it leaves {stated.mean():.2g} of the squared "
            f"noise; allowed is one that leaves less than 1, and {advice}"
        )


def _some(
    x: torch.Tensor, t: float | torch.Tensor, n: int
) -> tuple[torch.Tensor, float | torch.Tensor]:
    return x[:n].detach(), t[:n] if isinstance(t, torch.Tensor) else t


def _modules(model: Callable) -> Iterator[torch.nn.Module]:
    """A module and those inside it; of a bound method, those of its owner."""
    owner = getattr(model, "__self__", model)
    if isinstance(owner, torch.nn.Module):
        yield from owner.modules()


def _parameters(model: Callable) -> Iterator[torch.Tensor]:
    for module in _modules(model):
        yield from module.parameters(recurse=False)


def _buffers(model: Callable) -> Iterator[tuple[str, torch.Tensor]]:
    for module in _modules(model):
        yield from module.named_buffers(recurse=False)


@contextmanager
def _evaluating(model: Callable) -> Iterator[None]:
    """Evaluation mode, each module back in its own mode afterwards."""
    training = [module for module in _modules(model) if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _record_of(model: Callable) -> dict[str, Any]:
    try:
        return _records.setdefault(model, {})
    except TypeError:  # it cannot be hashed, or not be referred to weakly
        return {}
