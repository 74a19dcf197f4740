"""The preload shim: built with the compiler of the machine, and armed through ctypes."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from enum import IntEnum, IntFlag
from pathlib import Path

from tests.repository import ROOT

SOURCE = Path(__file__).with_name("shim.c")


class Kind(IntFlag):
    """What a file call does."""

    OPEN = 1
    READ = 2
    WRITE = 4
    SYNC = 8
    RESIZE = 16
    REMOVE = 32
    LOCK = 64
    MAP = 128
    STAT = 256


ALL = Kind(511)
CHANGES = ALL & ~Kind.READ & ~Kind.STAT  # between two of these a crash leaves the same


class Deed(IntEnum):
    """What is done with the n-th call."""

    KILL = 1  # the process ends before it
    TEAR = 2  # a write is half done, and the process ends
    FAIL = 3
    FAIL_EVER = 4  # that one and all after it
    FAIL_SHORT = 5  # as FAIL_EVER, but a first write is half done


class Shim:
    """The shim of this very process, which must have been started with it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.shim_arm.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
        self._library.shim_disarm.restype = ctypes.c_long

    def watch(self, folder: Path) -> None:
        """From now on the files that are opened in this folder, and the folder itself, are known."""
        self._library.shim_watch(os.fsencode(folder))

    def arm(self, kinds: Kind, deed: Deed = Deed.KILL, at: int = 0, error: int = 0) -> None:
        """Count the calls of these kinds, and do this with the `at`-th of them; 0 is none."""
        self._library.shim_arm(kinds, deed, error, at)

    def disarm(self) -> int:
        """Let all calls pass; how many were counted."""
        return int(self._library.shim_disarm())

    def record(self, descriptor: int) -> None:
        """Write all that changes the files down to this descriptor."""
        self._library.shim_record(descriptor)

    def note(self, text: str) -> None:
        """Write a line of the test's own between what was recorded."""
        self._library.shim_note(text.encode())


def missing() -> str:
    """Why there can be no shim here; empty when there can."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return "the shim is for 64-bit Linux"
    if _compiler() is None:
        return "there is no C compiler to build the shim with"
    return ""


def build(folder: Path) -> Path:
    """The shim as a library in this folder."""
    library = folder / "shim.so"
    command = [str(_compiler()), "-O1", "-shared", "-fPIC", "-pthread", str(SOURCE), "-o", str(library)]
    subprocess.run([*command, "-ldl"], check=True)
    return library


def start(library: Path, *arguments: object) -> subprocess.Popen[str]:
    """A Python process under the shim, with these arguments; what it says comes through one pipe."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _compiler() -> str | None:
    found = (shutil.which(name) for name in ("cc", "gcc", "clang"))
    return next((path for path in found if path), None)
