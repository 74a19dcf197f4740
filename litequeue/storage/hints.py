"""A byte through a FIFO after COMMIT: it wakes one idle worker in a quarter of a millisecond.

A hint may be lost or be one too many; the workers' own poll stands behind it. One byte is one token, and
there is one FIFO per queue, or a worker of another queue would eat the token.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import sys
import threading
from collections.abc import Iterable

from ..clock import SystemClock
from ..log import log

_SILENCE = 10_000  # microseconds
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
        self._clock = SystemClock()
        self._paths: dict[str, str] = {}
        self._pipes: dict[str, int] = {}
        self._silent_until: dict[str, int] = {}
        self._mutex = threading.RLock()  # a signal's handler may come in between

    def send(self, queues: Iterable[str]) -> None:
        """Wake one idle worker of each queue, if there is one."""
        if self._database is None or sys.is_finalizing():  # a thread may be frozen with the mutex in hand
            return
        for queue in queues:
            if self._silent_until.get(queue, 0) <= self._clock.monotonic():
                self._try(self._path(queue), queue)

    def _path(self, queue: str) -> str:
        if queue not in self._paths:
            assert self._database is not None
            self._paths[queue] = fifo_path(self._database, queue)
        return self._paths[queue]

    def _try(self, path: str, queue: str) -> None:
        try:
            with self._mutex:  # or another thread's close could have us write into some other file
                self._send(path)
        except OSError as error:
            # Nobody listens: to ask again for each of a thousand jobs in a row would cost too much.
            self._silent_until[queue] = self._clock.monotonic() + _SILENCE
            if error.errno not in _NOBODY_THERE:
                # The jobs are stored, and polls find them: no reason to fail.
                log.info("%s: no worker can be woken through it: %s", path, error)

    def close(self) -> None:
        """Close the pipes that were opened."""
        if not sys.is_finalizing():  # as above
            with self._mutex:
                self.drop()

    def drop(self) -> None:
        """As `close`, in a forked child, where a thread that is gone may hold the mutex."""
        while self._pipes:
            os.close(self._pipes.popitem()[1])

    def _send(self, path: str) -> None:
        if path not in self._pipes:
            self._pipes[path] = _open_pipe(path, os.O_WRONLY)
        try:
            os.write(self._pipes[path], b"!")
        except BrokenPipeError:
            # Its readers are gone; when others have come since, they listen at a new pipe.
            os.close(self._pipes.pop(path))
            self._send(path)


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

    def take_all(self) -> bool:
        """Take every token there is, as one who looks for himself; whether there was any."""
        found = False
        for pipe in self.pipes:
            with contextlib.suppress(BlockingIOError):
                found = bool(os.read(pipe, 1 << 16)) or found
        return found

    def close(self) -> None:
        """Stop listening; the name goes too when nobody else seems to listen."""
        while self.pipes:
            pipe, path = self.pipes.popitem()
            os.close(pipe)
            _remove_if_silent(path)


def _listen(path: str) -> int | None:
    try:
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # Read and write: with a writer always there, the pipe never reports its end.
        return _open_pipe(path, os.O_RDWR)
    except OSError as error:
        log.info("%s: no pipe to be woken through, the poll alone finds jobs: %s", path, error)
        return None


def _open_pipe(path: str, direction: int) -> int:
    pipe = os.open(path, direction | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    if stat.S_ISFIFO(os.fstat(pipe).st_mode):
        return pipe
    os.close(pipe)
    raise FileExistsError(errno.EEXIST, "it is not a pipe")


def _remove_if_silent(path: str) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW))
    except OSError as error:
        # A worker that listens between these two lines only loses hints, and its poll finds the jobs.
        if error.errno == errno.ENXIO:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
