"""The room that deleted jobs leave in the file, and how it goes back to the system."""

from __future__ import annotations

import os
from sqlite3 import Connection
from typing import NamedTuple

from .. import errors
from ..clock import SECOND, Clock
from .database import Database

SPACE = """
SELECT page_size, page_count, freelist_count, auto_vacuum
FROM pragma_page_size, pragma_page_count, pragma_freelist_count, pragma_auto_vacuum
"""
# One page each time that it is stepped, and the driver steps it once, whatever number it is given.
GIVE_BACK = "PRAGMA incremental_vacuum(1)"
COPY_LOG = "PRAGMA wal_checkpoint(RESTART)"
REBUILD = "VACUUM"
_INCREMENTAL = 2
_STEP = SECOND // 200  # of the write lock; a page takes 6 to 70 us, the more the more of them are free
_PAGES_BETWEEN_LOOKS = 10
_FRAME_HEADER = 24
_PATIENCE = "PRAGMA busy_timeout = 10000"


class Space(NamedTuple):
    """How large the file is and how much of it is free, in pages of so many bytes.

    `gives_back`: it was made so that free pages can go one by one. An application's own file may not be.
    """

    page_size: int
    pages: int
    free: int
    gives_back: bool

    @property
    def used(self) -> int:
        """The pages that hold something."""
        return self.pages - self.free


class Care:
    """The verbs about the file as a whole."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def space(self) -> Space:
        """How much of the file is in use."""
        return self.database.read(space_of)

    def give_back(self, keep: int = 0) -> int:
        """Give back free pages, but for `keep`, for a few milliseconds; how many.

        Zero where none are left, and where the file was not made to give them back. It gets shorter with
        `cut`.
        """
        space = self.space()
        most = space.free - keep
        return self.database.write(lambda c: self._free(c, most)) if space.gives_back and most > 0 else 0

    def _free(self, connection: Connection, most: int) -> int:
        end = self.clock.monotonic() + _STEP
        for done in range(1, most + 1):
            connection.execute(GIVE_BACK)
            if done % _PAGES_BETWEEN_LOOKS == 0 and self.clock.monotonic() >= end:
                return done
        return most

    def cut(self) -> None:
        """Copy the log into the file, which cuts that to its new length if no reader needs the old one."""
        if not self.database.in_memory:
            # With the lock held, as it must be: see `checkpoint`.
            self.database.write(lambda _: self.database.apart(lambda c: c.execute(COPY_LOG).fetchall()))

    def rebuild(self) -> None:
        """Write the whole file anew without a free page. Raises `DiskFull` beforehand if it would not fit."""
        self._require_room(self.space())

        def operation(connection: Connection) -> None:
            connection.execute(_PATIENCE)
            connection.execute(REBUILD)

        self.database.apart(operation)
        self.cut()

    def _require_room(self, space: Space) -> None:
        """SQLite writes a draft among the temporary files, and then all of it into the log."""
        draft = space.used * space.page_size
        needs = {temporary_folder(): draft}
        folder = os.path.dirname(self.database.path)
        needs[folder] = needs.get(folder, 0) + space.used * (space.page_size + _FRAME_HEADER)
        if len({os.stat(place).st_dev for place in needs}) == 1:
            needs = {folder: sum(needs.values())}
        for place, size in needs.items():
            require_room(place, size)


def space_of(connection: Connection) -> Space:
    """How much of the file of this connection is in use."""
    size, pages, free, kind = connection.execute(SPACE).fetchone()
    return Space(size, pages, free, kind == _INCREMENTAL)


def require_room(folder: str, size: int) -> None:
    """Raise `DiskFull` when there are not so many bytes free in the folder."""
    free = free_disk(folder)
    if free is not None and free < size:
        raise errors.DiskFull(
            f"{folder}: this takes {size / 1e6:,.0f} MB there, and {free / 1e6:,.0f} MB are free; make room"
        )


def free_disk(folder: str) -> int | None:
    """The bytes that are free where this folder lies; None where the system does not tell."""
    if not hasattr(os, "statvfs"):
        return None
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def temporary_folder() -> str:
    """Where SQLite puts its temporary files."""
    places = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp")
    fit = (place for place in places if place and os.access(place, os.W_OK | os.X_OK))
    return next(fit, ".")
