"""The doors of a queue to the floors above it, which it knows only when somebody goes through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from .clock import duration
from .options import Duration, list_of_names, whole
from .retry import RetryOption

if TYPE_CHECKING:
    from .aio import AsyncWorker
    from .executor import JobExecutor
    from .messages import Messages
    from .queue import Queue
    from .worker import Worker, WorkerOptions


class Background(Protocol):
    """A worker in the background, which the queue ends before its file is closed."""

    def end_first(self) -> None:
        """Stop and wait."""


class Doors:
    """The part of a queue that makes its workers and its other faces."""

    def worker(
        self,
        *,
        queues: Sequence[str] | None = None,
        threads: int = 1,
        async_slots: int = 100,
        processes: int = 0,
        burst: bool = False,
        max_jobs: int | None = None,
        grace: Duration = 10,
    ) -> Worker:
        """A worker for this queue: `with` runs it in the background, `.run()` here until it is stopped.

        `grace` is how many seconds running jobs get to finish after a stop.
        """
        from .worker import Worker

        options = self._options(
            queues,
            grace,
            threads=threads,
            async_slots=async_slots,
            processes=processes,
            burst=burst,
            max_jobs=max_jobs,
        )
        return Worker(self._queue, options)

    def aworker(
        self,
        *,
        queues: Sequence[str] | None = None,
        slots: int = 100,
        threads: int = 1,
        grace: Duration = 10,
    ) -> AsyncWorker:
        """A worker in the background of an event loop, for `async with`: `async def` tasks run on that loop.

        At most `slots` of them at once; plain functions run on `threads`. `grace` as for `worker`.
        """
        from .aio import AsyncWorker

        return AsyncWorker(self._queue, self._options(queues, grace, threads=threads, async_slots=slots))

    def executor(self, *, threads: int = 1, processes: int = 0) -> JobExecutor:
        """A `concurrent.futures.Executor` whose futures are jobs of this queue, with a worker of its own."""
        from .executor import JobExecutor

        worker = self.worker(threads=threads, processes=processes)
        return JobExecutor(self._queue, worker, runs_here=not processes)

    def messages(self, name: str, maxsize: int = 0, *, retry: RetryOption = 3) -> Messages[Any]:
        """The messages of a lane, with the interface of `queue.Queue`: items that your own loop takes.

        At most `maxsize` of them wait, 0 being no bound. `retry` is for those whose `with` block failed.
        """
        from .messages import Messages, lane_of

        return Messages(lane_of(self._queue, name), maxsize, retry)

    def drain(self, *, queues: Sequence[str] | None = None, limit: int | None = None) -> int:
        """Run every due job of this queue, or of these, here and now; how many. For tests and scripts."""
        from .worker import drain

        names = (self._queue.name,) if queues is None else list_of_names(queues, "queues")
        return drain(self._queue, names, None if limit is None else whole(limit, "limit", 1, 2**62))

    @property
    def _queue(self) -> Queue:
        return cast("Queue", self)

    def _options(self, queues: Sequence[str] | None, grace: Duration, **sizes: Any) -> WorkerOptions:
        from .worker import WorkerOptions

        return WorkerOptions(
            queues=(self._queue.name,) if queues is None else list_of_names(queues, "queues"),
            grace=duration(grace, "grace"),
            **sizes,
        )
