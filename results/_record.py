"""How a script of this folder writes what it found: with a record of command, machine and versions, in one step."""

import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch


def write(path: Path, content: dict, script: str, start: float, indent: int | None = 1) -> None:
    """Write content with its record; start is the time at which the script began, by ``time.perf_counter``.

    With indent None in one line, which long lists of numbers need to stay small.
    """
    record = {
        "command": f"python results/{Path(script).name}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "seconds": round(time.perf_counter() - start, 1),
    }
    part = path.with_suffix(".part")
    part.write_text(
        json.dumps({"record": record} | content, indent=indent, separators=(",", ":" if indent is None else ": "))
        + "\n"
    )
    os.replace(part, path)
