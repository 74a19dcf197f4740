"""Runs Django's own tests of its Tasks with our backend in the place of its two, and prints how they went.

    python -m tests.contrib.django.upstream FOLDER

FOLDER is the `tests` of Django's source distribution, of which `tasks` is enough.
"""

from __future__ import annotations

import importlib
import json
import sys
import unittest
from collections.abc import Iterator
from typing import Any
from unittest import mock

from tests.contrib.django.case import FOLDER

# isort: split
from django.test.utils import override_settings, setup_test_environment

from litequeue import Queue
from litequeue.contrib.django import LiteQueueBackend
from litequeue.contrib.django.finding import worker_resolver
from litequeue.contrib.django.given import Given, given
from litequeue.worker import Worker, WorkerOptions

MODULES = ("test_dummy_backend", "test_immediate_backend", "test_tasks", "test_custom_backend")
RESOLVER = f"{worker_resolver.__module__}:{worker_resolver.__name__}"


class Kept(LiteQueueBackend):
    """In the place of DummyBackend, which keeps what is enqueued: it shows what lies in the file."""

    @property
    def given(self) -> Given:
        """Theirs has no OPTIONS."""
        return given({"path": FOLDER / f"{type(self).__name__}.db", "durability": "normal"})

    @property
    def results(self) -> list[Any]:
        """All that is stored, oldest first."""
        names = self.queues or {"default"}
        jobs = [job for name in names for job in self.queue.jobs(queue=name)]
        return [self.get_result(str(job.id)) for job in sorted(jobs, key=lambda job: job.id)]

    def clear(self) -> None:
        """Delete it."""
        for name in self.queues or {"default"}:
            with Queue(self.queue.path, name) as queue:
                queue.delete()


class Run(Kept):
    """In the place of ImmediateBackend, which runs what is enqueued: a worker does, before it returns."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """The result when it is final."""
        result = super().enqueue(task, args, kwargs)
        with self.given.own_queue() as queue:
            options = WorkerOptions(queues=(task.queue_name,), burst=True)
            with Worker(queue, options, resolver_by=RESOLVER) as worker:  # beside us, as it always is
                worker.join()
        result.refresh()
        return result


class Outcomes(unittest.TestResult):
    """How each test went: "ok", or the last line of what went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.of[_name(test)] = "ok"

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self.of[_name(test)] = f"{err[0].__name__}: {err[1]}".strip().splitlines()[0]

    addError = addFailure

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self.addFailure(test, err)


def _name(test: unittest.TestCase) -> str:
    return f"{type(test).__name__}.{test._testMethodName}"


def suites(folder: str) -> Iterator[unittest.TestSuite]:
    """The tests of all their modules."""
    sys.path.insert(0, folder)
    for name in MODULES:
        yield unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(f"tasks.{name}"))


def main() -> None:
    """Run them, and print the outcomes as JSON."""
    setup_test_environment()
    outcomes = Outcomes()
    with (
        override_settings(INSTALLED_APPS=["litequeue.contrib.django"]),
        mock.patch("django.tasks.backends.dummy.DummyBackend", Kept),
        mock.patch("django.tasks.backends.immediate.ImmediateBackend", Run),
    ):
        for suite in suites(sys.argv[1]):
            suite.run(outcomes)
    print(json.dumps(outcomes.of))


if __name__ == "__main__":
    main()
