"""Sweeps: every result once, in a file of its own, whatever fails, stops or dies."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial

import numpy as np
import pytest

from memolib import _files
from memolib._code import canonical, digest
from memolib.sweeps import code_digest, grid, name_of, sweep
from tools.notebooks import ROOT


def calls(folder):
    return len(list(folder.glob("called-*")))


def make_run(folder):
    """A run that leaves a trace of every call, and of what kind of process made it."""

    def run(a, b, log=str(folder)):
        import os
        import uuid
        from pathlib import Path

        Path(log, f"called-{uuid.uuid4()}").touch()
        if a == 2:
            raise RuntimeError(f"no answer for a = {a}")
        return {"sum": a + b, "curve": [a, b], "pid": os.getpid()}

    return run


def test_grid_has_all_combinations_in_order():
    assert grid(N=(10, 20), seed=range(2)) == [
        {"N": 10, "seed": 0},
        {"N": 10, "seed": 1},
        {"N": 20, "seed": 0},
        {"N": 20, "seed": 1},
    ]
    assert grid() == [{}]


def test_results_are_kept_and_failures_reported(tmp_path, capsys):
    run, folder = make_run(tmp_path), tmp_path / "results"
    first = sweep(run, grid(a=(1, 2, 3), b=(10, 20)), folder)
    assert [r["result"]["sum"] for r in first.done] == [11, 21, 13, 23] and calls(tmp_path) == 6
    assert [c for c, _ in first.failed] == [{"a": 2, "b": 10}, {"a": 2, "b": 20}]
    assert all("RuntimeError: no answer for a = 2" in error for _, error in first.failed)
    assert "no answer for a = 2" in capsys.readouterr().err
    again = sweep(run, grid(a=(3, 2, 1), b=(20,)), folder)  # only what failed runs again
    assert [r["result"]["sum"] for r in again.done] == [23, 21] and calls(tmp_path) == 7
    table = first.table()
    assert table.dtype.names == ("a", "b", "sum", "pid") and table["sum"].tolist() == [
        11,
        21,
        13,
        23,
    ]
    assert not list(folder.glob("*.part")) and sweep(run, [], folder).table().size == 0


def test_a_file_tells_how_it_was_made(tmp_path):
    sweep(make_run(tmp_path), [{"a": 1, "b": 2}], tmp_path / "r")
    (path,) = (tmp_path / "r").iterdir()
    stored = json.loads(path.read_text())
    assert stored["configuration"] == {"a": 1, "b": 2} and stored["code"] == code_digest(
        make_run(tmp_path)
    )
    assert stored["made"]["numpy"] == np.__version__ and stored["seconds"] >= 0


def test_the_configuration_makes_the_name():
    for configuration, name in (
        ({"width": 32}, "width=32"),
        ({"name": "fashion_mnist", "N": 50, "seed": 0}, "N=50,name=fashion_mnist,seed=0"),
        ({"t": 1e-3, "x": -2.5, "flag": True, "none": None}, "flag=true,none=null,t=0.001,x=-2.5"),
        ({}, "all"),
    ):
        assert name_of(configuration) == name
    awkward = [
        1,
        "1",
        "true",
        True,
        "a/b",
        "a b",
        "a,b=c",
        [1, 2],
        [1, [2]],
        "é",
        "e",
        "",
        " ",
        "x" * 300,
        "x" * 301,
        None,
        "null",
    ]
    names = [name_of({"a": value}) for value in awkward]
    assert len(set(map(str.lower, names))) == len(awkward)
    assert all(re.fullmatch(r"[\w=.,+-]{1,130}", name, re.ASCII) for name in names), names
    assert name_of({"a": 1, "b": 2}) == name_of({"b": 2, "a": 1})


def test_code_that_changed_is_told_and_its_results_kept(tmp_path, capsys):
    space, codes = {}, []
    for k, body in enumerate(
        ("return {'y': x + 1}", "return {'y': x + 1}  # words", "return {'y': x + 2}")
    ):
        exec(_as_file(f"def f(x):\n    {body}\n"), space)
        codes.append(code_digest(space["f"]))
        done = sweep(space["f"], [{"x": 1}], tmp_path).done
        assert done[0]["result"] == {"y": 2}
        assert ("1 results were made by other code" in capsys.readouterr().err) == (k == 2)
    assert codes[0] == codes[1] != codes[2]
    assert sweep(space["f"], [{"x": 1}], tmp_path, again=True).done[0]["result"] == {"y": 3}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_digest_sees_what_code_does_and_not_how_it_is_written():
    source = 'def f(x):\n    """Doc."""\n    return g(x, "a" "b") + [1, 2]\n'
    same = "def f(\n  x,\n):  # note\n\n  return (g( x, 'ab', )\n + [1,2])\n"
    assert digest([source]) == digest([same])
    for change in (
        ("+", "-"),
        ("1", "1.0"),
        ('"a"', '"c"'),
        ("x)", "x, y)"),
        ("g(", "h("),
        ("return", "yield"),
        ("1", "None"),
    ):
        assert digest([source]) != digest([source.replace(*change, 1)]), change
    assert digest(["x = None"]) != digest(["x = 1"]) and digest(["a", "b"]) != digest(["a\nb"])
    # the same in every version of Python: fields that later ones add are empty here
    assert canonical("def f(x):\n    return x\n") == (
        "Module(body=[FunctionDef(name='f',args=arguments(args=[arg(arg='x')]),body=[Return(value=Name(id='x'))])])"
    )


def _as_file(source):
    import linecache

    name = f"<{source}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return compile(source, name, "exec")


def test_a_damaged_file_is_named_and_made_again(tmp_path, capsys):
    run = make_run(tmp_path)
    first = sweep(run, grid(a=(1, 3), b=(1,)), tmp_path / "r").done
    path = tmp_path / "r" / "a=1,b=1.json"
    for damage in (
        "",
        path.read_text()[:40],
        "[]",
        '{"configuration": {"a": 1, "b": 1}, "result": 3}',
    ):
        path.write_text(damage)
        again = sweep(run, grid(a=(1, 3), b=(1,)), tmp_path / "r").done
        assert again[0]["result"]["sum"] == first[0]["result"]["sum"] and again[1] == first[1]
        assert f"{path} is damaged" in capsys.readouterr().err
    assert calls(tmp_path) == 6
    path.write_text(json.dumps(first[1]))
    with pytest.raises(ValueError, match="allowed, in its place, is a result of"):
        sweep(run, grid(a=(1,), b=(1,)), tmp_path / "r")


def test_bad_configurations_are_refused(tmp_path):
    with pytest.raises(ValueError, match="configurations has 1 repeated"):
        sweep(make_run(tmp_path), [{"a": 1, "b": 1}] * 2, tmp_path)
    for bad in ({"a": {1}}, {"a": float("nan")}):
        with pytest.raises(ValueError, match="configurations has"):
            sweep(make_run(tmp_path), [bad], tmp_path)


def test_numpy_numbers_are_numbers(tmp_path):
    """Of configurations and of results: handed on, stored and named as Python's own."""
    seen = []

    def run(N, t, flag, sizes, log=seen):
        log.append((N, t, flag, sizes))
        return {"N": np.int64(N), "curve": np.arange(2) / 2, "t": np.float32(t)}

    mixed = {
        "N": np.int32(3),
        "t": np.float64(0.1),
        "flag": np.bool_(True),
        "sizes": (np.int64(1), 2),
    }
    plain = {"N": 3, "t": 0.1, "flag": True, "sizes": [1, 2]}
    assert name_of(mixed) == name_of(plain) == name_of(mixed | {"sizes": np.array([1, 2])})
    first = sweep(run, [mixed], tmp_path)
    assert not first.failed and seen == [(3, 0.1, True, [1, 2])]
    assert [type(value) for value in seen[0]] == [int, float, bool, list]
    assert first.done[0]["configuration"] == plain
    assert first.done[0]["result"] == {"N": 3, "curve": [0.0, 0.5], "t": float(np.float32(0.1))}
    for same in (mixed, plain):  # what is there is known again, either way
        assert sweep(run, [same], tmp_path).done == first.done and len(seen) == 1
    assert [name_of(c) for c in grid(N=np.arange(2), t=np.array([0.5, 1.0]))] == [
        name_of(c) for c in grid(N=[0, 1], t=[0.5, 1.0])
    ]
    assert name_of({"x": np.float32(0.1)}) == "x=0.10000000149011612"  # what it is
    with pytest.raises(ValueError, match="configurations has 1 repeated"):
        sweep(run, [mixed, plain], tmp_path)
    for bad in (np.nan, np.float64("inf"), np.complex128(1j), np.datetime64("2020-01-01")):
        with pytest.raises(ValueError, match="allowed are finite numbers, texts"):
            name_of({"a": bad})


def test_a_file_removed_meanwhile_is_made_again(tmp_path, monkeypatch):
    run = make_run(tmp_path)
    sweep(run, grid(a=(1, 3), b=(1,)), tmp_path / "r")
    before = _files.read_text

    def removing(path):
        path.unlink()
        return before(path)

    monkeypatch.setattr("memolib.sweeps.read_text", removing)  # gone between a look and the reading
    again = sweep(run, grid(a=(1, 3), b=(1,)), tmp_path / "r")
    assert [r["result"]["sum"] for r in again.done] == [2, 4] and not again.failed
    assert calls(tmp_path) == 4


def test_a_folder_removed_meanwhile_is_made_again(tmp_path):
    def run(a, folder=str(tmp_path / "r")):
        import shutil

        if a == 1:
            shutil.rmtree(folder)
        return {"square": a * a}

    done = sweep(run, grid(a=range(3)), tmp_path / "r").done
    assert [r["result"]["square"] for r in done] == [0, 1, 4]
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == ["a=1.json", "a=2.json"]


def test_two_sweeps_in_one_folder_at_once(tmp_path):
    code = """
        import sys, time
        from memolib.sweeps import grid, sweep

        def run(a):
            return {"long": [a] * 20_000}

        for _ in range(3):
            done = sweep(run, grid(a=range(15)), "results", again=True).done
            assert [r["result"]["long"][0] for r in done] == list(range(15))
    """
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code), encoding="utf-8")
    both = [
        subprocess.Popen([sys.executable, script], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        _, error = process.communicate(timeout=100)
        assert process.returncode == 0 and not error, error
    names = sorted(p.name for p in (tmp_path / "results").iterdir())
    assert names == sorted(f"a={a}.json" for a in range(15))  # and nothing half-made beside them
    for path in (tmp_path / "results").iterdir():
        assert len(json.loads(path.read_text(encoding="utf-8"))["result"]["long"]) == 20_000


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    sweep(make_run(tmp_path), [{"a": 1, "b": 2}], "~/runs")
    assert (tmp_path / "runs" / "a=1,b=2.json").exists() and not (tmp_path / "~").exists()
    with pytest.raises(ValueError, match="path is 3; allowed is a text or a path"):
        sweep(make_run(tmp_path), [], 3)


def test_lambdas_and_functions_without_source_are_refused(tmp_path):
    functions = [lambda a: {"y": a}, *(lambda a: {"y": a} for _ in range(1))]
    space = {}
    exec("def f(a):\n    return {'y': a}", space)
    for function in (*functions, space["f"]):
        with pytest.raises(
            ValueError, match="allowed is one that `def` makes in a file or a notebook, no lambda"
        ):
            sweep(function, [{"a": 1}], tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_what_a_digest_cannot_see_is_refused():
    k = 1

    def closure(x):
        return {"y": x + k}

    for bad in (closure, partial(sweep, 1), len, "run"):
        with pytest.raises(ValueError, match="function is"):
            code_digest(bad)


def test_a_result_that_cannot_be_stored_is_a_failure(tmp_path):
    def run(a):
        return {"a": {a}}

    def listed(a):
        return [a]

    assert "not JSON serializable" in sweep(run, [{"a": 1}], tmp_path).failed[0][1]
    assert "the result is list" in sweep(listed, [{"a": 1}], tmp_path).failed[0][1]


def test_a_killed_sweep_goes_on_where_it_stopped(tmp_path):
    """kill -9 in the third of four runs: the two results before it are there, and are not computed
    again."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, time
            from pathlib import Path
            from memolib.sweeps import grid, sweep

            def run(a):
                Path(f"called-{a}-{time.time_ns()}").touch()
                if a == 2 and sys.argv[1:] == ["slow"]:
                    time.sleep(60)
                return {"square": a * a}

            print([r["result"]["square"] for r in sweep(run, grid(a=range(4)), "results").done])
            """
        )
    )
    first = subprocess.Popen([sys.executable, script, "slow"], cwd=tmp_path)
    while not list(tmp_path.glob("called-2-*")):
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert len(list((tmp_path / "results").glob("*.json"))) == 2
    second = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert second.stdout == "[0, 1, 4, 9]\n"
    assert [len(list(tmp_path.glob(f"called-{a}-*"))) for a in range(4)] == [1, 1, 2, 1]


@pytest.mark.slow
def test_a_cluster_gives_the_same_results_and_survives_a_killed_worker(tmp_path, own_environment):
    from distributed import LocalCluster

    def run(a, b, log=str(tmp_path)):
        import os
        import time
        from pathlib import Path

        started = Path(log, f"started-{a}")
        if a == 1 and not started.exists():
            started.write_text(str(os.getpid()), encoding="utf-8")
            os.kill(os.getpid(), 9)  # this worker dies in mid-run
        time.sleep(0.2)
        if a == 2:
            raise RuntimeError("no answer")
        return {"sum": a + b, "pid": os.getpid()}

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local:
        spread = sweep(
            run, grid(a=range(5), b=(1, 2)), tmp_path / "cluster", address=local.scheduler_address
        )
    assert (tmp_path / "started-1").exists() and len(spread.failed) == 2
    here = sweep(run, grid(a=range(5), b=(1, 2)), tmp_path / "here")
    assert [r["result"]["sum"] for r in spread.done] == [r["result"]["sum"] for r in here.done]
    pids = {r["result"]["pid"] for r in spread.done}
    assert len(pids) >= 2 and os.getpid() not in pids


@pytest.mark.slow
def test_the_page_on_clusters_works_as_printed(tmp_path):
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "book" / "reference" / "clusters.md").read_text(), re.S
    )
    (tmp_path / "page.py").write_text(blocks[0])
    out = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert (
        out.startswith("tensor(True)\n[( 10, 0, 0.1 )")
        and len(list((tmp_path / "runs").glob("*.json"))) == 4
    )
    compile(blocks[1], "page", "exec")  # needs a Slurm cluster
