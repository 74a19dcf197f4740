"""Errors of the driver and the system become ours, once and here."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .. import errors

_LOCKED = (
    "another program, or a connection of your own, keeps it locked; end or shorten its transaction, or join "
    "it with connection="
)
_BY_CODE: dict[int, tuple[type[errors.DatabaseError], str]] = {
    sqlite3.SQLITE_BUSY: (errors.DatabaseBusy, _LOCKED),
    sqlite3.SQLITE_LOCKED: (errors.DatabaseBusy, _LOCKED),
    sqlite3.SQLITE_FULL: (errors.DiskFull, "the disk is full; what is stored is sound, free some room"),
    sqlite3.SQLITE_IOERR: (errors.DatabaseError, "the disk refused; what was reported as stored is sound"),
    sqlite3.SQLITE_READONLY: (
        errors.ReadOnly,
        "it, or its folder, can not be written; check the permissions",
    ),
    sqlite3.SQLITE_PERM: (errors.ReadOnly, "it, or its folder, can not be written; check the permissions"),
    sqlite3.SQLITE_CANTOPEN: (
        errors.ReadOnly,
        "it, or the files beside it, can not be opened; check the permissions",
    ),
    sqlite3.SQLITE_NOTADB: (errors.NotADatabase, "it is not a SQLite database; give another path"),
    sqlite3.SQLITE_CORRUPT: (errors.DatabaseDamaged, "SQLite finds it malformed; restore a backup"),
}
# What the system says to a call of our own, as SQLite would have said it.
_BY_NUMBER = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
    errno.EACCES: sqlite3.SQLITE_PERM,
    errno.EROFS: sqlite3.SQLITE_READONLY,
}
# The last comes when SQLite's own message quotes what is damaged.
DRIVER_ERRORS = (sqlite3.Error, OSError, UnicodeDecodeError)
_STALE = "this transaction has read what another has changed since; open it with BEGIN IMMEDIATE"


class Unsound(sqlite3.DatabaseError):
    """A row holds what can not have been stored there."""


class BrokenRow(errors.DatabaseDamaged):
    """A statement met a row that breaks the rules of the schema."""


def primary_code(error: Exception) -> int:
    """The first byte of SQLite's result code, which names the family of the error."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def is_busy(error: Exception) -> bool:
    """Whether somebody else holds the lock that was wanted."""
    return primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def translate(error: sqlite3.Error | OSError | UnicodeDecodeError, path: str) -> errors.LiteQueueError:
    """Our error for one of the driver or the system."""
    if isinstance(error, (Unsound, UnicodeDecodeError)):
        return errors.DatabaseDamaged(f"{path}: the file is damaged; restore a backup: {error}")
    if isinstance(error, OSError):
        kind, advice = _BY_CODE[_BY_NUMBER.get(error.errno or 0, sqlite3.SQLITE_IOERR)]
        return kind(f"{path}: {advice}: {error}")
    code = primary_code(error)
    kind, advice = _BY_CODE.get(code, (errors.DatabaseError, ""))
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_SHMSIZE:
        kind, advice = _BY_CODE[sqlite3.SQLITE_FULL]  # room for the shared index could not be had
    if _is_broken_row(error):
        kind, advice = BrokenRow, "a row is against the rules of its table, which a hand or damage has done"
    if code == sqlite3.SQLITE_CANTOPEN and not os.path.exists(path):
        kind, advice = errors.MissingFile, "it is not there any more"
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY_SNAPSHOT:
        advice = _STALE
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return kind(": ".join(part for part in (path, advice, f"{name}: {error}") if part))


def _is_broken_row(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    is_shared_key = code == sqlite3.SQLITE_CONSTRAINT_UNIQUE and "litequeue_job.unique_key" in str(error)
    return is_shared_key or code == sqlite3.SQLITE_CONSTRAINT_CHECK


@contextmanager
def translated(path: str, heed: Callable[[Exception], None] | None = None) -> Iterator[None]:
    """Raise our errors for the driver's and the system's within the block; `heed` hears of them first."""
    try:
        yield
    except DRIVER_ERRORS as error:
        if heed is not None:
            heed(error)
        raise translate(error, path) from error
