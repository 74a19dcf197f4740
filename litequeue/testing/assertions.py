"""What was enqueued, and how it differs from what should have been."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Any, NamedTuple

from ..clock import SECOND, to_datetime
from ..errors import InvalidOption
from ..handle import Job
from ..job import Filter, Snapshot
from ..options import NO_OPTIONS, UNSET, Options, explicit
from ..queue import Queue
from ..tasks import Named, Task, make_task, name_of

_ALL = 1_000_000
_SHOWN = 10
_WIDTH = 80
_BEFORE = 20
_NOT_THERE = object()


def enqueued(queue: Queue, task: Named | None = None) -> list[Job[Any]]:
    """The jobs in the file of this queue, of all its lanes, oldest first; of one task if it is given."""
    desk = queue.desk
    chosen = Filter(task=None if task is None else name_of(task))
    found = desk.reports.jobs(chosen, _ALL)
    return [Job(desk, snapshot.id, snapshot) for snapshot in reversed(found)]


def assert_enqueued(queue: Queue, task: Named, /, *args: object, **kwargs: object) -> Job[Any]:
    """The first job of this task with these arguments; raises `AssertionError`, with what there is, for none.

    Arguments are compared as the function sees them: by place, by name or by default is all the same. Options
    are compared where they are said, in the words of `enqueue`: `assert_enqueued(queue, f, args=(1,),
    priority=5)`, or `assert_enqueued(queue, f.using(priority=5), 1)`. Raises `BadArguments`, a `TypeError`,
    for arguments that the function can not have; of a name that `queue` does not declare nothing is known.
    """
    wanted = _wanted(queue, task, args, kwargs)
    found = enqueued(queue, task)
    for job in found:
        if not any(wanted.differences(job)):
            return job
    raise AssertionError(f"{wanted} was not enqueued; {_others(wanted, found, enqueued(queue))}")


def assert_not_enqueued(queue: Queue, task: Named, /, *args: object, **kwargs: object) -> None:
    """Raise `AssertionError` for a job that `assert_enqueued` finds; without arguments, any of the task.

    Give the task itself where it is at hand: of a name that `queue` does not declare, no job is ever found if
    it is misspelt. Raises `BadArguments` as `assert_enqueued` does.
    """
    wanted = _wanted(queue, task, args, kwargs) if args or kwargs else None
    found = enqueued(queue, task)
    same = [job for job in found if wanted is None or not any(wanted.differences(job))]
    if same:
        raise AssertionError(f"{wanted or name_of(task)} was enqueued:\n{_listed(same)}")


class _Wanted(NamedTuple):
    """The job that is looked for; options that are not said may be any."""

    name: str
    task: Task[..., Any] | None  # if more than its name is known here
    args: Sequence[object]
    kwargs: Mapping[str, object]
    options: Options

    def differences(self, job: Job[Any]) -> Iterator[str]:
        """What is otherwise with a job of this task, in words."""
        wanted, found = self._seen(self.args, self.kwargs), self._seen(job.args, job.kwargs)
        for name in dict.fromkeys([*wanted, *found]):
            here, there = found.get(name, _NOT_THERE), wanted.get(name, _NOT_THERE)
            if here != there:
                yield f"{name} {_apart(here, there)}"
        for name, value in _said(self.options):
            here = _OPTIONS[name](job.snapshot)
            if here != value and not _is_near(name, here, value):
                yield f"{name} {_apart(_readable(name, here), _readable(name, value))}"

    def _seen(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
        """The arguments by the names that the function gives them, where its signature is known."""
        signature = None if self.task is None else self.task.signature
        if signature is not None:
            with suppress(TypeError):  # a parent will give the first, or the function was another once
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                return bound.arguments
        return {**{f"argument {place}": value for place, value in enumerate(args, 1)}, **kwargs}

    def __str__(self) -> str:
        words = [f"{name}={_readable(name, value)!r}" for name, value in _said(self.options)]
        return _call(self.name, self.args, self.kwargs) + (" with " + ", ".join(words) if words else "")


def _wanted(queue: Queue, task: Named, args: Sequence[object], kwargs: Mapping[str, object]) -> _Wanted:
    options = NO_OPTIONS
    if "args" in kwargs or "kwargs" in kwargs:
        args, kwargs, options = explicit(kwargs)
    unknown = [name for name, _ in _given(options) if name not in _OPTIONS]
    if isinstance(task, Task):
        declared = task.producer.declared.get(task.name)
        if task is not declared:  # made by `using`: it says more than the task does
            base = NO_OPTIONS if declared is None else declared.options
            unknown += [n for n, v in _given(task.options) if n not in _OPTIONS and v is not getattr(base, n)]
            options = options.over(task.options)
    if unknown:
        raise InvalidOption(
            f"{', '.join(unknown)} can not be compared, only {', '.join(_OPTIONS)}; look at the job itself"
        )
    known = _known(queue, task)
    if known is not None:
        known.call(*args, **kwargs)  # which refuses what no job of it can have
    return _Wanted(name_of(task), known, args, kwargs, options)


def _known(queue: Queue, task: Named) -> Task[..., Any] | None:
    """The task, as far as its code is known here."""
    if isinstance(task, str):
        return queue.declared.get(task)
    return task if isinstance(task, Task) else make_task(task, name_of(task), queue, NO_OPTIONS)


def _given(options: Options) -> Iterator[tuple[str, Any]]:
    for name in options.__dataclass_fields__:
        if getattr(options, name) is not UNSET:
            yield name, getattr(options, name)


def _said(options: Options) -> Iterator[tuple[str, Any]]:
    """The options that are compared, as plain values."""
    for name, value in _given(options):
        if name in _OPTIONS:
            yield name, json.loads(value) if name in ("tags", "meta") else value


def _after_enqueue(snapshot: Snapshot, instant: int | None) -> int | None:
    return None if instant is None else instant - snapshot.created_at


# Where each option is found in the row, in the units of `Options`.
_OPTIONS: dict[str, Callable[[Snapshot], Any]] = {
    "queue": lambda row: row.queue,
    "priority": lambda row: row.priority,
    "delay": lambda row: _after_enqueue(row, row.run_at),
    "run_at": lambda row: row.run_at,
    "expires": lambda row: _after_enqueue(row, row.expires_at),
    "expires_at": lambda row: row.expires_at,
    "tags": lambda row: json.loads(row.tags or "[]"),
    "meta": lambda row: json.loads(row.meta or "{}"),
}


def _is_near(name: str, one: int | None, other: int) -> bool:
    """Whether two durations differ by no more than an enqueue may take."""
    return name in ("delay", "expires") and one is not None and abs(one - other) < SECOND


def _readable(name: str, value: Any) -> object:
    if value is None or name not in ("delay", "expires", "run_at", "expires_at"):
        return value
    return to_datetime(value) if name.endswith("_at") else value / SECOND


def _others(wanted: _Wanted, same: Sequence[Job[Any]], others: Sequence[Job[Any]]) -> str:
    if same:
        return f"the jobs of {wanted.name} are:\n{_listed(same, wanted)}"
    return f"there is no job of {wanted.name}, only:\n{_listed(others)}" if others else "nothing was"


def _listed(jobs: Sequence[Job[Any]], wanted: _Wanted | None = None) -> str:
    lines = []
    for job in jobs[:_SHOWN]:
        lines.append(f"  job {job.id}: {_call(job.task, job.args, job.kwargs)}, {job.state}")
        lines += [f"    {words}" for words in (wanted.differences(job) if wanted else ())]
    if len(jobs) > _SHOWN:
        lines.append(f"  and {len(jobs) - _SHOWN:,} more")
    return "\n".join(lines)


def _call(name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    words = [f"{value!r:.80}" for value in args] + [f"{key}={value!r:.80}" for key, value in kwargs.items()]
    return f"{name}({', '.join(words)})"


def _apart(found: object, wanted: object) -> str:
    """The two values, from shortly before where they part."""
    one = "not there" if found is _NOT_THERE else repr(found)
    other = "left out" if wanted is _NOT_THERE else repr(wanted)
    start = 0
    if max(len(one), len(other)) > _WIDTH:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
        start = max(0, sum(1 for _ in same) - _BEFORE)
    return f"is {_cut(one, start)}, not {_cut(other, start)}"


def _cut(text: str, start: int) -> str:
    end = start + _WIDTH
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
