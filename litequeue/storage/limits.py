"""How much a queue may hold, and how much may run at once or start in a time.

What runs is counted from the running rows themselves, so that no crash can leak a count. Jobs that find no
room are blocked until there may be some: when one of theirs ends, or when the time of a rate has passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from sqlite3 import Connection
from typing import NamedTuple

from ..clock import LONGEST, SECOND
from ..errors import QueueFull
from ..job import Lease, Rule
from .rows import record

MANY = 1 << 30
CHUNK = 1000
HOLDS_AT_ONCE = 100
SHORTEST_WAIT = SECOND // 100
# A task begins some milliseconds after its claim, one sooner than another. A rate counts claims, so it leaves
# that much more between them, for whoever counts what arrives.
SLACK = SECOND // 50

# Counts no further than the bound, however many wait.
_JOBS = "FROM litequeue_job WHERE queue = :queue AND"
WAITING = f"""
SELECT (SELECT count(*) FROM (SELECT 1 {_JOBS} state = 'ready' AND parked = 0 LIMIT :bound))
     + (SELECT count(*) FROM (SELECT 1 {_JOBS} state = 'ready' AND parked = 1 LIMIT :bound))
     + (SELECT count(*) FROM (SELECT 1 {_JOBS} state = 'scheduled' LIMIT :bound))
     + (SELECT count(*) FROM (SELECT 1 {_JOBS} state = 'blocked' LIMIT :bound))
"""
# These, and what runs.
UNFINISHED = f"""
{WAITING} + (SELECT count(*) FROM (SELECT 1 {_JOBS} state = 'running' AND worker > 0 LIMIT :bound))
"""


def require_room(connection: Connection, came: Mapping[str, int], bound: int) -> None:
    """Raise `QueueFull` when more jobs than `bound` wait in a queue, now that so many came to it."""
    for queue, more in came.items():
        waiting = connection.execute(WAITING, {"queue": queue, "bound": bound + more}).fetchone()[0]
        if more and waiting > bound:
            raise QueueFull(
                f"the queue {queue!r} holds {waiting - more:,} waiting jobs of at most {bound:,}, so "
                f"{more:,} more do not fit; try again when workers have caught up"
            )


# --- limits by key, and of a queue as a whole --------------------------------------------------------

DEFINE = """
INSERT INTO litequeue_limit (name, max_running, rate_count, rate_period, burst) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET max_running = excluded.max_running, rate_count = excluded.rate_count,
  rate_period = excluded.rate_period, burst = excluded.burst
WHERE (max_running, rate_count, rate_period, burst) IS NOT
  (excluded.max_running, excluded.rate_count, excluded.rate_period, excluded.burst)
"""
DEFINE_QUEUE = """
INSERT INTO litequeue_queue (name, max_running, rate_count, rate_period, burst) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET max_running = excluded.max_running, rate_count = excluded.rate_count,
  rate_period = excluded.rate_period, burst = excluded.burst
"""
RULE = "SELECT max_running, rate_count, rate_period, burst FROM litequeue_limit WHERE name = ?"
QUEUE_RULE = "SELECT max_running, rate_count, rate_period, burst FROM litequeue_queue WHERE name = ?"
RUNNING = """
SELECT count(*) FROM (SELECT 1 FROM litequeue_job WHERE limit_key = ? AND state = 'running' LIMIT ?)
"""
RUNNING_IN_QUEUE = """
SELECT count(*) FROM (
  SELECT 1 FROM litequeue_job WHERE state = 'running' AND worker > 0 AND queue = ? LIMIT ?)
"""
STARTS = "SELECT count(*), min(at) FROM litequeue_start WHERE limit_key = ? AND at > ? AND at <= ?"
NTH_START = "SELECT at FROM litequeue_start WHERE limit_key = ? AND at <= ? ORDER BY at DESC LIMIT 1 OFFSET ?"
ADD_START = "INSERT OR IGNORE INTO litequeue_start (limit_key, at, job, attempt) VALUES (?, ?, ?, ?)"
FORGET_STARTS = "DELETE FROM litequeue_start WHERE limit_key = ? AND at <= ?"
FORGET_ALL_STARTS = "DELETE FROM litequeue_start WHERE limit_key = ?"
BLOCK = "UPDATE litequeue_job SET state = 'blocked' WHERE id = ? AND state = 'ready'"
HOLD = """
INSERT INTO litequeue_hold (limit_key, queue, open_at) VALUES (?, ?, ?)
ON CONFLICT (limit_key, queue) DO UPDATE SET open_at = excluded.open_at
"""
OPEN = "UPDATE litequeue_hold SET open_at = 0 WHERE limit_key = ?"
OPENING = """
SELECT limit_key FROM litequeue_hold WHERE queue = ? AND open_at <= ? AND open_at IS NOT NULL
ORDER BY open_at LIMIT ?
"""
UNBLOCK = """
UPDATE litequeue_job SET state = 'ready' WHERE id IN (
  SELECT id FROM litequeue_job
  WHERE limit_key = ? AND queue = ? AND state = 'blocked' AND pending = 0 AND limit_key IS NOT NULL
  ORDER BY priority DESC, run_at, id LIMIT ?)
"""
IS_HELD = """
SELECT 1 FROM litequeue_job
WHERE limit_key = ? AND queue = ? AND state = 'blocked' AND pending = 0 AND limit_key IS NOT NULL LIMIT 1
"""
LET_GO = "DELETE FROM litequeue_hold WHERE limit_key = ? AND queue = ?"


class Room(NamedTuple):
    """How many jobs may start now, and when to look again; None: when one ends."""

    free: int
    open_at: int | None = None


def define(connection: Connection, key: str, rule: Rule) -> None:
    """Set what the limit of this key allows, if that is new, and look again at the jobs that it blocks."""
    if rule != Rule() and connection.execute(DEFINE, (key, *rule)).rowcount:
        connection.execute(OPEN, (key,))
        _forget_uncounted(connection, key, rule)


def define_queue(connection: Connection, queue: str, rule: Rule) -> None:
    """Set what a queue as a whole allows."""
    connection.execute(DEFINE_QUEUE, (queue, *rule))
    _forget_uncounted(connection, starts_of(queue), rule)


def _forget_uncounted(connection: Connection, key: str, rule: Rule) -> None:
    if rule.rate_count is None:
        connection.execute(FORGET_ALL_STARTS, (key,))


def room(connection: Connection, key: str, now: int) -> Room:
    """What the limit of this key has room for."""
    rule = rule_of(connection, key)
    return Room(MANY) if rule is None else _room(connection, RUNNING, key, key, rule, now)


def room_in_queue(connection: Connection, queue: str, rule: Rule, now: int) -> Room:
    """What a limited queue has room for."""
    return _room(connection, RUNNING_IN_QUEUE, queue, starts_of(queue), rule, now)


def starts_of(queue: str) -> str:
    """The key under which the starts of a limited queue are counted; with a tab, which no other key has."""
    return f"queue\t{queue}"


def _room(connection: Connection, running: str, name: str, key: str, rule: Rule, now: int) -> Room:
    free = MANY
    if rule.max_running is not None:
        free = rule.max_running - connection.execute(running, (name, rule.max_running)).fetchone()[0]
    if free <= 0:
        return Room(free)
    rooms = [_room_in_time(connection, key, most, period, now) for most, period in _windows(rule)]
    full = [each for each in rooms if each.free <= 0]
    if full:
        return Room(0, max(each.open_at or 0 for each in full))
    return Room(
        min([free, *(each.free for each in rooms)]), min((each.open_at or 0 for each in rooms), default=None)
    )


def _windows(rule: Rule) -> list[tuple[int, int]]:
    """How many may start in which time: `burst` in their share of it are `rate_count` in all of it."""
    if rule.rate_count is None or rule.rate_period is None:
        return []
    if not (0 < rule.rate_count <= MANY and 0 < rule.rate_period <= LONGEST):
        return []  # nobody but a hand in the file has written it
    windows = [(rule.rate_count, rule.rate_period + SLACK)]
    if rule.burst is not None and 0 < rule.burst < rule.rate_count:
        windows.append((rule.burst, rule.rate_period * rule.burst // rule.rate_count))
    return windows


def _room_in_time(connection: Connection, key: str, most: int, period: int, now: int) -> Room:
    """Room as of now, and when there is more: a start leaves the window a period after it was made."""
    started, first = connection.execute(STARTS, (key, now - period, now)).fetchone()
    if started < most:
        return Room(most - started, max((now if first is None else first) + period, now + SHORTEST_WAIT))
    return Room(0, connection.execute(NTH_START, (key, now, most - 1)).fetchone()[0] + period)


class Admission:
    """Who of the jobs that a claim meets finds room under its limit; the others are blocked."""

    def __init__(self, connection: Connection, queue: str, now: int) -> None:
        self._connection = connection
        self._queue = queue
        self._now = now
        self._rooms: dict[str, Room] = {}
        self.blocked = 0

    def admits(self, id: int, key: str) -> bool:
        """Whether there is room for the job; if not, it is blocked until there may be."""
        found = self._rooms.get(key)
        if found is None:
            found = room(self._connection, key, self._now)
        self._rooms[key] = found._replace(free=found.free - 1)
        if found.free > 0:
            return True
        self.blocked += self._connection.execute(BLOCK, (id,)).rowcount
        self._connection.execute(HOLD, (key, self._queue, found.open_at))
        return False


def count_start(connection: Connection, key: str, lease: Lease, now: int) -> None:
    """Count a start against the rate of this key, if it has one."""
    rule = rule_of(connection, key)
    if rule is not None:
        _count(connection, key, rule, lease, now)


def count_start_in_queue(connection: Connection, queue: str, rule: Rule, lease: Lease, now: int) -> None:
    """Count a start against the rate of a limited queue, if it has one."""
    _count(connection, starts_of(queue), rule, lease, now)


def _count(connection: Connection, key: str, rule: Rule, lease: Lease, now: int) -> None:
    for _, period in _windows(rule)[:1]:
        connection.execute(FORGET_STARTS, (key, now - period))
        connection.execute(ADD_START, (key, now, *lease))


def rule_of(connection: Connection, key: str) -> Rule | None:
    """What the limit of this key allows; None if there is no such limit."""
    row = connection.execute(RULE, (key,)).fetchone()
    return None if row is None else record(Rule, row, "litequeue_limit")


def reopen(connection: Connection, queue: str, now: int) -> None:
    """Set free what the limits of this queue have room for by now."""
    for (key,) in connection.execute(OPENING, (queue, now, HOLDS_AT_ONCE)).fetchall():
        found = room(connection, key, now)
        if found.free > 0:
            connection.execute(UNBLOCK, (key, queue, min(found.free, CHUNK)))
        if connection.execute(IS_HELD, (key, queue)).fetchone() is None:
            connection.execute(LET_GO, (key, queue))
        else:
            connection.execute(HOLD, (key, queue, found.open_at))
