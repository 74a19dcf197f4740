"""What the README's "Coming from" says is typed here, does what it says: a test for each of its lines."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from litequeue import (
    BadArguments,
    Cancel,
    InvalidOption,
    Job,
    JobCancelled,
    JobFailed,
    Queue,
    Reject,
    Retention,
    Retry,
    RetryLater,
    Task,
    current_job,
    group,
)
from litequeue.testing import HandClock, run
from tests.support import PATIENCE_SECONDS
from tests.users.case import QueueCase
from tests.users.things import add, echo, fail


class PeerCase(QueueCase):
    """A queue, and `f`, the task of the README's lines."""

    def setUp(self) -> None:
        super().setUp()
        self.queue = self.make_queue(path=":memory:")
        self.f: Task[..., Any] = self.queue.task(name="app:f")(add)
        self.heard: list[object] = []
        self.note: Task[..., None] = self.queue.task(name="app:note")(self.heard.append)

    def task(self, function: Any, name: str = "app:t", **options: Any) -> Task[..., Any]:
        made: Task[..., Any] = self.queue.task(name=name, **options)(function)
        return made

    def attempts(self, task: Task[..., Any]) -> int:
        """How often a task that always fails is run."""
        job = task.enqueue()
        while job.refresh().state != "failed":
            self.queue.drain()
            self.clock.advance(timedelta(days=1))
        return job.failures

    def waits(self, job: Job[Any]) -> list[float]:
        """Of what is tried again, the seconds between one attempt and the next."""
        found = []
        while self.queue.drain() and job.refresh().state == "scheduled":
            found.append((job.run_at.timestamp() * 1_000_000 - self.clock.now()) / 1_000_000)
            self.clock.advance(found[-1])
        return found


class TestRQ(PeerCase):
    def test_enqueue_with_arguments_and_with_options(self) -> None:
        self.assertEqual(run(self.queue, self.queue.enqueue(add, 1, b=2)), 3)
        job = self.queue.enqueue(
            self.f, args=(1,), timeout=30, expires=60, retention=500, meta={"by": "Ada"}, priority=9
        )
        self.assertEqual((job.meta, job.priority), ({"by": "Ada"}, 9))
        self.queue.enqueue(self.f, args=(1,), retention=Retention(completed=500, failed=86_400))

    def test_in_a_while_and_at_a_time(self) -> None:
        late = self.queue.enqueue(self.f, args=(1,), delay=timedelta(minutes=5))
        same = self.queue.enqueue(self.f, args=(1,), run_at=late.run_at)
        self.assertEqual((self.queue.drain(), same.state), (0, "scheduled"))
        self.clock.advance(300)
        self.assertEqual(self.queue.drain(), 2)

    def test_three_tries_after_the_first_at_intervals(self) -> None:
        job = self.task(fail, retry=Retry(4, intervals=[10, 30, 60])).enqueue()
        self.assertEqual((self.waits(job), job.failures), ([10, 30, 60], 4))

    def test_dependencies(self) -> None:
        broken = self.queue.enqueue(fail)
        strict = self.queue.enqueue(self.f, args=(1,), after=broken)
        anyhow = self.queue.enqueue(self.f, args=(1,), after=[broken], on_parent_failure="run")
        self.queue.drain()
        self.assertEqual([job.refresh().state for job in (strict, anyhow)], ["cancelled", "completed"])

    def test_callbacks_are_jobs(self) -> None:
        self.f.using(on_success=self.note.call("well")).enqueue(1)
        self.task(fail, on_failure=self.note.call("ill")).enqueue()
        self.queue.drain()
        self.assertEqual(sorted(map(str, self.heard)), ["ill", "well"])

    def test_what_became_of_a_job(self) -> None:
        job = self.queue.job(self.queue.enqueue(fail).id)
        self.queue.drain()
        self.assertEqual((job.refresh().state, job.errors[0].message), ("failed", "no route"))
        self.assertIn("Traceback", job.errors[0].traceback)
        with self.assertRaises(JobFailed):  # return_value() gives None there
            job.result()

    def test_its_own_job_and_meta(self) -> None:
        def work() -> None:
            job = current_job()
            assert job is not None
            job.meta["done"] = 40

        job = self.task(work).enqueue()
        self.queue.drain()
        self.assertEqual(job.refresh().meta, {"done": 40})

    def test_failed_jobs_and_how_they_are_tried_again(self) -> None:
        jobs = [self.queue.enqueue(fail), self.queue.enqueue(fail)]
        self.queue.drain()
        self.assertEqual(self.queue.jobs(state="failed"), jobs[::-1])
        jobs[0].retry()
        self.assertEqual((self.queue.retry(), self.queue.counts()["ready"]), (1, 2))

    def test_cancel_count_and_empty(self) -> None:
        job = self.f.enqueue(1)
        self.f.enqueue(2)
        job.cancel()
        self.assertEqual(self.queue.counts()["ready"], 1)
        self.assertEqual((self.queue.delete(state="ready"), self.queue.counts()["ready"]), (1, 0))

    def test_queues_in_order_until_they_are_empty(self) -> None:
        queue = self.make_queue(path=":memory:", clock=None)
        note: Task[..., None] = queue.task(name="app:note")(self.heard.append)
        for lane in ("low", "high"):
            note.using(queue=lane).enqueue(lane)
        queue.worker(queues=["high", "low"], burst=True).run()
        self.assertEqual(self.heard, ["high", "low"])


class TestCelery(PeerCase):
    def test_delay_and_its_options(self) -> None:
        self.assertEqual(run(self.queue, self.f.delay(1, 2)), 3)
        job = self.f.using(delay=60, queue="slow", priority=5, expires=90).delay(1)
        self.assertEqual((job.state, job.queue, job.priority), ("scheduled", "slow", 5))

    def test_by_name(self) -> None:
        self.assertEqual(run(self.queue, self.queue.enqueue("app:f", 1)), 2)

    def test_the_canvas(self) -> None:
        total = self.task(sum)
        ends: list[Any] = [
            self.f.call(1, 2).then(self.f.call(4)).enqueue(),
            (self.f.call(1, 2) | self.f.call(4)).enqueue(),
            group(self.f.call(n, n) for n in range(3)).enqueue(),
            (group(self.f.call(n, n) for n in range(3)) | total).enqueue(),
            total.chunks(range(4), 2).enqueue(),
            self.f.map([1, 2]).enqueue(),
        ]
        self.queue.drain()
        self.assertEqual([end.result() for end in ends], [7, 7, [0, 2, 4], 6, [1, 5], [2, 3]])

    def test_a_result_and_a_callback_with_it(self) -> None:
        job = (self.f.call(1) | self.note).enqueue()
        self.queue.drain()
        self.assertEqual((self.queue.job(job.parents[0].id).result(timeout=10), self.heard), (2, [2]))

    def test_revoke(self) -> None:
        job = self.f.enqueue(1)
        job.cancel()
        with self.assertRaises(JobCancelled):
            job.result(timeout=10)

    def test_retries_for_some_errors_with_backoff(self) -> None:
        task = self.task(fail, retry=Retry(5, on=OSError, base=1, backoff=2, max_delay=600))
        self.assertEqual(self.attempts(task), 5)
        other = self.task([].pop, "app:k", retry=Retry(5, on=OSError))
        self.assertEqual(self.attempts(other), 1)

    def test_retry_from_inside_and_reject(self) -> None:
        def again() -> None:
            raise RetryLater(60)

        def reject() -> None:
            raise Reject("no")

        self.assertEqual(self.waits(self.task(again, retry=3).enqueue()), [60, 60])
        self.assertEqual(self.attempts(self.task(reject, "app:r", retry=3)), 1)

    def test_its_own_job_and_progress(self) -> None:
        def work() -> int:
            job = current_job()
            assert job is not None
            job.progress(0.4, "text")
            return job.failures

        job = self.task(work).enqueue()
        self.queue.drain()
        self.assertEqual((job.refresh().progress, job.progress_text, job.result()), (0.4, "text", 0))

    def test_signals(self) -> None:
        self.queue.on("failed", lambda job, error: self.heard.append((job.task, error.type)))
        self.task(fail).enqueue()
        self.queue.drain()
        self.assertEqual(self.heard, [("app:t", "OSError")])

    def test_beat_and_rate_limits(self) -> None:
        self.task(lambda: self.heard.append("tick"), "app:tick", cron="0 3 * * *")
        limited = self.task(self.heard.append, "app:rated", rate="10/m")
        limited.map(range(20)).enqueue()
        self.queue.drain()
        self.assertEqual(self.heard, list(range(10)))
        self.clock.advance(timedelta(days=1))
        self.queue.drain()
        self.assertEqual((len(self.heard), "tick" in self.heard), (21, True))


class TestDramatiq(PeerCase):
    def test_send_with_and_without_options(self) -> None:
        self.assertEqual(run(self.queue, self.f.send(1, 2)), 3)
        self.assertEqual(self.f.using(delay=60).send(1).state, "scheduled")

    def test_retries_throws_and_a_function_that_decides(self) -> None:
        self.assertEqual(self.attempts(self.task(fail, retry=5)), 5)
        gives_up = self.task(fail, "app:g", retry=Retry(5, give_up_on=OSError))
        self.assertEqual(self.attempts(gives_up), 1)
        decides = self.task(fail, "app:d", retry=lambda failures, error: 1 if failures < 3 else None)
        self.assertEqual(self.attempts(decides), 3)

    def test_age_limit(self) -> None:
        job = self.task(add, expires=60).enqueue(1)
        self.clock.advance(61)
        self.queue.drain()
        self.assertEqual((job.refresh().state, job.reason), ("cancelled", "expired"))

    def test_higher_priority_comes_first(self) -> None:
        for priority in (1, 5):
            self.note.using(priority=priority).enqueue(priority)
        self.queue.drain()
        self.assertEqual(self.heard, [5, 1])

    def test_middleware(self) -> None:
        @self.queue.middleware
        def around(job: Any, call_next: Any) -> Any:
            self.heard.append(job.task)
            return call_next()

        run(self.queue, self.f, 1)
        self.assertEqual(self.heard, ["app:f"])

    def test_limiters(self) -> None:
        queue = self.make_queue(path=":memory:", clock=None)

        def running(_: int) -> int:
            return queue.counts()["running"]

        jobs = queue.task(name="app:one", max_running=1, key="k")(running).map(range(3)).enqueue()
        queue.worker(threads=3, burst=True).run()
        self.assertEqual(jobs.result(PATIENCE_SECONDS), [1, 1, 1])

    def test_errors_of_a_task_come_out_in_tests(self) -> None:
        with self.assertRaises(OSError):
            run(self.queue, fail)


class TestHuey(PeerCase):
    def test_a_call_is_a_call(self) -> None:
        self.assertEqual((self.f(1), self.queue.counts()["ready"]), (2, 0))
        job = self.f.enqueue(1)
        self.queue.drain()
        self.assertEqual(job.result(timeout=10), 2)

    def test_two_tries_after_the_first(self) -> None:
        job = self.task(fail, retry=Retry(3, intervals=[10])).enqueue()
        self.assertEqual((self.waits(job), job.failures), ([10, 10], 3))

    def test_retry_and_cancel_from_inside(self) -> None:
        def cancel() -> None:
            raise Cancel("so")

        job = self.task(cancel).enqueue()
        self.queue.drain()
        self.assertEqual((job.refresh().state, job.reason), ("cancelled", "cancelled"))

    def test_a_period(self) -> None:
        self.task(lambda: self.heard.append(self.clock.now()), cron="*/3 * * * *")
        for _ in range(4):
            self.queue.drain()
            self.clock.advance(180)
        self.assertEqual(len(self.heard), 3)

    def test_what_waits(self) -> None:
        self.f.enqueue(1)
        self.f.using(delay=60).enqueue(1)
        self.assertEqual([len(self.queue.jobs(state=state)) for state in ("ready", "scheduled")], [1, 1])

    def test_at_once(self) -> None:
        queue = Queue(":memory:", clock=HandClock())
        self.addCleanup(queue.close)
        job = queue.enqueue(echo, 1)
        self.assertEqual((queue.drain(), job.result()), (1, 1))


class TestComplaints(PeerCase):
    """What hurts there: the lines that no other test holds."""

    def test_a_wrong_option_and_wrong_arguments_are_found_where_they_are_typed(self) -> None:
        option: dict[str, Any] = {"nonsense": 3}
        wrong: list[tuple[type[Exception], Any]] = [
            (InvalidOption, lambda: self.task(fail, **option)),
            (InvalidOption, lambda: self.f.using(**option)),
            (InvalidOption, lambda: self.queue.enqueue(self.f, args=(1,), **option)),
            (BadArguments, self.f.enqueue),
            (BadArguments, lambda: self.f.enqueue(1, **option)),
        ]
        for error, give in wrong:
            with self.assertRaises(error):
                give()
        self.assertEqual(sum(self.queue.counts().values()), 0)

    def test_the_error_of_every_attempt_is_kept(self) -> None:
        job = self.task(fail, retry=Retry(3, intervals=[0])).enqueue()
        self.queue.drain()
        self.assertEqual([error.attempt for error in job.errors], [1, 2, 3])

    def test_a_delay_longer_than_any_lease(self) -> None:
        queue = self.make_queue(path=":memory:", lease=1)
        job = queue.enqueue(echo, kwargs={}, delay=timedelta(days=30))
        for _ in range(30):
            self.assertEqual(queue.drain(), 0)
            self.clock.advance(timedelta(days=1))
        self.assertEqual((queue.drain(), queue.drain(), job.refresh().attempt), (1, 0, 1))
