"""One writer at a time per process: threads that arrive meanwhile share one transaction.

Whoever finds nobody leading leads: it runs all operations that wait in one transaction, lets their owners
go, and hands the lead to the first that has queued since. No thread of its own is needed, and alone it
costs next to nothing. Without the explicit hand-over a group holds two operations, not sixteen.

A signal or a time limit may strike a thread between any two instructions here. So what a ticket holds is
kept on the ticket or in one variable, and `leave`, which gives it all back, may be called again.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from sqlite3 import Connection
from typing import Any


class Durability(Enum):
    """Whether a commit is synced to the disk before it is reported."""

    FULL = "full"
    NORMAL = "normal"

    __hash__ = object.__hash__  # the enum's own is written in Python, and every write asks for it


@dataclass(slots=True, eq=False)
class Ticket:
    """One operation on its way through the gate; without one, the lead itself is wanted."""

    operation: Callable[[Connection], Any] | None = None
    durability: Durability = Durability.NORMAL
    is_single: bool = False  # one statement, which is a transaction by itself
    result: Any = None
    error: BaseException | None = None
    done: bool = False  # another ticket led, and ran this one's operation
    gone: bool = False  # its owner no longer waits
    settled: bool = False  # it led, and its group is committed or has its errors
    group: list[Ticket] = field(default_factory=list)
    signal: threading.Lock | None = None
    thread: int = 0  # that entered with it
    since: int | None = None  # when it began to wait for another


class Gate:
    """Groups the writes of threads.

    `run` gets the ticket that leads and runs its operation and those of its `group`; it fills in results and
    errors and then sets `settled`. Without that the others of the group are run again.
    """

    def __init__(self, run: Callable[[Ticket], None], now: Callable[[], int]) -> None:
        self._run = run
        self._now = now
        self._mutex = threading.Lock()
        self._waiting: deque[Ticket] = deque()
        self._leader: Ticket | None = None
        self._inside: set[int] = set()

    def is_inside(self, thread: int) -> bool:
        """Whether this thread is on its way through the gate, so that it would wait for itself.

        Or for another that never comes: the end of the interpreter freezes threads where they are.
        """
        return thread in self._inside or (bool(self._inside) and sys.is_finalizing())

    def pass_through(self, ticket: Ticket) -> Any:
        """Run the ticket's operation, alone or in a group; returns its result or raises its error."""
        try:
            try:
                self.enter(ticket)
                if not ticket.done:
                    if self._waiting:
                        self._take_group(ticket)
                    self._run(ticket)
            finally:
                self.leave(ticket)
        except BaseException:
            self.leave(ticket)  # again, in case it was `leave` that a signal struck
            raise
        if ticket.error is not None:
            raise ticket.error
        return ticket.result

    def alone(self, work: Callable[[], None]) -> None:
        """Do what only one may do at a time; an error leaves nothing held, whoever keeps it."""
        ticket = Ticket()
        try:
            try:
                self.enter(ticket)
                work()
            finally:
                self.leave(ticket)
        except BaseException:
            self.leave(ticket)  # again, in case it was `leave` that was struck
            raise

    def enter(self, ticket: Ticket, seconds: float = -1) -> bool:
        """Wait for the lead, or for another to run the ticket's operation; `leave` must follow.

        False when neither came within `seconds`; less than 0 is no limit.
        """
        ticket.thread = threading.get_ident()
        self._inside.add(ticket.thread)
        with self._mutex:
            if self._leader is None:
                self._leader = ticket
                return True
            ticket.since = self._now()
            ticket.signal = threading.Lock()
            ticket.signal.acquire()
            self._waiting.append(ticket)
        return ticket.signal.acquire(timeout=seconds)

    def leave(self, ticket: Ticket) -> None:
        """Hand on what the ticket holds; any thread may call it, and again."""
        with self._mutex:
            ticket.gone = True
            if ticket.group:
                self._give_back_group(ticket)
            if self._leader is ticket:
                self._leader = self._heir() if self._waiting else None
            if self._leader is not None:
                _wake(self._leader)
        self._inside.discard(ticket.thread)

    def _heir(self) -> Ticket | None:
        while self._waiting and self._waiting[0].gone:
            self._waiting.popleft()
        return self._waiting[0] if self._waiting else None

    def _take_group(self, leader: Ticket) -> None:
        with self._mutex:
            while self._waiting:
                head = self._waiting[0]
                if head is not leader and not head.gone:
                    if head.operation is None:
                        break
                    leader.group.append(head)
                self._waiting.popleft()

    def _give_back_group(self, leader: Ticket) -> None:
        for ticket in reversed(leader.group):
            if leader.settled:
                ticket.done = True
                _wake(ticket)
            elif ticket not in self._waiting:
                self._waiting.appendleft(ticket)
        leader.group = []


def strictest(group: Sequence[Ticket]) -> Durability:
    """What all of these are content with."""
    return Durability.FULL if any(t.durability is Durability.FULL for t in group) else Durability.NORMAL


def fail(leader: Ticket, error: Callable[[], Exception], *, alone: bool) -> None:
    """Give an error to the leader, which may be alone with it, or to its whole group."""
    for ticket in [leader] if alone else [leader, *leader.group]:
        ticket.error = error()
    leader.settled = not alone


def _wake(ticket: Ticket) -> None:
    if ticket.signal is not None and ticket.signal.locked():
        ticket.signal.release()
