"""The power of a real ext4 is cut through its shutdown ioctl while processes write: 500 cuts at scale 1.

What the kernel had not written by then is gone, as with the power; the next mount recovers the journal. At
"full" durability nothing that was acknowledged may be missing, at "normal" only the newest.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from litequeue.clock import SystemClock
from litequeue.job import Complete, NewJobs, NewWorker, Want
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.storage.store import Store
from litequeue.storage.workers import Workers
from tests.crashes.rig import breaches

CUTS, WRITERS = 500, 2
_SHUTDOWN, _WITHOUT_FLUSHING_THE_JOURNAL = 0x8004587D, 2
_JOB = NewJobs("app:task", "default", ("[[1],{}]",))
_FRESH_FILE_AFTER = 25  # cuts, or checking it would take the longest


class Fact(NamedTuple):
    """What a writer was told: a job is stored, or has ended; and when, on the monotonic clock."""

    job: int
    ended: bool
    at: int

    def holds(self, states: dict[int, str]) -> bool:
        """Whether it is so in a file with these jobs."""
        return states.get(self.job) == "completed" if self.ended else self.job in states


class Disk:
    """An ext4 in a file, mounted in a folder."""

    def __init__(self, folder: Path) -> None:
        self._image = folder / "image"
        self.root = folder / "root"
        self.root.mkdir()
        with self._image.open("wb") as image:
            image.truncate(256 << 20)
        _run("mkfs.ext4", "-q", self._image)

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Within the block it is there; mounting it recovers what a cut left."""
        _run("mount", "-o", "loop", self._image, self.root)
        try:
            yield
        finally:
            _run("umount", self.root)

    def cut(self) -> int:
        """All that is not on the disk yet is lost, and nothing can be written any more; when that began.

        It takes some milliseconds, in which a sync may succeed and be in vain: power does not ebb like that.
        """
        root = os.open(self.root, os.O_RDONLY)
        try:
            begun = time.monotonic_ns()
            fcntl.ioctl(root, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING_THE_JOURNAL))
        finally:
            os.close(root)
        return begun


def run(scale: float) -> str:
    """At both durabilities in turn."""
    reason = missing()
    if reason:
        return f"skipped: {reason}"
    chance = random.Random(1)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="litequeue-ext4-") as name:
        disk = Disk(Path(name))
        for number in range(max(2, round(CUTS * scale))):
            durability = (Durability.FULL, Durability.NORMAL)[number % 2]
            counts += cut_once(disk, durability, number, chance)
    return ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))


def missing() -> str:
    """Why there can be no such disk here; empty when there can."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        return "only root can mount a file system"
    if shutil.which("mkfs.ext4") is None:
        return "there is no mkfs.ext4"
    with tempfile.TemporaryDirectory(prefix="litequeue-ext4-") as name:
        try:
            disk = Disk(Path(name))
            with disk.mounted():
                disk.cut()
        except (OSError, subprocess.CalledProcessError) as error:
            return f"a loop device can not be mounted and cut here: {error}"
    return ""


def cut_once(disk: Disk, durability: Durability, number: int, chance: random.Random) -> Counter[str]:
    """Let processes write, cut the power, and judge what the disk holds then."""
    path = disk.root / f"{durability.value}-{number // _FRESH_FILE_AFTER}.db"
    with disk.mounted():
        writers = [Writer(path, durability) for _ in range(WRITERS)]
        time.sleep(chance.uniform(0.1, 0.5))
        begun = disk.cut()
        told = [writer.end() for writer in writers]
    with disk.mounted():
        states = read(path)
        for old in disk.root.glob("*.db*") if number % _FRESH_FILE_AFTER == 0 else ():
            if not old.name.startswith(path.name):
                old.unlink()
    before = [[fact for fact in facts if fact.at < begun] for facts in told]
    meanwhile = [fact for facts in told for fact in facts if fact.at >= begun]
    name = durability.value
    return Counter(
        {
            f"{name} cuts": 1,
            f"{name} acknowledged": sum(map(len, before)),
            f"{name} lost": sum(judge(states, facts, durability) for facts in before),
            f"{name} acknowledged meanwhile": len(meanwhile),
            f"{name} lost meanwhile": [fact.holds(states) for fact in meanwhile].count(False),
        }
    )


def judge(states: dict[int, str], facts: list[Fact], durability: Durability) -> int:
    """How many of one writer's facts hold no more; raises when that is not as promised."""
    holds = [fact.holds(states) for fact in facts]
    if durability is Durability.FULL and not all(holds):
        raise AssertionError(f"lost at full durability: {facts[holds.index(False)]}")
    if holds != sorted(holds, reverse=True):
        raise AssertionError(f"{facts[holds.index(False)]} is lost, and something later is not")
    return holds.count(False)


def read(path: Path) -> dict[int, str]:
    """The state of each job in the file, which must be sound."""
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'litequeue_job'").fetchone():
            return {}
        broken = breaches(connection)
        if broken:
            raise AssertionError("\n".join(broken))
        return dict(connection.execute("SELECT id, state FROM litequeue_job").fetchall())


class Writer:
    """A process that enqueues and completes as fast as it can, and tells each that was acknowledged."""

    def __init__(self, path: Path, durability: Durability) -> None:
        self._reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._reading)
            try:
                write(path, durability, writing)
            finally:
                os._exit(1)  # no disk any more
        os.close(writing)

    def end(self) -> list[Fact]:
        """Kill it; all that it told."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        with open(self._reading, encoding="utf-8") as pipe:
            return [Fact(*json.loads(line)) for line in pipe]


def write(path: Path, durability: Durability, telling: int) -> None:
    """Until the disk is gone."""
    logging.getLogger("litequeue").disabled = True  # it would tell that the disk is gone
    database = Database(str(path), durability)
    store, workers = Store(database, SystemClock()), Workers(database, SystemClock())
    worker = workers.sign_on(NewWorker("writer", os.getpid()))
    workers.reap()

    def tell(job: int, ended: bool) -> None:
        os.write(telling, f"{json.dumps(Fact(job, ended, time.monotonic_ns()))}\n".encode())

    while True:
        (job,) = store.enqueue([_JOB])
        tell(job, ended=False)
        for claimed in store.claim(worker, [Want("default", 1, 1)]).jobs:
            store.settle(Complete(claimed.lease))
            tell(claimed.lease.job, ended=True)


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
