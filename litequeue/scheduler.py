"""A scheduler with the interface of aiojobs: coroutines in memory, and beside them jobs that survive."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar, overload

from .clock import duration
from .errors import InvalidTask, NotAllowed, shown
from .futures import Follower, JobFuture, stay
from .options import UNSET, whole
from .queue import Queue
from .spawned import Spawned, SpawnedCall, SpawnedCoroutine
from .tasks import Call
from .worker import Worker, WorkerOptions
from .worker.guests import apart, aside

R = TypeVar("R")
Handler = Callable[["Scheduler", dict[str, Any]], object]
_MOST = 1_000_000
_GRACE = 10.0
_LATE = "Job closing timed out"


class Scheduler(Collection[Spawned[Any]]):
    """Runs coroutines in the background, at most `limit` at once, and ends them in an orderly way.

    It also takes calls of tasks: those are jobs in the file of their queue, run by a worker on this event
    loop while the scheduler is open, at most `limit` at once. Times are seconds; None is no limit.
    """

    def __init__(
        self,
        *,
        limit: int | None = 100,
        pending_limit: int = 10_000,
        wait_timeout: float | None = 60,
        close_timeout: float | None = 0.1,
        exception_handler: Handler | None = None,
        threads: int = 1,
    ) -> None:
        self.limit = None if limit is None else whole(limit, "limit", 1, _MOST)
        self.pending_limit = whole(pending_limit, "pending_limit", 0, 2**62)
        self.wait_timeout = _seconds(wait_timeout, "wait_timeout")
        self.close_timeout = _seconds(close_timeout, "close_timeout")
        self.exception_handler = _function(exception_handler)
        self._threads = whole(threads, "threads", 1, 1000)
        self._jobs: dict[Spawned[Any], None] = {}
        self._running: set[SpawnedCoroutine[Any]] = set()
        self._pending: deque[SpawnedCoroutine[Any]] = deque()
        self._spawners: deque[asyncio.Future[None]] = deque()
        self._shielded: set[asyncio.Future[Any]] = set()
        self._followers: dict[tuple[Queue, str], Follower] = {}
        self._closed = False

    # --- what it holds -----------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether it takes nothing any more."""
        return self._closed

    @property
    def active_count(self) -> int:
        """How many run."""
        return sum(job.active for job in self._jobs)

    @property
    def pending_count(self) -> int:
        """How many wait for their start."""
        return sum(job.pending for job in self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Spawned[Any]]:
        return iter(list(self._jobs))

    def __contains__(self, job: object) -> bool:
        return job in self._jobs

    def __repr__(self) -> str:
        return f"<Scheduler {'closed ' if self._closed else ''}jobs={len(self)}>"

    # --- spawn -------------------------------------------------------------------------------------

    @overload
    async def spawn(self, job: Call[R], name: str | None = None) -> SpawnedCall[R]: ...
    @overload
    async def spawn(self, job: Coroutine[Any, Any, R], name: str | None = None) -> SpawnedCoroutine[R]: ...
    async def spawn(self, job: Any, name: str | None = None) -> Spawned[Any]:
        """Run a coroutine in the background, or store the call of a task and have it run; its handle.

        A coroutine for which `limit` has no room is pending, and when `pending_limit` are, this waits. A
        call is on the disk when this returns. Raises `RuntimeError` when the scheduler is closed.
        """
        if isinstance(job, Call):
            return await self._spawn_call(job, name)
        if not asyncio.iscoroutine(job):
            raise InvalidTask(f"{shown(job)} is no coroutine; give f(…) of an `async def`, or task.call(…)")
        try:
            await self._wait_for_room()
        except BaseException:
            job.close()
            raise
        spawned = SpawnedCoroutine[Any](job, self, name)
        self._jobs[spawned] = None
        self._pending.append(spawned)
        self._start_pending()
        return spawned

    async def _wait_for_room(self) -> None:
        self._require_open()
        while self._is_full():
            turn = asyncio.get_running_loop().create_future()
            self._spawners.append(turn)
            try:
                await turn
            except BaseException:
                self._call_spawners()  # it might have been this one's turn
                raise
            self._require_open()

    def _is_full(self) -> bool:
        return not self._has_slot() and 0 < self.pending_limit <= len(self._pending)

    def _has_slot(self) -> bool:
        return self.limit is None or len(self._running) < self.limit

    def _require_open(self) -> None:
        if self._closed:
            raise RuntimeError("this scheduler is closed; make another one")

    def _start_pending(self) -> None:
        while self._pending and not self._closed and self._has_slot():
            job = self._pending.popleft()
            self._running.add(job)
            job.start()

    def _call_spawners(self) -> None:
        room = len(self._spawners) if self._closed else self.pending_limit - len(self._pending)
        while self._spawners and room > 0:
            turn = self._spawners.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1

    # --- jobs in a file ----------------------------------------------------------------------------

    async def _spawn_call(self, call: Call[R], name: str | None) -> SpawnedCall[R]:
        self._require_open()
        queue = self._queue_of(call)
        asked = call.options.over(call.task.options)
        follower = self._follower(queue, queue.name if asked.queue is UNSET else asked.queue)
        lasting = call.using(**stay(asked, queue))
        made: list[JobFuture[R]] = []
        try:
            await aside(lambda: made.extend(follower.follow(lambda: [lasting.enqueue()])))
        except asyncio.CancelledError:
            await aside(lambda: follower.cancel(made))
            raise
        spawned = SpawnedCall(made[0], self, name)
        if not spawned.closed:
            self._jobs[spawned] = None
        return spawned

    def _queue_of(self, call: Call[Any]) -> Queue:
        queue = call.task.producer
        if not isinstance(queue, Queue) or queue.in_transaction:
            raise NotAllowed("a call can not be spawned inside a transaction; enqueue it there")
        return queue

    def _follower(self, queue: Queue, lane: str) -> Follower:
        """What follows the jobs of this lane; its worker runs them on this event loop."""
        key = queue, lane
        if key not in self._followers:
            grace = _GRACE if self.close_timeout is None else self.close_timeout
            options = WorkerOptions(
                queues=(lane,),
                threads=self._threads,
                async_slots=self.limit or _MOST,
                grace=duration(grace, "close_timeout"),
            )
            self._followers[key] = Follower(queue, Worker(queue, options, host=asyncio.get_running_loop()))
        return self._followers[key]

    # --- shield ------------------------------------------------------------------------------------

    def shield(self, awaitable: Awaitable[R]) -> asyncio.Future[R]:
        """`asyncio.shield`, for whose inner task `wait_and_close` waits; `close` cancels it."""
        inner = asyncio.ensure_future(awaitable)
        self._shielded.add(inner)
        inner.add_done_callback(self._shielded.discard)
        return asyncio.shield(inner)

    # --- the end -----------------------------------------------------------------------------------

    async def wait_and_close(self, timeout: float | None = None) -> None:
        """Wait until all has ended, at most `timeout` (or `wait_timeout`) seconds, and close."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.wait_timeout if timeout is None else timeout):
                while unfinished := [*(job.outcome for job in self._others()), *self._others_shielded()]:
                    await asyncio.wait(unfinished)
        await self.close()

    async def close(self) -> None:
        """Cancel all coroutines, and let go of the jobs in files: those that have not ended stay there.

        It waits for their ends. What does not end within `close_timeout`, or raises, is told to the exception
        handler.
        """
        if self._closed:
            return
        self._closed = True
        self._call_spawners()
        in_memory = [job for job in self._others() if isinstance(job, SpawnedCoroutine)]
        shielded = self._close_shielded(self._others_shielded())
        followers = list(self._followers.values())
        await asyncio.gather(*map(self._close_job, in_memory), shielded, *map(_let_go, followers))

    async def _close_job(self, job: Spawned[Any]) -> None:
        try:
            await job.close()
        except TimeoutError as error:
            job.report(_LATE, error)
        except Exception as error:
            job.report("Job processing failed", error)

    async def _close_shielded(self, tasks: set[asyncio.Future[Any]]) -> None:
        for task in tasks:
            task.cancel()
        _, late = await asyncio.wait(tasks, timeout=self.close_timeout) if tasks else ((), ())
        for task in late:
            error = TimeoutError(f"{task!r} does not end")
            self.call_exception_handler({"message": _LATE, "job": task, "exception": error})

    def _others_shielded(self) -> set[asyncio.Future[Any]]:
        return {task for task in self._shielded if task is not asyncio.current_task()}

    def _others(self) -> list[Spawned[Any]]:
        """All but the job that asks, if one does."""
        task = asyncio.current_task()
        return [job for job in self._jobs if not job.is_run_by(task)]

    async def __aenter__(self) -> Scheduler:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.wait_and_close()

    # --- for what it has spawned -------------------------------------------------------------------

    def leave(self, spawned: Spawned[Any]) -> None:
        """It has ended, or was closed: another may start in its place."""
        self._jobs.pop(spawned, None)
        if isinstance(spawned, SpawnedCoroutine):
            self._running.discard(spawned)
            if spawned in self._pending:
                self._pending.remove(spawned)
        self._start_pending()
        self._call_spawners()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell `exception_handler` of an error, or that of the event loop; of what the first raises, too.

        `context` has `message`, `job` (of what was shielded its task), `exception`, and on an event loop in
        debug mode `source_traceback`.
        """
        loop = asyncio.get_running_loop()
        if self.exception_handler is None:
            loop.call_exception_handler(context)
            return
        try:
            self.exception_handler(self, context)
        except Exception as error:
            message = "Unhandled error in exception handler"
            loop.call_exception_handler({"message": message, "exception": error, "context": context})


async def _let_go(follower: Follower) -> None:
    follower.let_go()
    await apart(follower.join)


def _seconds(value: float | None, name: str) -> float | None:
    if value is not None:
        duration(value, name)
    return value


def _function(handler: Handler | None) -> Handler | None:
    if handler is not None and not callable(handler):
        raise InvalidTask(f"exception_handler is {shown(handler)}; give a function, or None")
    return handler
