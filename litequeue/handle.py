"""The handle of a stored job: its id, and what was read of it last."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from sqlite3 import Connection
from typing import Any, Generic, NoReturn, TypeVar, overload

from .clock import SECOND, Clock, duration, pause, to_datetime
from .codec import plain
from .desk import Desk
from .errors import EncodingError, InvalidOption, JobCancelled, JobFailed, JobNotFound, NotAllowed, shown
from .explain import explain
from .job import FINAL, FailedAttempt, LogLine, Snapshot, State
from .options import checked, headers_of
from .storage.steps import StoredStep

R = TypeVar("R")
T = TypeVar("T")
SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 0.05


class Job(Generic[R]):
    """A stored job. Attributes show it as it was read last; `refresh()` reads it again."""

    __slots__ = ("_call", "_desk", "_snapshot", "created", "id")

    def __init__(
        self, desk: Desk, id: int, snapshot: Snapshot | None = None, *, created: bool = True
    ) -> None:
        self.id = id
        self.created = created  # False: an enqueue found that this job has the unique key already
        self._desk = desk
        self._snapshot = snapshot
        self._call: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def refresh(self) -> Job[R]:
        """Read the job again; the handle itself. Raises `JobNotFound` when it is gone."""
        self._snapshot = self._desk.reports.job(self.id)
        return self

    # --- what was read -----------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """The row as it was read last."""
        if self._snapshot is None:
            self.refresh()
        assert self._snapshot is not None
        return self._snapshot

    @property
    def task(self) -> str:
        """The name of its task."""
        return self.snapshot.task

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return self.snapshot.queue

    @property
    def state(self) -> State:
        """Its state."""
        return self.snapshot.state

    @property
    def reason(self) -> str | None:
        """Why it failed or was cancelled."""
        return self.snapshot.reason

    @property
    def priority(self) -> int:
        """Its priority; higher runs first."""
        return self.snapshot.priority

    @property
    def attempt(self) -> int:
        """The number of its last attempt; 0 before the first."""
        return self.snapshot.attempt

    @property
    def failures(self) -> int:
        """How many attempts failed since it was enqueued or tried again by hand."""
        return self.snapshot.failures

    @property
    def worker(self) -> int | None:
        """The id of the worker that runs it."""
        return self.snapshot.worker

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""
        return tuple(self._plain("tags", self.snapshot.tags or "[]", list))

    @property
    def headers(self) -> dict[str, str]:
        """The texts that were given as `headers`, such as the trace it belongs to."""
        return headers_of(self.snapshot.options)

    @property
    def meta(self) -> dict[str, Any]:
        """Its meta."""
        return dict(self._plain("meta", self.snapshot.meta or "{}", dict))

    @property
    def progress(self) -> float | None:
        """What the task last told of its progress, from 0 to 1."""
        return self.snapshot.progress

    @property
    def progress_text(self) -> str | None:
        """The words beside the progress."""
        return self.snapshot.progress_text

    @property
    def created_at(self) -> datetime:
        """When it was enqueued."""
        return to_datetime(self.snapshot.created_at)

    @property
    def run_at(self) -> datetime:
        """When it is, or was, due."""
        return to_datetime(self.snapshot.run_at)

    @property
    def started_at(self) -> datetime | None:
        """When its last attempt began."""
        return _moment(self.snapshot.started_at)

    @property
    def finished_at(self) -> datetime | None:
        """When it reached a final state."""
        return _moment(self.snapshot.finished_at)

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments."""
        return self._arguments()[0]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments."""
        return self._arguments()[1]

    @property
    def errors(self) -> list[FailedAttempt]:
        """The attempts that failed, oldest first, with their tracebacks."""
        return self._desk.reports.failures(self.id)

    @property
    def log(self) -> list[LogLine]:
        """What the task logged through `current_job().log()`."""
        return self._desk.reports.log(self.id)

    @property
    def steps(self) -> list[Step]:
        """Its finished steps, in the order in which they ended."""
        return [Step(self._desk, self.task, stored) for stored in self._desk.steps.all(self.id)]

    @property
    def desk(self) -> Desk:
        """The file of its queue."""
        return self._desk

    @property
    def clock(self) -> Clock:
        """The clock of its queue."""
        return self._desk.clock

    @property
    def parents(self) -> list[Job[Any]]:
        """The jobs that this one waits or waited for."""
        return [Job(self._desk, id) for id in self._desk.reports.parents(self.id)]

    @property
    def children(self) -> list[Job[Any]]:
        """The jobs that wait or waited for this one."""
        return [Job(self._desk, id) for id in self._desk.reports.children(self.id)]

    # --- waiting -----------------------------------------------------------------------------------

    def wait(self, timeout: float | timedelta | None = None) -> State:
        """Wait until the job is final; its state. Raises `TimeoutError` after `timeout` seconds."""
        clock = self._desk.clock
        end = None if timeout is None else clock.monotonic() + duration(timeout, "timeout")
        nap = SHORTEST_PAUSE
        while self.refresh().state not in FINAL:
            left = None if end is None else (end - clock.monotonic()) / SECOND
            if left is not None and left <= 0:
                raise TimeoutError(f"job {self.id} is still {self.state}; {self.explain()}")
            clock.sleep(nap if left is None else min(nap, left))
            nap = min(2 * nap, LONGEST_PAUSE)
        return self.state

    def result(self, timeout: float | timedelta | None = None) -> R:
        """What the task returned, waited for.

        Raises `JobFailed` with the remote traceback, `JobCancelled`, or `TimeoutError` after `timeout`
        seconds.
        """
        self.wait(timeout)
        return self._outcome()

    async def aresult(self, timeout: float | timedelta | None = None) -> R:
        """`result` for a coroutine: the event loop waits neither for the job nor for the disk."""
        import asyncio

        limit = None if timeout is None else duration(timeout, "timeout") / SECOND
        nap = SHORTEST_PAUSE
        is_final = await self._is_final()  # looked at once, whatever the timeout
        try:
            async with asyncio.timeout(None if is_final else limit):
                while not is_final:
                    await pause(nap)
                    nap = min(2 * nap, LONGEST_PAUSE)
                    is_final = await self._is_final()
        except TimeoutError:
            why = await asyncio.to_thread(self.explain)
            raise TimeoutError(f"job {self.id} is still {self.state}; {why}") from None
        return await asyncio.to_thread(self._outcome)

    async def _is_final(self) -> bool:
        import asyncio

        return (await asyncio.to_thread(self.refresh)).state in FINAL

    def __await__(self) -> Generator[Any, None, R]:
        return self.aresult().__await__()

    def _outcome(self) -> R:
        """The result of a job that is final, or the error that says why it has none."""
        if self.state is State.FAILED:
            raise self._failure()
        if self.state is State.CANCELLED:
            raise JobCancelled(self.id, self.snapshot.message or self.reason or "")
        stored = self._desk.reports.result(self.id)
        if stored.codec is None or stored.body is None:
            return None  # type: ignore[return-value]
        value: R = self._desk.decode(stored.body, stored.codec, self.task)
        return value

    # --- verbs -------------------------------------------------------------------------------------

    def cancel(
        self, reason: str | None = None, *, tree: bool = False, connection: Connection | None = None
    ) -> None:
        """Cancel it, or ask it to stop if it runs; with `tree` also every job below it.

        With a connection of yours to the same file this is a part of your transaction there. Raises
        `NotAllowed` when it is final, and with `tree` when all below it is so too.
        """
        if reason is not None and not isinstance(reason, str):
            raise InvalidOption(f"reason is {shown(reason)}; give a text")
        checked({} if connection is None else {"connection": connection})
        if tree:
            self._desk.store.cancel_tree(self.id, reason, connection=connection)
        else:
            self._desk.store.cancel(self.id, reason, connection=connection)
        if connection is None:
            self.refresh()

    def retry(self, *, fresh: bool = False) -> None:
        """Run a failed or cancelled job again, failures back to 0. Raises `NotAllowed` for others.

        Its finished steps are not run again, unless it is to start afresh. Those that were cancelled because
        of it come along; neither they nor it expire any more.
        """
        self._desk.store.retry(self.id, fresh=fresh)
        self.refresh()

    def delete(self) -> None:
        """Remove it with all that was stored about it. Raises `NotAllowed` while it runs."""
        self._desk.store.delete(self.id)

    def explain(self) -> str:
        """Why it does not run, or what became of it, in one sentence."""
        return explain(self._desk.reports, self._desk.workers, self._desk.clock, self.id).text

    def __repr__(self) -> str:
        return f"<Job {self.id}>" if self._snapshot is None else f"<Job {self.id} {self.task} {self.state}>"

    def __reduce__(self) -> NoReturn:
        raise InvalidOption(
            f"{self!r} is a handle on a file that this process has open; "
            "send its id to another process, and ask queue.job(id) there"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other._identity == self._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[int, object]:
        return self.id, self._desk.place

    def _arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self._call is None:
            body, codec = self._desk.reports.payload(self.id)
            match self._desk.decode(body, codec, self.task):
                case [list(args), dict(kwargs)]:
                    self._call = tuple(args), kwargs
                case _:
                    raise EncodingError(f"the payload of job {self.id} is not [arguments, keyword arguments]")
        return self._call

    def _plain(self, column: str, text: str, kind: type[T]) -> T:
        """What plain JSON in the row says, or an error that names the row."""
        found = plain(text)
        if isinstance(found, kind):
            return found
        raise EncodingError(f"the {column} of job {self.id} are {text!r:.80}, which is no {kind.__name__}")

    def _failure(self) -> JobFailed:
        last = self.errors[-1:]
        reason = self.reason or "error"
        if not last:
            return JobFailed(self.id, reason, "", self.snapshot.message or "", "")
        return JobFailed(self.id, reason, last[0].type, last[0].message, last[0].traceback)


class Step:
    """A finished step of a job: when and in which attempt it ended, and what it returned."""

    def __init__(self, desk: Desk, task: str, stored: StoredStep) -> None:
        self._desk = desk
        self._task = task
        self._stored = stored
        self.name = stored.name
        self.attempt = stored.attempt
        self.at = stored.at

    @property
    def result(self) -> Any:
        """What it returned. Raises `EncodingError` when that can not be read here."""
        if self._stored.body is None or self._stored.codec is None:
            return None
        return self._desk.decode(self._stored.body, self._stored.codec, self._task)

    def __repr__(self) -> str:
        return f"<Step {self.name!r} of attempt {self.attempt}>"


class JobGroup(Sequence[Job[R]]):
    """The jobs of a group, in the order of its calls."""

    def __init__(self, jobs: Sequence[Job[R]]) -> None:
        self._jobs = tuple(jobs)

    @overload
    def __getitem__(self, place: int) -> Job[R]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Job[R]]: ...
    def __getitem__(self, place: Any) -> Any:
        return self._jobs[place]

    def __len__(self) -> int:
        return len(self._jobs)

    def result(self, timeout: float | timedelta | None = None) -> list[R]:
        """What all of them returned, in order, waited for. Raises what `Job.result` raises."""
        if timeout is None or not self._jobs:
            return [job.result() for job in self._jobs]
        clock = self._jobs[0].clock
        end = clock.monotonic() + duration(timeout, "timeout")
        return [job.result(max(0.0, (end - clock.monotonic()) / SECOND)) for job in self._jobs]

    def cancel(self, reason: str | None = None) -> None:
        """Cancel those that are not final."""
        for job in self._jobs:
            with suppress(NotAllowed, JobNotFound):  # it has ended, or is gone
                job.cancel(reason)

    def __repr__(self) -> str:
        return f"<JobGroup of {len(self._jobs)}>"


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else to_datetime(micros)
