"""What the tests of the worker share: assignments made by hand, a queue on a file, patience."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import unittest
import unittest.mock
from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from litequeue import Queue
from litequeue.clock import SECOND, Clock
from litequeue.codec import JSON
from litequeue.context import Mailbox
from litequeue.handle import Job
from litequeue.job import Claimed, Fail, Lease, StoredResult
from litequeue.resolve import Resolver
from litequeue.tasks import Task
from litequeue.testing import HandClock
from litequeue.worker.execution import Execution
from litequeue.worker.limits import Limits
from litequeue.worker.loop import Loop
from litequeue.worker.notify import Notifier
from litequeue.worker.outcome import Assignment, LentTransaction
from litequeue.worker.settings import WorkerOptions
from tests.support import PATIENCE_SECONDS, folder_for

MAX_PAYLOAD = 10_000


def until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait for something that nobody signals, such as a row in the file."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {PATIENCE_SECONDS:g} s")
        time.sleep(0.002)


def wait_for(event: threading.Event, what: str = "the event") -> None:
    """Wait for an event, and fail when it does not come."""
    if not event.wait(PATIENCE_SECONDS):
        raise AssertionError(f"{what} did not come within {PATIENCE_SECONDS:g} s")


class QuietCase(unittest.TestCase):
    """What workers say is not for the eyes of whoever runs the tests."""

    def setUp(self) -> None:
        log = logging.getLogger("litequeue")
        for name, value in (("handlers", [logging.NullHandler()]), ("propagate", False)):
            patch = unittest.mock.patch.object(log, name, value)
            patch.start()
            self.addCleanup(patch.stop)


class Shelf:
    """Keeps steps in memory, where no file is wanted."""

    is_joined = False

    def __init__(self) -> None:
        self.kept: dict[str, StoredResult] = {}

    def find(self, lease: Lease, name: str) -> StoredResult | None:
        return self.kept.get(name)

    def keep(self, lease: Lease, name: str, result: StoredResult) -> None:
        self.kept[name] = result

    def keep_with(self, lease: Lease, name: str, work: Callable[[Connection], StoredResult]) -> None:
        raise AssertionError("there is no file, and no transaction")

    def leave(self, lease: Lease) -> None: ...


class ExecutionCase(QuietCase):
    """Attempts without a file: a claimed job is made by hand, run, and its settlement looked at."""

    clock: Clock

    def setUp(self) -> None:
        super().setUp()
        self.clock = HandClock()
        self.queue = Queue(":memory:")  # only to declare tasks with; never opened
        self.limits = Limits(self.clock, lambda *_: True)
        self.addCleanup(self.limits.close)
        self.execution = Execution(self.clock, self.limits, MAX_PAYLOAD, Shelf(), random.Random(1))

    def declare(self, function: Callable[..., Any], **options: Any) -> Task[..., Any]:
        """The function as a task, wherever it is defined."""
        declared: Task[..., Any] = self.queue.task(name=function.__name__, **options)(function)
        return declared

    def prepare(
        self,
        task: Task[..., Any],
        *args: object,
        transaction: LentTransaction | None = None,
        **changes: Any,
    ) -> Assignment | Fail:
        """The assignment for a first attempt; `changes` are to the claimed job."""
        values: dict[str, Any] = {
            "lease": Lease(1, 1),
            "task": task.name,
            "queue": "default",
            "payload": JSON.encode([list(args), {}]),
            "codec": "json",
            "priority": 0,
            "failures": 0,
            "crashes": 0,
            "run_at": 0,
            "started": True,
            "ack": None,
            "max_crashes": None,
            "meta": None,
            "options": None,
        }
        return self.execution.prepare(Claimed(**values | changes), task, transaction, Mailbox())

    def assignment(self, function: Callable[..., Any], *args: object, **options: Any) -> Assignment:
        """The assignment for a function that is declared with these options."""
        prepared = self.prepare(self.declare(function, **options), *args)
        assert isinstance(prepared, Assignment)
        return prepared


class FileCase(QuietCase):
    """A queue on a file that costs no sync, and workers in this process."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = folder_for(self, in_memory=True)
        self.path = self.folder / "jobs.db"
        self.queue = self.make_queue()

    def make_queue(self, path: Path | None = None, **options: Any) -> Queue:
        """Another handle on the same file, or on another one."""
        queue = Queue(path or self.path, **options)
        self.addCleanup(queue.close)
        return queue

    def declare(self, function: Callable[..., Any], **options: Any) -> Task[..., Any]:
        """The function as a task of the queue, wherever it is defined."""
        declared: Task[..., Any] = self.queue.task(**{"name": function.__name__, **options})(function)
        return declared

    def enqueue(self, function: Callable[..., Any], *args: Any, **options: Any) -> Job[Any]:
        """Declare a function, and enqueue one job of it."""
        return self.declare(function, **options).enqueue(*args)

    def loop(self, queue: Queue | None = None, notifier: Notifier | None = None, **options: Any) -> Loop:
        """A loop that is run by hand; `grace` in seconds."""
        chosen = queue or self.queue
        options["grace"] = round(options.get("grace", 10) * SECOND)
        resolver = Resolver(chosen.runnable, chosen)
        return Loop(
            chosen.desk,
            resolver,
            WorkerOptions(**options),
            chosen.lease,
            chosen.max_payload,
            notifier=notifier,
        )

    def burst(self, **options: Any) -> None:
        """Run all that is due in a worker of its own, to the end."""
        worker = self.queue.worker(burst=True, **options).start()
        if not worker.join(PATIENCE_SECONDS):
            raise AssertionError("the burst does not end")

    def events(self, number: int) -> list[threading.Event]:
        """Events that are set when the test ends, so that no task waits for ever."""
        made = [threading.Event() for _ in range(number)]
        for event in made:
            self.addCleanup(event.set)
        return made

    def value(self, query: str, *parameters: object) -> Any:
        """One value out of the file."""
        row = self.queue.desk.database.read(lambda c: c.execute(query, parameters).fetchone())
        return None if row is None else row[0]

    def change(self, statement: str, *parameters: object) -> None:
        """Change the file behind everybody's back."""
        self.queue.desk.database.write(lambda c: c.execute(statement, parameters).rowcount)


class CrewCase(FileCase):
    """Worker processes on the file, which run the tasks of `tests.worker.crew`."""

    lease_seconds = 30.0

    def setUp(self) -> None:
        super().setUp()
        values = {"LITEQUEUE_TEST_FILE": str(self.path), "LITEQUEUE_TEST_LEASE": str(self.lease_seconds)}
        patch = unittest.mock.patch.dict(os.environ, values)
        patch.start()
        self.addCleanup(patch.stop)
        self.queue.counts()  # makes the file before the processes come

    def send(self, task: str, *args: Any, **options: Any) -> Job[Any]:
        """Enqueue a task of the crew by its name."""
        return self.queue.enqueue(f"tests.worker.crew:{task}", args=args, **options)
