"""How long a job stays, by how it ended: every way in which a job can end."""

from __future__ import annotations

import re
import unittest
from datetime import timedelta
from typing import Any

from litequeue import InvalidOption, Job, Queue, Retention
from litequeue.clock import SECOND
from litequeue.job import Complete, Crash, Fail, Failure, Lease, NewWorker, Release, Want
from litequeue.testing import HandClock
from tests.storage.test_plans import collect
from tests.users.case import QueueCase

HOUR, DAY = 3600, 86_400
KEPT = Retention(completed=HOUR, failed=timedelta(days=30), cancelled=2 * HOUR)
FAILURE = Failure("error", "OSError", "no route")


def nothing() -> None: ...


class RetentionCase(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.queue = self.make_queue(retention=KEPT)
        self.task = self.queue.task(nothing)
        self.worker = self.queue.desk.workers.sign_on(NewWorker("w", 1, lease=HOUR * SECOND))

    def claimed(self) -> Lease:
        return self.queue.desk.store.claim(self.worker, [Want("default", 1, 1)]).jobs[0].lease

    def kept(self, job: Job[Any]) -> float | None:
        """Seconds that the job stays after its end, as its row says."""
        row = self.queue.desk.database.read(
            lambda c: c.execute("SELECT retention FROM litequeue_job WHERE id = ?", (job.id,)).fetchone()
        )
        return None if row[0] is None else row[0] / SECOND


class ByState(RetentionCase):
    def test_what_completed_failed_or_was_cancelled_stays_as_long_as_was_said_of_it(self) -> None:
        completed, failed, cancelled = (self.task.enqueue() for _ in range(3))
        self.queue.desk.store.settle(Complete(self.claimed()))
        self.queue.desk.store.settle(Fail(self.claimed(), FAILURE))
        cancelled.cancel()
        self.assertEqual(
            [self.kept(job) for job in (completed, failed, cancelled)], [HOUR, 30 * DAY, 2 * HOUR]
        )
        gone = []
        for seconds in (HOUR - 1, 1, HOUR - 1, 1, 29 * DAY, DAY):
            self.clock.advance(seconds)
            gone.append(self.queue.desk.store.prune())
        self.assertEqual(gone, [0, 1, 0, 1, 0, 1])

    def test_a_result_makes_no_difference(self) -> None:
        job = self.task.enqueue()
        self.queue.desk.store.settle(Complete(self.claimed(), "1", "json"))
        self.assertEqual(self.kept(job), HOUR)

    def test_a_job_that_is_not_final_has_no_end_to_be_kept_after(self) -> None:
        job = self.task.enqueue()
        lease = self.claimed()
        self.queue.desk.store.settle(Fail(lease, FAILURE, retry_at=self.clock.now()))
        self.queue.desk.store.settle(Release(self.claimed()))
        self.assertIsNone(self.kept(job))

    def test_one_that_is_asked_to_stop_is_kept_as_cancelled(self) -> None:
        for settlement in (
            Complete,
            Release,
            lambda lease: Fail(lease, FAILURE),
            lambda lease: Crash(lease, FAILURE),
        ):
            job = self.task.enqueue()
            lease = self.claimed()
            job.cancel()
            self.queue.desk.store.settle(settlement(lease))
            self.assertEqual((job.refresh().state, self.kept(job)), ("cancelled", 2 * HOUR))

    def test_a_crash_at_the_limit_is_a_failure(self) -> None:
        job = self.task.using(max_crashes=1).enqueue()
        self.queue.desk.store.settle(Crash(self.claimed(), FAILURE))
        self.assertEqual((job.refresh().state, self.kept(job)), ("failed", 30 * DAY))

    def test_an_expired_job_and_the_child_of_a_failed_one_are_kept_as_cancelled(self) -> None:
        late = self.task.using(expires=1, delay=HOUR).enqueue()
        parent = self.task.enqueue()
        child = self.task.using(after=parent).enqueue()
        self.queue.desk.store.settle(Fail(self.claimed(), FAILURE))
        self.clock.advance(2)
        self.queue.desk.store.claim(self.worker, [Want("default", 1, 1)])
        self.assertEqual([job.refresh().state for job in (late, child)], ["cancelled", "cancelled"])
        self.assertEqual([self.kept(job) for job in (late, child)], [2 * HOUR, 2 * HOUR])

    def test_an_alarm_that_was_not_needed_goes_at_once(self) -> None:
        alarm = self.queue.task(name="alarm")(nothing)
        self.task.using(on_failure=alarm.call()).enqueue()
        self.queue.desk.store.settle(Complete(self.claimed()))
        self.queue.desk.store.claim(self.worker, [Want("default", 1, 1)])
        self.assertEqual(self.queue.counts()["cancelled"], 1)
        self.assertEqual(self.queue.desk.store.prune(), 1)

    def test_a_job_tried_again_is_kept_by_how_it_ends_then(self) -> None:
        job = self.task.enqueue()
        self.queue.desk.store.settle(Fail(self.claimed(), FAILURE))
        job.retry()
        self.assertIsNone(self.kept(job))
        self.queue.desk.store.settle(Complete(self.claimed()))
        self.assertEqual(self.kept(job), HOUR)

    def test_a_child_that_comes_back_with_its_parent_is_too(self) -> None:
        parent = self.task.enqueue()
        child = self.task.using(after=parent).enqueue()
        parent.cancel()
        self.assertEqual(self.kept(child), 2 * HOUR)
        parent.retry()
        self.assertEqual((child.refresh().state, self.kept(child)), ("blocked", None))

    def test_a_task_and_a_call_may_say_it_otherwise(self) -> None:
        own = self.queue.task(name="own", retention=Retention(completed=0, failed=None))(nothing)
        jobs = [own.enqueue(), own.using(retention=5).enqueue(), own.using(retention=KEPT).enqueue()]
        for _ in jobs:
            self.queue.desk.store.settle(Complete(self.claimed()))
        self.assertEqual([self.kept(job) for job in jobs], [0, 5, HOUR])
        kept = own.enqueue()
        self.queue.desk.store.settle(Fail(self.claimed(), FAILURE))
        self.assertIsNone(self.kept(kept))

    def test_completed_stays_as_long_as_its_unique_key_binds(self) -> None:
        job = self.task.using(unique="key", unique_for=2 * HOUR).enqueue()
        self.queue.desk.store.settle(Complete(self.claimed()))
        self.assertEqual(self.kept(job), 2 * HOUR)

    def test_a_schedule_makes_jobs_that_are_kept_so(self) -> None:
        self.queue.schedules.add("tick", self.task.call(), every=HOUR)
        job = self.queue.schedules.run("tick")
        self.queue.desk.store.settle(Complete(self.claimed()))
        self.assertEqual(self.kept(job), HOUR)

    def test_a_worker_runs_what_has_it_in_its_options(self) -> None:
        job = self.task.using(timeout=30).enqueue()
        self.assertEqual(self.queue.drain(), 1)
        self.assertEqual((job.refresh().state, self.kept(job)), ("completed", HOUR))

    def test_options_that_were_damaged_keep_it_for_ever(self) -> None:
        for text in (
            "{",
            '{"retention":5}',
            '{"retention":{"cancelled":"x"}}',
            '{"retention":{"cancelled":1.5}}',
        ):
            job = self.task.enqueue()
            with self.queue.transaction() as connection:
                connection.execute("UPDATE litequeue_job SET options = ? WHERE id = ?", (text, job.id))
            job.cancel()
            self.assertEqual((job.refresh().state, self.kept(job)), ("cancelled", None))


class Options(unittest.TestCase):
    def test_states_that_do_not_differ_are_stored_as_one(self) -> None:
        queue = Queue(":memory:", clock=HandClock(), retention=Retention(5, 5, 5))
        self.addCleanup(queue.close)
        self.assertEqual(queue.retention, 5 * SECOND)

    def test_what_is_no_duration_is_refused(self) -> None:
        for bad in (Retention(completed=-1), Retention(failed="1h"), {"completed": 5}):  # type: ignore[arg-type]
            with self.assertRaisesRegex(InvalidOption, "retention"):
                Queue(":memory:", retention=bad)  # type: ignore[arg-type]

    def test_every_statement_that_may_end_a_job_says_how_long_it_stays(self) -> None:
        ending = [
            name
            for name, text in collect().items()
            if re.match(r"\s*UPDATE litequeue_job\b", text) and re.search(r"\bfinished_at = (?!NULL)", text)
        ]
        self.assertGreaterEqual(len(ending), 12)
        silent = [name for name in ending if "retention = coalesce(retention" not in collect()[name]]
        self.assertEqual(silent, ["mending.MEND"])  # of rows that nobody has ended
