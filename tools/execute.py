"""Re-execute notebooks in place, from clean kernels, on one core.

Run by ``python tools/execute.py [NOTEBOOK ...]``. Stores the outputs, with frames for explorable
figures; replaces the numbers in prose, and those that pages quote; stamps the notebook with the
code and the results that it was made from; prints seconds and peak memory of each, and keeps them
for the page of run times.
"""

import hashlib
import json
import os
import re
import sys
import time
from ast import literal_eval
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from memolib._files import replaced, write_text
from results._stored import State, code_of, judge, read_stamp, sha256, write_stamp
from tools.notebooks import (
    NUMBER,
    ROOT,
    chapters,
    checked_outputs,
    code_cells,
    code_of_cells,
    notebooks,
    read,
)
from tools.quotes import quoted, write_pages

RUN_TIMES = ROOT / "results" / "run_times.json"
# Exercise checks are left out: what they print for a blank answer is the same whatever they check.
MODULES = (
    '[*sorted(m for m in __import__("sys").modules'
    ' if m.split(".")[0] == "memolib" and not m.startswith("memolib.exercises"))]'
)
INPUTS = (
    '[*sorted(map(str, getattr(__import__("sys").modules.get("memolib.results"), "used", ())))]'
)
QUIET = {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}


class Executed(NamedTuple):
    """A notebook after its run, with what the run used and took."""

    notebook: nbformat.NotebookNode
    numbers: dict[str, str]
    modules: list[str]
    inputs: list[str]
    seconds: float
    megabytes: float


def execute(path: Path, figures: str) -> Executed:
    """Run a notebook in a clean kernel.

    Figures are drawn as ``frames``, or at the ``ends`` of their sliders.
    """
    notebook = read(path)
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
    )
    start = time.perf_counter()
    with client.setup_kernel(env=os.environ | QUIET | {"MEMOLIB_EXPLORE": figures}):
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        seconds = time.perf_counter() - start
        megabytes = peak_memory(client.km.provisioner.pid)
        modules, inputs = ask(client, MODULES, INPUTS)
        numbers = replace_numbers(client, notebook, quoted(path.stem))
    inputs = [Path(path).relative_to(ROOT).as_posix() for path in inputs]
    return Executed(notebook, numbers, modules, inputs, seconds, megabytes)


def ask(client: NotebookClient, *expressions: str) -> list:
    """Evaluate expressions in the kernel, in a cell that is not kept.

    Their values must be plain data.
    """
    cell = nbformat.v4.new_code_cell(f"print([{', '.join(expressions)}])")
    client.nb.cells.append(cell)
    client.execute_cell(cell, len(client.nb.cells) - 1, store_history=False)
    client.nb.cells.pop()
    return literal_eval(cell.outputs[0]["text"])


def replace_numbers(
    client: NotebookClient, notebook: nbformat.NotebookNode, quotes: set[tuple[str, str]]
) -> dict[str, str]:
    """Write the kernel's values into the prose.

    Gives them, and those of the quotes, by expression and format.
    """
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    found = sorted(
        quotes
        | {(m["expression"], m["format"]) for cell in prose for m in NUMBER.finditer(cell.source)}
    )
    values = (
        ask(client, *(f"format({expression}, {form!r})" for expression, form in found))
        if found
        else []
    )
    numbers = {
        f"{expression}:{form}": value
        for (expression, form), value in zip(found, values, strict=True)
    }
    for cell in prose:
        cell.source = NUMBER.sub(
            lambda m: f"<!--{m[1]}:{m[2]}-->{numbers[f'{m[1]}:{m[2]}']}<!---->", cell.source
        )
    return numbers


def peak_memory(pid: int) -> float:
    """Peak resident memory of a process in megabytes (Linux; elsewhere not a number)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return float("nan")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


class Notebooks:
    """The book's notebooks as an experiment: their results are their outputs.

    Their witness is a run beside them.
    """

    name = "notebooks"
    needs = "one core"

    @property
    def configurations(self) -> list[dict]:
        """One a notebook, by the name of its file."""
        return [{"chapter": path.stem} for path in notebooks()]

    @staticmethod
    def path(chapter: str) -> Path:
        """File of a notebook."""
        return next(path for path in notebooks() if path.stem == chapter)

    @staticmethod
    def stamp_path(chapter: str) -> Path:
        """Its stamp, which is no part of it: a check rewrites no notebook."""
        return ROOT / "results" / "notebooks" / f"{chapter}.stamp"

    def now(self, chapter: str, modules: Iterable[str], inputs: Iterable[str]) -> dict:
        """What a stamp of this moment says of code, outputs and the stored results read."""
        notebook = read(self.path(chapter))
        outputs = json.dumps(
            [[cell.source, cell.outputs] for cell in code_cells(notebook)], sort_keys=True
        )
        return {
            "code": {name: code_of(name) for name in sorted(set(modules) - {"cells"})}
            | {"cells": code_of_cells(notebook)},
            "files": {"outputs": hashlib.sha256(outputs.encode()).hexdigest()},
            "inputs": {name: sha256(ROOT / name) for name in inputs},
            "version": 1,
        }

    def state(self, configuration: dict) -> State:
        """Whether the outputs hold, by their stamp."""
        stamp = read_stamp(self.stamp_path(**configuration))
        return judge(
            stamp,
            self.now(
                **configuration,
                modules=(stamp or {}).get("code", ()),
                inputs=(stamp or {}).get("inputs", ()),
            ),
        )

    def verify(self, configuration: dict) -> State:
        """Run a notebook beside the stored one, and stamp it as it is where all agrees.

        All: checked outputs, and numbers.
        """
        path = self.path(**configuration)
        stored = read(path)
        try:
            run = execute(path, "ends")
        except CellExecutionError as error:
            return State("stale", f"a cell fails: {error.ename}: {error.evalue}")
        moved = [
            f"{source.strip().splitlines()[-1]!r} printed {before.strip()!r}, now {after.strip()!r}"
            for (source, before), (_, after) in zip(
                checked_outputs(stored), checked_outputs(run.notebook), strict=True
            )
            if before != after
        ]
        known = stored.metadata["memolib"]["numbers"]
        moved += [
            f"{k} was {known.get(k)}, is {v}" for k, v in run.numbers.items() if known.get(k) != v
        ]
        stamp = {"by": "checked", "leaves": len(checked_outputs(stored)) + len(known)}
        if moved:
            stamp["stale"] = f"{len(moved)} outputs moved; {moved[0]}"
        self.stamp(configuration, stamp, run)
        return self.state(configuration)

    def make(self, configuration: dict) -> State:
        """Execute a notebook in place, and keep its time and memory."""
        path = self.path(**configuration)
        run = execute(path, "frames")
        run.notebook.metadata = nbformat.from_dict(
            {
                "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                "language_info": {"name": "python"},
                "memolib": {"numbers": run.numbers},
            }
        )
        with replaced(path) as part, part.open("w", encoding="utf-8") as file:
            nbformat.write(run.notebook, file)
        if path in chapters():  # pages of the reference are not timed: one of them shows the times
            times = json.loads(RUN_TIMES.read_text()) if RUN_TIMES.exists() else {}
            times[path.relative_to(ROOT).as_posix()] = [round(run.seconds, 1), round(run.megabytes)]
            order = [path.relative_to(ROOT).as_posix() for path in chapters()]
            times = {name: times[name] for name in order if name in times}
            write_text(RUN_TIMES, json.dumps(times, indent=1) + "\n")
        self.stamp(configuration, {"by": "made", "leaves": 0}, run)
        return State("fresh", f"{run.seconds:.1f} s, peak {run.megabytes:.0f} MB")

    def stamp(self, configuration: dict, stamp: dict, run: Executed) -> None:
        """Write a stamp after a run."""
        now = self.now(**configuration, modules=run.modules, inputs=run.inputs)
        write_stamp(self.stamp_path(**configuration), stamp | now)

    def seconds(self) -> float:
        """Time of all, with their frames."""
        return sum(spent for spent, _ in json.loads(RUN_TIMES.read_text()).values())

    def beginning(self) -> list[str]:
        """A notebook is checked whole."""
        return []

    def besides(self) -> list[Path]:
        """Stamps of notebooks that are gone."""
        kept = {c["chapter"] for c in self.configurations}
        return [
            path
            for path in sorted((ROOT / "results" / "notebooks").glob("*"))
            if path.stem not in kept
        ]


NOTEBOOKS = Notebooks()


def main(arguments: list[str]) -> None:
    """Execute the notebooks named, or all."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    chosen = [Path(a).resolve() for a in arguments]
    if chosen:  # the reference's pages that read what this stores, last
        chosen += [path for path in notebooks() if path not in chapters() and path not in chosen]
    for path in chosen or notebooks():
        state = NOTEBOOKS.make({"chapter": path.stem})
        print(f"{path.relative_to(ROOT).as_posix()}: {state.why}", flush=True)
    write_pages()


if __name__ == "__main__":
    main(sys.argv[1:])
