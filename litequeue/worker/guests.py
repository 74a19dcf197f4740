"""Coroutines on an event loop that belongs to the program, which may end it at any moment."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Literal, TypeVar

from ..job import Lease
from .coroutines import Coroutines
from .outcome import Assignment

T = TypeVar("T")


class Guests(Coroutines):
    """Runs assignments as tasks of the event loop `host`.

    Whoever ends the loop, as `asyncio.run` does, cancels all its tasks. While any of ours runs, one more is
    there, a canary that does nothing: if that was cancelled, all were. Then what ran is given back, by
    `give_back` what has not begun, and no other begins.
    """

    def __init__(
        self,
        work: Callable[[Assignment], Awaitable[None]],
        host: asyncio.AbstractEventLoop,
        give_back: Callable[[list[Assignment]], None],
    ) -> None:
        super().__init__(work)
        self._loop = self._host = host
        self._give_back = give_back
        self._canary: asyncio.Task[Literal[True]] | None = None
        self._is_evicted = False

    @property
    def is_evicted(self) -> bool:
        """Whether the loop was ended by its owner."""
        return self._is_evicted or self._host.is_closed()

    def put(self, assignments: list[Assignment]) -> None:
        """Start assignments on the loop, or give them back if it is closed."""
        try:
            self._host.call_soon_threadsafe(self._start, assignments)
        except RuntimeError:
            self._evict(assignments)

    def cancel(self, lease: Lease) -> None:
        """Cancel the coroutine of an attempt, if it has begun."""
        with suppress(RuntimeError):  # the loop is closed
            super().cancel(lease)

    def close(self, seconds: float) -> None:
        """Cancel what still runs, and wait for it at most `seconds`; the loop goes on without us."""
        ending = self._end()
        try:
            asyncio.run_coroutine_threadsafe(ending, self._host).result(seconds)
        except TimeoutError:
            return  # it does not end, or the loop does not run
        except RuntimeError:  # the loop is closed
            ending.close()

    def heed_eviction(self) -> bool:
        """Whether all tasks of the loop were cancelled, and not one of ours alone; asked on the loop."""
        if self._canary is not None and self._canary.cancelling():
            self._is_evicted = True
        return self.is_evicted

    async def _end(self) -> None:
        await self._cancel_all(self._kept)

    def _start(self, assignments: list[Assignment]) -> None:
        if self.heed_eviction():
            self._evict(assignments)
            return
        if self._canary is None:
            self._canary = self._host.create_task(asyncio.Event().wait(), name="litequeue-canary")
        super()._start(assignments)

    def _ended(self, assignment: Assignment, task: asyncio.Task[None]) -> None:
        self.heed_eviction()
        super()._ended(assignment, task)
        if self._canary is not None and not self._kept:
            self._canary.cancel()
            self._canary = None  # or its end would look like that of the loop

    def _evict(self, assignments: list[Assignment]) -> None:
        self._is_evicted = True
        self._give_back(assignments)


async def aside(function: Callable[[], T]) -> T:
    """What the function returns, run on a thread and waited for, even by who is cancelled meanwhile."""
    return await _outlast(asyncio.get_running_loop().run_in_executor(None, function))


async def apart(function: Callable[[], T], on_cancel: Callable[[], None] | None = None) -> T:
    """As `aside`, for a function that waits for what runs on the loop, which may need the loop's threads."""
    ending: Future[T] = Future()
    threading.Thread(target=_fulfil, args=(ending, function), name="litequeue-apart", daemon=True).start()
    return await _outlast(asyncio.wrap_future(ending), on_cancel)


def _fulfil(ending: Future[T], function: Callable[[], T]) -> None:
    try:
        result = function()
    except BaseException as error:  # raised where it is waited for
        ending.set_exception(error)
    else:
        ending.set_result(result)


async def _outlast(ending: asyncio.Future[T], on_cancel: Callable[[], None] | None = None) -> T:
    """Wait for a future that is no task, so that who cancels all tasks leaves it alone."""
    cancelled: asyncio.CancelledError | None = None
    while not ending.done():
        try:
            await asyncio.wait([ending])
        except asyncio.CancelledError as error:
            cancelled = error
            if on_cancel is not None:
                on_cancel()
    if cancelled is not None:
        raise cancelled
    return ending.result()
