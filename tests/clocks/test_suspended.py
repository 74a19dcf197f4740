"""Processes that were suspended beyond their lease, and leases of an earlier boot."""

from __future__ import annotations

import os
import signal
import sqlite3
import unittest
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from litequeue import State
from litequeue.handle import Job
from litequeue.storage import checks
from tests.support import PATIENCE_SECONDS, Program
from tests.worker.case import CrewCase, until

WORKER = "from tests.clocks.tasks import queue; queue.worker({}).run()"
OF_AN_EARLIER_BOOT = "from litequeue import clock; clock.boot_id = lambda: 'an earlier boot'; "
FREEZER = Path("/sys/fs/cgroup/freezer")
UNIFIED = next(
    (
        place
        for place in map(Path, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"))
        if (place / "cgroup.procs").exists()
    ),
    None,
)


class SuspendCase(CrewCase):
    lease_seconds = 1.0

    def setUp(self) -> None:
        super().setUp()
        self.mark = self.folder / "mark"

    def tearDown(self) -> None:
        self.assertEqual(self.queue.desk.database.read(checks.broken), [])
        super().tearDown()

    def send_job(self, task: str, *args: object) -> Job[object]:
        return self.queue.enqueue(f"tests.clocks.tasks:{task}", args=args)


class TestSuspended(SuspendCase):
    """A supervisor with two processes at work is suspended as a whole; others do its jobs meanwhile."""

    def setUp(self) -> None:
        super().setUp()
        self.jobs = [self.send_job("until", str(self.mark)) for _ in range(2)]
        self.group = Program(self, WORKER.format("processes=2"))
        for _ in self.jobs:
            self.assertEqual(self.group.hear(), "began 1")
        self.pids = [self.group.pid, *(worker.pid for worker in self.queue.workers())]
        self.assertEqual(len(self.pids), 3)

    def suspend(self, stop: Callable[[], None], resume: Callable[[], None]) -> None:
        """Stop them at a moment when none of them holds the file's lock, for that would stop everybody."""
        self.addCleanup(resume)
        while True:
            stop()
            with closing(sqlite3.connect(self.path, timeout=0.2, isolation_level=None)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError:
                    resume()

    def check(self, stop: Callable[[], None], resume: Callable[[], None]) -> None:
        self.suspend(stop, resume)
        other = Program(self, WORKER.format("threads=2"))
        for _ in self.jobs:
            self.assertEqual(other.hear(), "began 2")
        self.mark.touch()
        self.assertEqual([job.result(PATIENCE_SECONDS) for job in self.jobs], [2, 2])
        ended = [job.snapshot.finished_at for job in self.jobs]
        other.kill()
        resume()  # now their tasks end too, and settle what is no longer theirs
        until(lambda: len(self.queue.workers()) == 2, "their signing on anew")
        again = self.send_job("until", str(self.mark))
        self.assertEqual(again.result(PATIENCE_SECONDS), 1)
        self.assertEqual([job.refresh().snapshot.finished_at for job in self.jobs], ended)
        self.assertEqual({(job.state, job.attempt) for job in self.jobs}, {(State.COMPLETED, 2)})

    def test_by_signals(self) -> None:
        self.check(lambda: self.signal(signal.SIGSTOP), lambda: self.signal(signal.SIGCONT))

    def signal(self, number: signal.Signals) -> None:
        for pid in self.pids:
            os.kill(pid, number)

    @unittest.skipUnless(os.access(FREEZER, os.W_OK), "no freezer of the first kind of control groups here")
    def test_by_the_freezer(self) -> None:
        group = self.group_in(FREEZER)
        state = group / "freezer.state"
        self.check(
            lambda: self.set_and_see(state, "FROZEN", state, "FROZEN"),
            lambda: self.set_and_see(state, "THAWED", state, "THAWED"),
        )

    @unittest.skipUnless(UNIFIED and os.access(UNIFIED, os.W_OK), "no control groups of the second kind here")
    def test_by_the_newer_freezer(self) -> None:
        assert UNIFIED is not None
        try:
            group = self.group_in(UNIFIED)
        except OSError as error:
            self.skipTest(f"no process can be put into a control group here: {error}")
        switch, events = group / "cgroup.freeze", group / "cgroup.events"
        if not switch.exists():
            self.skipTest("this kernel's control groups can not freeze")
        self.check(
            lambda: self.set_and_see(switch, "1", events, "frozen 1"),
            lambda: self.set_and_see(switch, "0", events, "frozen 0"),
        )

    def group_in(self, place: Path) -> Path:
        """A control group that holds them all; they are killed before it goes."""
        group = place / f"litequeue-{os.getpid()}"
        group.mkdir()
        self.addCleanup(group.rmdir)
        self.addCleanup(self.end_all)
        for pid in self.pids:
            (group / "cgroup.procs").write_text(str(pid))
        return group

    def end_all(self) -> None:
        self.signal(signal.SIGKILL)
        self.group.end()
        until(lambda: not any(map(_exists, self.pids)), "their end")

    def set_and_see(self, switch: Path, word: str, shown: Path, wanted: str) -> None:
        switch.write_text(word)
        until(lambda: wanted in shown.read_text(), wanted)


class TestBoot(SuspendCase):
    lease_seconds = 300.0

    def test_the_leases_of_an_earlier_boot_are_dead_at_once(self) -> None:
        """Though they would run for minutes more, and though, as on no real machine, their holder lives."""
        job = self.send_job("until", str(self.mark))
        first = Program(self, OF_AN_EARLIER_BOOT + WORKER.format(""))
        self.assertEqual(first.hear(), "began 1")
        first.kill(signal.SIGSTOP)
        second = Program(self, WORKER.format(""))
        self.assertEqual(second.hear(), "began 2")
        self.mark.touch()
        self.assertEqual(job.result(PATIENCE_SECONDS), 2)
        second.kill()
        first.kill(signal.SIGCONT)
        until(lambda: self.value("SELECT boot FROM litequeue_worker") == "an earlier boot", "its return")
        self.assertEqual((job.refresh().state, job.attempt, len(job.errors)), (State.COMPLETED, 2, 1))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
