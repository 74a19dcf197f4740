"""The mark of a backup. It lies in the file itself, so that it goes along wherever that is moved."""

from __future__ import annotations

import json
from sqlite3 import Connection
from typing import NamedTuple

from .. import errors
from ..clock import to_datetime

MARKED = "SELECT value FROM litequeue_meta WHERE key = 'backup'"
MARK = "INSERT OR REPLACE INTO litequeue_meta (key, value) VALUES ('backup', ?)"
UNMARK = "DELETE FROM litequeue_meta WHERE key = 'backup'"


class Mark(NamedTuple):
    """Of which file this is a backup, and when it was made."""

    of: str
    at: int

    def __str__(self) -> str:
        return f"a backup of {self.of}, made at {to_datetime(self.at):%Y-%m-%d %H:%M:%S} UTC"


def mark_of(connection: Connection) -> Mark | None:
    """The mark of this file, if it has one."""
    row = connection.execute(MARKED).fetchone()
    if row is None:
        return None
    try:
        mark = json.loads(row[0])
        return Mark(str(mark["of"]), int(mark["at"]))
    except (ValueError, LookupError, TypeError, RecursionError):
        return Mark("an unknown file", 0)  # written by hand; it is meant all the same


def refuse_backup(connection: Connection, path: str) -> None:
    """Raise `BackupFile` for one: whoever may run its jobs asks first."""
    mark = mark_of(connection)
    if mark is not None:
        raise errors.BackupFile(
            f"{path}: this is {mark}; its jobs are not run, for the original may run them as well. "
            f"`litequeue restore {path}` makes it a queue of its own"
        )
