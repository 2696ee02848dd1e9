"""Stored results: each belongs to the code that is here or is named, and a part of each can be made
again."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch

from memolib import checkpoints
from results import _stored
from results.__main__ import experiment, names
from results._stored import Experiment, Leaves, differences, judge, quantities, read_stamp
from tools.notebooks import ROOT

EXPERIMENTS = [name for name in names() if name != "notebooks"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_result_is_there_and_holds(name):
    """Change code that a result was made by, and ``make verify`` must call its witness before it
    lands."""
    stored = experiment(name)
    states = {str(c): stored.state(c) for c in stored.configurations}
    # somebody may have another selection of photographs
    other = [f"changed: {name}" for name in _stored.DATA_SETS]
    open_ = {
        c: state for c, state in states.items() if state.name != "fresh" and state.why not in other
    }
    assert open_ == {}, "run `make verify`"
    assert stored.besides() == []
    for c in stored.configurations:
        stamp = read_stamp(stored.path(c, ".stamp"))
        assert {f"results.{name}", "memolib.sweeps", "results._stored"} < set(stamp["code"])
        assert all(re.fullmatch("[0-9a-f]{12}", code) for code in stamp["code"].values()), stamp[
            "code"
        ]
        assert (stamp["leaves"] >= 4 and stamp["deviation"] <= 1) or stamp["by"] == "made"


def test_every_stored_network_opens_and_is_what_its_result_says():
    paths = sorted((ROOT / "results").glob("*_networks/*.safetensors"))
    assert Counter(path.parent.name for path in paths) == {
        "image_networks": 21, "cifar_networks": 14, "trained_networks": 8
    }  # fmt: skip
    for path in paths:
        D, result = (
            checkpoints.load(path),
            json.loads(path.with_suffix(".json").read_text())["result"],
        )
        assert (
            D.size == result.get("parameters", D.size)
            and D(torch.zeros(1, D.network.d), 1.0).isfinite().all()
        )


# The mechanism, on a small experiment in a copy of the house.

TOY = '''"""A toy."""

from memolib.rem import critical_beta
from results._stored import Experiment, Leaves, FOLDER


def run(N: int) -> dict:
    return {"beta": [float(critical_beta(N, v)) for v in (1.0, 2.0)], "device": "CPU"}


def witness(N: int) -> list[Leaves]:
    return [Leaves({"beta": {0: run(N)["beta"][0]}}, 1e-9)]


STORED = Experiment(run, [{"N": 2}, {"N": 3}], witness, reads=lambda N: [FOLDER / "input.txt"])
'''


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "memolib", folder / "memolib")
    (folder / "results").mkdir()
    for name in ("__init__.py", "__main__.py", "_stored.py"):
        shutil.copy(ROOT / "results" / name, folder / "results")
    (folder / "results" / "toy.py").write_text(TOY)
    (folder / "results" / "input.txt").write_text("what it was read from")
    return folder


def results(house, *arguments, code=0):
    out = subprocess.run(
        [sys.executable, "-m", "results", *arguments], cwd=house, capture_output=True, text=True
    )
    assert out.returncode == code, out.stdout + out.stderr
    return out.stdout + out.stderr


def test_results_follow_their_code(house):
    """Made, kept under a reformatting, suspect under a repair, and stale when a sign is wrong, by
    name and amount."""
    assert "N=2: missing" in results(house, "status", "toy")
    results(house, "make", "toy")
    stored = {path.name: path.read_bytes() for path in (house / "results" / "toy").iterdir()}
    assert set(stored) == {"N=2.json", "N=2.stamp", "N=3.json", "N=3.stamp"}
    assert (
        "toy: 2 made" in results(house, "status", "toy") and stored["N=2.stamp"].count(b"\n") == 1
    )
    code = json.loads(stored["N=2.stamp"])["code"]
    assert {"memolib.rem", "memolib._validate", "results.toy"} < set(
        code
    ) and "memolib.training" not in code

    module = house / "memolib" / "rem.py"
    right, line = module.read_text(), "return np.sqrt(2 * np.log(N))"
    assert line in right
    module.write_text(right.replace(line, "return np.sqrt(\n  (2*np.log( N ))\n  )  # the same"))
    assert "toy: 2 made" in results(house, "status", "toy")  # a reformatting
    module.write_text(right.replace(line, "return (2 * np.log(N)) ** 0.5"))
    assert "suspect, changed: memolib.rem" in results(house, "status", "toy")
    assert "N=3: fresh, checked" in results(house, "verify", "toy")
    assert "toy: 2 checked" in results(house, "status", "toy")
    module.write_text(right.replace(line, "return np.sqrt(3 * np.log(N))"))
    said = results(house, "verify", "toy", code=1)
    assert "toy N=2: stale, beta 0" in said and "python -m results make toy N=2" in said
    # until it is made again, or the code is right
    assert "stale, beta 0" in results(house, "status", "toy")
    module.write_text(right)
    results(house, "verify", "toy")
    toy = house / "results" / "toy.py"
    toy.write_text(TOY.replace("1e-9", "1e-8"))  # the experiment itself
    assert "suspect, changed: results.toy" in results(house, "status", "toy")
    toy.write_text(TOY)
    results(house, "verify", "toy")
    assert [path.read_bytes() for path in sorted((house / "results" / "toy").glob("*.json"))] == [
        stored["N=2.json"],
        stored["N=3.json"],
    ]


@pytest.mark.slow
def test_a_damaged_result_is_named_and_made_again(house):
    results(house, "make", "toy")
    path = house / "results" / "toy" / "N=2.json"
    whole = path.read_bytes()
    for damage in (b"", whole[: len(whole) // 2], whole.replace(b"1.", b"2.", 1)):
        path.write_bytes(damage)
        assert "toy N=2: damaged" in results(house, "status", "toy")
        assert "damaged" in results(house, "verify", "toy", code=1) and path.read_bytes() == damage
        assert "toy N=2: damaged" in results(house, "make", "toy")
        assert json.loads(path.read_text())["result"] == json.loads(whole)["result"]
    (house / "results" / "input.txt").write_text("something else")
    assert "suspect, changed: results/input.txt" in results(house, "status", "toy")
    assert "toy is" not in results(house, "make", "toy", "N=3", "--again")
    said = results(house, "status", "toy")
    assert "toy: 1 made" in said and "N=2: suspect" in said
    assert "allowed are" in results(house, "make", "toy", "N=7", code=1)


def test_stamps_are_judged():
    stamp = {
        "code": {"a": "1"},
        "files": {".json": "2"},
        "inputs": {"mnist": "3"},
        "version": 1,
        "by": "made",
    }
    for change, name, why in (
        ({}, "fresh", "made"),
        ({"inputs": {"mnist": None}}, "fresh", "made"),  # data that are not here
        ({"inputs": {"mnist": "4"}}, "suspect", "changed: mnist"),
        ({"inputs": {}}, "suspect", "changed: mnist"),
        ({"code": {"a": "2"}}, "suspect", "changed: a"),
        ({"files": {".json": "2", ".npz": "5"}}, "damaged", ".npz"),
        ({"version": 2}, "stale", "version 2 is wanted"),
    ):
        state = judge(stamp, stamp | change)
        assert state.name == name and why in state.why, change
    assert judge(None, stamp).name == "suspect"
    assert judge(stamp | {"stale": "x moved"}, stamp) == ("stale", "x moved")


def test_differences_are_in_units_of_what_is_allowed():
    known = {"a": [1.0, 2.0, float("nan")], "b": {"c": 100.0}, "d": np.arange(6.0).reshape(2, 3)}
    for found, share, words in (
        ({"a": [1.0, 2.0, float("nan")]}, 0, "a"),
        ({"a": {1: 2.02}}, 1, "a 1 moved by 0.02 (stored is 2)"),  # relative above 1
        ({"b": {"c": 101.0}}, 1, "b c moved by 1"),
        ({"d": {1: [3.0, 4.0, 5.1]}}, 2, "d 1"),
        ({"a": {2: 1.0}}, np.inf, "a 2"),
        ({"a": {0: float("nan")}}, np.inf, "a 0"),
        ({"a": {3: 1.0}}, np.inf, "a 3 is not stored"),
        ({"e": 1.0}, np.inf, "e is not stored"),
        ({"a": [1.0]}, np.inf, "a has shape"),
    ):
        worst = max(differences(found, known, 0.01))
        assert worst.share == pytest.approx(share) and worst.words.startswith(words), worst
    assert quantities({"0 10 500": {"x y": [1], "z": [{"w": 1}, {"v": 2}]}}) == {
        "# # #/x y",
        "# # #/z/w",
        "# # #/z/v",
    }


def test_another_kind_of_device_has_its_own_tolerance(monkeypatch):
    leaves = Leaves({}, 1e-3, elsewhere=0.1)
    for device, allowed in (
        ({}, 1e-3),
        ({"device": "CPU"}, 1e-3),
        ({"device": "NVIDIA H100"}, 0.1),
    ):
        monkeypatch.setattr(_stored, "here", lambda: "CPU")
        assert Experiment.allowed(leaves, device) == allowed
    assert Experiment.allowed(Leaves({}, 1e-3), {"device": "NVIDIA H100"}) == 1e-3
