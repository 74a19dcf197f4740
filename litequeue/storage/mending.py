"""Rows that break the schema's own rules are set right, or no statement could change them and their like.

Only a hand that switched SQLite's checks off leaves such rows, or damage. To look at a million jobs takes
0.9 s.
"""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection
from typing import Any

from ..clock import SystemClock
from ..log import log
from .gate import Ticket
from .translate import BrokenRow

# The state decides; what contradicts it goes. A worker that there is not is one that died: the job is reaped.
MEND = """
UPDATE litequeue_job AS job
SET worker = sane.worker, finished_at = sane.finished_at, reason = sane.reason, cancelling = sane.cancelling,
    parked = sane.parked, ack = sane.ack, attempt = sane.attempt, failures = sane.failures,
    crashes = sane.crashes
FROM (
  SELECT id,
    iif(state = 'running', coalesce(worker, -1), NULL) AS worker,
    iif(state IN ('completed', 'failed', 'cancelled'), coalesce(finished_at, ?), NULL) AS finished_at,
    CASE state
      WHEN 'failed' THEN iif(reason IN ('error', 'timeout', 'crashed', 'lost', 'rejected'), reason, 'error')
      WHEN 'cancelled' THEN iif(reason IN ('cancelled', 'expired', 'parent', 'replaced'), reason, 'cancelled')
    END AS reason,
    iif(state = 'running', cancelling, 0) AS cancelling, iif(state = 'ready', parked, 0) AS parked,
    iif(ack IN ('late', 'early'), ack, NULL) AS ack, max(attempt, 0) AS attempt, max(failures, 0) AS failures,
    max(crashes, 0) AS crashes
  FROM litequeue_job
  WHERE state IN ('scheduled', 'blocked', 'ready', 'running', 'completed', 'failed', 'cancelled')) AS sane
WHERE job.id = sane.id AND
  (job.worker, job.finished_at, job.reason, job.cancelling, job.parked, job.ack, job.attempt, job.failures,
   job.crashes) IS NOT
  (sane.worker, sane.finished_at, sane.reason, sane.cancelling, sane.parked, sane.ack, sane.attempt,
   sane.failures, sane.crashes)
"""
# Of those that wait or run with one unique key, the first keeps it.
_HAS_KEY = """{0}.unique_key IS NOT NULL AND ({0}.state IN ('scheduled', 'blocked', 'ready')
  OR ({0}.state = 'running' AND {0}.replaceable = 0))"""
MEND_KEYS = f"""
UPDATE litequeue_job SET unique_key = NULL WHERE {_HAS_KEY.format("litequeue_job")} AND id > (
  SELECT min(id) FROM litequeue_job AS first
  WHERE first.unique_key = litequeue_job.unique_key AND {_HAS_KEY.format("first")})
"""
MEND_SCHEDULES = """
UPDATE litequeue_schedule SET catch_up = 'last' WHERE catch_up NOT IN ('last', 'all', 'none')
"""


def at_need(write: Callable[[Ticket], Any], ticket: Ticket) -> Any:
    """Run a ticket's operation; if a row is against the rules, once more after all rows were set right."""
    try:
        return write(ticket)
    except BrokenRow as error:
        mended = write(Ticket(mend))
        if not mended:
            raise  # it is the operation that would break them
        log.warning("mend rows=%d: %s", mended, error)
        return write(Ticket(ticket.operation, ticket.durability, ticket.is_single))


def mend(connection: Connection) -> int:
    """Set right the rows that break the schema's rules; how many."""
    jobs = connection.execute(MEND, (SystemClock().now(),)).rowcount
    return jobs + sum(connection.execute(each).rowcount for each in (MEND_KEYS, MEND_SCHEDULES))
