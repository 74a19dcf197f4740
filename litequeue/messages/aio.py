"""The face of a lane for coroutines: what `asyncio.Queue` has, and an event loop that waits for no disk.

Each call goes to a thread and back. One that is cancelled on its way is undone there.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import Empty, Full, LiteQueueError, NotAllowed, QueueClosed, ShutDown
from ..job import Complete, Release
from ..log import log
from ..options import Duration
from .holding import Taker
from .lane import Lane, lane_of
from .line import Line
from .message import Message

if TYPE_CHECKING:
    from .messages import Messages

T = TypeVar("T")
R = TypeVar("R")


class AsyncFull(Full, asyncio.QueueFull):
    """`Full` for coroutines: an `asyncio.QueueFull`, too."""


class AsyncEmpty(Empty, asyncio.QueueEmpty):
    """`Empty` for coroutines: an `asyncio.QueueEmpty`, too."""


if sys.version_info >= (3, 13):

    class AsyncShutDown(ShutDown, asyncio.QueueShutDown):
        """`ShutDown` for coroutines: an `asyncio.QueueShutDown`, too."""

else:

    class AsyncShutDown(ShutDown):
        """`ShutDown` for coroutines; from Python 3.13 on an `asyncio.QueueShutDown`, too."""


class AsyncMessages(Generic[T]):
    """The messages of one lane, with the interface of `asyncio.Queue`.

    What is awaited never blocks the event loop. `put_nowait`, `get_nowait`, `qsize`, `empty` and `full` must
    answer at once, so they look into the file from where they are called.
    """

    def __init__(self, messages: Messages[T], lane: Lane) -> None:
        self._messages = messages
        self._queue, self._name = lane.queue, lane.name

    @property
    def _lane(self) -> Lane:
        """Of the file in which the queue lies now: a test may lend it another."""
        return lane_of(self._queue, self._name)

    async def put(self, item: T, *, priority: int = 0, delay: Duration = 0) -> int:
        """Store an item, waiting for room; the id of its message. Cancelled, it stores nothing.

        One that is cancelled while it is being written is taken back, unless somebody has got it by then.
        """
        attempt = self._messages.putting(item, priority, delay)
        return await self._until(self._lane.room, attempt, self._lane.withdraw)

    def put_nowait(self, item: T, *, priority: int = 0, delay: Duration = 0) -> int:
        """`put` here and now; raises `Full`."""
        with _as_asyncio_says():
            return self._messages.put_nowait(item, priority=priority, delay=delay)

    def get(self) -> Coroutine[Any, Any, T]:
        """The next item, waited for; `task_done()` must follow. Cancelled, it has taken nothing."""
        return self._get(_caller())  # who asks for it: `wait_for` may have another coroutine wait

    def get_nowait(self) -> T:
        """`get` here and now; raises `Empty`."""
        with _as_asyncio_says():
            return self._messages.take(False, None, _caller()).item

    async def claim(self) -> Message[T]:
        """`get` for a message that you settle by itself; its verbs wait for the disk, so use a thread."""
        message = await self._take()
        message.mind()
        return message

    async def _get(self, owner: object) -> T:
        message = await self._take()
        self._lane.holding.got.keep(message.lease, owner)
        return message.item

    async def __aiter__(self) -> AsyncIterator[T]:
        """What `get` gives, until the messages are shut down and none is ready."""
        while True:
            try:
                item = await self.get()
            except ShutDown:
                return
            yield item

    def task_done(self) -> None:
        """The oldest item that this coroutine has got is done, or else the oldest that this process has.

        It is written soon after; a crash before that gives the item back. Raises `ValueError` for none.
        """
        self._lane.finish(_caller(), lambda settlement: self._lane.pool.submit(self._complete, settlement))

    async def join(self) -> None:
        """Wait until no message of the lane waits or is held, in any process."""
        await self._until(self._lane.ends, self._messages.is_finished, lambda _: None)

    def shutdown(self, immediate: bool = False) -> None:
        """`Messages.shutdown`: the same object is shut."""
        self._messages.shutdown(immediate)

    @property
    def maxsize(self) -> int:
        """How many messages may wait; 0 is no bound."""
        return self._messages.maxsize

    def qsize(self) -> int:
        """How many messages wait."""
        return self._messages.qsize()

    def empty(self) -> bool:
        """Whether none waits."""
        return self._messages.empty()

    def full(self) -> bool:
        """Whether as many wait as `maxsize` allows."""
        return self._messages.full()

    def __repr__(self) -> str:
        return f"{self._messages!r}.aio"

    # --- inside -------------------------------------------------------------------------------------

    async def _until(self, line: Line, attempt: Callable[[], R | None], undo: Callable[[R], None]) -> R:
        """What `attempt` gives on a thread, tried whenever there may be something."""
        if self._lane.queue.in_transaction:
            raise NotAllowed("a coroutine can not wait inside a transaction; its thread would do so as well")
        with _as_asyncio_says():
            found = await self._on_thread(attempt, undo)
            if found is not None:
                return found
            called = asyncio.Event()
            with line.waiting(_waker(called)) as waiter:
                while True:
                    called.clear()
                    line.go_on(waiter)
                    found = await self._on_thread(partial(line.retry, attempt), undo)
                    if found is not None:
                        return found
                    await called.wait()

    async def _on_thread(self, work: Callable[[], R | None], undo: Callable[[R], None]) -> R | None:
        """What `work` gives; who is cancelled meanwhile waits until that is undone."""
        future = self._lane.pool.submit(work)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.cancel():
                await self._undone(future, undo)
            raise

    async def _undone(self, future: Future[R | None], undo: Callable[[R], None]) -> None:
        """Wait until it is undone, or was given back with all the rest because the queue was closed."""
        try:
            undone = self._lane.pool.submit(_undo, future, undo)
        except (QueueClosed, RuntimeError):
            return
        await asyncio.shield(asyncio.wrap_future(undone))

    async def _take(self) -> Message[T]:
        attempt = partial(self._messages.attempt, Taker())  # on a thread, where no signal strikes
        return await self._until(self._lane.arrivals, attempt, self._give_back)

    def _complete(self, settlement: Complete) -> None:
        self._lane.settle_soon(settlement)

    def _give_back(self, message: Message[T]) -> None:
        self._lane.settle_soon(Release(message.lease))


def _undo(future: Future[R | None], undo: Callable[[R], None]) -> None:
    """Undo what came of it when it has ended, which it does soon."""
    if future.exception() is None and (found := future.result()) is not None:
        try:
            undo(found)
        except LiteQueueError as error:
            log.warning("%r could not be taken back: %s", found, error)


def _waker(called: asyncio.Event) -> Callable[[], bool]:
    loop = asyncio.get_running_loop()

    def wake() -> bool:
        try:
            loop.call_soon_threadsafe(called.set)
        except RuntimeError:
            return False  # the loop was closed under the one who waited
        return True

    return wake


def _caller() -> object:
    """Whose turn it is: the coroutine's, or the thread's outside of any."""
    try:
        return asyncio.current_task() or threading.current_thread()
    except RuntimeError:
        return threading.current_thread()


@contextmanager
def _as_asyncio_says() -> Iterator[None]:
    """The same errors, such as who knows asyncio expects them."""
    try:
        yield
    except Full as error:
        raise AsyncFull(*error.args) from None
    except Empty as error:
        raise AsyncEmpty(*error.args) from None
    except ShutDown as error:
        raise AsyncShutDown(*error.args) from None
