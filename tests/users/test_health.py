"""What is told to be unhealthy, and that a healthy file is told nothing of."""

from __future__ import annotations

import os
import unittest
from typing import Any
from unittest import mock

from litequeue import Queue, health
from litequeue.clock import SECOND
from litequeue.health import alarms
from litequeue.job import NewWorker, Want
from litequeue.testing import HandClock
from tests.support import folder_for


def task() -> None:
    """What the jobs run."""


class TestAlarms(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = HandClock()
        self.queue = Queue(folder_for(self) / "jobs.db", clock=self.clock, durability="normal")
        self.addCleanup(self.queue.close)
        self.task = self.queue.task(name="app:task")(task)
        self.desk = self.queue.desk

    def kinds(self) -> list[str]:
        """Of the alarms now."""
        return [alarm.kind for alarm in self.alarms()]

    def alarms(self) -> list[health.Alarm]:
        now = self.clock.now()
        return alarms(self.desk, self.desk.overview.queues(now - 3600 * SECOND, now))

    def sign_on(self, **options: Any) -> int:
        """A worker that lives as long as this process, for its lease."""
        return self.desk.workers.sign_on(NewWorker("box:7", os.getpid(), ("default",), **options))

    def test_an_empty_file_is_healthy(self) -> None:
        self.assertEqual(self.alarms(), [])

    def test_a_queue_that_is_served_in_time_is_healthy(self) -> None:
        self.sign_on(lease=3600 * SECOND)
        self.task.enqueue()
        self.clock.advance(299)
        self.assertEqual(self.alarms(), [])
        self.clock.advance(2)
        self.assertEqual(self.kinds(), ["overdue"])
        self.assertIn("has waited 5 min", self.alarms()[0].text)

    def test_no_worker_for_a_queue(self) -> None:
        self.task.enqueue()
        self.assertEqual(self.kinds(), ["no worker"])
        self.sign_on()
        self.assertEqual(self.kinds(), [])

    def test_messages_are_got_by_no_worker(self) -> None:
        self.queue.messages("uploads").put(1)
        (alarm,) = self.alarms()
        self.assertEqual(alarm.kind, "no worker")
        text = "queue 'messages:uploads': 1 ready, and no live process gets messages from it"
        self.assertEqual(alarm.text, text)

    def test_a_message_that_a_worker_of_jobs_has_met_is_no_unknown_task(self) -> None:
        self.queue.messages("uploads").put(1)
        worker = self.desk.workers.sign_on(NewWorker("box:7", os.getpid(), ("messages:uploads",)))
        want = Want("messages:uploads", 1, 1, known=frozenset(), refused=frozenset({"message"}))
        self.desk.store.claim(worker, [want])
        self.assertEqual(self.kinds(), [])

    def test_of_a_backup_only_that_it_is_one(self) -> None:
        self.task.enqueue()
        self.task.enqueue()
        self.desk.store.claim(self.sign_on(), [Want("default", 1, 1)])
        self.clock.advance(600)
        path = f"{self.queue.desk.database.path}.copy"
        self.queue.backup(path)
        with Queue(path, clock=self.clock) as copy:
            found = alarms(copy.desk, copy.desk.overview.queues(0, self.clock.now()))
        self.assertEqual([alarm.kind for alarm in found], ["backup"])
        self.assertIn("no worker runs its jobs before `litequeue restore`", found[0].text)

    def test_a_worker_that_stops_serves_no_queue(self) -> None:
        self.task.enqueue()
        self.desk.workers.announce_stop(self.sign_on())
        self.assertEqual(self.kinds(), ["no worker"])

    def test_a_paused_queue_is_as_somebody_wanted_it(self) -> None:
        self.task.enqueue()
        self.queue.pause()
        self.assertEqual(self.kinds(), [])

    def test_what_is_not_due_waits_for_nobody(self) -> None:
        self.task.using(delay=60).enqueue()
        self.assertEqual(self.kinds(), [])

    def test_a_task_that_no_worker_could_resolve(self) -> None:
        worker = self.sign_on()
        self.task.enqueue()
        self.desk.store.claim(
            worker, [Want("default", 1, 1, known=frozenset(), refused=frozenset({"app:task"}))]
        )
        self.assertEqual(self.kinds(), ["unknown task"])
        self.assertIn("app:task", self.alarms()[0].text)

    def test_a_dead_worker(self) -> None:
        worker = self.sign_on()
        self.task.enqueue()
        self.desk.store.claim(worker, [Want("default", 1, 1)])
        self.desk.workers.vanish(worker)
        self.assertEqual(self.kinds(), ["dead worker"])
        self.assertIn("(box:7) is dead and holds 1 running", self.alarms()[0].text)

    def test_a_schedule_that_nobody_fires(self) -> None:
        self.queue.schedules.add("nightly", self.task.call(), every=3600)
        self.assertEqual(self.kinds(), [])
        self.clock.advance(3600 + 120)
        self.assertEqual(self.kinds(), ["stuck schedule"])
        self.assertIn("due 2 min ago", self.alarms()[0].text)
        self.queue.schedules.pause("nightly")
        self.assertEqual(self.kinds(), [])

    def test_a_log_that_grows(self) -> None:
        self.task.using(delay=60).enqueue()
        with mock.patch.object(health, "LONG_LOG", 1000):
            self.assertEqual(self.kinds(), ["long log"])


if __name__ == "__main__":
    unittest.main()
