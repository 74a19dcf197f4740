"""The executor: its futures are those of the standard library, and what they stand for is in the file."""

from __future__ import annotations

import asyncio
import gc
import operator
import os
import threading
import time
import unittest.mock
import uuid
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, as_completed, wait
from typing import Any, cast

from litequeue import (
    BadArguments,
    EncodingError,
    InvalidTask,
    JobCancelled,
    JobFailed,
    JobNotFound,
    NotAllowed,
    Queue,
    QueueFull,
    Reject,
    Retention,
    Retry,
    RetryLater,
    State,
    WorkerError,
)
from litequeue.executor import JobExecutor
from litequeue.futures import JobFuture
from tests.faces.things import (
    DOORS,
    Plain,
    capture,
    later,
    mul,
    nap,
    own_class,
    raise_peculiar,
    raise_plain,
    raise_unicode,
    unless_two,
    unstorable,
    wait_at,
)
from tests.support import PATIENCE_SECONDS, Program, together
from tests.worker import crew
from tests.worker.case import CrewCase, FileCase, until, wait_for


class ExecutorCase(FileCase):
    """An executor with two threads, and doors of this test's own."""

    def setUp(self) -> None:
        super().setUp()
        self.name = uuid.uuid4().hex
        self.executor = self.make_executor(threads=2)
        self.addCleanup(DOORS.open_all)

    def make_executor(self, queue: Queue | None = None, **options: Any) -> JobExecutor:
        executor = (queue or self.queue).executor(**options)
        self.addCleanup(executor.shutdown, cancel_futures=True)
        return executor

    def blocked(self, number: int = 2) -> list[JobFuture[str]]:
        """Futures of functions that run, and wait at doors of their own."""
        names = [f"{self.name}-{place}" for place in range(number)]
        futures = [self.executor.submit(wait_at, name) for name in names]
        for name in names:
            wait_for(DOORS.reached(name), "the function")
        return futures

    def release(self, *places: int) -> None:
        for place in places:
            DOORS.opened(f"{self.name}-{place}").set()

    def result(self, future: Future[Any]) -> Any:
        return future.result(PATIENCE_SECONDS)

    def error(self, future: Future[Any]) -> BaseException:
        error = future.exception(PATIENCE_SECONDS)
        assert error is not None
        return error


class TestSubmit(ExecutorCase):
    def test_a_function_runs_and_its_future_has_the_result(self) -> None:
        self.assertEqual(self.result(self.executor.submit(mul, 2, y=8)), 16)
        self.assertEqual(self.result(self.executor.submit(pow, 2, 8)), 256)

    def test_keywords_are_those_of_the_function_whatever_they_are_called(self) -> None:
        kwargs = {"self": 2, "fn": 3, "args": [4], "kwargs": None, "priority": 5}
        self.assertEqual(self.result(self.executor.submit(capture, 1, **kwargs)), ((1,), kwargs))

    def test_a_task_runs_with_its_options(self) -> None:
        tries: list[int] = []

        def unlucky() -> int:
            tries.append(1)
            if len(tries) < 3:
                raise RetryLater(0)
            return len(tries)

        task = self.declare(unlucky, retry=Retry(3, intervals=[0]))
        future = self.executor.submit(task)
        self.assertEqual(self.result(future), 3)
        self.assertEqual(future.job.refresh().attempt, 3)

    def test_coroutines_and_what_they_give(self) -> None:
        self.assertEqual(self.result(self.executor.submit(later, 1)), 2)
        self.assertEqual(list(self.executor.map(later, [1, 2, 3])), [2, 3, 4])

    def test_its_job_is_an_ordinary_one(self) -> None:
        future = self.executor.submit(mul, 2, 3)
        self.result(future)
        job = self.queue.job(future.job.id)
        self.assertEqual(job, future.job)
        self.assertEqual((job.task, job.args, job.state), ("tests.faces.things:mul", (2, 3), "completed"))

    def test_what_no_worker_could_find_is_refused(self) -> None:
        def inner() -> None: ...

        for function, why in ((lambda: 1, "lambda"), (inner, "inside a function"), (self.name.upper, "")):
            with self.subTest(function), self.assertRaisesRegex(InvalidTask, why):
                self.executor.submit(function)
            with self.subTest(function), self.assertRaisesRegex(InvalidTask, why):
                self.executor.map(function, [1])
        self.assertEqual(self.queue.jobs(), [])

    def test_what_can_not_be_stored_is_refused(self) -> None:
        with self.assertRaises(BadArguments):
            self.executor.submit(mul, 1)  # type: ignore[call-overload]
        with self.assertRaises(BadArguments):
            self.executor.map(mul, [1])
        with self.assertRaises(EncodingError):
            self.executor.submit(capture, object())
        self.assertEqual(self.queue.jobs(), [])

    def test_a_task_of_another_lane_runs_in_this_one(self) -> None:
        task = self.declare(mul, queue="elsewhere")
        future = self.executor.submit(task, 2, 2)
        self.assertEqual((self.result(future), future.job.queue), (4, "default"))

    def test_a_result_that_would_not_be_kept_is_there_all_the_same(self) -> None:
        brief = self.make_queue(retention=0)
        self.executor = self.make_executor(brief)
        kinds = [0, 3600, None, Retention(completed=0, failed=None)]
        tasks = [brief.task(name=f"mul:{each}", retention=each)(mul) for each in kinds]
        for task in (brief.task(mul), *tasks):
            with self.subTest(task):
                future = self.executor.submit(task, 2, 3)
                self.assertEqual(self.result(future), 6)
                brief.desk.store.prune()
                self.assertEqual(future.job.refresh().state, State.COMPLETED)
        self.assertEqual(list(self.executor.map(mul, [1, 2], [3, 4])), [3, 8])

    def test_two_futures_of_one_unique_job(self) -> None:
        task = self.declare(wait_at, unique=True)
        futures = [self.executor.submit(task, f"{self.name}-0") for _ in range(2)]
        self.release(0)
        self.assertEqual([self.result(future) for future in futures], [f"{self.name}-0"] * 2)
        self.assertEqual(futures[0].job, futures[1].job)

    def test_a_full_queue_refuses(self) -> None:
        executor = self.make_executor(self.make_queue(maxsize=3))
        self.queue.pause()
        executor.submit(mul, 1, 1)
        with self.assertRaises(QueueFull):
            list(executor.map(mul, range(5), range(5)))
        with self.assertRaises(QueueFull):
            list(executor.map(mul, range(5), range(5), chunksize=1))
        self.assertEqual(self.queue.counts()["ready"], 1)
        self.assertEqual(self.queue.counts()["cancelled"], 2)

    def test_inside_a_transaction_it_is_refused(self) -> None:
        with self.queue.transaction(), self.assertRaisesRegex(NotAllowed, "transaction"):
            self.executor.submit(mul, 1, 1)
        self.assertEqual(self.queue.jobs(), [])
        self.assertEqual(self.result(self.executor.submit(mul, 1, 1)), 1)

    def test_a_queue_in_memory_will_do(self) -> None:
        with Queue(":memory:") as queue, queue.executor(threads=2) as executor:
            self.assertEqual(list(executor.map(mul, range(5), range(5))), [0, 1, 4, 9, 16])

    def test_sizes_that_are_none_are_refused(self) -> None:
        for options in ({"threads": 0}, {"threads": -1}, {"processes": -1}):
            with self.subTest(options), self.assertRaises(ValueError):
                self.queue.executor(**options)

    def test_an_event_loop_takes_it_for_an_executor(self) -> None:
        async def main() -> int:
            return await asyncio.get_running_loop().run_in_executor(self.executor, mul, 3, 4)

        self.assertEqual(asyncio.run(main()), 12)


class TestErrors(ExecutorCase):
    def test_what_the_task_raised_is_raised_again(self) -> None:
        for function, args, kind, text in (
            (divmod, (1, 0), ZeroDivisionError, "division"),
            (open, ("/nowhere",), FileNotFoundError, "/nowhere"),
            (operator.getitem, ({}, "x"), KeyError, "'x'"),
            (raise_plain, ("lost",), Plain, "lost"),
            (unstorable, (), EncodingError, "object"),
        ):
            with self.subTest(kind.__name__):
                error = self.error(self.executor.submit(function, *args))
                self.assertIs(type(error), kind)
                self.assertIn(text, str(error))
                cause = error.__cause__
                assert isinstance(cause, JobFailed)
                self.assertEqual(str(error), cause.message)
                self.assertEqual(cause.job_id, self.queue.jobs(limit=1)[0].id)

    def test_the_remote_traceback_is_its_cause(self) -> None:
        cause = self.error(self.executor.submit(raise_plain, "lost")).__cause__
        self.assertIn("in raise_plain\n", str(cause))

    def test_an_exception_that_takes_more_than_a_message_comes_as_job_failed(self) -> None:
        for function, args, name in (
            (raise_peculiar, (7,), "tests.faces.things.Peculiar"),
            (raise_unicode, (), "UnicodeDecodeError"),
            (own_class, (), "tests.faces.things.own_class.<locals>.Hidden"),
        ):
            with self.subTest(name):
                error = self.error(self.executor.submit(function, *args))
                assert isinstance(error, JobFailed)
                self.assertEqual(error.error_type, name)

    def test_other_ends_than_an_error_of_the_task(self) -> None:
        def refuse() -> None:
            raise Reject("never")

        error = self.error(self.executor.submit(self.declare(refuse)))
        assert isinstance(error, JobFailed)
        self.assertEqual(error.reason, "rejected")


class TestCancel(ExecutorCase):
    def test_a_job_that_waits(self) -> None:
        self.blocked()
        future = self.executor.submit(mul, 2, 2)
        self.assertTrue(future.cancel())
        self.assertTrue(future.cancel())
        self.assertTrue(future.cancelled())
        self.assertEqual(future.job.refresh().state, State.CANCELLED)
        self.assertEqual(list(as_completed([future], PATIENCE_SECONDS)), [future])
        with self.assertRaises(CancelledError):
            future.result()

    def test_a_job_that_runs_goes_on(self) -> None:
        running = self.blocked()
        for future in running:
            self.assertFalse(future.cancel())
            self.assertFalse(future.job.refresh().snapshot.cancelling)
        until(lambda: all(future.running() for future in running))
        self.assertFalse(running[0].cancel())
        self.release(0, 1)
        self.assertEqual([self.result(future) for future in running], [f"{self.name}-0", f"{self.name}-1"])
        self.assertFalse(running[0].cancel())

    def test_a_job_that_waits_for_another_attempt_has_started(self) -> None:
        def unlucky() -> None:
            raise Plain("lost")

        task = self.declare(unlucky, retry=Retry(2, intervals=[3600]))
        with unittest.mock.patch.object(
            self.queue.desk.reports, "stages", lambda ids: dict.fromkeys(ids, State.READY)
        ):  # its future did not see it run
            future = self.executor.submit(task)
            until(lambda: future.job.refresh().failures == 1)
            self.assertFalse(future.cancel())
            self.assertFalse(future.done())
        until(future.running)
        self.assertFalse(future.cancel())
        self.assertEqual(future.job.refresh().state, State.SCHEDULED)
        future.job.cancel()
        self.assertIsInstance(self.error(future), JobCancelled)

    def test_by_somebody_else_while_it_waits(self) -> None:
        self.blocked()
        future = self.executor.submit(mul, 2, 2)
        self.queue.job(future.job.id).cancel()
        with self.assertRaises(CancelledError):
            self.result(future)

    def test_by_somebody_else_while_it_runs(self) -> None:
        began = threading.Event()

        async def endless() -> None:
            began.set()
            await asyncio.Event().wait()

        future = self.executor.submit(self.declare(endless))
        wait_for(began)
        future.job.cancel("enough")
        self.assertIsInstance(self.error(future), JobCancelled)

    def test_a_job_that_somebody_deletes(self) -> None:
        self.blocked()
        future = self.executor.submit(mul, 2, 2)
        future.job.delete()
        self.assertIsInstance(self.error(future), JobNotFound)

    def test_a_cancelled_job_that_somebody_lets_run_after_all(self) -> None:
        self.blocked()
        future = self.executor.submit(mul, 2, 2)
        future.cancel()
        future.job.retry()
        self.release(0, 1)
        future.job.wait(PATIENCE_SECONDS)
        self.assertEqual(wait([future], PATIENCE_SECONDS).done, {future})
        self.assertTrue(future.cancelled())

    def test_who_waits_for_it_hears_at_once_whatever_becomes_of_the_job(self) -> None:
        self.blocked()
        future = self.executor.submit(mul, 2, 2)
        with unittest.mock.patch.object(
            self.queue.desk.reports, "stages", lambda ids: dict.fromkeys(ids, State.READY)
        ):  # somebody lets every job run again
            self.assertTrue(future.cancel())
            self.assertEqual(wait([future], PATIENCE_SECONDS).done, {future})

    def test_not_inside_a_transaction_which_might_be_rolled_back(self) -> None:
        self.blocked()
        future = self.executor.submit(mul, 2, 2)
        with self.queue.transaction():
            self.assertFalse(future.cancel())
        self.assertTrue(future.cancel())


class TestFutures(ExecutorCase):
    def test_as_completed_and_wait(self) -> None:
        slow: JobFuture[Any] = self.blocked(1)[0]
        quick: JobFuture[Any] = self.executor.submit(mul, 2, 2)
        self.assertEqual(wait([slow, quick], PATIENCE_SECONDS, FIRST_COMPLETED), ({quick}, {slow}))
        with self.assertRaises(TimeoutError):
            for future in as_completed([slow, quick], 0.05):
                self.assertIs(future, quick)
        self.release(0)
        self.assertEqual(set(as_completed([slow, quick], PATIENCE_SECONDS)), {slow, quick})

    def test_running(self) -> None:
        future = self.blocked(1)[0]
        until(future.running)
        self.assertFalse(future.done())
        self.release(0)
        self.result(future)
        self.assertFalse(future.running())

    def test_callbacks_may_do_what_they_like(self) -> None:
        """None of them runs inside a transaction, and none keeps another future from its end."""
        heard: list[object] = []
        ended = threading.Event()

        def write(future: Future[int]) -> None:
            with self.queue.transaction() as connection:
                connection.execute("CREATE TABLE heard (result INTEGER)")
            heard.append(future.result())

        def submit(future: Future[int]) -> None:
            self.executor.submit(mul, 3, 3).add_done_callback(lambda future: heard.append(future.result()))

        def shut(future: Future[int]) -> None:
            self.executor.shutdown()
            ended.set()

        def leave(future: Future[int]) -> None:
            raise SystemExit

        future = self.executor.submit(mul, 2, 2)
        for callback in (write, submit, shut, leave):
            future.add_done_callback(callback)
        wait_for(ended)
        self.executor.shutdown()
        self.assertEqual(heard, [4, 9])

    def test_many_threads_submit(self) -> None:
        results: list[int] = []

        def work(number: int) -> None:
            results.extend(self.result(self.executor.submit(mul, number, each)) for each in range(20))

        together(8, work)
        self.assertEqual(sorted(results), sorted(a * b for a in range(8) for b in range(20)))


class TestMap(ExecutorCase):
    def test_results_come_in_order(self) -> None:
        self.assertEqual(list(self.executor.map(nap, [0.05, 0, 0.01])), [0.05, 0, 0.01])
        self.assertEqual(
            list(self.executor.map(mul, range(10), range(5, 100))), [n * (n + 5) for n in range(10)]
        )
        self.assertEqual(list(self.executor.map(mul, [], [])), [])

    def test_it_begins_before_anybody_asks(self) -> None:
        self.executor.map(mul, range(3), range(3))
        self.executor.shutdown()
        self.assertEqual(self.queue.counts()["completed"], 3)

    def test_so_many_are_stored_at_once(self) -> None:
        self.assertEqual(
            list(self.executor.map(mul, range(7), range(7), chunksize=3)), [n * n for n in range(7)]
        )
        for size in (0, -1):
            with self.subTest(size), self.assertRaises(ValueError):
                self.executor.map(mul, [1], [1], chunksize=size)

    def test_after_an_error_there_is_no_more(self) -> None:
        results = self.executor.map(unless_two, [1, 2, 3, 4])
        self.assertEqual(next(results), 1)
        with self.assertRaises(Plain):
            next(results)
        self.assertEqual(list(results), [])
        self.executor.shutdown()
        self.assertLessEqual({job.state for job in self.queue.jobs()}, {"completed", "failed", "cancelled"})

    def test_who_wants_no_more_cancels_what_has_not_started(self) -> None:
        names = [f"{self.name}-{place}" for place in range(4)]
        results = cast("Generator[str]", self.executor.map(wait_at, names))
        for name in names[:2]:
            wait_for(DOORS.reached(name))
        self.queue.pause()
        self.release(0)
        self.assertEqual(next(results), names[0])
        results.close()
        self.release(1)
        self.executor.shutdown()
        counts = self.queue.counts()
        self.assertEqual((counts["completed"], counts["cancelled"]), (2, 2))

    def test_late_results(self) -> None:
        self.queue.pause()
        results = self.executor.map(mul, [1, 2], [1, 2], timeout=0.01)
        with self.assertRaises(TimeoutError):
            next(results)
        self.assertEqual(self.queue.counts()["cancelled"], 2)


class TestShutdown(ExecutorCase):
    def test_it_waits_for_all(self) -> None:
        futures = [self.executor.submit(nap, 0.01) for _ in range(10)]
        self.executor.shutdown()
        self.assertTrue(all(future.done() for future in futures))
        self.executor.shutdown()

    def test_with_waits_too(self) -> None:
        with self.executor as executor:
            futures = [executor.submit(nap, 0.01) for _ in range(10)]
        self.assertEqual([future.result(0) for future in futures], [0.01] * 10)

    def test_nothing_is_taken_after_it(self) -> None:
        self.executor.shutdown()
        with self.assertRaisesRegex(RuntimeError, "shutdown"):
            self.executor.submit(mul, 1, 1)
        with self.assertRaisesRegex(RuntimeError, "shutdown"):
            self.executor.map(mul, [1], [1])
        self.assertEqual(self.queue.jobs(), [])

    def test_without_waiting_the_jobs_go_on(self) -> None:
        running = self.blocked()
        waiting = self.executor.submit(mul, 2, 2)
        self.executor.shutdown(wait=False)
        self.assertFalse(waiting.done())
        self.release(0, 1)
        self.assertEqual(self.result(waiting), 4)
        self.assertTrue(all(self.result(future) for future in running))
        self.executor.shutdown()
        self.assertEqual(self.queue.workers(), [])

    def test_what_waits_may_be_cancelled(self) -> None:
        running = self.blocked()
        waiting = [self.executor.submit(mul, 2, number) for number in range(20)]
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.assertTrue(all(future.cancelled() for future in waiting))
        self.release(0, 1)
        self.assertTrue(all(self.result(future) for future in running))

    def test_its_worker_ends_with_it_and_no_thread_is_left(self) -> None:
        self.result(self.executor.submit(mul, 1, 1))
        self.assertEqual(len(self.queue.workers()), 1)
        self.executor.shutdown()
        self.assertEqual(self.queue.workers(), [])
        until(lambda: not [each for each in threading.enumerate() if each.name.startswith("litequeue")])

    def test_without_a_job_there_is_no_worker(self) -> None:
        before = threading.active_count()
        with self.queue.executor():
            self.assertEqual(threading.active_count(), before)

    def test_one_that_is_dropped_ends_when_its_jobs_have(self) -> None:
        executor = self.queue.executor()
        future = executor.submit(wait_at, f"{self.name}-0")
        wait_for(DOORS.reached(f"{self.name}-0"))
        del executor
        gc.collect()
        self.release(0)
        self.assertEqual(self.result(future), f"{self.name}-0")
        until(lambda: not self.queue.workers())

    def test_what_is_being_stored_meanwhile_is_waited_for(self) -> None:
        self.result(self.executor.submit(mul, 1, 1))
        storing, may_store = self.events(2)
        submit = self.queue.submit

        def slow(call: Any) -> Any:
            storing.set()
            wait_for(may_store)
            return submit(call)

        futures: list[Future[int]] = []
        with unittest.mock.patch.object(self.queue, "submit", slow):
            thread = threading.Thread(target=lambda: futures.append(self.executor.submit(mul, 2, 3)))
            thread.start()
            wait_for(storing)
            self.executor.shutdown(wait=False)
            time.sleep(0.2)  # in which nothing must happen
            may_store.set()
            thread.join()
        self.assertEqual(self.result(futures[0]), 6)
        self.executor.shutdown()

    def test_while_many_threads_submit_nobody_waits_for_ever(self) -> None:
        for _ in range(5):
            executor = self.queue.executor()
            futures: list[Future[int]] = []

            def work(
                number: int, executor: JobExecutor = executor, futures: list[Future[int]] = futures
            ) -> None:
                if number == 3:
                    executor.shutdown()
                    return
                for each in range(30):
                    try:
                        futures.append(executor.submit(mul, number, each))
                    except RuntimeError:
                        return

            together(4, work)
            self.assertEqual(wait(futures, PATIENCE_SECONDS).not_done, set())


class TestBroken(ExecutorCase):
    def assert_broken(self, future: Future[Any]) -> None:
        self.assertIsInstance(self.error(future), BrokenExecutor)
        with self.assertRaises(BrokenExecutor):
            self.executor.submit(mul, 1, 1)
        self.executor.shutdown()

    def test_a_file_that_is_gone(self) -> None:
        futures = self.blocked()
        self.path.unlink()
        self.assert_broken(futures[0])

    def test_a_queue_that_is_closed(self) -> None:
        hasty = self.queue.worker(threads=2, grace=0.05)
        self.executor = JobExecutor(self.queue, hasty, runs_here=True)
        futures = self.blocked()
        self.queue.close()
        self.assert_broken(futures[0])

    def test_a_child_process_makes_its_own(self) -> None:
        self.result(self.executor.submit(mul, 1, 1))
        child = os.fork()
        if child == 0:
            try:
                self.executor.submit(mul, 1, 1)
            except RuntimeError as error:
                os._exit(3 if "forked" in str(error) else 4)
            os._exit(5)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 3)


DIES = """
import os, signal, sys
from litequeue import Queue
from tests.faces.things import mul, nap
queue = Queue(sys.argv[1])
executor = queue.executor(threads=2)
first = executor.submit(mul, 6, 7)
print(first.result(30), flush=True)
many = [executor.submit(nap, 0.2) for _ in range(10)]
os.kill(os.getpid(), signal.SIGKILL)
"""


ENDS = """
import sys
from litequeue import Queue
from tests.faces.things import DOORS, nap, nap_behind
executor = Queue(sys.argv[1]).executor()
first = executor.submit(nap_behind, "door", 0.5)
many = [executor.submit(nap, 60) for _ in range(3)]
sys.exit(not DOORS.reached("door").wait(30))  # one that is only claimed would be given back
"""


class TestDeath(ExecutorCase):
    def test_a_program_that_ends_finishes_what_runs_and_leaves_the_rest_in_the_file(self) -> None:
        self.assertEqual(Program(self, ENDS, self.path).wait(), 0)
        counts = self.queue.counts()
        self.assertEqual((counts["completed"], counts["ready"]), (1, 3))

    def test_what_was_submitted_survives_the_process(self) -> None:
        program = Program(self, DIES, self.path)
        self.assertEqual(program.hear(), "42")
        program.wait()
        self.assertEqual(sum(self.queue.counts().values()), 11)
        self.queue.task_for(nap)  # a worker runs plain functions that its own process has named
        self.queue.retention = None
        with self.queue.worker(threads=4):
            until(lambda: self.queue.counts()["completed"] == 11)


class TestProcesses(CrewCase):
    def test_tasks_run_there(self) -> None:
        with self.queue.executor(processes=1) as executor:
            future = executor.submit(crew.whose)
            self.assertNotEqual(future.result(PATIENCE_SECONDS), os.getpid())

    def test_a_plain_function_would_never_run_there(self) -> None:
        with self.queue.executor(processes=1) as executor, self.assertRaisesRegex(InvalidTask, "task"):
            executor.submit(mul, 1, 1)

    def test_a_queue_in_memory_can_not_be_shared(self) -> None:
        with Queue(":memory:") as queue, queue.executor(processes=1) as executor:
            with self.assertRaises(WorkerError):
                executor.submit(crew.whose)
            self.assertEqual(queue.jobs(), [])
