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
        with tempfile.TemporaryDirectory() as folder, patch("litequeue.worker.loop._LOOK_EVERY", 0):
            with Queue(os.path.join(folder, "jobs.db"), durability="normal") as queue:
                task = queue.task(name="noop")(noop)
                queue.enqueue_many(task.call(number) for number in range(2000))
                queue.worker(threads=1, burst=True).run()
                self.assertEqual(queue.counts()["completed"], 2000)
