"""For tests of programs that use litequeue: a clock moved by hand, and what was enqueued.

queue = Queue(":memory:", clock=HandClock())
sign_up("ada@example.org")
assert_enqueued(queue, send_welcome, "ada@example.org")
queue.drain()
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from .clock import duration, instant
from .handle import Job
from .job import Filter
from .queue import Queue
from .tasks import Named, Task, name_of

_START = datetime(2030, 1, 1, tzinfo=UTC)
_GLANCE = 0.001
_ALL = 1_000_000
_SHOWN = 10


def enqueued(queue: Queue, task: Named | None = None) -> list[Job[Any]]:
    """The jobs in the file of this queue, of all its lanes, oldest first; of one task if it is given."""
    desk = queue.desk
    chosen = Filter(task=None if task is None else name_of(task))
    found = desk.reports.jobs(chosen, _ALL)
    return [Job(desk, snapshot.id, snapshot) for snapshot in reversed(found)]


def assert_enqueued(queue: Queue, task: Named, /, *args: object, **kwargs: object) -> Job[Any]:
    """The first job of this task with these arguments; raises `AssertionError`, with what there is, for none.

    Arguments are compared as the function sees them: by place, by name or by default is all the same.
    """
    wanted = _seen(task, args, kwargs)
    found = enqueued(queue, task)
    for job in found:
        if _seen(task, job.args, job.kwargs) == wanted:
            return job
    call = _call(name_of(task), args, kwargs)
    raise AssertionError(f"{call} was not enqueued; {_listed(found, name_of(task), enqueued(queue))}")


def _seen(task: Named, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    """The arguments by the names that the function gives them, where its signature is known."""
    function = task.function if isinstance(task, Task) else task
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return tuple(args), dict(kwargs)  # only a name, without a signature, or not fitting it
    bound.apply_defaults()
    return bound.arguments


def _listed(same: Sequence[Job[Any]], name: str, others: Sequence[Job[Any]]) -> str:
    if not others:
        return "nothing was"
    jobs = same or others
    lines = [f"  job {job.id}: {_call(job.task, job.args, job.kwargs)}, {job.state}" for job in jobs[:_SHOWN]]
    if len(jobs) > _SHOWN:
        lines.append(f"  and {len(jobs) - _SHOWN:,} more")
    what = f"the jobs of {name} are" if same else f"there is no job of {name}, only"
    return "\n".join([f"{what}:", *lines])


def _call(name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    words = [f"{value!r:.80}" for value in args] + [f"{key}={value!r:.80}" for key, value in kwargs.items()]
    return f"{name}({', '.join(words)})"


class HandClock:
    """A clock moved by hand: give it to `Queue(…, clock=…)`, and call `advance` instead of waiting.

    It starts at midnight of 1 January 2030 UTC, or at the aware datetime given.
    """

    def __init__(self, start: datetime = _START) -> None:
        self._wall = instant(start, "start")
        self._monotonic = 0
        self._boots = 1
        self._moved = threading.Condition()

    def now(self) -> int:
        """Microseconds of wall time since 1970, UTC."""
        return self._wall

    def monotonic(self) -> int:
        """Microseconds that were advanced since the last boot."""
        return self._monotonic

    def boot(self) -> str:
        """The id of this boot; `reboot` changes it."""
        return f"boot-{self._boots}"

    def sleep(self, seconds: float) -> None:
        """Move the clock by `seconds` at once, and let other threads have a moment."""
        self.advance(seconds)
        with self._moved:
            self._moved.wait(_GLANCE)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set, or the clock was moved by `seconds`; whether it is set."""
        end = self._monotonic + duration(seconds, "seconds")
        boots = self._boots
        while not event.is_set() and self._monotonic < end and self._boots == boots:
            event.wait(_GLANCE)  # an event can not be told that the clock was moved
        return event.is_set()

    def advance(self, seconds: float | timedelta) -> None:
        """Let time pass on both clocks."""
        micros = duration(seconds, "seconds")
        with self._moved:
            self._wall += micros
            self._monotonic += micros
            self._moved.notify_all()

    def set_wall(self, to: datetime) -> None:
        """Set the wall clock forward or back, as an operator would; the monotonic clock goes on."""
        with self._moved:
            self._wall = instant(to, "to")

    def reboot(self) -> None:
        """As if the machine had been started again: the monotonic clock begins at 0."""
        with self._moved:
            self._boots += 1
            self._monotonic = 0
            self._moved.notify_all()
