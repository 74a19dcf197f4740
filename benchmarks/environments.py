"""Environments of their own, for what the benchmarks use and the project must not depend on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import BenchmarkFailed

SECONDS = 600.0  # a package that takes longer to install is not measured
VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def interpreter(requirements: str, least: tuple[int, int]) -> str:
    """Return a Python that has the requirements installed, in an environment made for them if need be.

    `requirements` are separated by spaces. Raise BenchmarkFailed with the reason where that can not be.
    """
    base, version = _python(least)
    home = _cache() / f"{_plain(requirements)}-python{version}"
    python = home / "bin" / "python"
    done = home / "installed"
    if not done.exists() or _version(str(python)) is None:
        _run([base, "-m", "venv", "--clear", str(home)])
        _run([str(python), "-m", "pip", "install", "--quiet", *requirements.split()])
        done.write_text(requirements)
    return str(python)


def _plain(requirements: str) -> str:
    return "".join(sign if sign.isalnum() or sign in ".-" else "-" for sign in requirements)


def _python(least: tuple[int, int]) -> tuple[str, str]:
    names = [f"python{least[0]}.{minor}" for minor in range(least[1], least[1] + 4)]
    own = [sys.executable] if sys.version_info >= least else []
    for path in [*own, *filter(None, map(shutil.which, names))]:
        version = _version(path)
        if version is not None:
            return path, version
    raise BenchmarkFailed(f"needs Python {least[0]}.{least[1]}, and none is on the PATH")


def _version(python: str) -> str | None:
    try:
        said = subprocess.run([python, "-c", VERSION], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return said.stdout.strip() if said.returncode == 0 else None


def _cache() -> Path:
    """Return where the environments lie: in the user's cache, outside the project."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "litequeue-benchmarks"


def _run(command: Sequence[str]) -> None:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BenchmarkFailed(f"could not be installed in {SECONDS:.0f} s") from None
    if ended.returncode != 0:
        reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BenchmarkFailed(f"could not be installed: {reason}")
