"""What a person who looks after the file wants to see at a glance, cheap on a million jobs."""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Connection
from typing import NamedTuple

from ..job import Snapshot
from ..traffic import ErrorReport, Minute, QueueReport, Traffic
from . import minutes, reports, rows
from .database import Database
from .reports import COLUMNS, counts_of, oldest_of, queue_names, snapshot_of
from .transactions import snapshot

HELD = f"SELECT {COLUMNS} FROM litequeue_job WHERE state = 'running' AND worker = ? ORDER BY id LIMIT ?"

# Through the index of failures, with a look at each one's job; the job is that of the last failure.
ERRORS = """
SELECT type, place, count(*), coalesce(sum(state = 'failed' AND failed.attempt = litequeue_job.attempt), 0),
       max(failed_at), job
FROM litequeue_failure AS failed LEFT JOIN litequeue_job ON id = job
WHERE :queue IS NULL OR queue = :queue
GROUP BY type, place ORDER BY count(*) DESC LIMIT :limit
"""
MESSAGE = "SELECT message FROM litequeue_failure WHERE job = ? AND type = ? AND place = ? AND failed_at = ?"


class Overview:
    """Questions about the file as a whole; none of them changes it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def queues(self, since: int, until: int) -> list[QueueReport]:
        """Every queue as it is, with the minutes that begin in this span of instants.

        What passed through is exact but for the last second or two, and for the last second of a process
        that was killed; quantiles of its times are wrong by 9 % at the most: see `traffic.Times.quantile`.
        """

        def operation(connection: Connection) -> list[QueueReport]:
            with snapshot(connection):
                passed: dict[str, list[Minute]] = {}
                for minute in minutes.between(connection, since, until):
                    passed.setdefault(minute.queue, []).append(minute)
                paused = dict(connection.execute(reports.PAUSED).fetchall())
                names = sorted({*queue_names(connection), *passed})
                return [_report(connection, name, paused.get(name), passed.get(name, ())) for name in names]

        return self.database.read(operation)

    def totals(self) -> dict[str, Traffic]:
        """What passed through each queue since it was first counted; it is forgotten after a silent day.

        Exact and wrong as `queues` is.
        """
        return self.database.read(minutes.totals)

    def held(self, worker: int, limit: int = 100) -> list[Snapshot]:
        """The jobs that a worker runs, or will within moments, oldest first."""
        found = self.database.read(lambda c: c.execute(HELD, (worker, limit)).fetchall())
        return [snapshot_of(row) for row in found]

    def errors(self, queue: str | None = None, limit: int = 100) -> list[ErrorReport]:
        """Failed attempts by what was raised and where, the most frequent first."""

        def operation(connection: Connection) -> list[ErrorReport]:
            with snapshot(connection):
                found = connection.execute(ERRORS, {"queue": queue, "limit": limit}).fetchall()
                return [_error(connection, rows.record(_ErrorRow, row, "litequeue_failure")) for row in found]

        return self.database.read(operation)


class _ErrorRow(NamedTuple):
    """One group of failures; the job is that of the last one."""

    type: str
    place: str
    failures: int
    jobs: int
    last_at: int
    job: int


def _error(connection: Connection, row: _ErrorRow) -> ErrorReport:
    found = connection.execute(MESSAGE, (row.job, row.type, row.place, row.last_at)).fetchone()
    (message,) = rows.sound(found or ("",), (str,), "litequeue_failure")  # none: its index is damaged
    return ErrorReport(*row, message)


def _report(
    connection: Connection, queue: str, paused_at: int | None, passed: Iterable[Minute]
) -> QueueReport:
    counts, oldest = counts_of(connection, queue), oldest_of(connection, queue)
    return QueueReport(queue, paused_at, counts, oldest, tuple(passed))
