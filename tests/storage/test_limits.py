"""A bounded queue takes no more than it may hold, counted without counting everything."""

from __future__ import annotations

import unittest

from litequeue import Queue, QueueFull


def noop(number: int) -> None:
    """What the jobs are said to run."""


class TestMaxsize(unittest.TestCase):
    """`Queue(maxsize=)` bounds the jobs that wait, in whatever waiting state."""

    def setUp(self) -> None:
        self.queue = Queue(":memory:", maxsize=3)
        self.addCleanup(self.queue.close)

    def test_the_first_too_many_is_refused(self) -> None:
        self.queue.enqueue(noop, 1)
        self.queue.enqueue(noop, args=(2,), delay=60)
        self.queue.enqueue(noop, 3)
        with self.assertRaisesRegex(QueueFull, "holds 3 waiting jobs of at most 3"):
            self.queue.enqueue(noop, 4)
        self.assertEqual(sum(self.queue.counts().values()), 3)

    def test_many_fit_all_or_none(self) -> None:
        task = self.queue.task(name="noop")(noop)
        with self.assertRaises(QueueFull):
            self.queue.enqueue_many(task.call(number) for number in range(4))
        self.assertEqual(sum(self.queue.counts().values()), 0)

    def test_finished_jobs_make_room(self) -> None:
        for number in range(3):
            self.queue.enqueue(noop, number)
        self.queue.drain()
        self.queue.enqueue(noop, 4)
        self.assertEqual(self.queue.counts()["ready"], 1)

    def test_another_queue_has_its_own_bound(self) -> None:
        for number in range(3):
            self.queue.enqueue(noop, number)
        self.queue.enqueue(noop, args=(4,), queue="other")
        with self.assertRaises(QueueFull):
            self.queue.enqueue(noop, 5)

    def test_no_bound_by_default(self) -> None:
        queue = Queue(":memory:")
        self.addCleanup(queue.close)
        task = queue.task(name="noop")(noop)
        self.assertEqual(len(queue.enqueue_many(task.call(number) for number in range(1000))), 1000)
