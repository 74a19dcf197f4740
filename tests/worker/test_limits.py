"""Time limits on threads: raised in the right task, never in the next one, and reported when ignored."""

from __future__ import annotations

import asyncio
import threading
import time

from litequeue import TaskTimeout
from litequeue.clock import SECOND, SystemClock
from litequeue.job import Complete, Fail, Settlement
from litequeue.worker.execution import Execution
from litequeue.worker.limits import Limits
from litequeue.worker.outcome import Assignment
from tests.worker.case import MAX_PAYLOAD, ExecutionCase, Shelf, wait_for


def spin(stop: threading.Event) -> None:
    """Be busy in Python, where an exception can be delivered."""
    while not stop.is_set():
        pass


class TimeLimits(ExecutionCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = SystemClock()
        self.stuck: list[tuple[Assignment, int, str]] = []
        self.told = threading.Event()
        self.not_yet = 0  # so many reports are not dealt with
        self.limits = Limits(self.clock, self.on_stuck, patience=SECOND // 20)
        self.addCleanup(self.limits.close)
        self.execution = Execution(self.clock, self.limits, MAX_PAYLOAD, Shelf())

    def on_stuck(self, assignment: Assignment, thread: int, stack: str) -> bool:
        self.stuck.append((assignment, thread, stack))
        if len(self.stuck) > self.not_yet:
            self.told.set()
        return self.told.is_set()

    def run_limited(self, assignment: Assignment) -> Settlement:
        return self.execution.run(assignment).settlement

    def assert_timeout(self, settlement: Settlement) -> Fail:
        assert isinstance(settlement, Fail)
        self.assertEqual(settlement.failure.reason, "timeout")
        self.assertRegex(settlement.failure.type, r"\bTaskTimeout\Z")
        return settlement

    def test_a_task_over_its_limit_fails_as_timeout_where_it_was(self) -> None:
        def work() -> None:
            spin(threading.Event())

        failure = self.assert_timeout(self.run_limited(self.assignment(work, timeout=0.01))).failure
        self.assertIn("in spin", failure.traceback)
        self.assertIn("0.01 s", failure.message)

    def test_except_exception_does_not_swallow_it(self) -> None:
        def work() -> None:
            while True:
                try:
                    spin(threading.Event())
                except Exception:
                    continue

        self.assert_timeout(self.run_limited(self.assignment(work, timeout=0.01)))

    def test_the_task_may_clean_up(self) -> None:
        cleaned = []

        def work() -> None:
            try:
                spin(threading.Event())
            except TaskTimeout:
                cleaned.append("caught")
                raise
            finally:
                cleaned.append("finally")

        self.assert_timeout(self.run_limited(self.assignment(work, timeout=0.01)))
        self.assertEqual(cleaned, ["caught", "finally"])

    def test_in_time_nothing_is_raised(self) -> None:
        def work() -> int:
            return 1

        self.assertIsInstance(self.run_limited(self.assignment(work, timeout=60)), Complete)

    def test_a_late_delivery_never_hits_the_next_job(self) -> None:
        """Tasks that end around their limit, some of them on it, each followed by one that has none."""
        clock, limit = self.clock, 1000

        def brink(offset: int) -> None:
            end = clock.monotonic() + limit + offset
            while clock.monotonic() < end:
                pass

        def innocent() -> int:
            return sum(range(2000))

        brinks = self.declare(brink, timeout=limit / SECOND)
        follower = self.assignment(innocent)
        ended: set[type] = set()
        for turn in range(400):
            assignment = self.prepare(brinks, 10 * (turn - 250))  # from 2.5 ms before the limit to 1.5 after
            assert isinstance(assignment, Assignment)
            ended.add(type(self.execution.run(assignment).settlement))
            self.assertIsInstance(self.execution.run(follower).settlement, Complete)
        self.assertEqual(ended, {Complete, Fail})  # else the race was not there
        self.assertEqual(self.limits._watched, set())

    def test_limits_shorter_than_it_takes_to_begin_leave_nothing_behind(self) -> None:
        def work() -> int:
            return sum(range(100))

        tiny = self.declare(work, timeout=0.000001)
        for _ in range(300):
            assignment = self.prepare(tiny)
            assert isinstance(assignment, Assignment)
            self.execution.run(assignment)
        self.assertIsInstance(self.execution.run(self.assignment(work)).settlement, Complete)
        self.assert_timeout(self.run_limited(self.assignment(spin_for_ever, timeout=0.01)))

    def test_of_several_only_the_one_whose_time_is_over_is_struck(self) -> None:
        hold = threading.Event()
        self.addCleanup(hold.set)

        def long() -> str:
            spin(hold)
            return "done"

        ended: list[Settlement] = []
        thread = threading.Thread(
            target=lambda: ended.append(self.run_limited(self.assignment(long, timeout=60)))
        )
        thread.start()
        self.assert_timeout(self.run_limited(self.assignment(spin_for_ever, timeout=0.02)))
        hold.set()
        thread.join()
        self.assertIsInstance(ended[0], Complete)

    def test_a_task_that_does_not_react_is_reported_once_with_its_stack(self) -> None:
        hold = threading.Event()

        def deaf() -> None:
            while not hold.wait(60):  # inside the lock's wait nothing can be raised
                pass

        assignment = self.assignment(deaf, timeout=0.01)
        thread = threading.Thread(target=self.run_limited, args=(assignment,))
        thread.start()
        wait_for(self.told, "the report")
        hold.set()
        thread.join()
        ((reported, ident, stack),) = self.stuck
        self.assertEqual((reported, ident), (assignment, thread.ident))
        self.assertIn("in deaf", stack)

    def test_the_report_is_a_failure_that_is_tried_again_by_the_policy(self) -> None:
        settlement = self.execution.stuck(self.assignment(spin_for_ever, timeout=2, retry=3), "the stack")
        self.assertEqual(settlement.failure.reason, "timeout")
        self.assertIn("the stack", settlement.failure.traceback)
        self.assertIsNotNone(settlement.retry_at)

    def test_a_coroutine_that_eats_its_cancellation_is_reported(self, times: int = 1) -> None:
        async def eat() -> None:
            while not self.told.is_set():
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    continue

        assignment = self.assignment(eat, timeout=0.01)
        asyncio.run(self.execution.run_async(assignment))
        self.assertEqual([each[0] for each in self.stuck], [assignment] * times)

    def test_what_could_not_be_dealt_with_is_reported_again(self) -> None:
        self.not_yet = 2
        self.test_a_coroutine_that_eats_its_cancellation_is_reported(times=3)

    def test_after_a_stuck_one_others_are_still_watched(self) -> None:
        self.test_a_task_that_does_not_react_is_reported_once_with_its_stack()
        self.assert_timeout(self.run_limited(self.assignment(spin_for_ever, timeout=0.01)))

    def test_the_nearest_deadline_is_served_first_whatever_the_order_of_arrival(self) -> None:
        hold = threading.Event()
        self.addCleanup(hold.set)

        def patient() -> None:
            spin(hold)

        thread = threading.Thread(target=self.run_limited, args=(self.assignment(patient, timeout=3600),))
        thread.start()
        before = time.monotonic()
        self.assert_timeout(self.run_limited(self.assignment(spin_for_ever, timeout=0.01)))
        self.assertLess(time.monotonic() - before, 5)
        hold.set()
        thread.join()


def spin_for_ever() -> None:
    """A task that only an exception ends."""
    spin(threading.Event())
