"""Draining: everything that is due, in order, in this thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from unittest.mock import patch

from litequeue import InvalidOption, Retry, State, Task, current_job
from litequeue.errors import WorkerError
from tests.support import PATIENCE_SECONDS
from tests.users.case import QueueCase
from tests.users.things import add, echo, fail, later


class DrainCase(QueueCase):
    path_of_queue: str | None = None

    def setUp(self) -> None:
        super().setUp()
        if self.path_of_queue is not None:
            self.queue = self.make_queue(path=self.path_of_queue)
        self.ran: list[object] = []
        self.note: Task[..., None] = self.queue.task(name="note")(self.ran.append)

    def drained(self, **options: Any) -> list[object]:
        """What ran, in order."""
        self.ran.clear()
        self.assertEqual(self.queue.drain(**options), len(self.ran))
        return self.ran


class TestOrder(DrainCase):
    def test_higher_priority_then_earlier_run_at_then_lower_id(self) -> None:
        for name, options in (
            ("low", {"priority": -1}),
            ("first", {}),
            ("second", {}),
            ("high", {"priority": 9}),
            ("late high", {"priority": 9, "delay": 2}),
            ("late", {"delay": 1}),
            ("later", {"delay": 2}),
            ("just later", {"delay": 2}),
        ):
            chosen: dict[str, Any] = dict(options)
            self.note.using(**chosen).enqueue(name)
        self.clock.advance(5)
        self.note.enqueue("last")
        order = ["high", "late high", "first", "second", "late", "later", "just later", "last", "low"]
        self.assertEqual(self.drained(), order)

    def test_what_a_failure_ends_is_ended_however_deep(self) -> None:
        chain: Any = self.queue.task(name="fail")(fail).call()
        for _ in range(9):
            chain = chain | self.note
        (chain | self.note.using(on_parent_failure="run")).enqueue()
        with patch("litequeue.storage.flow.CASCADE", 2):
            self.assertEqual(self.queue.drain(), 2)
        self.assertEqual((self.queue.counts()[State.CANCELLED], self.ran), (9, [None]))

    def test_what_is_not_due_waits_for_its_time(self) -> None:
        for delay in (30, 10, 20):
            self.note.using(delay=delay).enqueue(delay)
        found = [list(self.drained())]
        for seconds in (10, 5, 15):
            self.clock.advance(seconds)
            found.append(list(self.drained()))
        self.assertEqual(found, [[], [10], [], [20, 30]])

    def test_jobs_that_these_enqueue_run_too(self) -> None:
        def down(number: int) -> None:
            self.ran.append(number)
            if number:
                task.enqueue(number - 1)

        task = self.queue.task(name="down")(down)
        task.enqueue(3)
        self.assertEqual(self.drained(), [3, 2, 1, 0])

    def test_a_limit(self) -> None:
        self.queue.enqueue_many(self.note.call(number) for number in range(5))
        self.assertEqual(self.drained(limit=2), [0, 1])
        bad: tuple[Any, ...] = (0, -1, True, 1.5, "2")
        for limit in bad:
            with self.assertRaises(InvalidOption):
                self.queue.drain(limit=limit)
        self.assertEqual(self.drained(), [2, 3, 4])

    def test_only_its_own_queue(self) -> None:
        self.note.using(queue="mail").enqueue("mail")
        self.note.enqueue("default")
        self.assertEqual(self.drained(), ["default"])


class TestRuns(DrainCase):
    def test_plain_functions_and_coroutines_in_their_turn_in_this_thread(self) -> None:
        async def note_later(what: str) -> None:
            await asyncio.sleep(0)
            self.ran.append((what, threading.current_thread().name))

        task = self.queue.task(name="later")(note_later)
        task.enqueue("one")
        self.note.enqueue("two")
        task.using(priority=1).enqueue("three")
        name = threading.current_thread().name
        self.assertEqual(self.drained(), [("three", name), ("one", name), "two"])

    def test_a_coroutine_inside_an_event_loop_is_left_for_another_day(self) -> None:
        job = self.queue.enqueue(later, 1)

        async def program() -> int:
            with self.assertRaisesRegex(WorkerError, "await asyncio.to_thread"):
                self.queue.drain()
            self.assertEqual(job.refresh().state, "ready")
            return await asyncio.to_thread(self.queue.drain)

        self.assertEqual((asyncio.run(program()), job.result(0)), (1, 2))

    def test_failures_are_tried_again_when_the_clock_says_so(self) -> None:
        job = self.queue.task(name="fail", retry=Retry(3, base=10, backoff=2, jitter=False))(fail).enqueue()
        states = []
        for seconds in (0, 9, 1, 19, 1):
            self.clock.advance(seconds)
            self.queue.drain()
            states.append((str(job.refresh().state), job.failures))
        expected = [("scheduled", 1), ("scheduled", 1), ("scheduled", 2), ("scheduled", 2), ("failed", 3)]
        self.assertEqual(states, expected)

    def test_a_failing_job_does_not_stop_the_next(self) -> None:
        for error in (ValueError("x"), SystemExit(3), GeneratorExit(), RecursionError()):
            self.queue.task(name=type(error).__name__)(_raiser(error)).enqueue()
        good = self.queue.enqueue(add, 1)
        self.assertEqual((self.queue.drain(), good.result(0)), (5, 2))
        self.assertEqual(self.queue.counts()[State.FAILED], 4)

    def test_ctrl_c_is_for_the_program_and_costs_the_job_nothing(self) -> None:
        job = self.queue.task(name="stop")(_raiser(KeyboardInterrupt())).enqueue()
        after = self.queue.enqueue(echo, 1)
        with self.assertRaises(KeyboardInterrupt):
            self.queue.drain()
        self.assertEqual((job.refresh().state, job.failures, after.state), ("ready", 0, "ready"))
        self.assertEqual(self.queue.workers(), [])

    def test_ctrl_c_rolls_back_what_the_task_wrote(self) -> None:
        def write() -> None:
            running = current_job()
            assert running is not None
            with running.transaction() as connection:
                connection.execute("CREATE TABLE mine (x)")
            raise KeyboardInterrupt

        self.queue.task(name="write")(write).enqueue()
        with self.assertRaises(KeyboardInterrupt):
            self.queue.drain()
        self.assertEqual(self.queue.counts()[State.READY], 1)
        count = "SELECT count(*) FROM sqlite_schema WHERE name = 'mine'"
        self.assertEqual(self.queue.desk.database.read(lambda c: c.execute(count).fetchone()), (0,))

    def test_a_commit_that_fails_fails_the_job(self) -> None:
        def end_it_myself() -> None:
            running = current_job()
            assert running is not None
            with running.transaction() as connection:
                connection.execute("COMMIT")

        job = self.queue.task(name="end")(end_it_myself).enqueue()
        good = self.queue.enqueue(add, 1)
        self.assertEqual((self.queue.drain(), good.result(0)), (2, 2))
        self.assertEqual(job.refresh().state, "failed")
        self.assertIn("DatabaseError", job.errors[0].type)

    def test_early_ack_of_the_task_alone_is_written_down_before_it_runs(self) -> None:
        seen: list[object] = []
        look = "SELECT ack, max_crashes FROM litequeue_job"
        read = self.queue.desk.database.read
        declared = self.queue.task(name="a:early", ack="early", max_crashes=7)
        job = self.queue.enqueue("a:early")  # by name, before the task is known: its row leaves both open
        declared(lambda: seen.append(read(lambda c: c.execute(look).fetchone())))
        self.queue.drain()
        self.assertEqual((job.refresh().state, seen), ("completed", [("early", 7)]))

    def test_the_thread_that_watches_the_time_of_its_jobs_ends_with_it(self) -> None:
        self.queue.task(threading.active_count, name="count", timeout=60).enqueue()
        before = set(threading.enumerate())
        self.queue.drain()
        for thread in set(threading.enumerate()) - before:
            thread.join(PATIENCE_SECONDS)
        self.assertEqual(set(threading.enumerate()) - before, set())

    def test_a_paused_queue_stays_as_it_is(self) -> None:
        self.note.enqueue(1)
        self.queue.pause()
        self.assertEqual(self.drained(), [])
        self.queue.resume()
        self.assertEqual(self.drained(), [1])

    def test_an_expired_job_does_not_run(self) -> None:
        self.note.using(expires=5).enqueue("too late")
        self.note.using(expires=6).enqueue("in time")
        self.clock.advance(5)
        self.assertEqual(self.drained(), ["in time"])

    def test_a_job_of_a_task_that_nobody_knows_keeps_nobody_waiting(self) -> None:
        strange = [self.queue.enqueue("no_such:task", number) for number in range(3)]
        self.note.enqueue("known")
        self.assertEqual(self.drained(), ["known"])
        self.assertEqual({job.refresh().state for job in strange}, {"ready"})


class TestOrderInMemory(TestOrder):
    path_of_queue = ":memory:"


class TestRunsInMemory(TestRuns):
    path_of_queue = ":memory:"


def _raiser(error: BaseException) -> Any:
    def work() -> None:
        raise error

    return work
