"""A storm or a long run in a process of its own, which has opened nothing before it forks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.repository import ROOT


def report_of(module: str, *arguments: object, seed: int, patience: float | None = None) -> dict[str, Any]:
    """What the program found. A finding raises, with the command that runs it again."""
    command = ["-m", module, *map(str, arguments), "--seed", str(seed)]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"python {' '.join(command)} found:\n{done.stdout}{done.stderr[-4_000:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report
