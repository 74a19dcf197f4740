"""The repository as the tests about it see it: where it lies, and how to run a program that uses it."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "litequeue"
CHECKOUT = MappingProxyType({"PYTHONPATH": str(ROOT)})


def run(
    command: Sequence[str | Path],
    directory: Path,
    *,
    environment: Mapping[str, str] = CHECKOUT,
    timeout_seconds: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a directory, with this checkout importable and all its output in `stdout`."""
    return subprocess.run(
        list(command),
        cwd=directory,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


def run_python(
    arguments: Sequence[str | Path], directory: Path, *, timeout_seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run this very interpreter, as `run` does."""
    return run([sys.executable, *arguments], directory, timeout_seconds=timeout_seconds)
