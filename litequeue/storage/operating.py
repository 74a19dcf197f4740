"""What people do to jobs: cancel, retry, delete, prune, pause."""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Connection, IntegrityError
from typing import NamedTuple

from . import flow, settling

CANCEL_WAITING = f"""
UPDATE litequeue_job
SET state = 'cancelled', retention = {settling.KEPT_CANCELLED}, reason = 'cancelled',
    finished_at = :now, parked = 0, message = :message
WHERE id = :id AND state IN ('scheduled', 'blocked', 'ready')
"""
CANCEL_UNSTARTED = f"{CANCEL_WAITING} AND started_at IS NULL"
CANCEL_RUNNING = """
UPDATE litequeue_job
SET cancelling = 1, message = coalesce(:message, iif(cancelling, message, NULL))
WHERE id = :id AND state = 'running'
"""
RETRY = f"""
UPDATE litequeue_job
SET state = 'ready', reason = NULL, message = NULL, failures = 0, crashes = 0, run_at = :now,
    started_at = NULL, finished_at = NULL, expires_at = NULL, result = NULL, result_codec = NULL,
    progress = NULL, progress_text = NULL, pending = 0, retention = {settling.KEPT_BY_NEXT_END}
WHERE id = :id AND state IN ('failed', 'cancelled')
"""
FORGET_STEPS = "DELETE FROM litequeue_step WHERE job = :id"
FORGET_RESULT = "DELETE FROM litequeue_blob WHERE job = :id AND kind = 'result'"
_HAS_A_CHILD = """
linked = 1 AND EXISTS (
  SELECT 1 FROM litequeue_edge JOIN litequeue_job AS child ON child.id = litequeue_edge.child
  WHERE litequeue_edge.parent = litequeue_job.id AND passes = 1 AND {condition})
"""
_IS_NEEDED = _HAS_A_CHILD.format(condition="child.finished_at IS NULL")
# Its time does not end a result with which another job might be tried again; a person may.
_IS_KEPT = _HAS_A_CHILD.format(
    condition="""child.state <> 'completed'
    AND (child.finished_at IS NULL OR litequeue_job.state = 'completed')"""
)
DELETE = f"""
DELETE FROM litequeue_job
WHERE id = :id AND state <> 'running' AND NOT (state = 'completed' AND {_IS_NEEDED})
"""
_IS_OVER = f"""
queue = ? AND state = ? AND finished_at + retention <= ? AND finished_at IS NOT NULL AND NOT ({_IS_KEPT})
"""
PRUNE = f"""
DELETE FROM litequeue_job WHERE id IN (
  SELECT id FROM litequeue_job WHERE {_IS_OVER} ORDER BY finished_at + retention LIMIT ?)
"""
IS_PRUNABLE = f"SELECT 1 FROM litequeue_job WHERE {_IS_OVER} LIMIT 1"
PRUNABLE = f"SELECT count(*) FROM litequeue_job WHERE {_IS_OVER}"
ENDED_QUEUES = """
WITH RECURSIVE met (name) AS (
  SELECT min(queue) FROM litequeue_job WHERE finished_at IS NOT NULL
  UNION
  SELECT (SELECT min(queue) FROM litequeue_job WHERE finished_at IS NOT NULL AND queue > met.name)
  FROM met WHERE met.name IS NOT NULL)
SELECT name FROM met WHERE name IS NOT NULL
"""
PAUSE = """
INSERT INTO litequeue_queue (name, paused_at) VALUES (:name, :at)
ON CONFLICT (name) DO UPDATE SET paused_at = excluded.paused_at
"""
_FINAL = ("completed", "failed", "cancelled")


def cancel(connection: Connection, id: int, now: int, message: str | None) -> bool:
    """Cancel a job that waits, with those that wait for it, or ask a running one to stop."""
    if _cancel_waiting(connection, id, now, message):
        flow.expire(connection, now)
        return True
    return _ask_to_stop(connection, id, message)


def cancel_unstarted(connection: Connection, ids: Iterable[int], now: int) -> list[int]:
    """Cancel those of these jobs that have not started; which."""
    rest = {"now": now, "message": None}
    cancelled = [id for id in ids if connection.execute(CANCEL_UNSTARTED, {"id": id, **rest}).rowcount]
    if cancelled:
        flow.expire(connection, now)
    return cancelled


def cancel_tree(connection: Connection, id: int, now: int, message: str | None) -> int:
    """Cancel a job and all below it, whatever ends they wait for; how many."""
    done = 0
    for each in [id, *flow.descendants(connection, id)]:
        done += _cancel_waiting(connection, each, now, message) or _ask_to_stop(connection, each, message)
    if done:
        flow.expire(connection, now)  # not before: none of them ends because of another
    return done


def _cancel_waiting(connection: Connection, id: int, now: int, message: str | None) -> bool:
    values = {"id": id, "now": now, "message": message and settling.storable(message)}
    return connection.execute(CANCEL_WAITING, values).rowcount == 1


def _ask_to_stop(connection: Connection, id: int, message: str | None) -> bool:
    values = {"id": id, "message": message and settling.storable(message)}
    return connection.execute(CANCEL_RUNNING, values).rowcount == 1


def retry(connection: Connection, id: int, now: int, *, fresh: bool) -> bool:
    """Let a final job run again, once its parents have ended, and those that were cancelled because of it.

    `fresh` forgets the steps that it has finished.
    """
    if flow.lacks_a_result(connection, id):
        return False
    try:
        if not connection.execute(RETRY, {"id": id, "now": now}).rowcount:
            return False
    except IntegrityError:
        return False  # its unique key is another job's by now
    connection.execute(FORGET_RESULT, {"id": id})
    if fresh:
        connection.execute(FORGET_STEPS, {"id": id})
    flow.await_parents(connection, id)
    flow.revive_children(connection, id)
    return True


def pause(connection: Connection, queue: str, at: int | None) -> None:
    """Pause a queue, or resume it (`at` is None)."""
    connection.execute(PAUSE, {"name": queue, "at": at})


def delete(connection: Connection, id: int, now: int) -> bool:
    """Remove a job that neither runs nor keeps a result that others wait for."""
    if connection.execute(DELETE, {"id": id}).rowcount != 1:
        return False
    flow.expire(connection, now)
    return True


class Over(NamedTuple):
    """The final jobs whose retention is over now, all or those of one state or queue."""

    now: int
    state: str | None = None
    queue: str | None = None


def is_prunable(connection: Connection, over: Over) -> bool:
    """Whether there is a job to prune."""
    return any(connection.execute(IS_PRUNABLE, place).fetchone() for place in _places(connection, over))


def prunable(connection: Connection, over: Over) -> int:
    """How many jobs there are to prune."""
    return sum(connection.execute(PRUNABLE, place).fetchone()[0] for place in _places(connection, over))


def prune(connection: Connection, over: Over, limit: int) -> int:
    """Delete at most so many final jobs whose retention is over; how many."""
    gone = 0
    for place in _places(connection, over):
        gone += connection.execute(PRUNE, (*place, limit - gone)).rowcount
    return gone


def _places(connection: Connection, over: Over) -> list[tuple[str, str, int]]:
    """Where to look for them: each state of each queue, and the instant."""
    queues = connection.execute(ENDED_QUEUES).fetchall() if over.queue is None else [(over.queue,)]
    states = _FINAL if over.state is None else (over.state,)
    return [(queue, state, over.now) for (queue,) in queues for state in states]
