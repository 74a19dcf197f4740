"""What workers count of the attempts they run: all of them, but for the last second of one that is killed."""

from __future__ import annotations

import signal
import threading
from unittest import mock

from litequeue import Queue, RetryLater, Snooze, current_job
from litequeue.clock import SECOND
from litequeue.job import Claimed, Crash, Failure, Lease
from litequeue.traffic import Traffic
from litequeue.worker import counting
from litequeue.worker.outcome import Assignment, Outcome
from tests.support import PATIENCE_SECONDS, Program
from tests.worker import crew
from tests.worker.case import CrewCase, FileCase, until

RUN = "from tests.worker.crew import queue; queue.worker().run()"


class CountedCase(FileCase):
    def counted(self) -> Traffic:
        """What passed through the queue so far, as far as it was written."""
        return self.queue.desk.overview.totals().get("default", Traffic())

    def ends(self) -> tuple[int, int, int]:
        """Completed, failed, retried."""
        passed = self.counted()
        return passed.completed, passed.failed, passed.retried


class TestWorkers(CountedCase):
    def test_a_stop_writes_all_that_was_counted(self) -> None:
        task = self.declare(nothing)
        self.queue.enqueue_many(task.call() for _ in range(300))
        self.burst(threads=3)
        self.assertEqual(self.ends(), (300, 0, 0))
        self.assertEqual((self.counted().waits.total, self.counted().runs.total), (300, 300))

    def test_how_attempts_end(self) -> None:
        self.enqueue(fail)
        self.enqueue(fail_once, retry=2)
        self.enqueue(snooze_once)
        self.enqueue(retry_later)
        self.queue.enqueue("tests.worker.test_counting:Nothing")  # nobody can run it
        self.burst()
        self.assertEqual(self.ends(), (2, 1, 2))

    def test_arguments_that_do_not_fit_any_more(self) -> None:
        job = self.enqueue(nothing)
        self.change("UPDATE litequeue_job SET payload = '[[1],{}]' WHERE id = ?", job.id)
        self.burst()
        self.assertEqual((self.ends(), self.counted().runs.total), ((0, 1, 0), 0))

    def test_coroutines(self) -> None:
        self.enqueue(nothing_async)
        self.burst()
        self.assertEqual((self.ends(), self.counted().runs.total), ((1, 0, 0), 1))

    def test_what_a_task_completes_in_its_own_transaction(self) -> None:
        self.enqueue(write)
        self.burst()
        self.assertEqual(self.ends(), (1, 0, 0))

    def test_the_heartbeat_writes_while_the_worker_goes_on(self) -> None:
        with self.queue.worker():
            self.enqueue(nothing)
            until(lambda: self.ends() == (1, 0, 0), "the count")

    def test_waits_begin_when_a_job_is_due_and_runs_when_it_starts(self) -> None:
        begun, go = self.events(2)

        def hold() -> None:
            begun.set()
            go.wait(PATIENCE_SECONDS)

        self.enqueue(hold)
        with self.queue.worker():
            begun.wait(PATIENCE_SECONDS)
            threading.Event().wait(0.05)
            go.set()
        waited, ran = self.counted().waits.quantile(1), self.counted().runs.quantile(1)
        assert waited is not None and ran is not None
        self.assertGreater(ran, 0.045 * SECOND)
        self.assertLess(waited, PATIENCE_SECONDS * SECOND)

    def test_a_late_settlement_counts_for_nothing(self) -> None:
        begun, go = self.events(2)

        def hold() -> None:
            begun.set()
            go.wait(PATIENCE_SECONDS)

        job = self.enqueue(hold)
        with self.queue.worker():
            begun.wait(PATIENCE_SECONDS)
            self.change("UPDATE litequeue_job SET attempt = attempt + 1 WHERE id = ?", job.id)
            go.set()
        self.assertEqual(self.ends(), (0, 0, 0))


class TestMessages(CountedCase):
    def test_messages_are_counted_though_they_leave_the_file(self) -> None:
        with self.make_queue() as queue:
            messages = queue.messages("uploads")
            for item in range(3):
                messages.put(item)
                messages.get()
                messages.task_done()
        self.assertEqual(self.queue.desk.overview.totals()["messages:uploads"].completed, 3)


class TestDrain(CountedCase):
    def test_a_drain_counts_too(self) -> None:
        self.enqueue(nothing)
        self.enqueue(fail)
        self.enqueue(write)
        self.queue.drain()
        self.assertEqual(self.ends(), (2, 1, 0))
        self.assertEqual(self.counted().runs.total, 3)

    def test_in_memory(self) -> None:
        with Queue(":memory:") as queue:
            queue.task(name="nothing")(nothing).enqueue()
            queue.drain()
            self.assertEqual(queue.desk.overview.totals()["default"].completed, 1)


class TestKilled(CrewCase, CountedCase):
    def test_a_crash_is_counted_by_who_reaps_it(self) -> None:
        self.send("kill_worker", max_crashes=2)
        for _ in range(2):
            self.assertEqual(Program(self, RUN).wait(), -signal.SIGKILL)
        self.queue.drain()
        self.assertEqual(self.ends(), (0, 1, 1))
        self.assertEqual(self.counted().runs.total, 0)

    def test_an_isolated_task(self) -> None:
        self.queue.declared.update(crew.queue.declared)
        self.send("isolated_pid")
        self.burst()
        self.assertEqual((self.ends(), self.counted().runs.total), ((1, 0, 0), 1))

    def test_what_was_counted_a_second_ago_outlasts_a_kill(self) -> None:
        for _ in range(5):
            self.send("nothing")
        program = Program(self, RUN)
        until(lambda: self.ends() == (5, 0, 0), "the count")
        program.kill()
        self.assertEqual(self.ends(), (5, 0, 0))


class TestIsolatedCrashes(FileCase):
    def test_the_last_one_is_a_failure(self) -> None:
        for changes, end in (
            ({"crashes": 0}, "retried"),
            ({"crashes": 2}, "failed"),
            ({"crashes": 1, "max_crashes": 2}, "failed"),
            ({"ack": "early"}, "failed"),
        ):
            minutes = mock.Mock()
            counting.count(minutes, crashed(**changes))
            minutes.count.assert_called_once_with("default", end, 0, 5, 7)


def crashed(**changes: object) -> Outcome:
    """An isolated attempt whose process died."""
    claimed = Claimed(
        Lease(1, 1), "app:task", "default", "", "json", 0, 0, 0, 0, True, None, None, None, None
    )
    claimed = claimed._replace(**changes)  # type: ignore[arg-type]
    assignment = mock.Mock(spec=Assignment, claimed=claimed)
    return Outcome(assignment, Crash(claimed.lease, Failure("crashed", "ProcessDied", "")), 7, began=5)


def nothing() -> None: ...


async def nothing_async() -> None: ...


def fail() -> None:
    raise OSError("no route")


def fail_once() -> None:
    job = current_job()
    assert job is not None
    if job.attempt == 1:
        raise OSError("no route")


def snooze_once() -> None:
    job = current_job()
    assert job is not None
    if job.attempt == 1:
        raise Snooze(0)


def retry_later() -> None:
    job = current_job()
    assert job is not None
    if job.attempt == 1:
        raise RetryLater(0)


def write() -> None:
    job = current_job()
    assert job is not None
    with job.transaction() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS mine (x)")
