"""What is not trusted any more once the disk has failed: the connections of a process, and the last syncs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from sqlite3 import Connection

from .sidefile import SideFile
from .translate import primary_code

_SHAKEN = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
_UNSYNCED = {sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC}
_PIECE = 1 << 20


class Distrust:
    """Heeds the errors of one process on one file, and sets right what they left before it writes again.

    `connect` gives a new connection, `let_go` closes those that are open.
    """

    def __init__(
        self, path: str | None, connect: Callable[[], Connection], let_go: Callable[[], None]
    ) -> None:
        self._path = path
        self._connect = connect
        self._let_go = let_go
        self._connections = False
        self._log = False
        self._side: SideFile | None = None

    @property
    def is_log_in_doubt(self) -> bool:
        """Whether what is in the log may not be on the disk."""
        return self._log

    def share(self, side: SideFile | None) -> None:
        """Take over the doubt of a process that died with it, and from now on leave it word of ours."""
        self._side = side
        self._look()

    def heed(self, error: Exception) -> None:
        """Note what this error casts doubt on.

        Where SQLite could not open a file for writing it has opened it for reading, and never tries again.
        """
        if self._path is not None and isinstance(error, sqlite3.Error):
            self._connections = self._connections or primary_code(error) in _SHAKEN
            if getattr(error, "sqlite_errorcode", None) in _UNSYNCED:
                self._log = True
                with suppress(OSError):  # the disk again, of which the error tells already
                    self._note_doubt(is_in_doubt=True)

    def end(self, begin: Callable[[Connection], None], *, is_new: bool = False) -> None:
        """Write the log again if it is in doubt, then close all connections; raises when it can not be.

        A new connection would not hear of a sync that failed before it was opened, as older ones do.
        """
        if is_new:
            self._look()
        if self._log:
            with closing(self._connect()) as connection:
                begin(connection)  # so that nobody else writes to the log meanwhile
                write_again(f"{self._path}-wal")
                self._note_doubt(is_in_doubt=False)
            self._log = False
        if self._connections:
            self._let_go()
            self._connections = False

    def _look(self) -> None:
        self._log = self._log or (self._side is not None and self._side.is_in_doubt)

    def _note_doubt(self, *, is_in_doubt: bool) -> None:
        if self._side is not None:
            self._side.note_doubt(is_in_doubt=is_in_doubt)


def write_again(path: str) -> None:
    """Write a file over with what it holds, and sync it.

    After a sync that failed the kernel takes what it could not write for written: the next sync succeeds
    without it. Commits behind such a gap in the log would be lost with the power, however well they were
    synced.

    To close a file drops all POSIX locks that this process has on it. That is harmless here: SQLite locks the
    database, and for the log its index, never the log. Read in SQLite 3.40.1: `unixOpen` marks all but the
    database UNIXFILE_NOLOCK, for which `fillInUnixFile` picks methods that lock nothing and keep no account
    by inode; and `wal.c` locks through the database's handle alone, in the file of `unixOpenSharedMemory`.
    """
    with open(path, "r+b", buffering=0) as log:
        while piece := log.read(_PIECE):
            log.seek(-len(piece), os.SEEK_CUR)
            log.write(piece)
        os.fsync(log.fileno())
