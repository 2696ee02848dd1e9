"""The front of the package: names that a researcher needs, light imports, examples that run, the
quick start."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys

import pytest

import memolib
from tools.notebooks import ROOT


def run(code, cwd):
    out = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    return out.stdout


def test_every_name_is_there_and_loaded_when_used(tmp_path):
    for name in memolib.__all__:
        assert getattr(memolib, name) is not None
    assert set(memolib.__all__) <= set(dir(memolib))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        memolib.nothing  # noqa: B018
    said = run(
        "import sys, memolib; print('torch' in sys.modules); memolib.theory.collapse_time([1.0], 10); memolib.rem;"
        "print('torch' in sys.modules); memolib.Empirical; print('torch' in sys.modules)",
        tmp_path,
    )
    assert said.split() == ["False", "False", "True"]


MODULES = [m.name for m in pkgutil.walk_packages(memolib.__path__, "memolib.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert (
        doctest.testmod(
            importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE
        ).failed
        == 0
    )


def test_the_quick_start_works_as_printed_from_an_empty_folder(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) == 1
    printed = run(blocks[0], tmp_path)
    assert (
        re.search(r"tensor\(\[", printed)
        and 0.5 < float(re.findall(r"tensor\((\d\.\d*)", printed)[-1]) <= 1
    )
