"""A file, a clock that stands still, and a terminal of paper: what the tests of the command line share."""

import io
import json
import logging
import tempfile
import threading
import unittest
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from litequeue.cli.program import run
from litequeue.cli.terminal import Terminal
from litequeue.clock import SECOND
from litequeue.job import Claimed, Complete, Fail, Failure, NewJobs, NewWorker, Want
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.storage.reports import Reports
from litequeue.storage.steps import Steps
from litequeue.storage.store import Store
from litequeue.storage.workers import Workers

NOON = int(datetime(2030, 5, 1, 12, 0, tzinfo=UTC).timestamp()) * SECOND
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
TRACEBACK = 'Traceback (most recent call last):\n  File "app.py", line 3, in fetch\nOSError: no route\n'


@dataclass
class StillClock:
    """Time that passes only when a test says so, or when somebody sleeps."""

    at: int = NOON
    naps: list[float] = field(default_factory=list)
    last_nap: int = 0

    def now(self) -> int:
        return self.at

    def monotonic(self) -> int:
        return self.at

    def boot(self) -> str:
        return "this boot"

    def pass_time(self, micros: int) -> None:
        self.at += micros

    def sleep(self, seconds: float) -> None:
        """Sleep in no time; after `last_nap` naps a person presses Ctrl-C."""
        self.naps.append(seconds)
        self.at += round(seconds * SECOND)
        if len(self.naps) == self.last_nap:
            raise KeyboardInterrupt

    def wait(self, event: threading.Event, seconds: float) -> bool:
        raise AssertionError("the command line waits for no event")


class Paper(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, text: str = "", *, is_terminal: bool = False) -> None:
        super().__init__(text)
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def _as_before(log: logging.Logger) -> Callable[[], None]:
    """What gives a logger back as it is now; the command `worker` sets it up for a process of its own."""
    handlers, level, propagate = log.handlers[:], log.level, log.propagate

    def restore() -> None:
        for handler in log.handlers:
            if handler not in handlers and isinstance(handler, logging.StreamHandler):
                handler.stream.close()
        log.handlers[:] = handlers
        log.setLevel(level)
        log.propagate = propagate

    return restore


class CommandCase(unittest.TestCase):
    """A test with a queue's file and a command line for it."""

    maxDiff = None

    def setUp(self) -> None:
        self.place = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.file = str(self.place / "jobs.db")
        self.clock = StillClock()
        self.addCleanup(_as_before(logging.getLogger("litequeue")))

    def open(self) -> None:
        """Make the file, and the rooms through which a test fills it."""
        self.database = Database(self.file, Durability.NORMAL)
        self.addCleanup(self.database.close)
        self.store = Store(self.database, self.clock)
        self.reports = Reports(self.database)
        self.workers = Workers(self.database, self.clock)
        self.steps = Steps(self.database, self.clock)

    def enqueue(self, task: str = "app:fetch", queue: str = "default", **rest: Any) -> int:
        """Store one job as it would be stored by a program."""
        return self.store.enqueue([NewJobs(task, queue, (rest.pop("payload", "[[],{}]"),), **rest)])[0]

    def sign_on(self, *queues: str) -> int:
        """A worker that lives as long as the test's database."""
        return self.workers.sign_on(NewWorker("box:7", 7, queues or ("default",), 2, lease=30 * MINUTE))

    def claim(self, worker: int, queue: str = "default") -> Claimed:
        """Let a worker claim the next job."""
        return self.store.claim(worker, [Want(queue, 1, 1)]).jobs[0]

    def claim_nothing(self, worker: int) -> None:
        """Let a worker look for jobs, and find none."""
        self.assertEqual(self.store.claim(worker, [Want("default", 1, 1)]).jobs, ())

    def park(self, worker: int, task: str) -> None:
        """Let a worker meet a task that it can not resolve."""
        want = Want("default", 1, 1, known=frozenset(), refused=frozenset({task}))
        self.assertEqual(self.store.claim(worker, [want]).jobs, ())

    def fail_next(self, worker: int, retry_at: int | None = None, queue: str = "default") -> Claimed:
        """Let the next job fail."""
        job = self.claim(worker, queue)
        failure = Failure("error", "OSError", "no route", TRACEBACK)
        self.store.settle(Fail(job.lease, failure, retry_at))
        return job

    def complete_next(self, worker: int, result: str = '{"size":3}') -> Claimed:
        """Let the next job complete."""
        job = self.claim(worker)
        self.store.settle(Complete(job.lease, result, "json"))
        return job

    def cli(
        self,
        *argv: str,
        answer: str = "",
        is_terminal: bool = False,
        width: int | None = None,
        color: bool = False,
        sizes: Sequence[tuple[int, int]] = (),
    ) -> Ended:
        """Run one command line as `python -m litequeue` does."""
        out, err = Paper(is_terminal=is_terminal), Paper(is_terminal=is_terminal)
        windows = iter(sizes)
        terminal = Terminal(
            out,
            err,
            Paper(answer, is_terminal=is_terminal),
            self.clock,
            width,
            color,
            measure=lambda: next(windows, (width or 80, 24)),
        )
        return Ended(run(argv, terminal), out.getvalue(), err.getvalue())

    def assert_prints(self, argv: Sequence[str], expected: str, code: int = 0, **how: Any) -> None:
        """The command prints exactly this text, given with a margin and an empty first line."""
        ended = self.cli(*argv, **how)
        self.assertEqual((ended.out, ended.err, ended.code), (unindented(expected), "", code))

    def assert_refused(self, argv: Sequence[str], expected: str, code: int = 2) -> None:
        """The command prints one line, on standard error only, that has this text in it."""
        ended = self.cli(*argv)
        self.assertEqual((ended.out, ended.code), ("", code))
        self.assertRegex(ended.err, r"\Alitequeue: [^\n]*\n\Z")
        self.assertIn(expected, ended.err)


def unindented(text: str) -> str:
    """The text without its first, empty line, the margin of the line after that, and its last line."""
    lines = text.split("\n")[1:-1]
    margin = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
    return "".join(f"{line[margin:]}\n" for line in lines)
