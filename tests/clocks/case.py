"""Worker processes under a wall clock that a test sets, as an operator or a time server would."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
from pathlib import Path
from typing import Any

from litequeue.handle import Job
from litequeue.storage import checks
from tests.support import Program
from tests.worker.case import CrewCase
from tests.worker.case import until as until_true

SOURCE = Path(__file__).with_name("wall.c")
HOUR = 3600
WORKER = "from tests.clocks.tasks import queue; queue.worker({}).run()"


class WallClock:
    """The wall clock of every process that is started while its environment is in force."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(16))
        with path.open("r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), 16)

    def shift(self, seconds: float) -> None:
        """Let it show so many seconds more than the truth, and go on."""
        self._mapped[:] = struct.pack("qq", round(seconds * 1e9), 0)

    def freeze(self, seconds: float = 0) -> None:
        """Let it stand still, so many seconds from the truth."""
        self.stand_at(time.time() + seconds)

    def stand_at(self, instant: float) -> None:
        """Let it stand still at this instant."""
        self._mapped[:] = struct.pack("qq", 0, round(instant * 1e9))


class ClockCase(CrewCase):
    """The workers and producers are started by `worker` and `produce`; this process keeps the true time."""

    lease_seconds = 1.0
    shim: Path

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        compiler = shutil.which("cc")
        if not sys.platform.startswith("linux") or compiler is None:
            raise unittest.SkipTest("the clock is set by a shim, which takes Linux and a C compiler (cc)")
        folder = tempfile.TemporaryDirectory(prefix="litequeue-")
        cls.addClassCleanup(folder.cleanup)
        cls.shim = Path(folder.name) / "wall.so"
        flags = [
            "-O1",
            "-shared",
            "-fPIC",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            str(cls.shim),
            str(SOURCE),
            "-ldl",
        ]
        subprocess.run([compiler, *flags], check=True, timeout=60)

    def setUp(self) -> None:
        super().setUp()
        setting = self.folder / "wall"
        self.wall = WallClock(setting)
        preload = {"LD_PRELOAD": str(self.shim), "WALL_CLOCK": str(setting)}
        self.enterContext(unittest.mock.patch.dict(os.environ, preload))
        self.mark = self.folder / "mark"
        # Counted in the file itself, by a trigger that no attempt can get around.
        self.change("CREATE TABLE ended (job)")
        self.change(
            "CREATE TRIGGER count_ends AFTER UPDATE OF state ON litequeue_job "
            "WHEN new.state = 'completed' BEGIN INSERT INTO ended VALUES (new.id); END"
        )

    def worker(self, options: str = "") -> Program:
        """A worker process under that clock."""
        return Program(self, WORKER.format(options))

    def produce(self, task: str, *args: Any, **options: Any) -> Job[Any]:
        """A job that a process under that clock has enqueued; `options` as in the explicit form."""
        code = (
            f"from tests.clocks import tasks; "
            f"print(tasks.queue.enqueue(tasks.{task}, args={args!r}, **{options!r}).id)"
        )
        return self.queue.job(int(Program(self, code).hear()))

    def tearDown(self) -> None:
        """Whatever the clock did, no job was completed twice, and the file is sound."""
        self.assertEqual(self.value("SELECT count(*) - count(DISTINCT job) FROM ended"), 0)
        self.assertEqual(self.queue.desk.database.read(checks.broken), [])
        super().tearDown()

    def lease_until(self) -> int:
        """When the lease of the worker that signed on first ends."""
        return int(self.value("SELECT lease_until FROM litequeue_worker ORDER BY id LIMIT 1") or 0)

    def outlive_a_lease(self) -> None:
        """Wait until a lease that was just renewed would have ended, by the clock that nobody sets."""
        end = time.monotonic_ns() // 1000 + round(self.lease_seconds * 1e6)
        until_true(lambda: self.lease_until() > end + round(self.lease_seconds * 5e5), "a renewal")
