"""The event loop that runs `async def` tasks, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from ..job import Lease
from ..log import log
from .outcome import Assignment


class Coroutines:
    """Runs assignments as tasks of one event loop; the loop starts with the first of them.

    `work` runs one assignment and delivers its outcome.
    """

    def __init__(self, work: Callable[[Assignment], Awaitable[None]]) -> None:
        self._work = work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: dict[Lease, asyncio.Task[None]] = {}
        self._kept: set[asyncio.Task[None]] = set()
        self._unbegun: set[Lease] = set()
        self._is_closing = False
        self._is_over = False

    @property
    def is_evicted(self) -> bool:
        """Whether the loop does not let coroutines go on: never, for it is our own."""
        return False

    def put(self, assignments: list[Assignment]) -> None:
        """Start assignments on the loop."""
        loop = self._running_loop()
        loop.call_soon_threadsafe(self._start, assignments)

    def cancel(self, lease: Lease) -> None:
        """Cancel the coroutine of an attempt, if it has begun."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, lease)

    def current(self) -> Lease | None:
        """The attempt that the event loop is busy with at this moment; any thread may ask."""
        task = None if self._loop is None else asyncio.current_task(self._loop)
        return next((lease for lease, each in list(self._tasks.items()) if each is task), None)

    def heed_eviction(self) -> bool:
        """Whether an owner of the loop has cancelled all its tasks."""
        return self.is_evicted

    def close(self, seconds: float) -> None:
        """Cancel what still runs, and stop the loop, waiting for it at most `seconds`."""
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self._stop()))
        self._thread.join(seconds)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._serve, name="litequeue-asyncio", daemon=True)
            self._thread.start()
        return self._loop

    def _serve(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        try:
            while not self._is_over:
                self._run_on(self._loop)
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    def _run_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run it until a task has stopped it, or a SystemExit in what a task has started has ended it."""
        try:
            loop.run_forever()
        except BaseException:
            log.exception("something that a task has started ended the event loop; it goes on")

    def _start(self, assignments: list[Assignment]) -> None:
        for assignment in assignments:
            self._unbegun.add(assignment.lease)
            task = asyncio.ensure_future(self._run(assignment))
            self._kept.add(task)  # the event loop itself holds its tasks only weakly
            task.add_done_callback(partial(self._ended, assignment))

    def _ended(self, assignment: Assignment, task: asyncio.Task[None]) -> None:
        self._kept.discard(task)
        if assignment.lease in self._unbegun and not self._is_closing:
            self._start([assignment])  # another task has cancelled all that it found

    async def _run(self, assignment: Assignment) -> None:
        # Known only from here on: asyncio drops a coroutine that is cancelled before its first step, and its
        # job would be waited for without end.
        task = asyncio.current_task()
        assert task is not None
        self._unbegun.discard(assignment.lease)
        self._tasks[assignment.lease] = task
        try:
            await self._work(assignment)
        finally:
            del self._tasks[assignment.lease]

    def _cancel(self, lease: Lease) -> None:
        task = self._tasks.get(lease)
        if task is not None:
            task.cancel()

    async def _stop(self) -> None:
        await self._cancel_all(asyncio.all_tasks() - {asyncio.current_task()})
        self._is_over = True
        asyncio.get_running_loop().stop()

    async def _cancel_all(self, tasks: Iterable[asyncio.Task[None] | None]) -> None:
        self._is_closing = True
        ending = [task for task in tasks if task is not None]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
