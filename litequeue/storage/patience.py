"""Waiting for a file that somebody else has locked."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from sqlite3 import Connection
from typing import TypeVar

from ..clock import SECOND, SystemClock
from .gate import Durability
from .sidefile import SideFile
from .translate import is_busy

T = TypeVar("T")
_LONGEST = 60 * SECOND


class Patience:
    """Begins write transactions: at once if it can be, else in the queue at the side file.

    SQLite's own busy handler starves: of two writers one had 1,772 turns, the other 1. Only the head of the
    queue asks the database again and again.
    """

    def __init__(self, side: SideFile | None, durability: Durability) -> None:
        self._side = side
        self._clock = SystemClock()
        # As long as the commit that is waited for usually takes.
        self._pause = 0.0005 if durability is Durability.FULL else 0.00005

    def begin(self, connection: Connection) -> None:
        """BEGIN IMMEDIATE; raises the driver's error when patience ends."""
        self.first(connection, lambda: connection.execute("BEGIN IMMEDIATE"))

    def first(self, connection: Connection, action: Callable[[], T]) -> T:
        """Do what begins a write transaction, and may be all of it; raises as `begin` does."""
        if connection.in_transaction:
            connection.execute("ROLLBACK")  # only a signal in mid-rollback leaves one open
        try:
            return action()
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        if self._side is None:
            return self.insist(action)
        return self._side.in_turn(lambda: self.insist(action))

    def insist(self, action: Callable[[], T]) -> T:
        """Do something again and again while another has the lock that it needs."""
        for _ in self._pauses():
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
        return action()

    def _pauses(self) -> Iterator[None]:
        """Short sleeps until patience ends; without a queue to stand in, uneven ones."""
        deadline = self._clock.monotonic() + _LONGEST
        yield
        while self._clock.monotonic() < deadline:
            shortest = self._pause
            self._clock.sleep(shortest if self._side else random.uniform(shortest, 10 * shortest))
            yield
