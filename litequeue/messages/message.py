"""One message that was claimed, to be settled by name or by a `with` block."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

from ..clock import duration
from ..errors import InvalidOption, LeaseLost, LiteQueueError, shown
from ..job import Claimed, Complete, Fail, Failure, Release, Settlement, Snoozed
from ..log import log
from ..retry import Retry, RetryFunction, next_delay
from ..storage.transactions import afterwards

if TYPE_CHECKING:
    from .lane import Lane

T = TypeVar("T")
_NOTHING: Callable[[], object] = bool  # which does nothing when it is called


class Message(Generic[T]):
    """A message that this process holds, until it is settled, or let go, or the process ends.

    `with` completes it at the end of the block. An exception there counts as a failed attempt: it comes back
    as the `retry` of its lane says, or has failed for good. What stops the program, such as Ctrl-C, gives it
    back at no cost.
    """

    def __init__(self, lane: Lane, claimed: Claimed, item: T, retry: Retry | RetryFunction) -> None:
        self.item = item
        self.id = claimed.lease.job
        self.attempt = claimed.lease.attempt
        self.priority = claimed.priority
        self.failures = claimed.failures
        self._lane = lane
        self.lease = claimed.lease
        self._retry = retry
        self._is_settled = False
        self._let_go = _NOTHING

    def complete(self) -> None:
        """It is done, and gone. Raises `LeaseLost` when it is not ours any more.

        In a `transaction()` of the queue it is done when that commits, together with what you write there.
        """
        self._settle(Complete(self.lease, keeps=False))

    def release(self, delay: float | timedelta = 0) -> None:
        """Give it back, for now or for in so many seconds; no failure is counted. Raises `LeaseLost`."""
        wait = duration(delay, "delay")
        run_at = self._lane.queue.clock.now() + wait
        self._settle(Snoozed(self.lease, run_at) if wait else Release(self.lease))

    def fail(self, reason: str) -> None:
        """It has failed for good, and stays in the file for `list` and `retry`. Raises `LeaseLost`."""
        if not isinstance(reason, str):
            raise InvalidOption(f"reason is {shown(reason)}; give a text")
        self._settle(Fail(self.lease, Failure("rejected", "Rejected", reason)))

    def __enter__(self) -> Message[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._is_settled:
            return
        try:
            self._end(error)
        except LiteQueueError:
            raise
        except BaseException:  # a signal has struck
            self._lane.give_back(self.lease)
            raise

    # Ctrl-C can strike just before a block begins and just after its last line; then it goes back by this.
    # It is all in C, because a Ctrl-C that struck in here would be lost.
    __del__ = property(attrgetter("_let_go"))

    def mind(self) -> None:
        """Give it back when it is let go without being settled."""
        self._let_go = self._lane.when_let_go(self.lease)

    def __repr__(self) -> str:
        return f"<Message {self.id} of {self._lane.name!r}, attempt {self.attempt}>"

    def _end(self, error: BaseException | None) -> None:
        if error is None:
            self.complete()
            return
        try:
            self._settle(self._fail(error) if isinstance(error, Exception) else Release(self.lease))
        except LeaseLost as lost:
            log.warning("%s", lost)  # the error of the block is the one to raise

    def _settle(self, settlement: Settlement) -> None:
        self._lane.settle(settlement)
        afterwards(self._lane.desk.database, self._note_end)

    def _note_end(self) -> None:
        self._is_settled = True
        self._let_go = _NOTHING

    def _fail(self, error: Exception) -> Fail:
        from ..worker.execution import failure_of

        try:
            delay = next_delay(self._retry, self.failures + 1, error, random.Random())
        except Exception:  # a retry function is the user's code too
            log.exception("message=%d: the retry function failed; no more tries", self.id)
            delay = None
        retry_at = None if delay is None else self._lane.queue.clock.now() + delay
        return Fail(self.lease, failure_of(error, "error"), retry_at)
