"""The words of the contract about keys, limits and parents."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from litequeue.job import (
    Complete,
    Fail,
    Flow,
    NewJobs,
    Parent,
    Release,
    Rule,
    Settlement,
    Snoozed,
    State,
    Stored,
    Turn,
)
from litequeue.storage.checks import broken
from litequeue.storage.database import Database
from tests.storage.engines import ERROR, ContractCase

SECOND = 1_000_000
FINAL = (State.COMPLETED, State.FAILED, State.CANCELLED)


def new(task: str = "app:task", queue: str = "default", payload: str = "[[],{}]", **values: Any) -> NewJobs:
    """One job to store; what a `Flow` has a name for goes into its flow."""
    flow = {name: values.pop(name) for name in list(values) if name in Flow._fields}
    return NewJobs(task, queue, (payload,), **values, flow=Flow(**flow) if flow else None)


def after(*parents: int, **values: Any) -> tuple[Parent, ...]:
    """Parents that are stored."""
    return tuple(Parent(id, **values) for id in parents)


def behind(*places: int, **values: Any) -> tuple[Parent, ...]:
    """Parents at these places of the same enqueue."""
    return tuple(Parent(place=place, **values) for place in places)


class FlowCase(ContractCase):
    """A store whose file is looked through at the end of each test."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.assert_sound, self.store.database)

    def assert_sound(self, database: Database) -> None:
        with closing(sqlite3.connect(database.path)) as connection:
            self.assertEqual(broken(connection), [])

    # --- doing ---------------------------------------------------------------------------------------

    def submit(self, **values: Any) -> Stored:
        return self.submit_all(new(**values))[0]

    def submit_all(self, *jobs: NewJobs) -> list[Stored]:
        return self.store.enqueue_flow(jobs)

    def add(self, **values: Any) -> int:
        """Store a job that must be new; its id."""
        stored = self.submit(**values)
        self.assertTrue(stored.created)
        return stored.id

    def limit(self, key: str, rule: Rule, queue: str = "default", **values: Any) -> int:
        return self.add(queue=queue, limit_key=key, rule=rule, **values)

    def run_and(self, ending: str, job: int, queue: str = "default") -> None:
        """Claim everything, let this job end so, and give the others back."""
        leases = [each.lease for each in self.claim(100, queue=queue)]
        (mine,) = [lease for lease in leases if lease.job == job]
        self.settle(*(Release(lease) for lease in leases if lease is not mine))
        now = self.clock.now()
        if ending == "crash":
            self.die()
            self.workers.reap()
        elif ending == "cancel":
            self.store.cancel(job)
            self.complete(mine)
        elif ending == "complete":
            self.store.settle(Complete(mine, '"done"', "json"))
        else:
            kinds: dict[str, Settlement] = {
                "fail": Fail(mine, ERROR),
                "try again": Fail(mine, ERROR, retry_at=now),
                "snooze": Snoozed(mine, now),
                "release": Release(mine),
            }
            self.store.settle(kinds[ending])

    def sweep(self, *queues: str) -> None:
        """What is doomed or expired is cancelled by a claim that takes nothing."""
        for queue in queues or ("nothing",):
            self.assertEqual(self.claim(1, queue=queue, total=0), [])

    def drain(self, *queues: str, turns: int = 1000) -> list[int]:
        """Complete whatever can be claimed, in order, until nothing can."""
        done: list[int] = []
        for _ in range(turns):
            claimed = [job for queue in queues or ("default",) for job in self.claim(5, queue=queue)]
            if not claimed:
                return done
            self.settle(*(Complete(job.lease) for job in claimed))
            done += [job.lease.job for job in claimed]
        self.fail(f"there is still something to claim after {turns} turns")

    # --- seeing --------------------------------------------------------------------------------------

    def states(self, jobs: Iterable[int]) -> list[str]:
        return [str(self.job(id).state) for id in jobs]

    def look(self, query: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.store.database.path)) as connection:
            return connection.execute(query, values).fetchall()

    def statements(self, turn: Turn) -> int:
        """How many statements a turn takes."""
        seen: list[str] = []
        for connection in self.store.database._writers.values():
            connection.set_trace_callback(seen.append)
        self.store.take_turn(self.worker, turn)
        for connection in self.store.database._writers.values():
            connection.set_trace_callback(None)
        return len(seen)
