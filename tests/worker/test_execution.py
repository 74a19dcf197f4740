"""A claimed job becomes an outcome: every way in which an attempt can end."""

from __future__ import annotations

import asyncio
import builtins
import os
from contextvars import ContextVar
from typing import Any

from litequeue import Cancel, Reject, Retry, RetryLater, Snooze, current_job
from litequeue.clock import SECOND, SystemClock
from litequeue.codec import JSON
from litequeue.context import RunningJob
from litequeue.errors import LiteQueueError
from litequeue.job import Cancelled, Complete, Fail, Settlement, Snoozed
from litequeue.retry import RetryFunction
from litequeue.worker.execution import Execution
from litequeue.worker.limits import Limits
from litequeue.worker.outcome import Assignment
from tests.worker.case import MAX_PAYLOAD, ExecutionCase, Shelf

TWICE = Retry(2, base=10, jitter=False)


class Outcomes(ExecutionCase):
    def settle(self, function: Any, *args: object, **options: Any) -> Settlement:
        return self.execution.run(self.assignment(function, *args, **options)).settlement

    def fail(self, function: Any, *args: object, **options: Any) -> Fail:  # type: ignore[override]
        settlement = self.settle(function, *args, **options)
        assert isinstance(settlement, Fail), settlement
        return settlement

    def seconds_to_retry(self, settlement: Fail) -> float | None:
        return None if settlement.retry_at is None else (settlement.retry_at - self.clock.now()) / SECOND

    # --- it returns ----------------------------------------------------------------------------------

    def test_a_value_is_kept(self) -> None:
        def give(a: int) -> list[int]:
            return [a, 2]

        settlement = self.settle(give, 1)
        assert isinstance(settlement, Complete)
        self.assertEqual((settlement.codec, JSON.decode(settlement.result or "")), ("json", [1, 2]))

    def test_none_is_kept_as_nothing(self) -> None:
        self.assertEqual(self.settle(nothing), Complete(self.assignment(nothing).lease))

    def test_a_result_that_can_not_be_stored_fails_once_and_is_not_tried_again(self) -> None:
        def give() -> object:
            return object()

        settlement = self.fail(give, retry=TWICE)
        self.assertEqual((settlement.failure.reason, settlement.retry_at), ("error", None))
        self.assertIn("EncodingError", settlement.failure.type)

    def test_a_result_whose_own_code_raises_fails_once(self) -> None:
        class Trap(dict[str, int]):
            def items(self) -> Any:
                raise RuntimeError("trap")

            def __iter__(self) -> Any:
                raise RuntimeError("trap")

        def give() -> object:
            return Trap(a=1)

        self.assertIsNone(self.fail(give, retry=TWICE).retry_at)

    def test_a_result_that_contains_itself_fails_once(self) -> None:
        def give() -> list[object]:
            found: list[object] = []
            found.append(found)
            return found

        self.assertIsNone(self.fail(give, retry=TWICE).retry_at)

    def test_a_result_over_the_limit_fails_once_with_advice(self) -> None:
        def give() -> str:
            return "x" * MAX_PAYLOAD

        settlement = self.fail(give, retry=TWICE)
        self.assertIsNone(settlement.retry_at)
        self.assertIn("10,002 bytes, over the limit of 10,000", settlement.failure.message)

    # --- it raises -----------------------------------------------------------------------------------

    def test_an_exception_fails_with_its_traceback(self) -> None:
        def work() -> None:
            raise ValueError("wrong")

        failure = self.fail(work).failure
        self.assertEqual((failure.reason, failure.type, failure.message), ("error", "ValueError", "wrong"))
        self.assertIn("in work", failure.traceback)
        self.assertIn("ValueError: wrong", failure.traceback)

    def test_without_a_policy_there_is_no_second_try(self) -> None:
        self.assertIsNone(self.fail(raise_it, "ValueError").retry_at)

    def test_an_exception_whose_str_raises_is_recorded_all_the_same(self) -> None:
        for fault in (ValueError, SystemExit, KeyboardInterrupt, Reject):
            with self.subTest(fault=fault.__name__):

                class Nasty(Exception):
                    def __str__(self, fault: type[BaseException] = fault) -> str:
                        raise fault

                def work(kind: type[Exception] = Nasty) -> None:
                    raise kind

                settlement = self.fail(work, retry=TWICE)
                self.assertIn(fault.__name__, settlement.failure.message)
                self.assertIn("in work", settlement.failure.traceback)
                self.assertEqual(self.seconds_to_retry(settlement), 10)

    def test_no_kind_of_exception_gets_past_the_boundary(self) -> None:
        for kind in (SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, asyncio.CancelledError):
            with self.subTest(kind=kind.__name__):
                settlement = self.fail(raise_it, kind.__name__, retry=TWICE)
                self.assertIn(kind.__name__, settlement.failure.type)
                self.assertEqual(self.seconds_to_retry(settlement), 10)

    def test_deep_recursion_fails_like_any_error_with_a_bounded_traceback(self) -> None:
        def dive(depth: int) -> int:
            return dive(depth + 1) + 1

        failure = self.fail(dive, 0).failure
        self.assertEqual(failure.type, "RecursionError")
        self.assertLess(len(failure.traceback), 70_000)

    def test_a_long_message_and_lone_surrogates_can_be_stored(self) -> None:
        def work() -> None:
            raise ValueError("\udcff" + "x" * 100_000)

        failure = self.fail(work).failure
        self.assertLessEqual(len(failure.message), 2_000)
        failure.message.encode()
        failure.traceback.encode()
        self.assertLess(len(failure.traceback), 70_000)

    # --- it chooses ----------------------------------------------------------------------------------

    def test_snooze_waits_and_is_no_failure(self) -> None:
        def work() -> None:
            try:
                raise Snooze(30)
            except Exception:  # must not swallow a directive
                raise AssertionError from None

        assignment = self.assignment(work, retry=TWICE)
        self.assertEqual(
            self.execution.run(assignment).settlement,
            Snoozed(assignment.lease, self.clock.now() + 30 * SECOND),
        )

    def test_cancel_ends_as_cancelled_with_its_reason(self) -> None:
        def work() -> None:
            raise Cancel("no longer wanted")

        settlement = self.settle(work, retry=TWICE)
        assert isinstance(settlement, Cancelled)
        self.assertEqual(settlement.message, "no longer wanted")

    def test_reject_fails_whatever_tries_are_left(self) -> None:
        def work() -> None:
            raise Reject("bad order")

        settlement = self.fail(work, retry=TWICE)
        self.assertEqual(
            (settlement.failure.reason, settlement.failure.message, settlement.retry_at),
            ("rejected", "bad order", None),
        )

    def test_retry_later_keeps_to_the_policys_number_and_its_own_delay(self) -> None:
        def work() -> None:
            raise RetryLater(7)

        self.assertEqual(self.seconds_to_retry(self.fail(work, retry=TWICE)), 7)
        second = self.prepare(self.declare(work, retry=TWICE), failures=1)
        assert isinstance(second, Assignment)
        settlement = self.execution.run(second).settlement
        assert isinstance(settlement, Fail)
        self.assertIsNone(settlement.retry_at)

    def test_retry_later_without_a_delay_takes_the_policys(self) -> None:
        def work() -> None:
            raise RetryLater

        self.assertEqual(self.seconds_to_retry(self.fail(work, retry=TWICE)), 10)

    def test_retry_later_without_a_policy_is_granted_twice(self) -> None:
        def work() -> None:
            raise RetryLater(7)

        granted = []
        for failures in (0, 1, 2):
            assignment = self.prepare(self.declare(work), failures=failures)
            assert isinstance(assignment, Assignment)
            settlement = self.execution.run(assignment).settlement
            assert isinstance(settlement, Fail)
            granted.append(self.seconds_to_retry(settlement))
        self.assertEqual(granted, [7, 7, None])

    def test_retry_later_from_an_error_tells_of_that(self) -> None:
        def work() -> None:
            try:
                raise OSError("busy")
            except OSError as error:
                raise RetryLater(7) from error

        failure = self.fail(work, retry=TWICE).failure
        self.assertEqual((failure.reason, failure.type, failure.message), ("error", "OSError", "busy"))
        self.assertIn("in work", failure.traceback)

    def test_retry_later_asks_a_function_as_policy(self) -> None:
        def work() -> None:
            raise RetryLater(7)

        self.assertEqual(self.seconds_to_retry(self.fail(work, retry=lambda n, error: 3.0)), 7)
        self.assertIsNone(self.fail(work, retry=lambda n, error: None).retry_at)

    # --- policies ------------------------------------------------------------------------------------

    def test_a_function_decides_by_number_and_error(self) -> None:
        asked: list[tuple[int, str]] = []

        def policy(failures: int, error: BaseException) -> float:
            asked.append((failures, str(error)))
            return 4.5

        settlement = self.fail(raise_it, "ValueError", retry=policy)
        self.assertEqual((asked, self.seconds_to_retry(settlement)), ([(1, "here")], 4.5))

    def test_a_retry_function_that_raises_ends_the_tries_and_is_logged(self) -> None:
        for fault in (ZeroDivisionError, SystemExit, Reject):
            with self.subTest(fault=fault.__name__):

                def policy(failures: int, error: BaseException, kind: type[BaseException] = fault) -> float:
                    raise kind("no")

                self.assert_gives_up(policy, fault.__name__)

    def test_a_retry_function_that_returns_nonsense_ends_the_tries(self) -> None:
        self.assert_gives_up(lambda n, error: float("nan"), "InvalidOption")
        self.assert_gives_up(lambda n, error: "soon", "InvalidOption")  # type: ignore[arg-type,return-value]

    def assert_gives_up(self, policy: RetryFunction, named: str) -> None:
        assignment = self.assignment(raise_it, "ValueError", retry=policy)
        settlement = self.execution.run(assignment).settlement
        assert isinstance(settlement, Fail)
        note = assignment.mailbox.take(assignment.claimed)
        assert note is not None
        self.assertIsNone(settlement.retry_at)
        self.assertEqual(settlement.failure.type, "ValueError")
        self.assertIn(named, note.logs[0][1])

    def test_lists_of_exceptions_decide(self) -> None:
        policy = Retry(5, base=1, jitter=False, on=LookupError, give_up_on=KeyError)
        delays = [
            self.seconds_to_retry(self.fail(raise_it, kind, retry=policy))
            for kind in ("IndexError", "KeyError", "ValueError")
        ]
        self.assertEqual(delays, [1, None, None])

    # --- what the row says ---------------------------------------------------------------------------

    def test_what_can_not_be_read_fails_once_and_never_runs(self) -> None:
        for payload in ("[", "{}", "[[], {}, 1]", "[1, {}]", "[[" * 50_000, '[[{"$": "nonsense"}],{}]'):
            with self.subTest(payload=payload[:10]):
                failed = self.prepare(self.declare(nothing, retry=TWICE), payload=payload)
                assert isinstance(failed, Fail)
                self.assertEqual((failed.retry_at, failed.failure.reason), (None, "error"))

    def test_arguments_that_do_not_fit_fail_once(self) -> None:
        failed = self.prepare(self.declare(nothing, retry=TWICE), 1)
        assert isinstance(failed, Fail)
        self.assertIsNone(failed.retry_at)
        self.assertIn("BadArguments", failed.failure.type)

    def test_a_damaged_row_fails_once(self) -> None:
        damages: list[dict[str, Any]] = [
            {"options": "{"},
            {"options": '{"timeout": "soon"}'},
            {"options": "[]"},
            {"options": '{"retry": {"max_attempts": -1}}'},
            {"meta": "{"},
            {"meta": "3"},
            {"codec": "unheard"},
        ]
        for damage in damages:
            with self.subTest(**damage):
                failed = self.prepare(self.declare(nothing), **damage)
                assert isinstance(failed, Fail)
                self.assertIsNone(failed.retry_at)

    def test_the_jobs_own_options_win_over_its_tasks(self) -> None:
        task = self.declare(raise_it, retry=Retry(2, base=10, jitter=False))
        options = task.using(retry=Retry(2, base=3, jitter=False)).options.stored(task.options)
        assignment = self.prepare(task, "ValueError", options=options)
        assert isinstance(assignment, Assignment)
        settlement = self.execution.run(assignment).settlement
        assert isinstance(settlement, Fail)
        self.assertEqual(self.seconds_to_retry(settlement), 3)

    # --- around the task -----------------------------------------------------------------------------

    def test_current_job_is_there_only_inside(self) -> None:
        seen: list[RunningJob | None] = []

        def work() -> None:
            seen.append(current_job())

        assignment = self.assignment(work)
        self.execution.run(assignment)
        self.assertEqual((seen, current_job()), ([assignment.running], None))

    def test_what_a_task_sets_in_its_context_is_not_there_for_the_next(self) -> None:
        setting: ContextVar[str] = ContextVar("setting", default="as it was")

        def work() -> str:
            before = setting.get()
            setting.set("changed")
            return before

        for _ in range(2):
            settlement = self.settle(work)
            assert isinstance(settlement, Complete)
            self.assertEqual(settlement.result, '"as it was"')

    def test_time_left_counts_down_to_the_limit(self) -> None:
        def work() -> float | None:
            job = current_job()
            return None if job is None else job.time_left()

        clock = self.clock
        assignment = self.assignment(work, timeout=30)
        clock.sleep(10)  # a hand-moved clock: no time passes
        settlement = self.execution.run(assignment).settlement
        assert isinstance(settlement, Complete)
        self.assertEqual(settlement.result, "20.0")

    def test_a_task_that_forks_and_returns_twice_is_settled_once(self) -> None:
        def work() -> int:
            return os.fork()

        before = os.getpid()
        settlement = self.settle(work)  # a child that came back here would run the rest of the tests again
        self.assertEqual(os.getpid(), before)
        assert isinstance(settlement, Complete)
        _, status = os.waitpid(int(settlement.result or 0), 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)


class Coroutines(ExecutionCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = SystemClock()
        self.execution = Execution(self.clock, Limits(self.clock, lambda *_: True), MAX_PAYLOAD, Shelf())

    def settle(self, assignment: Assignment) -> Settlement:
        return asyncio.run(self.execution.run_async(assignment)).settlement

    def test_a_value_is_kept(self) -> None:
        async def work(a: int) -> int:
            await asyncio.sleep(0)
            return a + 1

        settlement = self.settle(self.assignment(work, 1))
        assert isinstance(settlement, Complete)
        self.assertEqual(settlement.result, "2")

    def test_over_its_limit_it_is_cancelled_and_fails_as_timeout(self) -> None:
        cleaned = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append(True)

        settlement = self.settle(self.assignment(work, timeout=0.01, retry=TWICE))
        assert isinstance(settlement, Fail)
        self.assertEqual((settlement.failure.reason, cleaned), ("timeout", [True]))
        self.assertIn("0.01 s", settlement.failure.message)
        self.assertIsNotNone(settlement.retry_at)

    def test_its_own_timeout_error_is_an_error_like_any(self) -> None:
        async def work() -> None:
            raise TimeoutError("of my own")

        settlement = self.settle(self.assignment(work, timeout=60))
        assert isinstance(settlement, Fail)
        self.assertEqual((settlement.failure.reason, settlement.failure.message), ("error", "of my own"))

    def test_no_kind_of_exception_stops_the_event_loop(self) -> None:
        for name in ("ValueError", "SystemExit", "KeyboardInterrupt", "GeneratorExit", "CancelledError"):
            with self.subTest(name=name):
                settlement = self.settle(self.assignment(araise, name))
                assert isinstance(settlement, Fail)
                self.assertIn(name, settlement.failure.type)

    def test_each_directive_is_obeyed(self) -> None:
        async def work(number: int) -> None:
            raise (Snooze(1), Cancel("so"), Reject("no"), RetryLater(1))[number]

        kinds = [type(self.settle(self.assignment(work, number))) for number in range(4)]
        self.assertEqual(kinds, [Snoozed, Cancelled, Fail, Fail])

    def test_asked_to_stop_before_it_began_it_is_cancelled_and_never_runs(self) -> None:
        began = []

        async def work() -> None:
            began.append(True)

        assignment = self.assignment(work)
        assignment.running.ask_to_stop()
        self.assertEqual((type(self.settle(assignment)), began), (Cancelled, []))

    def test_cancelled_after_it_was_asked_to_stop_it_ends_as_cancelled(self) -> None:
        async def stop_it(assignment: Assignment) -> Settlement:
            running = asyncio.ensure_future(self.execution.run_async(assignment))
            await asyncio.sleep(0)
            assignment.running.ask_to_stop()
            running.cancel()
            return (await running).settlement

        async def work() -> None:
            await asyncio.Event().wait()

        self.assertIsInstance(asyncio.run(stop_it(self.assignment(work))), Cancelled)

    def test_each_of_many_has_its_own_current_job(self) -> None:
        async def work() -> int:
            await asyncio.sleep(0)
            job = current_job()
            return 0 if job is None else id(job)

        async def both(assignments: list[Assignment]) -> list[Settlement]:
            outcomes = await asyncio.gather(*map(self.execution.run_async, assignments))
            return [outcome.settlement for outcome in outcomes]

        assignments = [self.assignment(work) for _ in range(10)]
        results = [getattr(one, "result", None) for one in asyncio.run(both(assignments))]
        self.assertEqual(results, [str(id(one.running)) for one in assignments])

    def test_a_transaction_is_refused_with_the_reason(self) -> None:
        from litequeue.worker.transaction import NoTransaction

        async def work() -> None:
            job = current_job()
            assert job is not None
            with job.transaction():
                raise AssertionError

        task = self.declare(work)
        assignment = self.prepare(task, transaction=NoTransaction())
        assert isinstance(assignment, Assignment)
        settlement = self.settle(assignment)
        assert isinstance(settlement, Fail)
        self.assertIn(LiteQueueError.__name__, settlement.failure.type)
        self.assertIn("use a plain function", settlement.failure.message)


def nothing() -> None:
    """A task that has nothing to say."""


def raise_it(name: str) -> None:
    """Raise an exception by its name."""
    if name == "CancelledError":
        raise asyncio.CancelledError
    raise getattr(builtins, name)("here")


async def araise(name: str) -> None:
    """`raise_it` as a coroutine."""
    await asyncio.sleep(0)
    raise_it(name)
