"""Where the dashboard finds its file: at a path, opened anew for each look, or in a queue of the program."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from ..cli.files import changing, looking
from ..clock import Clock
from ..desk import Desk
from ..queue import Queue
from ..storage.database import MEMORY

Marks = tuple[tuple[int, int, int], ...]


class Source(Protocol):
    """A file to look into and to act on."""

    path: str
    clock: Clock

    def reading(self) -> AbstractContextManager[Desk]:
        """The file, for one short look."""

    def changing(self) -> AbstractContextManager[Desk]:
        """The file, for one action."""


class FileSource:
    """A file at a path. Between two looks nothing of it is open, so nothing here holds it."""

    def __init__(self, path: str, clock: Clock) -> None:
        self.path = path
        self.clock = clock

    def reading(self) -> AbstractContextManager[Desk]:
        """The file, opened so that nothing in it can change."""
        return looking(self.path, self.clock)

    def changing(self) -> AbstractContextManager[Desk]:
        """The file, opened to be changed."""
        return changing(self.path, self.clock)


class QueueSource:
    """The file of a queue that the program holds."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.path = queue.path
        self.clock = queue.clock

    def reading(self) -> AbstractContextManager[Desk]:
        """The file as the queue has it open."""
        return nullcontext(self._queue.desk)

    changing = reading


def source_of(given: str | os.PathLike[str] | Queue, clock: Clock) -> Source:
    """The source behind what a caller gave; a queue has its own clock."""
    return QueueSource(given) if isinstance(given, Queue) else FileSource(os.fspath(given), clock)


def marks(path: str) -> Marks | None:
    """What changes with every commit, without a look into the file; None where nothing tells."""
    if path == MEMORY:
        return None
    return tuple(_mark(each) for each in (path, f"{path}-wal"))


def _mark(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0, 0)  # the log is not there while nobody has the file open
    return (found.st_ino, found.st_size, found.st_mtime_ns)
