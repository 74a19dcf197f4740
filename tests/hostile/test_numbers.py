"""What is no number, or makes no sense as one, wherever a number is taken: our error, or what it says."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from litequeue import InvalidOption, Queue, Retry, RetryLater, Snooze, current_job
from litequeue.job import Filter
from litequeue.testing import HandClock
from litequeue.worker import WorkerOptions
from tests.cli.case import CommandCase
from tests.users.case import QueueCase


class Sly:
    """Nothing can be learned of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def deep(levels: int = 5000) -> list[Any]:
    """A list in a list, and so on."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


NO_NUMBERS: tuple[Any, ...] = (
    "5",
    b"5",
    "",
    [],
    {},
    deep(),
    Sly(),
    object(),
    1j,
    Decimal(5),
    Fraction(1, 2),
    datetime.now(UTC),
)
NO_WHOLE_NUMBERS = (*NO_NUMBERS, True, False, 1.0, -0.0, 1.5, math.nan, math.inf, -math.inf, timedelta(1))
NO_DURATIONS: tuple[Any, ...] = (
    *(*NO_NUMBERS, True, False, math.nan, math.inf, -math.inf, 1e300, 10**400, 10**5000, -1, -1e-3),
    *(timedelta(-1), timedelta.max, 201 * 365 * 86400, timedelta(days=365 * 201)),
)
FAR = (2**63, -(2**63) - 1, 10**400, -(10**5000))
Taker = Callable[[Any], object]


class TestNumbers(QueueCase):
    def assert_refused(self, takers: dict[str, Taker], values: tuple[object, ...]) -> None:
        for name, taker in takers.items():
            for place, value in enumerate(values):
                with self.subTest(name, place=place, kind=type(value).__name__):
                    with self.assertRaises(InvalidOption) as caught:
                        taker(value)
                    self.assertLess(len(str(caught.exception)), 300)
        self.assertEqual(self.contents(), {})

    def test_whole_numbers(self) -> None:
        queue, task = self.queue, self.queue.task(name="app:task")(lambda: None)
        takers: dict[str, Taker] = {
            "priority": lambda v: task.using(priority=v),
            "max_crashes": lambda v: task.using(max_crashes=v),
            "max_attempts": Retry,
            "maxsize": lambda v: Queue(self.path, maxsize=v),
            "max_payload": lambda v: Queue(self.path, max_payload=v),
            "limit": lambda v: queue.jobs(limit=v),
            "after": lambda v: queue.jobs(after=v),
            "drain": lambda v: queue.drain(limit=v),
            "threads": lambda v: queue.worker(threads=v),
            "async_slots": lambda v: queue.worker(async_slots=v),
            "processes": lambda v: queue.worker(processes=v),
            "max_jobs": lambda v: queue.worker(max_jobs=v),
            "WorkerOptions": lambda v: WorkerOptions(threads=v),
        }
        self.assert_refused(takers, (*NO_WHOLE_NUMBERS, *FAR))

    def test_the_id_of_a_job(self) -> None:
        for value in (*NO_WHOLE_NUMBERS, *FAR, None):
            with self.assertRaises(InvalidOption):
                self.queue.job(value)

    def test_durations(self) -> None:
        queue, task = self.queue, self.queue.task(name="app:task")(lambda: None)
        takers: dict[str, Taker] = {
            "delay": lambda v: task.using(delay=v),
            "timeout": lambda v: task.using(timeout=v),
            "retention": lambda v: task.using(retention=v),
            "lease": lambda v: Queue(self.path, lease=v),
            "the queue's retention": lambda v: Queue(self.path, retention=v),
            "grace": lambda v: queue.worker(grace=v),
            "base": lambda v: Retry(base=v),
            "max_delay": lambda v: Retry(max_delay=v),
            "intervals": lambda v: Retry(intervals=[1, v]),
            "Snooze": Snooze,
            "RetryLater": RetryLater,
            "advance": lambda v: HandClock().advance(v),
        }
        self.assert_refused(takers, NO_DURATIONS)
        # An instant is a fine end of a job's life, and no length of time.
        self.assert_refused(
            {"expires": lambda v: task.using(expires=v)}, NO_DURATIONS[:11] + NO_DURATIONS[12:]
        )

    def test_factors_and_switches(self) -> None:
        odd = (*NO_NUMBERS, math.nan, math.inf, 0, -1, 10**400, 10**5000)
        task = self.queue.task(name="app:task")(lambda: None)
        takers: dict[str, Taker] = {"backoff": lambda v: Retry(backoff=v)}
        self.assert_refused(takers, (*odd, True))
        switches: dict[str, Taker] = {
            "jitter": lambda v: Retry(jitter=v),
            "isolate": lambda v: task.using(isolate=v),
            "burst": lambda v: self.queue.worker(burst=v),
        }
        self.assert_refused(switches, (*odd, None))

    def test_waiting_and_telling(self) -> None:
        job = self.queue.enqueue("app:task")
        for value in NO_DURATIONS:
            for wait in (job.wait, job.result):
                with self.assertRaises(InvalidOption):
                    wait(value)

        @self.queue.task(name="tell")
        def tell() -> list[str]:
            running = current_job()
            assert running is not None
            refused = []
            for value in (*NO_NUMBERS, math.nan, math.inf, True, -0.5, 1.5, 10**400):
                try:
                    running.progress(value)
                except InvalidOption as error:
                    refused.append(type(error).__name__)
            return refused

        told = tell.enqueue()
        self.queue.drain()
        self.assertEqual(len(told.result(0)), len(NO_NUMBERS) + 6)

    def test_what_is_close_to_nothing_is_nothing(self) -> None:
        task = self.queue.task(name="app:task")(lambda: None)
        for value in (0, 0.0, -0.0, 1e-9, timedelta(0)):
            job = task.using(delay=value, expires=60).enqueue()
            self.assertEqual((job.state, job.run_at), ("ready", job.created_at))

    def test_a_century_is_a_delay_like_any(self) -> None:
        task = self.queue.task(name="app:task")(lambda: None)
        job = task.using(delay=100 * 365 * 86400, retention=timedelta(days=36500)).enqueue()
        self.assertEqual((job.state, (job.run_at - job.created_at).days), ("scheduled", 36500))
        self.assertEqual(self.queue.drain(), 0)
        self.assertIn("not due before", job.explain())


class TestCommandLine(CommandCase):
    def test_numbers_and_lengths_of_time(self) -> None:
        self.open()
        self.enqueue()
        long, longer = "9" * 400, "9" * 5000
        for argv in (
            *(
                ["list", "--limit", value]
                for value in ("0", "-1", "1.0", "x", "", long, longer, str(2**63), "nan")
            ),
            *(["list", "--after", value] for value in ("0", "-1", long, str(2**63), "x", "٣", "1e3")),
            *(
                ["list", "--older-than", value]
                for value in (f"{long}d", f"{longer}w", "201000d", "-1s", "nan", "1e9s")
            ),
            *(["info", "--every", value] for value in (f"{long}s", "-1s", "inf", "9999999d")),
            *(
                [verb, value]
                for verb in ("show", "explain", "cancel", "retry", "delete")
                for value in ("0", longer)
            ),
            *(["cancel", "--older-than", f"{long}d", "--yes"],),
            *(
                ["enqueue", "app:f", "--priority", value]
                for value in (longer, str(2**31), "1.0", "nan", "true")
            ),
            *(["enqueue", "app:f", "--delay", value] for value in (f"{long}s", "201000d", "-1", "inf")),
            *(
                ["enqueue", "app:f", "--run-at", value]
                for value in ("9999-01-01", "0001-01-01", long, "2031-13-01")
            ),
            *(
                ["enqueue", "app:f", option, f"{longer}s"]
                for option in ("--expires", "--timeout", "--retention")
            ),
            *(
                ["enqueue", "app:f", option, longer]
                for option in ("--retry", "--max-crashes", "--args", "--meta")
            ),
            *(
                ["worker", option, longer]
                for option in ("--threads", "--processes", "--max-jobs", "--async-slots")
            ),
            *(["worker", "--grace", f"{long}d"],),
        ):
            with self.subTest(" ".join(argv)[:60]):
                self.assert_refused([argv[0], self.file, *argv[1:]], "")
        self.assertEqual(self.reports.count(Filter()), 1)
