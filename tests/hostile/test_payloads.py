"""Arguments that are far too large or far too deep: a clear limit, and memory that stays bounded."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from litequeue import EncodingError, InvalidOption, PayloadTooLarge, State
from tests.hostile.test_numbers import deep
from tests.support import Program
from tests.users.case import QueueCase

LEVELS = 100_000
# Says how many megabytes it has needed at the most beyond what it had when it began.
FRUGAL = """
import io, resource, sys
from litequeue import Queue, PayloadTooLarge
from litequeue.cli.program import run
from litequeue.cli.terminal import Terminal
from litequeue.clock import SystemClock
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
queue, path = Queue(sys.argv[1]), sys.argv[1]
queue.counts()
terminal = Terminal(io.StringIO(), io.StringIO(), io.StringIO(), SystemClock(), 100)
run(["workers", path], terminal)
before = peak()
"""


class TestLarge(QueueCase):
    def megabytes(self, code: str) -> int:
        """What a process of its own needs for this."""
        return int(Program(self, f"{FRUGAL}{code}\nprint(peak() - before)", self.path).hear())

    def test_a_hundred_megabytes_are_refused(self) -> None:
        code = """
try:
    queue.enqueue("app:task", "x" * (100 << 20))
except PayloadTooLarge as error:
    assert " bytes, over the limit of 1,048,576" in str(error), error
else:
    raise AssertionError
"""
        self.assertLess(self.megabytes(code), 450)
        self.assertEqual(self.queue.counts()[State.READY], 0)

    def test_one_that_is_too_large_keeps_all_others_of_its_bulk_out(self) -> None:
        self.queue.task(name="app:task")(lambda text: text)
        task = self.queue.declared["app:task"]
        for place in (0, 1, 299, 300):
            calls = [task.call("x") for _ in range(300)]
            calls.insert(place, task.call("é" * (1 << 19)))
            with self.assertRaisesRegex(PayloadTooLarge, "over the limit of 1,048,576"):
                self.queue.enqueue_many(calls)
        self.assertEqual(self.queue.counts()[State.READY], 0)

    def test_a_list_does_not_read_what_it_can_not_show(self) -> None:
        """Three jobs of 3 MB, each of which is over sixty as Python's own list."""
        queue = self.make_queue(max_payload=8 << 20)
        for _ in range(3):
            queue.enqueue("app:task", [[]] * (1 << 20))
        queue.close()
        self.assertLess(self.megabytes("assert run(['list', path], terminal) == 0"), 40)

    def test_a_large_one_goes_through_when_it_is_wanted(self) -> None:
        queue = self.make_queue(max_payload=16 << 20)
        queue.task(name="app:task")(lambda text: text[::-1])
        job = queue.enqueue("app:task", "ab" * (4 << 20))
        self.assertEqual(queue.drain(), 1)
        self.assertEqual(job.result(0), "ba" * (4 << 20))


class TestDeep(QueueCase):
    def test_what_is_nested_too_deeply_is_refused(self) -> None:
        def nested(make: Any) -> Any:
            value: Any = 1
            for _ in range(LEVELS):
                value = make(value)
            return value

        task = self.queue.task(name="app:task")(lambda *args, **kwargs: None)
        shapes: list[Any] = [
            lambda v: [v],
            lambda v: {"a": v},
            lambda v: (v,),
            lambda v: {1: v},
            lambda v: [{"$x": v}],
            lambda v: frozenset([v]),
        ]
        for shape in shapes:
            value = nested(shape)
            with self.assertRaisesRegex(EncodingError, "nested too deeply"):
                task.enqueue(value)
            with self.assertRaisesRegex(EncodingError, "nested too deeply"):
                task.enqueue(a=value)
            with self.assertRaises(InvalidOption):
                task.using(meta={"a": value})
        self.assertEqual(self.contents(), {})

    def test_a_result_that_is_nested_too_deeply_fails_its_job_alone(self) -> None:
        self.queue.task(name="app:task")(lambda: deep(LEVELS))
        job = self.queue.enqueue("app:task")
        self.assertEqual(self.queue.drain(), 1)
        self.assertEqual((job.refresh().state, job.errors[0].type), (State.FAILED, "EncodingError"))

    def test_what_was_written_by_hand_fails_its_job_alone(self) -> None:
        self.queue.task(name="app:task")(lambda *args: None)
        texts = ["[" * LEVELS, '[[{"$tuple":' * LEVELS, "[[" + "[" * LEVELS + "]" * LEVELS + "],{}]"]
        jobs = [self.queue.enqueue("app:task") for _ in texts]
        good = self.queue.enqueue("app:task")
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for job, text in zip(jobs, texts, strict=True):
                connection.execute("UPDATE litequeue_job SET payload = ? WHERE id = ?", (text, job.id))
        self.assertEqual(self.queue.drain(), 4)
        self.assertEqual({job.refresh().state for job in jobs}, {State.FAILED})
        self.assertEqual(good.refresh().state, State.COMPLETED)
