"""Promote, expire and claim: from waiting to running, inside one write transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import NamedTuple

from ..job import Claim, Claimed, Lease, Rule, Want
from . import flow, limits
from .rows import TEXT_OR_NONE, WHOLE, WHOLE_OR_NONE, Row, record, sound
from .settling import KEPT_CANCELLED, KEPT_FAILED

CHUNK = 1000

PROMOTE = """
UPDATE litequeue_job SET state = 'ready' WHERE id IN (
  SELECT id FROM litequeue_job WHERE state = 'scheduled' AND queue = ? AND run_at <= ?
  ORDER BY run_at LIMIT ?)
"""
IS_SIGNED_ON = "SELECT 1 FROM litequeue_worker WHERE id = ?"
# All that a claim wants to know of a queue before it writes, in one statement: each of them gives up the
# interpreter, and has to wait for it behind whatever the tasks compute.
LOOK = """
SELECT paused_at IS NOT NULL,
       (SELECT min(run_at) FROM litequeue_job WHERE state = 'scheduled' AND queue = :queue),
       EXISTS (SELECT 1 FROM litequeue_job WHERE state = 'ready' AND queue = :queue AND parked = 0),
       (SELECT min(expires_at) FROM litequeue_job INDEXED BY litequeue_expiring
        WHERE expires_at IS NOT NULL AND state IN ('scheduled', 'blocked', 'ready')),
       (SELECT min(open_at) FROM litequeue_hold WHERE queue = :queue AND open_at IS NOT NULL),
       max_running, rate_count, rate_period, burst
FROM (SELECT :queue AS queue) LEFT JOIN litequeue_queue ON name = queue
"""
COLUMNS = """id, task, payload, codec, priority, failures, crashes, run_at, ack, max_crashes, meta, options,
       attempt, expires_at, limit_key, takes, scheduled_for"""
CALL_UP = """
UPDATE litequeue_job SET state = 'ready', parked = 0 WHERE id = ? AND state IN ('scheduled', 'ready')
"""
THIS_ONE = f"SELECT {COLUMNS} FROM litequeue_job WHERE id = ? AND state = 'ready' AND queue = ?"
CANDIDATES = f"""
SELECT {COLUMNS}
FROM litequeue_job WHERE state = 'ready' AND parked = 0 AND queue = ?
ORDER BY priority DESC, run_at, id LIMIT ?
"""
_CANDIDATE = (
    *(WHOLE, str, object, str, WHOLE, WHOLE, WHOLE, WHOLE, TEXT_OR_NONE, WHOLE_OR_NONE, TEXT_OR_NONE),
    *(TEXT_OR_NONE, WHOLE, WHOLE_OR_NONE, TEXT_OR_NONE, TEXT_OR_NONE, WHOLE_OR_NONE),
)
CLAIM = """
UPDATE litequeue_job NOT INDEXED
SET state = 'running', worker = ?, attempt = attempt + 1, started_at = ?, progress = NULL,
    progress_text = NULL
WHERE id IN (SELECT value FROM json_each(?)) AND state = 'ready'
"""
TOO_LATE = f"""
UPDATE litequeue_job
SET state = 'cancelled', retention = {KEPT_CANCELLED},
    reason = iif(expires_at = 0, 'parent', 'expired'), finished_at = ?
WHERE id = ? AND state = 'ready'
"""
# An attempt that was written by hand so that none can come after it.
MOST_ATTEMPTS = 1_000_000_000
WORN_OUT = f"""
UPDATE litequeue_job
SET state = 'failed', retention = {KEPT_FAILED}, reason = 'error', finished_at = ?,
    message = 'its attempt is no number that can rise'
WHERE id = ? AND state = 'ready'
"""
PARK = "UPDATE litequeue_job SET parked = 1 WHERE id = ? AND state = 'ready'"
REVIVE = """
UPDATE litequeue_job SET parked = 0 WHERE id IN (
  SELECT id FROM litequeue_job WHERE state = 'ready' AND parked = 1 AND queue = ? AND task = ?
  ORDER BY priority DESC, run_at, id LIMIT ?)
"""
# A seek per name. UNION, not UNION ALL: it ends also where a damaged index gives a name again.
PARKED = """
WITH RECURSIVE met (name) AS (
  SELECT min(task) FROM litequeue_job WHERE state = 'ready' AND parked = 1 AND queue = :queue
  UNION
  SELECT (SELECT min(task) FROM litequeue_job
          WHERE state = 'ready' AND parked = 1 AND queue = :queue AND task > met.name)
  FROM met WHERE met.name IS NOT NULL)
SELECT name FROM met WHERE name IS NOT NULL
"""
PAYLOAD = "SELECT body FROM litequeue_blob WHERE job = ? AND kind = 'payload'"


@dataclass(slots=True)
class _Met:
    """What stood in the way of a claim."""

    unknown: set[str] = field(default_factory=set)
    parked: int = 0
    ended: list[int] = field(default_factory=list)


class _Look(NamedTuple):
    """What a claim wants to know of a queue before it writes."""

    is_paused: bool
    due: int | None
    is_ready: bool
    expiry: int | None
    open_at: int | None
    max_running: int | None
    rate_count: int | None
    rate_period: int | None
    burst: int | None

    @property
    def rule(self) -> Rule:
        """What the queue as a whole allows."""
        return Rule(self.max_running, self.rate_count, self.rate_period, self.burst)

    def is_work(self, now: int) -> bool:
        """Whether a claim would find something to do."""
        if _is_past(self.expiry, now):
            return True
        return not self.is_paused and bool(
            self.is_ready or _is_past(self.due, now) or _is_past(self.open_at, now)
        )


def claim(connection: Connection, worker: int, wants: Iterable[Want], now: int) -> Claim:
    """Give a worker what it wants, queue by queue in the order of its wants."""
    jobs: list[Claimed] = []
    met = _Met()
    for want in wants:
        if want.job is not None:
            jobs += _claim_one(connection, worker, want, want.job, now)
            continue
        look = _look(connection, want.queue)
        if _is_past(look.expiry, now):
            met.ended += flow.expire(connection, now)
            look = _look(connection, want.queue)
        is_ready = look.is_ready
        if _is_past(look.open_at, now):
            limits.reopen(connection, want.queue, now)
            is_ready = True
        if _is_past(look.due, now):
            is_ready = promote(connection, want.queue, now) > 0 or is_ready
        if not look.is_paused and (is_ready or want.revive):
            jobs += _claim_within(connection, worker, _left(want, jobs), look.rule, now, met)
    return Claim(tuple(jobs), frozenset(met.unknown), met.parked, tuple(met.ended))


def _look(connection: Connection, queue: str) -> _Look:
    return record(_Look, connection.execute(LOOK, {"queue": queue}).fetchone(), "litequeue_job")


def is_signed_on(connection: Connection, worker: int) -> bool:
    """Whether the worker has its row; without it nobody would reap what it claims."""
    return connection.execute(IS_SIGNED_ON, (worker,)).fetchone() is not None


def promote(connection: Connection, queue: str, now: int) -> int:
    """Make due jobs ready, a bounded number at a time; how many."""
    return connection.execute(PROMOTE, (queue, now, CHUNK)).rowcount


def is_work_waiting(connection: Connection, queues: Iterable[str], now: int) -> bool:
    """Whether a claim would find something; reads only, so it may be asked often."""
    return any(_look(connection, queue).is_work(now) for queue in queues)


def next_due(connection: Connection, queues: Iterable[str], now: int) -> int | None:
    """When the next scheduled job of these queues is due, a limit may open, or any job expires."""
    found: list[int | None] = []
    for queue in queues:
        look = _look(connection, queue)
        found.append(look.expiry)
        if look.is_paused:
            continue
        found += [look.due, look.open_at]
        if look.is_ready and look.rate_count is not None:
            room = limits.room_in_queue(connection, queue, look.rule, now)
            found.append(room.open_at if room.free <= 0 else None)
    return min((due for due in found if due is not None), default=None)


def parked_tasks(connection: Connection, queue: str) -> frozenset[str]:
    """The tasks of which a worker could not make sense."""
    rows = connection.execute(PARKED, {"queue": queue}).fetchall()
    return frozenset(sound(row, (str,), "litequeue_job")[0] for row in rows)


def _left(want: Want, taken: list[Claimed]) -> Want:
    """What is still wanted after other queues gave these."""
    if not taken:
        return want
    running = sum(job.task in want.coroutines for job in taken)
    waiting = len(taken) - running
    return want._replace(
        start=max(0, want.start - waiting),
        limit=max(0, want.limit - waiting),
        slots=want.slots - running,
        total=None if want.total is None else want.total - len(taken),
    )


def _is_past(instant: int | None, now: int) -> bool:
    return instant is not None and instant <= now


def _claim_within(
    connection: Connection, worker: int, want: Want, rule: Rule, now: int, met: _Met
) -> list[Claimed]:
    """Claim within what the queue as a whole allows; most allow anything."""
    if rule != Rule():
        free = limits.room_in_queue(connection, want.queue, rule, now).free
        total = max(0, free if want.total is None else min(free, want.total))
        want = want._replace(total=total, limit=min(want.limit, want.start))
    if want.limit + want.slots <= 0 or want.total == 0:
        return []
    taken = _claim_from(connection, worker, want, now, met)
    for job in taken if rule.rate_count is not None else ():
        limits.count_start_in_queue(connection, want.queue, rule, job.lease, now)
    return taken


def _claim_one(connection: Connection, worker: int, want: Want, job: int, now: int) -> list[Claimed]:
    """Claim this very job, before its turn."""
    connection.execute(CALL_UP, (job,))
    rows = connection.execute(THIS_ONE, (job, want.queue)).fetchall()
    taken = [(sound(row, _CANDIDATE, "litequeue_job"), True) for row in rows]
    return _take(connection, worker, want.queue, taken, now)


def _claim_from(connection: Connection, worker: int, want: Want, now: int, met: _Met) -> list[Claimed]:
    for task in want.revive:
        connection.execute(REVIVE, (want.queue, task, want.limit + want.slots))
    return _take(connection, worker, want.queue, _candidates(connection, want, now, met), now)


def _take(
    connection: Connection, worker: int, queue: str, rows: list[tuple[Row, bool]], now: int
) -> list[Claimed]:
    taken = [_claimed(connection, queue, row, started=started) for row, started in rows]
    for started_at, is_started in ((now, True), (None, False)):
        ids = [job.lease.job for job in taken if job.started is is_started]
        if ids:
            connection.execute(CLAIM, (worker, started_at, json.dumps(ids)))
    for row, _ in rows:
        if row[14] is not None:
            limits.count_start(connection, row[14], Lease(row[0], row[12] + 1), now)
    return taken


def _candidates(connection: Connection, want: Want, now: int, met: _Met) -> list[tuple[Row, bool]]:
    """The rows to take, and whether each starts at once.

    When nothing in the first rows can be taken a second look goes deeper, to a bound. What stands in the way
    for good is gone from there with the next claim.
    """
    wanted = want.limit + (want.slots if want.coroutines else min(want.slots, 1))
    admission = limits.Admission(connection, want.queue, now)
    chosen: list[tuple[Row, bool]] = []
    for size in (wanted, max(CHUNK, wanted)):
        rows = connection.execute(CANDIDATES, (want.queue, size)).fetchall()
        rows_in_time = [row for row in rows if _is_fit(connection, row, now, met)]
        met.parked += _park(connection, [row for row in rows_in_time if row[1] in want.refused])
        met.unknown.update(row[1] for row in rows_in_time if not _is_judged(row[1], want))
        chosen = _choose(rows_in_time, want, admission)
        if chosen or len(rows) < size:
            break
    met.parked += admission.blocked
    return chosen


def _is_fit(connection: Connection, row: Row, now: int, met: _Met) -> bool:
    """Whether a job can be taken at all; what is too late for that, or for ever, ends here."""
    sound(row, _CANDIDATE, "litequeue_job")
    if _is_past(row[13], now):
        connection.execute(TOO_LATE, (now, row[0]))
    elif row[12] >= MOST_ATTEMPTS:
        connection.execute(WORN_OUT, (now, row[0]))
    else:
        return True
    met.ended.append(row[0])
    return False


def _park(connection: Connection, refused: list[Row]) -> int:
    """Put jobs aside that this worker can not resolve; how many."""
    if not refused:
        return 0
    connection.executemany(PARK, [(row[0],) for row in refused])
    for key in {row[14] for row in refused} - {None}:
        connection.execute(limits.OPEN, (key,))  # others wait for the room that was made for these
    return len(refused)


def _choose(rows: list[Row], want: Want, admission: limits.Admission) -> list[tuple[Row, bool]]:
    chosen: list[tuple[Row, bool]] = []
    threads = slots = 0
    alone = False
    for row in rows:
        if len(chosen) == want.total:
            break
        if not _may_run(row[1], want):
            continue
        if row[1] in want.coroutines:
            if slots < want.slots and _finds_room(row, admission):
                slots += 1
                chosen.append((row, True))
            continue
        # A slow job neither waits in a worker nor do others wait behind it; nor one that took a worker down,
        # for they would be blamed with it. A limited job would hold its room while it only waits.
        alone = alone or row[6] > 0 or (want.quick is not None and row[1] not in want.quick)
        most = want.start if alone or row[14] is not None else want.limit
        if threads < most and _finds_room(row, admission):
            chosen.append((row, threads < want.start))
            threads += 1
    return chosen


def _finds_room(row: Row, admission: limits.Admission) -> bool:
    return row[14] is None or admission.admits(row[0], row[14])


def _is_judged(task: str, want: Want) -> bool:
    return want.known is None or task in want.known or task in want.refused


def _may_run(task: str, want: Want) -> bool:
    return (want.known is None or task in want.known) and task not in want.refused


def _claimed(connection: Connection, queue: str, row: Row, *, started: bool) -> Claimed:
    payload = row[2]
    if payload is None:
        # A large body is read by itself: RETURNING would copy it through a temporary table.
        found = connection.execute(PAYLOAD, (row[0],)).fetchone()
        payload = found[0] if found else ""
    lease = Lease(row[0], row[12] + 1)
    received = None if row[15] is None else flow.received(connection, row[0], row[15])
    # What runs at most once has started when that is on the disk, and a claim is not synced.
    rest = (started and row[8] != "early", *row[8:12], row[16], received)
    return Claimed._make((lease, row[1], queue, payload, *row[3:8], *rest))
