"""Steps: what parts of a job's work returned, kept over all its attempts."""

from __future__ import annotations

from dataclasses import dataclass
from sqlite3 import Connection

from ..clock import Clock
from ..errors import LeaseLost
from ..job import Lease, StoredResult
from . import settling
from .database import Database
from .gate import Durability
from .rows import Row, record
from .transactions import run_plain
from .translate import translated

FIND = "SELECT result, codec FROM litequeue_step WHERE job = ? AND name = ?"
ALL = "SELECT name, attempt, at, result, codec FROM litequeue_step WHERE job = ? ORDER BY number"
KEEP = """
INSERT INTO litequeue_step (job, name, number, attempt, at, result, codec)
SELECT :job, :name, (SELECT coalesce(max(number), 0) + 1 FROM litequeue_step WHERE job = :job), :attempt, :at,
       :result, :codec
FROM litequeue_job WHERE id = :job AND attempt = :attempt AND state = 'running'
"""


@dataclass(frozen=True, slots=True)
class StoredStep:
    """One finished step of a job, its result still encoded; no codec means that it returned None."""

    name: str
    attempt: int
    at: int
    body: str | bytes | None
    codec: str | None


class Steps:
    """The finished steps of jobs. Only the attempt that runs may add one."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def find(self, job: int, name: str) -> StoredResult | None:
        """What the step returned, or None if it was not finished yet."""
        return self.database.read(lambda c: _result(c.execute(FIND, (job, name)).fetchone()))

    def all(self, job: int) -> list[StoredStep]:
        """The finished steps of a job, in the order in which they ended."""
        return self.database.read(
            lambda c: [record(StoredStep, row, "litequeue_step") for row in c.execute(ALL, (job,)).fetchall()]
        )

    def keep(self, lease: Lease, name: str, result: StoredResult) -> None:
        """Store that a step has finished; synced when this returns. Raises `LeaseLost`."""
        row = self._row(lease, name, result)
        # One statement: it commits by itself, and names the lease that it needs.
        if self.database.write(lambda c: c.execute(KEEP, row).rowcount, Durability.FULL, is_single=True) != 1:
            raise LeaseLost(_lost(lease, name))

    def keep_in(self, connection: Connection, lease: Lease, name: str, result: StoredResult) -> None:
        """`keep` inside the step's own transaction, which its user must roll back if this raises."""
        row, until = self._row(lease, name, result), self.clock.monotonic() + settling.TIME_TO_RENEW

        def operation(connection: Connection) -> int:
            settling.keep_alive(connection, lease, until)
            return connection.execute(KEEP, row).rowcount

        with translated(self.database.path):
            kept = run_plain(operation, connection)  # the step may have set a row factory
        if kept != 1:
            raise LeaseLost(_lost(lease, name))

    def _row(self, lease: Lease, name: str, result: StoredResult) -> dict[str, object]:
        return {
            "job": lease.job,
            "attempt": lease.attempt,
            "name": name,
            "at": self.clock.now(),
            "result": result.body,
            "codec": result.codec,
        }


def _result(row: Row | None) -> StoredResult | None:
    return None if row is None else record(StoredResult, row, "litequeue_step")


def _lost(lease: Lease, name: str) -> str:
    return f"attempt {lease.attempt} no longer owns job {lease.job}; its step {name!r} was not kept"
