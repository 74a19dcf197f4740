"""Jobs that wait for more than their time: for a key to be free, or for other jobs to end.

What is blocked is set free by the triggers of the schema, in whatever transaction ends its last parent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from sqlite3 import Connection, IntegrityError

from ..errors import DuplicateJob, JobNotFound
from ..job import Flow, NewJobs, Parent, Received, Stored
from . import enqueuing, limits
from .enqueuing import Payload
from .settling import INLINE_LIMIT

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
SET payload = :payload, codec = :codec, run_at = :due, expires_at = :expires_at, parked = 0,
    state = CASE WHEN state = 'blocked' THEN 'blocked' WHEN :due > :now THEN 'scheduled' ELSE 'ready' END
WHERE id = :id AND state IN ('scheduled', 'blocked', 'ready')
"""
FORGET_PAYLOAD = "DELETE FROM litequeue_blob WHERE job = ? AND kind = 'payload'"
STATES = "SELECT id, state FROM litequeue_job WHERE id IN (SELECT value FROM json_each(?))"
DECIDE = """
UPDATE litequeue_job
SET unique_key = ?, unique_for = ?, replaceable = ?, limit_key = ?, pending = ?, takes = ?, schedule = ?,
    scheduled_for = ?, state = iif(?, 'blocked', state), expires_at = iif(?, 0, expires_at)
WHERE id = ?
"""
ADD_EDGE = "INSERT INTO litequeue_edge (child, number, parent, runs_on, passes) VALUES (?, ?, ?, ?, ?)"
LINK = "UPDATE litequeue_job SET linked = 1 WHERE id = ? AND linked = 0"
RECEIVED = """
SELECT iif(state = 'completed', coalesce(result, body), NULL), iif(state = 'completed', result_codec, NULL)
FROM litequeue_edge LEFT JOIN litequeue_job ON id = parent
  LEFT JOIN litequeue_blob ON job = parent AND kind = 'result'
WHERE child = ? AND passes = 1 ORDER BY number
"""
PARENTS = "SELECT DISTINCT parent FROM litequeue_edge WHERE child = ? ORDER BY parent"
CHILDREN = "SELECT DISTINCT child FROM litequeue_edge WHERE parent = ? ORDER BY child"
# What becomes of a child now that this parent is final: the states that `runs_on` names.
_SATISFIED = {"completed": ("success", "end"), "failed": ("failure", "end"), "cancelled": ("end",)}
_BELOW = """
WITH RECURSIVE below (id) AS (
  SELECT child FROM litequeue_edge WHERE parent = :id
  UNION SELECT child FROM below JOIN litequeue_edge ON parent = below.id)
"""
DESCENDANTS = f"{_BELOW} SELECT id FROM below"
REVIVABLE = f"""{_BELOW}
SELECT below.id FROM below JOIN litequeue_job AS job ON job.id = below.id
WHERE job.state = 'cancelled' AND job.reason = 'parent'
"""
REVIVE = """
UPDATE litequeue_job
SET state = 'blocked', reason = NULL, message = NULL, finished_at = NULL, expires_at = NULL, pending = 1
WHERE id = ? AND state = 'cancelled' AND reason = 'parent'
"""
OUTLOOK = """
SELECT count(DISTINCT iif(parent.finished_at IS NULL, parent.id, NULL)),
       max(parent.finished_at IS NOT NULL AND runs_on <> 'end' AND runs_on <>
           CASE parent.state WHEN 'completed' THEN 'success' WHEN 'failed' THEN 'failure' ELSE '' END)
FROM litequeue_edge JOIN litequeue_job AS parent ON parent.id = litequeue_edge.parent WHERE child = ?
"""
EXPECT = (
    "UPDATE litequeue_job SET pending = ?, expires_at = iif(?, 0, NULL) WHERE id = ? AND state = 'blocked'"
)


def insert(connection: Connection, batches: Sequence[NewJobs], now: int) -> list[Stored]:
    """Store the jobs of all batches in order, as their flows say; what became of each."""
    stored: list[Stored] = []
    for batch in batches:
        if batch.flow is None:
            stored += map(Stored, enqueuing.insert(connection, [batch], now))
        else:
            stored.append(_insert_one(connection, batch, batch.flow, stored, now))
    return stored


def _insert_one(
    connection: Connection, batch: NewJobs, flow: Flow, before: Sequence[Stored], now: int
) -> Stored:
    held = None if flow.unique_key is None else _on_duplicate(connection, batch, flow, now)
    if held is not None:
        return Stored(held, created=False)
    parents = [_parent_id(parent, before) for parent in flow.parents]
    pending, is_doomed = _outlook(connection, flow.parents, parents)
    (id,) = enqueuing.insert(connection, [batch._replace(flow=None)], now)
    keys = (flow.unique_key, flow.unique_for, flow.on_duplicate == "replace", flow.limit_key)
    rest = (pending, flow.takes, flow.schedule, flow.scheduled_for, pending > 0 or is_doomed, is_doomed)
    connection.execute(DECIDE, (*keys, *rest, id))
    edges = zip(parents, flow.parents, strict=True)
    rows = [(id, number, parent, edge.runs_on, edge.passes) for number, (parent, edge) in enumerate(edges)]
    connection.executemany(ADD_EDGE, rows)
    connection.executemany(LINK, [(parent,) for parent in parents])
    if flow.limit_key is not None:
        limits.define(connection, flow.limit_key, flow.rule)
    return Stored(id)


# --- a key that is a job's alone -------------------------------------------------------------------


def _on_duplicate(connection: Connection, batch: NewJobs, flow: Flow, now: int) -> int | None:
    """The job that has the key, dealt with as the flow says; None when the key is free."""
    holder = connection.execute(HOLDER, (flow.unique_key,)).fetchone()
    if holder is None:
        last = connection.execute(LAST_HOLDER, (flow.unique_key,)).fetchone()
        if last is None or last[1] <= now:
            return None
        holder = (last[0], "completed", now)
    id, state, created_at = holder
    if flow.on_duplicate == "raise":
        raise DuplicateJob(id, flow.unique_key or "")
    if flow.on_duplicate == "replace" and state not in ("running", "completed"):
        _replace(connection, id, created_at, batch, flow, now)
    return int(id)


def _replace(connection: Connection, id: int, created_at: int, batch: NewJobs, flow: Flow, now: int) -> None:
    """Let a job that waits take the arguments and the time of a newer one."""
    due = now if batch.run_at is None else batch.run_at
    if flow.max_wait is not None:
        due = min(due, created_at + flow.max_wait)
    body: Payload = batch.payloads[0]
    is_large = len(body) > INLINE_LIMIT
    values = {"id": id, "codec": batch.codec, "due": due, "expires_at": batch.expires_at, "now": now}
    connection.execute(REPLACE, {**values, "payload": None if is_large else body})
    connection.execute(FORGET_PAYLOAD, (id,))
    if is_large:
        connection.execute(enqueuing.ADD_PAYLOAD, (id, body))


# --- parents and children --------------------------------------------------------------------------


def _parent_id(parent: Parent, before: Sequence[Stored]) -> int:
    return parent.id if parent.place is None else before[parent.place].id  # type: ignore[return-value]


def _outlook(connection: Connection, edges: Sequence[Parent], parents: Sequence[int]) -> tuple[int, bool]:
    """How many parents have yet to end, and whether one has ended in a way that the child did not want."""
    if not parents:
        return 0, False
    states = dict(connection.execute(STATES, (json.dumps(parents),)).fetchall())
    unknown = sorted(set(parents) - set(states))
    if unknown:
        raise JobNotFound(f"there is no job {unknown[0]} to wait for")
    pending = sum(state not in _SATISFIED for state in states.values())
    ended = [(edge, states[parent]) for edge, parent in zip(edges, parents, strict=True)]
    return pending, any(edge.runs_on not in _SATISFIED.get(state, (edge.runs_on,)) for edge, state in ended)


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


def revive_children(connection: Connection, id: int) -> None:
    """A job that is tried again takes those along that were cancelled because of it."""
    rows = connection.execute(REVIVABLE, {"id": id}).fetchall()
    revived = [row[0] for row in rows if _revive(connection, row[0])]
    for child in revived:  # only now, for they are each other's parents
        pending, is_doomed = connection.execute(OUTLOOK, (child,)).fetchone()
        connection.execute(EXPECT, (pending, bool(is_doomed), child))


def _revive(connection: Connection, id: int) -> bool:
    try:
        return connection.execute(REVIVE, (id,)).rowcount == 1
    except IntegrityError:
        return False  # another job has its unique key by now, and does its work
