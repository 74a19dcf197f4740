"""The scheduler: what aiojobs promises is told once, and held against both; then what is ours alone."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import threading
import unittest
import unittest.mock
import warnings
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from litequeue import BadArguments, JobFailed, NotAllowed, Scheduler, State
from tests.faces.test_aio import LoopCase
from tests.faces.things import DOORS, Plain, later, mul, raise_plain, wait_at
from tests.support import PATIENCE_SECONDS

# In these aiojobs 1.4 does otherwise than ours, for the reason given.
DEVIATIONS = {
    "test_a_pending_job_can_be_waited_for_with_a_timeout": "there wait() raises InvalidStateError",
    "test_an_error_whose_waiter_has_left_is_told": "there asyncio logs it, and the handler is not told",
    "test_who_waits_for_room_hears_that_it_is_closed": "there spawn() gives a job that is closed already",
    "test_what_comes_too_late_is_not_left_unawaited": "there the coroutine is left, and Python warns of it",
    "test_limits_that_let_nothing_run_are_refused": "there every limit is taken, and 0 lets nothing ever run",
    "test_a_job_may_close_its_scheduler": "there it ends in a RecursionError",
}


async def give(value: int = 1, seconds: float = 0) -> int:
    await asyncio.sleep(seconds)
    return value


async def fail(text: str = "wrong", seconds: float = 0) -> None:
    await asyncio.sleep(seconds)
    raise ValueError(text)


async def endless() -> None:
    await asyncio.Event().wait()


async def deaf(seconds: float) -> None:
    """End only so long after it was cancelled."""
    try:
        await endless()
    except asyncio.CancelledError:
        await asyncio.sleep(seconds)


async def fail_at_the_end() -> None:
    try:
        await endless()
    except asyncio.CancelledError:
        raise ValueError("in the end") from None


async def slow_to_end() -> str:
    """Tidy up once it is cancelled, which takes its time."""
    try:
        await endless()
    except asyncio.CancelledError:
        await settle()
    return "tidy"


def raise_in_turn(scheduler: object, context: dict[str, Any]) -> None:
    """An exception handler with an error of its own."""
    raise LookupError("the handler")


async def settle() -> None:
    """Let everything run that is ready to, and what follows from that."""
    for _ in range(10):
        await asyncio.sleep(0)


class Behaviour:
    """What both do; `make` gives a scheduler whose errors are collected in `told`."""

    told: list[dict[str, Any]]

    def make(self, **options: Any) -> Any:
        raise NotImplementedError

    def scheduler(self: Any, **options: Any) -> Any:
        self.told = []
        made = self.make(
            **{"exception_handler": lambda scheduler, context: self.told.append(context)} | options
        )
        self.addAsyncCleanup(made.close)
        return made

    def messages(self) -> list[str]:
        return [context["message"] for context in self.told]

    # --- jobs --------------------------------------------------------------------------------------

    async def test_a_job_runs_and_is_waited_for(self: Any) -> None:
        job = await self.scheduler().spawn(give(5))
        self.assertEqual((job.active, job.pending, job.closed), (True, False, False))
        self.assertEqual(await job.wait(), 5)
        self.assertEqual((job.active, job.pending, job.closed), (False, False, True))
        self.assertEqual(await job.wait(), 5)
        await job.close()
        self.assertEqual(await asyncio.gather(job.wait(), job.wait(timeout=1)), [5, 5])

    async def test_its_error_is_raised_where_it_is_waited_for(self: Any) -> None:
        job = await self.scheduler().spawn(fail())
        for _ in range(2):
            with self.assertRaisesRegex(ValueError, "wrong"):
                await job.wait()
        await job.close()
        self.assertEqual(self.told, [])

    async def test_an_error_that_nobody_waits_for_is_told(self: Any) -> None:
        scheduler = self.scheduler()
        job = await scheduler.spawn(fail())
        await settle()
        self.assertTrue(job.closed)
        self.assertEqual(self.messages(), ["Job processing failed"])
        self.assertIs(self.told[0]["job"], job)
        self.assertIsInstance(self.told[0]["exception"], ValueError)
        with self.assertRaises(ValueError):
            await job.wait()
        self.assertEqual(len(self.told), 1)

    async def test_an_error_whose_waiter_has_left_is_told(self: Any) -> None:
        may_fail = asyncio.Event()

        async def fail_later() -> None:
            await may_fail.wait()
            await fail()

        waiter = asyncio.create_task((await self.scheduler().spawn(fail_later())).wait())
        await settle()
        waiter.cancel()
        await settle()
        may_fail.set()
        await settle()
        self.assertEqual(self.messages(), ["Job processing failed"])

    async def test_without_a_handler_the_event_loop_is_told(self: Any) -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        scheduler = self.scheduler(exception_handler=None)
        self.assertIsNone(scheduler.exception_handler)
        await scheduler.spawn(fail())
        await settle()
        scheduler.call_exception_handler({"message": "by hand"})
        self.assertEqual([each["message"] for each in told], ["Job processing failed", "by hand"])

    async def test_a_handler_that_raises_keeps_no_room(self: Any) -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        scheduler = self.scheduler(limit=1, exception_handler=raise_in_turn)
        await scheduler.spawn(fail())
        second = await scheduler.spawn(give(2))
        self.assertEqual(await second.wait(timeout=5), 2)
        self.assertEqual([str(context["exception"]) for context in told], ["the handler"])
        self.assertEqual(len(scheduler), 0)

    async def test_close_ends_all_though_the_handler_raises(self: Any) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        scheduler = self.scheduler(exception_handler=raise_in_turn)
        jobs = [await scheduler.spawn(each) for each in (fail_at_the_end(), slow_to_end(), endless())]
        await settle()
        await scheduler.close()
        self.assertEqual(([job.closed for job in jobs], len(scheduler)), ([True] * 3, 0))

    async def test_debug_mode_tells_where_a_job_was_spawned(self: Any) -> None:
        asyncio.get_running_loop().set_debug(True)
        await self.scheduler().spawn(fail())
        await settle()
        self.assertTrue(any(frame.filename == __file__ for frame in self.told[0]["source_traceback"]))

    async def test_time_over_closes_the_job(self: Any) -> None:
        scheduler = self.scheduler()
        job = await scheduler.spawn(endless())
        with self.assertRaises(TimeoutError):
            await job.wait(timeout=0.01)
        self.assertTrue(job.closed)
        self.assertEqual(len(scheduler), 0)
        with self.assertRaises(asyncio.CancelledError):
            await job.wait()

    async def test_an_own_time_out_of_the_job_is_its_error(self: Any) -> None:
        async def late() -> None:
            raise TimeoutError("own")

        job = await self.scheduler().spawn(late())
        with self.assertRaisesRegex(TimeoutError, "own"):
            await job.wait(timeout=5)

    async def test_a_waiter_that_is_cancelled_leaves_the_job_alone(self: Any) -> None:
        may_end = asyncio.Event()
        job = await self.scheduler().spawn(may_end.wait())
        waiter = asyncio.create_task(job.wait())
        await settle()
        waiter.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await waiter
        self.assertTrue(job.active)
        may_end.set()
        self.assertTrue(await job.wait())

    async def test_close_cancels_it(self: Any) -> None:
        scheduler = self.scheduler()
        job = await scheduler.spawn(endless())
        waiter = asyncio.create_task(job.wait())
        await asyncio.sleep(0)
        await job.close()
        self.assertEqual((job.closed, len(scheduler), self.told), (True, 0, []))
        with self.assertRaises(asyncio.CancelledError):
            await waiter
        await job.close()

    async def test_close_raises_what_the_job_raises_then(self: Any) -> None:
        job = await self.scheduler().spawn(fail_at_the_end())
        await asyncio.sleep(0)
        with self.assertRaisesRegex(ValueError, "in the end"):
            await job.close()
        self.assertEqual((job.closed, self.told), (True, []))

    async def test_close_waits_no_longer_than_its_timeout(self: Any) -> None:
        scheduler = self.scheduler(close_timeout=0.01)
        for options in ({}, {"timeout": 0.02}):
            job = await scheduler.spawn(deaf(30))
            await asyncio.sleep(0)
            with self.assertRaises(TimeoutError):
                await job.close(**options)
            self.assertTrue(job.closed)
            self.assertEqual(len(scheduler), 0)
        patient = await scheduler.spawn(deaf(0.05))
        await asyncio.sleep(0)
        await patient.close(timeout=5)
        self.assertEqual(self.told, [])

    async def test_names(self: Any) -> None:
        scheduler = self.scheduler(limit=1)
        first, second = (
            await scheduler.spawn(endless(), name="first"),
            await scheduler.spawn(give(), name="b"),
        )
        self.assertEqual((first.get_name(), second.get_name()), ("first", "b"))
        first.set_name("A")
        second.set_name("B")
        self.assertEqual((first.get_name(), second.get_name()), ("A", "B"))
        self.assertIn("A", {task.get_name() for task in asyncio.all_tasks()})

    # --- limits ------------------------------------------------------------------------------------

    async def test_beyond_the_limit_jobs_are_pending_and_start_in_their_order(self: Any) -> None:
        scheduler = self.scheduler(limit=2)
        began: list[int] = []

        async def work(number: int) -> None:
            began.append(number)
            await asyncio.sleep(0.01)

        jobs = [await scheduler.spawn(work(number)) for number in range(5)]
        self.assertEqual((scheduler.active_count, scheduler.pending_count, len(scheduler)), (2, 3, 5))
        self.assertEqual([job.pending for job in jobs], [False, False, True, True, True])
        await jobs[4].wait()
        self.assertEqual(began, [0, 1, 2, 3, 4])

    async def test_without_a_limit_all_run(self: Any) -> None:
        scheduler = self.scheduler(limit=None)
        for _ in range(200):
            await scheduler.spawn(endless())
        self.assertEqual((scheduler.active_count, scheduler.pending_count), (200, 0))

    async def test_spawn_waits_while_too_many_are_pending(self: Any) -> None:
        scheduler = self.scheduler(limit=1, pending_limit=1)
        first, second = await scheduler.spawn(endless()), await scheduler.spawn(give(2))
        third = asyncio.create_task(scheduler.spawn(give(3)))
        await asyncio.sleep(0.01)
        self.assertFalse(third.done())
        await first.close()
        self.assertEqual((await second.wait(), await (await third).wait()), (2, 3))
        self.assertEqual((scheduler.active_count, scheduler.pending_count), (0, 0))

    async def test_spawn_that_is_cancelled_leaves_nothing(self: Any) -> None:
        scheduler = self.scheduler(limit=1, pending_limit=1)
        jobs = [await scheduler.spawn(endless()), await scheduler.spawn(give(2))]
        spawning = give(3)
        third = asyncio.create_task(scheduler.spawn(spawning))
        await asyncio.sleep(0.01)
        third.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await third
        self.assertEqual(set(scheduler), set(jobs))
        spawning.close()

    async def test_a_pending_limit_of_0_is_none(self: Any) -> None:
        scheduler = self.scheduler(limit=1, pending_limit=0)
        for _ in range(50):
            await scheduler.spawn(give(seconds=60))
        self.assertEqual(scheduler.pending_count, 49)

    async def test_a_pending_job_that_is_closed_never_runs(self: Any) -> None:
        scheduler = self.scheduler(limit=1)
        first, second = await scheduler.spawn(endless()), await scheduler.spawn(give(2))
        await second.close()
        self.assertEqual((second.closed, second.pending, scheduler.pending_count), (True, False, 0))
        with self.assertRaises(asyncio.CancelledError):
            await second.wait()
        await first.close()

    async def test_a_pending_job_can_be_waited_for(self: Any) -> None:
        scheduler = self.scheduler(limit=1)
        await scheduler.spawn(give(1, 0.02))
        self.assertEqual(await (await scheduler.spawn(give(2))).wait(), 2)

    async def test_a_pending_job_can_be_waited_for_with_a_timeout(self: Any) -> None:
        scheduler = self.scheduler(limit=1)
        await scheduler.spawn(endless())
        job = await scheduler.spawn(give(2))
        with self.assertRaises(TimeoutError):
            await job.wait(timeout=0.01)
        self.assertEqual((job.closed, scheduler.pending_count), (True, 0))

    # --- the scheduler -----------------------------------------------------------------------------

    async def test_it_is_a_collection_of_its_jobs(self: Any) -> None:
        scheduler = self.scheduler()
        self.assertIsInstance(scheduler, Collection)
        jobs = [await scheduler.spawn(endless()) for _ in range(3)]
        self.assertEqual((len(scheduler), set(scheduler)), (3, set(jobs)))
        self.assertIn(jobs[0], scheduler)
        self.assertNotIn(3, scheduler)
        await jobs[0].close()
        self.assertNotIn(jobs[0], scheduler)
        self.assertEqual(set(scheduler), set(jobs[1:]))
        self.assertEqual(bool(self.scheduler()), False)

    async def test_what_it_was_given_can_be_read(self: Any) -> None:
        def handler(scheduler: object, context: dict[str, Any]) -> None: ...

        scheduler = self.make(limit=5, pending_limit=6, close_timeout=0.2, exception_handler=handler)
        given = scheduler.limit, scheduler.pending_limit, scheduler.close_timeout, scheduler.exception_handler
        self.assertEqual(given, (5, 6, 0.2, handler))
        usual = self.make()
        self.assertEqual((usual.limit, usual.pending_limit, usual.close_timeout), (100, 10_000, 0.1))
        with self.assertRaises(TypeError):
            self.make(exception_handler=3)

    async def test_only_coroutines_are_taken(self: Any) -> None:
        scheduler = self.scheduler()
        for wrong in (3, give, asyncio.get_running_loop().create_future()):
            with self.subTest(wrong), self.assertRaises(TypeError):
                await scheduler.spawn(wrong)

    async def test_close_cancels_all(self: Any) -> None:
        scheduler = self.scheduler(limit=2)
        jobs = [await scheduler.spawn(endless()) for _ in range(4)]
        await asyncio.sleep(0)
        await scheduler.close()
        self.assertEqual(
            (scheduler.closed, len(scheduler), [job.closed for job in jobs]), (True, 0, [True] * 4)
        )
        for job in jobs:
            with self.assertRaises(asyncio.CancelledError):
                await job.wait()
        self.assertEqual(self.told, [])
        await scheduler.close()
        await scheduler.wait_and_close()

    async def test_close_tells_what_went_wrong(self: Any) -> None:
        scheduler = self.scheduler(close_timeout=0.2)
        for coroutine in (fail_at_the_end(), deaf(30), endless()):
            await scheduler.spawn(coroutine)
        await settle()
        await scheduler.close()
        self.assertEqual(self.messages(), ["Job processing failed", "Job closing timed out"])
        self.assertIsInstance(self.told[1]["exception"], TimeoutError)

    async def test_nothing_is_taken_after_close(self: Any) -> None:
        scheduler = self.scheduler()
        await scheduler.close()
        coroutine = give()
        with self.assertRaises(RuntimeError):
            await scheduler.spawn(coroutine)
        coroutine.close()

    async def test_what_comes_too_late_is_not_left_unawaited(self: Any) -> None:
        scheduler = self.scheduler()
        await scheduler.close()
        with warnings.catch_warnings(record=True) as seen, suppress(RuntimeError):
            warnings.simplefilter("always")
            await scheduler.spawn(give())
        self.assertEqual(seen, [])

    async def test_who_waits_for_room_hears_that_it_is_closed(self: Any) -> None:
        scheduler = self.scheduler(limit=1, pending_limit=1)
        await scheduler.spawn(endless())
        await scheduler.spawn(endless())
        third = asyncio.create_task(scheduler.spawn(give(3)))
        await asyncio.sleep(0.01)
        await scheduler.close()
        with self.assertRaises(RuntimeError):
            await third

    async def test_wait_and_close_waits(self: Any) -> None:
        scheduler = self.scheduler(limit=1)
        jobs = [await scheduler.spawn(give(number, 0.01)) for number in range(3)]
        await scheduler.wait_and_close()
        self.assertTrue(scheduler.closed)
        self.assertEqual([await job.wait() for job in jobs], [0, 1, 2])

    async def test_wait_and_close_waits_for_what_came_meanwhile(self: Any) -> None:
        scheduler = self.scheduler()
        ended: list[int] = []

        async def more() -> None:
            await asyncio.sleep(0.01)
            ended.append(2)

        async def work() -> None:
            await scheduler.spawn(more())

        await scheduler.spawn(work())
        await scheduler.wait_and_close()
        self.assertEqual(ended, [2])

    async def test_wait_and_close_waits_no_longer_than_its_timeout(self: Any) -> None:
        for options, timeout in (({"wait_timeout": 0.3}, {}), ({}, {"timeout": 0.3})):
            scheduler = self.scheduler(**options)
            quick, slow = await scheduler.spawn(give(1)), await scheduler.spawn(endless())
            await scheduler.wait_and_close(**timeout)
            self.assertEqual((await quick.wait(), slow.closed, len(scheduler)), (1, True, 0))

    async def test_wait_and_close_that_is_cancelled_closes_nothing(self: Any) -> None:
        scheduler = self.scheduler()
        job = await scheduler.spawn(endless())
        waiting = asyncio.create_task(scheduler.wait_and_close())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await waiting
        self.assertEqual((scheduler.closed, job.active), (False, True))

    async def test_the_end_of_a_block_waits_and_closes(self: Any) -> None:
        with self.assertRaises(KeyError):
            async with self.make(wait_timeout=0.3) as scheduler:
                quick, slow = await scheduler.spawn(give(1, 0.005)), await scheduler.spawn(endless())
                raise KeyError
        self.assertEqual((scheduler.closed, await quick.wait(), slow.closed), (True, 1, True))

    async def test_a_job_may_close_its_scheduler(self: Any) -> None:
        scheduler = self.scheduler()
        ended = []

        async def work() -> None:
            await scheduler.close()
            await asyncio.sleep(0)
            ended.append(1)

        other = await scheduler.spawn(endless())
        await (await scheduler.spawn(work())).wait(timeout=1)
        self.assertEqual((ended, other.closed), ([1], True))

    async def test_limits_that_let_nothing_run_are_refused(self: Any) -> None:
        for options in ({"limit": 0}, {"limit": "many"}, {"pending_limit": -1}, {"close_timeout": -1}):
            with self.subTest(options), self.assertRaises(ValueError):
                self.make(**options)

    # --- shield ------------------------------------------------------------------------------------

    async def test_what_is_shielded_survives_who_waits_for_it(self: Any) -> None:
        scheduler = self.scheduler()
        ended: list[int] = []
        may_end = asyncio.Event()

        async def important() -> None:
            await may_end.wait()
            ended.append(1)

        async def request() -> None:
            await scheduler.shield(important())

        waiter = asyncio.create_task(request())
        await settle()
        waiter.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await waiter
        may_end.set()
        await scheduler.wait_and_close()
        self.assertEqual(ended, [1])

    async def test_shield_gives_result_and_error(self: Any) -> None:
        scheduler = self.scheduler()
        self.assertEqual(await scheduler.shield(give(7)), 7)
        with self.assertRaises(ValueError):
            await scheduler.shield(fail())
        self.assertEqual(len(scheduler), 0)

    async def test_close_cancels_what_is_shielded(self: Any) -> None:
        scheduler = self.scheduler()
        shielded = scheduler.shield(endless())
        await asyncio.sleep(0)
        await scheduler.close()
        with self.assertRaises(asyncio.CancelledError):
            await shielded

    async def test_close_waits_for_what_is_shielded(self: Any) -> None:
        scheduler = self.scheduler(close_timeout=5)
        ended: list[str] = []

        async def request() -> None:
            ended.append(await slow_to_end())

        scheduler.shield(request())
        await settle()
        await scheduler.close()
        self.assertEqual(ended, ["tidy"])


class Quiet(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        asyncio.get_running_loop().slow_callback_duration = PATIENCE_SECONDS  # which debug mode tells of


class TestOurs(Behaviour, Quiet):
    def make(self, **options: Any) -> Any:
        return Scheduler(**options)

    async def test_an_error_of_the_handler_is_told_with_what_it_was_told(self) -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        scheduler = self.scheduler(exception_handler=raise_in_turn)
        job = await scheduler.spawn(fail_at_the_end())
        await settle()
        await scheduler.close()
        self.assertEqual([str(each["exception"]) for each in told], ["the handler"])
        self.assertEqual(
            (told[0]["context"]["job"], str(told[0]["context"]["exception"])), (job, "in the end")
        )

    async def test_what_is_shielded_and_does_not_end_is_told(self) -> None:
        scheduler = self.scheduler(close_timeout=0.01)
        shielded = scheduler.shield(deaf(0.1))
        await settle()
        await scheduler.close()
        self.assertEqual(self.messages(), ["Job closing timed out"])
        self.assertIsInstance(self.told[0]["exception"], TimeoutError)
        self.assertIsNone(await shielded)

    async def test_what_is_shielded_may_close_the_scheduler(self) -> None:
        for end in ("close", "wait_and_close"):
            scheduler = self.scheduler()
            other = await scheduler.spawn(give(seconds=0.001) if end == "wait_and_close" else endless())
            async with asyncio.timeout(PATIENCE_SECONDS / 2):  # half of which `wait_timeout` would take
                await scheduler.shield(getattr(scheduler, end)())
            self.assertEqual((scheduler.closed, other.closed), (True, True))

    async def test_a_turn_that_comes_too_late_is_passed_on(self) -> None:
        """Who waits for room is cancelled in the very moment in which there is some."""
        loop = asyncio.get_running_loop()
        scheduler = self.scheduler(limit=1, pending_limit=1)
        may_end = asyncio.Event()

        async def work() -> None:
            await may_end.wait()
            # The end of this job gives `third` its turn in the next round of the event loop; the round after
            # that begins with its being cancelled.
            loop.call_soon(lambda: loop.call_soon(third.cancel))

        await scheduler.spawn(work())
        await scheduler.spawn(endless())
        third, fourth = (asyncio.create_task(scheduler.spawn(give(number))) for number in (3, 4))
        await settle()
        may_end.set()
        await settle()
        self.assertTrue(third.cancelled())
        self.assertTrue(fourth.done())


@unittest.skipUnless(importlib.util.find_spec("aiojobs"), "aiojobs is not installed here")
class TestAiojobs(Behaviour, Quiet):
    def setUp(self) -> None:
        reason = DEVIATIONS.get(self._testMethodName)
        if reason is not None:
            self.skipTest(reason)

    def make(self, **options: Any) -> Any:
        return importlib.import_module("aiojobs").Scheduler(**options)


class TestDeviations(unittest.TestCase):
    def test_each_is_a_test(self) -> None:
        self.assertEqual([name for name in DEVIATIONS if not hasattr(Behaviour, name)], [])


class TestCalls(LoopCase):
    """Calls of tasks, which are jobs in the file."""

    async def test_a_call_is_stored_and_run_on_this_loop(self) -> None:
        loop = asyncio.get_running_loop()

        async def where(number: int) -> int:
            self.assertIs(asyncio.get_running_loop(), loop)
            return number

        task = self.declare(where)
        async with Scheduler() as scheduler:
            spawned = await scheduler.spawn(task.call(5), name="five")
            self.assertEqual((spawned.job.task, spawned.get_name()), (task.name, "five"))
            self.assertEqual(await spawned.wait(timeout=30), 5)
            self.assertEqual((spawned.closed, len(scheduler)), (True, 0))
            self.assertEqual(await (await scheduler.spawn(self.declare(mul).call(2, 3))).wait(), 6)
        self.assertEqual(spawned.job.refresh().state, State.COMPLETED)
        self.assertEqual(self.queue.workers(), [])

    async def test_its_life_is_that_of_the_job(self) -> None:
        self.queue.pause()
        async with Scheduler() as scheduler:
            spawned = await scheduler.spawn(self.declare(wait_at).call(self.name))
            self.assertEqual((spawned.pending, spawned.active, spawned.closed), (True, False, False))
            self.assertEqual(
                (scheduler.pending_count, scheduler.active_count, list(scheduler)), (1, 0, [spawned])
            )
            await asyncio.to_thread(self.queue.resume)
            await self.until(lambda: spawned.active)
            self.assertEqual((scheduler.pending_count, scheduler.active_count), (0, 1))
            DOORS.opened(self.name).set()
            self.assertEqual(await spawned.wait(), self.name)

    async def test_no_more_than_the_limit_run(self) -> None:
        most = now = 0

        async def count() -> None:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.01)
            now -= 1

        task = self.declare(count)
        async with Scheduler(limit=3) as scheduler:
            for _ in range(12):
                await scheduler.spawn(task.call())
        self.assertEqual((most, self.queue.counts()["completed"]), (3, 12))

    async def test_its_error_is_raised_or_told(self) -> None:
        told: list[dict[str, Any]] = []
        task = self.declare(raise_plain)
        async with Scheduler(exception_handler=lambda _, context: told.append(context)) as scheduler:
            with self.assertRaises(Plain):
                await (await scheduler.spawn(task.call("lost"))).wait()
            self.assertEqual(told, [])
            unheard = await scheduler.spawn(task.call("lost"))
        self.assertEqual([context["job"] for context in told], [unheard])

    async def test_close_cancels_one_that_waits_and_stops_one_that_runs(self) -> None:
        began = asyncio.Event()

        async def run() -> None:
            began.set()
            await endless()

        task = self.declare(run)
        async with Scheduler(limit=1) as scheduler:
            running = await scheduler.spawn(task.call())
            await began.wait()
            waiting = await scheduler.spawn(task.call())
            for spawned in (waiting, running):
                await spawned.close()
                self.assertEqual(spawned.job.refresh().state, State.CANCELLED)
                with self.assertRaises(asyncio.CancelledError):
                    await spawned.wait()
            self.assertEqual(len(scheduler), 0)

    async def test_a_scheduler_that_closes_leaves_them_in_the_file(self) -> None:
        began = asyncio.Event()
        may_end = asyncio.Event()

        async def run(number: int) -> int:
            began.set()
            await may_end.wait()
            return number

        task = self.declare(run)
        scheduler = Scheduler(limit=1)
        spawned = [await scheduler.spawn(task.call(number)) for number in range(3)]
        await began.wait()
        await scheduler.close()
        self.assertEqual(self.queue.workers(), [])
        for each in spawned:
            with self.assertRaises(asyncio.CancelledError):
                await each.wait()
        self.assertEqual(self.queue.counts()["ready"], 3)
        may_end.set()
        async with self.queue.aworker():
            self.assertEqual([await each.job for each in spawned], [0, 1, 2])

    async def test_one_that_somebody_cancels_fails_alone(self) -> None:
        running: list[asyncio.Task[Any]] = []

        async def run() -> None:
            task = asyncio.current_task()
            assert task is not None
            running.append(task)
            await endless()

        task = self.declare(run)
        async with Scheduler() as scheduler:
            spawned = await scheduler.spawn(task.call())
            await self.until(lambda: running)
            running[0].cancel()
            with self.assertRaisesRegex(JobFailed, "CancelledError"):
                await spawned.wait()
            self.assertEqual(await (await scheduler.spawn(self.declare(later).call(1))).wait(), 2)

    async def test_close_leaves_the_threads_of_the_loop_to_what_runs(self) -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        began, may_go_on = asyncio.Event(), asyncio.Event()

        async def finish() -> str:
            began.set()
            await may_go_on.wait()
            return await asyncio.to_thread(str.upper, "done")

        scheduler = Scheduler(close_timeout=PATIENCE_SECONDS / 2)
        spawned = await scheduler.spawn(self.declare(finish).call())
        await began.wait()
        closing = asyncio.create_task(scheduler.close())
        await settle()
        may_go_on.set()
        await closing
        self.assertEqual(spawned.job.result(0), "DONE")

    async def test_spawn_that_is_cancelled_leaves_nothing(self) -> None:
        self.queue.pause()
        task = self.declare(later)
        async with Scheduler() as scheduler:
            for moment in range(6):
                spawning = asyncio.create_task(scheduler.spawn(task.call(1)))
                for _ in range(moment):
                    await asyncio.sleep(0)
                spawning.cancel()
                with suppress(asyncio.CancelledError):
                    await (await spawning).close()  # it was too late to cancel that
            self.assertEqual(len(scheduler), 0)
            self.assertEqual(self.queue.counts()["ready"], 0)

    async def test_lanes_each_have_a_worker(self) -> None:
        task = self.declare(later)
        async with Scheduler() as scheduler:
            here = await scheduler.spawn(task.call(1))
            there = await scheduler.spawn(task.call(2).using(queue="elsewhere"))
            self.assertEqual((await here.wait(), await there.wait()), (2, 3))
            self.assertEqual(len(self.queue.workers()), 2)

    async def test_a_result_that_would_not_be_kept_is_there_all_the_same(self) -> None:
        task = self.declare(later, retention=0)
        async with Scheduler() as scheduler:
            spawned = await scheduler.spawn(task.call(1))
            self.assertEqual(await spawned.wait(), 2)
            await asyncio.to_thread(self.queue.desk.store.prune)
            self.assertEqual(spawned.job.refresh().state, State.COMPLETED)

    async def test_what_can_not_be_stored_is_refused(self) -> None:
        task = self.declare(mul)
        async with Scheduler() as scheduler:
            with self.assertRaises(BadArguments):
                await scheduler.spawn(task.call(1))  # the first argument would be the result of a parent
            with self.queue.transaction(), self.assertRaises(NotAllowed):
                await scheduler.spawn(task.call(1, 1))
            self.assertEqual(len(scheduler), 0)
        with self.assertRaises(RuntimeError):
            await scheduler.spawn(task.call(1, 1))
        self.assertEqual(self.queue.jobs(), [])

    async def test_no_thread_is_left(self) -> None:
        task = self.declare(later)
        async with Scheduler() as scheduler:
            await asyncio.gather(*[(await scheduler.spawn(task.call(number))).wait() for number in range(5)])
        await self.until(lambda: not [t for t in threading.enumerate() if t.name.startswith("litequeue")])
