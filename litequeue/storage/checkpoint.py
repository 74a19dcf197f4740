"""The write-ahead log is copied into the file now and then, where SQLite's own automatic is off.

Before 3.51.3 a checkpoint that overlaps a writer's reset of the log can damage the file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from sqlite3 import Connection

from ..log import log

LEAVE_THE_LOG = "PRAGMA wal_autocheckpoint = 0"
LOG_LIMIT = 16 << 20  # what SQLite cuts the log down to when it starts it anew
_GROWTH = 4 << 20
_FRAMES = 1000
_COMMITS = 256
_MOST_COMMITS = 2048
_COMMITS_BETWEEN_LOOKS = 16
_ALARMING = 64 << 20
_COMMITS_BEFORE_ROOM = 64  # a short script is spared it
_FRAME = 4096 + 24  # a page, with its header
_ROOM = "INSERT INTO litequeue_blob (job, kind, body) VALUES (-1, 'payload', zeroblob(?))"
_CACHE = 2 << 20  # what SQLite keeps in memory before a transaction spills into the log


def carries_reset_fault(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite can damage a WAL file when checkpoints overlap (fixed in 3.51.3)."""
    return version < (3, 51, 3) and version not in ((3, 44, 6), (3, 50, 7))


class LogKeeper:
    """Counts the commits of one process, and checkpoints when there were many or the log has grown.

    `connect` gives a new connection, `begin` opens a write transaction on one, `heed` hears of what failed;
    `is_synced` says whether every commit is synced.
    """

    def __init__(
        self,
        path: str,
        connect: Callable[[], Connection],
        begin: Callable[[Connection], None],
        heed: Callable[[Exception], None],
        *,
        is_synced: bool,
    ) -> None:
        self._path = path
        self._connect = connect
        self._begin = begin
        self._heed = heed
        self._copier: Connection | None = None
        self._commits = 0
        self._due = _COMMITS
        self._is_laid_out = not is_synced
        self._size = 0  # of the log when it was last copied, or since cut down
        self._warned = _ALARMING // 2

    def tend(self, writer: Connection) -> None:
        """Called after each commit of `writer`; most times it only counts."""
        self._commits += 1
        if self._commits % _COMMITS_BETWEEN_LOOKS == 0:
            try:
                self._look(writer)
            except (OSError, sqlite3.Error) as error:
                self._heed(error)
                # What was committed is safe in the log; only its copying has to wait.
                log.warning("%s: the write-ahead log could not be tended: %s", self._path, error)

    def _look(self, writer: Connection) -> None:
        size = os.stat(f"{self._path}-wal").st_size
        if not self._is_laid_out and self._commits >= _COMMITS_BEFORE_ROOM:
            self._is_laid_out = True
            if size < _FRAMES * _FRAME:
                self._lay_out(writer)
        self._size = min(self._size, size)
        if self._commits >= self._due or size > self._size + _GROWTH:
            frames = self._checkpoint(writer)
            # Other processes write too: the log's own length tells how many commits of ours make it long.
            due = self._commits * _FRAMES // max(1, frames)
            self._due = max(_COMMITS_BETWEEN_LOOKS, min(_MOST_COMMITS, due))
            self._commits, self._size = 0, size
            self._warn_of_growth(size)

    def _lay_out(self, writer: Connection) -> None:
        """Make the log at once as long as it will get, and in one piece.

        A synced commit that lengthens the file takes 0.18 ms, one that writes within it 0.11 ms. What a
        transaction spills goes to the log, and is left there as room when it is rolled back.
        """
        try:
            self._begin(writer)
            writer.execute(_ROOM, (_FRAMES * _FRAME + _CACHE,))
        finally:
            if writer.in_transaction:
                writer.execute("ROLLBACK")

    def _checkpoint(self, writer: Connection) -> int:
        """Copy the log while we hold the write lock, where no writer can reset it; its length in pages.

        A checkpoint takes that lock by itself only in its stronger modes, and when it does not get it falls
        back to the weakest without a word. So one connection holds the lock and another copies; the next
        writer then starts the log anew.
        """
        if self._copier is None:
            self._copier = self._connect()
        self._begin(writer)
        try:
            (row,) = self._copier.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        finally:
            writer.execute("ROLLBACK")
        return int(row[1])

    def release(self) -> list[Connection]:
        """Give up the connection it keeps; it makes another when it needs one."""
        kept = [] if self._copier is None else [self._copier]
        self._copier = None
        return kept

    def _warn_of_growth(self, size: int) -> None:
        if size < self._warned * 2:
            self._warned = max(_ALARMING // 2, min(self._warned, size))
            return
        self._warned = size
        log.warning(
            "%s-wal has grown to %d MB: a reader that stays open keeps it from being reused; "
            "look for a program with an unfinished SELECT",
            self._path,
            size >> 20,
        )
