"""Stored results: what takes minutes to hours, made by the scripts of the folder ``results``.

A run of a script is named by its configuration; beside its numbers there may be files, such as a
network's weights. Which files a process has read is kept in ``used``, so that a notebook's stamp
can say what it was made from.
"""

import json
from pathlib import Path
from typing import Any

from memolib.sweeps import name_of

FOLDER = Path(__file__).resolve().parent.parent / "results"
used: set[Path] = set()


def runs(experiment: str) -> list[dict]:
    """Give all stored runs of an experiment.

    Args:
        experiment: name of a script of the folder ``results``, such as ``network_grid``.

    Returns:
        For each run a dictionary with ``configuration``, ``result``, ``seconds`` and ``made``, by
        name of the file.

    Raises:
        FileNotFoundError: where nothing of that name is stored.

    Chapter:
        ``reference/contributing``.
    """
    paths = sorted((FOLDER / experiment).glob("[!.]*.json"))
    if not paths:
        raise _missing(FOLDER / experiment)
    used.update(paths)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def read(name: str) -> dict:
    """Give what another JSON file of the folder holds.

    Args:
        name: of the file in the folder ``results``, such as ``benchmarks/empirical.json``.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: where it is not stored.

    Chapter:
        ``reference/contributing``.
    """
    path = FOLDER / name
    if not path.exists():
        raise _missing(path)
    used.add(path)
    return json.loads(path.read_text(encoding="utf-8"))


def file(experiment: str, suffix: str, **configuration: Any) -> Path:
    """Give the path of a file that a run left beside its numbers.

    Args:
        experiment: name of a script of the folder ``results``.
        suffix: of the file, such as ``.safetensors``.
        **configuration: of the run.

    Returns:
        The path.

    Raises:
        FileNotFoundError: where it is not stored.

    Chapter:
        ``reference/contributing``.
    """
    path = FOLDER / experiment / (name_of(configuration) + suffix)
    if not path.exists():
        raise _missing(path)
    used.add(path)
    return path


def _missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(
        f"{path} is not here; stored results come with the book's repository, beside the package: "
        "run the chapter there"
    )
