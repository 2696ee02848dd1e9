"""What the notebooks of the book are, and whether their stored outputs belong to the code."""

import re
import subprocess
from pathlib import Path

import nbformat
import yaml

from memolib._code import digest

ROOT = Path(__file__).resolve().parent.parent

MAGIC = re.compile(r"^(\s*)([%!].*)$", re.M)  # a line that is Jupyter's, not Python's

# A number in prose: <!--expression:format-->0.052<!---->
NUMBER = re.compile(r"<!--(?P<expression>[^>]+?):(?P<format>[^:>]+)-->(?P<value>[^<]*)<!---->")


def notebooks() -> list[Path]:
    """Give the notebooks in the order of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    sections = [toc, *(toc.get("parts") or [])]
    files = [chapter["file"] for section in sections for chapter in section.get("chapters", [])]
    return [path for file in files if (path := ROOT / f"{file}.ipynb").exists()]


def chapters() -> list[Path]:
    """Give the notebooks that are chapters, in the same order."""
    return [path for path in notebooks() if path.parent.name != "reference"]


def tracked() -> list[Path]:
    """Give the repository's own files.

    Those that git tracks, or all but what is built or hidden where there is no git.
    """
    git = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if git.returncode == 0:
        return [path for name in git.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    left_out = {"_build", "__pycache__", ".venv"}
    return [
        p for p in ROOT.rglob("*") if p.is_file() and not left_out & set(p.relative_to(ROOT).parts)
    ]


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Give the cells that are run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def code_of_cells(notebook: nbformat.NotebookNode) -> str:
    """Give a digest of what a notebook's cells do, whatever their layout."""
    return digest(
        MAGIC.sub(lambda line: f"{line[1]}_ = {line[2]!r}", cell.source)
        for cell in code_cells(notebook)
    )


def checked_outputs(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """Give source and text of each cell whose output is checked: what a repair must not move."""
    cells = [
        cell
        for cell in code_cells(notebook)
        if "nbval-check-output" in cell.metadata.get("tags", [])
    ]
    return [(cell.source, "".join(map(_text_of, cell.outputs))) for cell in cells]


def _text_of(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return output.text if output.name == "stdout" else ""
    data = output.get("data", {})
    return data.get("text/markdown") or data.get("text/plain", "")
