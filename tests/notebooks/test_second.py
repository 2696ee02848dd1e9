"""Each chapter has one cell that sets its example, and holds from top to bottom for a second one.

The cell is tagged ``example``. Its metadata give, as ``second``, other right-hand sides for some of
its assignments; with these put in, the whole notebook must run, its sliders at both ends, and every
number in its prose must still be computable.
"""

import ast
import re

import nbformat
import pytest

from tools import execute
from tools.notebooks import chapters, code_cells, read

CHAPTERS = pytest.mark.parametrize("path", chapters(), ids=lambda p: p.stem)


def example(notebook):
    """Give the one cell that sets a chapter's example."""
    cells = [cell for cell in code_cells(notebook) if "example" in cell.metadata.get("tags", [])]
    assert len(cells) == 1, f"{len(cells)} cells are tagged example; allowed is one"
    return cells[0]


def changed(source, second):
    """Give a cell's code with the right-hand sides of ``second`` in its assignments."""
    tree = ast.parse(source)
    assigned = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            assigned[node.targets[0].id] = node
    for name, expression in second.items():
        assert name in assigned, f"{name} is not assigned in the example cell"
        value = ast.parse(expression, mode="eval").body
        same = ast.dump(value) == ast.dump(assigned[name].value)
        assert not same, f"{name} = {expression} is what stands there already"
        assigned[name].value = value
    return ast.unparse(tree)


@CHAPTERS
def test_a_chapter_says_what_to_change(path):
    notebook = read(path)
    cell = example(notebook)
    second = cell.metadata.get("second", {})
    assert second, "the example cell's metadata have no second values"
    assert ast.parse(changed(cell.source, second))
    before = notebook.cells[notebook.cells.index(cell) - 1]
    assert before.cell_type == "markdown", "no sentence stands before the example cell"


@pytest.mark.slow
@CHAPTERS
def test_a_chapter_runs_with_a_second_example(path, tmp_path, monkeypatch):
    notebook = read(path)
    cell = example(notebook)
    cell.source = changed(cell.source, cell.metadata["second"])
    other = tmp_path / path.name
    nbformat.write(notebook, other)
    monkeypatch.setattr(execute, "quoted", lambda _: set())  # what pages quote is the first's
    numbers = execute.execute(other, "ends").numbers
    assert all(re.search(r"\d", value) for value in numbers.values()), numbers


def test_a_second_example_that_changes_nothing_is_refused():
    source = "d = 30  # coordinates\nlaw = make(d)"
    assert changed(source, {"d": "20 + 1"}) == "d = 20 + 1\nlaw = make(d)"
    for second, words in (({"e": "1"}, "e is not assigned"), ({"d": "30"}, "stands there already")):
        with pytest.raises(AssertionError, match=words):
            changed(source, second)
