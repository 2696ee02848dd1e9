"""Stored results and whether they still hold.

A result is named by its question, the configuration of its run. Beside it lies a stamp: under which
code it was last made or checked, from which inputs, and how far the check was off. Under other code
a result is *suspect*; its witness, a few of its numbers computed again in seconds, then makes it
*fresh* (a new stamp) or *stale* (to be made again).
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from memolib._code import digest
from memolib._files import replaced, write_text
from memolib.sweeps import name_of, read, sweep

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "results"
DATA_SETS = "mnist", "fashion_mnist", "cifar10"


class Leaves(NamedTuple):
    """Some numbers of a result, computed again.

    Attributes:
        values: nested as the result is; of a list, a dictionary by place takes some entries only.
        tolerance: largest deviation that is rounding, absolute below 1 and relative above.
        elsewhere: the same where the result was made on another kind of device; None is as here.
        beginning: whether the numbers are of the beginning of a run that is too long to be
            witnessed whole.
    """

    values: dict
    tolerance: float
    elsewhere: float | None = None
    beginning: bool = False


class State(NamedTuple):
    """Whether a result holds: fresh, suspect, stale, damaged or missing, and why."""

    name: str
    why: str = ""


@dataclass(frozen=True)
class Experiment:
    """An experiment: its runs, and how to tell that they still hold.

    Attributes:
        run: makes a result, a dictionary, of a configuration; may leave files beside it (``path``).
        configurations: of all its runs.
        witness: gives Leaves of a configuration's result, in at most half a minute.
        reads: gives the files and names of data sets that a configuration's result is made from.
        once: quantities that no witness makes again, such as seconds.
        needs: what making it again needs, in words.
        version: raised by hand where everything must be made again.
    """

    run: Callable[..., dict]
    configurations: list[dict]
    witness: Callable[..., list[Leaves]]
    reads: Callable[..., list[Path | str]] = lambda **_: []
    once: tuple[str, ...] = ()
    needs: str = "one core"
    version: int = 1

    @property
    def name(self) -> str:
        """Name of the module that holds it."""
        return self.run.__module__.rpartition(".")[2]

    def path(self, configuration: dict, suffix: str = ".json") -> Path:
        """File of a run."""
        return FOLDER / self.name / (name_of(configuration) + suffix)

    def files(self, configuration: dict) -> dict[str, Path]:
        """The run's files that are there, without its stamp, by suffix."""
        start = name_of(configuration)
        found = (self.path(configuration).parent).glob(f"{start}.*")
        return {
            path.name.removeprefix(start): path
            for path in sorted(found)
            if path.suffix not in (".stamp", ".part")
        }

    def known(self, configuration: dict) -> dict:
        """Numbers of a run, and arrays of the file beside it, pixels as numbers from 0 to 1."""
        found = dict(read(self.path(configuration), configuration)["result"])
        if (arrays := self.path(configuration, ".npz")).exists():
            found |= {
                name: v / 255 if v.dtype == np.uint8 else v for name, v in np.load(arrays).items()
            }
        return found

    def state(self, configuration: dict) -> State:
        """Whether a result holds, by its stamp."""
        if not self.path(configuration).exists():
            return State("missing", "it was never made, or removed")
        if read(self.path(configuration), configuration) is None:
            return State("damaged", "it cannot be read")
        stamp = read_stamp(self.path(configuration, ".stamp"))
        return judge(stamp, self.now(configuration, (stamp or {}).get("code", ())))

    def now(self, configuration: dict, modules: Iterable[str]) -> dict:
        """What a stamp of this moment says of code, files and inputs."""
        return {
            "code": {name: code_of(name) for name in sorted(modules)},
            "files": {suffix: sha256(file) for suffix, file in self.files(configuration).items()},
            "inputs": {label(item): content(item) for item in self.reads(**configuration)},
            "version": self.version,
        }

    def make(self, configuration: dict) -> State:
        """Run a configuration, and stamp its result."""
        failed = sweep(self.run, [configuration], FOLDER / self.name, again=True).failed
        if failed:
            return State("missing", failed[0][1])
        self.stamp(configuration, {"by": "made", "deviation": 0.0, "leaves": 0})
        return State("fresh", "made")

    def verify(self, configuration: dict) -> State:
        """Call the witness on a result that can be read, and stamp what it says."""
        absent = [item for item in self.reads(**configuration) if content(item) in (None, "")]
        if absent:
            return State(
                "suspect", f"the witness needs what is not here: {', '.join(map(label, absent))}"
            )
        known = self.known(configuration)
        try:
            parts = self.witness(**configuration)
        except Exception as error:  # of whatever the code does now
            self.stamp(
                configuration, {"by": "checked", "stale": (why := f"the witness fails: {error!r}")}
            )
            return State("stale", why)
        found = [
            d for part in parts for d in differences(part.values, known, self.allowed(part, known))
        ]
        worst = max(found)
        whole, begun = (
            set().union(*(quantities(p.values) for p in parts if p.beginning is b))
            for b in (False, True)
        )
        by = "checked in part" if begun - whole else "checked"
        stamp = {
            "by": by,
            "deviation": float(f"{worst.share:.2g}"),
            "leaves": sum(d.numbers for d in found),
        }
        stamp["beginning"] = sorted(begun - whole)
        if worst.share > 1:
            stamp["stale"] = f"{worst.words}, {worst.share:.2g} times what is allowed"
        self.stamp(configuration, stamp)
        return (
            State("stale", stamp["stale"])
            if "stale" in stamp
            else State("fresh", f"{by}, off by {worst.share:.2g}")
        )

    @staticmethod
    def allowed(part: Leaves, known: dict) -> float:
        """Tolerance of leaves, by the kinds of device here and where the result was made."""
        same = known.get("device", "CPU").startswith("CPU") == here().startswith("CPU")
        return part.tolerance if same or part.elsewhere is None else part.elsewhere

    def stamp(self, configuration: dict, stamp: dict) -> None:
        """Write the stamp of a result, with the code of this process and of an earlier check."""
        path = self.path(configuration, ".stamp")
        before = (read_stamp(path) or {}).get("code", {}) if stamp["by"] != "made" else {}
        modules = {*loaded(), *(name for name in before if source_of(name).exists())}
        write_stamp(path, stamp | self.now(configuration, modules))

    def seconds(self) -> float:
        """Time that all runs took where they were made."""
        runs = (read(self.path(c), c) for c in self.configurations)
        return sum(run["seconds"] for run in runs if run)

    def beginning(self) -> list[str]:
        """Quantities of which only the beginning of a run is checked, by the stamps."""
        stamps = (read_stamp(self.path(c, ".stamp")) or {} for c in self.configurations)
        return sorted(set().union(*(stamp.get("beginning", ()) for stamp in stamps)))

    def besides(self) -> list[Path]:
        """Files of the folder that belong to no configuration."""
        stems = {name_of(c) for c in self.configurations}
        return [
            path
            for path in sorted((FOLDER / self.name).glob("*"))
            if path.with_suffix("").name not in stems
        ]


def judge(stamp: dict | None, now: dict) -> State:
    """Say whether a result holds: its stamp against what a stamp of this moment would say."""
    if stamp is None:
        return State("suspect", "it has no stamp")
    if changed := _differing(stamp["files"], now["files"]):
        return State("damaged", f"{', '.join(changed)} changed since the stamp")
    if stamp["version"] != now["version"]:
        return State("stale", f"version {now['version']} is wanted, {stamp['version']} is stored")
    # Data that are not here are not judged.
    here = {name: value for name, value in now["inputs"].items() if value is not None}
    known = {
        name: value
        for name, value in stamp["inputs"].items()
        if name in here or name not in now["inputs"]
    }
    if changed := _differing(stamp["code"], now["code"]) + _differing(known, here):
        return State("suspect", f"changed: {', '.join(changed)}")
    return State("stale", stamp["stale"]) if "stale" in stamp else State("fresh", stamp["by"])


def _differing(one: dict, two: dict) -> list[str]:
    return [name for name in sorted({*one, *two}) if one.get(name) != two.get(name)]


class Difference(NamedTuple):
    """How far numbers that were computed again are from those that are stored.

    Attributes:
        share: of what is allowed.
        words: where, and from what to what.
        numbers: how many were compared.
    """

    share: float
    words: str
    numbers: int


def differences(found: Any, known: Any, tolerance: float, place: str = "") -> Iterator[Difference]:
    """Compare leaves with a result, one answer for each number or list of numbers."""
    if isinstance(found, dict):
        for key, value in found.items():
            where = f"{place} {key}".strip()
            stored = key in known if isinstance(known, dict) else key < len(known)
            if stored:
                yield from differences(value, known[key], tolerance, where)
            else:
                yield Difference(np.inf, f"{where} is not stored", 1)
        return
    found = np.asarray(found, dtype=float)
    known = np.asarray(known, dtype=float)
    if found.shape != known.shape:
        yield Difference(
            np.inf, f"{place} has shape {known.shape}, and should have {found.shape}", 1
        )
    elif found.size:
        off = np.where(
            np.isnan(found) & np.isnan(known), 0, np.nan_to_num(np.abs(found - known), nan=np.inf)
        )
        share = off / (tolerance * np.maximum(1, np.nan_to_num(np.abs(known))))
        most = np.unravel_index(share.argmax(), share.shape)
        words = f"{place} moved by {off[most]:.2g} (stored is {known[most]:.4g})"
        yield Difference(float(share[most]), words, found.size)


def by_place(values: Any) -> Any:
    """Give nested lists as dictionaries by place, for a part to compare with a longer list."""
    if isinstance(values, dict):
        return {key: by_place(value) for key, value in values.items()}
    return dict(enumerate(values)) if isinstance(values, list) else values


def quantities(values: Any, place: str = "") -> set[str]:
    """Names of what a result holds: its keys, nested, with # for every number in them."""
    if isinstance(values, dict):
        inside = {
            "/".join(filter(None, (place, _general(key)))): value for key, value in values.items()
        }
        return set().union(*(quantities(value, name) for name, value in inside.items()))
    if isinstance(values, list | tuple) and any(isinstance(value, dict) for value in values):
        return set().union(*(quantities(value, place) for value in values))
    return {place}


def _general(key: str | int) -> str:
    if isinstance(key, int):
        return ""
    return " ".join(
        "#" if word.replace(".", "", 1).isdigit() else word for word in str(key).split()
    )


def loaded() -> Iterator[str]:
    """Names of this repository's modules that are imported; exercises change no result."""
    for name, module in list(sys.modules.items()):
        path = Path(getattr(module, "__file__", None) or "/")
        inside = path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in (
            "memolib",
            "results",
        )
        if inside and not name.startswith("__") and not name.startswith("memolib.exercises"):
            yield name


def source_of(name: str) -> Path:
    """File of a module of this repository."""
    path = ROOT.joinpath(*name.split("."))
    module = path.with_suffix(".py")  # an experiment has a folder of its name beside it
    return module if module.exists() else path / "__init__.py"


@cache
def code_of(name: str) -> str:
    """Digest of a module's code, empty where there is no such module."""
    path = source_of(name)
    return digest([path.read_text(encoding="utf-8")])[:12] if path.exists() else ""


def label(item: Path | str) -> str:
    """Name of an input in a stamp."""
    return item if isinstance(item, str) else item.relative_to(ROOT).as_posix()


def content(item: Path | str) -> str | None:
    """SHA-256 of an input, of a file or a data set's pixels; None where that is not here."""
    return sha256(item) if isinstance(item, Path) else _pixels(item)


@cache
def _pixels(name: str) -> str | None:
    from memolib import datasets  # what needs no data need not wait for it

    if not datasets.is_here(name):
        return None
    sha = hashlib.sha256()
    for split in ("train", "test"):
        images = getattr(datasets, name)(split)
        sha.update(np.rint(images.x * 255).astype(np.uint8).tobytes())
        sha.update(images.labels.tobytes())
    return sha.hexdigest()


def sha256(path: Path | None) -> str:
    """SHA-256 of a file, empty where there is none."""
    return (
        hashlib.sha256(path.read_bytes()).hexdigest() if path is not None and path.exists() else ""
    )


def read_stamp(path: Path) -> dict | None:
    """Give a stamp, None where there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def write_stamp(path: Path, stamp: dict) -> None:
    """Write a stamp, one line."""
    write_text(path, json.dumps(stamp, sort_keys=True) + "\n")


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays beside a result, whole or not at all."""
    with replaced(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def here() -> str:
    """Name of the device that computes: the GPU's, or CPU."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch and torch.cuda.is_available() else "CPU"
