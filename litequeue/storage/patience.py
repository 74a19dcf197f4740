"""Waiting for a file that somebody else has locked."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from sqlite3 import Connection
from typing import TypeVar

from ..clock import SECOND, SystemClock
from .gate import Durability
from .sidefile import SideFile
from .translate import is_busy

T = TypeVar("T")
_LONGEST = 60 * SECOND
_OF_A_PROBE = 2 * SECOND
_AT_THE_HEAD = 5 * SECOND
_LONG_PAUSES = (0.001, 0.01)


class Patience:
    """Begins write transactions: at once if it can be, else in the queue at the side file.

    SQLite's own busy handler starves: of two writers one had 1,772 turns, the other 1. Only the head of the
    queue asks the database again and again. Patience ends a minute after the file was first refused, wherever
    that was spent: who comes to the head later than that asks once more and gives up, so that a file which
    somebody keeps locked costs each a minute, and not the last of ten all ten. A head that is refused for
    seconds leaves the queue and asks from beside it: stopped at the head, by Ctrl-Z or with its container, it
    would hold up all others for ever. A probe waits for seconds, and never stands in the queue.
    """

    def __init__(self, side: SideFile | None, durability: Durability, *, is_probe: bool = False) -> None:
        self._side = None if is_probe else side
        self._is_probe = is_probe
        self._clock = SystemClock()
        self._refused_since: int | None = None
        # As long as the commit that is waited for usually takes.
        self._pause = 0.0005 if durability is Durability.FULL else 0.00005

    def now(self) -> int:
        """The instant from which on a wait that begins now is counted."""
        return self._clock.monotonic()

    def begin(self, connection: Connection, since: int | None = None) -> None:
        """BEGIN IMMEDIATE; raises the driver's error when patience ends."""
        self.first(connection, lambda: connection.execute("BEGIN IMMEDIATE"), since)

    def first(self, connection: Connection, action: Callable[[], T], since: int | None = None) -> T:
        """Do what begins a write transaction, and may be all of it; raises as `begin` does.

        Who has waited `since` for another thread has been refused the file for as long as that was.
        """
        if connection.in_transaction:
            connection.execute("ROLLBACK")  # only a signal in mid-rollback leaves one open
        try:
            done = action()
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            done = self._in_line(action, self._refused(since))
        self._refused_since = None
        return done

    def insist(self, action: Callable[[], T], since: int | None = None) -> T:
        """Do something again and again while another has the lock that it needs."""
        return self._ask(action, self._until(since), (self._pause, 10 * self._pause))

    def _refused(self, since: int | None) -> int:
        now = self.now()
        if self._refused_since is None:
            self._refused_since = now
        return now if since is None else max(since, self._refused_since)

    def _in_line(self, action: Callable[[], T], since: int) -> T:
        if self._side is None:
            return self.insist(action, since)
        try:
            return self._side.in_turn(lambda: self._ask_as_head(action, since))
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        return self._ask(action, self._until(since), _LONG_PAUSES)

    def _ask_as_head(self, action: Callable[[], T], since: int) -> T:
        until = min(self._until(since), self.now() + _AT_THE_HEAD)
        return self._ask(action, until, (self._pause, self._pause))

    def _ask(self, action: Callable[[], T], until: int, pauses: tuple[float, float]) -> T:
        while self.now() < until:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
            self._clock.sleep(random.uniform(*pauses))
        return action()

    def _until(self, since: int | None) -> int:
        return (self.now() if since is None else since) + (_OF_A_PROBE if self._is_probe else _LONGEST)
