"""Workers in the file: they sign on, renew their lease, sign off; the dead are reaped.

A worker is dead when the lock it held on the side file is free, when its lease has ended, or when the
machine was booted since. Its jobs run again, unless they took too many workers down with them.
"""

from __future__ import annotations

import json
from sqlite3 import Connection

from ..clock import Clock
from ..job import Failure, Lease, NewWorker, Release, WorkerInfo
from . import settling
from .database import Database
from .reports import Reports

SIGN_ON = """
INSERT INTO litequeue_worker (name, pid, queues, threads, started_at, seen_at, boot, lease_until, lock_inode)
VALUES (:name, :pid, :queues, :threads, :now, :now, :boot, :until, :inode)
"""
RENEW = "UPDATE litequeue_worker SET lease_until = ?, seen_at = ? WHERE id = ?"
STOPPING = "UPDATE litequeue_worker SET stopping = 1 WHERE id = ?"
SIGN_OFF = "DELETE FROM litequeue_worker WHERE id = ?"
STILL_DEAD = "SELECT 1 FROM litequeue_worker WHERE id = ? AND lease_until = ?"
JOBS_OF = "SELECT id, attempt, started_at, queue FROM litequeue_job WHERE state = 'running' AND worker = ?"


class Workers:
    """The verbs about workers: sign on, renew, sign off, reap."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def sign_on(self, new: NewWorker, *, locked: bool = True) -> int:
        """Enter a worker into the file, take its lock, and begin its lease; its id."""
        side = self.database.side if locked else None
        values = {
            "name": new.name,
            "pid": new.pid,
            "queues": json.dumps(list(new.queues)),
            "threads": new.threads,
            "now": self.clock.now(),
            "boot": self.clock.boot(),
            "until": self.clock.monotonic() + new.lease,
            "inode": side.inode if side else None,
        }

        def operation(connection: Connection) -> int:
            id = int(connection.execute(SIGN_ON, values).lastrowid or 0)
            if side is not None:
                side.hold(id)  # before anybody can see the row, or it would look dead
            return id

        return self.database.write(operation)

    def renew(self, worker: int, lease: int) -> bool:
        """Let the lease end later; False when the worker was taken for dead and reaped."""
        until, now = self.clock.monotonic() + lease, self.clock.now()
        return self.database.write(lambda c: c.execute(RENEW, (until, now, worker)).rowcount == 1)

    def announce_stop(self, worker: int) -> None:
        """Note that the worker takes no more jobs."""
        self.database.write(lambda c: c.execute(STOPPING, (worker,)))

    def sign_off(self, worker: int) -> None:
        """Take the worker out of the file; whatever it still held is ready again, at no cost."""
        now = self.clock.now()

        def operation(connection: Connection) -> set[str]:
            queues = set()
            for id, attempt, _, queue in connection.execute(JOBS_OF, (worker,)).fetchall():
                settling.settle(connection, Release(Lease(id, attempt)), now)
                queues.add(queue)
            connection.execute(SIGN_OFF, (worker,))
            return queues

        queues = self.database.write(operation)
        if self.database.side is not None:
            self.database.side.release(worker)
        self.database.hints.send(queues)

    def reap(self) -> int:
        """Return the jobs of dead workers to their queues, and strike the dead off; how many jobs."""
        dead = [worker for worker in Reports(self.database).workers() if not self.is_alive(worker)]
        return sum(self._reap_one(worker) for worker in dead)

    def is_alive(self, worker: WorkerInfo) -> bool:
        """Whether this worker's lock is held, as far as we can see it, and its lease runs."""
        if worker.boot != self.clock.boot() or worker.lease_until <= self.clock.monotonic():
            return False
        side = self.database.side
        if side is None or worker.lock_inode != side.inode:
            return True  # its lock is elsewhere: the lease alone decides
        return side.is_held(worker.id)

    def _reap_one(self, worker: WorkerInfo) -> int:
        now = self.clock.now()
        failure = Failure(
            "crashed", "WorkerDied", f"worker {worker.name} (process {worker.pid}) ended or hung in mid-job"
        )

        def operation(connection: Connection) -> list[str]:
            if connection.execute(STILL_DEAD, (worker.id, worker.lease_until)).fetchone() is None:
                return []  # it renewed, or another worker was quicker
            rows = connection.execute(JOBS_OF, (worker.id,)).fetchall()
            for id, attempt, started_at, _ in rows:
                lease = Lease(id, attempt)
                if started_at is None:
                    settling.settle(connection, Release(lease), now)
                else:
                    settling.crash(connection, lease, failure, now)
            connection.execute(SIGN_OFF, (worker.id,))
            return [row[3] for row in rows]

        queues = self.database.write(operation)
        self.database.hints.send(queues)
        return len(queues)
