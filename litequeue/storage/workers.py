"""Workers in the file: they sign on, renew their lease, sign off; the dead are reaped.

A worker is dead when the lock it held on the side file is free, when its lease has ended, or when the
machine was booted since. Its jobs run again, unless they took too many workers down with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from sqlite3 import Connection

from ..clock import Clock
from ..job import Crash, Ended, Failure, Lease, NewWorker, Release, Settlement, WorkerInfo
from . import settling
from .database import Database
from .enqueuing import IDS
from .gate import Durability
from .marks import refuse_backup
from .reports import Reports, ended
from .rows import TEXT_OR_NONE, WHOLE, WHOLE_OR_NONE, Row, sound

SIGN_ON = f"""
INSERT INTO litequeue_worker
  (id, name, pid, queues, threads, started_at, seen_at, boot, lease_until, lock_inode)
VALUES (
  1 + max(coalesce((SELECT max(id) FROM litequeue_worker WHERE id {IDS}), 0),
          coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'litequeue_worker' AND seq {IDS}), 0)),
  :name, :pid, :queues, :threads, :now, :now, :boot, :until, :inode)
"""
RENEW = "UPDATE litequeue_worker SET lease_until = ?, seen_at = ? WHERE id = ?"
STOPPING = "UPDATE litequeue_worker SET stopping = 1 WHERE id = ?"
SIGN_OFF = "DELETE FROM litequeue_worker WHERE id = ?"
STILL_DEAD = "SELECT 1 FROM litequeue_worker WHERE id = ? AND lease_until = ?"
OWNERS = "SELECT DISTINCT worker FROM litequeue_job WHERE state = 'running' AND worker IS NOT NULL"
SIGNED_ON = "SELECT id FROM litequeue_worker"
JOBS_OF = "SELECT id, attempt, started_at, ack FROM litequeue_job WHERE state = 'running' AND worker = ?"

Told = Callable[[Sequence[Ended]], None]


def nobody(ended: Sequence[Ended]) -> None:
    """Who is told what became of jobs, when nobody wants to know."""


_HELD = (WHOLE, WHOLE, WHOLE_OR_NONE, TEXT_OR_NONE)


class Workers:
    """The verbs about workers: sign on, renew, sign off, reap."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def sign_on(self, new: NewWorker, *, locked: bool = True) -> int:
        """Enter a worker into the file, take its lock, and begin its lease; its id.

        Raises `BackupFile` when the file is one.
        """
        side = self.database.side if locked else None
        values = {
            "name": new.name,
            "pid": new.pid,
            "queues": json.dumps(list(new.queues)),
            "threads": new.threads,
            "now": self.clock.now(),
            "boot": self.clock.boot(),
            "inode": side.inode if side else None,
        }
        held: list[int] = []

        def operation(connection: Connection) -> int:
            refuse_backup(connection, self.database.path)
            # From now: to be let in may have taken longer than that.
            until = self.clock.monotonic() + new.lease
            id = int(connection.execute(SIGN_ON, {**values, "until": until}).lastrowid or 0)
            if side is not None:
                side.hold(id)  # before anybody can see the row, or it would look dead
                held.append(id)
            return id

        try:
            return self.database.write(operation)
        except BaseException:
            for id in held:  # the row is not there, and its id will be another worker's
                side.release(id)  # type: ignore[union-attr]
            raise

    def renew(self, worker: int, lease: int) -> bool:
        """Let the lease end later; False when the worker was taken for dead and reaped."""

        def operation(connection: Connection) -> bool:
            until, now = self.clock.monotonic() + lease, self.clock.now()
            return connection.execute(RENEW, (until, now, worker)).rowcount == 1

        return self.database.write(operation)

    def announce_stop(self, worker: int) -> None:
        """Note that the worker takes no more jobs."""
        self.database.write(lambda c: c.execute(STOPPING, (worker,)).rowcount)

    def refuse_backup(self) -> None:
        """Raise `BackupFile` for one, before anything is started that would run its jobs."""
        self.database.read(lambda c: refuse_backup(c, self.database.path))

    def sign_off(self, worker: int, told: Told = nobody) -> None:
        """Take the worker out of the file; whatever it still held is ready again, at no cost."""
        ended = self._take_off(worker)
        if self.database.side is not None:
            self.database.side.release(worker)
        self._return(ended, told)

    def dismiss(self, worker: int) -> Sequence[Ended]:
        """As `sign_off`, for a worker that knows nothing of this file; what became of the jobs it held."""
        ended = self._take_off(worker)
        self._return(ended, nobody)
        return ended

    def _take_off(self, worker: int) -> tuple[Ended, ...]:
        now = self.clock.now()
        left = Failure(
            "lost", "WorkerStopped", "its worker stopped before it ended, and it runs at most once"
        )

        def operation(connection: Connection) -> tuple[Ended, ...]:
            settlements: list[Settlement] = [
                # What had begun, and runs at most once, must not begin again.
                Crash(Lease(id, attempt), left)
                if ack == "early" and started_at is not None
                else Release(Lease(id, attempt))
                for id, attempt, started_at, ack in _jobs_of(connection, worker)
            ]
            connection.execute(SIGN_OFF, (worker,))
            return _settled(connection, settlements, now)

        return self.database.write(operation)

    def give_back(self, worker: int, is_meant: Callable[[Lease], bool]) -> int:
        """Make those of the jobs that the worker holds ready again which are meant, at no cost; how many."""
        now = self.clock.now()

        def operation(connection: Connection) -> tuple[Ended, ...]:
            held = (Lease(id, attempt) for id, attempt, *_ in _jobs_of(connection, worker))
            return _settled(connection, [Release(lease) for lease in held if is_meant(lease)], now)

        return self._return(self.database.write(operation), nobody)

    def vanish(self, worker: int) -> None:
        """Leave as one that was killed: its lock is free, and who reaps it charges what ran a crash."""
        if self.database.side is not None:
            self.database.side.release(worker)

    def reap(self, told: Told = nobody) -> int:
        """Return the jobs of dead workers to their queues, and strike the dead off; how many jobs."""
        workers = Reports(self.database).workers()
        jobs = sum(self._reap_one(worker, told) for worker in workers if not self.is_alive(worker))
        return jobs + self._reap_orphans({worker.id for worker in workers}, told)

    def alive(self) -> list[WorkerInfo]:
        """The workers that are alive, as far as we can see it."""
        return [worker for worker in Reports(self.database).workers() if self.is_alive(worker)]

    def is_alive(self, worker: WorkerInfo) -> bool:
        """Whether this worker's lock is held, as far as we can see it, and its lease runs."""
        if worker.boot != self.clock.boot() or worker.lease_until <= self.clock.monotonic():
            return False
        side = self.database.side
        if side is None or worker.lock_inode != side.inode:
            return True  # its lock is elsewhere: the lease alone decides
        return side.is_held(worker.id)

    def _reap_one(self, worker: WorkerInfo, told: Told) -> int:
        now = self.clock.now()
        failure = Failure(
            "crashed", "WorkerDied", f"worker {worker.name} (process {worker.pid}) ended or hung in mid-job"
        )

        def operation(connection: Connection) -> tuple[Ended, ...]:
            if connection.execute(STILL_DEAD, (worker.id, worker.lease_until)).fetchone() is None:
                return ()  # it renewed, or another worker was quicker
            ended = _take_jobs(connection, worker.id, failure, now)
            connection.execute(SIGN_OFF, (worker.id,))
            return ended

        return self._return(self.database.write(operation, Durability.FULL), told)

    def _reap_orphans(self, known: set[int], told: Told) -> int:
        """Return jobs whose worker has no row, because somebody deleted it by hand."""
        owners = self.database.read(lambda c: _ids(c, OWNERS)) - known
        if not owners:
            return 0
        now = self.clock.now()
        failure = Failure("crashed", "WorkerDied", "the worker's row was deleted in mid-job")

        def operation(connection: Connection) -> tuple[Ended, ...]:
            lost = sorted(owners - _ids(connection, SIGNED_ON))  # one may have signed on since they were read
            return tuple(ended for id in lost for ended in _take_jobs(connection, id, failure, now))

        return self._return(self.database.write(operation, Durability.FULL), told)

    def _return(self, ended: Sequence[Ended], told: Told) -> int:
        self.database.hints.send({each.job.queue for each in ended})
        told(ended)
        return len(ended)


def _ids(connection: Connection, query: str) -> set[int]:
    return {sound(row, (WHOLE,), "litequeue_job")[0] for row in connection.execute(query).fetchall()}


def _jobs_of(connection: Connection, worker: int) -> list[Row]:
    rows = connection.execute(JOBS_OF, (worker,)).fetchall()
    return [sound(row, _HELD, "litequeue_job") for row in rows]


def _take_jobs(connection: Connection, worker: int, failure: Failure, now: int) -> tuple[Ended, ...]:
    """Take a dead worker's jobs from it; a job that only waited there is not blamed."""
    settlements: list[Settlement] = [
        Release(Lease(id, attempt)) if started_at is None else Crash(Lease(id, attempt), failure)
        for id, attempt, started_at, _ in _jobs_of(connection, worker)
    ]
    return _settled(connection, settlements, now)


def _settled(connection: Connection, settlements: Sequence[Settlement], now: int) -> tuple[Ended, ...]:
    for each in settlements:
        settling.settle(connection, each, now)
    return ended(connection, settlements, now)
