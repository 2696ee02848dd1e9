"""Old addresses of the book lead on: a Sphinx extension that reads ``book/moved.json``.

The file maps addresses of earlier versions, ``page.html`` or ``page.html#anchor``, to those of
today. A page that has given anchors away gets a script that sends a reader on who comes for one of
them; a page that is gone leaves one that forwards, with or without script. Both work in a copy on
disk.
"""

import html
import json
import posixpath
from pathlib import Path

from sphinx.application import Sphinx

from memolib._files import write_text

MOVED = Path(__file__).resolve().parent.parent / "book" / "moved.json"

SCRIPT = """
(() => {
  const moved = %s;
  const follow = () => {
    const target = moved[decodeURIComponent(location.hash.slice(1))] ?? moved[""];
    if (target) location.replace(target);
  };
  addEventListener("hashchange", follow);
  follow();
})();
"""

STUB = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Moved</title>
<script>%s</script>
<noscript><meta http-equiv="refresh" content="0; url=%s"></noscript>
</head>
<body><p>This page has moved: <a href="%s">%s</a>.</p></body>
</html>
"""


def moved_from() -> dict[str, dict[str, str]]:
    """Give, for each page that has lost something, its new addresses by anchor, "" for the page."""
    pages: dict[str, dict[str, str]] = {}
    for old, new in json.loads(MOVED.read_text()).items():
        page, _, anchor = old.partition("#")
        pages.setdefault(page, {})[anchor] = new
    return pages


def script_of(page: str, targets: dict[str, str]) -> str:
    """Write the script that sends a reader on from a page.

    Args:
        page: its address, from the root of the book.
        targets: new addresses from there, by anchor; "" stands for any other, and for none.

    Returns:
        JavaScript, with addresses relative to the page.
    """
    folder = posixpath.dirname(page)
    near = {anchor: posixpath.relpath(new, folder) for anchor, new in targets.items()}
    return SCRIPT % json.dumps(near).replace("</", "<\\/")


def stub_of(page: str, targets: dict[str, str]) -> str:
    """Write the page that a page which is gone leaves behind; arguments as for ``script_of``."""
    home = html.escape(posixpath.relpath(targets[""], posixpath.dirname(page)))
    return STUB % (script_of(page, targets), home, home, home)


def _add_script(app: Sphinx, pagename: str, *_: object) -> None:
    """Add the script to a page that has given anchors away."""
    targets = moved_from().get(f"{pagename}.html")
    if targets:
        app.add_js_file(None, body=script_of(f"{pagename}.html", targets))


def _write_stubs(app: Sphinx, exception: Exception | None) -> None:
    """Leave a page where one is gone."""
    if exception or app.builder.format != "html":
        return
    for page, targets in moved_from().items():
        path = Path(app.outdir) / page
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, stub_of(page, targets))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("html-page-context", _add_script)
    app.connect("build-finished", _write_stubs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
