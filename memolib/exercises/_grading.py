"""How an answer is judged: run on three random inputs, compared with the reference, explained where it differs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Inputs = dict[str, Any]


class Exercise(NamedTuple):
    """A code exercise.

    Attributes:
        reference: the right function.
        inputs: draws one random set of arguments by name; the sets differ in shape where the answer should allow it.
        mistakes: for each reason a student can be told, a function that makes that mistake.
        tolerance: largest relative difference (to the largest value of the reference) that counts as equal.
    """

    reference: Callable
    inputs: Callable[[np.random.Generator], Inputs]
    mistakes: Mapping[str, Callable]
    tolerance: float = 1e-6


class Grade(NamedTuple):
    """Whether an answer passed, and what to tell the student."""

    passed: bool
    message: str


def grade_answer(exercise: Exercise, answer: Callable) -> Grade:
    """Run an answer on three random inputs and explain the first thing that is wrong.

    Args:
        exercise: what is asked for.
        answer: the student's function, called by position.
    Returns:
        Grade.
    """
    trials = [exercise.inputs(np.random.default_rng(seed)) for seed in range(3)]
    got = []
    for inputs in trials:
        try:
            value = _run(answer, inputs)
        except Exception as error:
            return Grade(False, f"raised {type(error).__name__}: {error}\n  for {_describe(inputs)}")
        if value is None or value is Ellipsis:
            return Grade(False, "nothing returned yet: write the body and end it with `return`.")
        try:
            got.append(np.asarray(value, dtype=float))
        except (TypeError, ValueError):
            return Grade(False, f"should return numbers, but returned {type(value).__name__}: {str(value)[:60]}")
    expected = [np.asarray(_run(exercise.reference, inputs), dtype=float) for inputs in trials]
    for inputs, g, e in zip(trials, got, expected, strict=True):
        if g.shape != e.shape:
            turned = " (transposed?)" if g.shape == e.shape[::-1] else ""
            return Grade(False, f"shape is {g.shape}, should be {e.shape}{turned}\n  for {_describe(inputs)}")

    def equal(ours, theirs) -> bool:
        return all(_close(o, t, exercise.tolerance) for o, t in zip(ours, theirs, strict=True))

    if equal(got, expected):
        return Grade(True, "right: shape and values agree on three random inputs.")
    for reason, mistake in exercise.mistakes.items():
        if equal(got, [np.asarray(_run(mistake, inputs), dtype=float) for inputs in trials]):
            return Grade(False, f"shape right; values off: {reason}")
    return Grade(
        False,
        f"shape right; {_difference(got, expected, equal)}\n  {_example(trials, got, expected, exercise)}",
    )


def _run(function: Callable, inputs: Inputs):
    """Call by position, so that names are free, and with copies, so that an answer cannot change the inputs."""
    with np.errstate(all="ignore"):
        return function(*(value.copy() if isinstance(value, np.ndarray) else value for value in inputs.values()))


def _close(got: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1e-12)
    return bool(np.allclose(got, expected, rtol=0, atol=tolerance * scale, equal_nan=True))


def _difference(got, expected, equal) -> str:
    """Name the simplest relation between wrong and right values."""
    if not all(np.isfinite(g).all() for g in got):
        return "some values are not finite (nan or inf): does something overflow?"
    flat_got, flat_expected = (np.concatenate([v.ravel() for v in values]) for values in (got, expected))
    if equal([-g for g in got], expected):
        return "values have the wrong sign."
    factor = flat_got @ flat_expected / (flat_expected @ flat_expected)
    if factor and equal([g / factor for g in got], expected):
        return f"values off by a factor {factor:.4g}."
    offset = np.mean(flat_got - flat_expected)
    if equal([g - offset for g in got], expected):
        return f"values off by a constant {offset:.4g}."
    with np.errstate(all="ignore"):
        for relation, inverse in (("square", np.sqrt), ("root", np.square), ("inverse", np.reciprocal)):
            if equal([inverse(g) for g in got], expected):
                return f"values are the {relation} of the right ones."
    return "values differ."


def _example(trials, got, expected, exercise) -> str:
    for inputs, g, e in zip(trials, got, expected, strict=True):
        if not _close(g, e, exercise.tolerance):
            worst = int(np.argmax(np.abs(np.nan_to_num(g - e, nan=np.inf))))
            return f"value {g.flat[worst]:.6g}, should be {e.flat[worst]:.6g} (number {worst}), for {_describe(inputs)}"
    raise AssertionError("called for a right answer")


def _describe(inputs: Inputs) -> str:
    def one(value) -> str:
        if isinstance(value, np.ndarray) and value.size > 4:
            return f"array of shape {value.shape}"
        return np.array2string(np.asarray(value), precision=4, separator=", ")

    return ", ".join(f"{name} = {one(value)}" for name, value in inputs.items())
