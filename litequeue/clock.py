"""The only room that reads time. Instants and durations are integer microseconds inside litequeue."""

from __future__ import annotations

import math
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Protocol

from .errors import InvalidOption, shown

SECOND = 1_000_000
_GLANCE, _STEP = 0.001, 0.05
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST, _LAST = -62_135_596_800 * SECOND, 253_402_300_800 * SECOND - 1  # the years 1 and 9999
LAST_INSTANT = (datetime(2200, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
LONGEST = 200 * 365 * 24 * 3600 * SECOND


class Clock(Protocol):
    """Where litequeue reads time and waits; tests move one by hand."""

    def now(self) -> int:
        """Microseconds of wall time since 1970, UTC."""

    def monotonic(self) -> int:
        """Microseconds of a clock that nobody can set, shared by every process of this boot."""

    def boot(self) -> str:
        """The id of this boot of the kernel: monotonic instants compare only within one."""

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set, at most `seconds`; whether it is set."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> int:
        return time.monotonic_ns() // 1000

    def boot(self) -> str:
        return boot_id()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds)


def wait_or_sleep(clock: Clock, event: threading.Event, seconds: float) -> None:
    """Let `seconds` pass, or less if the event is set or a clock that is not the machine's was moved.

    One that stands still meanwhile is moved a step, as by anybody who sleeps by it.
    """
    if isinstance(clock, SystemClock):
        clock.wait(event, seconds)
        return
    before = clock.monotonic()
    if not event.wait(_GLANCE) and clock.monotonic() == before:
        clock.sleep(min(seconds, _STEP))


async def pause(seconds: float) -> None:
    """Let `seconds` pass for a coroutine, while others run."""
    import asyncio

    await asyncio.sleep(seconds)


@cache
def boot_id() -> str:
    """The kernel's id of this boot, or one made from the network card where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        # Without a boot id two boots look alike; the lock of a dead worker is free all the same.
        return f"node-{uuid.getnode():x}"


def duration(value: float | timedelta, name: str) -> int:
    """Microseconds in a duration given in seconds or as a `timedelta`.

    Raises `InvalidOption` for what is not a number, NaN, infinite, negative or over 200 years.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, timedelta)):
        raise InvalidOption(f"{name} is {shown(value)}; give seconds as a number, or a timedelta")
    micros = value // _MICROSECOND if isinstance(value, timedelta) else value * SECOND
    if isinstance(micros, float) and not math.isfinite(micros):
        raise InvalidOption(f"{name} is {shown(value)}; give a finite number of seconds")
    micros = round(micros)
    if not 0 <= micros <= LONGEST:
        raise InvalidOption(f"{name} is {shown(value)}; give a duration between 0 seconds and 200 years")
    return micros


def instant(value: datetime, name: str) -> int:
    """Microseconds since 1970 UTC of an aware `datetime`.

    Raises `InvalidOption` for a naive one, and for one outside 1970 to 2200.
    """
    if not isinstance(value, datetime):
        raise InvalidOption(f"{name} is {shown(value)}; give an aware datetime")
    if value.utcoffset() is None:
        raise InvalidOption(
            f"{name} is {shown(value)}, which names no time zone; "
            "use datetime.now(timezone.utc) or value.astimezone()"
        )
    micros = (value - _EPOCH) // _MICROSECOND
    if not 0 <= micros < LAST_INSTANT:
        raise InvalidOption(f"{name} is {shown(value)}; give an instant between 1970 and 2200")
    return micros


def to_datetime(micros: int) -> datetime:
    """The aware datetime, in UTC, of an instant in microseconds; the nearest that Python can express."""
    return _EPOCH + timedelta(microseconds=max(_FIRST, min(_LAST, micros)))
