"""The loop in one process: order, ends, full disks, prefetch, threads and coroutines side by side."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from unittest import mock

from litequeue import State, current_job
from litequeue.errors import DiskFull
from litequeue.job import Progress, Turn
from litequeue.storage.store import Store
from tests.support import PATIENCE_SECONDS
from tests.users.things import fail
from tests.worker.case import FileCase, until, wait_for


class Burst(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.ran: list[Any] = []

    def note(self, what: Any) -> None:
        self.ran.append(what)

    def test_a_burst_runs_all_that_is_due_and_ends(self) -> None:
        task = self.declare(self.note_task())
        for number in range(100):
            task.enqueue(number)
        later = task.using(delay=3600).enqueue(-1)
        self.burst(threads=2)
        self.assertEqual(sorted(self.ran), list(range(100)))
        self.assertEqual(self.queue.counts()[State.COMPLETED], 100)
        self.assertEqual(later.refresh().state, State.SCHEDULED)

    def test_the_order_is_priority_then_due_time_then_id(self) -> None:
        task = self.declare(self.note_task())
        plan = [(priority, number) for number in range(12) for priority in (0, 5, -1)]
        for priority, number in plan:
            task.using(priority=priority).enqueue([priority, number])
        self.burst(threads=1)
        self.assertEqual(self.ran, [list(p) for p in sorted(plan, key=lambda pn: (-pn[0], pn[1]))])

    def test_the_order_holds_also_when_jobs_are_claimed_ahead(self) -> None:
        task = self.declare(self.note_task())
        self.queue.enqueue_many(task.call(number) for number in range(1000))
        self.burst(threads=1)
        self.assertEqual(self.ran, list(range(1000)))

    def test_a_burst_on_an_empty_queue_ends(self) -> None:
        self.burst()

    def test_a_burst_on_a_paused_queue_ends_and_takes_nothing(self) -> None:
        job = self.enqueue(self.note_task(), 1)
        self.queue.pause()
        self.burst()
        self.assertEqual((self.ran, job.refresh().state), ([], State.READY))

    def test_a_burst_ends_when_all_that_its_last_failure_ends_is_ended(self) -> None:
        note = self.declare(self.note_task())
        chain: Any = self.declare(fail).call()
        for _ in range(9):
            chain = chain | note
        job = chain.enqueue()
        with mock.patch("litequeue.storage.flow.CASCADE", 2):
            self.burst()
        self.assertEqual((job.refresh().state, self.queue.counts()[State.BLOCKED]), (State.CANCELLED, 0))

    def test_a_burst_runs_the_retries_that_are_due_at_once(self) -> None:
        attempts: list[int] = []

        def stumble() -> None:
            attempts.append(1)
            if len(attempts) < 3:
                raise ValueError

        job = self.enqueue(stumble, retry=lambda failures, error: 0)
        self.burst()
        self.assertEqual((job.refresh().state, job.failures), (State.COMPLETED, 2))

    def test_a_burst_ends_with_jobs_it_can_not_resolve_and_leaves_them_ready(self) -> None:
        job = self.queue.enqueue("elsewhere:task")
        done = self.enqueue(self.note_task(), 1)
        self.burst()
        self.assertEqual((job.refresh().state, job.attempt, job.failures), (State.READY, 0, 0))
        self.assertEqual(done.refresh().state, State.COMPLETED)

    def test_what_can_not_be_resolved_does_not_hide_what_stands_behind_it(self) -> None:
        absent = self.queue.task_for("elsewhere:task")
        self.queue.enqueue_many(absent.call() for _ in range(2500))
        done = self.enqueue(self.note_task(), 1)
        self.burst()
        self.assertEqual(done.refresh().state, State.COMPLETED)

    def test_parked_jobs_are_run_by_a_worker_that_has_their_task(self) -> None:
        """With nothing else in the queue that would make it claim."""
        job = self.queue.enqueue("elsewhere:task", 1)
        self.burst()
        self.assertTrue(job.refresh().snapshot.parked)
        self.queue.task(name="elsewhere:task")(self.note_task())
        self.burst()
        self.assertEqual(job.refresh().state, State.COMPLETED)

    def test_parked_jobs_are_revived_in_a_running_worker_once_it_learns_their_task(self) -> None:
        job = self.queue.enqueue("elsewhere:task", 1)
        with self.queue.worker():
            until(lambda: job.refresh().snapshot.parked, "parking")
            self.queue.task(name="elsewhere:task")(self.note_task())
            self.assertEqual(job.wait(PATIENCE_SECONDS), State.COMPLETED)

    def test_several_queues_are_served_in_their_order(self) -> None:
        task = self.declare(self.note_task())
        for name in ("b", "a", "c"):
            for number in range(3):
                task.using(queue=name).enqueue(f"{name}{number}")
        self.burst(queues=("a", "b"))
        self.assertEqual(self.ran, ["a0", "a1", "a2", "b0", "b1", "b2"])

    def test_jobs_that_jobs_enqueue_are_run_too(self) -> None:
        def chain(left: int) -> None:
            self.ran.append(left)
            if left:
                task.enqueue(left - 1)

        task = self.declare(chain)
        task.enqueue(5)
        self.burst()
        self.assertEqual(self.ran, [5, 4, 3, 2, 1, 0])

    def test_a_bad_payload_fails_once_and_the_rest_goes_on(self) -> None:
        task = self.declare(self.note_task(), retry=5)
        broken, sound = task.enqueue(1), task.enqueue(2)
        self.change("UPDATE litequeue_job SET payload = '[[' WHERE id = ?", broken.id)
        self.burst()
        self.assertEqual((broken.refresh().state, broken.reason), (State.FAILED, "error"))
        self.assertEqual((len(broken.errors), sound.refresh().state), (1, State.COMPLETED))

    def test_a_lost_side_payload_fails_once_and_the_rest_goes_on(self) -> None:
        task = self.declare(self.note_task())
        broken, sound = task.enqueue("x" * 10_000), task.enqueue(2)
        self.change("DELETE FROM litequeue_blob")
        self.burst()
        self.assertEqual((broken.refresh().state, sound.refresh().state), (State.FAILED, State.COMPLETED))

    def note_task(self) -> Any:
        def note(what: Any) -> None:
            self.ran.append(what)

        return note


class MaxJobs(FileCase):
    def test_exactly_so_many_are_run_whatever_was_claimed_ahead(self) -> None:
        def quick(number: int) -> None:
            ran.append(number)

        for most, threads in ((1, 1), (7, 1), (150, 2)):
            with self.subTest(most=most, threads=threads):
                ran: list[int] = []
                task = self.declare(quick)
                self.queue.delete()
                self.queue.enqueue_many(task.call(number) for number in range(300))
                worker = self.queue.worker(max_jobs=most, threads=threads).start()
                self.assertTrue(worker.join(PATIENCE_SECONDS))
                counts = self.queue.counts()
                self.assertEqual((len(ran), counts[State.COMPLETED]), (most, most))
                self.assertEqual(counts[State.READY], 300 - most)

    def test_what_was_given_back_does_not_count(self) -> None:
        """Quick jobs are claimed ahead; a sudden slow one has them given back, and they still count once."""
        hold, began = self.events(2)
        ran: list[int] = []

        def quick(number: int) -> None:
            ran.append(number)
            if number == 50:
                began.set()
                hold.wait()

        task = self.declare(quick)
        self.queue.enqueue_many(task.call(number) for number in range(300))
        worker = self.queue.worker(max_jobs=100).start()
        wait_for(began)
        until(lambda: self.queue.counts()[State.RUNNING] == 1, "giving back")
        hold.set()
        self.assertTrue(worker.join(PATIENCE_SECONDS))
        self.assertEqual((len(ran), self.queue.counts()[State.COMPLETED]), (100, 100))

    def test_coroutines_count_too(self) -> None:
        async def work() -> None:
            await asyncio.sleep(0)

        for most, threads in ((1, 1), (5, 2)):
            with self.subTest(most=most):
                self.queue.delete()
                self.queue.enqueue_many(self.declare(work).call() for _ in range(20))
                worker = self.queue.worker(max_jobs=most, threads=threads).start()
                self.assertTrue(worker.join(PATIENCE_SECONDS))
                self.assertEqual(self.queue.counts()[State.COMPLETED], most)

    def test_a_mixture_counts_together(self) -> None:
        async def other() -> None:
            await asyncio.sleep(0)

        def plain() -> None: ...

        tasks = self.declare(plain), self.declare(other)
        self.queue.enqueue_many(tasks[number % 2].call() for number in range(40))
        worker = self.queue.worker(max_jobs=15, threads=2).start()
        self.assertTrue(worker.join(PATIENCE_SECONDS))
        self.assertEqual(self.queue.counts()[State.COMPLETED], 15)


class Mixed(FileCase):
    def test_coroutines_run_while_every_thread_is_taken(self) -> None:
        hold, began = self.events(2)

        def slow() -> None:
            began.set()
            hold.wait()

        async def quick() -> str:
            await asyncio.sleep(0)
            return "done"

        self.enqueue(slow)
        with self.queue.worker(threads=1):
            wait_for(began)
            self.assertEqual(self.enqueue(quick).result(PATIENCE_SECONDS), "done")
            hold.set()

    def test_threads_run_while_every_slot_of_the_event_loop_is_taken(self) -> None:
        hold, began = self.events(2)

        async def slow() -> None:
            began.set()
            while not hold.is_set():
                await asyncio.sleep(0.001)

        def quick() -> str:
            return "done"

        task = self.declare(slow)
        self.queue.enqueue_many(task.call() for _ in range(20))
        with self.queue.worker(threads=1, async_slots=2):
            wait_for(began)
            self.assertEqual(self.enqueue(quick).result(PATIENCE_SECONDS), "done")
            self.assertEqual(self.queue.counts()[State.RUNNING], 2)
            hold.set()

    def test_many_coroutines_run_at_once(self) -> None:
        together: set[int] = set()
        most: list[int] = [0]

        async def meet() -> None:
            job = current_job()
            assert job is not None
            together.add(job.id)
            most[0] = max(most[0], len(together))
            while most[0] < 50:
                await asyncio.sleep(0.001)
            together.discard(job.id)

        task = self.declare(meet)
        self.queue.enqueue_many(task.call() for _ in range(50))
        self.burst(async_slots=50)
        self.assertEqual(self.queue.counts()[State.COMPLETED], 50)

    def test_jobs_of_a_slow_task_are_never_held_back_from_other_workers(self) -> None:
        hold, began = self.events(2)

        def slow() -> None:
            began.set()
            hold.wait()

        task = self.declare(slow)
        self.queue.enqueue_many(task.call() for _ in range(10))
        with self.queue.worker(threads=1):
            wait_for(began)
            self.assertEqual(self.queue.counts()[State.RUNNING], 1)
            hold.set()
            until(lambda: self.queue.counts()[State.COMPLETED] == 10)

    def test_what_waits_behind_a_sudden_slow_job_is_given_back_uncharged(self) -> None:
        hold, began = self.events(2)

        def moody(number: int) -> None:
            if number == 200:
                began.set()
                hold.wait()

        task = self.declare(moody)
        jobs = self.queue.enqueue_many(task.call(number) for number in range(400))
        with self.queue.worker(threads=1):
            wait_for(began)
            until(lambda: self.queue.counts()[State.RUNNING] == 1, "giving back")
            left = [job.refresh() for job in jobs[201:]]
            self.assertEqual({job.state for job in left}, {State.READY})
            self.assertEqual({(job.failures, job.snapshot.crashes) for job in left}, {(0, 0)})
            hold.set()
            until(lambda: self.queue.counts()[State.COMPLETED] == 400)

    def test_every_job_of_many_is_run_once_by_two_workers(self) -> None:
        ran: list[int] = []

        def work(number: int) -> None:
            ran.append(number)

        task = self.declare(work)
        self.queue.enqueue_many(task.call(number) for number in range(1000))
        other = self.make_queue()
        other.task(name="work")(work)
        with self.queue.worker(threads=2), other.worker(threads=2):
            until(lambda: self.queue.counts()[State.COMPLETED] == 1000)
        self.assertEqual(sorted(ran), list(range(1000)))


class Tiny(FileCase):
    """Jobs so short that one thread and one turn are left to a line of them."""

    def test_a_slow_job_among_them_holds_up_none(self) -> None:
        (stop,) = self.events(1)
        task = self.declare(self.waiting(stop))
        self.queue.enqueue_many(task.call(number == 700) for number in range(1400))
        with self.queue.worker(threads=2):
            until(lambda: self.queue.counts()[State.COMPLETED] == 1399, "all but the slow one")
            self.assertEqual(self.queue.counts()[State.RUNNING], 1)
            stop.set()
        self.assertEqual(self.queue.counts()[State.COMPLETED], 1400)

    def test_all_threads_stuck_are_told_from_an_empty_line(self) -> None:
        (stop,) = self.events(1)
        task = self.declare(self.waiting(stop))
        self.queue.enqueue_many(task.call(number > 500) for number in range(520))
        with self.queue.worker(threads=3, grace=0):
            until(lambda: self.queue.counts()[State.COMPLETED] == 501, "the tiny ones")
            until(lambda: self.queue.counts()[State.RUNNING] == 3, "the line behind them is given back")

    def test_what_ends_alone_is_settled_though_others_wait(self) -> None:
        (stop,) = self.events(1)
        task = self.declare(self.waiting(stop))
        first = self.queue.enqueue_many(task.call(False) for _ in range(300))
        with self.queue.worker(threads=1):
            until(lambda: first[-1].refresh().state is State.COMPLETED, "the stream")
            last = task.enqueue(False)
            until(lambda: last.refresh().state is State.COMPLETED, "the last one")
            held = task.enqueue(True)
            done = task.enqueue(False)
            until(lambda: held.refresh().state is State.RUNNING, "the held one")
            stop.set()
            until(lambda: done.refresh().state is State.COMPLETED, "the one behind it")

    def waiting(self, stop: threading.Event) -> Any:
        def tiny(is_slow: bool) -> None:
            if is_slow:
                stop.wait(PATIENCE_SECONDS)

        return tiny


class Trouble(FileCase):
    """The disk is full, for a while."""

    def full_disk(self, *, from_turn: int, turns: int) -> Any:
        """Let some of the turns of this process fail as on a full disk, from the first that settles."""
        original, seen = Store.take_turn, [0]

        def take_turn(store: Store, worker: int, turn: Turn) -> Progress:
            if turn.settlements:
                seen[0] += 1
                if from_turn <= seen[0] < from_turn + turns:
                    raise DiskFull("there is no room left")
            return original(store, worker, turn)

        return mock.patch.multiple("litequeue.worker.loop", _RETRY_PAUSE=0.01), mock.patch.object(
            Store, "take_turn", take_turn
        )

    def test_what_has_ended_is_kept_and_written_when_there_is_room(self) -> None:
        ran: list[int] = []

        def work(number: int) -> int:
            ran.append(number)
            job = current_job()
            assert job is not None
            job.log(f"line {number}")
            return number * 2

        task = self.declare(work)
        jobs = self.queue.enqueue_many(task.call(number) for number in range(20))
        pause, full = self.full_disk(from_turn=1, turns=3)
        with pause, full:
            self.burst(threads=2)
        self.assertEqual(sorted(ran), list(range(20)))  # none was run again
        self.assertEqual([job.result(0) for job in jobs], [number * 2 for number in range(20)])
        self.assertEqual([job.log[0].text for job in jobs], [f"line {number}" for number in range(20)])

    def test_it_is_said_once(self) -> None:
        self.enqueue(nothing)
        pause, full = self.full_disk(from_turn=1, turns=5)
        with pause, full, self.assertLogs("litequeue", "ERROR") as logs:
            self.burst()
        self.assertEqual(len([line for line in logs.output if "no room left" in line]), 1)

    def test_the_end_of_it_is_said_once_too(self) -> None:
        self.enqueue(nothing)
        pause, full = self.full_disk(from_turn=1, turns=5)
        with pause, full, self.assertLogs("litequeue", "WARNING") as logs:
            self.burst()
        self.assertEqual(
            [line.split()[0] for line in logs.output], ["ERROR:litequeue:hold", "WARNING:litequeue:resume"]
        )

    def test_what_waits_in_line_does_not_begin_meanwhile(self) -> None:
        """Quick jobs are claimed ahead; the disk is known to be full from the first turn that fails."""
        ran: list[int] = []
        begun: list[int] = []
        full, never = threading.Event(), threading.Event()
        original = Store.take_turn

        def take_turn(store: Store, worker: int, turn: Turn) -> Progress:
            if full.is_set():
                begun.append(len(ran))
                if len(begun) < 10:
                    raise DiskFull("no room")
            return original(store, worker, turn)

        def quick(number: int) -> None:
            ran.append(number)
            if number == 60:
                full.set()
            never.wait(0.002)

        task = self.declare(quick)
        self.queue.enqueue_many(task.call(number) for number in range(120))
        pause = mock.patch("litequeue.worker.loop._RETRY_PAUSE", 0.01)
        with pause, mock.patch.object(Store, "take_turn", take_turn):
            self.burst()
        self.assertEqual(set(begun[1:10]), {begun[1]})
        self.assertEqual(sorted(ran), list(range(120)))

    def test_failed_arguments_are_kept_too(self) -> None:
        job = self.enqueue(nothing)
        self.change("UPDATE litequeue_job SET payload = '[['")
        pause, full = self.full_disk(from_turn=1, turns=2)
        with pause, full:
            self.burst()
        self.assertEqual(job.refresh().state, State.FAILED)

    def test_a_stop_while_the_disk_is_full_still_writes_when_there_is_room(self) -> None:
        hold, began = self.events(2)

        def work() -> str:
            began.set()
            hold.wait()
            return "kept"

        job = self.enqueue(work)
        pause, full = self.full_disk(from_turn=1, turns=3)
        with pause, full:
            worker = self.queue.worker().start()
            wait_for(began)
            worker.stop()
            hold.set()
            self.assertTrue(worker.join(PATIENCE_SECONDS))
        self.assertEqual(job.result(0), "kept")

    def test_a_stop_that_can_not_be_announced_is_a_stop_all_the_same(self) -> None:
        hold, began = self.events(2)

        def work() -> str:
            began.set()
            hold.wait()
            return "kept"

        job = self.enqueue(work)
        refused = mock.patch(
            "litequeue.storage.workers.Workers.announce_stop", side_effect=DiskFull("no room")
        )
        with refused:
            worker = self.queue.worker().start()
            wait_for(began)
            worker.stop()
            hold.set()
            self.assertTrue(worker.join(PATIENCE_SECONDS))
        self.assertEqual(job.result(0), "kept")

    def test_a_look_that_fails_does_not_end_the_worker(self) -> None:
        """Reading can fail as writing can; a background worker that ended for it would be missed late."""
        looks: list[int] = []
        original = Store.parked_tasks

        def parked_tasks(store: Store, queues: Any) -> Any:
            looks.append(1)
            if len(looks) <= 2:
                raise DiskFull("no room for the index of the log")
            return original(store, queues)

        job = self.enqueue(nothing)
        pause = mock.patch("litequeue.worker.loop._RETRY_PAUSE", 0.01)
        with pause, mock.patch.object(Store, "parked_tasks", parked_tasks):
            self.burst()
        self.assertEqual(job.refresh().state, State.COMPLETED)

    def test_a_start_that_can_not_be_noted_gives_the_job_back_and_it_runs_later(self) -> None:
        ran: list[int] = []
        original, tries = Store.start, [0]

        def work() -> None:
            ran.append(1)

        def start(store: Store, begun: Any) -> None:
            tries[0] += 1
            if tries[0] <= 2:
                raise DiskFull("no room")
            original(store, begun)

        for ack in ("early", None):  # None: as when it is enqueued by its name
            tries[0] = 0
            job = self.declare(work, ack="early").enqueue()
            self.change("UPDATE litequeue_job SET ack = ? WHERE state = 'ready'", ack)
            with mock.patch.object(Store, "start", start), self.queue.worker():
                self.assertEqual(job.wait(PATIENCE_SECONDS), State.COMPLETED)
        self.assertEqual(len(ran), 2)


class Drain(FileCase):
    def test_drain_runs_plain_and_async_tasks_in_order(self) -> None:
        ran: list[int] = []

        def plain(number: int) -> None:
            ran.append(number)

        async def other(number: int) -> None:
            ran.append(number)

        tasks = self.declare(plain), self.declare(other)
        for number in range(6):
            tasks[number % 2].enqueue(number)
        self.assertEqual((self.queue.drain(), ran), (6, [0, 1, 2, 3, 4, 5]))

    def test_drain_commits_a_tasks_transaction(self) -> None:
        self.change("CREATE TABLE ledger (x)")

        def work() -> int:
            job = current_job()
            assert job is not None
            with job.transaction() as connection:
                connection.execute("INSERT INTO ledger VALUES (1)")
            return 7

        job = self.enqueue(work)
        self.assertEqual((self.queue.drain(), job.result(0)), (1, 7))
        self.assertEqual(self.value("SELECT count(*) FROM ledger"), 1)

    def test_drain_stops_at_its_limit(self) -> None:
        task = self.declare(nothing)
        self.queue.enqueue_many(task.call() for _ in range(5))
        self.assertEqual((self.queue.drain(limit=2), self.queue.counts()[State.READY]), (2, 3))


def nothing() -> None:
    """A task that does nothing."""
