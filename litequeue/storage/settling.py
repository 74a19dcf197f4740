"""Complete, fail, snooze, release, cancel: how a lease ends, and what a running job notes on the way.

Every statement names the state it leaves and the lease it holds; no row changed means that the lease was
lost. A job that was asked to stop ends as cancelled, whatever its attempt came to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from sqlite3 import Connection, IntegrityError

from ..clock import SECOND
from ..job import Cancelled, Complete, Crash, Fail, Failure, Lease, Note, Release, Settlement, Snoozed, Start
from .places import place_of

INLINE_LIMIT = 4096
DEFAULT_MAX_CRASHES = 3

_OPTIONS = "iif(json_valid(options), options, NULL)"  # what was damaged by hand is no reason to stop
# How long a job stays that comes to a state: as its row says, or else by state in its options.
_KEPT = f"""coalesce(retention, iif(json_type({_OPTIONS}, '$.retention.' || {{state}}) = 'integer',
      CAST(json_extract({_OPTIONS}, '$.retention.' || {{state}}) AS INTEGER), NULL))"""
KEPT_CANCELLED = _KEPT.format(state="'cancelled'")
KEPT_FAILED = _KEPT.format(state="'failed'")
# One that is not final any more is kept by the state that it comes to next.
KEPT_BY_NEXT_END = f"iif(json_type({_OPTIONS}, '$.retention') IS NULL, retention, NULL)"
_COMPLETED = "iif(cancelling, 'cancelled', 'completed')"
_SCHEDULED = "iif(cancelling, 'cancelled', 'scheduled')"
_FAILED = "iif(cancelling, 'cancelled', 'failed')"
_READY = "iif(cancelling, 'cancelled', 'ready')"
_MESSAGE = "iif(cancelling, coalesce(message, :message), :message)"  # what the operator said goes first
_CRASHED = """(CASE WHEN cancelling THEN 'cancelled' WHEN ack = 'early' THEN 'failed'
                 WHEN crashes + 1 >= coalesce(max_crashes, :max_crashes) THEN 'failed' ELSE 'ready' END)"""

COMPLETE = f"""
UPDATE litequeue_job
SET state = {_COMPLETED}, retention = {_KEPT.format(state=_COMPLETED)},
    reason = iif(cancelling, 'cancelled', NULL),
    finished_at = ?, worker = NULL, cancelling = 0, message = iif(cancelling, message, NULL),
    result = ?, result_codec = ?,
    started_at = coalesce(started_at, ?)
WHERE id = ? AND attempt = ? AND state = 'running'
"""
# The same for many at once that returned nothing, as most do, in half the time; lost ones are told apart.
# NOT INDEXED leaves the id as the only way: after ANALYZE, SQLite might walk through all that run instead.
COMPLETE_ALL = f"""
UPDATE litequeue_job NOT INDEXED
SET state = {_COMPLETED}, retention = {_KEPT.format(state=_COMPLETED)},
    reason = iif(cancelling, 'cancelled', NULL),
    finished_at = ?, worker = NULL, cancelling = 0, message = iif(cancelling, message, NULL),
    result = NULL, result_codec = NULL,
    started_at = coalesce(started_at, ?)
WHERE id IN (SELECT value FROM json_each(?)) AND attempt = ? AND state = 'running'
RETURNING id
"""
# The highest ids are not given again, which the trigger of the deletion sees to.
FORGET = "DELETE FROM litequeue_job WHERE id = ? AND attempt = ? AND state = 'completed' AND linked = 0"
RETRY_LATER = f"""
UPDATE litequeue_job
SET state = {_SCHEDULED}, retention = {_KEPT.format(state=_SCHEDULED)},
    reason = iif(cancelling, 'cancelled', NULL),
    finished_at = iif(cancelling, :now, NULL), run_at = :run_at, worker = NULL, cancelling = 0,
    failures = min(failures, 1000000000) + :failures, started_at = coalesce(started_at, :now),
    expires_at = NULL
WHERE id = :id AND attempt = :attempt AND state = 'running'
"""
FAIL = f"""
UPDATE litequeue_job
SET state = {_FAILED}, retention = {_KEPT.format(state=_FAILED)},
    reason = iif(cancelling, 'cancelled', :reason),
    finished_at = :now, worker = NULL, cancelling = 0, message = {_MESSAGE},
    failures = min(failures, 1000000000) + 1,  -- one that was written by hand may leave no room to count
    started_at = coalesce(started_at, :now)
WHERE id = :id AND attempt = :attempt AND state = 'running'
"""
RELEASE = f"""
UPDATE litequeue_job
SET state = {_READY}, retention = {_KEPT.format(state=_READY)},
    reason = iif(cancelling, 'cancelled', NULL),
    finished_at = iif(cancelling, :now, NULL), worker = NULL, cancelling = 0, started_at = NULL
WHERE id = :id AND attempt = :attempt AND state = 'running'
"""
CANCEL = f"""
UPDATE litequeue_job
SET state = 'cancelled', retention = {KEPT_CANCELLED}, reason = 'cancelled', finished_at = :now,
    worker = NULL, cancelling = 0, message = {_MESSAGE}, started_at = coalesce(started_at, :now)
WHERE id = :id AND attempt = :attempt AND state = 'running'
"""
# Its worker died under it: once more, unless that was too often, or once was all it wanted.
CRASH = f"""
UPDATE litequeue_job
SET state = {_CRASHED}, retention = {_KEPT.format(state=_CRASHED)},
    reason = CASE WHEN cancelling THEN 'cancelled' WHEN ack = 'early' THEN 'lost'
                  WHEN crashes + 1 >= coalesce(max_crashes, :max_crashes) THEN 'crashed' END,
    finished_at = iif(cancelling OR ack = 'early' OR crashes + 1 >= coalesce(max_crashes, :max_crashes),
                      :now, NULL),
    crashes = min(crashes, 1000000000) + 1, expires_at = NULL, worker = NULL, cancelling = 0,
    message = {_MESSAGE}
WHERE id = :id AND attempt = :attempt AND state = 'running'
"""
# It would wait again, but while it ran a newer job with its unique key came to wait in its place.
REPLACED = f"""
UPDATE litequeue_job
SET state = 'cancelled', retention = {KEPT_CANCELLED}, reason = 'replaced', finished_at = :now,
    worker = NULL, cancelling = 0, message = 'a newer job with the same unique key waits',
    started_at = coalesce(started_at, :now)
WHERE id = :id AND attempt = :attempt AND state = 'running'
"""
START = """
UPDATE litequeue_job
SET started_at = :now, ack = coalesce(ack, :ack), max_crashes = coalesce(max_crashes, :max_crashes)
WHERE id = :id AND attempt = :attempt AND state = 'running'
"""
NOTE = """
UPDATE litequeue_job
SET progress = coalesce(:progress, progress), progress_text = coalesce(:text, progress_text),
    meta = coalesce(:meta, meta)
WHERE id = :id AND attempt = :attempt AND state = 'running'
"""
ADD_FAILURE = """
INSERT OR REPLACE INTO litequeue_failure (job, attempt, failed_at, reason, type, message, traceback, place)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_LOG = """
INSERT INTO litequeue_log (job, number, attempt, at, text)
SELECT :job, 1 + coalesce(max(number), 0), :attempt, :at, :text
FROM litequeue_log WHERE job = :job AND number < 1000000000
"""
ADD_RESULT = "INSERT OR REPLACE INTO litequeue_blob (job, kind, body) VALUES (?, 'result', ?)"
# A task's transaction shuts out its own worker's heartbeat; give that the time to renew what it could not.
KEEP_ALIVE = """
UPDATE litequeue_worker SET lease_until = max(lease_until, :until)
WHERE id = (SELECT worker FROM litequeue_job WHERE id = :id AND attempt = :attempt AND state = 'running')
"""
TIME_TO_RENEW = 5 * SECOND
STATE_OF = "SELECT state FROM litequeue_job WHERE id = ?"


def storable(text: str) -> str:
    """The text with what UTF-8 can not hold, such as an undecodable file name, written as an escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def settle_all(connection: Connection, settlements: Sequence[Settlement], now: int) -> tuple[bool, ...]:
    """End each of these leases as its settlement says; False for those that were lost."""
    empty: dict[int, list[int]] = {}
    for one in settlements:
        if _is_empty(one):
            empty.setdefault(one.lease.attempt, []).append(one.lease.job)
    done = {
        (id, attempt)
        for attempt, ids in empty.items()
        for (id,) in connection.execute(COMPLETE_ALL, (now, now, json.dumps(ids), attempt)).fetchall()
    }
    return tuple(_is_done(connection, one, now, done) for one in settlements)


def _is_empty(settlement: Settlement) -> bool:
    """Whether it only says that a task returned nothing, so that one statement may write many of them."""
    return type(settlement) is Complete and settlement.codec is None and settlement.keeps


def _is_done(connection: Connection, settlement: Settlement, now: int, done: set[tuple[int, int]]) -> bool:
    if not _is_empty(settlement):
        return settle(connection, settlement, now)
    held = settlement.lease in done
    done.discard(settlement.lease)  # a lease is settled once, also when it is named twice
    return held


def settle(connection: Connection, settlement: Settlement, now: int) -> bool:
    """End one lease as the settlement says; False when the lease was lost and nothing was written."""
    lease = settlement.lease
    match settlement:
        case Complete():
            return _complete(connection, settlement, now)
        case Fail(retry_at=int() as run_at):
            held = _change(connection, RETRY_LATER, lease, now, run_at=run_at, failures=1)
            return held and _record(connection, lease, settlement.failure, now)
        case Fail(failure=failure):
            held = _change(
                connection, FAIL, lease, now, reason=failure.reason, message=storable(failure.message)
            )
            return held and _record(connection, lease, failure, now)
        case Crash(failure=failure):
            return crash(connection, lease, failure, now)
        case Snoozed(run_at=run_at):
            return _change(connection, RETRY_LATER, lease, now, run_at=run_at, failures=0)
        case Release():
            return _change(connection, RELEASE, lease, now)
        case Cancelled(message=message):
            return _change(connection, CANCEL, lease, now, message=storable(message) or None)


def crash(connection: Connection, lease: Lease, failure: Failure, now: int) -> bool:
    """End a lease whose process died: back to ready, or failed at the crash limit."""
    held = _change(
        connection, CRASH, lease, now, max_crashes=DEFAULT_MAX_CRASHES, message=storable(failure.message)
    )
    return held and _record(connection, lease, failure, now)


def complete_at_once(connection: Connection, settlement: Complete, now: int) -> bool:
    """Complete within the task's own transaction; False also when the job was asked to stop."""
    if not _complete(connection, settlement, now):
        return False
    row = connection.execute(STATE_OF, (settlement.lease.job,)).fetchone()
    return bool(row[0] == "completed")


def keep_alive(connection: Connection, lease: Lease, until: int) -> None:
    """Let the lease of the worker that holds this job end no earlier than `until`."""
    connection.execute(KEEP_ALIVE, {"id": lease.job, "attempt": lease.attempt, "until": until})


def start(connection: Connection, begun: Start, now: int) -> bool:
    """Mark that a job which waited in its worker now runs, so that a crash is charged to it."""
    return _change(connection, START, begun.lease, now, ack=begun.ack, max_crashes=begun.max_crashes)


def note(connection: Connection, written: Note, now: int) -> bool:
    """Store progress, meta and log lines of a running job; False when its lease was lost."""
    held = _change(
        connection,
        NOTE,
        written.lease,
        now,
        progress=written.progress,
        text=None if written.progress_text is None else storable(written.progress_text),
        meta=written.meta,
    )
    if held:
        lease = written.lease
        connection.executemany(
            ADD_LOG,
            [
                {"job": lease.job, "attempt": lease.attempt, "at": at, "text": storable(text)}
                for at, text in written.logs
            ],
        )
    return held


def _complete(connection: Connection, settlement: Complete, now: int) -> bool:
    body, lease = settlement.result, settlement.lease
    large = body is not None and len(body) > INLINE_LIMIT
    row = (now, None if large else body, settlement.codec, now, *lease)
    if connection.execute(COMPLETE, row).rowcount != 1:
        return False
    if large:
        connection.execute(ADD_RESULT, (lease.job, body))
    if not settlement.keeps:
        connection.execute(FORGET, lease)
    return True


def _change(connection: Connection, statement: str, lease: Lease, now: int, **values: object) -> bool:
    parameters = {"id": lease.job, "attempt": lease.attempt, "now": now, **values}
    try:
        return connection.execute(statement, parameters).rowcount == 1
    except IntegrityError as error:
        if "litequeue_job.unique_key" not in str(error):
            raise
        return connection.execute(REPLACED, parameters).rowcount == 1


def _record(connection: Connection, lease: Lease, failure: Failure, now: int) -> bool:
    place = place_of(failure.traceback)
    texts = [storable(text) for text in (failure.type, failure.message, failure.traceback, place)]
    connection.execute(ADD_FAILURE, (lease.job, lease.attempt, now, failure.reason, *texts))
    return True
