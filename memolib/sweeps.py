"""Grids of runs: a file for each configuration, here or on a Dask cluster, that go on after a stop.

A run is a function of a configuration, a dictionary of plain values, that gives a dictionary of
numbers and lists of numbers. Its file is named by its configuration, as in ``N=100,seed=0.json``,
and is written in one step: what is there is complete, and is not run again. A file that is damaged
all the same is named and made again; one that was made by other code of the function is named, and
kept. Several sweeps may share a folder: a file is always the whole result of one run.
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
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from memolib._code import digest
from memolib._extras import extra
from memolib._files import as_path, machine, read_text, write_text

Run = tuple[dict, Path]  # a configuration, and the file of its result
Outcome = tuple[dict, Path, dict | None, float, str]  # and its result, seconds, error text


class Sweep(NamedTuple):
    """What became of a grid of configurations.

    Attributes:
        done: one dictionary for each run that has a result, in the order of the grid:
            ``configuration``, ``result``, ``seconds``, ``code`` (digest of the function) and
            ``made`` (versions of Python, NumPy, torch, machine).
        failed: configuration and error of each that failed; they are tried again the next time.
    """

    done: list[dict]
    failed: list[tuple[dict, str]]

    def table(self) -> np.recarray:
        """Give the configurations and the single numbers of the results, one row a run, by name.

        Returns:
            Record array, shape (runs,), with a column for each name whose values are all single.
        """
        rows = [run["configuration"] | run["result"] for run in self.done]
        if not rows:
            return np.recarray(0, dtype=[])
        single = (bool, int, float, str)
        names = [name for name in rows[0] if all(isinstance(row.get(name), single) for row in rows)]
        if not names:
            return np.recarray(0, dtype=[])
        columns = [np.array([row[name] for row in rows]) for name in names]
        return np.rec.fromarrays(columns, names=names)


def grid(**values: Iterable) -> list[dict]:
    """Give all combinations of values as configurations, the last name running fastest.

    Args:
        **values: for each name the values that it takes.

    Returns:
        A list of dictionaries.

    Chapter:
        ``networks/data_and_capacity``.
    """
    combinations: list[dict] = [{}]
    for name, some in values.items():
        some = list(some)
        combinations = [before | {name: value} for before in combinations for value in some]
    return combinations


def name_of(configuration: dict) -> str:
    """Give the name of a configuration's files, without suffix: ``N=100,name=mnist``, sorted.

    Args:
        configuration: numbers, NumPy's too, texts and lists of them by name. Where a value is no
            number or plain word, a digest makes the name safe, and different from all others.

    Returns:
        A text.

    Raises:
        ValueError: for other values.

    Chapter:
        ``networks/data_and_capacity``.
    """
    try:
        plain = _plain(configuration)
        exact = json.dumps(plain, sort_keys=True, allow_nan=False)
        words = {key: _word(value) for key, value in sorted(plain.items())}
    except (TypeError, ValueError) as error:
        allowed = "finite numbers, texts and lists of them"
        raise ValueError(f"configurations has {configuration}; allowed are {allowed}") from error
    name = ",".join(f"{key}={word}" for key, word in words.items()) or "all"
    if re.fullmatch(r"[\w.=,+-]{1,120}", name, re.ASCII):
        return name
    kept = re.sub(r"[^\w.=,+-]", "_", name, flags=re.ASCII)[:100]
    return f"{kept},{hashlib.sha256(exact.encode()).hexdigest()[:8]}"


def _plain(value: Any) -> Any:
    """Give NumPy's numbers and arrays as Python's own, and tuples as lists, as in the file."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value


def _word(value: Any) -> str:
    """Give a plain word as it is, everything else as JSON writes it."""
    plain_word = r"(?!(true|false|null)$)[A-Za-z][\w-]*"
    if isinstance(value, str) and re.fullmatch(plain_word, value, re.ASCII):
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

    A run that raises is reported and does not stop the others; one whose worker is lost is given to
    another. Results of an earlier state of the function's code are reported too, and kept.

    Args:
        function: takes a configuration's entries by name; gives a dictionary of numbers, texts and
            lists of them.
        configurations: dictionaries of the same, all different; NumPy's numbers are handed on as
            Python's, and tuples as lists.
        folder: where the result files are; made where it is missing; ``~`` is the home folder.
        again: run those that have a result too, and replace it.
        address: of a Dask scheduler, whose workers then do the runs; None runs them here, one after
            the other.

    Returns:
        Sweep.

    Raises:
        ValueError: for a function without a source of its own, such as a lambda, configurations
            that are repeated or not plain data, or a file of another configuration in a result's
            place.

    Chapter:
        ``networks/data_and_capacity``.
    """
    folder = as_path(folder)
    code = code_digest(function)
    paths = [folder / f"{name_of(configuration)}.json" for configuration in configurations]
    configurations = [_plain(configuration) for configuration in configurations]
    repeated = len(paths) - len(set(paths))
    if repeated:
        raise ValueError(f"configurations has {repeated} repeated; allowed are different ones")
    folder.mkdir(parents=True, exist_ok=True)
    runs = list(zip(configurations, paths, strict=True))
    known = {} if again else {path: read(path, configuration) for configuration, path in runs}
    _tell(known, code)
    missing = [(configuration, path) for configuration, path in runs if not known.get(path)]
    failed = []
    if address is None:
        outcomes = _here(function, missing)
    else:
        outcomes = _on_cluster(function, missing, address)
    quiet = os.environ.get("TQDM_DISABLE", "") not in ("", "0") or not sys.stderr.isatty()
    ready = len(runs) - len(missing)
    with tqdm(total=len(runs), initial=ready, disable=quiet, unit="run") as bar:
        for configuration, path, result, seconds, error in outcomes:
            if error:
                failed.append((configuration, error))
                bar.write(f"{configuration} failed: {error.splitlines()[-1]}", file=sys.stderr)
            else:
                known[path] = {
                    "configuration": configuration,
                    "result": result,
                    "seconds": round(seconds, 2),
                    "code": code,
                    "made": machine(),
                }
                write_text(path, json.dumps(known[path]) + "\n")
            bar.update()
    return Sweep([known[path] for path in paths if known.get(path)], failed)


def read(path: str | Path, configuration: dict) -> dict | None:
    """Give a stored run, or None for no file or a damaged one, named on the standard error.

    Args:
        path: of the file.
        configuration: that the file must state.

    Returns:
        The run, as in ``Sweep.done``.

    Raises:
        ValueError: for a run of another configuration.
        OSError: for a file that cannot be read, by its name.

    Chapter:
        ``networks/data_and_capacity``.
    """
    path = as_path(path)
    try:
        found = json.loads(read_text(path))
        stated = found["configuration"]
        result = found["result"]
        if not isinstance(result, dict):
            raise TypeError(f"result is {type(result).__name__}")
    except FileNotFoundError:  # never there, or removed by another process a moment ago
        return None
    except (ValueError, KeyError, TypeError) as error:
        print(f"{path} is damaged ({error!r})", file=sys.stderr)
        return None
    if stated != _plain(configuration):
        allowed = f"a result of {configuration}"
        raise ValueError(f"{path} is of {stated}; allowed, in its place, is {allowed}")
    return found


def code_digest(function: Callable) -> str:
    """Give a digest of a function's code, which comments, docstrings and layout do not change.

    Args:
        function: defined by ``def`` in a file or a notebook, using no variables of a function
            around it.

    Returns:
        16 hexadecimal digits.

    Raises:
        ValueError: for another function.

    Chapter:
        ``networks/data_and_capacity``.
    """
    refusal = (
        f"function is {function!r}; allowed is one that `def` makes in a file or a notebook, "
        "no lambda, and with no variables of a function around it"
    )
    if not inspect.isfunction(function) or function.__closure__:
        raise ValueError(refusal)
    if function.__code__.co_name == "<lambda>":  # its source is the line it stands in
        raise ValueError(refusal)
    try:
        return digest([textwrap.dedent(inspect.getsource(function))])
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{refusal}; its source cannot be read: {error}") from error


def _tell(known: dict[Path, dict | None], code: str) -> None:
    """Say which results were made by other code of the function."""
    other = [path.name for path, run in known.items() if run and run.get("code", code) != code]
    if other:
        more = ", ..." if len(other) > 3 else ""
        print(
            f"{len(other)} results were made by other code of this function, and are kept: "
            f"{', '.join(other[:3])}{more}. With again=True they are made anew.",
            file=sys.stderr,
        )


def _timed(function: Callable, configuration: dict) -> tuple[dict | None, float, str]:
    """Give result, seconds and error text (empty where there is none) of one run."""
    start = time.perf_counter()
    try:
        result = function(**configuration)
        if not isinstance(result, dict):
            kind = type(result).__name__
            raise TypeError(f"the result is {kind}; allowed is a dictionary")
        result = json.loads(json.dumps(_plain(result)))  # fails here where it cannot be stored
    except Exception:
        return None, 0.0, traceback.format_exc().strip()
    return result, time.perf_counter() - start, ""


def _here(function: Callable, runs: list[Run]) -> Iterator[Outcome]:
    """Run one after the other in this process."""
    for configuration, path in runs:
        yield configuration, path, *_timed(function, configuration)


def _on_cluster(function: Callable, runs: list[Run], address: str) -> Iterator[Outcome]:
    """Run on the workers of a Dask scheduler; results come in the order in which they are ready."""
    with extra("cluster"):
        from distributed import Client, as_completed

    with Client(address) as client:
        futures = {}
        for configuration, path in runs:
            future = client.submit(_timed, function, configuration, pure=False)
            futures[future] = (configuration, path)
        for future in as_completed(futures):
            configuration, path = futures[future]
            try:
                yield configuration, path, *future.result()
            except Exception as error:  # the cluster's, such as a worker that died over this run
                yield configuration, path, None, 0.0, f"{type(error).__name__}: {error}"
