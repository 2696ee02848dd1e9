"""What Python code does, apart from how it is written.

It tells whether a result was made by the code that is here.
"""

import ast
import hashlib
from collections.abc import Iterable

SILENT = ("ctx", "kind", "type_comment")  # fields of a syntax tree that change nothing


def canonical(source: str) -> str:
    """Give source as text in which comments, docstrings and layout are gone.

    Args:
        source: Python code.

    Returns:
        A text, the same in every version of Python.

    Raises:
        SyntaxError: for other text.
    """
    return _text(ast.parse(source))


def digest(sources: Iterable[str]) -> str:
    """Give digits that stand for pieces of source code.

    Args:
        sources: Python code, piece by piece.

    Returns:
        16 hexadecimal digits.

    Raises:
        SyntaxError: for other text.
    """
    sha = hashlib.sha256()
    for source in sources:
        sha.update(canonical(source).encode() + b"\0")
    return sha.hexdigest()[:16]


def _text(node: object) -> str:
    if isinstance(node, list):
        return f"[{','.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name == "body" and _has_docstring(node):
            value = value[1:]
        # Later versions add fields that are empty here; a constant's value may be None itself.
        if name in SILENT or (value in (None, []) and not isinstance(node, ast.Constant)):
            continue
        parts.append(f"{name}={_text(value)}")
    return f"{type(node).__name__}({','.join(parts)})"


def _has_docstring(node: ast.AST) -> bool:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None
