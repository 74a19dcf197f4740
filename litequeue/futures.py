"""Futures that follow stored jobs: one thread reads the file for all of them at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future
from typing import TYPE_CHECKING, Any, TypeVar

from .clock import SECOND
from .errors import DatabaseError, JobFailed, NotAllowed, WorkerError
from .handle import LONGEST_PAUSE, SHORTEST_PAUSE, Job
from .job import State
from .log import log
from .options import UNSET, CallOptions, Options
from .queue import Queue
from .raised import exception_of
from .retention import at_least, checked_retention

if TYPE_CHECKING:
    from .worker import Worker

R = TypeVar("R")
_WAITING = (State.SCHEDULED, State.BLOCKED, State.READY)
_SHARE = 10  # of the time is spent on looking: a thousand open futures would keep the interpreter busy
_CHUNK = 1_000
_TIME_TO_HEAR = 60


class JobFuture(Future[R]):
    """The future of a stored job, which is its `job`."""

    def __init__(self, job: Job[R], follower: Follower) -> None:
        super().__init__()
        self.job = job
        self._follower = follower
        self._is_told = False  # that it runs or was cancelled, which may be said once

    def cancel(self) -> bool:
        """Cancel the job if it has not started; whether it never will.

        One that waits for another attempt has started: `future.job.cancel()` cancels that.
        """
        self._follower.cancel([self])
        return self.cancelled()

    # --- for the follower --------------------------------------------------------------------------

    def mark_cancelled(self) -> None:
        """Its job was cancelled before it started."""
        super().cancel()

    def follow(self, state: State | None) -> bool:
        """Become what the job is now, None if it is gone; whether anything changed.

        A job that waits for another attempt counts as running.
        """
        if state is State.CANCELLED:
            self.mark_cancelled()
        elif state in _WAITING and not self.cancelled():
            return False
        is_news = not self._is_told
        self._tell()
        if state is not State.RUNNING and not self.done():
            self._settle()
        return is_news or self.done()

    def fail(self, error: BaseException) -> None:
        """End without a result, unless it has ended."""
        self._tell()
        if not self.done():
            self.set_exception(error)

    def _tell(self) -> None:
        if not self._is_told:
            self._is_told = True
            self.set_running_or_notify_cancel()

    def _settle(self) -> None:
        try:
            value = self.job.result(timeout=0)
        except TimeoutError:
            return  # it was made ready again a moment ago
        except JobFailed as error:
            self.set_exception(exception_of(error))
        except Exception as error:  # it was stopped, it is gone, or its value can not be read here
            self.set_exception(error)
        else:
            self.set_result(value)


class Follower:
    """Tells the futures of a queue's jobs what becomes of them, while a worker in the background runs.

    Both begin with the first job. After `close` they end with the last.
    """

    def __init__(self, queue: Queue, worker: Worker) -> None:
        self._queue = queue
        self._worker = worker
        self._process = os.getpid()
        self._stirred = threading.Condition()
        self._thread: threading.Thread | None = None
        self._open: dict[int, list[JobFuture[Any]]] = {}
        self._coming = 0  # calls that are storing jobs at this moment
        self._closed = False
        self._verdict: BaseException | None = None  # on what has not ended when all is over
        self._nap = self._shortest_nap = SHORTEST_PAUSE

    def follow(self, store: Callable[[], Sequence[Job[Any]]]) -> list[JobFuture[Any]]:
        """The futures of the jobs that `store` makes. Raises `RuntimeError` after `close`."""
        with self._stirred:
            self._require_open()
            self._start()
            self._coming += 1
        made: list[JobFuture[Any]] = []
        try:
            made = [JobFuture(job, self) for job in store()]
        finally:
            self._add(made)
        if self._verdict is not None:
            self._fail_all(self._verdict)
        return made

    def cancel(self, futures: Iterable[JobFuture[Any]]) -> None:
        """Cancel the jobs of these futures that have not started."""
        open_ones = {future.job.id: future for future in futures if not (future.done() or future.running())}
        desk, ids = self._queue.desk, list(open_ones)
        if desk.database.joined() is not None:
            return  # a transaction that is open might undo it
        for place in range(0, len(ids), _CHUNK):
            for id in desk.store.cancel_unstarted(ids[place : place + _CHUNK]):
                open_ones[id].mark_cancelled()

    def cancel_all(self) -> None:
        """Cancel all jobs that have not started."""
        self.cancel(future for _, future in self._followed())

    def close(self) -> None:
        """Follow no other jobs."""
        with self._stirred:
            self._closed = True
            self._stirred.notify()

    def let_go(self) -> None:
        """Leave the jobs that have not ended to others; their futures raise `CancelledError`."""
        with self._stirred:
            self._closed = True
            self._verdict = self._verdict or CancelledError()
            self._stirred.notify()

    def join(self) -> None:
        """After `close` or `let_go`, wait until all jobs have ended, and the worker."""
        if self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join()

    # --- inside ------------------------------------------------------------------------------------

    def _require_open(self) -> None:
        if isinstance(self._verdict, BrokenExecutor):
            raise self._verdict
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if os.getpid() != self._process:
            raise RuntimeError("this executor belongs to the process that forked this one; make another")
        if self._queue.desk.database.joined() is not None:
            raise NotAllowed(
                "a future can not be had inside a transaction, which may be rolled back; enqueue the job, or "
                "submit it after the transaction"
            )

    def _start(self) -> None:
        if self._thread is None:
            self._worker.start()
            self._thread = threading.Thread(target=self._run, name="litequeue-futures", daemon=True)
            self._thread.start()

    def _add(self, made: Iterable[JobFuture[Any]]) -> None:
        with self._stirred:
            self._coming -= 1
            for future in made:
                self._open.setdefault(future.job.id, []).append(future)
            if self._nap > self._shortest_nap or self._closed:
                self._nap = self._shortest_nap
                self._stirred.notify()

    def _run(self) -> None:
        try:
            while self._wait():
                self._look()
        except BaseException as error:  # whatever it is, nobody may wait for ever
            log.error("an executor is broken: %s", error)
            self._verdict = _broken_by(error)
        if self._verdict is not None:
            self._fail_all(self._verdict)
        self._worker.stop()
        try:
            self._worker.join()
        except Exception as error:
            log.error("the worker of an executor ended with an error: %s", error)

    def _wait(self) -> bool:
        """Wait until it is time to look; False when there is nothing to look for any more."""
        with self._stirred:
            if not self._open:
                self._nap = threading.TIMEOUT_MAX
            if not self._is_over():
                self._stirred.wait(self._nap)
            return not self._is_over()

    def _is_over(self) -> bool:
        return self._verdict is not None or (self._closed and not (self._open or self._coming))

    def _look(self) -> None:
        clock = self._queue.clock
        began = clock.monotonic()
        followed = self._followed()
        try:
            stages = self._queue.desk.reports.stages({id for id, _ in followed})
        except DatabaseError as error:  # whether it will pass, the worker finds out
            log.warning("an executor could not look after its jobs: %s", error)
        else:
            took = clock.monotonic() - began
            changed = [_tell(future, stages.get(id)) for id, future in followed]
            self._forget([each for each in followed if each[1].done()])
            self._plan(took, is_moving=any(changed))
        if self._worker.join(0):  # which raises the error that has ended it
            raise WorkerError("it was stopped; its jobs are in the file, for another worker")

    def _followed(self) -> list[tuple[int, JobFuture[Any]]]:
        with self._stirred:
            return [(id, future) for id, futures in self._open.items() for future in futures]

    def _forget(self, ended: Iterable[tuple[int, JobFuture[Any]]]) -> None:
        with self._stirred:
            for id, future in ended:
                self._open[id].remove(future)
                if not self._open[id]:
                    del self._open[id]

    def _plan(self, took: int, *, is_moving: bool) -> None:
        with self._stirred:
            self._shortest_nap = max(SHORTEST_PAUSE, _SHARE * took / SECOND)
            longest = max(LONGEST_PAUSE, self._shortest_nap)
            self._nap = self._shortest_nap if is_moving else min(2 * self._nap, longest)

    def _fail_all(self, error: BaseException) -> None:
        with self._stirred:
            followed = self._followed()
            self._open = {}
        for _, future in followed:
            future.fail(error)


def stay(asked: Options, queue: Queue) -> CallOptions:
    """What to say beside these options, so that a job is not gone before its future has heard of its end."""
    kept = queue.retention if asked.retention is UNSET else asked.retention
    longer = at_least(kept, _TIME_TO_HEAR)
    return {} if checked_retention(longer) == kept else {"retention": longer}


def _broken_by(error: BaseException) -> BrokenExecutor:
    broken = BrokenExecutor(f"the worker of this executor has ended: {error}")
    broken.__cause__ = error
    return broken


def _tell(future: JobFuture[Any], state: State | None) -> bool:
    try:
        return future.follow(state)
    except BaseException:  # out of a callback of the future; the others must hear of their jobs all the same
        log.exception("a callback of %r raised", future)
        return True
