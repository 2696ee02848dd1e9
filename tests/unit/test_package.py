"""The package as a whole: light imports, size, documentation, one address, what the tools call stale."""

import ast
import inspect
import re
import subprocess
import sys
import time

import nbformat
import pytest

from memolib import (
    checkpoints,
    cluster,
    datasets,
    dimension,
    empirical,
    exercises,
    explore,
    manifolds,
    memorization,
    networks,
    plots,
    rem,
    sampling,
    spectra,
    sweeps,
    theory,
    training,
)
from tools.notebooks import ROOT, chapters, code_only, fingerprint, tracked

MODULES = [rem, theory, manifolds, datasets, empirical, cluster, networks, training, checkpoints, sweeps]
MODULES += [spectra, dimension, sampling, memorization, plots, explore, exercises]


@pytest.mark.parametrize("module", ["rem", "theory"])
def test_theory_imports_fast_and_without_torch(module):
    code = f"import sys; from memolib import {module}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    start = time.perf_counter()
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert time.perf_counter() - start < 2  # one second of the machine's own, and room for a busy one
    assert not {"torch", "matplotlib", "sklearn", "ipywidgets"} & set(loaded)


def test_size():
    """3,000 lines of code; docstrings, which give every shape, unit, error and source, come on top."""
    texts = {p: p.read_text() for p in (ROOT / "memolib").rglob("*.py") if "exercises" not in p.parts}
    code = [line for text in texts.values() for line in code_only(text).splitlines() if line.strip()]
    assert len(code) < 3_000
    assert max(len(text.splitlines()) for text in texts.values()) < 380


def public(module):
    for name, thing in vars(module).items():
        if (
            not name.startswith("_")
            and getattr(thing, "__module__", "").startswith(module.__name__)
            and callable(thing)
        ):
            yield name, thing


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_public_functions_are_documented(module):
    found = dict(public(module))
    assert found
    for name, thing in found.items():
        doc = inspect.getdoc(thing) or ""
        assert doc, name
        if inspect.isfunction(thing):
            for parameter in inspect.signature(thing).parameters:
                assert re.search(rf"^\s+\**{parameter}:", doc, re.M), (name, parameter)
        if module is rem and inspect.isfunction(thing):
            assert all(section in doc for section in ("Returns:", "Raises:", "Source:", "Chapter:")), name


def test_the_repository_has_one_address():
    address = re.search(r"url: &repository (\S+?),", (ROOT / "_config.yml").read_text())[1]
    holders = [p.relative_to(ROOT).as_posix() for p in tracked() if address.encode() in p.read_bytes()]
    assert holders == ["_config.yml"]


def test_versions_agree():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {version} " in (ROOT / "CHANGELOG.md").read_text()


def test_requirements_are_pinned_and_cover_the_package():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.match(r"^[A-Za-z0-9_.-]+==[^ ]+( ; .+)?$", pin) for pin in pins)
    names = {pin.split("==")[0] for pin in pins}
    wanted = re.findall(r'^  "([A-Za-z0-9-]+)[<>=]', (ROOT / "pyproject.toml").read_text(), re.M)
    assert len(wanted) > 15 and set(wanted) <= names
    assert not {n for n in names if n.startswith(("nvidia", "cuda", "triton", "nbgrader"))}
    assert {"jupyter-book==1.0.4.post1", "sphinx==7.4.7", "torch==2.13.0"} <= set(pins)


def test_table_of_contents_is_complete():
    toc = (ROOT / "_toc.yml").read_text()
    pages = {
        p.relative_to(ROOT).with_suffix("").as_posix() for s in ("md", "ipynb") for p in (ROOT / "book").rglob(f"*.{s}")
    }
    assert pages == set(re.findall(r"book/\S+", toc))


def test_fingerprint_sees_code_and_ignores_comments():
    with_words = '"""Doc."""\n\n\ndef f(x):  # note\n    """What."""\n    return x + 1\n'
    assert code_only(with_words) == code_only("def f(x):\n    return x + 1\n")
    assert code_only(with_words) != code_only(with_words.replace("+ 1", "+ 2"))
    assert code_only('x = """not a docstring # nor a comment"""\n') == 'x = """not a docstring # nor a comment"""'
    for path in (ROOT / "memolib").rglob("*.py"):
        ast.parse("if 1:\n pass\n" + code_only(path.read_text()).replace(":\n\n", ":\n"))  # still whole lines
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("a = 1")])
    before = fingerprint(notebook, ["memolib.rem"])
    assert fingerprint(notebook, ["memolib.rem", "memolib.plots"]) != before
    notebook.cells[0].source = "a = 2"
    assert fingerprint(notebook, ["memolib.rem"]) != before


def test_chapters_are_found():
    assert [p.name for p in chapters()][:2] == ["tour.ipynb", "random_energy_model.ipynb"]
