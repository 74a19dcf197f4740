"""The files that were opened, told from others that took their names."""

from __future__ import annotations

import os

from .. import errors
from ..clock import SystemClock

Identity = tuple[int, int]  # device and inode
_LOOK_EVERY = 10_000
_NOBODY = (0, 0)


def identity_of(path: str) -> Identity:
    """The device and inode of a file, which no other has while it exists; zeros when there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return _NOBODY
    return found.st_dev, found.st_ino


class Files:
    """The database, its log and the log's index, as they were when they were opened.

    What is written to a file without a name is gone with the last process that has it open. So the database
    is looked for before each acknowledgement, in 1.5 us; the other two, which nobody replaces by habit, every
    10 ms. What was acknowledged between two looks is copied when the last of its processes closes the file.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._log: dict[str, Identity] = {}
        self._looked = 0
        self._clock = SystemClock()
        self.identity = _NOBODY

    def note(self) -> None:
        """Remember the database."""
        if self._path is not None:
            self.identity = identity_of(self._path)

    def forget_log(self) -> None:
        """Called before connections are closed: with the last one SQLite removes the log and its index."""
        self._log = {}

    def confirm(self) -> None:
        """Called on a commit, before it is reported, while its connection is open and will stay so.

        Raises `FileReplaced`.
        """
        now = self._clock.monotonic()
        if self._path is None or now - self._looked < _LOOK_EVERY:
            self._require_database()
            return
        self._looked = now
        if not self._log:
            self._log = {path: identity_of(path) for path in (f"{self._path}-wal", f"{self._path}-shm")}
        self.require()

    def require(self) -> None:
        """Raise `FileReplaced` when one of them is not there any more, or is another."""
        self._require_database()
        known = self._log
        for path, identity in known.items():
            if not _is_still(path, identity) and self._log is known:  # else another thread lets go of it
                raise _replaced(path)

    def _require_database(self) -> None:
        if self._path is not None:
            require(self._path, self.identity)


def require(path: str, identity: Identity) -> None:
    """Raise `FileReplaced` when the path does not name the file of this identity, as far as can be seen."""
    if not _is_still(path, identity):
        raise _replaced(path)


def _is_still(path: str, identity: Identity) -> bool:
    try:
        return identity_of(path) == identity != _NOBODY
    except OSError as error:
        raise errors.DatabaseError(f"{path}: the file can not be looked at: {error.strerror}") from error


def _replaced(path: str) -> errors.FileReplaced:
    return errors.FileReplaced(
        f"{path}: the file was removed or replaced while it was open; what is written now would be lost. "
        "Close this queue and open it again"
    )
