"""The event loop that runs `async def` tasks, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from .outcome import Assignment


class Coroutines:
    """Runs assignments as tasks of one event loop; the loop starts with the first of them.

    `work` runs one assignment and delivers its outcome.
    """

    def __init__(self, work: Callable[[Assignment], Awaitable[None]]) -> None:
        self._work = work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def put(self, assignments: list[Assignment]) -> None:
        """Start assignments on the loop."""
        loop = self._running_loop()
        loop.call_soon_threadsafe(self._start, assignments)

    def cancel(self, job: int) -> None:
        """Cancel the coroutine of a job."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, job)

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
            job = assignment.claimed.lease.job
            task = asyncio.ensure_future(self._work(assignment))
            self._tasks[job] = task
            task.add_done_callback(lambda _, job=job: self._tasks.pop(job, None))  # type: ignore[misc]

    def _cancel(self, job: int) -> None:
        task = self._tasks.get(job)
        if task is not None:
            task.cancel()

    async def _stop(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.get_running_loop().stop()
