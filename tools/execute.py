"""Re-execute notebooks in place, from clean kernels, on one core: python tools/execute.py [NOTEBOOK ...].

Stores the outputs, with frames for explorable figures; replaces the numbers in prose, and those that pages quote;
records which code the outputs belong to; prints seconds and peak memory of each, and writes them to the page of run
times.
"""

import json
import os
import re
import sys
import time
from ast import literal_eval
from pathlib import Path

import nbformat
from nbclient import NotebookClient

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tools.notebooks import NUMBER, ROOT, chapters, fingerprint, read
from tools.quotes import quoted, write_pages
from tools.run_times import RUN_TIMES, write_page

# Exercise checks are left out: what they print for a blank answer is the same whatever they check.
LOADED = [
    '*sorted(m for m in __import__("sys").modules'
    ' if m.split(".")[0] == "memolib" and not m.startswith("memolib.exercises"))'
]
QUIET = {"MEMOLIB_EXPLORE": "frames", "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}


def execute(path: Path) -> tuple[float, float]:
    """Execute one notebook in place; gives seconds and peak megabytes of its kernel."""
    notebook = read(path)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False, record_timing=False, coalesce_streams=True, extra_arguments=["--log-level=ERROR"],
    )  # fmt: skip
    start = time.perf_counter()
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        seconds = time.perf_counter() - start
        modules = ask(client, *LOADED)
        megabytes = peak_memory(client.km.provisioner.pid)
        numbers = replace_numbers(client, notebook, quoted(path.stem))
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "memolib": {"fingerprint": fingerprint(notebook, modules), "modules": modules, "numbers": numbers},
        }
    )
    stored = path.with_suffix(".part")
    nbformat.write(notebook, stored)
    os.replace(stored, path)
    return seconds, megabytes


def ask(client: NotebookClient, *expressions: str) -> list:
    """Evaluate expressions in the kernel, in a cell that is not kept; their values must be plain data."""
    cell = nbformat.v4.new_code_cell(f"print([{', '.join(expressions)}])")
    client.nb.cells.append(cell)
    client.execute_cell(cell, len(client.nb.cells) - 1, store_history=False)
    client.nb.cells.pop()
    return literal_eval(cell.outputs[0]["text"])


def replace_numbers(
    client: NotebookClient, notebook: nbformat.NotebookNode, quotes: set[tuple[str, str]]
) -> dict[str, str]:
    """Write the kernel's values into the prose; gives them, and those of the quotes, by expression and format."""
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    found = sorted(quotes | {(m["expression"], m["format"]) for cell in prose for m in NUMBER.finditer(cell.source)})
    values = ask(client, *(f"format({expression}, {form!r})" for expression, form in found))
    numbers = {f"{expression}:{form}": value for (expression, form), value in zip(found, values, strict=True)}
    for cell in prose:
        cell.source = NUMBER.sub(lambda m: f"<!--{m[1]}:{m[2]}-->{numbers[f'{m[1]}:{m[2]}']}<!---->", cell.source)
    return numbers


def peak_memory(pid: int) -> float:
    """Peak resident memory of a process in megabytes (Linux; elsewhere not a number)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return float("nan")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def main(arguments: list[str]) -> None:
    """Execute the notebooks named, or all."""
    os.environ.update(QUIET)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    times = json.loads(RUN_TIMES.read_text()) if RUN_TIMES.exists() else {}
    for path in [Path(a).resolve() for a in arguments] or chapters():
        name = path.relative_to(ROOT).as_posix()
        seconds, megabytes = execute(path)
        times[name] = [round(seconds, 1), round(megabytes)]
        print(f"{name}: {seconds:.1f} s, peak {megabytes:.0f} MB", flush=True)
    RUN_TIMES.parent.mkdir(exist_ok=True)
    RUN_TIMES.write_text(json.dumps(times, indent=1) + "\n")
    write_page()
    write_pages()


if __name__ == "__main__":
    main(sys.argv[1:])
