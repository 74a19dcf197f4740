"""What a task knows about the job it runs for: `current_job()`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterator, MutableMapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from datetime import datetime
from sqlite3 import Connection
from typing import Any, Literal, ParamSpec, TypeVar, overload

from .clock import SECOND, Clock, to_datetime
from .codec import plain
from .errors import InvalidOption, LiteQueueError, shown
from .job import Claimed, Note
from .options import headers_of, meta_text
from .steps import Steps, Work

P = ParamSpec("P")
R = TypeVar("R")
_LINE_LIMIT = 10_000
_current: ContextVar[RunningJob | None] = ContextVar("litequeue_current_job", default=None)


def current_job() -> RunningJob | None:
    """The job that the code calling this runs for, or None outside of one."""
    return _current.get()


class Mailbox:
    """What a running job wants stored, kept until the heartbeat or the settlement takes it along."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: tuple[float | None, str | None] = (None, None)
        self._meta: str | None = None
        self._logs: list[tuple[int, str]] = []
        self._full = False

    def put_progress(self, fraction: float | None, text: str | None) -> None:
        """Keep the newest progress."""
        with self._lock:
            self._progress, self._full = (fraction, text), True

    def put_meta(self, text: str) -> None:
        """Keep the newest meta, as JSON text."""
        with self._lock:
            self._meta, self._full = text, True

    def put_line(self, at: int, text: str) -> None:
        """Keep one more log line."""
        with self._lock:
            self._logs.append((at, text))
            self._full = True

    def put_back(self, note: Note) -> None:
        """Keep what was taken and could not be stored; what was put since is newer."""
        with self._lock:
            if self._progress == (None, None):
                self._progress = note.progress, note.progress_text
            if self._meta is None:
                self._meta = note.meta
            self._logs[:0] = note.logs
            self._full = True

    def take(self, job: Claimed) -> Note | None:
        """All that was put since it was last taken."""
        if not self._full:
            return None
        with self._lock:
            note = Note(job.lease, *self._progress, self._meta, tuple(self._logs))
            self._progress, self._meta, self._logs, self._full = (None, None), None, [], False
        return note


class Meta(MutableMapping[str, Any]):
    """The job's own notes: a dict of plain JSON values, stored as it changes."""

    def __init__(self, stored: str | None, mailbox: Mailbox) -> None:
        self._values: dict[str, Any] = dict(plain(stored)) if stored else {}
        self._mailbox = mailbox

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise InvalidOption(f"{shown(key)} can not be a key of meta; give a text")
        text = meta_text({**self._values, key: value})
        self._values[key] = value
        self._mailbox.put_meta(text)

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        self._mailbox.put_meta(meta_text(self._values))

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class RunningJob:
    """The job that runs: what a task may ask and tell about itself."""

    def __init__(
        self,
        claimed: Claimed,
        clock: Clock,
        mailbox: Mailbox,
        timeout: int | None,
        transaction: Callable[[], AbstractContextManager[Connection]],
        steps: Callable[[], Steps],
    ) -> None:
        self.id = claimed.lease.job
        self.task = claimed.task
        self.queue = claimed.queue
        self.attempt = claimed.lease.attempt
        self.failures = claimed.failures
        self._options = claimed.options
        self._scheduled_for = claimed.scheduled_for
        self._meta = None if claimed.meta is None else Meta(claimed.meta, mailbox)
        self._clock = clock
        self._mailbox = mailbox
        self._transaction = transaction
        self._make_steps = steps
        self._steps: Steps | None = None
        self._cancelled = False
        self._thread = 0
        self._deadline = None if timeout is None else clock.monotonic() + timeout

    @property
    def meta(self) -> Meta:
        """The job's own notes: what is put there is stored with the job."""
        if self._meta is None:
            self._meta = Meta(None, self._mailbox)
        return self._meta

    @property
    def headers(self) -> dict[str, str]:
        """The texts that were given as `headers`; what the task enqueues has them, too."""
        return headers_of(self._options)

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked this job to stop; a long task looks at it now and then."""
        return self._cancelled

    @property
    def scheduled_for(self) -> datetime | None:
        """The instant for which a schedule made this job, which may be long ago; None for other jobs."""
        return None if self._scheduled_for is None else to_datetime(self._scheduled_for)

    def time_left(self) -> float | None:
        """Seconds until the time limit, never below 0; None without a limit."""
        if self._deadline is None:
            return None
        return max(0.0, (self._deadline - self._clock.monotonic()) / SECOND)

    def progress(self, fraction: float, text: str | None = None) -> None:
        """Tell how far the task is, from 0 to 1, and in words; stored within half a second."""
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
            raise InvalidOption(f"progress is {shown(fraction)}; give a number from 0 to 1")
        self._mailbox.put_progress(float(fraction), None if text is None else _storable(str(text)))

    def log(self, text: str) -> None:
        """Keep a line with the job, for `show` and `job.log`."""
        self._mailbox.put_line(self._clock.now(), _storable(str(text)))

    def transaction(self) -> AbstractContextManager[Connection]:
        """A connection to the queue's file whose writes commit with the job's completion, or not at all.

        All other writers wait from the block's begin until the task returns, so open it last.
        """
        if threading.get_ident() != self._thread:
            raise LiteQueueError(
                "current_job().transaction() belongs to the thread that runs the task; call it there"
            )
        return self._transaction()

    @overload
    def step(
        self, name: str, function: Callable[..., R], /, *args: Any, transaction: Literal[True], **kwargs: Any
    ) -> R: ...
    @overload
    def step(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def step(self, name: str, function: Any, /, *args: Any, transaction: Any = False, **kwargs: Any) -> Any:
        """What `function(*args, **kwargs)` returns; done once over all attempts of this job.

        With `transaction=True` the function gets a connection to the queue's file as its first argument, and
        what it writes commits together with its result, or not at all. Inside `transaction()` a step is part
        of that, and kept only if the job completes. Raises `EncodingError` when the result can not be stored,
        which fails the job if nobody catches it, `LeaseLost` when another attempt owns the job by now.
        """
        steps = self._own_steps()
        if steps.is_async and threading.get_ident() == self._thread:
            raise LiteQueueError(
                "current_job().step() would hold up the event loop; write `await current_job().astep(…)`"
            )
        return steps.run(Work(name, function, args, kwargs, transaction))

    @overload
    async def astep(
        self, name: str, function: Callable[..., R], /, *args: Any, transaction: Literal[True], **kwargs: Any
    ) -> R: ...
    @overload
    async def astep(
        self, name: str, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def astep(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def astep(
        self, name: str, function: Any, /, *args: Any, transaction: Any = False, **kwargs: Any
    ) -> Any:
        """`step` for an `async def` task; a plain function runs on a thread, beside the event loop."""
        return await self._own_steps().arun(Work(name, function, args, kwargs, transaction))

    def _own_steps(self) -> Steps:
        if self._steps is None:
            self._steps = self._make_steps()
        return self._steps

    def has_refused(self, error: BaseException) -> bool:
        """Whether this is what a step raised whose result can not be stored; the worker asks this."""
        return self._steps is not None and self._steps.has_refused(error)

    def ask_to_stop(self) -> None:
        """Let `cancelled` be true from now on; the worker calls this."""
        self._cancelled = True

    def enter(self) -> None:
        """Be `current_job()` from now on, in this context."""
        self._thread = threading.get_ident()
        _current.set(self)


def no_transaction() -> AbstractContextManager[Connection]:
    """In place of `transaction()` where the file is out of reach."""
    raise LiteQueueError(
        "current_job().transaction() is not there in an isolated task, which runs in a process of its own; "
        "take isolate=True away, or make the writes harmless when they are done twice"
    )


def _storable(text: str) -> str:
    return text[:_LINE_LIMIT].encode(errors="replace").decode()
