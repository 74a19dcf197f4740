"""The standard library's executor over a queue: what is submitted is a job, and its future follows it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from .clock import SECOND, duration
from .errors import InvalidTask, shown
from .futures import Follower, JobFuture, stay
from .options import UNSET, Duration, whole
from .queue import Queue
from .tasks import Call, Task

if TYPE_CHECKING:
    from .worker import Worker

P = ParamSpec("P")
R = TypeVar("R")
_AT_ONCE = 1_000


class JobExecutor(Executor):
    """Runs functions as jobs of a queue, in a worker of its own and in any other that serves the queue.

    What was submitted is in the file: if this process dies, the next worker runs it.
    """

    def __init__(self, queue: Queue, worker: Worker, *, runs_here: bool) -> None:
        self._queue = queue
        self._runs_here = runs_here
        self._follower = Follower(queue, worker)
        # Whoever drops the executor wants no more of it than `shutdown(wait=False)`.
        weakref.finalize(self, self._follower.close).atexit = False

    @overload
    def submit(
        self, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobFuture[R]: ...
    @overload
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> JobFuture[R]: ...
    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> JobFuture[Any]:
        """Store a job that calls a task, or a plain function of a module; its future.

        Raises `InvalidTask` for what other processes could not find, such as a lambda, and `RuntimeError`
        after `shutdown`.
        """
        task = self._task(fn)
        task.check(args, kwargs)
        return self._follower.follow(lambda: [self._queue.submit(Call(task, args, kwargs))])[0]

    @overload
    def map(
        self,
        fn: Callable[..., Coroutine[Any, Any, R]],
        *iterables: Iterable[Any],
        timeout: Duration | None = None,
        chunksize: int = _AT_ONCE,
    ) -> Iterator[R]: ...
    @overload
    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: Duration | None = None,
        chunksize: int = _AT_ONCE,
    ) -> Iterator[R]: ...
    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: Duration | None = None,
        chunksize: int = _AT_ONCE,
    ) -> Iterator[Any]:
        """The results of a job for each of the items, in their order; `chunksize` are stored at once.

        When one raises, or is not there `timeout` seconds after the call, those behind it are cancelled.
        """
        whole(chunksize, "chunksize", 1, 1_000_000)
        clock = self._queue.clock
        end = None if timeout is None else clock.monotonic() + duration(timeout, "timeout")
        calls = list(self._calls(fn, iterables))
        futures: deque[JobFuture[Any]] = deque()
        try:
            for place in range(0, len(calls), chunksize):
                futures.extend(self._follow(calls[place : place + chunksize]))
        except BaseException:
            self._follower.cancel(futures)
            raise

        def results() -> Iterator[Any]:
            try:
                while futures:
                    left = None if end is None else (end - clock.monotonic()) / SECOND
                    value = futures[0].result(left)
                    futures.popleft()
                    yield value
            finally:
                self._follower.cancel(futures)

        return results()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more; the worker ends when all that was submitted has ended, and `wait` waits for it.

        `cancel_futures` cancels what has not started.
        """
        self._follower.close()
        if cancel_futures:
            self._follower.cancel_all()
        if wait:
            self._follower.join()

    def _calls(self, fn: object, iterables: Iterable[Iterable[Any]]) -> Iterator[Call[Any]]:
        task = self._task(fn)
        for args in zip(*iterables, strict=False):
            task.check(args, {})
            yield Call(task, args, {})

    def _follow(self, calls: list[Call[Any]]) -> list[JobFuture[Any]]:
        return self._follower.follow(lambda: self._queue.enqueue_many(calls))

    def _task(self, fn: object) -> Task[..., Any]:
        if not (self._runs_here or isinstance(fn, Task)):
            raise InvalidTask(
                f"{shown(fn)} is no task, and worker processes run nothing else; declare it with "
                "@queue.task, or use threads"
            )
        task = self._queue.task_for(fn)
        options = stay(task.options, self._queue)
        if task.options.queue not in (UNSET, self._queue.name):
            options["queue"] = self._queue.name  # our own worker serves no other
        return task.using(**options) if options else task
