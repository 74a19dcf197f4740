"""Who copies the log into a database, seen from the system calls: an observer and its judge.

The observer is `watch.c`, preloaded into every process that uses the file. A copy is safe where no writer can
start the log anew meanwhile: while its process holds the lock of the writer, or has the file to itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import unittest
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

# Places that SQLite locks (its file format, 4.11 and os.h): bytes of the -shm, and of the database itself.
WRITER, COPIER = ("s", 120), ("s", 121)
ALONE = ("d", 0x40000002)
PLACES = (WRITER, COPIER, ALONE)


@dataclass
class Verdict:
    """What was written to the database under which lock, what should not have been, and locks on the log."""

    as_writer: int = 0
    alone: int = 0
    careless: list[str] = field(default_factory=list)
    log_locks: list[str] = field(default_factory=list)


def judge(lines: Iterable[str]) -> Verdict:
    """Go through the lines of the observer."""
    verdict = Verdict()
    held: dict[str, set[tuple[str, int]]] = {}
    for number, line in enumerate(lines, 1):
        process, deed, file, start, length = line.split()
        mine = held.setdefault(process, set())
        places = {place for place in PLACES if _covers(place, file, int(start), int(length))}
        if deed == "free":
            mine -= places
        elif deed == "lock":
            if file == "w":
                verdict.log_locks.append(f"line {number}: {line}")
            if COPIER in places and WRITER not in mine:
                verdict.careless.append(f"line {number}: {line}: begins to copy without the writer's lock")
            mine |= places
        elif WRITER in mine:
            verdict.as_writer += 1
        elif ALONE in mine:
            verdict.alone += 1
        else:
            verdict.careless.append(f"line {number}: {line}: writes without the writer's lock")
    return verdict


def _covers(place: tuple[str, int], file: str, start: int, length: int) -> bool:
    kind, byte = place
    return kind == file and start <= byte and (length == 0 or byte < start + length)


class Observer:
    """Builds the observer, and says how to have processes watched."""

    def __init__(self, test: unittest.TestCase, folder: Path, database: Path) -> None:
        compiler = shutil.which("cc")
        if sys.platform != "linux" or compiler is None:
            test.skipTest("to watch system calls takes Linux and a C compiler")
        library = folder / "watch.so"
        source = Path(__file__).with_name("watch.c")
        build = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
        subprocess.run(build, check=True)
        self.log = folder / "watch.log"
        self.log.touch()
        self.environment = {
            "LD_PRELOAD": str(library),
            "WATCH_FILE": os.path.realpath(database),
            "WATCH_LOG": str(self.log),
        }

    def verdict(self) -> Verdict:
        """The judge's word on all that was seen so far."""
        return judge(self.log.read_text().splitlines())
