"""The plots of a page of results, drawn as SVG by matplotlib in an environment of its own."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.environments import interpreter
from benchmarks.processes import BenchmarkFailed, environment

MATPLOTLIB = "matplotlib==3.11.2"  # another version would draw the same figures with other bytes
SECONDS = 300.0


def draw(data: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw every plot there are figures for; return the files, in the order of the page.

    `data` is plain JSON: lists under "throughput", "latency", "backlog" and "processes", and "facts"
    (`drivers/draw.py` says which keys they have). Raise BenchmarkFailed where nothing can be drawn here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        drawn = subprocess.run(
            [interpreter(MATPLOTLIB, (3, 11)), "-m", "drivers.draw", str(folder.resolve())],
            cwd=folder,
            env=environment(folder, {}, {}),
            input=json.dumps(data),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkFailed(f"the plots were not drawn in {SECONDS:.0f} s") from None
    if drawn.returncode != 0:
        raise BenchmarkFailed(f"the plots were not drawn:\n{drawn.stderr[-2000:]}")
    return [folder / name for name in drawn.stdout.split()]
