"""What is true of every sound file: each invariant is one query that finds the rows that break it.

They read whole tables, so they are for tests and for whoever doubts a file, never for a worker's path.
"""

from __future__ import annotations

from sqlite3 import Connection
from typing import NamedTuple

from .opening import SCHEMA_VERSION

SHOWN = 10
BLOCKED_BY_NOTHING = """
  (state = 'blocked' AND pending = 0 AND limit_key IS NULL)
  OR (state IN ('scheduled', 'ready', 'running') AND pending <> 0)
"""


class Invariant(NamedTuple):
    """A sentence about every sound file, and the query that returns what breaks it."""

    name: str
    says: str
    query: str


class Broken(NamedTuple):
    """An invariant that does not hold, and the first of the rows that break it."""

    name: str
    says: str
    rows: tuple[str, ...]


INVARIANTS = (
    Invariant(
        "sound",
        "SQLite finds no damage in the file",
        "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    ),
    Invariant(
        "version",
        "the schema has the version that the file says",
        f"""SELECT coalesce((SELECT value FROM litequeue_meta WHERE key = 'version'), 'none') AS version
           WHERE version <> '{SCHEMA_VERSION}'""",
    ),
    Invariant(
        "state",
        "a job is in one of the seven states",
        """SELECT id FROM litequeue_job WHERE state NOT IN
             ('scheduled', 'blocked', 'ready', 'running', 'completed', 'failed', 'cancelled')""",
    ),
    Invariant(
        "owner",
        "a job has a worker while it runs, and at no other time",
        "SELECT id FROM litequeue_job WHERE (state = 'running') <> (worker IS NOT NULL)",
    ),
    Invariant(
        "owner exists",
        "the worker of a running job is signed on",
        """SELECT id FROM litequeue_job WHERE state = 'running'
             AND NOT EXISTS (SELECT 1 FROM litequeue_worker WHERE litequeue_worker.id = worker)""",
    ),
    Invariant(
        "end",
        "a job has an end when its state is final, and at no other time",
        """SELECT id FROM litequeue_job
           WHERE (state IN ('completed', 'failed', 'cancelled')) <> (finished_at IS NOT NULL)""",
    ),
    Invariant(
        "reason",
        "failed and cancelled jobs have a reason, and no others",
        "SELECT id FROM litequeue_job WHERE (state IN ('failed', 'cancelled')) <> (reason IS NOT NULL)",
    ),
    Invariant(
        "claimed",
        "what runs or is completed was claimed at least once",
        "SELECT id FROM litequeue_job WHERE state IN ('running', 'completed') AND attempt < 1",
    ),
    Invariant(
        "started",
        "what is completed was started",
        "SELECT id FROM litequeue_job WHERE state = 'completed' AND started_at IS NULL",
    ),
    Invariant(
        "counted",
        "no job failed or crashed more often than it was claimed",
        "SELECT id FROM litequeue_job WHERE failures + crashes > attempt",
    ),
    Invariant(
        "poison",
        "a job at its crash limit does not wait for another worker to take down",
        """SELECT id FROM litequeue_job
           WHERE state IN ('ready', 'running') AND crashes > 0 AND crashes >= coalesce(max_crashes, 3)""",
    ),
    Invariant(
        "stopping",
        "only a running job is asked to stop, and only a ready one is parked",
        """SELECT id FROM litequeue_job
           WHERE (cancelling <> 0 AND state <> 'running') OR (parked <> 0 AND state <> 'ready')""",
    ),
    Invariant(
        "payload",
        "a job has its payload in its row or beside it, not both",
        """SELECT id FROM litequeue_job WHERE (payload IS NULL) <>
             EXISTS (SELECT 1 FROM litequeue_blob WHERE job = id AND kind = 'payload')""",
    ),
    Invariant(
        "result",
        "only a job that ended has a result, and in one place",
        """SELECT id FROM litequeue_job
           WHERE (result_codec IS NOT NULL AND finished_at IS NULL)
              OR (result_codec IS NULL AND result IS NOT NULL)
              OR (result_codec IS NOT NULL AND result IS NULL) <>
                 EXISTS (SELECT 1 FROM litequeue_blob WHERE job = id AND kind = 'result')""",
    ),
    Invariant(
        "text",
        "tags, meta and options are JSON",
        """SELECT id FROM litequeue_job
           WHERE NOT (json_valid(coalesce(tags, '[]')) AND json_valid(coalesce(meta, '{}'))
                      AND json_valid(coalesce(options, '{}')))""",
    ),
    Invariant(
        "failures",
        "a failure belongs to an attempt that was made",
        """SELECT job || ' attempt ' || attempt FROM litequeue_failure AS failure WHERE NOT EXISTS
             (SELECT 1 FROM litequeue_job WHERE id = failure.job AND attempt >= failure.attempt)""",
    ),
    Invariant(
        "log",
        "a log line belongs to an attempt that was made",
        """SELECT job || ' line ' || number FROM litequeue_log AS line WHERE NOT EXISTS
             (SELECT 1 FROM litequeue_job WHERE id = line.job AND attempt >= line.attempt)""",
    ),
    Invariant(
        "steps",
        "a step belongs to an attempt that was made, and has a result only with its codec",
        """SELECT job || ' step ' || name FROM litequeue_step AS step
           WHERE (codec IS NULL) <> (result IS NULL) OR NOT EXISTS
             (SELECT 1 FROM litequeue_job WHERE id = step.job AND attempt >= step.attempt)""",
    ),
    Invariant(
        "blobs",
        "a large body belongs to a job",
        """SELECT job || ' ' || kind FROM litequeue_blob AS body
           WHERE NOT EXISTS (SELECT 1 FROM litequeue_job WHERE id = body.job)""",
    ),
    Invariant(
        "edges",
        "who waits for another is there",
        """SELECT child || ' after ' || parent FROM litequeue_edge
           WHERE NOT EXISTS (SELECT 1 FROM litequeue_job WHERE id = child)""",
    ),
    Invariant(
        "linked",
        "a job that others wait for knows it, or nobody would tell them of its end",
        """SELECT id FROM litequeue_job
           WHERE linked = 0 AND EXISTS (SELECT 1 FROM litequeue_edge WHERE parent = id)""",
    ),
    Invariant(
        "pending",
        "who waits for parents counts those that have not ended, each once",
        """SELECT id FROM litequeue_job AS job WHERE state = 'blocked' AND pending <> 0 AND pending <>
             (SELECT count(DISTINCT parent) FROM litequeue_edge
                JOIN litequeue_job AS other ON other.id = parent
              WHERE child = job.id AND other.finished_at IS NULL)""",
    ),
    Invariant(
        "blocked",
        "what is blocked waits for parents or for its limit, and nothing else waits for parents",
        f"SELECT id FROM litequeue_job WHERE {BLOCKED_BY_NOTHING}",
    ),
    Invariant(
        "passed",
        "nobody waits or runs without the result of a parent that is gone, unless it is doomed",
        """SELECT id FROM litequeue_job AS job JOIN litequeue_edge ON child = id
           WHERE finished_at IS NULL AND expires_at IS NOT 0 AND passes = 1 AND runs_on = 'success'
             AND NOT EXISTS (SELECT 1 FROM litequeue_job AS other WHERE other.id = parent)""",
    ),
    Invariant(
        "held",
        "a job that its limit blocks will be looked at again",
        """SELECT id FROM litequeue_job AS job
           WHERE state = 'blocked' AND pending = 0 AND limit_key IS NOT NULL AND NOT EXISTS
             (SELECT 1 FROM litequeue_hold AS hold
              WHERE hold.limit_key = job.limit_key AND hold.queue = job.queue)""",
    ),
    Invariant(
        "starts",
        "starts are counted for limits with a rate",
        """SELECT limit_key FROM litequeue_start
           WHERE NOT EXISTS (SELECT 1 FROM litequeue_limit
                             WHERE name = limit_key AND rate_count IS NOT NULL)
             AND NOT EXISTS (SELECT 1 FROM litequeue_queue
                             WHERE 'queue' || char(9) || name = limit_key AND rate_count IS NOT NULL)""",
    ),
    Invariant(
        "unique",
        "no two jobs that wait, or run and are not replaceable, have the same unique key",
        """SELECT unique_key FROM litequeue_job
           WHERE unique_key IS NOT NULL AND finished_at IS NULL AND NOT (state = 'running' AND replaceable)
           GROUP BY unique_key HAVING count(*) > 1""",
    ),
    Invariant(
        "ids",
        "a worker's number is never given again",
        """SELECT id FROM litequeue_worker
           WHERE id > (SELECT seq FROM sqlite_sequence WHERE name = 'litequeue_worker')""",
    ),
)


def broken(connection: Connection) -> list[Broken]:
    """The invariants that do not hold in this file, with the first rows that break each."""
    found = []
    for invariant in INVARIANTS:
        rows = connection.execute(f"{invariant.query} LIMIT {SHOWN}").fetchall()
        if rows:
            found.append(Broken(invariant.name, invariant.says, tuple(str(row[0]) for row in rows)))
    return found
