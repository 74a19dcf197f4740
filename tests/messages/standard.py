"""Our messages in the place of `queue.Queue` and `asyncio.Queue`, for CPython's own tests of those."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import unittest
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import litequeue
from litequeue import Messages
from litequeue.job import Complete
from litequeue.messages import Lane, lane_of
from litequeue.messages.aio import AsyncMessages
from tests.support import folder_for

_LOOKS, _BETWEEN_LOOKS = 4, 0.002


def module_of_cpython(name: str) -> ModuleType:
    """A test module of CPython; skips ours where that is not installed, as on Debian."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise unittest.SkipTest(f"this Python comes without {name}: {error}") from None


class Place:
    """A file in which each queue that a test makes is a lane of its own."""

    def __init__(self, test: unittest.TestCase, *, in_memory: bool = False) -> None:
        path: str | Path = ":memory:" if in_memory else folder_for(test, in_memory=True) / "jobs.db"
        self._queue = litequeue.Queue(path)
        self._queue.counts()  # makes the file, before anybody takes the time
        self._numbers = itertools.count()
        test.addCleanup(self._queue.close)

    def lane(self) -> Lane:
        """A new lane in the file."""
        return lane_of(self._queue, f"lane {next(self._numbers)}")


def threads_queue(place: Place) -> type[Messages[Any]]:
    """A class that stands for `queue.Queue`; its name is what the tests know it by."""

    class Queue(Messages[Any]):
        def __init__(self, maxsize: int = 0) -> None:
            super().__init__(place.lane(), maxsize, 3)

    return Queue


class Coroutines:
    """A class that stands for `asyncio.Queue`, and a `sleep` for tests that count the turns of an event loop.

    A turn here is a trip to the disk, so the sleep lasts until nobody is on such a trip.
    """

    def __init__(self, place: Place) -> None:
        self._sleep = asyncio.sleep
        self._travellers = 0
        self.queue = self._make(place)

    async def sleep(self, delay: float, result: object = None) -> object:
        await self._sleep(delay)
        looks = 0
        while looks < _LOOKS:
            await self._sleep(_BETWEEN_LOOKS)
            looks = 0 if self._travellers else looks + 1
        return result

    def _make(self, place: Place) -> type[AsyncMessages[Any]]:
        counter = self

        class Queue(AsyncMessages[Any]):
            def __init__(self, maxsize: int = 0) -> None:
                lane = place.lane()
                super().__init__(Messages(lane, maxsize, 3), lane)

            async def _on_thread(self, *arguments: Any) -> Any:
                counter._travellers += 1
                try:
                    return await super()._on_thread(*arguments)
                finally:
                    counter._travellers -= 1

            def task_done(self) -> None:
                super().task_done()
                counter._travellers += 1

            def _complete(self, settlement: Complete) -> None:
                super()._complete(settlement)
                counter._travellers -= 1

        return Queue


def without(deviations: Mapping[str, str]) -> Any:
    """Skip these tests of a class, each for its reason; a Python may lack some of them."""

    def mark(case: type[unittest.TestCase]) -> type[unittest.TestCase]:
        for name, reason in deviations.items():
            if hasattr(case, name):
                setattr(case, name, unittest.skip(reason)(getattr(case, name)))
        return case

    return mark
