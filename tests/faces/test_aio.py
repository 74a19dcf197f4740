"""Beside an event loop of the program: jobs as they end, and a worker whose coroutines run on that loop."""

from __future__ import annotations

import asyncio
import threading
import time
import unittest
import unittest.mock
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

from litequeue import (
    InvalidOption,
    Job,
    JobCancelled,
    JobFailed,
    Retry,
    State,
    WorkerError,
    as_completed,
    current_job,
)
from litequeue.aio import AsyncWorker
from litequeue.storage.database import Database
from litequeue.testing import HandClock
from tests.faces.things import DOORS, later, mul, wait_at
from tests.support import PATIENCE_SECONDS, folder_for
from tests.worker.case import FileCase, until


class LoopCase(unittest.IsolatedAsyncioTestCase, FileCase):
    """A queue on a file, in a test that is a coroutine."""

    def setUp(self) -> None:
        super().setUp()
        self.name = uuid.uuid4().hex
        self.addCleanup(DOORS.open_all)

    async def asyncSetUp(self) -> None:
        asyncio.get_running_loop().slow_callback_duration = PATIENCE_SECONDS  # which debug mode tells of

    async def until(self, condition: Callable[[], object], what: str = "it") -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), end, f"{what} did not happen")
            await asyncio.sleep(0.002)


class TestAsCompleted(LoopCase):
    async def test_jobs_come_as_they_end(self) -> None:
        names = [f"{self.name}-{place}" for place in range(3)]
        task = self.declare(wait_at)
        jobs = [task.enqueue(name) for name in names]
        came: list[Job[str]] = []
        async with self.queue.aworker(threads=3):
            await self.until(lambda: all(DOORS.reached(name).is_set() for name in names))
            DOORS.opened(names[1]).set()
            async for job in as_completed([*jobs, *jobs], timeout=PATIENCE_SECONDS):
                came.append(job)
                DOORS.opened(names[2 if len(came) == 1 else 0]).set()
        self.assertEqual(came, [jobs[1], jobs[2], jobs[0]])
        self.assertEqual([await job for job in came], [names[1], names[2], names[0]])

    async def test_whatever_their_end(self) -> None:
        task = self.declare(mul)
        good, stopped, bad, gone = (task.enqueue(*args) for args in ((1, 2), (1, 2), (None, 1), (1, 2)))
        stopped.cancel()
        gone.delete()
        came = as_completed([good, stopped, bad, gone], timeout=PATIENCE_SECONDS)
        async with self.queue.aworker():
            self.assertEqual({job async for job in came}, {good, stopped, bad, gone})

    async def test_those_that_are_late(self) -> None:
        task = self.declare(mul)
        quick, slow = task.enqueue(1, 2), task.using(delay=3600).enqueue(1, 2)
        came: list[Job[int]] = []
        with self.assertRaisesRegex(TimeoutError, r"1 \(of 2\) jobs"):
            async with self.queue.aworker():
                await quick
                async for job in as_completed([slow, quick], timeout=0.01):
                    came.append(job)
        self.assertEqual(came, [quick])

    async def test_late_on_a_clock_that_nobody_moves(self) -> None:
        """Naps on the event loop take the loop's time, and so does their end."""
        job = self.make_queue(clock=HandClock()).enqueue(mul, 1, 2)
        with self.assertRaisesRegex(TimeoutError, r"1 \(of 1\) jobs"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                async for _ in as_completed([job], timeout=0.01):
                    self.fail("it has not ended")

    async def test_none(self) -> None:
        nothing: list[Job[int]] = []
        self.assertEqual([job async for job in as_completed(nothing, timeout=0)], [])

    def test_what_is_no_job_is_refused(self) -> None:
        with self.assertRaisesRegex(InvalidOption, "3 is no job"):
            as_completed([3])  # type: ignore[arg-type]

    async def test_of_several_files(self) -> None:
        other = self.make_queue(folder_for(self, in_memory=True) / "jobs.db")
        jobs = [queue.enqueue(mul, 2, 3) for queue in (self.queue, other)]
        async with self.queue.aworker(), other.aworker():
            self.assertEqual([await job async for job in as_completed(jobs)], [6, 6])

    def test_without_an_event_loop(self) -> None:
        jobs = [self.queue.enqueue(mul, 2, number) for number in range(3)]
        with self.queue.worker():
            self.assertEqual(sum(job.result() for job in as_completed(jobs, timeout=PATIENCE_SECONDS)), 6)
        late = self.queue.enqueue(mul, 1, 1)
        with self.assertRaisesRegex(TimeoutError, r"1 \(of 4\)"):
            list(as_completed([*jobs, late], timeout=0.01))


class TestEnqueue(LoopCase):
    async def test_one_that_was_cancelled_can_be_done_again(self) -> None:
        """The write goes on without it; a unique job is there once."""
        reached, may_write = asyncio.Event(), threading.Event()
        here, write = asyncio.get_running_loop(), self.queue.desk.database.write

        def slow(*args: Any, **kwargs: Any) -> Any:
            here.call_soon_threadsafe(reached.set)
            may_write.wait(PATIENCE_SECONDS)
            return write(*args, **kwargs)

        task = self.declare(mul, unique=True)
        with unittest.mock.patch.object(self.queue.desk.database, "write", slow):
            enqueuing = asyncio.create_task(task.aenqueue(1, 2))
            await reached.wait()
            enqueuing.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await enqueuing
            may_write.set()
        await self.until(self.queue.jobs)
        self.assertEqual([await task.aenqueue(1, 2)], self.queue.jobs())


class TestWorker(LoopCase):
    async def test_coroutines_run_on_the_loop_of_the_program(self) -> None:
        """With what belongs to that loop: here a future, elsewhere a client or a pool of connections."""
        here = asyncio.get_running_loop()
        resource = here.create_future()

        async def use(number: int) -> int:
            self.assertIs(asyncio.get_running_loop(), here)
            self.assertIs(threading.current_thread(), threading.main_thread())
            job = current_job()
            assert job is not None
            job.progress(0.5, "half")
            return number + int(await resource)

        task = self.declare(use)
        async with self.queue.aworker():
            jobs = [await task.aenqueue(number) for number in range(5)]
            await self.until(lambda: self.queue.counts()["running"] == 5)
            resource.set_result(10)
            self.assertEqual(await asyncio.gather(*jobs), [10, 11, 12, 13, 14])
        self.assertEqual(jobs[0].progress_text, "half")

    async def test_plain_functions_run_on_threads(self) -> None:
        async with self.queue.aworker(threads=2):
            self.assertEqual(await self.queue.enqueue(mul, 6, 7), 42)

    async def test_so_many_at_once(self) -> None:
        most = now = 0

        async def count() -> None:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.01)
            now -= 1

        task = self.declare(count)
        jobs = self.queue.enqueue_many(task.call() for _ in range(20))
        async with self.queue.aworker(slots=5):
            await asyncio.gather(*jobs)
        self.assertEqual(most, 5)

    async def test_time_limits_and_tries(self) -> None:
        tries: list[int] = []

        async def slow() -> int:
            tries.append(1)
            await asyncio.sleep(3600 if len(tries) < 3 else 0)
            return len(tries)

        job = self.declare(slow, timeout=0.2, retry=Retry(3, intervals=[0])).enqueue()
        async with self.queue.aworker():
            self.assertEqual(await job, 3)

    async def test_one_that_is_asked_to_stop(self) -> None:
        began = asyncio.Event()

        async def endless() -> None:
            began.set()
            await asyncio.Event().wait()

        job = self.declare(endless).enqueue()
        async with self.queue.aworker():
            await began.wait()
            await asyncio.to_thread(job.cancel, "enough")
            with self.assertRaises(JobCancelled):
                await job
            self.assertEqual(await self.queue.enqueue(later, 1), 2)  # and the worker goes on

    async def test_one_that_somebody_cancels_fails_alone(self) -> None:
        """As in a worker with an event loop of its own: whoever kept its task may cancel it."""
        running: list[asyncio.Task[Any]] = []

        async def endless() -> None:
            task = asyncio.current_task()
            assert task is not None
            running.append(task)
            await asyncio.Event().wait()

        job = self.declare(endless, retry=Retry(2, intervals=[0])).enqueue()
        async with self.queue.aworker():
            for _ in range(2):
                await self.until(lambda: running)
                running.pop().cancel()
            with self.assertRaisesRegex(JobFailed, "CancelledError"):
                await job.aresult(PATIENCE_SECONDS)
            self.assertEqual(await self.queue.enqueue(later, 1), 2)
        self.assertEqual((job.attempt, job.failures, job.reason), (2, 2, "error"))

    async def test_one_that_cancels_itself_fails_alone(self) -> None:
        async def give_in() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

        async with self.queue.aworker():
            with self.assertRaisesRegex(JobFailed, "CancelledError"):
                await self.declare(give_in).enqueue().aresult(PATIENCE_SECONDS)
            self.assertEqual(await self.queue.enqueue(later, 1), 2)

    async def test_one_that_is_cancelled_before_its_first_step_begins_again(self) -> None:
        program = asyncio.current_task()

        def is_canary(task: asyncio.Task[Any]) -> bool:
            return task.get_name() == "litequeue-canary"

        async def cancel_others() -> int:
            mine = {program, asyncio.current_task()}
            others = [task for task in asyncio.all_tasks() - mine if not is_canary(task)]
            return sum(task.cancel() for task in others)

        both = self.queue.enqueue_many([self.declare(cancel_others).call(), self.declare(later).call(1)])
        async with self.queue.aworker():
            self.assertEqual([await job.aresult(PATIENCE_SECONDS) for job in both], [1, 2])
            self.assertEqual([job.attempt for job in both], [1, 1])

    async def test_no_task_of_ours_is_left_while_nothing_runs(self) -> None:
        async with self.queue.aworker():
            self.assertEqual(await self.queue.enqueue(later, 1), 2)
            await self.until(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    async def test_at_most_once_is_written_beside_the_loop(self) -> None:
        marked = threading.Event()
        start = self.queue.desk.store.start

        def note(begun: Any) -> None:
            self.assertIsNot(threading.current_thread(), threading.main_thread())
            marked.set()
            start(begun)

        job = self.declare(later, ack="early", max_crashes=1).enqueue(1)
        with unittest.mock.patch.object(self.queue.desk.store, "start", note):
            async with self.queue.aworker():
                self.assertEqual(await job, 2)
        self.assertTrue(marked.is_set())

    async def test_by_hand_for_frameworks_without_with(self) -> None:
        worker = self.queue.aworker()
        self.assertIs(await worker.start(), worker)
        self.assertEqual(await self.queue.enqueue(later, 1), 2)
        with self.assertRaises(WorkerError):
            await worker.start()
        await worker.stop()
        await worker.stop()
        self.assertEqual(self.queue.workers(), [])

    async def test_a_second_loop_after_the_first(self) -> None:
        def elsewhere() -> int:
            async def main() -> int:
                async with self.queue.aworker():
                    return await self.queue.enqueue(later, 1)

            return asyncio.run(main())

        self.assertEqual([await asyncio.to_thread(elsewhere) for _ in range(2)], [2, 2])

    async def test_sizes_that_are_none_are_refused(self) -> None:
        wrong: list[dict[str, Any]] = [{"slots": -1}, {"threads": 0}, {"grace": -1}, {"queues": []}]
        for options in wrong:
            with self.subTest(options), self.assertRaises(ValueError):
                self.queue.aworker(**options)

    async def test_a_file_that_is_gone_is_told_at_the_end(self) -> None:
        worker = self.queue.aworker()
        with self.assertRaisesRegex(Exception, "jobs.db"):
            async with worker:
                self.path.unlink()
                await self.until(lambda: not self.is_at_work())
        self.assertFalse(self.is_at_work())

    def is_at_work(self) -> bool:
        return any(each.name == "litequeue-worker" for each in threading.enumerate())


class TestEnd(LoopCase):
    async def test_what_runs_gets_its_grace(self) -> None:
        began = asyncio.Event()

        async def finish() -> str:
            began.set()
            await asyncio.sleep(0.1)
            return "done"

        job = self.declare(finish).enqueue()
        async with self.queue.aworker():
            await began.wait()
        self.assertEqual(job.result(0), "done")

    async def test_what_outlasts_it_is_given_back(self) -> None:
        job = await self.endless()
        async with self.queue.aworker(grace=0.01):
            await self.began.wait()
        self.assert_given_back(job)
        self.assertEqual(asyncio.all_tasks(), {asyncio.current_task()})

    async def test_the_threads_of_the_loop_are_left_to_what_runs(self) -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        worker = await self.queue.aworker(grace=PATIENCE_SECONDS / 2).start()
        began, may_go_on = asyncio.Event(), asyncio.Event()

        async def finish() -> str:
            began.set()
            await may_go_on.wait()
            return await asyncio.to_thread(str.upper, "done")

        job = self.declare(finish).enqueue()
        await began.wait()
        stopping = asyncio.create_task(worker.stop())
        await asyncio.sleep(0)
        may_go_on.set()
        await stopping
        self.assertEqual(job.result(0), "DONE")

    async def test_cancelled_inside_the_block(self) -> None:
        job = await self.endless()
        entered = asyncio.Event()

        async def lifespan() -> None:
            async with self.queue.aworker(grace=0.01):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(lifespan())
        await self.began.wait()
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assert_given_back(job)

    async def test_cancelled_while_it_stops_it_stops_at_once(self) -> None:
        job = await self.endless()
        worker = await self.queue.aworker(grace=3600).start()
        await self.began.wait()
        task = asyncio.create_task(worker.stop())
        await asyncio.sleep(0.05)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assert_given_back(job)

    async def test_the_queue_closed_on_the_loop_gives_back_at_once(self) -> None:
        job = await self.endless()
        worker = await self.queue.aworker(grace=3600).start()
        await self.began.wait()
        self.queue.close()
        await worker.stop()
        with self.make_queue() as self.queue:
            self.assert_given_back(self.queue.job(job.id))

    async def endless(self) -> Job[None]:
        self.began = asyncio.Event()

        async def endless() -> None:
            self.began.set()
            await asyncio.Event().wait()

        return self.declare(endless).enqueue()

    def assert_given_back(self, job: Job[Any]) -> None:
        job.refresh()
        self.assertEqual((job.state, job.failures, job.snapshot.crashes), (State.READY, 0, 0))
        self.assertEqual(self.queue.workers(), [])

    def test_a_program_that_is_interrupted_gives_everything_back(self) -> None:
        """`asyncio.run` cancels every task of the loop, those of jobs too, and then closes it."""
        for place in ("inside", "outside"):
            with self.subTest(place):
                job = self.queue.enqueue(wait_at_loop)
                worker = self.queue.aworker(grace=5)
                asyncio.run(self.interrupted(worker, is_inside=place == "inside"))
                until(lambda: not self.queue.workers(), "the end of the worker")
                self.assert_given_back(job)
                job.cancel()

    async def interrupted(self, worker: AsyncWorker, *, is_inside: bool) -> None:
        holder = asyncio.create_task(hold(worker) if is_inside else worker.start())
        await self.until(lambda: self.queue.counts()["running"])
        if not is_inside:
            await holder

    async def test_a_program_that_cancels_all_begins_no_other(self) -> None:
        """As many do when a signal comes, though one of the coroutines will not hear of it."""
        began: list[int] = []

        async def unmoved(number: int) -> str:
            began.append(number)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return "done"

        task = self.declare(unmoved)
        first, second = task.enqueue(1), task.enqueue(2)
        worker = await self.queue.aworker(slots=1).start()
        await self.until(lambda: began)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.until(lambda: not self.queue.workers(), "the end of the worker")
        await worker.stop()
        self.assertEqual((first.result(0), began), ("done", [1]))
        self.assert_given_back(second)

    def test_a_loop_that_is_closed_under_it(self) -> None:
        for number in (0, 3):
            with self.subTest(waiting=number):
                self.close_under_it(waiting=number)

    def close_under_it(self, *, waiting: int) -> None:
        job = self.queue.enqueue(wait_at_loop)
        worker = self.queue.aworker(grace=0.1)
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)  # that tasks are destroyed while they run
        loop.run_until_complete(worker.start())
        loop.run_until_complete(self.until(lambda: self.queue.counts()["running"]))
        loop.close()
        more: list[Job[Any]] = [self.queue.enqueue(later, 1) for _ in range(waiting)]
        until(lambda: not self.queue.workers(), "the end of the worker")
        for each in (job, *more):
            self.assert_given_back(each)
            each.delete()

    async def test_no_thread_is_left(self) -> None:
        for _ in range(3):
            async with self.queue.aworker(threads=2):
                await asyncio.gather(*(self.queue.enqueue(later, 1) for _ in range(5)))
                await self.queue.enqueue(mul, 1, 1)
        await self.until(lambda: not [t for t in threading.enumerate() if t.name.startswith("litequeue")])

    async def test_cancelled_at_any_moment_nothing_is_lost(self) -> None:
        """Each time the program is cancelled a little later: while it starts, works or stops."""
        ran: list[int] = []

        async def count(number: int) -> None:
            await asyncio.sleep(0.001 * (number % 5))
            ran.append(number)

        task = self.declare(count)
        jobs = self.queue.enqueue_many(task.call(number) for number in range(60))

        async def lifespan() -> None:
            async with self.queue.aworker(slots=3, grace=0.005):
                await asyncio.sleep(0.002)

        for moment in range(40):
            program = asyncio.create_task(lifespan())
            for _ in range(moment):
                await asyncio.sleep(0)
            await asyncio.sleep(0.0005 * (moment % 20))
            program.cancel()
            with suppress(asyncio.CancelledError):
                await program
            self.assertEqual(self.queue.workers(), [], f"moment {moment}")
            self.assertEqual(self.queue.counts()["running"], 0, f"moment {moment}")
        async with self.queue.aworker():
            await asyncio.gather(*jobs)
        self.assertEqual({job.failures for job in jobs}, {0})
        self.assertEqual(set(ran), set(range(60)))


class TestLatency(LoopCase):
    """The event loop is held up by no disk, however slow."""

    async def test_a_heart_beats_while_the_disk_works(self) -> None:
        slow = 0.3
        with self.slow_disk(slow):
            async with self.heart() as beats, self.queue.aworker(grace=5):
                jobs = [await self.queue.task(later).aenqueue(number) for number in range(3)]
                async for job in as_completed(jobs, timeout=PATIENCE_SECONDS):
                    await job
        self.assertGreater(len(beats), 50)
        self.assertLess(max(beats), slow, "the longest pause between two beats, in seconds")

    async def test_a_file_is_opened_beside_the_loop(self) -> None:
        threads: list[threading.Thread] = []

        def note(*args: Any) -> Database:
            threads.append(threading.current_thread())
            return Database(*args)

        with unittest.mock.patch("litequeue.queue.Database", note):
            async with self.make_queue().aworker():
                self.assertEqual(len(threads), 1)
        self.assertIsNot(threads[0], threading.main_thread())

    def slow_disk(self, seconds: float) -> Any:
        """Every write takes so long."""
        database = self.queue.desk.database
        write = database.write

        def slow(*args: Any, **kwargs: Any) -> Any:
            time.sleep(seconds)
            return write(*args, **kwargs)

        return unittest.mock.patch.object(database, "write", slow)

    @asynccontextmanager
    async def heart(self) -> AsyncIterator[list[float]]:
        """The seconds between the beats of a heart on this loop, beyond those it wanted."""
        beats: list[float] = []

        async def beat() -> None:
            while True:
                began = time.monotonic()
                await asyncio.sleep(0.005)
                beats.append(time.monotonic() - began - 0.005)

        beating = asyncio.create_task(beat())
        try:
            yield beats
        finally:
            beating.cancel()


async def wait_at_loop() -> None:
    """Wait for ever on whatever loop it is."""
    await asyncio.Event().wait()


async def hold(worker: AsyncWorker) -> None:
    """Keep a worker at work until cancelled."""
    async with worker:
        await asyncio.Event().wait()
