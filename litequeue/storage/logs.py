"""What tasks logged, read again and again by somebody who follows."""

from __future__ import annotations

from dataclasses import dataclass
from sqlite3 import Connection

from .database import Database
from .rows import record

_COLUMNS = "litequeue_log.job, number, litequeue_log.attempt, at, text, task, queue"
OF_JOB = f"""
SELECT {_COLUMNS} FROM litequeue_log JOIN litequeue_job ON id = job
WHERE job = :job AND number > :after ORDER BY number
"""
SINCE = f"""
SELECT {_COLUMNS} FROM litequeue_log INDEXED BY litequeue_logged CROSS JOIN litequeue_job ON id = job
WHERE at >= :since AND (:queue IS NULL OR queue = :queue) ORDER BY at
"""
LAST = f"""
SELECT {_COLUMNS} FROM litequeue_log INDEXED BY litequeue_logged CROSS JOIN litequeue_job ON id = job
WHERE :queue IS NULL OR queue = :queue ORDER BY at DESC LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class LoggedLine:
    """One line, its number within its job, and whose it is."""

    job: int
    number: int
    attempt: int
    at: int
    text: str
    task: str
    queue: str


class Logs:
    """Reads lines; which of them are new is for the reader to know."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def of_job(self, job: int, after: int = 0) -> list[LoggedLine]:
        """The lines of a job behind the one of this number."""
        return self._lines(OF_JOB, job=job, after=after)

    def since(self, instant: int, queue: str | None = None) -> list[LoggedLine]:
        """The lines of all jobs, or of a queue's, from this instant on, oldest first.

        A line is stored up to half a second after it was logged, or later where the file was shut.
        """
        return self._lines(SINCE, since=instant, queue=queue)

    def last(self, limit: int, queue: str | None = None) -> list[LoggedLine]:
        """The last so many lines of all jobs, or of a queue's, oldest first."""
        return self._lines(LAST, limit=limit, queue=queue)[::-1]

    def _lines(self, statement: str, **values: object) -> list[LoggedLine]:
        def operation(connection: Connection) -> list[LoggedLine]:
            found = connection.execute(statement, values).fetchall()
            return [record(LoggedLine, row, "litequeue_log") for row in found]

        return self.database.read(operation)
