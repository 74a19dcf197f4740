"""The face of a lane: what `queue.Queue` has, under the same names and with the same meaning."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

from ..clock import duration
from ..errors import Empty, EncodingError, Full, InvalidOption, LiteQueueError, NotAllowed, ShutDown, shown
from ..options import Duration
from ..retry import RetryOption, retry_policy
from .holding import Taker
from .lane import Lane, lane_of
from .message import Message

if TYPE_CHECKING:
    from ..queue import Queue
    from .aio import AsyncMessages
    from .line import Line

T = TypeVar("T")
R = TypeVar("R")
_MOST = 1 << 62


class Messages(Generic[T]):
    """The messages of one lane: `queue.Queue`, but durable and shared by processes.

    At most `maxsize` messages wait, 0 being no bound. What `get` returned is leased to this process until
    `task_done()`, and comes back when the process ends or dies before that. Made by `Queue.messages`.
    """

    def __init__(self, lane: Lane, maxsize: int, retry: RetryOption) -> None:
        if type(maxsize) is not int or maxsize > _MOST:
            raise InvalidOption(f"maxsize is {shown(maxsize)}; give a whole number, 0 for no bound")
        self.maxsize = maxsize
        self._shut: WeakSet[Lane] = WeakSet()  # by the file in which the queue lay: each test has its own
        self._cut: WeakSet[Lane] = WeakSet()
        self._retry = retry
        self._policy = retry_policy(retry)
        self._queue, self._name = lane.queue, lane.name

    @property
    def _lane(self) -> Lane:
        """Of the file in which the queue lies now: a test may lend it another."""
        return lane_of(self._queue, self._name)

    # --- putting ------------------------------------------------------------------------------------

    def put(
        self,
        item: T,
        block: bool = True,
        timeout: Duration | None = None,
        *,
        priority: int = 0,
        delay: Duration = 0,
    ) -> int:
        """Store an item, when this returns for good; the id of its message.

        While `maxsize` messages wait it waits for room, at most `timeout` seconds, and then raises `Full`.
        Higher priorities are got first; with `delay` it is got after so many seconds. Raises `ShutDown`.
        """
        attempt = self.putting(item, priority, delay)
        id = self._until(self._lane.room, attempt, block, timeout)
        if id is None:
            raise Full(f"{self.maxsize:,} messages wait in {self._lane.name!r}, and that is its maxsize")
        return id

    def put_nowait(self, item: T, *, priority: int = 0, delay: Duration = 0) -> int:
        """`put` without waiting for room."""
        return self.put(item, False, priority=priority, delay=delay)

    # --- getting ------------------------------------------------------------------------------------

    def get(self, block: bool = True, timeout: Duration | None = None) -> T:
        """The next item: higher priority first, then first come. `task_done()` must follow.

        Waits for one, at most `timeout` seconds, and then raises `Empty`; once shut down, `ShutDown` at once.
        """
        return self.take(block, timeout, threading.current_thread()).item

    def get_nowait(self) -> T:
        """`get` without waiting for an item."""
        return self.get(False)

    def claim(self, block: bool = True, timeout: Duration | None = None) -> Message[T]:
        """`get` for a message that you settle by itself, best by `with`; it needs no `task_done()`."""
        return self.take(block, timeout)

    def __iter__(self) -> Iterator[T]:
        """What `get` gives, until this object is shut down and no message is ready."""
        while True:
            try:
                item = self.get()
            except ShutDown:
                return
            yield item

    # --- ending -------------------------------------------------------------------------------------

    def task_done(self) -> None:
        """The oldest item that this thread has got is done, or else the oldest that this process has.

        Raises `ValueError` when none is left, `LeaseLost` when it went to others meanwhile.
        """
        if self._lane.queue.in_transaction:
            raise NotAllowed("task_done() is not undone by a transaction; use claim(), and complete() inside")
        self._lane.finish(threading.current_thread(), self._lane.settle)

    def join(self) -> None:
        """Wait until no message of the lane waits or is held, in any process."""
        if self._until(self._lane.ends, self.is_finished, True, None) is None:
            raise NotAllowed("join() would wait for ever inside a transaction, which shuts all others out")

    def shutdown(self, immediate: bool = False) -> None:
        """Let `put` raise `ShutDown` from now on, and `get` when none is ready; all who wait are woken.

        This object alone is shut, not the lane in the file: the next program finds it open, and there what
        was not ready by then. With `immediate` all that waits there is discarded, for everybody: the messages
        end as cancelled.
        """
        lane = self._lane
        self._shut.add(lane)
        if immediate:
            self._cut.add(lane)
            lane.discard()
        lane.call_all()

    @property
    def is_shutdown(self) -> bool:
        """Whether this object is shut."""
        return self._lane in self._shut

    # --- looking ------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the lane."""
        return self._lane.name

    @property
    def unfinished_tasks(self) -> int:
        """How many messages of the lane wait or are held, in any process."""
        return self._lane.unfinished()

    def qsize(self) -> int:
        """How many messages wait, those that are not due yet among them."""
        return self._lane.waiting()

    def empty(self) -> bool:
        """Whether none waits."""
        return self._lane.waiting(1) == 0

    def full(self) -> bool:
        """Whether as many wait as `maxsize` allows."""
        return 0 < self.maxsize <= self._lane.waiting(self.maxsize)

    @property
    def aio(self) -> AsyncMessages[T]:
        """The same for coroutines: what `asyncio.Queue` has."""
        from .aio import AsyncMessages

        return AsyncMessages(self, self._lane)

    def __repr__(self) -> str:
        return f"<Messages {self._lane.name!r} in {self._lane.queue.path}, maxsize={self.maxsize}>"

    def __reduce__(self) -> tuple[Callable[..., Messages[Any]], tuple[object, ...]]:
        return _opened_anew, (self._lane.queue, self._lane.name, self.maxsize, self._retry)

    # --- inside -------------------------------------------------------------------------------------

    def _until(
        self, line: Line, attempt: Callable[[], R | None], block: bool, timeout: Duration | None
    ) -> R | None:
        limit = duration(timeout, "timeout") if block and timeout is not None else None
        found = attempt()
        if found is not None or not block:
            return found
        if self._lane.queue.in_transaction:  # nobody else could write what this waits for
            return None
        return line.wait(attempt, self._lane.queue.clock, limit)

    def putting(self, item: T, priority: int, delay: Duration) -> Callable[[], int | None]:
        """What stores an item if there is room, and gives the id of its message then."""
        new = self._lane.new(item, priority, delay)

        def attempt() -> int | None:
            self._require_running()
            return self._lane.put(new, self.maxsize)

        return attempt

    def take(self, block: bool, timeout: Duration | None, owner: object = None) -> Message[T]:
        """The next message, waited for, which is kept for its owner if there is one; nothing if it fails."""
        lane, taker, message = self._lane, Taker(), None
        try:
            message = self._until(lane.arrivals, partial(self.attempt, taker), block, timeout)
            if message is None:
                raise Empty(f"no message is ready in {lane.name!r}")
            if owner is None:
                message.mind()
            else:
                lane.holding.got.keep(message.lease, owner)
            return message
        except LiteQueueError:
            raise
        except BaseException:  # a signal has struck, maybe when it was ours in the file
            if message is not None:
                lane.holding.got.forget(message.lease)
            lane.give_back_taken(taker)
            raise

    def attempt(self, taker: Taker) -> Message[T] | None:
        """The next message, if one is ready."""
        if self._lane in self._cut:
            self._require_running()
        if self._lane.queue.in_transaction:
            raise NotAllowed("a message is not got inside a transaction; claim it before, complete it inside")
        while (claimed := self._lane.claim(taker)) is not None:
            try:
                item: Any = self._lane.item(claimed)
            except EncodingError as error:
                self._lane.reject(claimed.lease, error)
            else:
                return Message(self._lane, claimed, item, self._policy)
        self._require_running()
        return None

    def is_finished(self) -> bool | None:
        """True when no message of the lane waits or is held."""
        return True if self._lane.unfinished(1) == 0 else None

    def _require_running(self) -> None:
        if self.is_shutdown:
            raise ShutDown(f"{self._lane.name!r} was shut down here; ask the queue for its messages anew")


def _opened_anew(queue: Queue, name: str, maxsize: int, retry: RetryOption) -> Messages[Any]:
    """Messages that were sent to this process."""
    return queue.messages(name, maxsize, retry=retry)
