"""For programs with an event loop of their own: a worker beside their coroutines, and jobs as they end."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

from .clock import SECOND, Clock, SystemClock, duration, pause
from .desk import Desk
from .errors import InvalidOption, WorkerError, shown
from .handle import LONGEST_PAUSE, SHORTEST_PAUSE, Job
from .job import FINAL
from .options import Duration

if TYPE_CHECKING:
    from .queue import Queue
    from .worker import Worker, WorkerOptions

R = TypeVar("R")


def as_completed(jobs: Iterable[Job[R]], *, timeout: Duration | None = None) -> Completed[R]:
    """The jobs as they end, whatever their end: for `async for` on an event loop, or a plain `for`.

    Each comes once; one that is deleted has ended, too. Raises `TimeoutError` when some are not final
    `timeout` seconds after this call.
    """
    return Completed(jobs, None if timeout is None else duration(timeout, "timeout"))


class Completed(Generic[R]):
    """What `as_completed` gives: it is gone through once, and asks the file for all jobs in one query."""

    def __init__(self, jobs: Iterable[Job[R]], timeout: int | None) -> None:
        self._waiting: dict[Job[R], None] = dict.fromkeys(map(_job, jobs))
        self._count = len(self._waiting)
        self._desks = {id(job.desk): job.desk for job in self._waiting}
        self._clock = next((desk.clock for desk in self._desks.values()), SystemClock())
        self._end = _End(self._clock, timeout)
        self._end_on_loop = _End(SystemClock(), timeout)  # for a coroutine naps by no other clock
        self._nap = SHORTEST_PAUSE

    def __iter__(self) -> Iterator[Job[R]]:
        while self._waiting:
            ended = self._look()
            yield from ended
            if not ended:
                self._clock.sleep(self._next_nap(self._end))

    async def __aiter__(self) -> AsyncIterator[Job[R]]:
        import asyncio

        while self._waiting:
            ended = await asyncio.to_thread(self._look)
            for job in ended:
                yield job
            if not ended:
                await pause(self._next_nap(self._end_on_loop))

    def _look(self) -> list[Job[R]]:
        """Those that have ended since the last look."""
        ended = [job for desk in self._desks.values() for job in self._ended(desk)]
        for job in ended:
            del self._waiting[job]
        if ended:
            self._nap = SHORTEST_PAUSE
        return ended

    def _ended(self, desk: Desk) -> list[Job[R]]:
        jobs = [job for job in self._waiting if job.desk is desk]
        states = desk.reports.states(job.id for job in jobs)
        return [job for job in jobs if job.id not in states or states[job.id] in FINAL]

    def _next_nap(self, end: _End) -> float:
        nap, self._nap = self._nap, min(2 * self._nap, LONGEST_PAUSE)
        left = end.left()
        if left <= 0:
            raise TimeoutError(f"{len(self._waiting)} (of {self._count}) jobs are not final")
        return min(nap, left)


class _End:
    """The end of `timeout` microseconds from now, on this clock; None: there is none."""

    def __init__(self, clock: Clock, timeout: int | None) -> None:
        self._clock = clock
        self._at = None if timeout is None else clock.monotonic() + timeout

    def left(self) -> float:
        """Seconds until then."""
        return math.inf if self._at is None else (self._at - self._clock.monotonic()) / SECOND


def _job(job: Job[R]) -> Job[R]:
    if not isinstance(job, Job):
        raise InvalidOption(f"{shown(job)} is no job; give the jobs that an enqueue gave")
    return job


class AsyncWorker:
    """A worker in the background of a program with an event loop, which runs its `async def` tasks there.

    `async with` starts and stops it, or `await worker.start()` and `await worker.stop()`. The event loop
    never waits for the disk.
    """

    def __init__(self, queue: Queue, options: WorkerOptions) -> None:
        self._queue = queue
        self._options = options
        self._worker: Worker | None = None

    async def start(self) -> AsyncWorker:
        """Begin to work, with coroutines on the loop that runs now."""
        import asyncio

        from .worker import Worker
        from .worker.guests import aside

        if self._worker is not None:
            raise WorkerError("this worker was started already; make another one")
        self._worker = Worker(self._queue, self._options, host=asyncio.get_running_loop())
        try:
            await aside(self._worker.start)
        except asyncio.CancelledError:
            await self.stop()
            raise
        return self

    async def stop(self) -> None:
        """Stop claiming, let jobs finish for the grace time, and wait for that.

        Who is cancelled meanwhile gives them back at once. Raises what has ended the worker early.
        """
        from .worker.guests import apart

        if self._worker is not None:
            self._worker.stop()
            await apart(self._worker.join, on_cancel=self._worker.stop)

    async def __aenter__(self) -> AsyncWorker:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()
