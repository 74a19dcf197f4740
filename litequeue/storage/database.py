"""Connections, transactions and the file itself. No other room opens a connection."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from sqlite3 import Connection
from typing import TypeVar
from urllib.parse import quote

from .. import errors
from ..clock import SECOND, SystemClock
from . import opening
from .gate import Durability, Gate, Ticket
from .hints import Hints
from .sidefile import SideFile, open_side_file
from .translate import is_busy, translate, translated

T = TypeVar("T")
log = logging.getLogger("litequeue")

MEMORY = ":memory:"
_PATIENCE = 60 * SECOND
_COMMITS_BETWEEN_CHECKPOINTS = 256
_WAL_GROWTH = 4 << 20
_WAL_LIMIT = 32 << 20
_WAL_WARNING = 64 << 20
_joined: ContextVar[tuple[Database, Connection] | None] = ContextVar("litequeue_joined", default=None)


class Database:
    """One file, opened by one process. Safe to use from many threads, and to inherit by `fork`.

    With `read_only` it makes and changes nothing, and a file without a queue is an error. Raises the errors
    of the file family: `MissingFile`, `NotADatabase`, `ReadOnly`, `SchemaTooNew` and so on.
    """

    def __init__(
        self, path: str, durability: Durability = Durability.FULL, *, read_only: bool = False
    ) -> None:
        opening.require_sqlite()
        self.in_memory = path == MEMORY
        self.path = path if self.in_memory else opening.find_or_make(path, read_only=read_only)
        self.read_only = read_only and not self.in_memory
        self._mode = opening.reading_mode(self.path) if self.read_only else "rw"
        self.durability = durability
        self._clock = SystemClock()
        self._closed = False
        self._reset()
        self._prepare()
        _inherited_watch().add(self)

    # --- the verbs ---------------------------------------------------------------------------------

    def read(self, operation: Callable[[Connection], T]) -> T:
        """Run a reading operation on this thread's own connection; it must fetch all it wants."""
        joined = self.joined()
        if joined is not None:
            return _run_plain(operation, joined)
        if self.in_memory:
            return self.write(operation)
        with translated(self.path):
            return operation(self._reader())

    def write(
        self, operation: Callable[[Connection], T], durability: Durability = Durability.NORMAL
    ) -> T:
        """Run an operation in a write transaction, perhaps together with those of other threads.

        It joins the transaction that this thread has open on this file, if there is one.
        """
        joined = self.joined()
        if joined is not None:
            with translated(self.path), _savepoint(joined):
                return _run_plain(operation, joined)
        self._require_open()
        result: T = self._gate.pass_through(Ticket(operation, durability))
        return result

    def begin(self) -> Connection:
        """A connection inside a write transaction, which `finish` must end; all other writers wait."""
        self._require_open()
        self._gate.enter()
        try:
            # Its own connection: what the borrower leaves behind, or still does after the end, ends with it.
            connection = self._writers[self.durability] if self.in_memory else self._connect()
            with translated(self.path):
                _set_synchronous(connection, self.durability)
                self._begin(connection)
        except BaseException:
            self._gate.leave()
            raise
        return connection

    def finish(self, connection: Connection, *, commit: bool) -> None:
        """End the transaction of `begin`; raises when its statements had already ended it."""
        try:
            if not connection.in_transaction:
                raise errors.DatabaseError(
                    f"{self.path}: the transaction was ended inside its own block; "
                    "leave COMMIT and ROLLBACK to litequeue"
                )
            with translated(self.path):
                connection.execute("COMMIT" if commit else "ROLLBACK")
            self.verify()
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if self.in_memory:
                connection.row_factory, connection.text_factory = None, str
            else:
                connection.close()
            self._gate.leave()

    @contextmanager
    def joining(self, connection: Connection) -> Iterator[Connection]:
        """Within the block, what this thread reads and writes here goes through `connection`."""
        token = _joined.set((self, connection))
        try:
            yield connection
        finally:
            _joined.reset(token)

    def joined(self) -> Connection | None:
        """The connection whose transaction this thread is in, if any."""
        if self._pid != os.getpid():
            self._after_fork()
        found = _joined.get()
        return found[1] if found is not None and found[0] is self else None

    # --- the file ----------------------------------------------------------------------------------

    def verify(self) -> None:
        """Raise `FileReplaced` when the path no longer names the file that was opened."""
        if self.in_memory:
            return
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self.identity:
            raise errors.FileReplaced(
                f"{self.path}: the file was removed or replaced while it was open; what is written now would "
                "be lost. Close this queue and open it again"
            )

    def verify_version(self) -> None:
        """Raise `SchemaTooNew` when a newer litequeue has upgraded the file meanwhile."""
        self.read(lambda connection: opening.stored_version(connection, self.path))

    def is_same_file(self, connection: Connection) -> bool:
        """Whether the main database of a foreign connection is this file."""
        row = connection.cursor().execute("PRAGMA database_list").fetchone()
        name = row["file"] if isinstance(row, dict) else row[2]
        if isinstance(name, bytes):
            name = name.decode()
        if not name or self.in_memory:
            return False
        found = os.stat(name)
        return (found.st_dev, found.st_ino) == self.identity

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        return int(self.read(lambda c: c.execute("PRAGMA data_version").fetchone()[0]))

    @property
    def side(self) -> SideFile | None:
        """The side file with the locks, where there is one."""
        return self._side

    def close(self) -> None:
        """Close every connection; what waits at the gate is finished first."""
        if self._closed:
            return
        self.joined()  # lets go of what a fork left us
        with self._gate.held():
            self._closed = True
            for connection in [c for _, c in self._readers] + list(self._writers.values()):
                connection.close()
            self.hints.close()
            if self._side is not None:
                self._side.close()

    # --- inside ------------------------------------------------------------------------------------

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._gate = Gate(self._run_group)
        self._local = threading.local()
        self._readers: list[tuple[threading.Thread, Connection]] = []
        self._writers: dict[Durability, Connection] = {}
        self._side: SideFile | None = None
        self.hints = Hints(None if self.in_memory else self.path)
        self._commits = 0
        self._known_wal = 0

    def _prepare(self) -> None:
        with translated(self.path):
            connection = self._connect()
            try:
                opening.stored_version(connection, self.path)  # refuse before anything is made beside it
                if not self.in_memory:
                    self._side = self._open_side_file()
                if self.read_only:
                    opening.require_current(connection, self.path)
                else:
                    opening.prepare_patiently(connection, self.path, self._begin, self._pauses())
                found = None if self.in_memory else os.stat(self.path)
                self.identity = (found.st_dev, found.st_ino) if found else (0, 0)
            except BaseException:
                connection.close()
                raise
            _set_synchronous(connection, self.durability)
            self._writers[self.durability] = connection

    def _require_open(self) -> None:
        if self._closed:
            raise errors.QueueClosed(f"{self.path}: this queue was closed; open another one")

    def _open_side_file(self) -> SideFile | None:
        return open_side_file(f"{self.path}-lock", read_only=self.read_only)

    def _writer(self, durability: Durability) -> Connection:
        """The writing connection for this durability; only the leader of the gate uses it."""
        if self.read_only:
            raise errors.ReadOnly(f"{self.path}: it was opened for reading only; open it with Queue(…) to change it")
        if self.in_memory or self.durability is Durability.NORMAL:
            durability = self.durability
        if durability not in self._writers:
            connection = self._connect()
            _set_synchronous(connection, durability)
            self._writers[durability] = connection
        return self._writers[durability]

    def _reader(self) -> Connection:
        self._require_open()
        connection: Connection | None = getattr(self._local, "reader", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA busy_timeout = 10000")  # readers wait only for a recovery
            self._local.reader = connection
            self._readers = [(t, c) for t, c in self._readers if t.is_alive()]
            self._readers.append((threading.current_thread(), connection))
        return connection

    def _connect(self) -> Connection:
        target = MEMORY if self.in_memory else f"file:{quote(self.path)}?mode={self._mode}"
        connection = sqlite3.connect(
            target,
            uri=not self.in_memory,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            _set_pragmas(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _run_group(self, group: list[Ticket]) -> None:
        durability = Durability.FULL if any(t.durability is Durability.FULL for t in group) else Durability.NORMAL
        connection = None
        try:
            connection = self._writer(durability)
            self._begin(connection)
            _run_operations(connection, group)
            connection.execute("COMMIT")
            self.verify()
        except BaseException as error:
            if connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")
            ours = translate(error, self.path) if isinstance(error, sqlite3.Error) else error
            for ticket in group:
                ticket.error = ours
        else:
            self._tend_log(connection)

    def _begin(self, connection: Connection) -> None:
        """BEGIN IMMEDIATE: at once if it can be, else in the queue at the side file.

        SQLite's own busy handler starves: of two writers one had 1,772 turns, the other 1. Only the head of
        the queue asks the database again and again.
        """
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        if self._side is None:
            self._begin_patiently(connection)
            return
        with self._side.turn():
            self._begin_patiently(connection)

    def _begin_patiently(self, connection: Connection) -> None:
        for _ in self._pauses():
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
        connection.execute("BEGIN IMMEDIATE")

    def _pauses(self) -> Iterator[None]:
        """Short sleeps until patience ends; without a queue to stand in, uneven ones."""
        deadline = self._clock.monotonic() + _PATIENCE
        base = 0.0005 if self.durability is Durability.FULL else 0.00005
        while self._clock.monotonic() < deadline:
            self._clock.sleep(base if self._side is not None else random.uniform(base, 10 * base))
            yield

    def _tend_log(self, connection: Connection) -> None:
        """Checkpoint now and then, where SQLite's own automatic is off."""
        self._commits += 1
        if self.in_memory or not opening.carries_reset_fault():
            return
        if self._commits % 16 and self._commits < _COMMITS_BETWEEN_CHECKPOINTS:
            return
        try:
            size = os.stat(f"{self.path}-wal").st_size
            if self._commits >= _COMMITS_BETWEEN_CHECKPOINTS or size > self._known_wal + _WAL_GROWTH:
                self._checkpoint(connection)
                self._warn_of_growth(size)
                self._commits = 0
        except (OSError, sqlite3.Error) as error:
            # What was committed is safe in the log; only its copying has to wait.
            log.warning("%s: the write-ahead log could not be checkpointed: %s", self.path, error)

    def _checkpoint(self, connection: Connection) -> None:
        """Copy the log into the file while we hold the write lock.

        A checkpoint that overlaps a writer's reset of the log damages the file before SQLite 3.51.3, and
        RESTART silently becomes PASSIVE when it does not get the write lock. So one connection of ours
        holds the lock, where no writer can reset anything, and another one copies.
        """
        copier = self._connect()
        try:
            self._begin(connection)
            try:
                copier.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            finally:
                connection.execute("ROLLBACK")
        finally:
            copier.close()

    def _warn_of_growth(self, size: int) -> None:
        if size > max(_WAL_WARNING, 2 * self._known_wal):
            log.warning(
                "%s-wal has grown to %d MB: a reader that stays open keeps it from being reused; "
                "look for a program with an unfinished SELECT",
                self.path,
                size >> 20,
            )
        self._known_wal = max(size, self._known_wal if size > _WAL_LIMIT else 0)

    def _after_fork(self) -> None:
        """In a forked child: let the parent's connections be, and start afresh.

        Closing an inherited connection would work on the parent's locks and log, so not even the
        interpreter's end may free them.
        """
        for connection in [c for _, c in self._readers] + list(self._writers.values()):
            _immortal(connection)
        self.hints.close()
        if self._side is not None:
            self._side.close()
        if self.in_memory:
            self._closed = True
        self._reset()
        if not self.in_memory:
            self._side = self._open_side_file()


def _run_operations(connection: Connection, group: list[Ticket]) -> None:
    if len(group) == 1 and group[0].operation is not None:
        group[0].result = group[0].operation(connection)
        return
    for ticket in group:
        try:
            with _savepoint(connection):
                ticket.result = ticket.operation(connection) if ticket.operation else None
        except sqlite3.Error as error:
            if not connection.in_transaction:
                raise  # a full disk ends the whole transaction, and with it every neighbour's work
            ticket.error = translate(error, "the queue")
        except Exception as error:  # goes to the ticket's owner, never to its neighbours
            ticket.error = error


@contextmanager
def _savepoint(connection: Connection) -> Iterator[None]:
    connection.execute("SAVEPOINT litequeue_operation")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO litequeue_operation")
            connection.execute("RELEASE litequeue_operation")
        raise
    connection.execute("RELEASE litequeue_operation")


def _run_plain(operation: Callable[[Connection], T], connection: Connection) -> T:
    """Run an operation of ours on a connection whose row factory belongs to somebody else."""
    factories = connection.row_factory, connection.text_factory
    connection.row_factory, connection.text_factory = None, str
    try:
        return operation(connection)
    finally:
        connection.row_factory, connection.text_factory = factories


def run_on_foreign(database: Database, connection: Connection, operation: Callable[[Connection], T]) -> T:
    """Run an operation inside the transaction of the caller's own connection to the same file."""
    if not database.is_same_file(connection):
        raise errors.InvalidOption(
            f"the connection is not one to {database.path}; open it with sqlite3.connect on that path"
        )
    with translated(database.path):
        if not connection.in_transaction and connection.isolation_level is not None:
            connection.execute("BEGIN IMMEDIATE")
        return _run_plain(operation, connection)


def _set_pragmas(connection: Connection) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA secure_delete = OFF").fetchall()
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}").fetchall()
    connection.execute("PRAGMA mmap_size = 0").fetchall()
    if opening.carries_reset_fault():
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")


def _set_synchronous(connection: Connection, durability: Durability) -> None:
    connection.execute(f"PRAGMA synchronous = {durability.name}")


@cache
def _inherited_watch() -> weakref.WeakSet[Database]:
    """The open databases; a child that was forked lets go of each before it runs anything else."""
    watched: weakref.WeakSet[Database] = weakref.WeakSet()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: [database._after_fork() for database in list(watched)])
    return watched


def _immortal(connection: Connection) -> None:
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
