"""The small parts of the worker: slots, the event loop, pace, knowledge, mailbox, bell, options."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

from litequeue import Queue
from litequeue.clock import SECOND
from litequeue.context import Mailbox
from litequeue.errors import InvalidOption
from litequeue.job import Lease
from litequeue.resolve import Resolver
from litequeue.testing import HandClock
from litequeue.worker.coroutines import Coroutines
from litequeue.worker.knowledge import Knowledge
from litequeue.worker.outcome import Assignment
from litequeue.worker.pace import HORIZON, QUICK, Pace
from litequeue.worker.settings import WorkerOptions
from litequeue.worker.slots import Slots
from litequeue.worker.wake import Bell
from tests.support import folder_for
from tests.worker.case import ExecutionCase, QuietCase, until, wait_for


def nothing() -> None:
    """A task that does nothing."""


async def anothing() -> None:
    """A coroutine that does nothing."""


class SlotsCase(ExecutionCase):
    def setUp(self) -> None:
        super().setUp()
        self.ran: list[int] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.began = threading.Semaphore(0)
        self.addCleanup(self.gate.set)

    def work(self, assignment: Assignment) -> None:
        self.threads.add(threading.get_ident())
        self.ran.append(assignment.lease.job)
        self.began.release()
        self.gate.wait()

    def numbered(self, *jobs: int) -> list[Assignment]:
        task = self.declare(nothing)
        prepared = [self.prepare(task, lease=Lease(job, 1)) for job in jobs]
        return [one for one in prepared if isinstance(one, Assignment)]

    def slots(self, number: int, work: Callable[[Assignment], None] | None = None) -> Slots:
        slots = Slots(number, self.clock, work or self.work)
        self.addCleanup(slots.close)
        return slots


class SlotsOfThreads(SlotsCase):
    def test_no_more_threads_than_slots_run_at_once(self) -> None:
        slots = self.slots(2)
        slots.put(self.numbered(1, 2, 3, 4))
        self.began.acquire()
        self.began.acquire()
        self.assertEqual((sorted(self.ran), slots.waiting), ([1, 2], 2))
        self.gate.set()
        until(lambda: len(self.ran) == 4)
        self.assertEqual(len(self.threads), 2)

    def test_one_slot_keeps_the_order(self) -> None:
        self.gate.set()
        slots = self.slots(1)
        for start in range(0, 50, 5):
            slots.put(self.numbered(*range(start, start + 5)))
        until(lambda: len(self.ran) == 50)
        self.assertEqual(self.ran, list(range(50)))

    def test_what_waited_too_long_is_taken_back_and_never_runs(self) -> None:
        slots = self.slots(1)
        slots.put(self.numbered(1, 2))
        self.began.acquire()
        self.clock.sleep(1)
        slots.put(self.numbered(3))
        back = slots.take_back(SECOND // 2)
        self.assertEqual([one.lease.job for one in back], [2])
        self.gate.set()
        until(lambda: len(self.ran) == 2)
        self.assertEqual(self.ran, [1, 3])

    def test_a_stuck_thread_is_replaced_and_ends_when_its_task_does(self) -> None:
        slots = self.slots(1)
        slots.put(self.numbered(1, 2))
        self.began.acquire()
        (stuck,) = self.threads
        slots.replace(stuck)
        self.began.acquire()  # job 2 began, on another thread
        self.assertEqual((self.ran, len(self.threads), slots.stuck), ([1, 2], 2, 1))
        self.gate.set()
        until(lambda: slots.stuck == 0)
        slots.put(self.numbered(3, 4, 5))
        until(lambda: len(self.ran) == 5)
        self.assertNotIn(stuck, {thread.ident for thread in threading.enumerate()})

    def test_closed_slots_let_their_threads_end(self) -> None:
        self.gate.set()
        slots = self.slots(3)
        slots.put(self.numbered(1, 2, 3))
        until(lambda: len(self.ran) == 3)
        slots.close()
        until(lambda: not self.threads & {thread.ident for thread in threading.enumerate()})


class EventLoop(SlotsCase):
    def setUp(self) -> None:
        super().setUp()
        self.ended: list[int] = []
        self.finished = threading.Event()

    async def awork(self, assignment: Assignment) -> None:
        self.ran.append(assignment.lease.job)
        self.began.release()
        try:
            while not self.gate.is_set():
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.ended.append(-assignment.lease.job)
            raise
        self.ended.append(assignment.lease.job)

    def test_many_run_at_once_and_one_is_cancelled_alone(self) -> None:
        coroutines = Coroutines(self.awork)
        coroutines.put(self.numbered(*range(1, 101)))
        for _ in range(100):
            self.began.acquire()
        coroutines.cancel(Lease(7, 1))
        coroutines.cancel(Lease(8, 2))  # another attempt: not ours
        until(lambda: self.ended)
        self.assertEqual(self.ended, [-7])
        self.gate.set()
        until(lambda: len(self.ended) == 100)
        self.assertEqual(len([job for job in self.ended if job < 0]), 1)
        coroutines.close(5)

    def test_one_cancelled_before_its_first_step_still_runs_to_its_outcome(self) -> None:
        held, proceed = threading.Event(), threading.Event()
        self.addCleanup(proceed.set)

        async def awork(assignment: Assignment) -> None:
            if assignment.lease.job == 1:
                held.set()
                proceed.wait()  # the event loop is blocked
            self.ended.append(assignment.lease.job)

        coroutines = Coroutines(awork)
        coroutines.put(self.numbered(1))
        wait_for(held)
        coroutines.put(self.numbered(2))
        coroutines.cancel(Lease(2, 1))
        proceed.set()
        until(lambda: len(self.ended) == 2, "the outcome of the second")
        coroutines.close(5)

    def test_one_that_another_cancels_before_its_first_step_still_runs(self) -> None:
        async def awork(assignment: Assignment) -> None:
            if assignment.lease.job == 1:
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()
            self.ended.append(assignment.lease.job)

        coroutines = Coroutines(awork)
        coroutines.put(self.numbered(1, 2))
        until(lambda: len(self.ended) == 2, "the outcome of the second")
        coroutines.close(5)

    def test_the_event_loop_goes_on_whatever_ends_it(self) -> None:
        async def leave() -> None:
            raise SystemExit

        async def awork(assignment: Assignment) -> None:
            loop = asyncio.get_running_loop()
            match assignment.lease.job:
                case 1:
                    loop.stop()
                case 2:
                    loop.call_soon(sys.exit)
                case 3:
                    left.append(loop.create_task(leave()))
            await asyncio.sleep(0.001)
            self.ended.append(assignment.lease.job)

        left: list[asyncio.Task[None]] = []
        coroutines = Coroutines(awork)
        for job in range(1, 5):
            coroutines.put(self.numbered(job))
            until(lambda job=job: self.ended[-1:] == [job], f"the end of job {job}")  # type: ignore[misc]
        coroutines.close(5)
        self.assertIsInstance(left[0].exception(), SystemExit)

    def test_closing_cancels_what_still_runs(self) -> None:
        coroutines = Coroutines(self.awork)
        coroutines.put(self.numbered(1, 2))
        self.began.acquire()
        self.began.acquire()
        coroutines.close(5)
        self.assertEqual(sorted(self.ended), [-2, -1])

    def test_closing_does_not_wait_for_one_that_ignores_it(self) -> None:
        async def deaf(assignment: Assignment) -> None:
            self.began.release()
            while not self.gate.is_set():
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    continue

        coroutines = Coroutines(deaf)
        coroutines.put(self.numbered(1))
        self.began.acquire()
        coroutines.close(0.01)


class PaceCase(QuietCase):
    def test_at_first_nothing_is_held(self) -> None:
        self.assertEqual((Pace().quick, Pace().ahead(4)), (frozenset(), 0))

    def test_no_more_is_held_than_starts_within_the_horizon(self) -> None:
        pace = Pace()
        for _ in range(50):
            pace.add("quick", 1000)
        self.assertEqual(pace.quick, {"quick"})
        for threads in (1, 2):
            self.assertLessEqual(pace.ahead(threads) * 1000 / threads, HORIZON)
            self.assertGreater(pace.ahead(threads), 0)

    def test_one_slow_run_makes_a_task_slow_at_once(self) -> None:
        pace = Pace()
        for _ in range(1000):
            pace.add("quick", 10)
        pace.add("quick", QUICK * 10)
        self.assertEqual((pace.quick, pace.ahead(1)), (frozenset(), 0))

    def test_the_slowest_of_the_quick_decides(self) -> None:
        pace = Pace()
        for _ in range(10):
            pace.add("instant", 1)
            pace.add("brisk", QUICK)
        self.assertEqual(pace.quick, {"instant", "brisk"})
        self.assertEqual(pace.ahead(1), HORIZON // QUICK)

    def test_the_line_grows_with_what_was_run(self) -> None:
        """So that a job which kills its worker takes few others along when it is met again."""
        pace, lines = Pace(), []
        for _ in range(200):
            pace.add("instant", 1)
            lines.append(pace.ahead(4))
        self.assertEqual(lines[:3], [2, 4, 6])
        self.assertEqual(lines, sorted(lines))
        self.assertEqual(lines[-1], 256)

    def test_no_thread_free_for_quick_ones_means_none_ahead(self) -> None:
        pace = Pace()
        pace.add("quick", 10)
        self.assertEqual((pace.ahead(0), pace.ahead(-1)), (0, 0))


class KnowledgeCase(ExecutionCase):
    def setUp(self) -> None:
        super().setUp()
        self.queue = Queue(folder_for(self) / "unused.db")
        self.knowledge = Knowledge(Resolver(self.queue.runnable, self.queue))

    def test_names_are_judged_once_met(self) -> None:
        self.declare(nothing)
        self.declare(anothing)
        self.knowledge.learn(["nothing", "anothing", "absent"])
        want = self.knowledge.want("default", 1, 1, 5)
        self.assertEqual(
            (want.known, want.refused, want.coroutines),
            ({"nothing", "anothing"}, {"absent"}, {"anothing"}),
        )

    def test_what_was_refused_is_taken_up_when_it_can_be_resolved(self) -> None:
        self.knowledge.learn(["nothing"])
        self.assertEqual(self.knowledge.refused, {"nothing"})
        self.declare(nothing)
        self.knowledge.meet_parked(["nothing", "absent"])
        self.assertEqual((self.knowledge.refused, self.knowledge.revive), ({"absent"}, {"nothing"}))
        self.knowledge.meet_parked([])
        self.assertEqual(self.knowledge.revive, frozenset())


class MailboxCase(ExecutionCase):
    def test_what_was_put_is_taken_once_and_the_newest_wins(self) -> None:
        assignment = self.assignment(nothing)
        job, mailbox = assignment.running, assignment.mailbox
        job.progress(0.1, "begun")
        job.progress(0.5)
        job.log("one")
        job.log("two")
        job.meta["at"] = 1
        job.meta["at"] = 2
        note = mailbox.take(assignment.claimed)
        assert note is not None
        self.assertEqual((note.lease, note.progress, note.meta), (assignment.lease, 0.5, '{"at":2}'))
        self.assertEqual([text for _, text in note.logs], ["one", "two"])
        self.assertIsNone(mailbox.take(assignment.claimed))

    def test_a_lone_progress_keeps_no_old_words(self) -> None:
        mailbox = Mailbox()
        mailbox.put_progress(0.1, "begun")
        mailbox.put_progress(0.2, None)
        note = mailbox.take(self.assignment(nothing).claimed)
        assert note is not None
        self.assertEqual((note.progress, note.progress_text), (0.2, None))

    def test_bad_values_are_refused_where_they_are_put(self) -> None:
        job = self.assignment(nothing).running
        for fraction in (-0.1, 1.1, float("nan"), True, "half"):
            with self.subTest(fraction=fraction), self.assertRaises(InvalidOption):
                job.progress(fraction)  # type: ignore[arg-type]
        with self.assertRaises(InvalidOption):
            job.meta["x"] = object()
        with self.assertRaises(InvalidOption):
            job.meta[3] = 1  # type: ignore[index]
        self.assertEqual(dict(job.meta), {})

    def test_any_text_can_be_logged(self) -> None:
        assignment = self.assignment(nothing)
        assignment.running.log("\udcff" + "x" * 100_000)
        note = assignment.mailbox.take(assignment.claimed)
        assert note is not None
        note.logs[0][1].encode()
        self.assertLessEqual(len(note.logs[0][1]), 10_000)


class BellCase(QuietCase):
    def bell(self) -> Bell:
        bell = Bell(None, ["default"])
        self.addCleanup(bell.close)
        return bell

    def test_rung_before_the_sleep_it_ends_it_at_once(self) -> None:
        bell = self.bell()
        bell.ring()
        self.assertTrue(bell.wait(60))
        self.assertFalse(bell.wait(0))

    def test_no_ring_is_lost_between_threads(self) -> None:
        there, back = self.bell(), self.bell()

        def answer() -> None:
            for _ in range(2000):
                there.wait(60)
                back.ring()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        for _ in range(2000):
            there.ring()
            self.assertTrue(back.wait(60))
        thread.join()

    def test_after_closing_a_ring_writes_nowhere(self) -> None:
        """The descriptor's number may belong to another file by then, the database say."""
        bell = Bell(None, ["default"])
        bell.close()
        other = folder_for(self) / "other"
        files = [other.open("wb", buffering=0) for _ in range(20)]
        bell.ring()
        for each in files:
            each.close()
        self.assertEqual(other.read_bytes(), b"")


class Options(QuietCase):
    def test_sizes_that_make_no_worker_are_refused(self) -> None:
        bad: list[dict[str, Any]] = [
            {"threads": 0}, {"threads": True}, {"async_slots": 0}, {"processes": -1}, {"max_jobs": 0},
            {"burst": 1}, {"queues": ()}, {"queues": ("",)},
        ]  # fmt: skip
        for options in bad:
            with self.subTest(**options), self.assertRaises(InvalidOption):
                WorkerOptions(**options)

    def test_they_travel_as_json(self) -> None:
        options = WorkerOptions(queues=("a", "b"), threads=3, max_jobs=5, burst=True)
        self.assertEqual(WorkerOptions.from_json(options.to_json()), options)


class TheHandClock(QuietCase):
    def test_waiting_ends_when_the_clock_is_moved(self) -> None:
        clock = HandClock()
        waited = threading.Event()

        def wait() -> None:
            clock.wait(threading.Event(), 60)
            waited.set()

        thread = threading.Thread(target=wait)
        thread.start()
        clock.advance(60)
        wait_for(waited)
        thread.join()
