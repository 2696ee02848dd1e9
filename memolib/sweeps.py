"""Grids of runs: a result file for each configuration, in this process or on a Dask cluster, going on where it stopped.

A run is a function of a configuration, a dictionary of plain values, that gives a dictionary of numbers and lists of
numbers. Its file is named by a digest of the configuration, of the function's own source and of the modules that are
said to matter, and is written in one step: what is there is complete, and is not run again until that code changes.
What a function takes from elsewhere is not seen: pass values in the configuration, and name the modules of helpers.
"""

import ast
import hashlib
import inspect
import io
import json
import os
import platform
import sys
import textwrap
import time
import tokenize
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
from tqdm import tqdm


class Sweep(NamedTuple):
    """What became of a grid of configurations.

    Attributes:
        done: one dictionary for each run that has a result, in the order of the grid: ``configuration``, ``result``,
            ``seconds``, ``code`` and ``made`` (versions of Python and NumPy, machine).
        failed: configuration and error of each that failed; they are tried again the next time.
    """

    done: list[dict]
    failed: list[tuple[dict, str]]

    def table(self) -> np.recarray:
        """Give the configurations and the single numbers of the results, one row a run, by name."""
        rows = [run["configuration"] | run["result"] for run in self.done]
        plain = (bool, int, float, str)
        names = [name for name in (rows[0] if rows else ()) if all(isinstance(row.get(name), plain) for row in rows)]
        columns = [np.array([row[name] for row in rows]) for name in names]
        return np.rec.fromarrays(columns, names=names) if columns else np.recarray(0, dtype=[])


def grid(**values: Iterable) -> list[dict]:
    """Give all combinations of values as configurations, the last name running fastest.

    Args:
        **values: for each name the values that it takes.
    Returns: a list of dictionaries. Chapter: ``networks/data_and_capacity``.
    """
    combinations: list[dict] = [{}]
    for name, some in values.items():
        some = list(some)
        combinations = [before | {name: value} for before in combinations for value in some]
    return combinations


def code_digest(function: Callable, depends: Sequence[ModuleType] = ()) -> str:
    """Give a digest of a function's code and that of modules, which comments and docstrings do not change.

    Args:
        function: defined in a file or a notebook, using no variables of a function around it.
        depends: modules whose code the function's results depend on.
    Returns: 12 hexadecimal digits. Raises: ValueError for another function. Chapter: ``networks/data_and_capacity``.
    """
    if not inspect.isfunction(function) or function.__closure__:
        raise ValueError(f"function is {function!r}; allowed is one with a source, and no variables of one around it")
    digest = hashlib.sha256()
    for part in (function, *depends):
        digest.update(_bare(textwrap.dedent(inspect.getsource(part))).encode())
    return digest.hexdigest()[:12]


def _bare(source: str) -> str:
    """Source without comments, docstrings and empty lines: the same text in every version of Python."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            text = node.body[0]
            if isinstance(node, ast.Module) or text.lineno > node.lineno:
                lines[text.lineno - 1 : text.end_lineno] = [""] * (text.end_lineno - text.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def sweep(
    function: Callable[..., dict],
    configurations: Sequence[dict],
    folder: str | Path,
    *,
    depends: Sequence[ModuleType] = (),
    address: str | None = None,
) -> Sweep:
    """Run a function for each configuration that has no result yet, and give all results.

    Args:
        function: takes a configuration's entries by name; gives a dictionary of numbers, texts and lists of them.
        configurations: dictionaries of the same, all different.
        folder: where the result files are; made where it is missing.
        depends: modules whose code the results depend on: a change there is a change of the results' names.
        address: of a Dask scheduler, whose workers then do the runs; None runs them here, one after the other.
    A run that raises is reported and does not stop the others; one whose worker is lost is given to another.
    Returns: Sweep. Raises: ValueError for configurations that are repeated or not plain data, or as ``code_digest``.
    Chapter: ``networks/data_and_capacity``.
    """
    folder, code = Path(folder), code_digest(function, depends)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{_name(c, code)}.json" for c in configurations]
    if len(set(paths)) < len(paths):
        raise ValueError(f"configurations has {len(paths) - len(set(paths))} repeated; allowed are different ones")
    open_runs = [(c, p) for c, p in zip(configurations, paths, strict=True) if not p.exists()]
    failed, run = [], _in_process if address is None else _on_cluster
    quiet = os.environ.get("TQDM_DISABLE", "") not in ("", "0") or not sys.stderr.isatty()
    with tqdm(total=len(paths), initial=len(paths) - len(open_runs), disable=quiet, unit="run") as bar:
        for configuration, path, result, seconds, error in run(function, open_runs, address):
            if error:
                failed.append((configuration, error))
                bar.write(f"{configuration} failed: {error.splitlines()[-1]}", file=sys.stderr)
            else:
                made = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
                record = {"configuration": configuration, "result": result, "seconds": round(seconds, 2)}
                _write(path, record | {"code": code, "made": made})
            bar.update()
    return Sweep([json.loads(path.read_text()) for path in paths if path.exists()], failed)


def _name(configuration: dict, code: str) -> str:
    try:
        text = json.dumps(configuration, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"configurations has {configuration}; allowed are numbers, texts and lists of them") from error
    return hashlib.sha256(f"{text} {code}".encode()).hexdigest()[:16]


def _write(path: Path, record: dict) -> None:
    part = path.with_suffix(f".{uuid.uuid4().hex}.part")  # others may share the folder
    with part.open("w") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _timed(function: Callable, configuration: dict) -> tuple[dict | None, float, str]:
    """Result, seconds and error text (empty where there is none) of one run."""
    start = time.perf_counter()
    try:
        result = function(**configuration)
        if not isinstance(result, dict):
            raise TypeError(f"the result is {type(result).__name__}; allowed is a dictionary")
        result = json.loads(json.dumps(result))  # fails here where it cannot be stored
    except Exception:
        return None, 0.0, traceback.format_exc().strip()
    return result, time.perf_counter() - start, ""


def _in_process(function: Callable, runs: list[tuple[dict, Path]], address: None) -> Iterator[tuple]:
    for configuration, path in runs:
        yield configuration, path, *_timed(function, configuration)


def _on_cluster(function: Callable, runs: list[tuple[dict, Path]], address: str) -> Iterator[tuple]:
    from distributed import Client, as_completed  # an extra: only this function needs it

    with Client(address) as client:
        futures = {client.submit(_timed, function, configuration, pure=False): (configuration, path)
                   for configuration, path in runs}  # fmt: skip
        for future in as_completed(futures):
            configuration, path = futures[future]
            try:
                yield configuration, path, *future.result()
            except Exception as error:  # of the cluster, such as a worker that died several times over this run
                yield configuration, path, None, 0.0, f"{type(error).__name__}: {error}"
