"""Time limits of tasks on threads: an exception raised inside the task, and a report when that is ignored."""

from __future__ import annotations

import ctypes
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from ..clock import SECOND, Clock
from ..directives import TaskTimeout
from .outcome import Assignment

PATIENCE = 5 * SECOND
_LONGEST_NAP = 3600.0


@dataclass(slots=True)
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

    `on_stuck` is told of an attempt that did not end within `patience` after its limit, with its stack.
    """

    def __init__(
        self, clock: Clock, on_stuck: Callable[[Assignment, int, str], None], patience: int = PATIENCE
    ) -> None:
        self._clock = clock
        self._on_stuck = on_stuck
        self._patience = patience
        self._condition = threading.Condition()
        self._watched: list[Watched] = []
        self._thread: threading.Thread | None = None
        self._closed = False
        self._unwatched = nullcontext()

    def watched(self, assignment: Assignment) -> AbstractContextManager[None]:
        """Raise `TaskTimeout` inside the block when the assignment's time is over."""
        limit = assignment.policy.timeout
        return self._unwatched if limit is None else self._until(assignment, limit)

    @contextmanager
    def _until(self, assignment: Assignment, limit: int) -> Iterator[None]:
        one = Watched(assignment, threading.get_ident(), self._clock.monotonic() + limit)
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
            self._watched.append(one)
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
                _take_back(one.thread)  # it may not have been delivered, and the next job must not get it
            with self._condition:
                if one in self._watched:
                    self._watched.remove(one)
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
            if not one.raised:
                one.raised = True
                one.deadline += self._patience
                _raise_in(one.thread)
                return
            one.over = True
            with self._condition:
                self._watched.remove(one)
        self._on_stuck(one.assignment, one.thread, stack_of(one.thread))


def stack_of(thread: int) -> str:
    """Where a thread is now, as a traceback reads."""
    frame = sys._current_frames().get(thread)
    return "".join(traceback.format_stack(frame)) if frame is not None else "(the thread has ended)"


def _raise_in(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TaskTimeout))


def _take_back(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None)
