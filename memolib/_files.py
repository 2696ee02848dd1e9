"""How files are named, read and written: ``~`` understood, UTF-8, whole or not at all.

Also what goes beside them: the record of what made a result, and text that every output can show.
"""

import os
import platform
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TextIO


def as_path(path: str | os.PathLike) -> Path:
    """Give a path that a user wrote, ``~`` and ``~name`` as the home folder.

    Args:
        path: text or a path.

    Returns:
        The path.

    Raises:
        ValueError: for anything else, or a home folder that is not known.
    """
    try:
        return Path(path).expanduser()
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"path is {path!r}; allowed is a text or a path: {error}") from error


def read_text(path: str | Path) -> str:
    """Read a text file.

    Args:
        path: of the file.

    Returns:
        Its text.

    Raises:
        ValueError: for a file that is no UTF-8 text, by its name.
        OSError: for one that is missing or cannot be read, by its name.
    """
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}") from error


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Give a place to write to, which becomes ``path`` in one step, once it is on the disk.

    The place has a name of its own, so that two writers do not meet; where writing fails, ``path``
    stays as it was.

    Args:
        path: of the file; its folder is made where it is missing.

    Yields:
        The place to write to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all.

    Args:
        path: of the file; its folder is made where it is missing.
        text: what it shall hold, written in UTF-8.
    """
    with replaced(path) as part:
        part.write_text(text, encoding="utf-8")


def printable(text: str, stream: TextIO | None = None) -> str:
    r"""Give a text as a stream can show it, with escapes such as ``\u2714`` for other signs.

    A pipe on Windows takes cp1252 and the C locale ASCII only: printing more would be an error.

    Args:
        text: any text.
        stream: where it goes, the standard output where nothing is said.

    Returns:
        The text, changed only where it must be.
    """
    encoding = getattr(stream or sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def machine() -> dict[str, str]:
    """Give the versions and the machine, for the record of a result.

    Returns:
        Texts by name: ``python``, ``numpy`` and ``torch`` where they are installed, ``machine``.
    """
    versions = {"python": platform.python_version()}
    for name in ("numpy", "torch"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions | {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
