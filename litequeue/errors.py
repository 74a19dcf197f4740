"""Every error litequeue raises: what was found, where, and what to do about it."""

from __future__ import annotations

import queue
import sys

_SHOWN = 80


class LiteQueueError(Exception):
    """The base of every error that litequeue raises on purpose."""


def shown(value: object) -> str:
    """What a message shows of a value: the beginning of its repr, where it has one."""
    try:
        text = repr(value)
    except Exception:  # nested too deep, too long a number, or anything that a repr may raise
        return f"a {type(value).__qualname__} that can not be shown"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


# --- what a caller typed -----------------------------------------------------------------------


class InvalidOption(LiteQueueError, ValueError):
    """An option has a value, a type or a name that litequeue does not accept."""


class InvalidSchedule(InvalidOption):
    """A cron expression or a time zone can not be read, or names a time that never comes."""


class InvalidTask(LiteQueueError, TypeError):
    """The thing given can not be a task: a lambda, a nested function, not callable, a bad name."""


class BadArguments(LiteQueueError, TypeError):
    """The arguments do not fit the signature of the task."""


class EncodingError(LiteQueueError, ValueError):
    """A value can not be written to the file, or what is in the file can not be read back."""


class PayloadTooLarge(EncodingError):
    """An encoded value is larger than the limit of the queue."""


class JobNotFound(LiteQueueError, LookupError):
    """No job has this id."""


class NotAllowed(LiteQueueError):
    """The job is in a state from which this verb does not lead."""


# --- how a job ended ---------------------------------------------------------------------------


class JobFailed(LiteQueueError):
    """The job ended as `failed`; the message carries the remote traceback.

    `job_id`, `reason`, `error_type`, `message` and `traceback` tell what happened and where.
    """

    def __init__(self, job_id: int, reason: str, error_type: str, message: str, traceback: str) -> None:
        self.job_id = job_id
        self.reason = reason
        self.error_type = error_type
        self.message = message
        self.traceback = traceback
        headline = f"job {job_id} failed ({reason}): {error_type}: {message}".rstrip(": ")
        super().__init__(f"{headline}\n\nRemote traceback:\n{traceback}" if traceback else headline)

    def __reduce__(self) -> tuple[type[JobFailed], tuple[object, ...]]:
        # By default an exception is unpickled from its text alone, which breaks the process pool it passes.
        return type(self), (self.job_id, self.reason, self.error_type, self.message, self.traceback)


class JobCancelled(LiteQueueError):
    """The job ended as `cancelled`; `reason` says by whom or why."""

    def __init__(self, job_id: int, reason: str) -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(f"job {job_id} was cancelled ({reason}) and has no result")

    def __reduce__(self) -> tuple[type[JobCancelled], tuple[object, ...]]:
        return type(self), (self.job_id, self.reason)  # as above


class LeaseLost(LiteQueueError):
    """The attempt no longer owns its job, so nothing was written."""


# --- the file ----------------------------------------------------------------------------------


class DatabaseError(LiteQueueError):
    """The file could not be read or written."""


class NotADatabase(DatabaseError):
    """The path holds something that is not a SQLite database."""


class ForeignTables(DatabaseError):
    """A table with a name of ours exists, and it was not made by litequeue."""


class SchemaTooNew(DatabaseError):
    """The file was written by a newer litequeue than this one."""


class ReadOnly(DatabaseError):
    """The file, or the folder it lies in, can not be written."""


class MissingFile(DatabaseError):
    """The file, or the folder it should lie in, does not exist."""


class DiskFull(DatabaseError):
    """The disk has no room left; what is stored is sound."""


class FileReplaced(DatabaseError):
    """The file at this path is no longer the one that was opened."""


class UnsafeFile(DatabaseError):
    """Somebody else may have put this file there, for us to follow or to believe."""


class NetworkFileSystem(DatabaseError):
    """The file lies on a network file system, where SQLite's WAL mode can not keep its promises."""


class DatabaseBusy(DatabaseError):
    """Another program held the write lock for longer than we are willing to wait."""


class DatabaseDamaged(DatabaseError):
    """SQLite says that the file is malformed."""


class BackupFile(DatabaseError):
    """The file is a backup, whose jobs no worker runs before it is restored."""


class UnsupportedSQLite(DatabaseError):
    """The SQLite library of this Python is older than 3.37."""


class QueueFull(LiteQueueError):
    """The queue holds as many waiting jobs as its `maxsize` allows."""


class Full(QueueFull, queue.Full):
    """As many messages wait in the lane as its `maxsize` allows; a `queue.Full`, too."""


class Empty(LiteQueueError, queue.Empty):
    """No message is ready in the lane; a `queue.Empty`, too."""


if sys.version_info >= (3, 13):

    class ShutDown(LiteQueueError, queue.ShutDown):
        """The lane was shut down in this process; a `queue.ShutDown`, too."""

else:

    class ShutDown(LiteQueueError):
        """The lane was shut down in this process; from Python 3.13 on a `queue.ShutDown`, too."""


class ScheduleNotFound(LiteQueueError):
    """There is no schedule of this name."""


class DuplicateJob(LiteQueueError):
    """A job with the same unique key is there already; `job_id` says which."""

    def __init__(self, job_id: int, key: str) -> None:
        self.job_id = job_id
        self.key = key
        super().__init__(
            f"job {job_id} has the unique key {key!r} already; wait for its end, or enqueue with "
            "on_duplicate='return' to be given that job"
        )

    def __reduce__(self) -> tuple[type[DuplicateJob], tuple[object, ...]]:
        return type(self), (self.job_id, self.key)  # as above


class QueueClosed(LiteQueueError):
    """The queue was closed and can not be used any more."""


# --- the worker --------------------------------------------------------------------------------


class WorkerError(LiteQueueError):
    """A worker could not start, or gave up."""
