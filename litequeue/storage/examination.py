"""What a doctor asks the file, beside what is true of every sound one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from sqlite3 import Connection
from typing import NamedTuple

from . import opening
from .care import Space, free_disk, space_of
from .checkpoint import carries_reset_fault
from .checks import Broken, broken
from .database import Database
from .gate import Durability
from .onlookers import Onlooker, readers
from .repairs import Repaired, repair

MODE = "PRAGMA journal_mode"
NEWEST = "SELECT max(created_at) FROM litequeue_job WHERE id = (SELECT max(id) FROM litequeue_job)"
LONG_RUNNING = """
SELECT id FROM litequeue_job WHERE state = 'running' AND worker > 0 AND started_at < ? LIMIT 3
"""


class Facts(NamedTuple):
    """How the file is kept, and by what."""

    sqlite: str
    has_reset_fault: bool
    journal_mode: str
    space: Space
    newest: int | None
    file_system: str
    free_disk: int | None
    left: Sequence[str]


class Examination:
    """Questions about the file as SQLite and the system see it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def facts(self) -> Facts:
        """What is read at once, however large the file."""
        path = self.database.path

        def operation(connection: Connection) -> Facts:
            (mode,) = connection.execute(MODE).fetchone()
            (newest,) = connection.execute(NEWEST).fetchone()
            return Facts(
                sqlite3.sqlite_version,
                carries_reset_fault(),
                mode,
                space_of(connection),
                newest,
                opening.file_system(path),
                free_disk(os.path.dirname(path)),
                _left(path),
            )

        return self.database.read(operation)

    def broken(self) -> list[Broken]:
        """What is not true of it that should be; this reads all of it."""
        return self.database.read(broken)

    def running_since(self, instant: int) -> list[int]:
        """Some jobs whose attempt began before this instant and has not ended."""
        return [
            row[0] for row in self.database.read(lambda c: c.execute(LONG_RUNNING, (instant,)).fetchall())
        ]

    def readers(self) -> list[Onlooker]:
        """Who is in the middle of a read."""
        return readers(self.database.path)

    def repair(self) -> list[Repaired]:
        """Set right what can be without loss; what was."""
        return self.database.write(repair, Durability.FULL)


def _left(path: str) -> list[str]:
    """Files beside it that nobody will use any more."""
    folder, name = os.path.split(path)
    beside = sorted(os.listdir(folder))
    drafts = [each for each in beside if each.startswith(f"{name}.") and each.endswith(".part")]
    journal = (
        [f"{name}-journal"] if os.path.exists(f"{path}-journal") and os.path.exists(f"{path}-wal") else []
    )
    return [os.path.join(folder, each) for each in [*drafts, *journal]]
