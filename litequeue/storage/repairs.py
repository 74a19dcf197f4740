"""What can be set right in a file without losing anything that was true of it: one statement a fault.

They read whole tables, as the checks do whose names they bear.
"""

from __future__ import annotations

from sqlite3 import Connection
from typing import NamedTuple

from .checks import BLOCKED_BY_NOTHING
from .mending import mend

_OPEN_PARENTS = """
(SELECT count(DISTINCT parent) FROM litequeue_edge JOIN litequeue_job AS other ON other.id = parent
 WHERE child = litequeue_job.id AND other.finished_at IS NULL)
"""


class Repair(NamedTuple):
    """The check that it satisfies again, what it does, and the statement."""

    name: str
    says: str
    statement: str


REPAIRS = (
    Repair(
        "linked",
        "jobs that others wait for know it again",
        "UPDATE litequeue_job SET linked = 1 WHERE linked = 0 AND id IN (SELECT parent FROM litequeue_edge)",
    ),
    Repair(
        "pending",
        "jobs that wait for others count those that have not ended",
        f"""UPDATE litequeue_job SET pending = {_OPEN_PARENTS},
              state = iif({_OPEN_PARENTS} = 0, 'scheduled', state)
            WHERE state = 'blocked' AND pending <> 0 AND pending <> {_OPEN_PARENTS}""",
    ),
    Repair(
        "blocked",
        "jobs that nothing keeps blocked may run",
        f"""UPDATE litequeue_job SET pending = 0, state = iif(state = 'blocked', 'scheduled', state)
            WHERE {BLOCKED_BY_NOTHING}""",
    ),
    Repair(
        "held",
        "jobs that a limit blocks are looked at again",
        """INSERT INTO litequeue_hold (limit_key, queue, open_at)
           SELECT DISTINCT limit_key, queue, 0 FROM litequeue_job AS job
           WHERE state = 'blocked' AND pending = 0 AND limit_key IS NOT NULL AND NOT EXISTS
             (SELECT 1 FROM litequeue_hold AS hold
              WHERE hold.limit_key = job.limit_key AND hold.queue = job.queue)""",
    ),
    Repair(
        "failures",
        "attempts of jobs that are gone are deleted",
        "DELETE FROM litequeue_failure WHERE job NOT IN (SELECT id FROM litequeue_job)",
    ),
    Repair(
        "log",
        "log lines of jobs that are gone are deleted",
        "DELETE FROM litequeue_log WHERE job NOT IN (SELECT id FROM litequeue_job)",
    ),
    Repair(
        "steps",
        "steps of jobs that are gone are deleted",
        "DELETE FROM litequeue_step WHERE job NOT IN (SELECT id FROM litequeue_job)",
    ),
    Repair(
        "blobs",
        "large bodies of jobs that are gone are deleted",
        "DELETE FROM litequeue_blob WHERE job NOT IN (SELECT id FROM litequeue_job)",
    ),
    Repair(
        "edges",
        "what jobs that are gone waited for is deleted",
        "DELETE FROM litequeue_edge WHERE child NOT IN (SELECT id FROM litequeue_job)",
    ),
)


class Repaired(NamedTuple):
    """What was set right, in so many rows."""

    name: str
    says: str
    rows: int


def repair(connection: Connection) -> list[Repaired]:
    """Set right what can be; what was."""
    done = [Repaired("rows", "rows that broke the schema's rules are set right", mend(connection))]
    done += [Repaired(one.name, one.says, connection.execute(one.statement).rowcount) for one in REPAIRS]
    return [one for one in done if one.rows > 0]
