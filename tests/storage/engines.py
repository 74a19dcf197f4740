"""What the contract suite runs against: an engine is the four rooms over one store, and a clock."""

from __future__ import annotations

import os
import sqlite3
import unittest
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litequeue.job import (
    Claimed,
    Complete,
    Fail,
    FailedAttempt,
    Failure,
    Filter,
    Lease,
    NewJobs,
    NewWorker,
    Settlement,
    Snapshot,
    State,
    Turn,
    Want,
)
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.storage.reports import Reports
from litequeue.storage.store import Store
from litequeue.storage.workers import Workers
from litequeue.testing import HandClock
from tests.support import folder_for

LEASE_SECONDS = 30
ERROR = Failure("error", "ValueError", "wrong", "Traceback …")


@dataclass(frozen=True)
class Engine:
    """One store with a clock that is moved by hand."""

    store: Store
    workers: Workers
    reports: Reports
    clock: HandClock


def sqlite_engine(path: Path, clock: HandClock) -> Engine:
    """The engine of this house, on one file."""
    database = Database(str(path), Durability.NORMAL)
    return Engine(Store(database, clock), Workers(database, clock), Reports(database), clock)


class ContractCase(unittest.TestCase):
    """The words in which the contract is told. Another engine overrides `make_engine`."""

    def make_engine(self) -> Engine:
        engine = sqlite_engine(folder_for(self, in_memory=True) / "jobs.db", HandClock())
        self.addCleanup(engine.store.database.close)
        return engine

    def setUp(self) -> None:
        self.engine = self.make_engine()
        self.store, self.workers = self.engine.store, self.engine.workers
        self.reports, self.clock = self.engine.reports, self.engine.clock
        self.worker = self.sign_on()

    # --- doing ---------------------------------------------------------------------------------------

    def sign_on(self, name: str = "worker") -> int:
        """A worker whose lease alone tells that it lives, as if it were in another process."""
        new = NewWorker(name, os.getpid(), lease=LEASE_SECONDS * 1_000_000)
        return self.workers.sign_on(new, locked=False)

    def enqueue(self, task: str = "app:task", queue: str = "default", **values: Any) -> int:
        return self.store.enqueue([NewJobs(task, queue, (values.pop("payload", "[[],{}]"),), **values)])[0]

    def in_seconds(self, seconds: float) -> int:
        return self.clock.now() + round(seconds * 1_000_000)

    def claim(self, count: int = 1, **values: Any) -> list[Claimed]:
        worker = values.pop("worker", self.worker)
        want = Want(values.pop("queue", "default"), values.pop("start", count), count, **values)
        return list(self.store.claim(worker, [want]).jobs)

    def claim_one(self, **values: Any) -> Lease:
        (job,) = self.claim(**values)
        return job.lease

    def claimed_ids(self, count: int = 100, **values: Any) -> list[int]:
        return [job.lease.job for job in self.claim(count, **values)]

    def settle(self, *settlements: Settlement) -> tuple[bool, ...]:
        return self.store.take_turn(self.worker, Turn(settlements=settlements)).accepted

    def complete(self, lease: Lease) -> None:
        self.store.settle(Complete(lease))

    def settle_in_transaction(self, lease: Lease) -> bool:
        database = self.store.database
        connection = database.begin()
        with database.joining(connection):
            completed = self.store.settle_in(connection, Complete(lease))
        database.finish(connection, commit=completed)
        return completed

    def run_to_failure(self, lease: Lease) -> None:
        self.store.settle(Fail(lease, ERROR))

    def die(self) -> None:
        """The worker hangs until its lease ends; another one signs on."""
        self.clock.advance(LEASE_SECONDS)
        self.worker = self.sign_on()

    def crash(self, job: int) -> None:
        """Claim the job, and lose the worker that runs it."""
        self.assertIn(job, self.claimed_ids())
        self.die()
        self.workers.reap()

    # --- seeing --------------------------------------------------------------------------------------

    def job(self, id: int) -> Snapshot:
        return self.reports.job(id)

    def assert_state(self, id: int, state: State, reason: str | None = None) -> None:
        found = self.job(id)
        self.assertEqual((found.state, found.reason), (state, reason))

    def failures(self, id: int) -> list[FailedAttempt]:
        return self.reports.failures(id)

    def all_jobs(self) -> list[Snapshot]:
        return self.reports.jobs(Filter(), limit=100_000)


def look_into(path: Path, query: str) -> list[Any]:
    """What a plain connection of the standard library finds in the file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()
