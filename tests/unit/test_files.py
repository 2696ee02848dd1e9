"""Paths that users write, text in any locale, and outputs that show few signs."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memolib import plots
from memolib._files import as_path, printable, read_text, write_text
from tools.notebooks import ROOT

MINE = [
    "_files.py",
    "sweeps.py",
    "datasets.py",
    "plots.py",
    "explore.py",
    "exercises/__init__.py",
    "exercises/_grading.py",
]


def test_the_home_folder_is_understood(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert as_path("~/ck") == as_path(Path("~/ck")) == tmp_path / "ck"
    assert as_path("a/~b") == Path("a/~b") and as_path(Path("/x y/é")) == Path("/x y/é")
    for bad in (3, None, ["a"], "~nobody-of-this-name/x"):
        with pytest.raises(ValueError, match=r"path is .*; allowed is a text or a path"):
            as_path(bad)


def test_what_is_written_is_read_and_errors_name_the_file(tmp_path):
    path = tmp_path / "new folder" / "ünïcode.txt"
    write_text(path, "t ≤ β ✔\n")
    assert read_text(path) == read_text(str(path)) == "t ≤ β ✔\n"
    path.write_bytes("naïve".encode("cp1252"))
    with pytest.raises(ValueError, match=r"code\.txt is no text in UTF-8"):
        read_text(path)
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
        read_text(tmp_path / "missing.txt")
    with pytest.raises(OSError, match="new folder"):
        read_text(tmp_path / "new folder")


def test_files_are_the_same_in_every_locale(tmp_path):
    code = """
import sys
from memolib._files import read_text, write_text
write_text(sys.argv[1], read_text(sys.argv[1]) + '\\u2714')
"""
    path = tmp_path / "text"
    write_text(path, "β")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    env |= {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
    }
    strict = ["-X", "warn_default_encoding", "-W", "error::EncodingWarning"]
    subprocess.run([sys.executable, *strict, "-c", code, path], env=env, check=True)
    assert path.read_bytes() == "β✔".encode()


def test_every_text_names_its_encoding():
    """PLW1514 is a rule that ruff only has on request."""
    ruff = Path(sys.executable).with_name("ruff")
    files = [ROOT / "memolib" / name for name in MINE]
    done = subprocess.run(
        [ruff, "check", "--no-cache", "--isolated", "--preview", "--select", "PLW1514", *files],
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_prints_survive_every_output(monkeypatch, encoding):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    plots.print_table({"β": [1.0], "name": ["é"]}, ".1f")
    out.flush()
    text = out.buffer.getvalue().decode(encoding)
    assert "1.0" in text and ("β" in text) == (encoding == "utf-8")
    assert printable("β", io.StringIO()) == "β"  # a stream of text, without an encoding
