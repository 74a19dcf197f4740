"""The threads that run plain functions, and the line in which claimed jobs wait for one."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable

from ..clock import Clock
from .outcome import Assignment


class Slots:
    """A fixed number of threads that take assignments in order; a stuck one is replaced.

    `work` runs one assignment and delivers its outcome; it must not raise.
    """

    def __init__(self, number: int, clock: Clock, work: Callable[[Assignment], None]) -> None:
        self._clock = clock
        self._work = work
        self._condition = threading.Condition()
        self._line: deque[tuple[Assignment, int]] = deque()
        self._idle = 0
        self._closed = False
        self._stuck: set[int] = set()
        self.number = number
        self._started = 0

    @property
    def waiting(self) -> int:
        """How many assignments wait in the line."""
        return len(self._line)

    @property
    def stuck(self) -> int:
        """How many threads are stuck in a task that does not end."""
        return len(self._stuck)

    def put(self, assignments: list[Assignment], hands: int = sys.maxsize) -> None:
        """Append to the line, and wake so many threads; they are started as they are first needed."""
        now = self._clock.monotonic()
        with self._condition:
            self._line.extend((assignment, now) for assignment in assignments)
            while self._started < self.number and self._idle < len(self._line):
                self._start()
            self._condition.notify(min(hands, len(assignments)))

    def wake(self) -> None:
        """Let every thread look at the line."""
        with self._condition:
            self._condition.notify_all()

    def take_back(self, waited: int) -> list[Assignment]:
        """Take out of the line what has waited there for longer than `waited` microseconds."""
        if not self._line:
            return []
        limit = self._clock.monotonic() - waited
        with self._condition:
            late = [entry for entry in self._line if entry[1] <= limit]
            for entry in late:
                self._line.remove(entry)
        return [assignment for assignment, _ in late]

    def replace(self, thread: int) -> None:
        """Start a thread in place of one that is stuck; that one ends when its task does."""
        with self._condition:
            self._stuck.add(thread)
            self._start()

    def close(self) -> None:
        """Let the threads end when they are idle."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _start(self) -> None:
        self._started += 1
        self._idle += 1  # it counts as idle from now, or a burst of puts would start too many
        name = f"litequeue-slot-{self._started}"
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def _serve(self) -> None:
        me = threading.get_ident()
        while me not in self._stuck:
            with self._condition:
                while not self._line and not self._closed:
                    self._condition.wait()
                if not self._line:
                    return
                assignment, _ = self._line.popleft()
                self._idle -= 1
            self._work(assignment)
            with self._condition:
                self._idle += 1
        with self._condition:
            self._stuck.discard(me)
            self._idle -= 1
            self._started -= 1
