"""Plant one fault into a copy of the product, and run the tests that must see it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutants.faults import Fault
from tests.repository import ROOT

PATIENCE_SECONDS = 300
_TOLD = re.compile(r"^(?:FAIL|ERROR): (\S+) \((\S+?)\)", re.MULTILINE)


def source(fault: Fault) -> str:
    """The file that the fault goes into. Raises `ValueError` when its place is not there once."""
    text = (ROOT / "litequeue" / fault.file).read_text(encoding="utf-8")
    if (times := text.count(fault.right)) != 1:
        raise ValueError(f"{fault.name}: its place is found {times} times in {fault.file}, not once")
    return text


def caught_by(fault: Fault) -> str | None:
    """The first test that fails with the fault in place, or None when it goes unseen."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("litequeue", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        planted = source(fault).replace(fault.right, fault.wrong)
        (copy / "litequeue" / fault.file).write_text(planted, encoding="utf-8")
        present = [name for name in fault.tests if (copy / f"{name.replace('.', '/')}.py").exists()]
        return next(filter(None, (_first_failure(copy, name) for name in present)), None)


def _first_failure(copy: Path, tests: str) -> str | None:
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "unittest", "--failfast", tests],
            cwd=copy,
            env=os.environ | {"PYTHONPATH": str(copy)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{tests} (it hangs)"
    if ended.returncode == 0:
        return None
    told = _TOLD.search(ended.stdout)
    return told[2] if told else tests
