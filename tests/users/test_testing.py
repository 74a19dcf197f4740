"""What litequeue gives to the tests of others: what was enqueued, and the difference in words."""

from __future__ import annotations

from typing import Any

from litequeue import Task
from litequeue.testing import assert_enqueued, enqueued
from tests.users.case import QueueCase
from tests.users.things import Point, add, echo, move


class TestEnqueued(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.queue = self.make_queue(path=":memory:")
        self.add: Task[..., int] = self.queue.task(add)

    def difference(self, task: Any, *args: object, **kwargs: object) -> str:
        with self.assertRaises(AssertionError) as caught:
            assert_enqueued(self.queue, task, *args, **kwargs)
        return str(caught.exception).replace(f"{add.__module__}:", "")

    def test_all_jobs_oldest_first_in_all_lanes_whatever_became_of_them(self) -> None:
        self.assertEqual(enqueued(self.queue), [])
        jobs = [self.add.enqueue(1), self.queue.enqueue(echo), self.add.using(queue="mail").enqueue(2)]
        self.queue.drain()
        jobs.append(self.add.using(delay=60).enqueue(3))
        self.assertEqual(enqueued(self.queue), jobs)
        for task in (self.add, add, self.add.name):
            self.assertEqual(enqueued(self.queue, task), [jobs[0], jobs[2], jobs[3]])
        self.assertEqual(enqueued(self.queue, "no:such"), [])

    def test_arguments_are_compared_as_the_function_sees_them(self) -> None:
        job = self.add.enqueue(1, b=2)
        other = self.queue.enqueue(self.add.name, a=5)
        for found in (
            assert_enqueued(self.queue, self.add, 1, 2),
            assert_enqueued(self.queue, add, a=1, b=2),
            assert_enqueued(self.queue, self.add.using(priority=1), 1, b=2),
            assert_enqueued(self.queue, self.add.name, 1, b=2),
        ):
            self.assertEqual(found, job)
        self.assertEqual(assert_enqueued(self.queue, add, 5), other)
        self.assertEqual(assert_enqueued(self.queue, add, 5, b=1), other)
        point = self.queue.task(move).enqueue(Point(1, 2))
        self.assertEqual(assert_enqueued(self.queue, move, Point(1, 2)), point)

    def test_the_difference_in_words(self) -> None:
        self.assertEqual(self.difference(add, 1), "add(1) was not enqueued; nothing was")
        self.queue.enqueue(echo, "x")
        self.assertEqual(
            self.difference(add, 1, b="two"),
            "add(1, b='two') was not enqueued; there is no job of add, only:\n  job 1: echo('x'), ready",
        )
        self.add.using(delay=1).enqueue(1, b=3)
        self.assertEqual(
            self.difference(self.add, 1, 2),
            "add(1, 2) was not enqueued; the jobs of add are:\n  job 2: add(1, b=3), scheduled",
        )
        self.queue.enqueue_many(self.add.call(number) for number in range(10, 30))
        words = self.difference(add, 1, 2).splitlines()
        self.assertEqual((len(words), words[-1]), (12, "  and 11 more"))

    def test_arguments_that_do_not_fit_are_not_there_either(self) -> None:
        self.queue.declared.clear()  # as if another process had stored it, with an older signature
        self.queue.enqueue(self.add.name, 1, 2, 3)
        self.assertIn("job 1: add(1, 2, 3), ready", self.difference(add, 9, 9, 9, 9))
        self.assertEqual(assert_enqueued(self.queue, add, 1, 2, 3).id, 1)
