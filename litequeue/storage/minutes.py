"""Counts by the minute: kept in memory while jobs end, and written about once a second.

So a job that ends costs no write of its own. A process that is killed takes the counts of its last second
along; the jobs themselves are in their rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from sqlite3 import Connection
from typing import NamedTuple

from ..clock import SECOND, Clock
from ..job import Crash, Ended, State
from ..traffic import MINUTE, Minute, Traffic, measured, restored, stored
from . import rows
from .database import Database
from .forks import watch

_EVERY = 1 * SECOND
KEPT = 24 * 60
FOR_EVER = 0  # the minute whose row sums up all there were
_CHUNK = 1000

OF_MINUTE = """
SELECT queue, minute, completed, failed, retried, waits, runs FROM litequeue_minute
WHERE minute = ? AND queue = ?
"""
PUT = """
INSERT OR REPLACE INTO litequeue_minute (minute, queue, written_at, completed, failed, retried, waits, runs)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
BETWEEN = """
SELECT queue, minute, completed, failed, retried, waits, runs FROM litequeue_minute
WHERE minute >= ? AND minute < ? ORDER BY minute, queue
"""
FORGET = """
DELETE FROM litequeue_minute WHERE (minute, queue) IN
  (SELECT minute, queue FROM litequeue_minute WHERE minute > 0 AND minute < ? LIMIT ?)
"""
FORGET_SILENT = "DELETE FROM litequeue_minute WHERE minute = 0 AND written_at < ?"

# The end of an attempt: its queue; as what it ended; its start on the monotonic clock, less when it was due;
# how long it ran.
_Counted = tuple[str, str, int | None, int]


class _Row(NamedTuple):
    """The counts of a queue's minute as they are stored."""

    queue: str
    minute: int
    completed: int
    failed: int
    retried: int
    waits: str
    runs: str


class Minutes:
    """Counts how attempts end. Safe to use from many threads; a forked child counts anew."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._minute = 0  # in which was written last
        self.start_afresh()
        watch(self)

    def count(
        self, queue: str, end: str, run_at: int = 0, began: int | None = None, duration: int = 0
    ) -> None:
        """An attempt of this queue ended as "completed", "failed" or "retried".

        It was due at `run_at`, and began at `began` on the monotonic clock; None: nobody knows.
        """
        self._counted.append((queue, end, None if began is None else began - run_at, duration))

    def count_ended(self, ended: Iterable[Ended]) -> None:
        """Attempts that ended with their worker; they are rare, and written at once."""
        crashed = [each.job for each in ended if isinstance(each.settlement, Crash)]
        for job in crashed:
            if job.state is not State.CANCELLED:
                self.count(job.queue, "failed" if job.state is State.FAILED else "retried")
        if crashed:
            self.write()

    def write_some(self) -> None:
        """Write what was counted, unless something was written within the last second."""
        if self._counted and self.clock.monotonic() - self._written >= _EVERY:
            self.write()

    def write(self) -> None:
        """Write what was counted."""
        now, self._written = self.clock.now(), self.clock.monotonic()
        taken = list(self._take())
        if not taken:
            return
        counted = _summed(taken, now - self._written)
        try:
            self.database.write(lambda connection: self._put(connection, counted, now))
        except BaseException:
            self._counted.extendleft(reversed(taken))
            raise

    def _take(self) -> Iterator[_Counted]:
        with suppress(IndexError):  # another thread takes them, too
            for _ in range(len(self._counted)):
                yield self._counted.popleft()

    def _put(self, connection: Connection, counted: Mapping[str, Traffic], now: int) -> None:
        minute = now // MINUTE
        for queue, traffic in counted.items():
            _add(connection, minute, queue, traffic, now)
            _add(connection, FOR_EVER, queue, traffic, now)
        if minute != self._minute:
            self._minute = minute
            connection.execute(FORGET, (minute - KEPT, _CHUNK))
            connection.execute(FORGET_SILENT, ((minute - KEPT) * MINUTE,))

    # --- forks -------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """There is nothing to let go of."""

    def after_fork(self) -> None:
        """The parent goes on counting."""

    def start_afresh(self) -> None:
        """What the parent has counted, the parent writes."""
        self._counted: deque[_Counted] = deque()
        self._written = self.clock.monotonic()


def between(connection: Connection, since: int, until: int) -> list[Minute]:
    """The minutes that begin in this span of instants, oldest first."""
    return _minutes(connection, max(1, -(-since // MINUTE)), -(-until // MINUTE))


def totals(connection: Connection) -> dict[str, Traffic]:
    """What passed through each queue since it was first counted, unless nothing did for a day."""
    return {each.queue: each.traffic for each in _minutes(connection, FOR_EVER, FOR_EVER + 1)}


def _minutes(connection: Connection, first: int, end: int) -> list[Minute]:
    return [_minute(row) for row in connection.execute(BETWEEN, (first, end)).fetchall()]


def _minute(stored_row: rows.Row) -> Minute:
    row = rows.record(_Row, stored_row, "litequeue_minute")
    traffic = Traffic(row.completed, row.failed, row.retried, restored(row.waits), restored(row.runs))
    return Minute(row.queue, row.minute * MINUTE, traffic)


def _summed(counted: Iterable[_Counted], offset: int) -> dict[str, Traffic]:
    """What was counted, by queue; `offset` is how far the wall clock is ahead of the monotonic one."""
    attempts: dict[str, list[_Counted]] = defaultdict(list)
    for each in counted:
        attempts[each[0]].append(each)
    return {queue: _sum(given, offset) for queue, given in attempts.items()}


def _sum(attempts: list[_Counted], offset: int) -> Traffic:
    ends = Counter([end for _, end, _, _ in attempts])
    waits = measured([lead + offset for _, _, lead, _ in attempts if lead is not None])
    runs = measured([duration for _, _, lead, duration in attempts if lead is not None])
    return Traffic(ends["completed"], ends["failed"], ends["retried"], waits, runs)


def _add(connection: Connection, minute: int, queue: str, traffic: Traffic, now: int) -> None:
    row = connection.execute(OF_MINUTE, (minute, queue)).fetchone()
    before = Traffic() if row is None else _minute(row).traffic
    connection.execute(PUT, (minute, queue, now, *_columns(before + traffic)))


def _columns(traffic: Traffic) -> tuple[int, int, int, str, str]:
    return traffic.completed, traffic.failed, traffic.retried, stored(traffic.waits), stored(traffic.runs)
