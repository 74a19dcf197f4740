"""A reading connection per thread, so that a read never waits for a write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Reader:
    connection: Connection
    thread: threading.Thread = field(default_factory=threading.current_thread)
    lock: AbstractContextManager[bool] = field(default_factory=threading.RLock)
    closed: bool = False

    def close(self) -> None:
        with self.lock:
            self.closed = True
            self.connection.close()


class Readers:
    """Makes the connections with `connect` when they are wanted."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._local = threading.local()
        self._mutex = threading.RLock()  # a signal's handler may come in between
        self._readers: list[_Reader] = []

    def run(self, operation: Callable[[Connection], T]) -> T:
        """Run an operation on this thread's connection."""
        while True:
            reader: _Reader | None = getattr(self._local, "reader", None)
            if reader is None or reader.closed:
                reader = self._local.reader = self._add()
            with reader.lock:
                if not reader.closed:
                    return operation(reader.connection)

    def close(self) -> None:
        """Close all of them, each when it is not in use; a later read gets a new one."""
        with self._mutex:
            self._close_all()

    def freeze(self) -> None:
        """As `close`; until `thaw` no read gets a new one."""
        self._mutex.acquire()
        self._close_all()

    def thaw(self) -> None:
        """Let reads go on; it may be called again."""
        with suppress(RuntimeError):  # they do
            self._mutex.release()

    @property
    def connections(self) -> list[Connection]:
        """Those that are open."""
        return [reader.connection for reader in self._readers]

    def _close_all(self) -> None:
        for reader in self._readers:
            reader.close()
        self._readers = []

    def _add(self) -> _Reader:
        with self._mutex:  # while a process forks, nobody may be making a connection
            for reader in self._readers:
                if not reader.thread.is_alive():
                    reader.close()
            reader = _Reader(self._make())
            self._readers = [each for each in self._readers if not each.closed] + [reader]
        return reader

    def _make(self) -> Connection:
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA busy_timeout = 10000")  # readers wait only for a recovery
        return connection
