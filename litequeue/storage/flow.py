"""Jobs that wait for more than their time: for a key to be free, or for other jobs to end.

What is blocked is set free by the triggers of the schema, in whatever transaction ends its last parent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from sqlite3 import Connection, IntegrityError
from typing import NamedTuple

from ..errors import DuplicateJob, InvalidTask, JobNotFound
from ..job import Flow, NewJobs, Parent, Received, Stored
from . import enqueuing, limits
from .enqueuing import Payload
from .settling import INLINE_LIMIT, KEPT_BY_NEXT_END, KEPT_CANCELLED

CHUNK = 1000
CASCADE = 100

EXPIRE = f"""
UPDATE litequeue_job
SET state = 'cancelled', retention = {KEPT_CANCELLED},
    reason = iif(expires_at = 0, 'parent', 'expired'), finished_at = :now, parked = 0
WHERE id IN (
  SELECT id FROM litequeue_job INDEXED BY litequeue_expiring
  WHERE expires_at <= :now AND expires_at IS NOT NULL AND state IN ('scheduled', 'blocked', 'ready')
  ORDER BY expires_at LIMIT :limit)
RETURNING id
"""
IS_OVER = """
SELECT 1 FROM litequeue_job INDEXED BY litequeue_expiring
WHERE expires_at <= ? AND expires_at IS NOT NULL AND state IN ('scheduled', 'blocked', 'ready') LIMIT 1
"""
HOLDER = """
SELECT id, state, created_at FROM litequeue_job INDEXED BY litequeue_unique WHERE unique_key = ?
  AND (state IN ('scheduled', 'blocked', 'ready') OR (state = 'running' AND replaceable = 0))
"""
LAST_HOLDER = """
SELECT id, finished_at + unique_for FROM litequeue_job
WHERE unique_key = ? AND unique_for IS NOT NULL AND state = 'completed' ORDER BY finished_at DESC LIMIT 1
"""
REPLACE = """
UPDATE litequeue_job
SET payload = :payload, codec = :codec, run_at = :due, expires_at = :expires_at, parked = 0, pending = 0,
    failures = 0, crashes = 0, started_at = NULL, message = NULL, progress = NULL, progress_text = NULL,
    replaceable = 1, takes = NULL, state = CASE WHEN :due > :now THEN 'scheduled'
                               WHEN state = 'blocked' AND pending = 0 THEN 'blocked' ELSE 'ready' END
WHERE id = :id AND state IN ('scheduled', 'blocked', 'ready')
"""
FORGET_PARENTS = "DELETE FROM litequeue_edge WHERE child = ?"
FORGET_PAYLOAD = "DELETE FROM litequeue_blob WHERE job = ? AND kind = 'payload'"
FORGET_STEPS = "DELETE FROM litequeue_step WHERE job = ?"
FORGET_FAILURES = "DELETE FROM litequeue_failure WHERE job = ?"
FORGET_LOG = "DELETE FROM litequeue_log WHERE job = ?"
STATES = "SELECT id, state FROM litequeue_job WHERE id IN (SELECT value FROM json_each(?))"
# A job that runs lets go of its key, so that the newer one can wait.
LET_GO = "UPDATE litequeue_job SET replaceable = 1 WHERE id = ? AND state = 'running'"
# It is kept for as long as its key binds.
DECIDE = """
UPDATE litequeue_job
SET unique_key = :unique_key, unique_for = :unique_for, replaceable = :replaceable, limit_key = :limit_key,
    schedule = :schedule, scheduled_for = :scheduled_for,
    retention = max(retention, coalesce(:unique_for, retention))
WHERE id = :id
"""
WAIT = """
UPDATE litequeue_job
SET pending = :pending, takes = :takes, state = iif(:pending > 0, 'blocked', state),
    expires_at = iif(:doom IS NULL, expires_at, 0), message = coalesce(:doom, message)
WHERE id = :id
"""
ADD_EDGE = "INSERT INTO litequeue_edge (child, number, parent, runs_on, passes) VALUES (?, ?, ?, ?, ?)"
LINK = "UPDATE litequeue_job SET linked = 1 WHERE id = ? AND linked = 0"
RECEIVED = """
SELECT iif(state = 'completed', coalesce(result, body), NULL), iif(state = 'completed', result_codec, NULL)
FROM litequeue_edge LEFT JOIN litequeue_job ON id = parent
  LEFT JOIN litequeue_blob ON job = parent AND kind = 'result'
WHERE child = ? AND passes = 1 ORDER BY number
"""
PARENTS = """
SELECT DISTINCT id FROM litequeue_edge JOIN litequeue_job ON id = parent WHERE child = ? ORDER BY id
"""
CHILDREN = "SELECT DISTINCT child FROM litequeue_edge WHERE parent = ? ORDER BY child"
_DECIDED = ("unique_key", "unique_for", "limit_key", "schedule", "scheduled_for")
# What becomes of a child now that this parent is final: the states that `runs_on` names.
_SATISFIED = {"completed": ("success", "end"), "failed": ("failure", "end"), "cancelled": ("end",)}
_BELOW = """
WITH RECURSIVE below (id) AS (
  SELECT child FROM litequeue_edge WHERE parent = :id
  UNION SELECT child FROM below JOIN litequeue_edge ON parent = below.id)
"""
IS_ABOVE = """
WITH RECURSIVE above (id) AS (
  SELECT value FROM json_each(:parents)
  UNION SELECT parent FROM above JOIN litequeue_edge ON child = above.id)
SELECT 1 FROM above WHERE id = :id LIMIT 1
"""
DESCENDANTS = f"{_BELOW} SELECT id FROM below"
# What waits for this job, however deep, and was cancelled because of it, or is about to be.
_IS_DOOMED = "(reason = 'parent' OR (expires_at = 0 AND state IN ('scheduled', 'blocked', 'ready')))"
REVIVABLE = f"""{_BELOW}
SELECT below.id FROM below JOIN litequeue_job AS job ON job.id = below.id WHERE {_IS_DOOMED}
"""
REVIVE = f"""
UPDATE litequeue_job
SET state = 'blocked', reason = NULL, message = NULL, finished_at = NULL, expires_at = NULL, pending = 1,
    retention = {KEPT_BY_NEXT_END}
WHERE id = ? AND {_IS_DOOMED}
"""
# `is_doomed`: a parent ended, or is gone, in a way that the child did not want.
OUTLOOK = """
SELECT count(DISTINCT iif(parent.finished_at IS NULL, parent.id, NULL)),
       max(runs_on <> 'end' AND (parent.id IS NULL OR (parent.finished_at IS NOT NULL AND runs_on <>
           CASE parent.state WHEN 'completed' THEN 'success' WHEN 'failed' THEN 'failure' ELSE '' END)))
FROM litequeue_edge LEFT JOIN litequeue_job AS parent ON parent.id = litequeue_edge.parent WHERE child = ?
"""
EXPECT = """
UPDATE litequeue_job
SET pending = :pending, expires_at = iif(:is_doomed, 0, NULL),
    message = iif(:is_doomed, 'another job that it waits for has ended', NULL),
    state = CASE WHEN :pending > 0 THEN 'blocked' WHEN state = 'blocked' THEN 'scheduled' ELSE state END
WHERE id = :id AND state IN ('blocked', 'ready')
"""
# Who waits for this job, and waited on for others when it had ended, waits for it again.
RECOUNT = """
UPDATE litequeue_job SET pending =
  (SELECT count(DISTINCT parent) FROM litequeue_edge JOIN litequeue_job AS other ON other.id = parent
   WHERE child = litequeue_job.id AND other.finished_at IS NULL)
WHERE state = 'blocked' AND pending > 0 AND id IN (SELECT child FROM litequeue_edge WHERE parent = ?)
"""
LACKS_A_RESULT = """
SELECT 1 FROM litequeue_edge LEFT JOIN litequeue_job AS parent ON parent.id = litequeue_edge.parent
WHERE child = ? AND passes = 1 AND runs_on = 'success'
  AND (parent.id IS NULL OR parent.state IN ('failed', 'cancelled')) LIMIT 1
"""


class _Outlook(NamedTuple):
    """How many parents have yet to end, and which has ended in a way that the child did not want."""

    pending: int = 0
    doom: str | None = None


def insert(connection: Connection, batches: Sequence[NewJobs], now: int) -> list[Stored]:
    """Store the jobs of all batches in order, as their flows say; what became of each."""
    stored: list[Stored] = []
    for batch in batches:
        if batch.flow is None:
            stored += map(Stored, enqueuing.insert(connection, [batch], now))
        elif batch.flow.only_with is not None and not stored[batch.flow.only_with].created:
            stored.append(
                stored[batch.flow.only_with]
            )  # what is to come of that job was said when it was new
        else:
            stored.append(_insert_one(connection, batch, batch.flow, stored, now))
    return stored


def _insert_one(
    connection: Connection, batch: NewJobs, flow: Flow, before: Sequence[Stored], now: int
) -> Stored:
    holder = None if flow.unique_key is None else _holder(connection, flow.unique_key, now)
    if holder is not None and flow.on_duplicate == "raise":
        raise DuplicateJob(holder.id, flow.unique_key or "")
    parents = [_parent_id(parent, before) for parent in flow.parents]
    outlook = _outlook(connection, flow.parents, parents)
    if holder is not None and holder.state == "running" and flow.on_duplicate == "replace":
        connection.execute(LET_GO, (holder.id,))
        holder = None
    if holder is None:
        id = _add(connection, batch, flow, now)
    elif flow.on_duplicate == "replace" and holder.state != "completed":
        id = _replace(connection, holder, parents, batch, flow, now)
    else:
        return Stored(holder.id, created=False)
    if parents or flow.takes is not None:
        _await(connection, id, flow, parents, outlook)
    return Stored(id, created=holder is None)


def _add(connection: Connection, batch: NewJobs, flow: Flow, now: int) -> int:
    (id,) = enqueuing.insert(connection, [batch._replace(flow=None)], now)
    values = {name: getattr(flow, name) for name in _DECIDED}
    connection.execute(DECIDE, {**values, "replaceable": flow.on_duplicate == "replace", "id": id})
    if flow.limit_key is not None:
        limits.define(connection, flow.limit_key, flow.rule)
    return id


# --- a key that is a job's alone -------------------------------------------------------------------


class _Holder(NamedTuple):
    """The job that has a key."""

    id: int
    state: str
    created_at: int = 0


def _holder(connection: Connection, key: str, now: int) -> _Holder | None:
    """The job that has the key, or had it and keeps it for a time; None when the key is free."""
    row = connection.execute(HOLDER, (key,)).fetchone()
    if row is not None:
        expire(connection, now)  # it might be over, and only waits for a claim to write that down
        row = connection.execute(HOLDER, (key,)).fetchone()
    if row is not None:
        return _Holder(*row)
    last = connection.execute(LAST_HOLDER, (key,)).fetchone()
    return None if last is None or last[1] <= now else _Holder(last[0], "completed")


def _replace(
    connection: Connection, holder: _Holder, parents: Sequence[int], batch: NewJobs, flow: Flow, now: int
) -> int:
    """Let a job that waits take the arguments, the time and the parents of a newer one.

    What it did with the old arguments is forgotten; only its attempt goes on to rise.
    """
    if connection.execute(IS_ABOVE, {"id": holder.id, "parents": json.dumps(parents)}).fetchone():
        raise InvalidTask(
            f"job {holder.id} has the unique key {flow.unique_key!r}, and with the parents of this call it "
            "would wait for itself; give the call another key, or leave out on_duplicate='replace'"
        )
    due = now if batch.run_at is None else batch.run_at
    if flow.max_wait is not None:
        due = min(due, holder.created_at + flow.max_wait)
    body: Payload = batch.payloads[0]
    is_large = len(body) > INLINE_LIMIT
    values = {"id": holder.id, "codec": batch.codec, "due": due, "expires_at": batch.expires_at, "now": now}
    connection.execute(REPLACE, {**values, "payload": None if is_large else body})
    for forget in (FORGET_PARENTS, FORGET_PAYLOAD, FORGET_STEPS, FORGET_FAILURES, FORGET_LOG):
        connection.execute(forget, (holder.id,))
    if is_large:
        connection.execute(enqueuing.ADD_PAYLOAD, (holder.id, body))
    return holder.id


# --- parents and children --------------------------------------------------------------------------


def _parent_id(parent: Parent, before: Sequence[Stored]) -> int:
    return parent.id if parent.place is None else before[parent.place].id  # type: ignore[return-value]


def _outlook(connection: Connection, edges: Sequence[Parent], parents: Sequence[int]) -> _Outlook:
    """What a new child has to expect of its parents. Raises `JobNotFound` for one that is not there."""
    if not parents:
        return _Outlook()
    states = dict(connection.execute(STATES, (json.dumps(parents),)).fetchall())
    unknown = sorted(set(parents) - set(states))
    if unknown:
        raise JobNotFound(f"there is no job {unknown[0]} to wait for")
    pending = sum(state not in _SATISFIED for state in states.values())
    ended = [(parent, states[parent], edge.runs_on) for edge, parent in zip(edges, parents, strict=True)]
    dooms = [
        f"job {parent} {'was ' if state == 'cancelled' else ''}{state}"
        for parent, state, runs_on in ended
        if runs_on not in _SATISFIED.get(state, (runs_on,))
    ]
    return _Outlook(pending, dooms[0] if dooms else None)


def _await(connection: Connection, id: int, flow: Flow, parents: Sequence[int], outlook: _Outlook) -> None:
    connection.execute(WAIT, {**outlook._asdict(), "takes": flow.takes, "id": id})
    edges = zip(parents, flow.parents, strict=True)
    rows = [(id, number, parent, edge.runs_on, edge.passes) for number, (parent, edge) in enumerate(edges)]
    connection.executemany(ADD_EDGE, rows)
    connection.executemany(LINK, [(parent,) for parent in parents])


def expire(connection: Connection, now: int) -> list[int]:
    """Cancel what was not started in time, and what a parent's end leaves no use for, down to a bound."""
    expired: list[int] = []
    for _ in range(CASCADE):
        rows = connection.execute(EXPIRE, {"now": now, "limit": CHUNK}).fetchall()
        if not rows:
            break
        expired += [row[0] for row in rows]
    return expired


def is_any_over(connection: Connection, now: int) -> bool:
    """Whether there is a job that `expire` would cancel."""
    return connection.execute(IS_OVER, (now,)).fetchone() is not None


def is_satisfied(runs_on: str, state: str | None) -> bool:
    """Whether a parent that is in this state, or gone, has ended as its child wanted it."""
    return state is not None and runs_on in _SATISFIED.get(state, ())


def received(connection: Connection, child: int, takes: str) -> Received:
    """What the parents of a job returned, in order; nothing of those that did not complete."""
    rows = connection.execute(RECEIVED, (child,)).fetchall()
    return Received(takes == "all", tuple(rows))


def parents(connection: Connection, id: int) -> list[int]:
    """The jobs that this one waits or waited for."""
    return [row[0] for row in connection.execute(PARENTS, (id,)).fetchall()]


def children(connection: Connection, id: int) -> list[int]:
    """The jobs that wait or waited for this one."""
    return [row[0] for row in connection.execute(CHILDREN, (id,)).fetchall()]


def descendants(connection: Connection, id: int) -> list[int]:
    """The jobs below this one, however deep."""
    return [row[0] for row in connection.execute(DESCENDANTS, {"id": id}).fetchall()]


def lacks_a_result(connection: Connection, id: int) -> bool:
    """Whether a job takes the result of a parent that ended, or is gone, without one."""
    return connection.execute(LACKS_A_RESULT, (id,)).fetchone() is not None


def await_parents(connection: Connection, id: int) -> None:
    """Let a job that is tried again wait for its parents that have yet to end; how others ended is past."""
    pending, is_doomed = connection.execute(OUTLOOK, (id,)).fetchone()
    if is_doomed is not None:  # it has parents
        connection.execute(EXPECT, {"id": id, "pending": pending, "is_doomed": False})


def revive_children(connection: Connection, id: int) -> None:
    """A job that is tried again takes those along that were cancelled because of it."""
    rows = sorted(connection.execute(REVIVABLE, {"id": id}).fetchall())  # of two with one key, the older
    revived = [row[0] for row in rows if _revive(connection, row[0])]
    for child in revived:  # only now, for they are each other's parents
        pending, is_doomed = connection.execute(OUTLOOK, (child,)).fetchone()
        connection.execute(EXPECT, {"id": child, "pending": pending, "is_doomed": is_doomed})
    connection.executemany(RECOUNT, [(parent,) for parent in (id, *revived)])


def _revive(connection: Connection, id: int) -> bool:
    try:
        return connection.execute(REVIVE, (id,)).rowcount == 1
    except IntegrityError:
        return False  # another job has its unique key by now, and does its work
