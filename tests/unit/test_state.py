"""The fixture that fails tests which change global state, on tests that do so."""

from pathlib import Path

pytest_plugins = ["pytester"]

LEAKS = """
import os, tempfile
import numpy as np
import torch

def test_default_dtype(): torch.set_default_dtype(torch.float64)
def test_grad_mode(): torch.set_grad_enabled(False)
def test_threads(): torch.set_num_threads(torch.get_num_threads() + 1)
def test_deterministic(): torch.use_deterministic_algorithms(True)
def test_numpy_seed(): np.random.seed(0)
def test_numpy_draw(): np.random.rand()
def test_errstate(): np.seterr(over="ignore", divide="raise")
def test_print(): np.set_printoptions(precision=3)
def test_environment(): os.environ["LEFT_BEHIND"] = "1"
def test_environment_without(): del os.environ["PATH"]
def test_directory(): os.chdir(tempfile.gettempdir())
"""
GOOD = """
import numpy as np
import torch

def test_nothing(): assert torch.get_default_dtype() == torch.float32
def test_put_back(monkeypatch):
    monkeypatch.setenv("SET_AND_PUT_BACK", "1")
    with np.errstate(all="ignore"), torch.no_grad():
        assert np.random.default_rng(0).random() < 1
def test_first(): assert torch.rand(()) == FIRST()
def test_second(): assert torch.rand(()) == FIRST()
def FIRST(): return torch.rand((), generator=torch.Generator().manual_seed(0))
"""


def test_what_changes_the_world_fails_and_nothing_else(pytester):
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text())
    pytester.makepyfile(test_good=GOOD, test_leaks=LEAKS)
    # in a process of its own: within this one, pytester would forget modules that torch has loaded
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")
    leaks = LEAKS.count("def test_")
    result.assert_outcomes(passed=leaks + GOOD.count("def test_"), errors=leaks)
    result.stdout.fnmatch_lines(
        ["*leaves changed: torch's default dtype", "*leaves changed: the working directory"]
    )
