"""What a worker does for the file beside its jobs: old ones go, and so does the room that they leave.

In small steps, each of which holds the write lock for some milliseconds, and for a part of a beat only.
"""

from __future__ import annotations

import threading

from ..clock import SECOND
from ..desk import Desk

_EVERY = SECOND // 2  # or what a fast worker ends would fill the disk, however short the retention
_EVERY_WHEN_IDLE = 10 * SECOND
_FOR, _FOR_WHEN_IDLE = SECOND // 10, SECOND // 4  # so that a beat still comes every second
_SMALLEST_STEP, _LARGEST_STEP = 1_000, 4_000  # jobs; 2 to 10 ms of the write lock, thrice that under load
_BREATH = 0.004
# Free pages that are not given back, for the next jobs would take them: 1 MB, or 16 MB while there are many.
_SPARE, _SPARE_WHEN_BUSY = 256, 4_096


class Upkeep:
    """Prunes and gives back, when it is time for that; `stop` ends it at once."""

    def __init__(self, desk: Desk, stop: threading.Event) -> None:
        self._desk = desk
        self._stop = stop
        self._due = desk.clock.monotonic() + _EVERY
        self._step = _SMALLEST_STEP
        self._settled = 0
        self._is_shorter = False

    def tend(self, now: int, settled: int) -> None:
        """Do what is due, a part of it if there is much; the next beat goes on. `settled` counts jobs."""
        if now < self._due:
            return
        is_busy, self._settled = settled != self._settled, settled
        end = now + (_FOR if is_busy else _FOR_WHEN_IDLE)
        if self._prune_until(end) and self._give_back_until(end, is_busy=is_busy):
            self._due = now + (_EVERY if is_busy else _EVERY_WHEN_IDLE)

    def _prune_until(self, end: int) -> bool:
        """Whether nothing more is left to prune; else the next beat goes on, in larger steps."""
        while self._desk.store.prune(self._step):
            if self._is_over(end):
                self._step = min(2 * self._step, _LARGEST_STEP)
                return False
        self._step = _SMALLEST_STEP
        return True

    def _give_back_until(self, end: int, *, is_busy: bool) -> bool:
        """Whether as few free pages are left as shall be."""
        while self._desk.care.give_back(self._spare(is_busy=is_busy)):
            self._is_shorter = True
            if self._is_over(end):
                return False
        if self._is_shorter:
            self._desk.care.cut()
            self._is_shorter = False
        return True

    def _spare(self, *, is_busy: bool) -> int:
        return max(_SPARE_WHEN_BUSY, self._desk.care.space().used) if is_busy else _SPARE

    def _is_over(self, end: int) -> bool:
        """Let the others write between two steps; whether there is no time for another."""
        return self._desk.clock.wait(self._stop, _BREATH) or self._desk.clock.monotonic() >= end
