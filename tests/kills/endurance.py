"""Eight processes on one file for a long time, with a kill every second: does anything grow?

    python -m tests.kills.endurance --seconds 60

Memory and descriptors of those who are never killed are sampled, and the sizes of the file and of its log, by
`os.stat` alone. What was counted is kept in memory that all share, which a killed process can not take along.
"""

from __future__ import annotations

import argparse
import json
import logging
import mmap
import os
import random
import signal
import sqlite3
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from litequeue import Queue, Retry, current_job
from litequeue.job import State
from litequeue.storage import checks
from litequeue.storage.enqueuing import LAST_ID
from litequeue.storage.workers import SIGNED_ON

from .folder import folder_in_memory
from .roles import die_with_parent

LEASE, RETENTION = 1.0, 1.0
MOST_WAITING = 3_000
ENDURING, MORTAL = ("producer", "worker", "worker"), ("producer", "producer", "worker", "worker", "worker")
_WORD = struct.Struct("q")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_OPEN = "SELECT count(*) FROM litequeue_job WHERE finished_at IS NULL"
_TIME_TO_END = 60.0


class Tally:
    """Numbers in shared memory, one per place; each place has one writer at a time."""

    def __init__(self, places: int) -> None:
        self._memory = mmap.mmap(-1, places * _WORD.size)

    def add(self, place: int, number: int) -> None:
        """Count on, for good: a kill can not undo it."""
        before = _WORD.unpack_from(self._memory, place * _WORD.size)[0]
        _WORD.pack_into(self._memory, place * _WORD.size, before + number)

    def total(self, places: Iterable[int]) -> int:
        """The sum over some places."""
        return sum(int(_WORD.unpack_from(self._memory, place * _WORD.size)[0]) for place in places)


class Sample(NamedTuple):
    """What was seen at one moment: memory and descriptors of each who endures, sizes of file and log."""

    at: float
    memory: tuple[int, ...]
    descriptors: tuple[int, ...]
    file: int
    log: int


@dataclass(frozen=True)
class Place:
    """One of the eight: what it does, and where it counts."""

    number: int
    role: str
    is_mortal: bool


# --- what the eight do -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Player:
    """One process in one place."""

    path: Path
    place: Place
    tally: Tally
    chance: random.Random

    def play(self) -> None:
        """Work until killed or stopped."""
        logging.disable()  # thousands of tasks fail on purpose
        queue = Queue(self.path, durability="normal", lease=LEASE, retention=RETENTION)
        tick = queue.task(name="endurance:tick", retry=Retry(5, base=0.01))(self._tick)
        if self.place.role == "worker":
            queue.worker(threads=self.chance.choice((1, 2, 4))).run()
        else:
            self._produce(queue, tick.call)

    def _produce(self, queue: Queue, call: Callable[[int], object]) -> None:
        is_going = [True]
        signal.signal(signal.SIGTERM, lambda *_: is_going.clear())
        number, looked = 0, 0.0
        while is_going:
            if time.monotonic() - looked > 0.1:
                looked = time.monotonic()
                while is_going and queue.desk.reports.counts("default")[State.READY] > MOST_WAITING:
                    time.sleep(0.01)
            calls = [call(number + each) for each in range(self.chance.choice((1, 10, 100)))]
            number += len(calls)
            self.tally.add(self.place.number, len(queue.enqueue_many(calls)))  # type: ignore[arg-type]

    def _tick(self, number: int) -> int | None:
        self.tally.add(self.place.number, 1)
        job = current_job()
        if number % 100 == 0:
            time.sleep(0.001)
        if number % 200 == 1 and job is not None and job.attempt == 1:
            raise ValueError(number)
        return number if number % 3 else None


# --- the run ---------------------------------------------------------------------------------------


@dataclass
class Endurance:
    """Keeps the eight at work, kills one every second, and looks at what endures."""

    path: Path
    seconds: float
    seed: int
    samples: list[Sample] = field(default_factory=list)
    kills: int = 0

    def __post_init__(self) -> None:
        roles = [(role, False) for role in ENDURING] + [(role, True) for role in MORTAL]
        self._places = [Place(number, role, is_mortal) for number, (role, is_mortal) in enumerate(roles)]
        self._tally = Tally(len(roles))
        self._random = random.Random(self.seed)
        self._pids: dict[Place, int] = {}

    def run(self) -> dict[str, object]:
        """The whole run; what it came to, in numbers."""
        Queue(self.path).counts()  # makes the file; closed by the fork
        begun = time.monotonic()
        try:
            for place in self._places:
                self._pids[place] = self._fork(place)
            while time.monotonic() < begun + self.seconds:
                time.sleep(1)
                self.samples.append(self._sample(time.monotonic() - begun))
                self._kill_one()
            self._wind_down()
        finally:
            for pid in self._pids.values():
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        return self._report(time.monotonic() - begun)

    def _fork(self, place: Place) -> int:
        chance = random.Random(self._random.random())
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            die_with_parent()
            Player(self.path, place, self._tally, chance).play()
            code = 0
        finally:
            os._exit(code)

    def _kill_one(self) -> None:
        place = self._random.choice([place for place in self._places if place.is_mortal])
        os.kill(self._pids[place], signal.SIGKILL)
        status = os.waitpid(self._pids[place], 0)[1]
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, f"{place} ended by itself: {status}"
        self.kills += 1
        self._pids[place] = self._fork(place)

    def _sample(self, at: float) -> Sample:
        pids = [self._pids[place] for place in self._places if not place.is_mortal]
        return Sample(
            at,
            tuple(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in pids),
            tuple(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
            _size(self.path),
            _size(f"{self.path}-wal"),
        )

    def _wind_down(self) -> None:
        """Let the producers stop, then let the workers bring everything to an end, then stop them too."""
        self._stop("producer")
        end = time.monotonic() + _TIME_TO_END
        while self._is_open() and time.monotonic() < end:
            time.sleep(0.05)
        self._stop("worker")

    def _is_open(self) -> bool:
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
        code = 1
        try:
            with closing(sqlite3.connect(self.path, timeout=10)) as connection:
                code = int(connection.execute(_OPEN).fetchone()[0] > 0)
        finally:
            os._exit(code)

    def _stop(self, role: str) -> None:
        for place, pid in list(self._pids.items()):
            if place.role == role:
                os.kill(pid, signal.SIGTERM)
                status = os.waitpid(pid, 0)[1]
                del self._pids[place]
                assert status == 0, f"{place} did not end well: {os.waitstatus_to_exitcode(status)}"

    def _report(self, seconds: float) -> dict[str, object]:
        places = {role: [p.number for p in self._places if p.role == role] for role in ("producer", "worker")}
        acknowledged, begun = (self._tally.total(places[role]) for role in ("producer", "worker"))
        with closing(sqlite3.connect(self.path)) as connection:
            last_id = connection.execute(LAST_ID).fetchone()[0]
            found = [
                *map(str, checks.broken(connection)),
                *(f"job {row[0]} is open" for row in connection.execute(_OPEN.replace("count(*)", "id"))),
                *(f"worker {row[0]} is signed on" for row in connection.execute(SIGNED_ON)),
            ]
        if not acknowledged <= last_id <= begun:
            found.append(f"{acknowledged} jobs were acknowledged, {last_id} stored, {begun} begun")
        return {
            "seed": self.seed,
            "seconds": round(seconds, 1),
            "kills": self.kills,
            "acknowledged": acknowledged,
            "stored": last_id,
            "begun": begun,
            **figures(self.samples),
            "findings": found + growth(self.samples),
        }


def _size(path: str | Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0  # nobody has opened the file yet


# --- what grows ------------------------------------------------------------------------------------


def figures(samples: list[Sample]) -> dict[str, object]:
    """The sizes at the beginning, when things have settled, and at the end."""
    early, late = _early_and_late(samples)
    return {
        "memory": [_typical(part, "memory") for part in (early, late)],
        "descriptors": [_typical(part, "descriptors") for part in (early, late)],
        "file": [max(sample.file for sample in part) for part in (early, late)],
        "log": [max(sample.log for sample in part) for part in (early, late)],
    }


def growth(samples: list[Sample]) -> list[str]:
    """What is larger in the last third than it was in the second by more than chance explains."""
    early, late = _early_and_late(samples)
    found = []
    for before, after in zip(_typical(early, "memory"), _typical(late, "memory"), strict=True):
        if after > before * 1.05 + (1 << 20):
            found.append(f"the memory of a process grew from {before:,} to {after:,} bytes")
    for before, after in zip(_typical(early, "descriptors"), _typical(late, "descriptors"), strict=True):
        if after > before + 2:
            found.append(f"the descriptors of a process grew from {before} to {after}")
    for name, slack in (("file", 8 << 20), ("log", 8 << 20)):
        before, after = (max(getattr(sample, name) for sample in part) for part in (early, late))
        if after > before * 1.25 + slack:
            found.append(f"the {name} grew from {before:,} to {after:,} bytes")
    return found


def _early_and_late(samples: list[Sample]) -> tuple[list[Sample], list[Sample]]:
    third = len(samples) // 3
    return samples[third : 2 * third], samples[2 * third :]


def _typical(samples: list[Sample], name: str) -> list[int]:
    columns = zip(*(getattr(sample, name) for sample in samples), strict=True)
    return [round(statistics.median(column)) for column in columns]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills.endurance", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    with folder_in_memory() as folder:
        report = Endurance(folder / "jobs.db", options.seconds, options.seed).run()
    print(json.dumps(report, indent=1))
    return 1 if report["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
