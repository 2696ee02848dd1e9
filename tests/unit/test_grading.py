"""Answers are judged by their idea, in every type; what is wrong can be seen again; output
survives."""

import io
import os
import re
import subprocess
import sys
import textwrap
import time
from fractions import Fraction

import numpy as np
import pytest
import torch

from memolib.exercises import EXERCISES, check, exercise_inputs, grade
from memolib.exercises._grading import inputs_of


def in_single(value):
    if isinstance(value, float):
        return np.float32(value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(np.float32)
    return value


def with_gradients(value):
    tensor = torch.tensor(np.asarray(value, dtype=float), requires_grad=True)
    return tensor * 1.0


FLAVOURS = {
    "as it is": np.asarray,
    "float32": lambda value: np.asarray(value, dtype=np.float32),
    "tensor": lambda value: torch.tensor(np.asarray(value, dtype=float)),
    "tensor with gradients": with_gradients,
    "float32 tensor with gradients": lambda value: with_gradients(value).float(),
    "parameter": lambda value: torch.nn.Parameter(torch.tensor(np.asarray(value, dtype=float))),
    "list of tensors": lambda value: (
        list(with_gradients(value)) if np.ndim(value) else with_gradients(value)
    ),
    "nested lists": lambda value: np.asarray(value, dtype=float).tolist(),
    "lists of float32": lambda value: np.asarray(value, dtype=np.float32).tolist(),
    "complex": lambda value: np.asarray(value, dtype=complex),
    "complex64": lambda value: np.asarray(value, dtype=np.complex64),
    "complex tensor, conjugate": lambda value: torch.tensor(
        np.asarray(value, dtype=complex)
    ).conj(),
    "objects": lambda value: np.asarray(value, dtype=float).astype(object),
    "longdouble": lambda value: np.asarray(value, dtype=np.longdouble),
    "one column more, if one number": lambda value: (
        np.reshape(value, (1, 1)) if np.ndim(value) == 0 else value
    ),
}


@pytest.mark.parametrize("label", EXERCISES)
def test_the_right_idea_passes_in_every_type(label):
    reference = EXERCISES[label].reference
    for name, flavour in FLAVOURS.items():
        passed, message = grade(label, lambda *inputs, flavour=flavour: flavour(reference(*inputs)))
        assert passed, (name, message)


@pytest.mark.parametrize("label", EXERCISES)
def test_what_is_computed_in_single_precision_passes(label):
    """Also where the result is float64 again, as that of a root finder."""
    reference = EXERCISES[label].reference
    for flavour in ("as it is", "float32", "lists of float32"):
        passed, message = grade(
            label, lambda *inputs, f=FLAVOURS[flavour]: f(reference(*map(in_single, inputs)))
        )
        assert passed, (flavour, message)


@pytest.mark.parametrize("label", EXERCISES)
def test_mistakes_in_single_precision_are_refused(label):
    for reason, mistake in EXERCISES[label].mistakes.items():
        with np.errstate(all="ignore"):
            assert not grade(
                label, lambda *inputs, m=mistake: np.asarray(m(*map(in_single, inputs)), np.float32)
            ).passed, reason


@pytest.mark.parametrize("label", EXERCISES)
def test_every_entry_counts(label):
    """Each number alone, large or small, is refused where it is off by a thousandth or by its whole
    size."""
    reference = EXERCISES[label].reference
    right = np.asarray(reference(*exercise_inputs(label, 1).values()), dtype=float)
    off = max(1e-3, 3 * EXERCISES[label].tolerance)
    for index in list(np.ndindex(right.shape))[:40]:
        if right[index] == 0:
            continue
        for factor in (1 + off, 1 - off, 2.0, 0.0, -1.0, 1e-9):

            def answer(*inputs, index=index, factor=factor):
                values = np.array(reference(*inputs), dtype=float)
                if values.shape == right.shape and np.array_equal(values, right):
                    values[index] *= factor
                return values

            passed, message = grade(label, answer)
            assert not passed, (index, factor, right[index])
            assert not message.startswith("raised")


def test_zeros_may_be_rounded_ones():
    def projector(x, radius, t):
        return EXERCISES["curved-circle"].reference(x, radius, t) + 1e-16

    assert grade("curved-circle", projector).passed
    finite = EXERCISES["rem-finite-size"].reference
    assert grade("rem-finite-size", lambda *inputs: finite(*inputs) + 1e-16).passed
    assert not grade("rem-finite-size", lambda *inputs: finite(*inputs) + 1e-9).passed


def test_double_precision_is_held_to_its_own_digits():
    needed = EXERCISES["rem-levels-needed"].reference
    passed, message = grade("rem-levels-needed", lambda beta, v: needed(beta, v) * (1 + 3e-6))
    assert not passed and "nearly right" in message
    one, other = re.search(r"value (\S+), should be ([^,\s]+)", message).groups()
    assert one != other  # as many digits as show the difference
    assert grade(
        "rem-levels-needed", lambda beta, v: np.float32(needed(beta, v) * (1 + 3e-6))
    ).passed
    assert not grade(
        "rem-levels-needed", lambda beta, v: np.float32(needed(beta, v) * (1 + 1e-4))
    ).passed


NEEDED = EXERCISES["rem-levels-needed"].reference  # one number for each beta


LEVELS = "rem-levels-needed"


@pytest.mark.parametrize(
    ("label", "answer", "says"),
    [
        (LEVELS, lambda b, v: NEEDED(b, v) + 0.5j, "complex, with imaginary parts such as 0.5"),
        (LEVELS, lambda b, v: NEEDED(b, v) + complex(0, np.nan), "complex"),
        (LEVELS, lambda b, v: np.sqrt(-NEEDED(b, v) + 0j), "root or logarithm of a negative"),
        (LEVELS, lambda b, v: sys.exit(3), "ended Python by sys.exit"),
        (LEVELS, lambda b, v: exit_somewhere(), "ended Python by sys.exit"),
        (LEVELS, lambda b, v: np.array([None] * len(b)), "entry [0] is None: it was never given"),
        (LEVELS, lambda b, v: [*NEEDED(b, v)[:-1], None], "is None: it was never given a number"),
        (LEVELS, lambda b, v: [*NEEDED(b, v)[:-1], ...], "is Ellipsis: it was never given"),
        (LEVELS, lambda b, v: [*NEEDED(b, v)[:-1], "x"], "should return numbers"),
        (LEVELS, lambda b, v: [*NEEDED(b, v)[:-1], {}], "is dict: {}"),
        (LEVELS, lambda b, v: (NEEDED(b, v), 0.1), "in a tuple, of shapes (5,), (); one array"),
        (LEVELS, lambda b, v: [NEEDED(b, v), 0.1], "in a list, of shapes (5,), (); one array"),
        (LEVELS, lambda b, v: np.array([NEEDED(b, v), [1]], dtype=object), "2 parts in a ndarray"),
        (LEVELS, lambda b, v: [torch.ones(2), torch.ones(3)], "of shapes (2,), (3,); one array"),
        (LEVELS, lambda b, v: (NEEDED(b, v), NEEDED(b, v)), "2 values came in a tuple, one array"),
        (LEVELS, lambda b, v: ([1.0, 2.0], [3.0, 4.0]), "2 values came in a tuple, one array"),
        (LEVELS, lambda b, v: (torch.ones(2), torch.ones(2)), "2 values came in a tuple"),
        (LEVELS, lambda b, v: 3.0, "shape is (), should be (5,): an array is asked for"),
        (LEVELS, lambda b, v: {"a": NEEDED(b, v)}, "should return numbers, but returned dict"),
        (LEVELS, lambda b, v: (x for x in NEEDED(b, v)), "numbers, but returned generator"),
        (LEVELS, lambda b, v: "3.5", "should return numbers, but returned str: '3.5'"),
        (LEVELS, lambda b, v: np.array(["3.5"] * 3), "should return numbers, but returned ndarray"),
        (LEVELS, lambda b, v: np.ma.masked_less(NEEDED(b, v), 9e9), "some entries are masked"),
        (LEVELS, lambda b, v: NEEDED(b, v).astype(np.float16), "half precision keeps three digits"),
        (LEVELS, lambda b, v: torch.tensor(NEEDED(b, v)).bfloat16(), "keeps three digits"),
        (LEVELS, lambda b, v: NEEDED(b, v) if len(b) == 5 else None, "every way through"),
        ("cond-ess", lambda w: w, "one number is asked for, not an array"),
        ("cond-ess", lambda w: (1.0, 2.0), "2 values came in a tuple, one number is asked for"),
        ("cond-ess", lambda w: (w, 2.0), "of shapes (45,), (); one number is asked for"),
        ("cond-ess", lambda w: type, "should return numbers, but returned type"),
    ],
)  # fmt: skip
def test_other_things_are_refused_in_words(label, answer, says):
    passed, message = grade(label, answer)
    assert not passed and says in message, message


def exit_somewhere():
    raise SystemExit


def test_numbers_of_other_kinds_are_numbers():
    assert grade(
        "train-memory", lambda steps, a: Fraction(EXERCISES["train-memory"].reference(steps, a))
    ).passed
    sparse = EXERCISES["ld-jacobian-exercise"].reference
    assert grade(
        "ld-jacobian-exercise", lambda *inputs: torch.tensor(sparse(*inputs)).to_sparse()
    ).passed
    assert grade("rem-levels-needed", lambda b, v: np.ma.array(NEEDED(b, v))).passed


def test_ten_million_zeros_are_refused_at_once():
    for zeros in ([0] * 10**7, (0,) * 10**7, [[0]] * 10**7):
        start = time.process_time()
        passed, message = grade("rem-levels-needed", lambda beta, v, zeros=zeros: zeros)
        assert time.process_time() - start < 0.5
        assert not passed and "shape is (10000000, ...), should be (5,)" in message


def printed_lines(message):
    """The lines of a message that are code."""
    return textwrap.dedent(
        "\n".join(line for line in message.split("\n") if line.startswith("    "))
    )


@pytest.mark.parametrize("label", EXERCISES)
def test_inputs_of_a_failure_can_be_had_again(label):
    """The printed lines, run as they are, call the function on the very inputs that failed."""
    seen = []

    def mine(*inputs):
        seen.append(inputs)
        return "nothing of use"

    _, message = grade(label, mine)
    assert "for inputs 1 of 3: " in message
    exec(printed_lines(message), {"mine": mine})
    for one, other in zip(*seen, strict=True):
        assert callable(one) or np.array_equal(one, other)
    names = list(exercise_inputs(label, 1))
    assert all(name in message for name in names) and "function <" not in message


def test_the_trial_that_failed_is_the_one_shown():
    def only_first(beta, v):
        if len(beta) != len(exercise_inputs("rem-levels-needed", 1)["beta"]):
            raise KeyError("second")
        return NEEDED(beta, v)

    _, message = grade("rem-levels-needed", only_first)
    assert (
        'exercise_inputs("rem-levels-needed", 2)' in message
        and "only_first(*inputs.values())" in message
    )
    last = exercise_inputs("rem-levels-needed", 3)["v"]
    _, message = grade("rem-levels-needed", lambda b, v: NEEDED(b, v) + (7 if v == last else 0) * b)
    assert 'exercise_inputs("rem-levels-needed", 3)' in message and "    answer(*inputs" in message


def test_inputs_are_new_each_time_and_refused_by_number():
    one = exercise_inputs("rem-levels-needed", 2)
    one["beta"] *= 0
    assert exercise_inputs("rem-levels-needed", 2)["beta"].all()
    assert inputs_of(EXERCISES["rem-levels-needed"], 2)["v"] == one["v"]
    for bad in (0, 4, "1", 1.5):
        with pytest.raises(ValueError, match=r"number is .*; allowed are 1 to 3"):
            exercise_inputs("rem-levels-needed", bad)
    with pytest.raises(ValueError, match="the nearest are rem-log-z"):
        exercise_inputs("rem-log")


def test_an_exception_shows_the_line_of_the_students_code():
    def helper(beta):
        return np.linalg.inv(beta)  # here

    def answer(beta, v):
        return helper(beta)

    _, message = grade("rem-levels-needed", answer)
    line = helper.__code__.co_firstlineno + 1
    assert message.startswith("raised LinAlgError: ")
    assert f"in line {line} of test_grading.py: return np.linalg.inv(beta)  # here" in message
    _, message = grade("rem-levels-needed", lambda beta: beta)
    assert "raised TypeError" in message and "in line" not in message  # it never began
    _, message = grade("rem-levels-needed", lambda b, v: sys.exit())
    assert "of test_grading.py: " in message

    def endless(beta, v):
        return endless(beta, v)

    assert "raised RecursionError" in grade("rem-levels-needed", endless)[1]

    def talks(beta, v):
        raise ValueError("x" * 10**6)

    assert len(grade("rem-levels-needed", talks)[1]) < 2_000


def test_a_notebook_cell_is_named_as_in_its_own_tracebacks(tmp_path):
    code = """
        from IPython.core.history import HistoryManager
        HistoryManager.enabled = False
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance()
        shell.run_cell("from memolib.exercises import check", store_history=True)
        shell.run_cell("def f(w):\\n    a = w\\n    return a / undefined\\n", store_history=True)
        shell.run_cell("check('cond-ess', f)", store_history=True)
    """
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
        env={
            "PYTHONPATH": os.pathsep.join(sys.path),
            "IPYTHONDIR": str(tmp_path),
            "PYTHONIOENCODING": "utf-8",
        },
    ).stdout
    assert "in line 3 of Cell In[2]: return a / undefined" in out, out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_a_grade_survives_every_output(monkeypatch, encoding):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)

    def greek(beta, v):
        raise ValueError("β ≤ 0")

    check("rem-levels-needed", NEEDED)
    check("rem-levels-needed", greek)
    out.flush()
    text = out.buffer.getvalue().decode(encoding)
    right, wrong = ("✔", "✘") if encoding == "utf-8" else ("[right]", "[wrong]")
    assert text.startswith(f"{right} rem-levels-needed") and f"\n{wrong} rem-levels-needed" in text
    assert "β ≤ 0" in text if encoding == "utf-8" else "\\u03b2 \\u2264 0" in text


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_script_in_a_narrow_pipe_ends_well(encoding):
    code = """
from memolib.exercises import check
check('cond-ess', lambda w: None)
check('cond-ess', lambda w: w)
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": encoding},
    ).stdout.decode(encoding)  # fmt: skip
    assert out.startswith("[wrong] cond-ess: nothing returned yet")
