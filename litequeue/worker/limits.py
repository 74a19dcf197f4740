"""Time limits of tasks: an exception raised inside the task, and a report when that is ignored.

On threads it is raised here. In a coroutine asyncio raises it, and here is only seen whether it ends.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from ..clock import SECOND, Clock
from ..directives import TaskTimeout
from .outcome import Assignment

PATIENCE = 5 * SECOND
_LONGEST_NAP = 3600.0


@dataclass(slots=True, eq=False)
class Watched:
    """One attempt on one thread; `deadline` is the next moment something must be done about it."""

    assignment: Assignment
    thread: int
    deadline: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    raised: bool = False
    over: bool = False


class Limits:
    """Watches attempts that have a limit. The watching thread starts with the first of them.

    `on_stuck` is told of an attempt that did not end within `patience` after its limit, with its stack, and
    told again until it says that it has dealt with it.
    """

    def __init__(
        self, clock: Clock, on_stuck: Callable[[Assignment, int, str], bool], patience: int = PATIENCE
    ) -> None:
        self._clock = clock
        self._on_stuck = on_stuck
        self._patience = patience
        self._condition = threading.Condition()
        self._watched: set[Watched] = set()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._unwatched = nullcontext()

    def watched(self, assignment: Assignment) -> AbstractContextManager[None]:
        """Raise `TaskTimeout` inside the block when the assignment's time is over."""
        limit = assignment.policy.timeout
        if limit is None:
            return self._unwatched
        return self._until(Watched(assignment, threading.get_ident(), self._clock.monotonic() + limit))

    def awaited(self, assignment: Assignment) -> AbstractContextManager[None]:
        """Report a coroutine that stays in the block though asyncio has raised in it, or could not."""
        limit = assignment.policy.timeout
        if limit is None:
            return self._unwatched
        patient = self._clock.monotonic() + limit + self._patience
        return self._until(Watched(assignment, threading.get_ident(), patient, raised=True))

    @contextmanager
    def _until(self, one: Watched) -> Iterator[None]:
        self._add(one)
        try:
            yield
        finally:
            self._finish(one)

    def close(self) -> None:
        """Stop watching."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    def _add(self, one: Watched) -> None:
        with self._condition:
            self._watched.add(one)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="litequeue-limits", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _finish(self, one: Watched) -> None:
        """Stop watching; an exception that is on its way arrives here, late, and is of no use any more."""
        while not one.over:
            try:
                self._remove(one)
            except TaskTimeout:
                continue

    def _remove(self, one: Watched) -> None:
        with one.lock:
            if one.raised:
                _receive()  # it may not have been delivered, and the next job must not get it
            self._end(one)

    def _end(self, one: Watched) -> None:
        with self._condition:
            self._watched.discard(one)
        one.over = True

    def _watch(self) -> None:
        while True:
            with self._condition:
                if self._closed:
                    return
                due = [one for one in self._watched if one.deadline <= self._clock.monotonic()]
                if not due:
                    self._condition.wait(self._nap())
                    continue
            for one in due:
                self._act(one)

    def _nap(self) -> float:
        if not self._watched:
            return _LONGEST_NAP
        first = min(one.deadline for one in self._watched)
        return min(_LONGEST_NAP, max(0.0, (first - self._clock.monotonic()) / SECOND))

    def _act(self, one: Watched) -> None:
        with one.lock:
            if one.over:
                return
            one.deadline += self._patience
            if not one.raised:
                one.raised = True
                _raise_in(one.thread)
                return
        if self._on_stuck(one.assignment, one.thread, stack_of(one.thread)):
            with one.lock:
                self._end(one)


def stack_of(thread: int) -> str:
    """Where a thread is now, as a traceback reads."""
    frame = sys._current_frames().get(thread)
    return "".join(traceback.format_stack(frame)) if frame is not None else "(the thread has ended)"


def _raise_in(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TaskTimeout))


def _receive() -> None:
    """Let what is on its way to this thread arrive now, where it does nothing.

    To take it back instead leaves CPython 3.12 looking for it at every jump and call: a loop then takes
    one and a half times as long, for the rest of the process's life.
    """
    with suppress(TaskTimeout):
        _raise_in(threading.get_ident())
        while True:
            pass
