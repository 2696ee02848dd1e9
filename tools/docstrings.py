"""How docstrings become the page of the package: a Sphinx extension that ``_config.yml`` names.

A chapter that a docstring names, as ``glass/condensation``, becomes a link to it; the fields of
named tuples, which their class describes, are not listed once more.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

BOOK = Path(__file__).resolve().parent.parent / "book"


def link_pages(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Turn names of pages into links.

    Args:
        app: Sphinx.
        what: kind of the thing that is described.
        name: of it.
        thing: itself.
        options: of the directive.
        lines: of the docstring, which are changed in place.
    """
    lines[:] = [re.sub(r"``(\w+/\w+)``", _link, line) for line in lines]


def _link(match: re.Match[str]) -> str:
    page = BOOK / match[1]
    here = any(page.with_suffix(suffix).exists() for suffix in (".ipynb", ".md"))
    return f":doc:`/book/{match[1]}`" if here else match[0]


def skip_fields(
    app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the fields of named tuples.

    Args:
        app: Sphinx.
        what: kind of the thing that has the member.
        name: of the member.
        thing: itself.
        skip: what Sphinx would do.
        options: of the directive.

    Returns:
        True to leave it out, None to do as Sphinx would.
    """
    return True if type(thing).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Join in.

    Args:
        app: Sphinx.

    Returns:
        What Sphinx asks of an extension.
    """
    app.connect("autodoc-process-docstring", link_pages)
    app.connect("autodoc-skip-member", skip_fields)
    return {"parallel_read_safe": True}
