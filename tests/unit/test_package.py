"""The package as a whole: light imports, size, one address, what the tools call stale."""

import ast
import io
import itertools
import os
import re
import subprocess
import sys
import tokenize
import tomllib

import nbformat
import pytest

from tools.notebooks import ROOT, chapters, code_of_cells, read, tracked


@pytest.mark.parametrize("module", ["rem", "theory"])
def test_theory_imports_fast_and_without_torch(module):
    code = f"""
import sys
from memolib import {module}
print(*sorted({{m.split('.')[0] for m in sys.modules}}))
"""
    before = os.times()
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    after = os.times()
    spent = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    assert spent < 2  # a second of the processor's own, and room for a slower one
    assert not {"torch", "matplotlib", "sklearn", "ipywidgets"} & set(loaded)


def lines_of_code(text):
    """Lines that hold code: no docstrings, no comments, no empty ones."""
    inside = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.string.strip() and token.type != tokenize.COMMENT:
            inside |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            inside -= set(range(body[0].lineno, body[0].end_lineno + 1))
    return len(inside)


def test_size():
    """A house that one person can read: docstrings, which give every shape, unit, error and source,
    come on top."""
    sizes = {
        p: lines_of_code(p.read_text())
        for p in (ROOT / "memolib").rglob("*.py")
        if "exercises" not in p.parts
    }
    assert max(sizes.values()) < 350, sizes
    assert lines_of_code('"""Doc.\n\nMore."""\n\nx = 1  # note\n# note\ny = """\n2"""\n') == 3


def test_files_are_written_by_one_helper():
    """Whole or not at all: ``memolib._files``, and nothing beside it."""
    plain = re.compile(
        r"\.write_text\(|\.write_bytes\(|savez|np\.save\(|savefig\(|save_file\(|json\.dump\("
    )
    allowed = {
        "memolib/_files.py",  # the helper
        "memolib/checkpoints.py",  # a way to write a part
        "results/_stored.py",  # another
        "memolib/explore.py",  # figures to memory
        "benchmarks/_common.py",  # the system's own switch
        "tools/mutants.py",  # copies that are thrown away
    }
    for folder in ("memolib", "results", "tools", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.relative_to(ROOT).as_posix() not in allowed:
                assert not plain.search(path.read_text()), path


def test_the_repository_has_one_address():
    address = re.search(r"url: &repository (\S+?),", (ROOT / "_config.yml").read_text())[1]
    holders = [
        p.relative_to(ROOT).as_posix() for p in tracked() if address.encode() in p.read_bytes()
    ]
    assert holders == ["_config.yml"]


def test_versions_agree():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^## {re.escape(version)} \(", (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_requirements_are_pinned_and_cover_the_package():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.match(r"^[A-Za-z0-9_.-]+==[^ ]+( ; .+)?$", pin) for pin in pins)
    names = {pin.split("==")[0] for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *itertools.chain.from_iterable(extras)]
    assert len(wanted) > 15 and {re.match(r"[\w-]+", entry)[0] for entry in wanted} <= names
    assert not {n for n in names if n.startswith(("nvidia", "cuda", "triton", "nbgrader"))}
    assert {"jupyter-book==1.0.4.post1", "sphinx==7.4.7", "torch==2.13.0"} <= set(pins)


def test_table_of_contents_is_complete():
    toc = (ROOT / "_toc.yml").read_text()
    pages = {
        p.relative_to(ROOT).with_suffix("").as_posix()
        for s in ("md", "ipynb")
        for p in (ROOT / "book").rglob(f"*.{s}")
    }
    assert pages == set(re.findall(r"book/\S+", toc))


def test_a_notebook_is_known_by_what_its_cells_do():
    def code(*cells):
        return code_of_cells(
            nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        )

    before = code("a = 1", "if a:\n    %pip install x")
    assert before == code("a=1  # note", "if a:\n        %pip install x")
    assert before != code("a = 2", "if a:\n    %pip install x") and before != code(
        "a = 1", "if a:\n    %pip install y"
    )
    for path in chapters():
        assert len(code_of_cells(read(path))) == 16


def test_chapters_are_found():
    assert [p.name for p in chapters()][:2] == ["tour.ipynb", "random_energy_model.ipynb"]
