"""One database under test, as one process holds it: opened, looked at, and worked on."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from litequeue.job import (
    Claimed,
    Complete,
    Fail,
    Failure,
    Lease,
    NewJobs,
    NewWorker,
    Note,
    Release,
    Turn,
    Want,
)
from litequeue.storage import checks
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.storage.reports import Reports
from litequeue.storage.schedules import Schedules
from litequeue.storage.steps import Steps
from litequeue.storage.store import Store
from litequeue.storage.workers import Workers
from litequeue.testing import HandClock

State = list[Any]
SECOND = 1_000_000
LATER = 10 * 365 * 24 * 3600
ONWARD = "onward"  # the queue and the worker that only show that work can go on
LARGE = "x" * 6000
WRONG = Failure("error", "ValueError", "wrong", "Traceback …")
# What two runs leave differently, and what `go_on` adds.
_COLUMNS = {
    "litequeue_worker": "id, name, pid, queues, started_at, seen_at, boot, lease_until, stopping",
    "litequeue_blob": "job, kind, length(body)",
}
_NOT_ONWARD = {
    "litequeue_worker": f"WHERE name NOT LIKE '{ONWARD}%'",
    "litequeue_job": f"WHERE queue NOT LIKE '{ONWARD}%'",
}
_TABLES = """
SELECT name FROM sqlite_schema
WHERE type = 'table' AND (name LIKE 'litequeue@_%' ESCAPE '@' OR name = 'ledger') ORDER BY name
"""


class UsersOwn(Exception):
    """A statement or commit of the user's, on a connection of the user's, failed with the driver's error."""


class Rig:
    """A file, a clock that stands still, and the rooms over them once it is open."""

    database: Database
    store: Store
    workers: Workers
    reports: Reports
    schedules: Schedules
    steps: Steps

    def __init__(self, folder: Path, durability: Durability = Durability.FULL) -> None:
        self.path = folder / "jobs.db"
        self.durability = durability
        self.clock = HandClock()
        self.clock.advance(10)
        self.is_open = False
        self._lives = 0

    def open(self) -> None:
        """Open the file; the only way here."""
        self.database = Database(str(self.path), self.durability)
        self.store, self.workers = Store(self.database, self.clock), Workers(self.database, self.clock)
        self.reports = Reports(self.database)
        self.schedules = Schedules(self.database, self.clock)
        self.steps = Steps(self.database, self.clock)
        self.is_open = True

    def close(self) -> None:
        """Close it."""
        self.is_open = False
        self.database.close()

    # --- what operations need ------------------------------------------------------------------------

    def now(self, seconds: float = 0) -> int:
        """The instant some seconds from now."""
        return self.clock.now() + round(seconds * SECOND)

    def sign_on(self, name: str = "worker", lease: float = 30) -> int:
        """A worker; its process is nobody's, so that two runs leave the same."""
        return self.workers.sign_on(NewWorker(name, 1, ("default",), 1, round(lease * SECOND)))

    def enqueue(self, queue: str = "default", **values: Any) -> int:
        """One job."""
        return self.store.enqueue(
            [NewJobs("app:task", queue, (values.pop("payload", "[[],{}]"),), **values)]
        )[0]

    def claim(self, worker: int, queue: str = "default", count: int = 1, start: int = 1) -> list[Claimed]:
        """Jobs of a queue."""
        return list(self.store.claim(worker, [Want(queue, start, count)]).jobs)

    def leased(self, queue: str = "default") -> Lease:
        """A job that a new worker has begun."""
        return self.claim(self.sign_on(), queue)[0].lease

    def own_connection(self) -> Connection:
        """A connection as the user of the file would have one."""
        return sqlite3.connect(self.path)

    # --- what is looked at ---------------------------------------------------------------------------

    def state(self) -> State:
        """All that is stored, read through the queue itself."""
        return self.database.read(stored)

    def broken(self) -> list[str]:
        """The invariants that do not hold."""
        return self.database.read(breaches)

    def go_on(self) -> None:
        """A job's whole life in a queue of its own; raises when anything of it is not as it should be."""
        if not self.is_open:
            self.open()
        self._lives += 1
        queue = f"{ONWARD} {os.getpid()} {self._lives}"
        worker = self.sign_on(ONWARD)
        id = self.enqueue(queue)
        (job,) = self.claim(worker, queue)
        self.store.settle(Complete(job.lease))
        self.workers.sign_off(worker)
        assert (job.lease, self.reports.job(id).state) == (Lease(id, 1), "completed")

    def finish_all(self) -> None:
        """Bring every job to its end, as workers would in the years to come."""
        self.clock.advance(LATER)
        self.workers.reap()
        worker = self.sign_on(ONWARD)
        queues = self.database.read(
            lambda c: c.execute("SELECT DISTINCT queue FROM litequeue_job").fetchall()
        )
        for (queue,) in queues:
            self.store.resume(queue)
            want = Want(queue, 100, 100, revive=self.store.parked_tasks([queue]))
            while jobs := self.store.claim(worker, [want]).jobs:
                self.store.take_turn(worker, Turn(tuple(Complete(job.lease) for job in jobs)))
                self.clock.advance(60)  # past any rate
        self.workers.sign_off(worker)
        unended = "SELECT id, state FROM litequeue_job WHERE finished_at IS NULL"
        left = self.database.read(lambda c: c.execute(unended).fetchall())
        assert not left, f"these jobs never end: {left}"


def stored(connection: Connection) -> State:
    """What is in the file, in a form that can be compared and sent through a pipe."""
    state = []
    for (name,) in connection.execute(_TABLES).fetchall():
        query = f"SELECT {_COLUMNS.get(name, '*')} FROM {name} {_NOT_ONWARD.get(name, '')}"
        state.append([name, sorted(map(json.dumps, connection.execute(query).fetchall()))])
    return state


def breaches(connection: Connection) -> list[str]:
    """The invariants that do not hold, in words."""
    return [f"{name}: not so that {says}: {rows}" for name, says, rows in checks.broken(connection)]


def lay(folder: Path) -> None:
    """Make the file that operations begin with: jobs in every state but blocked."""
    rig = Rig(folder)
    rig.clock = HandClock()
    rig.open()
    with closing(rig.own_connection()) as connection:
        connection.execute("CREATE TABLE ledger (entry TEXT)")
        connection.commit()
    _lay_jobs(rig)
    rig.close()


def _lay_jobs(rig: Rig) -> None:
    for _ in range(3):
        rig.enqueue()
    rig.enqueue(run_at=rig.now(5))
    rig.enqueue(run_at=rig.now(3600))
    rig.enqueue(priority=-5, payload=LARGE)
    rig.enqueue("brief", expires_at=rig.now(3600))
    rig.enqueue("early", ack="early")
    for number in range(6):
        rig.enqueue("ended", retention=0 if number < 3 else None)
    worker = rig.sign_on("ended")
    leases = [job.lease for job in rig.claim(worker, "ended", 6)]
    for lease in (leases[0], leases[3]):
        rig.store.note(Note(lease, 0.5, "half", logs=((1, "a line"),)))
        rig.store.settle(Complete(lease, LARGE, "json"))
    for lease in (leases[1], leases[4]):
        rig.store.settle(Fail(lease, WRONG))
    for lease in (leases[2], leases[5]):
        rig.store.settle(Release(lease))
        rig.store.cancel(lease.job)
    rig.workers.sign_off(worker)
    for _ in range(3):
        rig.enqueue("dead")
    rig.claim(rig.sign_on("dead", lease=1), "dead", count=3, start=2)


def watch_commits(rig: Rig, seen: list[State]) -> None:
    """Have every write of this rig add what is then stored."""
    database = rig.database
    write, finish = database.write, database.finish

    def look(answer: Any) -> Any:
        with closing(sqlite3.connect(rig.path)) as connection:
            seen.append(stored(connection))
        return answer

    database.write = lambda *args, **kwargs: look(write(*args, **kwargs))  # type: ignore[method-assign]
    database.finish = lambda *args, **kwargs: look(finish(*args, **kwargs))  # type: ignore[method-assign]


def files_of(folder: Path) -> dict[str, bytes]:
    """The contents of a folder whose files nobody has open."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def place(folder: Path, files: dict[str, bytes]) -> None:
    """Have these files in the folder, and no others."""
    for path in folder.iterdir():
        os.unlink(path)
    for name, content in files.items():
        (folder / name).write_bytes(content)


Action = Callable[[], object]
