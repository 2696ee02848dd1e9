"""What is stored in the notebooks: outputs that belong to the code, figures that everybody can
read, short cells."""

import json
import re
import statistics

import pytest

from memolib.explore import MAX_BYTES
from tools import quotes
from tools.execute import NOTEBOOKS
from tools.notebooks import NUMBER, ROOT, chapters, notebooks, read

CHAPTERS = pytest.mark.parametrize("path", chapters(), ids=lambda p: p.stem)
ALL = pytest.mark.parametrize("path", notebooks(), ids=lambda p: p.stem)
RUN_TIMES = json.loads((ROOT / "results" / "run_times.json").read_text())


def says_something(alt: str) -> bool:
    return (
        len(re.findall("[A-Za-z]", alt)) >= 20
        and " " in alt.strip()
        and not re.search(r"\.(png|svg)$|_build/", alt)
    )


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def outputs(cell, mime):
    return [output.data[mime] for output in cell.outputs if mime in output.get("data", {})]


def prose(path):
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


@ALL
def test_outputs_hold(path):
    """Changed code, here or in memolib, needs `make verify`, or `make execute`, before it lands."""
    assert NOTEBOOKS.state({"chapter": path.stem}).name == "fresh", NOTEBOOKS.state(
        {"chapter": path.stem}
    ).why
    assert set(read(path).metadata) == {"kernelspec", "language_info", "memolib"}
    assert [cell.execution_count for cell in code_cells(path)] == list(
        range(1, len(code_cells(path)) + 1)
    )


def test_no_stamp_is_of_a_notebook_that_is_gone():
    assert NOTEBOOKS.besides() == []


@ALL
def test_no_errors_and_no_warnings_are_stored(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", output.get("text")


@ALL
def test_numbers_in_prose_are_computed(path):
    numbers = read(path).metadata["memolib"]["numbers"]
    found = {f"{m['expression']}:{m['format']}": m["value"] for m in NUMBER.finditer(prose(path))}
    assert found.items() <= numbers.items()
    assert numbers.keys() - found.keys() <= {
        f"{expression}:{form}" for expression, form in quotes.quoted(path.stem)
    }
    assert all(re.search(r"\d", value) for value in found.values())
    assert not re.search(r"^[\s:*-]*<!--", prose(path), re.M), (
        "a number at the start of a line swallows the line"
    )


@CHAPTERS
def test_numbers_are_checked(path):
    checked = [c for c in code_cells(path) if "nbval-check-output" in c.metadata.get("tags", [])]
    with_digits = [
        c
        for c in checked
        if re.search(r"\d\.\d{2,}", "".join(o.get("text", "") for o in c.outputs))
    ]
    assert len(with_digits) >= 5
    assert not any("nbval-skip" in c.metadata.get("tags", []) for c in code_cells(path))


@CHAPTERS
def test_every_figure_has_caption_and_alternative_text(path):
    names = []
    for cell in code_cells(path):
        explorable = outputs(cell, "text/html")
        if not explorable and not outputs(cell, "image/png"):
            continue
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        assert len(figure.get("caption", "")) > 40, cell.source
        names.append(figure.get("name"))
        if explorable:
            alts = re.findall(r'<img [^>]*alt="([^"]*)"', explorable[0])
            assert len(explorable[0]) <= MAX_BYTES
        else:
            alts = [cell.metadata["mystnb"].get("image", {}).get("alt", "")]
        assert alts and all(says_something(alt) for alt in alts), (alts, cell.source)
    assert len(names) == len(set(names)) and all(names)
    assert any(outputs(cell, "text/html") for cell in code_cells(path)), "no explorable figure"


def test_alternative_texts_that_say_nothing_are_refused():
    for bad in (
        "",
        "figure",
        "../../_build/jupyter_execute/0a1b2c.png",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "plot of x",
    ):
        assert not says_something(bad)
    assert says_something("A curve that rises from zero to one as t grows")


@CHAPTERS
def test_cells_are_short(path):
    lengths = [
        sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in code_cells(path)
    ]
    assert max(lengths) <= 25 and statistics.median(lengths) <= 6, sorted(lengths)


@CHAPTERS
def test_every_chapter_has_its_parts(path):
    text = prose(path)
    for part in (
        "Before you start",
        "minutes to read",
        "\n## Summary",
        "**What next.**",
        "\n## References",
    ):
        assert part in text, part
    if path.stem != "tour":
        assert (
            "\n## Exercises" in text and 3 <= len(re.findall(r"^`+\{exercise\}", text, re.M)) <= 5
        )


@CHAPTERS
def test_run_time_is_within_the_budget(path):
    seconds, megabytes = RUN_TIMES[path.relative_to(ROOT).as_posix()]
    assert seconds <= {"networks": 120, "book": 40}.get(path.parent.name, 60)
    assert megabytes <= 1536


@pytest.mark.parametrize("page", quotes.pages(), ids=lambda p: p.stem)
def test_pages_quote_what_the_chapters_computed(page):
    text = page.read_text()
    assert text == quotes.refreshed(text), "stale: run `make execute`, or `python tools/quotes.py`"
    assert not re.search(r"^[\s:*-]*<!--\w+::", text, re.M), (
        "a number at the start of a line swallows the line"
    )


def test_quotes_that_nothing_stands_behind_are_refused():
    for chapter, expression, message in (
        ("condensation", "no_such_name", "has not computed no_such_name"),
        ("no_such_chapter", "1", "chapter is 'no_such_chapter'; allowed are"),
    ):
        with pytest.raises(ValueError, match=message):
            quotes.refreshed(f"A <!--{chapter}::{expression}:.2f-->1.00<!---->")
    assert len({path.stem for path in chapters()} - {"results"}) == len(chapters())
