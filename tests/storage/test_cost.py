"""What an enqueue, a claim and a settlement cost, counted in statements and pages: figures without noise."""

from __future__ import annotations

import os
import tempfile
import unittest
from collections.abc import Callable
from itertools import pairwise

from litequeue import Queue
from litequeue.job import Claimed, Complete, NewJobs, NewWorker, Turn, Want
from litequeue.storage.database import Database

FRAME = 4096 + 24  # a page in the log, with its header
JOBS_BEFORE = 2000


def noop(number: int) -> None:
    """What the jobs are said to run."""


class TestCost(unittest.TestCase):
    """Bounds that hold on any machine; a change that breaks one makes every job dearer."""

    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "jobs.db")
        self.queue = Queue(self.path, durability="normal")
        self.addCleanup(self.queue.close)
        self.store = self.queue.desk.store
        payload = f"[[{'7' * 90}],{{}}]"
        self.store.enqueue([NewJobs("app:noop", "default", (payload,) * JOBS_BEFORE)])
        self.worker = self.queue.desk.workers.sign_on(NewWorker("cost", os.getpid(), ("default",)))

    def test_an_enqueue_is_one_statement(self) -> None:
        self.queue.enqueue(noop, 1)
        statements, pages = self.cost(lambda: self.queue.enqueue(noop, 1), times=50)
        self.assertEqual(statements, 1)  # it commits by itself
        self.assertLessEqual(pages, 2.4)

    def test_enqueue_many_writes_each_page_once(self) -> None:
        task = self.queue.task(name="noop")(noop)
        calls = [task.call(number) for number in range(10_000)]
        statements, pages = self.cost(lambda: self.queue.enqueue_many(calls), times=1)
        self.assertLessEqual(statements, 80)
        self.assertLessEqual(pages * 4096 / len(calls), 260)

    def test_a_claim_alone(self) -> None:
        statements, pages = self.cost(lambda: self.claim(1), times=50)
        self.assertLessEqual(
            statements, 6
        )  # BEGIN, a look at the worker, one at the queue, SELECT, UPDATE, COMMIT
        self.assertLessEqual(pages, 3.4)

    def test_settling_and_claiming_in_one_transaction(self) -> None:
        taken = list(self.claim(1))

        def turn() -> None:
            settled = (Complete(taken.pop().lease),)
            taken.extend(self.store.take_turn(self.worker, Turn(settled, wants=(self.want(1),))).claim.jobs)

        statements, pages = self.cost(turn, times=50)
        self.assertLessEqual(statements, 7)
        self.assertLessEqual(pages, 4.5)

    def test_a_batch_shares_its_pages(self) -> None:
        taken = list(self.claim(64))

        def turn() -> None:
            settled = tuple(Complete(job.lease) for job in taken)
            taken[:] = self.store.take_turn(self.worker, Turn(settled, wants=(self.want(64),))).claim.jobs

        statements, pages = self.cost(turn, times=10)
        self.assertLessEqual(statements, 7)  # no more than for one
        self.assertLessEqual(pages / 64, 0.35)

    def test_a_job_without_steps_asks_for_none(self) -> None:
        queue = Queue(self.path, "other", durability="normal")
        self.addCleanup(queue.close)
        seen: list[str] = []
        for _ in range(2):  # first, its connections are made
            database = queue.desk.database
            for connection in (*database._writers.values(), *database._readers.connections):
                connection.set_trace_callback(seen.append)
            job = queue.enqueue(noop, 1)
            self.assertEqual(queue.drain(), 1)
        self.assertEqual(job.refresh().state, "completed")
        self.assertTrue(any("UPDATE litequeue_job" in text for text in seen))
        self.assertEqual([text for text in seen if "litequeue_step" in text], [])

    def test_looking_for_work_writes_nothing(self) -> None:
        self.assertTrue(self.store.is_work_waiting(["default"]))
        _, pages = self.cost(lambda: self.store.is_work_waiting(["default"]), times=20)
        self.assertEqual(pages, 0)

    def want(self, number: int) -> Want:
        """A wish for so many jobs."""
        return Want("default", start=number, limit=number)

    def claim(self, number: int) -> tuple[Claimed, ...]:
        """So many jobs."""
        return self.store.claim(self.worker, [self.want(number)]).jobs

    def cost(self, action: Callable[[], object], times: int) -> tuple[float, float]:
        """Statements run and pages written by an action, on average."""
        database = self.queue.desk.database
        seen: list[str] = []
        _empty_log(database)
        for connection in database._writers.values():
            connection.set_trace_callback(seen.append)
        for _ in range(times):
            action()
        for connection in database._writers.values():
            connection.set_trace_callback(None)
        # Where a trigger asks whether it is meant, the statement that asked it is told again.
        statements = sum(one != before for before, one in pairwise(["", *seen]))
        return statements / times, os.path.getsize(f"{self.path}-wal") / FRAME / times


def _empty_log(database: Database) -> None:
    for connection in database._writers.values():
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
