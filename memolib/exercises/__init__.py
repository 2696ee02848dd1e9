"""Checks of the book's code exercises, one file a chapter.

``check("label", function)`` says at once whether an answer is right, and if not, what is wrong with it.
"""

import textwrap
from collections.abc import Callable

from memolib.exercises import (
    associative_memory,
    collapse,
    condensation,
    curved_manifolds,
    data_and_capacity,
    detecting_memorization,
    empirical_score,
    images,
    losing_dimensions,
    noise_and_score,
    random_energy_model,
    spectral_gaps,
    training,
)
from memolib.exercises._grading import Exercise, Grade, grade_answer

CHAPTERS = (
    random_energy_model,
    condensation,
    associative_memory,
    noise_and_score,
    empirical_score,
    collapse,
    spectral_gaps,
    losing_dimensions,
    curved_manifolds,
    training,
    data_and_capacity,
    images,
    detecting_memorization,
)
EXERCISES: dict[str, Exercise] = {label: exercise for c in CHAPTERS for label, exercise in c.EXERCISES.items()}


def grade(label: str, answer: Callable) -> Grade:
    """Judge an answer to a code exercise.

    Args:
        label: of the exercise, as printed in its text.
        answer: the function asked for there.
    Returns:
        Grade: whether it passed, and a message that says what is right or wrong.
    Raises:
        ValueError: for an unknown label, or an answer that cannot be called.
    """
    if label not in EXERCISES:
        raise ValueError(f"label is {label!r}; allowed are {', '.join(EXERCISES)}")
    if not callable(answer):
        raise ValueError(f"answer is {answer!r}; allowed is a function: give its name without brackets")
    return grade_answer(EXERCISES[label], answer)


def check(label: str, answer: Callable) -> None:
    """Print the grade of an answer to a code exercise.

    Args:
        label: of the exercise, as printed in its text.
        answer: the function asked for there.
    Raises:
        ValueError: for an unknown label, or an answer that cannot be called.
    """
    passed, message = grade(label, answer)
    first, *rest = message.split("\n")
    print(
        textwrap.fill(f"{'✔' if passed else '✘'} {label}: {first}", width=76, subsequent_indent="  "), *rest, sep="\n"
    )
