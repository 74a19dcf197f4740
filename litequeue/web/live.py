"""What is sent while things change: one look at the file serves all who watch."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

from ..clock import SECOND, Clock
from ..errors import LiteQueueError
from .source import Marks

MOST_WATCHERS = 16
_GLANCE = 0.2  # seconds between two glances at the file's marks
_SOONEST, _LATEST = 1 * SECOND, 5 * SECOND  # between two looks into the file
_REST = 10  # of a long look, so many times its length
_LONGEST = 600 * SECOND  # then the browser asks again


class Pulse:
    """The newest look at the file. It is taken when the file has changed, and every five seconds."""

    def __init__(self, look: Callable[[], object], marks: Callable[[], Marks | None], clock: Clock) -> None:
        self.clock = clock
        self._look = look
        self._marks = marks
        self._lock = threading.Lock()
        self._number = 0
        self._event = b""
        self._seen: Marks | None = None
        self._taken_at = self._rested_at = clock.monotonic() - _LATEST

    def newest(self) -> tuple[int, bytes]:
        """The number and the text of the newest event."""
        with self._lock:
            now = self.clock.monotonic()
            if now >= self._rested_at and self._is_old(now):
                self._take(now)
            return self._number, self._event

    def _is_old(self, now: int) -> bool:
        seen = self._marks()
        if now - self._taken_at < _LATEST and seen is not None and seen == self._seen:
            return False
        self._seen = seen  # before the look: what changes meanwhile is looked at again
        return True

    def _take(self, now: int) -> None:
        try:
            self._event = event("look", self._look())
        except LiteQueueError as error:
            self._event = event("trouble", {"error": str(error)})
        self._number += 1
        self._taken_at = self.clock.monotonic()
        self._rested_at = self._taken_at + max(_SOONEST, _REST * (self._taken_at - now))


class Watchers:
    """Those who watch, of whom there are not too many."""

    def __init__(self, pulse: Pulse) -> None:
        self.pulse = pulse
        self._places = threading.BoundedSemaphore(MOST_WATCHERS)

    def admit(self) -> Stream | None:
        """A stream of events, or None when every place is taken."""
        return Stream(self.pulse, self._places.release) if self._places.acquire(blocking=False) else None


class Stream:
    """The events for one watcher; whoever sends them must close it.

    It holds nothing of the file, so a watcher who is slow to take them is nobody's trouble but its own.
    """

    def __init__(self, pulse: Pulse, leave: Callable[[], None]) -> None:
        self._pulse = pulse
        self._leave: Callable[[], None] | None = leave
        self._end = pulse.clock.monotonic() + _LONGEST
        self._number = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while self._leave is not None and self._pulse.clock.monotonic() < self._end:
            number, text = self._pulse.newest()
            if number != self._number:
                self._number = number
                return text
            self._pulse.clock.sleep(_GLANCE)
        raise StopIteration

    def close(self) -> None:
        """Give the place to another; it may be called again."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


def event(name: str, value: object) -> bytes:
    """A server-sent event; JSON has no line break of its own."""
    return f"event: {name}\ndata: {json.dumps(value)}\n\n".encode()
