"""Random graphs in worker processes that are killed: every job ends, and each callback runs exactly once."""

from __future__ import annotations

import importlib
import os
import random
import sqlite3
import threading
import unittest.mock
from contextlib import closing, suppress
from typing import Any

from litequeue import NotAllowed, group
from litequeue.storage.checks import broken
from tests.support import Program
from tests.worker.case import FileCase, until

RUN = """
import logging
from tests.worker.flow_crew import queue
logging.disable()
queue.worker(queues=['default', 'narrow'], threads=2).run()
"""
NARROW = 2  # so many jobs of the queue `narrow` may run at once


class Listened:
    """A worker process, and what it has said so far."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.lines: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(AssertionError, ValueError):  # it is dead, or the test is over
            while True:
                self.lines.append(self.program.hear())


class FlowKills(FileCase):
    """Groups, chains and unique jobs at random; `groups` of them, while `kills` workers die."""

    groups = 60
    kills = 8
    seed = 5
    workers = 2

    def setUp(self) -> None:
        super().setUp()
        self.chance = random.Random(self.seed)
        patch = unittest.mock.patch.dict(os.environ, {"LITEQUEUE_TEST_FILE": str(self.path)})
        patch.start()
        self.addCleanup(patch.stop)
        crew = importlib.import_module("tests.worker.flow_crew")
        self.names = {name: getattr(crew, name).function for name in ("work", "tally", "thank")}
        self.crew: Any = {name: self.task(name) for name in self.names}
        self.queue.counts()
        self.change("CREATE TABLE ledger (number INTEGER, members INTEGER)")
        self.members: dict[int, int] = {}
        self.callbacks: dict[int, Any] = {}

    def task(self, name: str) -> Any:
        options: dict[str, Any] = {"on_parent_failure": "run"} if name == "tally" else {}
        return self.queue.task(name=f"tests.worker.flow_crew:{name}", **options)(self.names[name])

    # --- making ------------------------------------------------------------------------------------------

    def call(self) -> Any:
        """One member of a group: a job, or a line of them."""
        work = self.crew["work"]
        kind = self.chance.randrange(6)
        if kind == 0:
            return work.call() | work | work
        if kind == 1:
            return work.call().using(unique=f"key {self.chance.randrange(3)}")
        if kind == 2:
            return work.call().using(queue="narrow", key="narrow", max_running=NARROW)
        if kind == 3:
            return work.call().using(on_failure=work.call(), on_success=work.call())
        return work.call().using(priority=self.chance.randrange(3))

    def add_group(self, number: int) -> None:
        members = [self.call() for _ in range(self.chance.randrange(1, 6))]
        callback = self.crew[self.chance.choice(("tally", "thank"))].call(number)
        self.members[number] = len(members)
        self.callbacks[number] = group(members).then(callback).enqueue()

    def cancel_some(self) -> None:
        """Somebody interferes, with what is no callback."""
        jobs = self.queue.jobs(task="tests.worker.flow_crew:work", state="blocked")
        for job in self.chance.sample(jobs, min(2, len(jobs))):
            try:
                job.cancel()
            except NotAllowed:
                continue

    # --- the story ---------------------------------------------------------------------------------------

    def test_every_job_ends_and_each_callback_runs_once(self) -> None:
        for number in range(self.groups // 2):
            self.add_group(number)
        crew = [Listened(Program(self, RUN)) for _ in range(self.workers)]
        for number in range(self.groups // 2, self.groups):
            self.add_group(number)
        for _ in range(self.kills):
            victim = crew.pop(0)
            wanted = len(victim.lines) + self.chance.randrange(1, 8)
            until(lambda victim=victim, wanted=wanted: self.has_said(victim, wanted))  # type: ignore[misc]
            victim.program.kill()
            self.cancel_some()
            crew.append(Listened(Program(self, RUN)))
        until(lambda: self.unfinished() == 0, "the end of every job")
        self.assert_well_ended()

    def has_said(self, victim: Listened, wanted: int) -> bool:
        if self.unfinished() == 0:
            self.add_group(len(self.members))
        return len(victim.lines) >= wanted

    def unfinished(self) -> int:
        self.assert_narrow()
        return int(self.value("SELECT count(*) FROM litequeue_job WHERE finished_at IS NULL"))

    def assert_narrow(self) -> None:
        running = "SELECT count(*) FROM litequeue_job WHERE state = 'running' AND limit_key = 'narrow'"
        self.assertLessEqual(self.value(running), NARROW)

    def assert_well_ended(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(broken(connection), [])
            ledger = connection.execute("SELECT number, members FROM ledger ORDER BY number").fetchall()
        ended = {number: job.refresh() for number, job in self.callbacks.items()}
        expected = [
            (number, self.members[number]) for number, job in ended.items() if job.state == "completed"
        ]
        self.assertEqual(ledger, expected)
        for job in ended.values():
            parents = {parent.refresh().state.value for parent in job.parents}
            runs = parents == {"completed"} or job.task.endswith("tally")
            self.assertEqual(
                (job.state, job.reason), ("completed", None) if runs else ("cancelled", "parent")
            )
