"""One job run as a unit: its value or its own exception comes out, and what it told is with the job."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from typing import Any

from litequeue import (
    Cancel,
    DuplicateJob,
    EncodingError,
    Job,
    JobFailed,
    NotAllowed,
    Reject,
    Retry,
    RetryLater,
    RunningJob,
    Snooze,
    Task,
    TaskTimeout,
    WorkerError,
    current_job,
)
from litequeue.testing import enqueued, run
from tests.support import PATIENCE_SECONDS
from tests.users.case import QueueCase
from tests.users.things import Color, Point, add, echo, fail, later, move


def me() -> RunningJob:
    job = current_job()
    assert job is not None
    return job


class UnitCase(QueueCase):
    path_of_queue: str | None = None

    def setUp(self) -> None:
        super().setUp()
        if self.path_of_queue is not None:
            self.queue = self.make_queue(path=self.path_of_queue)

    def task(self, function: Any, **options: Any) -> Task[..., Any]:
        made: Task[..., Any] = self.queue.task(name="t:t", **options)(function)
        return made

    def last(self) -> Job[Any]:
        return enqueued(self.queue)[-1]


class TestValue(UnitCase):
    def test_of_tasks_plain_functions_names_coroutines_and_jobs(self) -> None:
        task = self.queue.task(add)
        self.assertEqual(run(self.queue, task, 1, b=2), 3)
        self.assertEqual(run(self.queue, add, 1), 2)
        self.assertEqual(run(self.queue, later, 1), 2)
        self.assertEqual(run(self.queue, task.using(delay=3600).enqueue(5)), 6)
        self.assertEqual(run(self.queue, self.queue.enqueue(task.name, 6)), 7)
        self.assertIsNone(run(self.queue, echo))
        self.assertEqual([job.state for job in enqueued(self.queue)], ["completed"] * 6)

    def test_it_has_been_to_the_file_and_back(self) -> None:
        self.assertEqual(run(self.queue, self.queue.task(move), Point(1, 2)), Point(2, 2, Color.BLUE))
        seen: list[object] = []
        run(self.queue, self.task(seen.append), (1, 2))
        self.assertEqual(seen, [(1, 2)])

    def test_before_its_turn_and_no_other(self) -> None:
        first = self.queue.enqueue(echo, "first")
        self.assertEqual(run(self.queue, self.queue.enqueue(echo, args=("low",), priority=-5)), "low")
        self.queue.pause()
        self.assertEqual(run(self.queue, echo, "paused"), "paused")
        self.assertEqual(first.refresh().state, "ready")

    def test_over_limits_and_under_a_unique_key(self) -> None:
        task = self.task(echo, rate="1/h", unique=True)
        self.assertEqual([run(self.queue, task, n) for n in range(3)], [0, 1, 2])
        waiting = task.enqueue("x")
        self.assertEqual((run(self.queue, task, "x"), waiting.refresh().state), ("x", "completed"))
        task.enqueue("y")
        with self.assertRaises(DuplicateJob):
            run(self.queue, task.using(on_duplicate="raise"), "y")

    def test_in_another_lane(self) -> None:
        self.assertEqual(run(self.queue, self.task(lambda: me().queue, queue="mail")), "mail")
        self.assertEqual(self.queue.drain(), 0)

    def test_through_hooks_and_middleware(self) -> None:
        heard: list[str] = []
        self.queue.on("claimed", lambda job: heard.append(f"claimed {job.id}"))
        self.queue.on("completed", lambda job: heard.append(f"completed {job.id}"))
        self.queue.middleware(lambda job, call_next: [call_next()])
        self.assertEqual(run(self.queue, self.queue.task(add), 1), [2])
        self.assertEqual(heard, ["claimed 1", "completed 1"])

    def test_what_it_enqueues_waits(self) -> None:
        task = self.queue.task(add)
        run(self.queue, self.task(lambda: task.enqueue(1).id))
        self.assertEqual([job.state for job in enqueued(self.queue, task)], ["ready"])
        after = self.queue.task(name="after")(echo)
        run(self.queue, self.task(lambda: 7, on_success=after.call()))
        self.assertEqual([(job.state, job.args) for job in enqueued(self.queue, after)], [("ready", ())])


class TestContext(UnitCase):
    def test_attempt_progress_log_and_meta(self) -> None:
        def work() -> tuple[int, int]:
            me().progress(0.5, "half")
            me().log("a line")
            me().meta["by"] = "Ada"
            return me().attempt, me().failures

        self.assertEqual(run(self.queue, self.task(work)), (1, 0))
        job = self.last()
        self.assertEqual((job.progress, job.progress_text, job.meta), (0.5, "half", {"by": "Ada"}))
        self.assertEqual([line.text for line in job.log], ["a line"])
        self.assertIsNone(current_job())

    def test_attempts_one_by_one_and_steps_done_once(self) -> None:
        done: list[int] = []

        def work() -> str:
            me().step("once", done.append, me().attempt)
            if me().attempt < 3:
                raise OSError(f"attempt {me().attempt}")
            return f"after {me().failures}"

        job = self.task(work, retry=Retry(5, base=1000)).enqueue()
        for attempt in (1, 2):
            with self.assertRaisesRegex(OSError, f"attempt {attempt}"):
                run(self.queue, job)
            self.assertEqual(job.refresh().state, "scheduled")
        self.assertEqual((run(self.queue, job), done, len(job.steps)), ("after 2", [1], 1))

    def test_a_transaction_that_commits_and_one_that_does_not(self) -> None:
        def write(value: int) -> int:
            with me().transaction() as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS mine (x)")
                connection.execute("INSERT INTO mine VALUES (?)", (value,))
            if value > 1:
                raise ValueError(value)
            return value

        task = self.task(write)
        self.assertEqual(run(self.queue, task, 1), 1)
        with self.assertRaises(ValueError):
            run(self.queue, task, 2)
        with self.queue.transaction() as connection:
            self.assertEqual(connection.execute("SELECT x FROM mine").fetchall(), [(1,)])

    def test_in_this_thread_from_many_at_once(self) -> None:
        task = self.task(threading.get_ident)
        same: list[bool] = []

        def work() -> None:
            same.extend(run(self.queue, task) == threading.get_ident() for _ in range(10))

        threads = [threading.Thread(target=work) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        self.assertEqual(same, [True] * 50)


class TestErrors(UnitCase):
    def test_its_own_exception_with_where_it_came_from(self) -> None:
        error = LookupError("here")

        def work() -> None:
            raise error

        try:
            run(self.queue, self.task(work))
        except LookupError as raised:  # assertRaises would forget where it was
            self.assertIs(raised, error)
            self.assertEqual(traceback.extract_tb(raised.__traceback__)[-1].name, "work")
        self.assertEqual((self.last().state, self.last().reason), ("failed", "error"))

    def test_each_directive_is_raised_and_obeyed(self) -> None:
        for directive, state, reason in (
            (RetryLater(60), "scheduled", None),
            (Snooze(60), "scheduled", None),
            (Reject("no"), "failed", "rejected"),
            (Cancel("no"), "cancelled", "cancelled"),
        ):

            def work(directive: BaseException = directive) -> None:
                raise directive

            with self.subTest(type(directive).__name__), self.assertRaises(type(directive)) as caught:
                run(self.queue, self.queue.task(name=type(directive).__name__)(work))
            self.assertIs(caught.exception, directive)
            job = self.last()
            self.assertEqual((job.state, job.reason), (state, reason))
            if state == "scheduled":
                self.assertEqual((job.run_at - job.created_at).total_seconds(), 60)

    def test_of_a_coroutine(self) -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            raise LookupError

        with self.assertRaises(LookupError):
            run(self.queue, self.task(work))

        async def program() -> None:
            with self.assertRaisesRegex(WorkerError, "asyncio.to_thread"):
                run(self.queue, later, 1)
            self.assertEqual(await asyncio.to_thread(run, self.queue, later, 1), 2)

        asyncio.run(program())

    def test_a_time_limit(self) -> None:
        queue = self.make_queue(path=self.path_of_queue, clock=None)

        def work() -> None:
            end = time.monotonic() + PATIENCE_SECONDS
            while time.monotonic() < end:
                pass

        with self.assertRaises(TaskTimeout):
            run(queue, queue.task(name="slow", timeout=0.05)(work))

    def test_what_is_no_fault_of_the_task_code(self) -> None:
        with self.assertRaisesRegex(JobFailed, "EncodingError"):
            run(self.queue, self.task(object))
        with self.assertRaises(EncodingError):
            run(self.queue, echo, object())
        with self.assertRaisesRegex(WorkerError, "no_such:task can not be found here"):
            run(self.queue, self.queue.enqueue("no_such:task"))

    def test_jobs_that_can_not_be_run(self) -> None:
        done = self.queue.enqueue(fail)
        with self.assertRaises(OSError):
            run(self.queue, done)
        child = self.queue.enqueue(echo, kwargs={}, after=[self.queue.enqueue(echo)])
        for job in (done, child):
            with self.assertRaisesRegex(NotAllowed, f"job {job.id} can not be run now: it"):
                run(self.queue, job)
        self.assertEqual((done.refresh().attempt, child.refresh().state), (1, "blocked"))

        def again() -> None:
            run(self.queue, self.queue.job(me().id))

        with self.assertRaisesRegex(NotAllowed, "can not be run now"):
            run(self.queue, self.task(again))

    def test_ctrl_c_is_for_the_program(self) -> None:
        def stop() -> None:
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            run(self.queue, self.task(stop))
        self.assertEqual((self.last().state, self.last().failures), ("ready", 0))


class TestValueInMemory(TestValue):
    path_of_queue = ":memory:"


class TestContextInMemory(TestContext):
    path_of_queue = ":memory:"


class TestErrorsInMemory(TestErrors):
    path_of_queue = ":memory:"
