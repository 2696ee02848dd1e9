"""Numbers that the pages quote: <!--chapter::expression:format-->0.052<!---->.

The chapter, by the name of its file, computes the expression where it is executed, and keeps the
value with the numbers of its own prose. The chapter ``results`` stands for the folder of that name:
there ``stored("network_grid/*.json")`` is the list of the files' contents, and ``np`` is NumPy.
``python tools/quotes.py`` writes the kept values into the pages.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from memolib._files import write_text
from tools.notebooks import ROOT, chapters, read

QUOTE = re.compile(
    r"<!--(?P<chapter>\w+)::(?P<expression>[^>]+?):(?P<format>[^:>]+)-->(?P<value>[^<]*)<!---->"
)


def pages() -> list[Path]:
    """Give the book's pages that are no notebooks."""
    return sorted((ROOT / "book").rglob("*.md"))


def quoted(chapter: str) -> set[tuple[str, str]]:
    """Expressions and formats that the pages quote from a chapter."""
    found = (match for page in pages() for match in QUOTE.finditer(page.read_text()))
    return {
        (match["expression"], match["format"]) for match in found if match["chapter"] == chapter
    }


def stored(pattern: str) -> list:
    """Contents of the JSON files in results whose names match a pattern."""
    return [json.loads(path.read_text()) for path in sorted((ROOT / "results").glob(pattern))]


def value(chapter: str, expression: str, form: str) -> str:
    """What a chapter has kept of an expression, or the folder of results has."""
    if chapter == "results":
        return format(eval(expression, {"stored": stored, "np": np}), form)
    path = next((path for path in chapters() if path.stem == chapter), None)
    if path is None:
        raise ValueError(f"chapter is {chapter!r}; allowed are those of the table of contents")
    numbers = read(path).metadata["memolib"]["numbers"]
    if f"{expression}:{form}" not in numbers:
        name = path.relative_to(ROOT)
        raise ValueError(
            f"{name} has not computed {expression}: run `make execute NOTEBOOKS={name}`"
        )
    return numbers[f"{expression}:{form}"]


def refreshed(text: str) -> str:
    """Give the text of a page with the values that are kept."""
    return QUOTE.sub(
        lambda m: f"<!--{m[1]}::{m[2]}:{m[3]}-->{value(m[1], m[2], m[3])}<!---->", text
    )


def write_pages() -> None:
    """Write the kept values into the pages; says which pages quote what is not there yet."""
    for page in pages():
        text = page.read_text()
        try:
            new = refreshed(text)
        except ValueError as missing:
            print(f"{page.relative_to(ROOT)} is left as it is: {missing}")
            continue
        if new != text:
            write_text(page, new)


if __name__ == "__main__":
    write_pages()
