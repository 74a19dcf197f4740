"""A burst ends when nothing is left, and not a job sooner."""

from __future__ import annotations

import os
import tempfile
import unittest
from unittest.mock import patch

from litequeue import Queue


def noop(number: int) -> None:
    """As quick as a task can be."""


class TestBurst(unittest.TestCase):
    """The line of claimed jobs is full most of the time, and then a claim brings nothing."""

    def test_a_claim_without_room_is_not_the_end(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        queue = Queue(os.path.join(folder.name, "jobs.db"), durability="normal")
        self.addCleanup(queue.close)
        task = queue.task(name="noop")(noop)
        queue.enqueue_many(task.call(number) for number in range(2000))
        with patch("litequeue.worker.loop._LOOK_EVERY", 0):
            queue.worker(threads=1, burst=True).run()
        self.assertEqual(queue.counts()["completed"], 2000)
