"""One writer at a time per process: threads that arrive meanwhile share one transaction.

Whoever finds nobody leading leads: it runs all operations that wait in one transaction, lets their owners
go, and hands the lead to the first that has queued since. No thread of its own is needed, and alone it
costs next to nothing. Without the explicit hand-over a group holds two operations, not sixteen.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from sqlite3 import Connection
from typing import Any


class Durability(Enum):
    """Whether a commit is synced to the disk before it is reported."""

    FULL = "full"
    NORMAL = "normal"


@dataclass(slots=True)
class Ticket:
    """One operation on its way through the gate; without one, the lead itself is wanted."""

    operation: Callable[[Connection], Any] | None
    durability: Durability = Durability.NORMAL
    result: Any = None
    error: BaseException | None = None
    done: bool = False
    leads: bool = False
    signal: threading.Lock | None = None


class Gate:
    """Groups the writes of threads; `run` gets each group and fills in results and errors."""

    def __init__(self, run: Callable[[list[Ticket]], None]) -> None:
        self._run = run
        self._mutex = threading.Lock()
        self._waiting: deque[Ticket] = deque()
        self._led = False

    def pass_through(self, ticket: Ticket) -> Any:
        """Run the ticket's operation, alone or in a group; returns its result or raises its error."""
        self._await_lead(ticket)
        if not ticket.done:
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        return ticket.result

    def enter(self) -> None:
        """Take the lead and keep it until `leave`."""
        self._await_lead(Ticket(None))

    def leave(self) -> None:
        """Hand the lead to the first that waits; any thread may call it for the one that entered."""
        with self._mutex:
            if not self._waiting:
                self._led = False
                return
            heir = self._waiting[0]
            heir.leads = True
            _wake(heir)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The lead, for the length of a block."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def _await_lead(self, ticket: Ticket) -> None:
        with self._mutex:
            if not self._led:
                self._led = True
                return
            ticket.signal = threading.Lock()
            ticket.signal.acquire()
            self._waiting.append(ticket)
        try:
            ticket.signal.acquire()
        except BaseException:
            self._abandon(ticket)
            raise
        if ticket.leads:
            with self._mutex:
                self._waiting.popleft()

    def _abandon(self, ticket: Ticket) -> None:
        """A signal interrupted the wait: the lead must not be left with somebody who is gone."""
        with self._mutex:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
        if ticket.leads:
            self.leave()

    def _lead(self, own: Ticket) -> None:
        group = [own, *self._take_group()]
        try:
            self._run(group)
        finally:
            for ticket in group[1:]:
                ticket.done = True
                _wake(ticket)
            self.leave()

    def _take_group(self) -> list[Ticket]:
        group: list[Ticket] = []
        with self._mutex:
            while self._waiting and self._waiting[0].operation is not None:
                group.append(self._waiting.popleft())
        return group


def _wake(ticket: Ticket) -> None:
    if ticket.signal is not None:
        ticket.signal.release()
