"""The event loop that runs `async def` tasks, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from ..job import Lease
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

    def put(self, assignments: list[Assignment]) -> None:
        """Start assignments on the loop."""
        loop = self._running_loop()
        loop.call_soon_threadsafe(self._start, assignments)

    def cancel(self, lease: Lease) -> None:
        """Cancel the coroutine of an attempt, if it has begun."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, lease)

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
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    def _start(self, assignments: list[Assignment]) -> None:
        for assignment in assignments:
            task = asyncio.ensure_future(self._run(assignment))
            self._kept.add(task)  # the event loop itself holds its tasks only weakly
            task.add_done_callback(self._kept.discard)

    async def _run(self, assignment: Assignment) -> None:
        # Known only from here on: asyncio drops a coroutine that is cancelled before its first step, and its
        # job would be waited for without end.
        task = asyncio.current_task()
        assert task is not None
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
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.get_running_loop().stop()
