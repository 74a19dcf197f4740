"""The transaction that a task writes through, and that its completion commits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from sqlite3 import Connection
from typing import Any

from ..errors import DatabaseError, LiteQueueError
from ..storage.database import Database
from ..storage.transactions import Lent, is_inside, put_away
from ..tasks import Task


class TaskTransaction:
    """Opened by the task, ended by the loop: committed with the completion, or rolled back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._last: Connection | None = None
        self._joined: ExitStack | None = None
        self._lent: Lent | None = None
        self._lock = threading.Lock()
        self._spoiled = False
        self.aborted = False

    @property
    def is_open(self) -> bool:
        """Whether the task opened it and it was not ended since."""
        return self._connection is not None

    @contextmanager
    def __call__(self) -> Iterator[Connection]:
        """The connection, inside BEGIN IMMEDIATE until the task returns; a second call gives it again."""
        if self._spoiled:
            raise LiteQueueError("the transaction of this job was rolled back; it can not be opened again")
        if self._connection is None:
            self._connection = self._last = self._database.begin()
            self._joined = ExitStack()
            self._lent = self._joined.enter_context(self._database.joining(self._connection))
        try:
            yield self._connection
        except BaseException:
            self._spoiled = True
            self.leave()
            self.roll_back()
            raise

    def leave(self) -> None:
        """The task has returned: its thread no longer writes through it."""
        if self._joined is not None:
            self._joined.close()
        if self._lent is not None:
            put_away(self._lent)

    def abort(self) -> None:
        """Roll back under the hands of a task that hangs."""
        self._spoiled = True
        if self._connection is not None and self._lent is not None:
            self.aborted = True
            self._lent.is_taken = True
        self.roll_back()

    def roll_back(self) -> None:
        """Roll back, unless it had ended already."""
        connection = self._take()
        if connection is not None:
            self._database.finish(connection, commit=False)

    def end(self, decide: Callable[[Connection], bool]) -> bool:
        """Commit if `decide` says so, else roll back; False also when it had ended already.

        Raises `DatabaseError` when the task had ended it by itself.
        """
        connection = self._take()
        if connection is None:
            return False
        commit = False
        try:
            if not is_inside(connection):
                raise DatabaseError(
                    "the task itself ended its transaction, so its completion can not be part of it; "
                    "leave COMMIT and ROLLBACK to litequeue, and the connection open"
                )
            commit = decide(connection)
        finally:
            self._database.finish(connection, commit=commit)
        return commit

    def abandon(self) -> None:
        """Roll back unless it is over, for one whom a signal struck while he ended it."""
        if self._last is not None:
            self._database.abandon(self._last)

    def _take(self) -> Connection | None:
        with self._lock:
            connection, self._connection = self._connection, None
        return connection


class NoTransaction:
    """In its place for a coroutine, which would hold the write lock across its awaits."""

    is_open = False

    def __call__(self) -> AbstractContextManager[Connection]:
        """Refuse, with the reason."""
        raise LiteQueueError(
            "current_job().transaction() is not there in an `async def` task: while it awaits, every other "
            "task of the event loop that writes would wait for it for ever; use a plain function"
        )

    def leave(self) -> None:
        """There is nothing to leave."""

    def abandon(self) -> None:
        """Nor to abandon."""


def transaction_for(task: Task[..., Any], database: Database) -> TaskTransaction | NoTransaction:
    """The transaction that an attempt of this task may open."""
    return NoTransaction() if task.is_async else TaskTransaction(database)
