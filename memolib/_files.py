"""How files are written: whole or not at all, and with what made them."""

import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Give a place to write to, which becomes ``path`` in one step, once it is on the disk.

    The place has a name of its own, so that two writers do not meet; where writing fails, ``path`` stays as it was.
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
    """Write a text file whole or not at all."""
    with replaced(path) as part:
        part.write_text(text, encoding="utf-8")


def machine() -> dict[str, str]:
    """Versions and machine, for the record of a result."""
    versions = {"python": platform.python_version()}
    for name in ("numpy", "torch"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions | {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
