"""Locks on the file beside the database: the writers' queue, and a sign of life per worker.

They are open-file-description locks (Linux 3.15), which the kernel drops when their last holder dies, in
this container or another. Unlike `flock` they take single bytes, and unlike classic record locks they
survive another descriptor of the same file being closed.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Callable
from typing import TypeVar

from .. import errors

if sys.platform == "linux":
    import fcntl

T = TypeVar("T")
_FLOCK = "hhqqi4x"  # struct flock on 64-bit Linux: type, whence, start, length, pid
_TURN = 0
_FIRST_WORKER = 1 << 20
_PLACES = 1 << 62
_SURE, _IN_DOUBT = b"\0", b"\1"


def supported() -> bool:
    """Whether this system has locks of the kind needed; without them leases alone decide."""
    return sys.platform == "linux" and sys.maxsize > 2**32 and hasattr(fcntl, "F_OFD_SETLK")


class SideFile:
    """The file `<database>-lock`: places for locks, and a byte that says whether the log is in doubt."""

    _descriptor = -1

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        flags = os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT
        self.path = path
        self._descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.inode = os.fstat(self._descriptor).st_ino
        self._own: set[int] = set()

    def in_turn(self, action: Callable[[], T]) -> T:
        """Wait in the kernel's queue of writers, and do something as its head."""
        try:
            try:
                self._set(fcntl.F_WRLCK, _TURN, fcntl.F_OFD_SETLKW)
                return action()
            finally:
                self._leave_turn()
        except BaseException:
            self._leave_turn()  # again, in case it was this that a signal struck
            raise

    def hold(self, worker: int) -> None:
        """Take the sign of life of a worker; the kernel drops it with our last breath."""
        if not 0 < worker < _PLACES:
            raise errors.DatabaseDamaged(f"{self.path}: there is no place for worker {worker} in it")
        try:
            self._set(fcntl.F_WRLCK, _FIRST_WORKER + worker, fcntl.F_OFD_SETLK)
        except BlockingIOError:
            raise errors.DatabaseBusy(
                f"{self.path}: another process holds the place of worker {worker}; "
                "it has an older file of this name open, so end it"
            ) from None
        self._own.add(worker)

    def release(self, worker: int) -> None:
        """Give the sign of life back."""
        self._own.discard(worker)
        if self._descriptor >= 0:  # else the lock went with it
            self._set(fcntl.F_UNLCK, _FIRST_WORKER + worker, fcntl.F_OFD_SETLK)

    def is_held(self, worker: int) -> bool:
        """Whether anybody holds the sign of life of this worker."""
        if not 0 < worker < _PLACES:
            return False  # an id that was written by hand
        if worker in self._own:
            return True  # a lock does not stand in its own way, so the kernel would call it free
        request = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _FIRST_WORKER + worker, 1, 0)
        answer = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, request)
        return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)

    @property
    def is_in_doubt(self) -> bool:
        """Whether some process was told by the disk that what is in the log may not be on it."""
        return os.pread(self._descriptor, 1, 0) == _IN_DOUBT

    def note_doubt(self, *, is_in_doubt: bool) -> None:
        """Leave word for whoever opens the file next. A crash of the whole machine needs none."""
        os.pwrite(self._descriptor, _IN_DOUBT if is_in_doubt else _SURE, 0)

    def require_open(self) -> None:
        """Raise `FileReplaced` when somebody else has closed our descriptor, and perhaps others."""
        try:
            inode = os.fstat(self._descriptor).st_ino
        except OSError:
            inode = 0
        if inode != self.inode:
            raise errors.FileReplaced(
                f"{self.path}: its descriptor was closed in this process, by a task it seems, and with it "
                "the lock by which others see this worker alive; use isolate=True for such a task"
            )

    def close(self) -> None:
        """Close the file; a forked child does so too, and its parent's locks stay."""
        if self._descriptor >= 0:
            # First the note, then the deed: closed twice, the number might be another file's by then.
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()  # an error or a signal kept it from whoever would have closed it

    def _leave_turn(self) -> None:
        self._set(fcntl.F_UNLCK, _TURN, fcntl.F_OFD_SETLK)

    def _set(self, kind: int, place: int, command: int) -> None:
        fcntl.fcntl(self._descriptor, command, struct.pack(_FLOCK, kind, os.SEEK_SET, place, 1, 0))


def open_side_file(path: str, *, read_only: bool = False) -> SideFile | None:
    """The side file at this path, or None where such locks, or the right to make it, are missing."""
    if not supported():
        return None
    try:
        side = SideFile(path, read_only=read_only)
    except (PermissionError, FileNotFoundError):
        return None
    except OSError as error:
        if error.errno == errno.EROFS:
            return None
        raise errors.DatabaseError(
            f"{path}: the file for locks can not be opened: {error.strerror}"
        ) from error
    try:
        side.is_held(0)
    except OSError as error:
        side.close()
        if error.errno in (errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
            return None
        raise
    return side
