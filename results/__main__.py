"""What is stored, and whether it holds: ``python -m results [status | verify | make] ...``.

status [NAME ...]          what exists, what made it, and what it costs to make again
verify [NAME ...]          call the witness of what is suspect (--all: of everything), and stamp
                           what agrees
make NAME [KEY=VALUE ...]  make what is missing, damaged or stale (--again: everything), by
                           configuration

The notebooks of the book are the experiment ``notebooks``.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

# fastest for networks this small; before torch is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")
FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
KINDS = "fresh", "suspect", "stale", "damaged", "missing"


def names() -> list[str]:
    """Experiments: the modules of this folder, and the notebooks."""
    return [*sorted(path.stem for path in FOLDER.glob("[!_]*.py")), "notebooks"]


def experiment(name: str) -> Any:
    """The experiment of a name."""
    if name == "notebooks":
        from tools.execute import NOTEBOOKS  # they need Jupyter, which the others do not

        return NOTEBOOKS
    if name not in names():
        sys.exit(f"NAME is {name}; allowed are {', '.join(names())}")
    return import_module(f"results.{name}").STORED


def words(configuration: dict) -> str:
    """A configuration as it is given to ``make``."""
    return " ".join(f"{key}={value}" for key, value in configuration.items())


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def status(chosen: list[str]) -> None:
    """Print a table, and below it what made each result and what does not hold."""
    print(
        f"{'experiment':<20}{'results':>8}"
        + "".join(f"{kind:>9}" for kind in KINDS)
        + "   cost to make it again"
    )
    notes = []
    for name in chosen:
        stored = experiment(name)
        states = [(c, stored.state(c)) for c in stored.configurations]
        count = Counter(state.name for _, state in states)
        cost = f"{duration(stored.seconds())} as recorded; {stored.needs}"
        print(
            f"{name:<20}{len(states):>8}"
            + "".join(f"{count[kind] or '-':>9}" for kind in KINDS)
            + f"   {cost}"
        )
        by = Counter(state.why for _, state in states if state.name == "fresh")
        notes += [f"{name}: {number} {how}" for how, number in by.items()]
        if begun := stored.beginning():
            notes.append(
                f"{name}: of these only the beginning of the run is checked: {', '.join(begun)}"
            )
        notes += told(name, [(c, state) for c, state in states if state.name != "fresh"])
        notes += [f"{name}: {path.name} belongs to no configuration" for path in stored.besides()]
    print("", *notes, sep="\n")


def told(name: str, states: list) -> list[str]:
    """Results that are not fresh, in a line each, or in one where all are so for one reason."""
    if len(states) > 3 and len({state for _, state in states}) == 1:
        return [f"{name}: {len(states)} {states[0][1].name}, {states[0][1].why}"]
    return [f"{name} {words(c)}: {state.name}, {state.why}" for c, state in states]


def verify(chosen: list[str], everything: bool) -> int:
    """Verify experiments, and give the number of failures.

    Each has a process of its own, so that its stamp names its own modules.
    """
    if len(chosen) > 1:
        command = [sys.executable, "-m", "results", "verify", *(["--all"] if everything else [])]
        with ThreadPoolExecutor(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
        ) as pool:
            longest_first = sorted(chosen, key=lambda name: name != "notebooks")
            runs = [
                pool.submit(subprocess.run, [*command, name], cwd=ROOT) for name in longest_first
            ]
        return sum(run.result().returncode != 0 for run in runs)
    (name,), bad = chosen, 0
    stored = experiment(name)
    for configuration in stored.configurations:
        before = stored.state(configuration)
        start = time.perf_counter()
        if before.name == "fresh" and not everything:
            continue
        after = (
            stored.verify(configuration) if before.name not in ("missing", "damaged") else before
        )
        spent = time.perf_counter() - start
        print(
            f"{name} {words(configuration)}: {after.name}, {after.why} ({spent:.0f} s)", flush=True
        )
        if after.name != "fresh":
            bad += 1
            print(
                f"    to make it again: python -m results make {name} {words(configuration)}",
                flush=True,
            )
    return bad


def make(name: str, entries: list[str], again: bool, seconds: float) -> int:
    """Make results; gives the number of failures."""
    stored = experiment(name)
    bad = 0
    start = time.monotonic()
    wanted = [c for c in stored.configurations if set(entries) <= set(words(c).split())]
    if not wanted:
        allowed = [*map(words, stored.configurations)]
        sys.exit(f"{' '.join(entries)} is no configuration of {name}; allowed are {allowed}")
    for configuration in wanted:
        state = stored.state(configuration)
        if (state.name in ("fresh", "suspect") and not again) or time.monotonic() - start > seconds:
            continue
        print(f"{name} {words(configuration)}: {state.name}, {state.why}", flush=True)
        after = stored.make(configuration)
        print(f"    {after.name}, {after.why}", flush=True)
        bad += after.name != "fresh"
    return bad


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m results", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command")
    for command in ("status", "verify"):
        commands.add_parser(command).add_argument("names", nargs="*", metavar="NAME")
    commands.choices["verify"].add_argument("--all", action="store_true", help="what is fresh, too")
    making = commands.add_parser("make")
    making.add_argument("name", metavar="NAME")
    making.add_argument("entries", nargs="*", metavar="KEY=VALUE")
    making.add_argument("--again", action="store_true", help="what is fresh or suspect, too")
    making.add_argument(
        "--seconds", type=float, default=float("inf"), help="start no run after so many"
    )
    chosen = parser.parse_args()
    if chosen.command == "make":
        return make(chosen.name, chosen.entries, chosen.again, chosen.seconds)
    if chosen.command == "verify":
        return verify(chosen.names or names(), chosen.all)
    status(getattr(chosen, "names", None) or names())
    return 0


if __name__ == "__main__":
    sys.exit(min(main(), 1))
