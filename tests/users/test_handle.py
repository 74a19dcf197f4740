"""The handle of a job: what it shows, how it waits, and the errors that say how the job ended."""

from __future__ import annotations

import asyncio
import pickle
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from litequeue import (
    Cancel,
    InvalidOption,
    Job,
    JobCancelled,
    JobFailed,
    JobNotFound,
    NotAllowed,
    Reject,
    Retry,
    RetryLater,
    Snooze,
    State,
    Task,
    current_job,
)
from litequeue.job import NewWorker, Turn, Want
from tests.users.case import QueueCase
from tests.users.things import Color, Point, add, echo, fail, move
from tests.worker.case import until, wait_for

MIDNIGHT = datetime(2030, 1, 1, tzinfo=UTC)


class HandleCase(QueueCase):
    path_of_queue: str | None = None

    def setUp(self) -> None:
        super().setUp()
        if self.path_of_queue is not None:
            self.queue = self.make_queue(path=self.path_of_queue)
        self.add: Task[..., int] = self.queue.task(add)


class TestAttributes(HandleCase):
    def test_of_a_job_that_waits(self) -> None:
        chosen = self.add.using(priority=3, tags=["a"], meta={"b": 1}, delay=60)
        job = chosen.enqueue(1, b=2)
        seen = (
            job.id,
            job.task,
            job.queue,
            job.state,
            job.priority,
            job.args,
            job.kwargs,
            job.tags,
            job.meta,
        )
        self.assertEqual(
            seen, (1, self.add.name, "default", State.SCHEDULED, 3, (1,), {"b": 2}, ("a",), {"b": 1})
        )
        self.assertEqual((job.created_at, job.run_at), (MIDNIGHT, MIDNIGHT + timedelta(minutes=1)))
        never = (job.started_at, job.finished_at, job.reason, job.worker, job.progress, job.progress_text)
        self.assertEqual((set(never), job.attempt, job.failures, job.errors, job.log), ({None}, 0, 0, [], []))

    def test_of_a_job_while_it_runs(self) -> None:
        seen: list[tuple[Any, ...]] = []

        def look() -> None:
            running = current_job()
            assert running is not None
            here = self.queue.job(running.id)
            seen.append(
                (here.state, here.attempt, here.worker is not None, here.started_at, here.finished_at)
            )

        job = self.queue.task(name="look")(look).enqueue()
        self.clock.advance(5)
        self.queue.drain()
        self.assertEqual(seen, [("running", 1, True, MIDNIGHT + timedelta(seconds=5), None)])
        self.assertEqual((job.refresh().worker, job.finished_at), (None, MIDNIGHT + timedelta(seconds=5)))

    def test_what_a_task_tells_of_itself_is_kept(self) -> None:
        def tell() -> None:
            running = current_job()
            assert running is not None
            running.progress(0.25, "a quarter")
            running.meta["seen"] = [1, 2]
            running.log("one\0two")
            self.clock.advance(1)
            running.log("three")

        job = self.queue.task(name="tell", meta={"given": 1})(tell).enqueue()
        self.queue.drain()
        job.refresh()
        self.assertEqual((job.progress, job.progress_text), (0.25, "a quarter"))
        self.assertEqual(job.meta, {"given": 1, "seen": [1, 2]})
        lines = [(line.attempt, line.at - job.snapshot.created_at, line.text) for line in job.log]
        self.assertEqual(lines, [(1, 0, "one\0two"), (1, 1_000_000, "three")])

    def test_they_stay_as_they_were_read_until_they_are_read_again(self) -> None:
        job = self.add.enqueue(1)
        self.assertEqual(job.state, "ready")
        self.queue.drain()
        self.assertEqual(job.state, "ready")
        self.assertIs(job.refresh(), job)
        self.assertEqual(job.state, "completed")

    def test_a_job_that_is_gone(self) -> None:
        job = self.add.enqueue(1)
        job.delete()
        for look in (job.refresh, job.wait, job.result, job.explain, job.cancel, job.retry, job.delete):
            with self.assertRaisesRegex(JobNotFound, "there is no job 1"):
                look()
        with self.assertRaises(JobNotFound):
            job.args  # noqa: B018

    def test_what_it_prints(self) -> None:
        job = self.add.enqueue(1)
        self.assertEqual(repr(job), "<Job 1>")
        self.assertEqual(repr(job.refresh()), f"<Job 1 {self.add.name} ready>")

    def test_two_handles_of_one_job_are_equal(self) -> None:
        job, other = self.add.enqueue(1), self.add.enqueue(1)
        self.assertEqual({job, self.queue.job(job.id)}, {job})
        self.assertNotEqual(job, other)
        self.assertNotEqual(job, job.id)
        elsewhere = self.make_queue(path=self.path_of_queue or self.folder / "other.db").enqueue(add, 1)
        self.assertEqual(elsewhere.id, job.id)
        self.assertNotEqual(elsewhere, job)


class TestEnds(HandleCase):
    def run_one(self, function: Any, *args: object, **options: Any) -> Job[Any]:
        job: Job[Any] = self.queue.task(name=function.__name__, **options)(function).enqueue(*args)
        self.queue.drain()
        return job.refresh()

    def test_a_value(self) -> None:
        values: tuple[object, ...] = (None, 0, "", [], {"a": (1, {2})}, "x" * 50_000, MIDNIGHT)
        for value in values:
            self.assertEqual(self.run_one(echo, value).result(0), value)
        job = self.run_one(move, Point(1, 2))
        self.assertEqual(job.result(), Point(2, 2, Color.BLUE))
        self.assertIs(job.wait(0), State.COMPLETED)

    def test_a_failure_shows_the_remote_traceback(self) -> None:
        job = self.run_one(fail, "no route")
        with self.assertRaises(JobFailed) as caught:
            job.result(0)
        error = caught.exception
        self.assertEqual((error.job_id, error.reason, error.error_type), (job.id, "error", "OSError"))
        self.assertEqual(error.message, "no route")
        self.assertRegex(str(error), r"(?s)^job 1 failed \(error\): OSError: no route\n\nRemote traceback:\n")
        self.assertRegex(str(error), r'things.py", line \d+, in fail\n +raise OSError\(text\)')
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((str(again), again.job_id), (str(error), job.id))
        self.assertEqual((job.reason, job.failures, len(job.errors)), ("error", 1, 1))

    def test_every_failure_is_kept(self) -> None:
        def fail_again() -> None:
            running = current_job()
            assert running is not None
            raise ValueError(f"try {running.attempt}")

        job = self.queue.task(name="again", retry=Retry(3, base=10, jitter=False))(fail_again).enqueue()
        for _ in range(3):
            self.queue.drain()
            self.clock.advance(100)
        errors = [(one.attempt, one.type, one.message) for one in job.errors]
        self.assertEqual(errors, [(number, "ValueError", f"try {number}") for number in (1, 2, 3)])
        self.assertRaisesRegex(JobFailed, "try 3", job.result, 0)

    def test_what_a_task_asks_for(self) -> None:
        def ask(what: str) -> None:
            asked = {
                "reject": Reject("bad address"),
                "cancel": Cancel("not wanted"),
                "later": RetryLater(5),
                "snooze": Snooze(7),
            }
            raise asked[what]

        job = self.run_one(ask, "reject", retry=9)
        self.assertEqual((job.state, job.reason, job.failures), ("failed", "rejected", 1))
        self.assertRaisesRegex(JobFailed, r"failed \(rejected\).*bad address", job.result, 0)
        job = self.run_one(ask, "cancel")
        self.assertEqual((job.state, job.reason), ("cancelled", "cancelled"))
        self.assertRaisesRegex(JobCancelled, "cancelled \\(not wanted\\)", job.result, 0)
        job = self.run_one(ask, "later", retry=9)
        self.assertEqual(
            (job.state, job.failures, job.run_at - self.now()), ("scheduled", 1, timedelta(seconds=5))
        )
        job = self.run_one(ask, "snooze")
        self.assertEqual(
            (job.state, job.failures, job.run_at - self.now()), ("scheduled", 0, timedelta(seconds=7))
        )

    def test_a_job_that_was_cancelled(self) -> None:
        job = self.add.enqueue(1)
        job.cancel("changed my mind")
        self.assertEqual((job.state, job.reason), ("cancelled", "cancelled"))
        with self.assertRaises(JobCancelled) as caught:
            job.result(0)
        self.assertEqual((caught.exception.job_id, caught.exception.reason), (job.id, "changed my mind"))
        again = pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual((again.job_id, again.reason), (job.id, "changed my mind"))

    def test_a_job_that_was_cancelled_while_it_ran_says_why_however_it_ended(self) -> None:
        def stopped(end: BaseException | None, *reasons: str | None) -> Job[Any]:
            def work() -> None:
                for reason in reasons:
                    job.cancel(reason)
                if end is not None:
                    raise end

            job: Job[Any] = self.queue.task(name="work")(work).enqueue()
            self.queue.drain()
            return job.refresh()

        ends = (None, OSError("broken"), RetryLater(5), Snooze(5), Reject("bad"), Cancel("mine"))
        for end in ends:
            with self.subTest(end=end):
                job = stopped(end, "first", "why", None)
                self.assertEqual((job.reason, job.snapshot.message), ("cancelled", "why"))
                self.assertRaisesRegex(JobCancelled, "why", job.result, 0)
        self.assertEqual(stopped(Cancel("mine"), None).snapshot.message, "mine")
        self.assertIsNone(stopped(None, None).snapshot.message)

    def test_a_job_that_was_cancelled_before_its_worker_died_says_why(self) -> None:
        job = self.add.enqueue(1)
        dead = self.queue.desk.workers.sign_on(NewWorker("host", 1, ("default",), 1, 1))
        self.queue.desk.store.take_turn(dead, Turn(wants=(Want("default", 1, 1),)))
        job.cancel("why")
        self.queue.desk.workers.vanish(dead)
        self.clock.advance(1)
        self.queue.desk.workers.reap()
        self.assertEqual((job.refresh().reason, job.snapshot.message), ("cancelled", "why"))

    def test_a_job_that_expired(self) -> None:
        job = self.add.using(expires=5).enqueue(1)
        self.clock.advance(5)
        self.assertIn("expired", job.explain())
        self.assertEqual(self.queue.drain(), 0)
        self.assertEqual((job.refresh().state, job.reason), ("cancelled", "expired"))
        self.assertRaisesRegex(JobCancelled, "expired", job.result, 0)
        self.assertIn("not started before it expired", job.explain())

    def now(self) -> datetime:
        return MIDNIGHT + timedelta(microseconds=self.clock.monotonic())


class TestVerbs(HandleCase):
    def test_each_is_allowed_only_where_it_leads_somewhere(self) -> None:
        done, failed, cancelled = self.add.enqueue(1), self.queue.enqueue(fail), self.add.enqueue(2)
        cancelled.cancel()
        self.queue.drain()
        for job in (done, failed, cancelled):
            with self.assertRaisesRegex(NotAllowed, f"job {job.id} is {job.refresh().state}"):
                job.cancel()
        for job in (done, self.add.enqueue(3)):
            with self.assertRaisesRegex(NotAllowed, "only failed and cancelled jobs"):
                job.retry()
        for job in (failed, cancelled):
            job.retry()
            self.assertEqual((job.state, job.failures, job.reason, job.finished_at), ("ready", 0, None, None))

    def test_a_running_job_is_asked_to_stop_and_can_not_be_deleted(self) -> None:
        def stop_yourself() -> None:
            running = current_job()
            assert running is not None
            here = self.queue.job(running.id)
            with self.assertRaisesRegex(NotAllowed, "is running; cancel what runs"):
                here.delete()
            here.cancel()
            self.assertIn("asked to stop", here.explain())

        job = self.queue.task(name="stop")(stop_yourself).enqueue()
        self.queue.drain()
        self.assertEqual(job.refresh().state, "cancelled")
        self.assertEqual(job.errors, [])

    def test_explain_names_the_one_condition(self) -> None:
        first, second = self.add.enqueue(1), self.add.enqueue(2)
        late = self.add.using(delay=90).enqueue(3)
        self.assertEqual(late.explain(), "it is not due before 2030-01-01 00:01:30 UTC, in 90 s")
        self.assertEqual(first.explain(), "no live worker serves its queue 'default'")
        said: list[str] = []
        watch = self.queue.task(name="watch", priority=1)(
            lambda: said.extend((first.explain(), second.explain()))
        )
        watch.enqueue()
        self.queue.drain()
        self.assertEqual(
            said, ["nothing keeps it: it is the next to be claimed", "it is behind 1 job of its queue"]
        )
        self.assertIn("it completed at 2030-01-01 00:00:00 UTC", first.explain())
        failed = self.queue.enqueue(fail, "no route")
        self.queue.drain()
        self.assertRegex(failed.explain(), r"it failed at .*\(error")


class TestAttributesInMemory(TestAttributes):
    path_of_queue = ":memory:"


class TestEndsInMemory(TestEnds):
    path_of_queue = ":memory:"


class TestVerbsInMemory(TestVerbs):
    path_of_queue = ":memory:"


class TestWaiting(HandleCase):
    def test_it_gives_up_after_its_time_and_says_why_the_job_does_not_run(self) -> None:
        job = self.add.enqueue(1)
        for wait in (job.wait, job.result):
            for timeout in (0, 0.5, timedelta(seconds=1)):
                before = self.clock.monotonic()
                with self.assertRaisesRegex(TimeoutError, "job 1 is still ready; no live worker serves"):
                    wait(timeout)
                given = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
                self.assertAlmostEqual((self.clock.monotonic() - before) / 1e6, given, delta=0.002)
        late = self.add.using(delay=3600).enqueue(1)
        with self.assertRaisesRegex(TimeoutError, "job 2 is still scheduled; it is not due before"):
            late.wait(1)
        with self.assertRaisesRegex(TimeoutError, "job 1 is still ready; no live worker serves"):
            asyncio.run(job.aresult(0.01))

    def test_a_timeout_that_is_none_is_refused(self) -> None:
        job = self.add.enqueue(1)
        bad: tuple[Any, ...] = (-1, float("nan"), float("inf"), True, "5", [])
        for timeout in bad:
            for wait in (job.wait, job.result, lambda t: asyncio.run(job.aresult(t))):
                with self.subTest(timeout), self.assertRaises(InvalidOption):
                    wait(timeout)

    def test_it_comes_back_as_soon_as_another_thread_has_run_the_job(self) -> None:
        queue = self.make_queue(clock=None)
        go = threading.Event()
        self.addCleanup(go.set)

        def hold() -> int:
            wait_for(go)
            return 5

        job = queue.task(name="held")(hold).enqueue()
        with queue.worker():
            until(lambda: job.refresh().state == "running")
            with self.assertRaisesRegex(TimeoutError, "is still running; it runs on worker"):
                job.result(0.01)
            go.set()
            self.assertEqual(job.result(timeout=30), 5)

    def test_a_coroutine_learns_how_it_ended_too(self) -> None:
        failed, cancelled = self.queue.enqueue(fail, "no route"), self.add.enqueue(1)
        cancelled.cancel()
        self.queue.drain()
        with self.assertRaisesRegex(JobFailed, "no route"):
            asyncio.run(failed.aresult())
        with self.assertRaises(JobCancelled):
            asyncio.run(cancelled.aresult())
