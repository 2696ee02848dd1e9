"""What the notebooks of the book are, and whether their stored outputs belong to the code."""

import ast
import hashlib
import io
import re
import subprocess
import tokenize
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent

# A number in prose: <!--expression:format-->0.052<!---->
NUMBER = re.compile(r"<!--(?P<expression>[^>]+?):(?P<format>[^:>]+)-->(?P<value>[^<]*)<!---->")


def chapters() -> list[Path]:
    """Give the notebooks in the order of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    sections = [toc, *(toc.get("parts") or [])]
    files = [chapter["file"] for section in sections for chapter in section.get("chapters", [])]
    return [path for file in files if (path := ROOT / f"{file}.ipynb").exists()]


def tracked() -> list[Path]:
    """Give the repository's own files: those git tracks, or all but what is built or hidden where there is no git."""
    git = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if git.returncode == 0:
        return [path for name in git.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    left_out = {"_build", "__pycache__", ".venv"}
    return [p for p in ROOT.rglob("*") if p.is_file() and not left_out & set(p.relative_to(ROOT).parts)]


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)


def code_only(source: str) -> str:
    """Give Python source without comments, docstrings and blank lines: what can change an output."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                lines[value.lineno - 1 : value.end_lineno] = [""] * (value.end_lineno - value.lineno + 1)
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines) + "\n").readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] = lines[token.start[0] - 1][: token.start[1]]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def fingerprint(notebook: nbformat.NotebookNode, modules: list[str]) -> str:
    """Give the hash of a notebook's code cells and of the memolib modules that it loaded."""
    digest = hashlib.sha256()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update(cell.source.encode() + b"\0")
    for module in sorted(modules):
        path = ROOT / Path(*module.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        digest.update(code_only(file.read_text()).encode() + b"\0")
    return digest.hexdigest()
