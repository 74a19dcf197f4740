"""A clock moved by hand."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from ..clock import duration, instant

_START = datetime(2030, 1, 1, tzinfo=UTC)
_GLANCE = 0.001


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
