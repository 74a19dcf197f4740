"""What a worker does for the file: it prunes, gives back what that leaves, and holds nobody up."""

from __future__ import annotations

import os
import threading
from unittest import mock

from litequeue.job import NewJobs
from litequeue.storage.care import Care
from litequeue.worker.upkeep import Upkeep
from tests.users.case import QueueCase

JOBS = 12_000
END_ALL = """
UPDATE litequeue_job SET state = 'completed', attempt = 1, started_at = 1, finished_at = 1, retention = 1
"""


class UpkeepCase(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.desk = self.queue.desk
        self.upkeep = Upkeep(self.desk, threading.Event())
        self.settled = 0

    def fill(self) -> None:
        self.desk.store.enqueue([NewJobs("app:task", "default", [f'[["{"x" * 300}"],{{}}]'] * JOBS)])
        with self.queue.transaction() as connection:
            connection.execute(END_ALL)

    def tend(self, beats: int, *, is_busy: bool = False) -> None:
        for _ in range(beats):
            self.clock.advance(0.5 if is_busy else 10)
            self.settled += is_busy
            with mock.patch.object(self.clock, "wait", return_value=False):
                self.upkeep.tend(self.clock.monotonic(), self.settled)


class TestUpkeep(UpkeepCase):
    def test_the_file_of_an_idle_worker_becomes_small_again(self) -> None:
        self.fill()
        self.desk.care.cut()
        self.assertGreater(os.path.getsize(self.path), 4_000_000)
        self.tend(60)
        self.assertEqual(self.queue.counts()["completed"], 0)
        self.assertLess(os.path.getsize(self.path), 1_500_000)
        self.assertGreater(self.desk.care.space().free, 200)  # for the next jobs

    def test_a_busy_worker_keeps_the_room_for_the_next_jobs(self) -> None:
        self.fill()
        self.tend(60, is_busy=True)
        free = self.desk.care.space().free
        self.assertGreater(free, 1_000)
        self.tend(60)
        self.assertLess(self.desk.care.space().free, free)

    def test_a_beat_is_not_kept_by_much_to_give_back(self) -> None:
        given: list[int] = []

        def give_back(care: Care, keep: int) -> int:
            given.append(keep)
            self.clock.advance(0.03)
            return 10

        with mock.patch.object(Care, "give_back", give_back), mock.patch.object(Care, "cut") as cut:
            self.tend(1)
            self.assertEqual(len(given), 9)  # a quarter of a second
            self.clock.advance(0.25)  # the next beat goes on at once
            with mock.patch.object(self.clock, "wait", return_value=False):
                self.upkeep.tend(self.clock.monotonic(), self.settled)
            self.assertEqual(len(given), 18)
            cut.assert_not_called()

    def test_an_idle_worker_takes_more_of_a_beat_for_it(self) -> None:
        steps: list[int] = []

        def prune(limit: int) -> int:
            steps.append(limit)
            self.clock.advance(0.03)
            return limit

        with mock.patch.object(self.desk.store, "prune", prune):
            self.tend(1, is_busy=True)
            self.assertEqual(len(steps), 4)
            self.tend(1)
            self.assertEqual(len(steps), 4 + 9)

    def test_a_stop_ends_it_between_two_steps(self) -> None:
        self.fill()
        stop = threading.Event()
        stop.set()
        upkeep = Upkeep(self.desk, stop)
        self.clock.advance(1)
        upkeep.tend(self.clock.monotonic(), 0)
        self.assertEqual(self.queue.counts()["completed"], JOBS - 1000)
