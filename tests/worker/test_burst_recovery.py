"""A worker that runs for a moment only, from cron or in a script, takes up what a killed one left."""

from __future__ import annotations

from litequeue import Queue, State
from tests.support import Program, folder_for
from tests.worker.case import QuietCase

KILLED = """
import sys, time
from litequeue import Queue

queue = Queue(sys.argv[1])

@queue.task(name="app:double")
def double(number):
    print("at work", flush=True)
    time.sleep(3600)

double.enqueue(21)
queue.worker().run()
"""


class TestBurstRecovery(QuietCase):
    def setUp(self) -> None:
        super().setUp()
        path = folder_for(self) / "jobs.db"
        killed = Program(self, KILLED, path)
        self.assertEqual(killed.hear(), "at work")
        killed.kill()
        self.queue = self.enterContext(Queue(path))

        @self.queue.task(name="app:double")
        def double(number: int) -> int:
            return 2 * number

        self.job = self.queue.job(1)

    def assert_recovered(self) -> None:
        self.assertEqual(self.job.refresh().state, State.COMPLETED)
        self.assertEqual((self.job.result(), self.job.attempt), (42, 2))

    def test_a_burst(self) -> None:
        self.queue.worker(burst=True).run()
        self.assert_recovered()

    def test_a_drain(self) -> None:
        self.assertEqual(self.queue.drain(), 1)
        self.assert_recovered()
