"""Functions and types that the tests enqueue: other processes could import them."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Color(enum.Enum):
    """An enum that a task's annotations name."""

    RED = "r"
    BLUE = "b"


@dataclass(frozen=True)
class Point:
    """A dataclass that a task's annotations name."""

    x: int
    y: int
    color: Color = Color.RED


def add(a: int, b: int = 1) -> int:
    return a + b


def echo(value: object = None) -> object:
    return value


def keyword(*, only: int) -> int:
    return only


def move(point: Point) -> Point:
    return Point(point.x + 1, point.y, Color.BLUE)


def fail(text: str = "no route") -> None:
    raise OSError(text)


async def later(value: int) -> int:
    return value + 1


class Holder:
    """Things that are no functions of a module."""

    def method(self) -> None: ...

    @classmethod
    def of_class(cls) -> None: ...

    @staticmethod
    def static(value: int) -> int:
        return value

    def __call__(self) -> None: ...
