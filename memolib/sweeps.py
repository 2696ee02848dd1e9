"""Grids of runs: a result file for each configuration, in this process or on a Dask cluster, going on where it stopped.

A run is a function of a configuration, a dictionary of plain values, that gives a dictionary of numbers and lists of
numbers. Its file is named by its configuration, as in ``N=100,seed=0.json``, and is written in one step: what is there
is complete, and is not run again. A file that is damaged all the same is named and made again; one that was made by
other code of the function is named, and kept.
"""

import hashlib
import inspect
import json
import os
import re
import sys
import textwrap
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from memolib._code import digest
from memolib._files import machine, write_text


class Sweep(NamedTuple):
    """What became of a grid of configurations.

    Attributes:
        done: one dictionary for each run that has a result, in the order of the grid: ``configuration``, ``result``,
            ``seconds``, ``code`` (digest of the function) and ``made`` (versions of Python, NumPy, torch, machine).
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


def name_of(configuration: dict) -> str:
    """Give the name of a configuration's files, without suffix: ``N=100,name=mnist``, in alphabetical order.

    Args:
        configuration: numbers, texts and lists of them by name. Where a value is no number or plain word, a digest
            makes the name safe, and different from all others.
    Returns: a text. Raises: ValueError for other values. Chapter: ``networks/data_and_capacity``.
    """
    try:
        exact = json.dumps(configuration, sort_keys=True, allow_nan=False)
        words = {key: _word(value) for key, value in sorted(configuration.items())}
    except (TypeError, ValueError) as error:
        raise ValueError(f"configurations has {configuration}; allowed are numbers, texts and lists of them") from error
    name = ",".join(f"{key}={word}" for key, word in words.items()) or "all"
    if re.fullmatch(r"[\w.=,+-]{1,120}", name, re.ASCII):
        return name
    kept = re.sub(r"[^\w.=,+-]", "_", name, flags=re.ASCII)[:100]
    return f"{kept},{hashlib.sha256(exact.encode()).hexdigest()[:8]}"


def _word(value) -> str:
    """A plain word as it is, everything else as JSON writes it."""
    if isinstance(value, str) and re.fullmatch(r"(?!(true|false|null)$)[A-Za-z][\w-]*", value, re.ASCII):
        return value
    return json.dumps(value)


def sweep(
    function: Callable[..., dict],
    configurations: Sequence[dict],
    folder: str | Path,
    *,
    again: bool = False,
    address: str | None = None,
) -> Sweep:
    """Run a function for each configuration that has no result yet, and give all results.

    A run that raises is reported and does not stop the others; one whose worker is lost is given to another. Results
    of an earlier state of the function's code are reported too, and kept.

    Args:
        function: takes a configuration's entries by name; gives a dictionary of numbers, texts and lists of them.
        configurations: dictionaries of the same, all different.
        folder: where the result files are; made where it is missing.
        again: run those that have a result too, and replace it.
        address: of a Dask scheduler, whose workers then do the runs; None runs them here, one after the other.
    Returns: Sweep. Raises: ValueError for a function without source, configurations that are repeated or not plain
    data, or a file of another configuration in a result's place. Chapter: ``networks/data_and_capacity``.
    """
    folder, code = Path(folder), code_digest(function)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name_of(c)}.json" for c in configurations]
    if len(set(paths)) < len(paths):
        raise ValueError(f"configurations has {len(paths) - len(set(paths))} repeated; allowed are different ones")
    known = {path: read(path, c) for path, c in zip(paths, configurations, strict=True) if not again}
    _tell(known, code)
    open_runs = [(c, p) for c, p in zip(configurations, paths, strict=True) if not known.get(p)]
    failed, run = [], _in_process if address is None else _on_cluster
    quiet = os.environ.get("TQDM_DISABLE", "") not in ("", "0") or not sys.stderr.isatty()
    with tqdm(total=len(paths), initial=len(paths) - len(open_runs), disable=quiet, unit="run") as bar:
        for configuration, path, result, seconds, error in run(function, open_runs, address):
            if error:
                failed.append((configuration, error))
                bar.write(f"{configuration} failed: {error.splitlines()[-1]}", file=sys.stderr)
            else:
                record = {"configuration": configuration, "result": result, "seconds": round(seconds, 2)}
                known[path] = record | {"code": code, "made": machine()}
                write_text(path, json.dumps(known[path]) + "\n")
            bar.update()
    return Sweep([known[path] for path in paths if known.get(path)], failed)


def read(path: str | Path, configuration: dict) -> dict | None:
    """Give a stored run, None where there is no file or a damaged one, which is named on the standard error.

    Args:
        path: of the file.
        configuration: that the file must state.
    Returns: the run, as in ``Sweep.done``. Raises: ValueError for a run of another configuration.
    """
    path = Path(path)
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        stated, result = found["configuration"], found["result"]
        if not isinstance(result, dict):
            raise TypeError(f"result is {type(result).__name__}")
    except (ValueError, KeyError, TypeError) as error:
        print(f"{path} is damaged ({error!r})", file=sys.stderr)
        return None
    if stated != configuration:
        raise ValueError(f"{path} is of {stated}; allowed, in its place, is a result of {configuration}")
    return found


def code_digest(function: Callable) -> str:
    """Give a digest of a function's code, which comments, docstrings and layout do not change.

    Args:
        function: defined in a file or a notebook, using no variables of a function around it.
    Returns: 16 hexadecimal digits. Raises: ValueError for another function. Chapter: ``networks/data_and_capacity``.
    """
    if not inspect.isfunction(function) or function.__closure__:
        raise ValueError(f"function is {function!r}; allowed is one with a source, and no variables of one around it")
    return digest([textwrap.dedent(inspect.getsource(function))])


def _tell(known: dict[Path, dict | None], code: str) -> None:
    """Say which results were made by other code of the function."""
    other = [path.name for path, run in known.items() if run and run.get("code", code) != code]
    if other:
        print(
            f"{len(other)} results were made by other code of this function, and are kept: {', '.join(other[:3])}"
            f"{', ...' if len(other) > 3 else ''}. With again=True they are made anew.",
            file=sys.stderr,
        )


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
