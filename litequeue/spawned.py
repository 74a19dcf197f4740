"""What a scheduler has spawned: a coroutine in memory, or a job in the file."""

from __future__ import annotations

import asyncio
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from .errors import JobCancelled, NotAllowed
from .futures import JobFuture
from .handle import Job
from .worker.guests import aside

R = TypeVar("R")
_TIME_TO_STOP = 2.0  # a worker hears within half a second that a job is to stop


class Host(Protocol):
    """The scheduler, as far as what it has spawned knows it."""

    @property
    def close_timeout(self) -> float | None:
        """Seconds that the end of what is closed may take."""

    def leave(self, spawned: Spawned[Any]) -> None:
        """It has ended, and is the scheduler's no more."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell of an error that nobody waited for."""


class Spawned(ABC, Generic[R]):
    """A handle: pending until there is room for it, then active, in the end closed."""

    def __init__(self, host: Host, name: str | None) -> None:
        self._host = host
        self._name = name
        self._waiters = 0
        self._is_left = False  # closed by somebody, whether or not it has ended by itself
        self.outcome: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        is_debugging = asyncio.get_running_loop().get_debug()
        self._made_at = traceback.extract_stack(sys._getframe(2)) if is_debugging else None

    @property
    @abstractmethod
    def pending(self) -> bool:
        """Whether it waits for its start."""

    @property
    def active(self) -> bool:
        """Whether it runs."""
        return not (self.pending or self.closed)

    @property
    def closed(self) -> bool:
        """Whether it has ended, or was closed."""
        return self._is_left or self.outcome.done()

    def get_name(self) -> str | None:
        """Its name."""
        return self._name

    def set_name(self, name: str) -> None:
        """Give it a name."""
        self._name = str(name)

    async def wait(self, *, timeout: float | None = None) -> R:
        """What it returned; raises what it raised, `CancelledError` if it was closed.

        After `timeout` seconds it is closed, and `TimeoutError` raised. Who is cancelled while it waits
        leaves it alone.
        """
        self._waiters += 1
        try:
            async with asyncio.timeout(timeout) as timer:
                return await asyncio.shield(self.outcome)
        except TimeoutError:
            if timer.expired():
                await self.close()
            raise
        finally:
            self._waiters -= 1

    async def close(self, *, timeout: float | None = None) -> None:
        """Cancel it, and wait for its end; raises what it raises then.

        Raises `TimeoutError` when it has not ended after `timeout` seconds, or the scheduler's
        `close_timeout`; it is closed all the same.
        """
        if not self.closed:
            self._waiters += 1
            try:
                await self._close(timeout)
            finally:
                self._waiters -= 1
                self._leave()

    @abstractmethod
    async def _close(self, timeout: float | None) -> None: ...

    def is_run_by(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether it is this very task, which then can not be waited for."""
        return False

    def report(self, message: str, error: BaseException) -> None:
        """Tell the exception handler of an error."""
        context: dict[str, Any] = {"message": message, "job": self, "exception": error}
        if self._made_at is not None:
            context["source_traceback"] = self._made_at
        self._host.call_exception_handler(context)

    def _leave(self) -> None:
        self._is_left = True
        self.outcome.cancel()
        self._host.leave(self)

    def _end(self, error: BaseException | None, value: Any = None) -> None:
        """It has ended by itself, with this error or value."""
        if not self.closed:
            if error is None:
                self.outcome.set_result(value)
            elif isinstance(error, asyncio.CancelledError):
                self.outcome.cancel()
            else:
                self.outcome.set_exception(error)
                self.outcome.exception()  # seen: whoever waits gets it, or the handler below
        self._host.leave(self)
        if error is not None and not self._waiters and not isinstance(error, asyncio.CancelledError):
            self.report("Job processing failed", error)

    @property
    @abstractmethod
    def _what(self) -> str: ...

    def __repr__(self) -> str:
        state = "closed " if self.closed else "pending " if self.pending else ""
        return f"<Job {state}{self._what}>"


class SpawnedCoroutine(Spawned[R]):
    """A coroutine in memory."""

    def __init__(self, coroutine: Coroutine[Any, Any, R], host: Host, name: str | None) -> None:
        super().__init__(host, name)
        self._coroutine = coroutine
        self._task: asyncio.Task[R] | None = None

    @property
    def pending(self) -> bool:
        """Whether it waits for its start."""
        return self._task is None and not self.closed

    def set_name(self, name: str) -> None:
        """Give it, and its task, a name."""
        super().set_name(name)
        if self._task is not None:
            self._task.set_name(name)

    def start(self) -> None:
        """Let it run."""
        self._task = asyncio.create_task(self._coroutine, name=self._name)
        self._name = self._task.get_name()
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[R]) -> None:
        if task.cancelled():
            self._end(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self._end(error)
        else:
            self._end(None, task.result())

    def is_run_by(self, task: asyncio.Task[Any] | None) -> bool:
        return self._task is not None and self._task is task

    async def _close(self, timeout: float | None) -> None:
        if self._task is None:
            self._coroutine.close()
            return
        self._task.cancel()
        if self.is_run_by(asyncio.current_task()):
            return  # it is cancelled where it waits next
        await asyncio.wait([self._task], timeout=self._host.close_timeout if timeout is None else timeout)
        if not self._task.done():
            raise TimeoutError(f"{self!r} does not end")
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error

    @property
    def _what(self) -> str:
        return f"coro=<{self._coroutine!r}>"


class SpawnedCall(Spawned[R]):
    """A job in the file, which is `job`: it outlives the scheduler and the process."""

    def __init__(self, future: JobFuture[R], host: Host, name: str | None) -> None:
        super().__init__(host, name)
        self.job: Job[R] = future.job
        self._future = future
        self._has_ended = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed, so nobody waits
                loop.call_soon_threadsafe(self._ended)

        future.add_done_callback(tell)

    @property
    def pending(self) -> bool:
        """Whether no worker has begun it."""
        return not (self._future.running() or self.closed)

    def _ended(self) -> None:
        self._has_ended.set()
        if self._future.cancelled():
            self._end(asyncio.CancelledError())
            return
        error = self._future.exception()
        is_let_go = isinstance(error, CancelledError) or (isinstance(error, JobCancelled) and self.closed)
        if error is None:
            self._end(None, self._future.result())
        else:
            self._end(asyncio.CancelledError() if is_let_go else error)

    async def _close(self, timeout: float | None) -> None:
        self.outcome.cancel()
        if await aside(self._future.cancel):
            return
        with suppress(NotAllowed):  # it has ended meanwhile
            await aside(self.job.cancel)
        default = self._host.close_timeout
        async with asyncio.timeout(default and max(default, _TIME_TO_STOP) if timeout is None else timeout):
            await self._has_ended.wait()

    @property
    def _what(self) -> str:
        return f"id={self.job.id}"
