"""Checks of the book's code exercises, one file a chapter.

``check("label", function)`` says at once whether an answer is right, and if not, what is wrong with
it; ``exercise_inputs("label", 1)`` gives the inputs that it was tried on.
"""

import difflib
import textwrap
from collections.abc import Callable

from memolib._files import printable
from memolib.exercises import (
    associative_memory,
    collapse,
    condensation,
    curved_manifolds,
    data_and_capacity,
    decoding,
    detecting_memorization,
    empirical_score,
    images,
    losing_dimensions,
    low_variance_first,
    noise_and_score,
    order_of_loss,
    random_energy_model,
    seen_from_the_origin,
    speciation,
    spectral_gaps,
    training,
    two_clocks,
    when_networks_copy,
)
from memolib.exercises._grading import TRIALS, Exercise, Grade, Inputs, grade_answer, inputs_of

CHAPTERS = (
    random_energy_model,
    condensation,
    associative_memory,
    noise_and_score,
    empirical_score,
    decoding,
    speciation,
    collapse,
    spectral_gaps,
    losing_dimensions,
    order_of_loss,
    seen_from_the_origin,
    curved_manifolds,
    training,
    data_and_capacity,
    two_clocks,
    low_variance_first,
    when_networks_copy,
    images,
    detecting_memorization,
)
EXERCISES: dict[str, Exercise] = {
    label: exercise for chapter in CHAPTERS for label, exercise in chapter.EXERCISES.items()
}


def grade(label: str, answer: Callable) -> Grade:
    """Judge an answer to a code exercise.

    Args:
        label: of the exercise, as printed in its text.
        answer: the function asked for there; it may give numbers, lists, arrays or tensors, in
            double or in single precision.

    Returns:
        Grade: whether it passed, and a message that says what is right or wrong.

    Raises:
        ValueError: for an unknown label, or an answer that cannot be called.

    Chapter:
        ``reference/contributing``.
    """
    exercise = _exercise(label)
    if not callable(answer):
        allowed = "a function: give its name without brackets"
        raise ValueError(f"answer is {answer!r}; allowed is {allowed}")
    return grade_answer(label, exercise, answer)


def check(label: str, answer: Callable) -> None:
    """Print the grade of an answer to a code exercise.

    Args:
        label: of the exercise, as printed in its text.
        answer: the function asked for there.

    Raises:
        ValueError: for an unknown label, or an answer that cannot be called.

    Chapter:
        ``reference/contributing``.
    """
    passed, message = grade(label, answer)
    first, *rest = message.split("\n")
    mark = "✔" if passed else "✘"
    if printable(mark) != mark:
        mark = "[right]" if passed else "[wrong]"
    head = textwrap.fill(f"{mark} {label}: {first}", width=76, subsequent_indent="  ")
    print(printable("\n".join([head, *rest])))


def exercise_inputs(label: str, number: int = 1) -> Inputs:
    """Give the inputs on which answers to an exercise are tried, to see a failure again.

    ``function(*exercise_inputs("rem-log-z", 2).values())`` is what the second trial calls.

    Args:
        label: of the exercise, as printed in its text.
        number: of the trial: 1, 2 or 3.

    Returns:
        The arguments by name, in the order of the call; new copies each time.

    Raises:
        ValueError: for an unknown label, or another number.

    Chapter:
        ``reference/contributing``.
    """
    exercise = _exercise(label)
    if number not in range(1, TRIALS + 1):
        raise ValueError(f"number is {number!r}; allowed are 1 to {TRIALS}")
    return inputs_of(exercise, int(number))


def _exercise(label: str) -> Exercise:
    """Find an exercise, or name the labels that look most like the one given."""
    if isinstance(label, str) and label in EXERCISES:
        return EXERCISES[label]
    near = difflib.get_close_matches(str(label).lower(), EXERCISES, n=3, cutoff=0.4)
    allowed = f"the nearest are {', '.join(near)}" if near else "each exercise's text has its own"
    raise ValueError(f"label is {label!r}; {allowed}")
