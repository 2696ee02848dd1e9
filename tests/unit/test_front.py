"""The front of the package: a researcher's names, light imports, examples, quick start, extras."""

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib

import pytest

import memolib
from tools.notebooks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(code, cwd):
    out = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    return out.stdout


def test_every_name_is_there_and_loaded_when_used(tmp_path):
    for name in memolib.__all__:
        assert getattr(memolib, name) is not None
    assert set(memolib.__all__) <= set(dir(memolib))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        memolib.nothing  # noqa: B018
    said = run(
        """
import sys, memolib
print('torch' in sys.modules)
memolib.theory.collapse_time([1.0], 10), memolib.rem
print('torch' in sys.modules)
memolib.Empirical
print('torch' in sys.modules)
""",
        tmp_path,
    )
    assert said.split() == ["False", "False", "True"]


@pytest.mark.parametrize("name", sorted(memolib._NAMES))
def test_each_name_has_an_example_with_an_answer(name):
    """Of its own, that uses it as ``memolib`` lends it, and says what it gives."""
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(memolib, name), name)
    sources = [example.source for example in test.examples]
    used = [source for source in sources if re.search(rf"\b{name}\b", source)]
    assert len(used) > 1 and re.match(r"from memolib import ", used[0])
    assert any(example.want for example in test.examples)


MODULES = [m.name for m in pkgutil.walk_packages(memolib.__path__, "memolib.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


# Packages by the name under which they are imported, where it is another.
IMPORTED = {"pillow": "PIL", "scikit-dimension": "skdim", "scikit-learn": "sklearn"}
# An interpreter that has not installed the extras.
BARE = """
import sys
from importlib.machinery import PathFinder

class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split(".")[0] not in {names}:
            return super().find_spec(name, path, target)

sys.meta_path = [Bare if finder is PathFinder else finder for finder in sys.meta_path]
"""


def packages(*extras):
    """The import names of what extras need, or the core."""
    wanted = [entry for extra in extras for entry in PROJECT["optional-dependencies"][extra]]
    wanted = wanted if extras else PROJECT["dependencies"]
    names = [re.match(r"[\w-]+", entry)[0] for entry in wanted]
    return {IMPORTED.get(name, name) for name in names}


def bare(code, cwd):
    names = packages("book", "cluster") | {"dask", "IPython"}
    return run(BARE.format(names=sorted(names)) + code, cwd)


def test_the_core_works_without_the_extras(tmp_path):
    """Import every name, and go once from data to copies and back from a file."""
    said = bare(
        """
import os
import numpy as np
import memolib as ml

for name in set(ml.__all__) - {"explore", "plots"}:
    assert getattr(ml, name) is not None, name
images = {f"x_{part}": np.full((2, 28, 28), 255, np.uint8) for part in ("train", "test")}
labels = {f"y_{part}": np.zeros(2, np.uint8) for part in ("train", "test")}
np.savez("mnist.npz", **images, **labels)
os.environ["MEMOLIB_DATA"] = "."
assert ml.datasets.is_here("mnist") and ml.datasets.mnist().x.min() == 1
law = ml.LinearManifold([1.0, 1.0, 0.0])
data, fresh = law.sample(100, seed=0), law.sample(100, seed=1)
D = ml.Empirical(data)
x = ml.add_noise(data[:10], t=0.01, seed=0)
print(len(ml.spectrum(D, x, t=0.01)), len(ml.effective_dimension(D, x, t=0.01)))
print(ml.copies(ml.sample(D, 20, t_end=1e-6, seed=1), data, fresh).double().mean().item())
network = ml.train(data, ml.ResidualMLP(3, width=8), steps=10).denoisers[0]
ml.save("network.safetensors", network)
print(bool((ml.load("network.safetensors")(x, 0.01) == network(x, 0.01)).all()))
done = ml.sweeps.sweep(ml.sweeps.grid, [], "runs").done
inputs = ml.exercises.exercise_inputs("rem-log-z")
print(bool(inputs), round(ml.theory.collapse_time([1.0, 1.0], 5), 6), done)
""",
        tmp_path,
    )
    assert said.split("\n") == ["10 10", "1.0", "True", "True 0.25 []", ""]


@pytest.mark.parametrize(
    "code, package, extra",
    [
        ("memolib.plots", "matplotlib", "book"),
        ("from memolib.plots import use_style", "matplotlib", "book"),
        ("from memolib import explore", "matplotlib", "book"),
        ("memolib.datasets.digits()", "sklearn", "book"),
        ("memolib.datasets.mnist()", "pooch", "book"),
        ("memolib.Sharded([[[0.0]]], 'tcp://127.0.0.1:1')", "distributed", "cluster"),
        ("memolib.sweeps.sweep(run, [], '.', address='x')", "distributed", "cluster"),
    ],
)
def test_what_needs_an_extra_says_which(tmp_path, code, package, extra):
    said = bare(
        f"""
import os
import memolib
run = memolib.sweeps.grid
os.environ.pop("MEMOLIB_DATA", None)
try:
    {code}
except ImportError as error:
    print(error.name, "|", error)
""",
        tmp_path,
    )
    name, _, text = said.strip().partition(" | ")
    assert name == package
    assert text == (
        f"{package} is not installed; it comes with memolib's extra {extra!r}: "
        f"pip install 'losing-dimensions[{extra}]', or '.[{extra}]' in a clone of the book"
    )


def imports_of(path):
    """Each package that a file imports, with the extra that its import asks for, or none."""
    found = set()

    def visit(node, extra):
        if isinstance(node, ast.With):
            call = node.items[0].context_expr
            if getattr(getattr(call, "func", None), "id", "") == "extra":
                extra = call.args[0].value
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update((alias.name.split(".")[0], extra) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            found.add((node.module.split(".")[0], extra))
        for child in ast.iter_child_nodes(node):
            visit(child, extra)

    visit(ast.parse(path.read_text()), None)
    return found


def test_imports_are_what_the_project_says():
    """The core imports its dependencies, and each block of an extra what that extra brings."""
    used = {None: set(), "book": set(), "cluster": set()}
    for path in (ROOT / "memolib").rglob("*.py"):
        for name, extra in imports_of(path):
            if name not in sys.stdlib_module_names | {"memolib", "IPython"}:  # IPython asks itself
                used[extra].add(name)
    assert used[None] == packages()
    assert used["book"] == packages("book") - {"skdim"}  # a chapter's own
    assert used["cluster"] == packages("cluster")


def test_the_quick_start_works_as_printed_from_an_empty_folder(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) == 1
    printed = run(blocks[0], tmp_path)
    assert (
        re.search(r"tensor\(\[", printed)
        and 0.5 < float(re.findall(r"tensor\((\d\.\d*)", printed)[-1]) <= 1
    )
