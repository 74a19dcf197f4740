"""A copy of the file while others work in it: made apart, checked, and only then given its name.

A copy is marked, and no worker runs its jobs before the mark is lifted: the original may run them as well.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from sqlite3 import Connection
from typing import NamedTuple

from .. import errors
from ..clock import Clock
from ..job import State
from ..options import path_text
from .care import require_room, space_of
from .checks import broken
from .connecting import connect, connect_to_draft
from .database import MEMORY, Database
from .gate import Durability
from .marks import MARK, UNMARK, Mark, mark_of
from .opening import FROZEN
from .reports import Reports
from .rows import readable
from .transactions import snapshot
from .translate import DRIVER_ERRORS, translate
from .workers import Workers

PIN = "SELECT count(*) FROM litequeue_meta"
DISOWN = "UPDATE litequeue_worker SET lease_until = 0"  # they live, but none of them here
TO_ONE_FILE = "PRAGMA journal_mode = DELETE"
_PAGES_AT_ONCE = 256
_OF_WRITING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}

Told = Callable[[int, int], None]


def nobody(done: int, total: int) -> None:
    """Who is told how many pages of how many are copied, when nobody wants to know."""


class Copied(NamedTuple):
    """The copy that was made: its size in bytes."""

    size: int


class Backup:
    """The verbs about copies of the file."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def mark(self) -> Mark | None:
        """Of what this file is a backup, if it is one."""
        return self.database.read(mark_of)

    def copy(self, path: str, told: Told = nobody, *, overwrite: bool = False) -> Copied:
        """Write all that is committed now to a new file, whatever others write meanwhile.

        Raises `NotAllowed` when there is such a file and `overwrite` is not given, `DatabaseDamaged` when the
        copy does not stand the checks.
        """
        if self.database.in_memory or path == MEMORY:
            raise errors.InvalidOption(f"{MEMORY} is no file; there is nothing to copy from it, nor to it")
        real = os.path.realpath(path_text(path))
        self._refuse(path, real, overwrite=overwrite)
        with self._blamed(path), _draft(real) as draft:
            self._fill(draft, path, told)
            _check(draft, path)
            self._refuse(path, real, overwrite=overwrite)
            _name(draft, real)
            return Copied(os.stat(real).st_size)

    def restore(self) -> Mapping[State, int]:
        """Make this copy a queue of its own; how many jobs that were running in it are in which state now.

        Raises `NotAllowed` when it is none.
        """
        if self.mark() is None:
            raise errors.NotAllowed(f"{self.database.path}: this is no backup; workers run its jobs already")
        workers = Workers(self.database, self.clock)
        # Their rows came with the copy, and none of them knows of it.
        left = [ended for worker in Reports(self.database).workers() for ended in workers.dismiss(worker.id)]
        self.database.write(lambda c: c.execute(UNMARK).rowcount, Durability.FULL)
        return Counter(ended.job.state for ended in left)

    def _refuse(self, path: str, real: str, *, overwrite: bool) -> None:
        folder = os.path.dirname(real)
        if not os.path.isdir(folder):
            raise errors.MissingFile(f"{path}: the folder {folder} does not exist; make it first")
        if os.path.isdir(real):
            raise errors.NotAllowed(f"{path}: this is a folder; give the path of a file")
        if os.path.exists(real) and os.path.samefile(real, self.database.path):
            raise errors.NotAllowed(f"{path}: this is the file itself; give the copy another path")
        if os.path.exists(real) and not overwrite:
            raise errors.NotAllowed(f"{path}: there is such a file already; give another path, or --force")
        for left in (f"{real}-wal", f"{real}-journal"):
            if os.path.exists(left):  # SQLite would play it back into the new file
                raise errors.NotAllowed(
                    f"{path}: somebody uses this file, or has left {left}, which belongs to it; "
                    "give the copy another path"
                )

    @contextmanager
    def _blamed(self, path: str) -> Iterator[None]:
        """Raise our errors for those of the copy; but what is damaged there came from here."""
        try:
            yield
        except DRIVER_ERRORS as error:
            of_copy = translate(error, path)
            if isinstance(of_copy, errors.DatabaseDamaged):
                raise translate(error, self.database.path) from error
            raise of_copy from error

    def _fill(self, draft: str, path: str, told: Told) -> None:
        mark = json.dumps({"of": self.database.path, "at": self.clock.now()})
        with closing(connect_to_draft(draft)) as target:
            self.database.apart(lambda source: _copy(source, target, draft, path, told))
            # One file without a log, which may lie on a disk that is only read.
            target.execute(TO_ONE_FILE).fetchall()
            target.execute(MARK, (mark,))
            target.execute(DISOWN)


def _copy(source: Connection, target: Connection, draft: str, path: str, told: Told) -> None:
    """Copy what the file holds at this moment; that stays as it is for us, however long it takes."""
    with snapshot(source), _writing(path):
        source.execute(PIN).fetchall()
        space = space_of(source)
        require_room(os.path.dirname(draft), space.pages * space.page_size)
        source.backup(target, pages=_PAGES_AT_ONCE, progress=lambda _, left, total: told(total - left, total))


@contextmanager
def _writing(path: str) -> Iterator[None]:
    """Raise our errors for what only writing can meet; all else is of the file that is read."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in _OF_WRITING:
            raise translate(error, path) from error
        raise


def _check(draft: str, path: str) -> None:
    with closing(connect(draft, FROZEN)) as connection:
        connection.text_factory = readable
        found = broken(connection)
    if found:
        raise errors.DatabaseDamaged(
            f"{path}: the copy is not made, for it would not be sound: {found[0].says}, but for "
            f"{', '.join(found[0].rows)}; look at the original with `litequeue doctor`"
        )


@contextmanager
def _draft(path: str) -> Iterator[str]:
    """A new file beside the one that it shall become; gone if it has not become that."""
    descriptor, draft = tempfile.mkstemp(
        prefix=f"{os.path.basename(path)}.", suffix=".part", dir=os.path.dirname(path)
    )
    os.close(descriptor)
    try:
        yield draft
    finally:
        for left in (draft, f"{draft}-wal", f"{draft}-journal"):
            with suppress(FileNotFoundError):
                os.unlink(left)


def _name(draft: str, path: str) -> None:
    """Give the copy its name, once all of it is on the disk."""
    _sync(draft, os.O_RDWR)
    os.replace(draft, path)
    if os.name == "posix":
        _sync(os.path.dirname(path), os.O_RDONLY)


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
