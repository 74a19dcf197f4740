"""Transactions in parts, nested, or on a connection that belongs to the caller."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import TYPE_CHECKING, TypeVar

from .. import errors
from . import opening
from .gate import Ticket
from .rows import readable
from .translate import translate, translated

if TYPE_CHECKING:
    from .database import Database

T = TypeVar("T")
_LONGEST_STATEMENT = 0.05  # seconds


@dataclass(slots=True, eq=False)
class Lent:
    """A transaction that is lent out, the lead at the gate that it keeps, and the thread that is in it."""

    ticket: Ticket
    identity: tuple[int, int] | None  # of the file; None in memory
    thread: int = field(default_factory=threading.get_ident)
    connection: Connection | None = None
    ended: bool = False
    is_taken: bool = False  # rolled back under the hands of the block that writes through it
    afterwards: list[Callable[[], None]] = field(default_factory=list)  # called when it was committed


_entered: ContextVar[Lent | None] = ContextVar("litequeue_entered", default=None)


@contextmanager
def entering(lent: Lent) -> Iterator[None]:
    """Within the block this thread is in the transaction."""
    lent.thread = threading.get_ident()
    token = _entered.set(lent)
    try:
        yield
    finally:
        if _entered.get() is lent:  # in another context when a generator that was struck is freed there
            _entered.reset(token)


def entered() -> Lent | None:
    """The transaction that this thread is in, of whatever file, unless it is over and was left."""
    lent = _entered.get()
    if lent is None or (lent.ended and not lent.is_taken) or lent.thread != threading.get_ident():
        return None
    return lent


def connection_of(lent: Lent, path: str) -> Connection | None:
    """Its connection. Raises `DatabaseError` when it was rolled back under the hands of its block.

    What the block goes on to write must not be stored by itself.
    """
    if lent.is_taken:
        raise errors.DatabaseError(
            f"{path}: the transaction of this block was rolled back, because the worker stopped or lost the "
            "job; leave the block"
        )
    return lent.connection


def run_on_foreign(
    path: str, identity: tuple[int, int], connection: Connection, operation: Callable[[Connection], T]
) -> T:
    """Run an operation inside the transaction of the caller's connection to the file of this identity.

    A connection that begins transactions by itself is given one, which the caller's `commit()` ends. One
    that is in autocommit mode with none open gets the operation as a transaction of its own.
    """
    _require_file(path, identity, connection)
    with translated(path):
        if connection.in_transaction:
            return _run_apart(connection, operation)
        connection.execute("BEGIN IMMEDIATE")
        if begins_by_itself(connection):
            return _run_apart(connection, operation)
        with whole(connection):
            return run_plain(operation, connection)


@contextmanager
def through(database: Database, connection: Connection) -> Iterator[None]:
    """Within the block this thread reads through the caller's connection, and sees what that has written."""
    _require_file(database.path, database.files.identity, connection)
    with entering(Lent(Ticket(), database.files.identity, connection=connection)):
        yield


def end(lent: Lent) -> None:
    """Roll back what was not committed, and close the connection, unless the file is in memory."""
    connection = lent.connection
    if connection is not None and not lent.ended:
        if lent.is_taken:
            _wrest(connection, is_shared=lent.identity is None)
        else:
            roll_back(connection)
        connection.row_factory, connection.text_factory = None, readable
        if lent.identity is not None and not lent.is_taken:
            connection.close()
    lent.ended = True  # only now: a signal may have this done again


def _wrest(connection: Connection, *, is_shared: bool) -> None:
    """Roll back while another thread may be in mid-statement, and let it write no more.

    To close the connection would crash the interpreter then. Only what does not end by itself is interrupted:
    that rolls back by itself, and beside an open cursor would interrupt all that we do, too.
    """
    hurry = threading.Timer(_LONGEST_STATEMENT, connection.interrupt)
    hurry.start()
    try:
        if not is_shared:
            connection.isolation_level = "IMMEDIATE"  # or a write after an interrupted one commits by itself
            connection.execute("PRAGMA query_only = ON")
        roll_back(connection)
    finally:
        hurry.cancel()


def put_away(lent: Lent) -> None:
    """Close what was rolled back under the hands of a block, now that it was left."""
    if lent.is_taken and lent.ended and lent.connection is not None and lent.identity is not None:
        lent.connection.close()


def forsake(lent: Lent) -> Connection | None:
    """Take it for over, in a child which must not touch its connection."""
    lent.ended = True
    return lent.connection


def afterwards(database: Database, call: Callable[[], None]) -> None:
    """Call when what this thread has written is committed, which is now if it is in no transaction."""
    lent = _joined(database)
    if lent is None:
        call()
    else:
        lent.afterwards.append(call)


def _joined(database: Database) -> Lent | None:
    return None if database.joined() is None else entered()


@contextmanager
def _part(database: Database) -> Iterator[None]:
    """What is undone when the block fails is not told afterwards, either."""
    lent = _joined(database)
    before = 0 if lent is None else len(lent.afterwards)
    try:
        yield
    except BaseException:
        if lent is not None:
            del lent.afterwards[before:]
        raise


@contextmanager
def lent(database: Database) -> Iterator[Connection]:
    """A write transaction that what this thread reads and writes in the block joins.

    Inside another one it is a part of that, undone alone when the block fails.
    """
    outer = database.joined()
    if outer is not None:
        with _part(database), savepoint(outer):
            yield outer
        return
    connection = database.begin()
    try:
        try:
            with database.joining(connection):
                yield connection
            database.finish(connection, commit=True)
        finally:
            database.abandon(connection)
    except BaseException:
        database.abandon(connection)  # again, in case it was this that a signal struck
        raise


def run_group(
    connection: Connection, group: Sequence[Ticket], ours: Callable[[Exception], Exception]
) -> None:
    """Run the operations of a group; the failure of one is its owner's, and never its neighbours'."""
    if len(group) == 1:
        group[0].result = _run(group[0], connection)
        return
    for ticket in group:
        ticket.error = None
        try:
            if ticket.is_single:  # if it fails, it undoes itself
                ticket.result = _run(ticket, connection)
                continue
            with savepoint(connection):
                ticket.result = _run(ticket, connection)
        except Exception as error:
            if not connection.in_transaction:
                raise  # a full disk ends the whole transaction, and with it every neighbour's work
            ticket.error = ours(error)


def _run(ticket: Ticket, connection: Connection) -> object:
    assert ticket.operation is not None
    return ticket.operation(connection)


def require_tables(connection: Connection, path: str) -> None:
    """Raise `InvalidOption` when the caller's open transaction keeps our tables from being made."""
    if not connection.in_transaction:
        return
    with translated(path):
        version = run_plain(lambda c: opening.stored_version(c, path), connection)
    if version != opening.SCHEMA_VERSION:
        found = "no queue yet" if version is None else f"a queue of version {version}"
        raise errors.InvalidOption(
            f"{path} holds {found}, and your open transaction keeps its tables from being made or upgraded; "
            "use the queue once before you begin, for example with queue.counts()"
        )


def require_begun(connection: Connection, path: str) -> None:
    """Raise `DatabaseError` when the block has itself ended the transaction that is to be committed."""
    if not connection.in_transaction:
        raise errors.DatabaseError(
            f"{path}: the transaction was ended inside its own block; leave COMMIT and ROLLBACK to litequeue"
        )


def begins_by_itself(connection: Connection) -> bool:
    """Whether the driver opens transactions on this connection, so that `commit()` ends them."""
    mode = getattr(connection, "autocommit", -1)  # Python 3.12; -1 stands for the older way
    return mode is False or (mode == -1 and connection.isolation_level is not None)


@contextmanager
def whole(connection: Connection) -> Iterator[None]:
    """Commit the open transaction at the end of the block, or roll it back."""
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """One and the same state of the file for all that is read in the block."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def roll_back(connection: Connection | None) -> None:
    """End the transaction that is open on the connection, if there is one."""
    if connection is not None and is_inside(connection):
        connection.execute("ROLLBACK")


def is_inside(connection: Connection) -> bool:
    """Whether a transaction is open on the connection, and not closed with it."""
    try:
        return connection.in_transaction
    except sqlite3.ProgrammingError:  # its owner has closed it
        return False


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo what the block did if it fails, and nothing else of its transaction."""
    connection.execute("SAVEPOINT litequeue_operation")
    try:
        yield
    except BaseException:
        if is_inside(connection):
            connection.execute("ROLLBACK TO litequeue_operation")
            connection.execute("RELEASE litequeue_operation")
        raise
    connection.execute("RELEASE litequeue_operation")


def run_plain(operation: Callable[[Connection], T], connection: Connection) -> T:
    """Run an operation of ours on a connection whose row factory belongs to somebody else."""
    factories = connection.row_factory, connection.text_factory
    connection.row_factory, connection.text_factory = None, readable
    try:
        return operation(connection)
    finally:
        connection.row_factory, connection.text_factory = factories


def _run_apart(connection: Connection, operation: Callable[[Connection], T]) -> T:
    with savepoint(connection):
        return run_plain(operation, connection)


def _require_file(path: str, identity: tuple[int, int], connection: Connection) -> None:
    try:
        file = _file_of(connection)
    except sqlite3.ProgrammingError as error:  # closed, or made by another thread
        raise errors.InvalidOption(f"the connection can not be used here: {error}") from error
    if file != identity:
        raise errors.InvalidOption(
            f"the connection is not one to {path}; open it with sqlite3.connect on that path"
        )


def _file_of(connection: Connection) -> tuple[int, int] | None:
    name = run_plain(lambda c: c.execute("PRAGMA database_list").fetchone()[2], connection)
    if not name:
        return None
    try:
        found = os.stat(name)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise translate(error, name) from error
    return found.st_dev, found.st_ino
