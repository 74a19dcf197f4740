"""Functions and exceptions for executors: other processes could import them."""

from __future__ import annotations

import threading
import time
from enum import Enum


class Doors:
    """Where functions wait until the test lets them go; the names are those of the test."""

    def __init__(self) -> None:
        self._opened: dict[str, threading.Event] = {}
        self._reached: dict[str, threading.Event] = {}
        self._mutex = threading.Lock()

    def opened(self, name: str) -> threading.Event:
        """Set by the test."""
        with self._mutex:
            return self._opened.setdefault(name, threading.Event())

    def reached(self, name: str) -> threading.Event:
        """Set by the function that comes to the door."""
        with self._mutex:
            return self._reached.setdefault(name, threading.Event())

    def open_all(self) -> None:
        """Let everybody go."""
        with self._mutex:
            for event in self._opened.values():
                event.set()


DOORS = Doors()


class Plain(LookupError):
    """An exception as most people write them."""


class PlainKey(KeyError):
    """Likewise, of a class that shows what it was given as a repr does."""


class Colour(Enum):
    """A key that is no literal."""

    RED = 1


class Peculiar(Exception):
    """An exception that wants more than a message."""

    def __init__(self, code: int, where: str) -> None:
        super().__init__(f"{code} at {where}")


def mul(x: int, y: int) -> int:
    return x * y


def capture(*args: object, **kwargs: object) -> tuple[tuple[object, ...], dict[str, object]]:
    return args, kwargs


def wait_at(name: str) -> str:
    """Wait until the test opens this door."""
    DOORS.reached(name).set()
    if not DOORS.opened(name).wait(30):
        raise TimeoutError(f"nobody opens the door {name}")
    return name


def raise_plain(text: str) -> None:
    raise Plain(text)


def unless_two(number: int) -> int:
    if number == 2:
        raise Plain("two")
    return number


def raise_peculiar(code: int) -> None:
    raise Peculiar(code, "the gate")


def raise_unicode() -> None:
    b"\xff".decode()


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def nap_behind(name: str, seconds: float) -> float:
    """Say at this door that it runs, and nap."""
    DOORS.reached(name).set()
    return nap(seconds)


def own_class() -> None:
    class Hidden(Exception):
        """Defined where nobody finds it."""

    raise Hidden("here")


def unstorable() -> object:
    return object()


async def later(value: int) -> int:
    return value + 1
