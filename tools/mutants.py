"""Do the tests see a wrong formula? The code is changed, one place at a time, and they are run.

    python tools/mutants.py MODULE [--sample 30] [--seed 0] [--only 5 17]

Each mutant is a copy of the package with one operator, comparison, constant or call changed. The
module's own test files (``TESTS``) are run on it until the first failure: it is killed, or it
survives and is printed, with its line. Messages of errors, annotations and defaults that are text
are left alone. Tests that fail without a change are left out, and named. Every mutant is a process
of its own, with torch loaded beforehand, and is stopped after ``SECONDS`` of computing (an endless
loop counts as killed).
"""

import argparse
import ast
import contextlib
import copy
import os
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 240
TESTS = {  # the quickest first
    "_softmax": ("engine", "denoisers", "scale"),
    "denoisers": ("contract",),
    "dimension": ("dimension",),
    "empirical": ("engine", "denoisers", "scale", "contract"),
    "foreign": ("foreign", "properties"),
    "manifolds/chart": ("curved",),
    "manifolds/hidden": ("contract", "curved"),
    "manifolds/linear": ("denoisers", "contract"),
    "manifolds/mixture": ("mixtures", "contract"),
    "manifolds/sphere": ("manifolds", "contract"),
    "memorization": ("copies", "points", "scale", "curved"),
    "sampling": ("sampling", "copies"),
    "spectra": ("leading", "gaps", "denoisers", "properties"),
}
WITHOUT = "not shard and not cluster and not worker and not views"  # tests that start processes
SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}  # fmt: skip
DROPPED = ("detach", "clamp", "clamp_", "abs", "sqrt", "flip", "clone", "double", "log", "exp")


def places(tree: ast.Module) -> list[tuple[ast.AST, str]]:
    """Where a module can be changed: the nodes, in order, and how."""
    found = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, (ast.Raise, ast.Import, ast.ImportFrom, ast.JoinedStr)):
            return
        if isinstance(node, (ast.BinOp, ast.BoolOp, ast.Compare)):
            operator = node.ops[0] if isinstance(node, ast.Compare) else node.op
            if type(operator) in SWAPS:
                found.append((node, "operator"))
        if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
            found.append((node, "constant"))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            found.append((node, "sign"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in DROPPED and not isinstance(node.func.value, ast.Name):
                found.append((node, "call"))
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        visit(child)

    visit(tree)
    return found


def changed(tree: ast.Module, number: int) -> tuple[str, str]:
    """The source with one place changed, and the change in words."""
    tree = copy.deepcopy(tree)
    node, how = places(tree)[number]
    before = ast.unparse(node)
    if how == "operator":
        if isinstance(node, ast.Compare):
            node.ops[0] = SWAPS[type(node.ops[0])]()
        else:
            node.op = SWAPS[type(node.op)]()
        after = ast.unparse(node)
    elif how == "constant":
        other = not node.value if isinstance(node.value, bool) else 2 * node.value
        node.value = other if node.value or isinstance(node.value, bool) else 1
        after = ast.unparse(node)
    else:
        new = node.operand if how == "sign" else node.func.value
        after = ast.unparse(new)
        for parent in ast.walk(tree):
            for name, value in ast.iter_fields(parent):
                if value is node:
                    setattr(parent, name, new)
                elif isinstance(value, list) and any(item is node for item in value):
                    value[[item is node for item in value].index(True)] = new
    return ast.unparse(tree), f"line {node.lineno}: {before[:90]}  ->  {after[:90]}"


def run_tests(house: Path, files: list[str], more: list[str], log: Path) -> int:
    """Run pytest in a process of its own, with the package of ``house``: its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:  # whatever happens here, the copy of the main process goes no further
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.chdir(house)
            sys.path.insert(0, str(house))
            import pytest

            status = int(pytest.main(["-q", "-m", "not slow", "-k", WITHOUT, *more, *files]))
            sys.stdout.flush()
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def chosen(tree: ast.Module, sample: int, seed: int) -> list[int]:
    """The numbers of a sample of a module's mutants."""
    numbers = range(len(places(tree)))
    return sorted(random.Random(seed).sample(numbers, min(sample, len(numbers))))


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """A copy of what the tests need, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        house = Path(folder) / "house"
        shutil.copytree(ROOT / "memolib", house / "memolib")
        shutil.copytree(ROOT / "tests" / "unit", house / "tests" / "unit")
        shutil.copy(ROOT / "pyproject.toml", house)
        yield house


def main() -> None:
    """Run a sample of a module's mutants and print the score and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", choices=sorted(TESTS))
    parser.add_argument("--sample", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of mutants to try again")
    parser.add_argument("--tests", nargs="*", help="other test files than those of TESTS")
    given = parser.parse_args()
    import scipy.special  # noqa: F401  (loaded once, for all the processes)
    import torch

    torch.set_num_threads(1)
    with copied() as house:
        names = [f"tests/unit/test_{name}.py" for name in given.tests or TESTS[given.module]]
        files = [name for name in names if (house / name).exists()]
        target, log = house / "memolib" / f"{given.module}.py", house / "log"
        run_tests(house, files, [], log)
        failing = [
            line.split()[1]
            for line in log.read_text().splitlines()
            if line.startswith(("FAILED", "ERROR"))
        ]
        left_out = [word for test in failing for word in ("--deselect", test)]
        print("failing without a change:", failing or "none", flush=True)
        killed, total = 0, 0
        tree = ast.parse(target.read_text())
        for number in given.only or chosen(tree, given.sample, given.seed):
            source, what = changed(tree, number)
            with target.open("w") as file:  # a copy's, not the package's
                file.write(source)
            status = run_tests(house, files, ["-x", *left_out], log)
            total += 1
            killed += status != 0
            if status == 0:
                print(f"survived {number}: {what}", flush=True)
    print(f"{given.module}: {killed} of {total} killed")


if __name__ == "__main__":
    main()
