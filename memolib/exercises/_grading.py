"""How an answer is judged: run on three inputs, compared with the reference, and explained.

An answer is judged by its idea, not by its type: lists, arrays and tensors, in double or in single
precision. How far its numbers may be off follows from the precision they were computed in, and from
what rounding the inputs to that precision does to the right answer, entry by entry.
"""

import linecache
import os
import reprlib
import site
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Inputs = dict[str, Any]

TRIALS = 3  # sets of inputs
ROUNDINGS = 32  # of the inputs, that an honest computation may add up to
REDRAWS = 4  # of the inputs' rounding errors
AT_MOST = 0.02  # of an entry: the largest error that rounding excuses
DOUBLE = float(np.finfo(np.float64).eps)
SINGLE = float(np.finfo(np.float32).eps)
MANY = 10_000  # entries of a list that nobody means
FOLDERS = (
    str(Path(__file__).parent.parent),
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *site.getsitepackages(),
    site.getusersitepackages(),
)
NOT_OWN = ("<frozen", *(folder + os.sep for folder in FOLDERS))  # how files of libraries begin


class Exercise(NamedTuple):
    """A code exercise.

    Attributes:
        reference: the right function.
        inputs: draws one random set of arguments by name; the sets differ in shape where the
            answer should allow it.
        mistakes: for each reason a student can be told, a function that makes that mistake.
        tolerance: largest relative difference of an entry that counts as equal.
    """

    reference: Callable
    inputs: Callable[[np.random.Generator], Inputs]
    mistakes: Mapping[str, Callable]
    tolerance: float = 1e-6


class Grade(NamedTuple):
    """Whether an answer passed, and what to tell the student."""

    passed: bool
    message: str


class _Answer(NamedTuple):
    """Numbers that a student's function gave, and the relative precision of their type."""

    values: np.ndarray
    precision: float


class _Target(NamedTuple):
    """Numbers to compare with, and how far each may be off."""

    values: np.ndarray
    allowed: np.ndarray


class _RefusalError(Exception):
    """What a function returned is no answer; the text says why."""


def inputs_of(exercise: Exercise, number: int) -> Inputs:
    """Give one set of inputs of an exercise, the same at every call.

    Args:
        exercise: what is asked for.
        number: of the set, from 1.

    Returns:
        The arguments by name, in the order of the call.
    """
    return exercise.inputs(np.random.default_rng(number - 1))


def grade_answer(label: str, exercise: Exercise, answer: Callable) -> Grade:
    """Run an answer on three sets of inputs and explain the first thing that is wrong.

    Args:
        label: of the exercise, for the line that repeats a failure.
        exercise: what is asked for.
        answer: the student's function, called by position.

    Returns:
        Grade.
    """
    trials = [inputs_of(exercise, number) for number in range(1, TRIALS + 1)]
    answers: list[_Answer] = []
    for number, inputs in enumerate(trials, 1):
        again = _again(label, number, inputs, answer)
        shape = _values(exercise.reference, inputs).shape
        try:
            value = _run(answer, inputs)
            if value is None or value is Ellipsis:
                return Grade(False, _nothing(number, again))
            answers.append(_numbers(value, shape))
        except _RefusalError as refusal:
            return Grade(False, f"{refusal}\n{again}")
        except SystemExit as error:
            reason = "ended Python by sys.exit; a function gives its answer by `return`"
            return Grade(False, f"{reason}{_where(error)}\n{again}")
        except Exception as error:
            text = str(error)
            text = text if len(text) <= 500 else f"{text[:500]} ..."
            return Grade(False, f"raised {type(error).__name__}: {text}{_where(error)}\n{again}")
    return _compared(label, exercise, answer, trials, answers)


def _compared(
    label: str,
    exercise: Exercise,
    answer: Callable,
    trials: list[Inputs],
    answers: list[_Answer],
) -> Grade:
    """Judge numbers of the right shapes."""
    got = [given.values for given in answers]
    precision = max(given.precision for given in answers)

    def targets(function: Callable, precision: float) -> list[_Target]:
        return [_target(function, inputs, exercise.tolerance, precision) for inputs in trials]

    right = targets(exercise.reference, DOUBLE)
    coarse = targets(exercise.reference, SINGLE)
    near = _all_same(got, coarse)
    if _all_same(got, right) or (near and (precision > DOUBLE or _blind(answer, trials, got))):
        return Grade(True, "right: shape and values agree on three random inputs.")
    if precision > DOUBLE:
        right = coarse
    wrong = [not _same(values, target).all() for values, target in zip(got, right, strict=True)]
    first = wrong.index(True)
    example = _example(got[first], right[first])
    again = _again(label, first + 1, trials[first], answer)
    if precision > SINGLE:
        reason = "half precision keeps three digits: use float64 or float32."
        return Grade(False, f"shape right; {reason}\n{again}")
    if near:
        reason = "values nearly right: is something rounded, or stopped too early?"
        return Grade(False, f"shape right; {reason}\n  {example}\n{again}")
    for reason, mistake in exercise.mistakes.items():
        if _all_same(got, targets(mistake, SINGLE)):
            return Grade(False, f"shape right; values off: {reason}\n{again}")
    return Grade(False, f"shape right; {_difference(got, right)}\n  {example}\n{again}")


def _blind(answer: Callable, trials: list[Inputs], got: list[np.ndarray]) -> bool:
    """Tell whether a function sees no digits beyond single precision, whatever type it returns."""
    rng = np.random.default_rng(0)
    for inputs, values in zip(trials, got, strict=True):
        try:
            again = _numbers(_run(answer, _moved(inputs, 1e-12, rng)), values.shape).values
        except Exception:
            return False
        if not np.array_equal(again, values, equal_nan=True):
            return False
    return True


def _run(function: Callable, inputs: Inputs) -> Any:
    """Call by position, so that names are free, with copies, which an answer may change."""
    copies = [value.copy() if isinstance(value, np.ndarray) else value for value in inputs.values()]
    with np.errstate(all="ignore"):
        return function(*copies)


def _values(function: Callable, inputs: Inputs) -> np.ndarray:
    """Run a function of the exercise's own."""
    return np.asarray(_run(function, inputs), dtype=np.float64)


# What came back, as numbers


def _numbers(value: Any, shape: tuple[int, ...]) -> _Answer:
    """Give a returned value as float64 numbers of a shape, or refuse it in words."""
    if isinstance(value, list | tuple) and len(value) > MANY and shape[:1] != (len(value),):
        # refused before millions of entries are looked at
        raise _RefusalError(f"shape is ({len(value)}, ...), should be {shape}")
    value = _without_tensors(value)
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise _RefusalError("some entries are masked: give every entry a number")
    try:
        array = np.asarray(value)
    except ValueError:
        array = None
    if array is None or (array.dtype == object and _holds_arrays(array)):
        raise _RefusalError(_parts(value, shape))
    if array.dtype == object:
        array = _objects(value, array)
    if array.dtype.kind not in "biufc":
        raise _RefusalError(f"should return numbers, but returned {_kind(value)}")
    if array.shape != shape and shape == () and array.size == 1:
        array = array.reshape(())
    if array.shape != shape:
        raise _RefusalError(_other_shape(value, array.shape, shape))
    precision = DOUBLE
    if array.dtype.kind in "fc":
        precision = max(DOUBLE, float(np.finfo(array.dtype).eps))
    if array.dtype.kind == "c":
        array = _real_part(array)
    with np.errstate(all="ignore"):
        return _Answer(array.astype(np.float64), precision)


def _without_tensors(value: Any) -> Any:
    """Give tensors as arrays, also those in lists; gradients are no part of an answer."""
    torch = sys.modules.get("torch")
    if torch is None:
        return value
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.layout != torch.strided:
            value = value.to_dense()
        if value.dtype == torch.bfloat16:
            value = value.to(torch.float16)  # which NumPy has, and which is as coarse
        return value.resolve_conj().resolve_neg().numpy()
    if isinstance(value, list | tuple):
        inner = (torch.Tensor, list, tuple)
        if any(isinstance(entry, inner) for entry in value):
            entries = [_without_tensors(entry) for entry in value]
            return tuple(entries) if isinstance(value, tuple) else entries
    return value


def _objects(value: Any, array: np.ndarray) -> np.ndarray:
    """Give objects that are numbers, such as fractions or large integers, as such."""
    if array.shape == () and not hasattr(value, "__float__"):
        raise _RefusalError(f"should return numbers, but returned {_kind(value)}")
    numbers = np.empty(array.shape)
    for index, entry in np.ndenumerate(array):
        place = f"entry {list(index)}" if index else "the value"
        if entry is None or entry is Ellipsis:
            reason = "it was never given a number"
            raise _RefusalError(f"should return numbers, but {place} is {entry}: {reason}")
        try:
            numbers[index] = float(entry)
        except (TypeError, ValueError, OverflowError):
            reason = f"should return numbers, but {place} is {_kind(entry)}"
            raise _RefusalError(reason) from None
    return numbers


def _real_part(array: np.ndarray) -> np.ndarray:
    """Give complex numbers as real ones, which they must be."""
    imaginary = array.imag[array.imag != 0]
    if imaginary.size:
        raise _RefusalError(
            f"values are complex, with imaginary parts such as {imaginary[0]:.3g}; real numbers "
            "are asked for: is this the root or logarithm of a negative number?"
        )
    return array.real


def _holds_arrays(array: np.ndarray) -> bool:
    return any(isinstance(entry, np.ndarray | list | tuple) for entry in array.flat)


def _parts(value: Any, shape: tuple[int, ...]) -> str:
    """Say that parts of different shapes are no array."""
    asked = f"one array of shape {shape} is asked for" if shape else "one number is asked for"
    shapes = [_shape_of(part) for part in list(value)[:4]]
    listed = ", ".join(shapes) + (", ..." if len(value) > len(shapes) else "")
    kind = type(value).__name__
    return f"returned {len(value)} parts in a {kind}, of shapes {listed}; {asked}"


def _shape_of(part: Any) -> str:
    try:
        return str(np.shape(part))
    except ValueError:  # ragged itself
        return "(ragged)"


def _other_shape(value: Any, got: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Say in what way a shape is wrong."""
    if isinstance(value, tuple):
        asked = "one array" if shape else "one number"
        hint = f": {len(value)} values came in a tuple, {asked} is asked for"
    elif shape == ():
        hint = ": one number is asked for, not an array"
    elif got == ():
        hint = ": an array is asked for, not one number"
    elif got == shape[::-1]:
        hint = " (transposed?)"
    else:
        hint = ""
    return f"shape is {got}, should be {shape}{hint}"


def _kind(value: Any) -> str:
    """Name a value that is no number, shortly whatever its size."""
    return f"{type(value).__name__}: {reprlib.repr(value)[:60]}"


# What counts as equal


def _target(function: Callable, inputs: Inputs, tolerance: float, precision: float) -> _Target:
    """Give what a function answers, and how far each entry may be off at a precision."""
    values = _values(function, inputs)
    size = np.abs(values)
    spread = np.zeros(values.shape)
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        for _ in range(REDRAWS):
            redrawn = _moved(inputs, ROUNDINGS * precision, rng)
            if precision > DOUBLE:
                redrawn = _in_single(redrawn)
            other = _values(function, redrawn)
            if other.shape == values.shape:
                moved = np.abs(other - values)
                spread = np.fmax(spread, np.where(np.isfinite(moved), moved, 0))
        # What rounding moves by its own size, or is 0, is a difference of larger numbers.
        scale = size[np.isfinite(size)].max(initial=1e-12)
        cancelled = np.where(spread >= 0.1 * size, ROUNDINGS * precision * scale, 0)
        allowed = np.maximum(tolerance, ROUNDINGS * precision) * size
        allowed = allowed + np.minimum(spread, AT_MOST * size) + cancelled
    if precision > DOUBLE:
        allowed = allowed + float(np.finfo(np.float32).tiny)
    return _Target(values, allowed)


def _moved(inputs: Inputs, error: float, rng: np.random.Generator) -> Inputs:
    """Give the inputs with random relative errors; whole numbers and functions stay."""

    def moved(value: Any) -> Any:
        if isinstance(value, float):
            return value * (1 + error * rng.uniform(-1, 1))
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return value * (1 + error * rng.uniform(-1, 1, value.shape))
        return value

    return {name: moved(value) for name, value in inputs.items()}


def _in_single(inputs: Inputs) -> Inputs:
    """Give the inputs as float32, to see what a computation in it comes to."""

    def single(value: Any) -> Any:
        if isinstance(value, float):
            return np.float32(value)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return value.astype(np.float32)
        return value

    return {name: single(value) for name, value in inputs.items()}


def _same(got: np.ndarray, target: _Target) -> np.ndarray:
    """Tell for each entry whether it counts as equal."""
    with np.errstate(all="ignore"):
        close = np.abs(got - target.values) <= target.allowed
    return close | (got == target.values) | (np.isnan(got) & np.isnan(target.values))


def _all_same(got: Sequence[np.ndarray], targets: Sequence[_Target]) -> bool:
    return all(
        values.shape == target.values.shape and bool(_same(values, target).all())
        for values, target in zip(got, targets, strict=True)
    )


def _difference(got: list[np.ndarray], right: list[_Target]) -> str:
    """Name the simplest relation between wrong and right values."""
    if not all(np.isfinite(values).all() for values in got):
        return "some values are not finite (nan or inf): does something overflow?"
    flat_got = np.concatenate([values.ravel() for values in got])
    flat_right = np.concatenate([target.values.ravel() for target in right])
    with np.errstate(all="ignore"):
        if _all_same([-values for values in got], right):
            return "values have the wrong sign."
        factor = flat_got @ flat_right / (flat_right @ flat_right)
        if factor and _all_same([values / factor for values in got], right):
            return f"values off by a factor {_told(factor, 1.0, 4)}."
        offset = np.mean(flat_got - flat_right)
        if _all_same([values - offset for values in got], right):
            return f"values off by a constant {offset:.4g}."
        inverses = {"square": np.sqrt, "root": np.square, "inverse": np.reciprocal}
        for relation, inverse in inverses.items():
            if _all_same([inverse(values) for values in got], right):
                return f"values are the {relation} of the right ones."
    return "values differ."


# What the student is told


def _nothing(number: int, again: str) -> str:
    if number == 1:
        return "nothing returned yet: write the body and end it with `return`."
    return f"nothing returned: does every way through the function end with `return`?\n{again}"


def _example(got: np.ndarray, target: _Target) -> str:
    """Show the entry that is furthest off, with the digits that tell it from the right one."""
    away = np.abs(np.nan_to_num(got - target.values, nan=np.inf))
    worst = np.unravel_index(np.argmax(np.where(_same(got, target), -1, away)), got.shape)
    one = float(got[worst])
    other = float(target.values[worst])
    place = f", at {[int(i) for i in worst]}" if worst else ""
    return f"value {_told(one, other)}, should be {_told(other, one)}{place}"


def _told(one: float, other: float, digits: int = 6) -> str:
    """Write a number with as many digits as tell it from another."""
    enough = (n for n in range(digits, 17) if f"{one:.{n}g}" != f"{other:.{n}g}")
    return f"{one:.{next(enough, 17)}g}"


def _again(label: str, number: int, inputs: Inputs, answer: Callable) -> str:
    """Say for which inputs, and how to call the function on them again."""
    name = getattr(answer, "__name__", "")
    name = name if name.isidentifier() else "answer"
    return (
        f"  for inputs {number} of {TRIALS}: {_describe(inputs)}\n"
        "  To see it again:\n"
        "    from memolib.exercises import exercise_inputs\n"
        f'    inputs = exercise_inputs("{label}", {number})\n'
        f"    {name}(*inputs.values())"
    )


def _describe(inputs: Inputs) -> str:
    def one(name: str, value: Any) -> str:
        if callable(value):
            return f"{name}, a function"
        if isinstance(value, np.ndarray) and value.size > 4:
            return f"{name} of shape {value.shape}"
        return f"{name} = {np.array2string(np.asarray(value), precision=4, separator=', ')}"

    return ", ".join(one(name, value) for name, value in inputs.items())


def _where(error: BaseException) -> str:
    """Show the last line of the student's own code that an exception passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(NOT_OWN)]
    if not own:
        return ""
    last = own[-1]
    source = linecache.getline(last.filename, last.lineno or 0).strip()
    shown = f": {source}" if source else ""
    return f"\n  in line {last.lineno} of {_name(last.filename)}{shown}"


def _name(filename: str) -> str:
    """Name a file, or a notebook's cell as its own tracebacks do, ``Cell In[5]``."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    naming = getattr(getattr(shell, "compile", None), "format_code_name", lambda _: None)
    cell = naming(filename)
    return " ".join(cell) if cell else Path(filename).name
