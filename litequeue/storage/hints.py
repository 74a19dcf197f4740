"""A byte through a FIFO after COMMIT: it wakes one idle worker in a quarter of a millisecond.

A hint may be lost or be one too many; the workers' own poll stands behind it. One byte is one token, and
there is one FIFO per queue, or a worker of another queue would eat the token.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable

_NOBODY_THERE = {errno.ENXIO, errno.ENOENT, errno.EPIPE, errno.EAGAIN}


def fifo_path(database: str, queue: str) -> str:
    """Where the workers of a queue listen."""
    digest = hashlib.blake2b(queue.encode(), digest_size=6).hexdigest()
    return f"{database}-wake-{digest}"


def supported() -> bool:
    """Whether this system has FIFOs."""
    return hasattr(os, "mkfifo")


class Hints:
    """The sending end."""

    def __init__(self, database: str | None) -> None:
        self._database = database if supported() else None
        self._pipes: dict[str, int] = {}

    def send(self, queues: Iterable[str]) -> None:
        """Wake one idle worker of each queue, if there is one."""
        if self._database is not None:
            for queue in set(queues):
                self._send(self._database, queue)

    def close(self) -> None:
        """Close the pipes that were opened."""
        while self._pipes:
            os.close(self._pipes.popitem()[1])

    def _send(self, database: str, queue: str) -> None:
        pipe = self._pipes.get(queue)
        try:
            if pipe is None:
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
                pipe = self._pipes.setdefault(queue, os.open(fifo_path(database, queue), flags))
            os.write(pipe, b"!")
        except OSError as error:
            if error.errno not in _NOBODY_THERE:
                raise
            if error.errno == errno.EPIPE and pipe is not None and self._pipes.pop(queue, None) == pipe:
                os.close(pipe)


class Listener:
    """The receiving ends of a worker: one FIFO per queue it serves."""

    def __init__(self, database: str | None, queues: Iterable[str]) -> None:
        self.pipes: dict[int, str] = {}
        if database is not None and supported():
            for queue in queues:
                path = fifo_path(database, queue)
                pipe = _listen(path)
                if pipe is not None:
                    self.pipes[pipe] = path

    def take(self, pipe: int) -> None:
        """Take one token; the rest are for others."""
        try:
            os.read(pipe, 1)
        except BlockingIOError:
            return  # another worker was quicker

    def close(self) -> None:
        """Stop listening; the name goes too when nobody else seems to listen."""
        while self.pipes:
            pipe, path = self.pipes.popitem()
            os.close(pipe)
            _remove_if_silent(path)


def _listen(path: str) -> int | None:
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        if not stat.S_ISFIFO(os.lstat(path).st_mode):
            return None
    except OSError:
        return None  # a file system without FIFOs: the poll alone finds jobs
    # Read and write: with a writer always there, the pipe never reports its end.
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)


def _remove_if_silent(path: str) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW))
    except OSError as error:
        # A worker that listens between these two lines only loses hints, and its poll finds the jobs.
        if error.errno == errno.ENXIO:
            os.unlink(path)
