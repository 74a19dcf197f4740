"""What is read back: jobs, counts, failures, and why a job does not run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from sqlite3 import Connection
from typing import Any, TypeVar

from ..errors import JobNotFound
from ..job import (
    Ended,
    FailedAttempt,
    Filter,
    LogLine,
    Rule,
    Settlement,
    Snapshot,
    State,
    StoredResult,
    WorkerInfo,
)
from . import flow, limits, rows
from .database import Database
from .transactions import snapshot

T = TypeVar("T")
COLUMNS = """id, task, queue, state, reason, priority, attempt, failures, crashes, max_crashes, created_at,
  run_at, started_at, finished_at, expires_at, worker, cancelling, parked, progress, progress_text, ack, tags,
  meta, options, codec, message, unique_key, limit_key, pending, takes, schedule, scheduled_for"""
# The three ways to find jobs: walk along the ids; look at these few; go through what failed or was cancelled.
WALK = "litequeue_job WHERE id > :low AND id < :high"
AMONG = """litequeue_job
WHERE id IN (SELECT value FROM json_each(:ids)) AND id > :low AND id < :high"""
ENDED = """litequeue_job INDEXED BY litequeue_retriable
WHERE state IN ('failed', 'cancelled') AND state = :state AND id > :low AND id < :high"""
# The ids of a state that usually holds few jobs, from its own index: with few in it nothing is walked.
FEW = 1000
HANDFUL = {
    State.SCHEDULED: """
      SELECT id FROM litequeue_job WHERE state = 'scheduled' AND queue BETWEEN :first AND :last LIMIT :few""",
    State.BLOCKED: """
      SELECT id FROM litequeue_job WHERE state = 'blocked' AND queue BETWEEN :first AND :last LIMIT :few""",
    State.READY: """
      SELECT id FROM litequeue_job WHERE state = 'ready' AND parked = 0 AND queue BETWEEN :first AND :last
      UNION ALL
      SELECT id FROM litequeue_job WHERE state = 'ready' AND parked = 1 AND queue BETWEEN :first AND :last
      LIMIT :few""",
    State.RUNNING: """
      SELECT id FROM litequeue_job
      WHERE state = 'running' AND worker > 0 AND queue BETWEEN :first AND :last LIMIT :few""",
}
MATCHES = """
  AND (:state IS NULL OR state = :state) AND (:task IS NULL OR task = :task)
  AND (:queue IS NULL OR queue = :queue) AND (:before IS NULL OR created_at < :before)
  AND (:ended_before IS NULL OR finished_at < :ended_before)
  AND (:tag IS NULL OR (json_valid(tags) AND EXISTS (SELECT 1 FROM json_each(tags) WHERE value = :tag)))
  AND (:error IS NULL OR EXISTS (
    SELECT 1 FROM litequeue_failure AS last WHERE last.job = litequeue_job.id
    AND last.attempt = litequeue_job.attempt
    AND :error IN (type, type || '@' || iif(place = '', '-', place))))
"""
WAYS = (WALK, AMONG, ENDED)
MATCHING = {way: f"SELECT id FROM {way} {MATCHES} ORDER BY id LIMIT :limit" for way in WAYS}
NEWEST_FIRST = {way: f"SELECT {COLUMNS} FROM {way} {MATCHES} ORDER BY id DESC LIMIT :limit" for way in WAYS}
COUNT = {way: f"SELECT count(*) FROM {way} {MATCHES}" for way in WAYS}
THESE = f"SELECT {COLUMNS} FROM litequeue_job WHERE id IN (SELECT value FROM json_each(?))"
STATES = "SELECT id, state FROM litequeue_job WHERE id IN (SELECT value FROM json_each(?))"
STAGES = """
SELECT id, iif(started_at IS NULL OR finished_at IS NOT NULL, state, 'running')
FROM litequeue_job WHERE id IN (SELECT value FROM json_each(?))
"""
ONE = f"SELECT {COLUMNS} FROM litequeue_job WHERE id = ?"
PAYLOAD = """
SELECT coalesce(payload, (SELECT body FROM litequeue_blob WHERE job = :id AND kind = 'payload')), codec
FROM litequeue_job WHERE id = :id
"""
PAYLOAD_HEAD = """
SELECT substr(coalesce(payload, (SELECT body FROM litequeue_blob WHERE job = :id AND kind = 'payload')),
              1, :length), codec
FROM litequeue_job WHERE id = :id
"""
RESULT = """
SELECT coalesce(result, (SELECT body FROM litequeue_blob WHERE job = :id AND kind = 'result')), result_codec
FROM litequeue_job WHERE id = :id
"""
FAILURES = """
SELECT attempt, failed_at, reason, type, message, traceback FROM litequeue_failure
WHERE job = ? ORDER BY attempt
"""
LOG = "SELECT attempt, at, text FROM litequeue_log WHERE job = ? ORDER BY number DESC LIMIT ?"
ALL_LINES = -1  # as a LIMIT
COUNTS = {
    State.SCHEDULED: "SELECT count(*) FROM litequeue_job WHERE state = 'scheduled' AND queue = :queue",
    State.BLOCKED: "SELECT count(*) FROM litequeue_job WHERE state = 'blocked' AND queue = :queue",
    State.READY: """
      SELECT (SELECT count(*) FROM litequeue_job WHERE state = 'ready' AND parked = 0 AND queue = :queue)
           + (SELECT count(*) FROM litequeue_job WHERE state = 'ready' AND parked = 1 AND queue = :queue)""",
    State.RUNNING: """
      SELECT count(*) FROM litequeue_job WHERE state = 'running' AND worker > 0 AND queue = :queue""",
    State.COMPLETED: """
      SELECT count(*) FROM litequeue_job
      WHERE queue = :queue AND state = 'completed' AND finished_at IS NOT NULL""",
    State.FAILED: """
      SELECT count(*) FROM litequeue_job
      WHERE queue = :queue AND state = 'failed' AND finished_at IS NOT NULL""",
    State.CANCELLED: """
      SELECT count(*) FROM litequeue_job
      WHERE queue = :queue AND state = 'cancelled' AND finished_at IS NOT NULL""",
}
# One name after the other, in each index that begins with the queue: a seek each, never a scan.
_NEXT = """(SELECT min(name) FROM (
  SELECT min(queue) AS name FROM litequeue_job WHERE state = 'ready' AND parked = 0 {behind}
  UNION ALL SELECT min(queue) FROM litequeue_job WHERE state = 'ready' AND parked = 1 {behind}
  UNION ALL SELECT min(queue) FROM litequeue_job WHERE state = 'scheduled' {behind}
  UNION ALL SELECT min(queue) FROM litequeue_job WHERE state = 'blocked' {behind}
  UNION ALL SELECT min(queue) FROM litequeue_job WHERE finished_at IS NOT NULL {behind}))"""
QUEUES = f"""
WITH RECURSIVE met (name) AS (
  SELECT {_NEXT.format(behind="")}
  UNION
  SELECT {_NEXT.format(behind="AND queue > met.name")} FROM met WHERE met.name IS NOT NULL)
SELECT name FROM met WHERE name IS NOT NULL
"""
RUNNING_QUEUES = "SELECT DISTINCT queue FROM litequeue_job WHERE state = 'running' AND worker > 0"
OLDEST_READY = """
SELECT min(run_at) FROM (
  SELECT min(run_at) AS run_at FROM litequeue_job WHERE state = 'ready' AND parked = 0 AND queue = :queue
  UNION ALL SELECT min(run_at) FROM litequeue_job WHERE state = 'ready' AND parked = 1 AND queue = :queue)
"""
PAUSED = "SELECT name, paused_at FROM litequeue_queue WHERE paused_at IS NOT NULL ORDER BY name"
AHEAD = """
SELECT count(*) FROM (
  SELECT 1 FROM litequeue_job
  WHERE state = 'ready' AND parked = 0 AND queue = :queue AND priority > :priority
  UNION ALL
  SELECT 1 FROM litequeue_job
  WHERE state = 'ready' AND parked = 0 AND queue = :queue AND priority = :priority
    AND (run_at, id) < (:run_at, :id)
  LIMIT 10001)
"""
WORKERS = """
SELECT id, name, pid, queues, threads, started_at, seen_at, boot, lease_until, lock_inode, stopping,
       (SELECT count(*) FROM litequeue_job WHERE state = 'running' AND worker = litequeue_worker.id)
FROM litequeue_worker ORDER BY id
"""
CANCELLING = "SELECT id, attempt FROM litequeue_job WHERE state = 'running' AND worker = ? AND cancelling = 1"
MOST = 2**63 - 1
LAST_NAME = "\U0010ffff" * 50


class Reports:
    """Questions to the file; none of them changes it, and none keeps a cursor open."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def job(self, id: int) -> Snapshot:
        """One job as it is now. Raises `JobNotFound`."""
        return self._one(id, lambda c: [snapshot_of(row) for row in c.execute(ONE, (id,)).fetchall()])

    def jobs(self, chosen: Filter, limit: int = 100, after: int | None = None) -> list[Snapshot]:
        """The jobs that match, newest first, at most `limit`; `after` is the last id of the page before."""
        high = MOST if after is None else after

        def operation(connection: Connection) -> list[Snapshot]:
            return [snapshot_of(row) for row in _matches(connection, NEWEST_FIRST, chosen, 0, high, limit)]

        return self.database.read(operation)

    def states(self, ids: Iterable[int]) -> dict[int, State]:
        """The states of these jobs; those that are gone are not among them."""
        return self._states(STATES, ids)

    def stages(self, ids: Iterable[int]) -> dict[int, State]:
        """Likewise, but `running` from the first start to the end: between the attempts, too."""
        return self._states(STAGES, ids)

    def _states(self, statement: str, ids: Iterable[int]) -> dict[int, State]:
        wanted = json.dumps(list(ids))
        found = self.database.read(lambda c: c.execute(statement, (wanted,)).fetchall())
        return {id: rows.state(state) for id, state in found}

    def count(self, chosen: Filter) -> int:
        """How many jobs match."""
        return int(self.database.read(lambda c: _matches(c, COUNT, chosen, 0, MOST, MOST)[0][0]))

    def payload(self, id: int) -> tuple[str | bytes, str]:
        """The encoded arguments of a job, and the name of their codec. Raises `JobNotFound`."""
        body, codec = self._row_of(id, PAYLOAD)
        return body, codec  # type: ignore[return-value]

    def payload_head(self, id: int, length: int) -> tuple[str | bytes, str]:
        """The beginning of `payload`, for lists: a payload may be large, and a page has many."""
        values = {"id": id, "length": length}
        body, codec = self._one(id, lambda c: c.execute(PAYLOAD_HEAD, values).fetchall())
        return body, codec

    def result(self, id: int) -> StoredResult:
        """The encoded result of a job. Raises `JobNotFound`."""
        body, codec = self._row_of(id, RESULT)
        return StoredResult(body, codec)  # type: ignore[arg-type]

    def failures(self, id: int) -> list[FailedAttempt]:
        """The attempts of a job that failed, oldest first."""

        def operation(connection: Connection) -> list[FailedAttempt]:
            found = connection.execute(FAILURES, (id,)).fetchall()
            return [rows.record(FailedAttempt, row, "litequeue_failure") for row in found]

        return self.database.read(operation)

    def parents(self, id: int) -> list[int]:
        """The ids of the jobs that this one waits or waited for."""
        return self.database.read(lambda c: flow.parents(c, id))

    def children(self, id: int) -> list[int]:
        """The ids of the jobs that wait or waited for this one."""
        return self.database.read(lambda c: flow.children(c, id))

    def queue_rule(self, queue: str) -> Rule:
        """What a queue as a whole allows."""
        row = self.database.read(lambda c: c.execute(limits.QUEUE_RULE, (queue,)).fetchone())
        return Rule() if row is None else rows.record(Rule, row, "litequeue_queue")

    def room(self, key: str, now: int) -> limits.Room:
        """What the limit of this key has room for now."""
        return self.database.read(lambda c: limits.room(c, key, now))

    def room_in_queue(self, queue: str, now: int) -> limits.Room:
        """What a queue as a whole has room for now."""
        rule = self.queue_rule(queue)
        return self.database.read(lambda c: limits.room_in_queue(c, queue, rule, now))

    def log(self, id: int, last: int = ALL_LINES) -> list[LogLine]:
        """The last so many lines that the job's attempts logged, oldest first."""

        def operation(connection: Connection) -> list[LogLine]:
            found = connection.execute(LOG, (id, last)).fetchall()
            return [rows.record(LogLine, row, "litequeue_log") for row in reversed(found)]

        return self.database.read(operation)

    def counts(self, queue: str) -> dict[State, int]:
        """How many jobs of the queue are in each state."""

        def operation(connection: Connection) -> dict[State, int]:
            with snapshot(connection):
                return counts_of(connection, queue)

        return self.database.read(operation)

    def waiting(self, queue: str, bound: int) -> int:
        """How many jobs of the queue wait; of each kind no more than `bound` are counted."""
        return self._counted(limits.WAITING, queue, bound)

    def unfinished(self, queue: str, bound: int) -> int:
        """How many jobs of the queue wait or run; of each kind no more than `bound` are counted."""
        return self._counted(limits.UNFINISHED, queue, bound)

    def _counted(self, statement: str, queue: str, bound: int) -> int:
        values = {"queue": queue, "bound": bound}
        return int(self.database.read(lambda c: c.execute(statement, values).fetchone()[0]))

    def oldest_ready(self, queue: str) -> int | None:
        """Since when the ready job that has been due longest is due."""
        return self.database.read(lambda c: oldest_of(c, queue))

    def queues(self) -> list[str]:
        """The names of all queues that have a job, or are paused."""
        return self.database.read(queue_names)

    def paused(self) -> list[str]:
        """The names of the paused queues."""
        return [name for name, _ in self.database.read(lambda c: c.execute(PAUSED).fetchall())]

    def ahead(self, job: Snapshot) -> int:
        """How many ready jobs of its queue come before this one; counts to 10,001."""
        values = {"queue": job.queue, "priority": job.priority, "run_at": job.run_at, "id": job.id}
        return int(self.database.read(lambda c: c.execute(AHEAD, values).fetchone()[0]))

    def workers(self) -> list[WorkerInfo]:
        """All workers that signed on and did not sign off, the dead among them."""

        def operation(connection: Connection) -> list[WorkerInfo]:
            found = connection.execute(WORKERS).fetchall()
            return [rows.record(WorkerInfo, row, "litequeue_worker") for row in found]

        return self.database.read(operation)

    def cancelling(self, worker: int) -> list[tuple[int, int]]:
        """The leases of a worker's jobs that were asked to stop."""
        return self.database.read(lambda c: c.execute(CANCELLING, (worker,)).fetchall())

    def _row_of(self, id: int, query: str) -> Sequence[object]:
        return self._one(id, lambda c: c.execute(query, {"id": id}).fetchall())

    def _one(self, id: int, operation: Callable[[Connection], Sequence[T]]) -> T:
        found = self.database.read(operation)
        if not found:
            raise JobNotFound(f"{self.database.path}: there is no job {id}; was it deleted, or pruned?")
        return found[0]


def snapshots(connection: Connection, ids: Iterable[int]) -> tuple[Snapshot, ...]:
    """These jobs as they are now."""
    wanted = list(ids)
    if not wanted:
        return ()
    rows = connection.execute(THESE, (json.dumps(wanted),)).fetchall()
    return tuple(map(snapshot_of, rows))


def ended(connection: Connection, settlements: Iterable[Settlement], now: int) -> tuple[Ended, ...]:
    """In what states these settlements left their jobs."""
    given = list(settlements)
    found = {job.id: job for job in snapshots(connection, (each.lease.job for each in given))}
    kept = (each for each in given if each.lease.job in found)
    return tuple(Ended(each, found[each.lease.job], now) for each in kept)


def matching(connection: Connection, chosen: Filter, after: int, limit: int = FEW) -> list[int]:
    """The ids of jobs that match, the lowest after `after`."""
    return [row[0] for row in _matches(connection, MATCHING, chosen, after, MOST, limit)]


def _matches(
    connection: Connection, statements: Mapping[str, str], chosen: Filter, low: int, high: int, limit: int
) -> list[tuple[Any, ...]]:
    ids = chosen.ids
    way = ENDED if chosen.state in (State.FAILED, State.CANCELLED) else WALK
    if ids is None and chosen.state in HANDFUL:
        ids = _handful(connection, chosen.state, chosen.queue)
    values = {
        "state": chosen.state,
        "task": chosen.task,
        "queue": chosen.queue,
        "tag": chosen.tag,
        "before": chosen.created_before,
        "ended_before": chosen.ended_before,
        "error": chosen.error,
        "ids": None if ids is None else json.dumps(ids),
        "low": low,
        "high": high,
        "limit": limit,
    }
    return connection.execute(statements[way if ids is None else AMONG], values).fetchall()


def _handful(connection: Connection, state: State, queue: str | None) -> tuple[int, ...] | None:
    names = {"first": queue or "", "last": LAST_NAME if queue is None else queue, "few": FEW + 1}
    ids = tuple(row[0] for row in connection.execute(HANDFUL[state], names).fetchall())
    return ids if len(ids) <= FEW else None


def snapshot_of(row: rows.Row) -> Snapshot:
    """The job of a row with `COLUMNS`."""
    return rows.record(Snapshot, row, "litequeue_job")


def queue_names(connection: Connection) -> list[str]:
    """The names of all queues that have a job, or are paused."""
    found = [
        row[:1] for query in (QUEUES, RUNNING_QUEUES, PAUSED) for row in connection.execute(query).fetchall()
    ]
    return sorted({rows.sound(row, (str,), "litequeue_job")[0] for row in found})


def counts_of(connection: Connection, queue: str) -> dict[State, int]:
    """How many jobs of the queue are in each state."""
    values = {"queue": queue}
    return {state: connection.execute(text, values).fetchone()[0] for state, text in COUNTS.items()}


def oldest_of(connection: Connection, queue: str) -> int | None:
    """Since when the ready job that has been due longest is due."""
    row = connection.execute(OLDEST_READY, {"queue": queue}).fetchone()
    return None if row[0] is None else int(row[0])
