"""The heartbeat by hand: a clock that is moved, a host that only remembers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from litequeue import State
from litequeue.clock import SECOND
from litequeue.context import Mailbox
from litequeue.errors import DatabaseError, DiskFull
from litequeue.job import Claimed, NewWorker, Want
from litequeue.storage.store import Store
from litequeue.testing import HandClock
from litequeue.worker.execution import Execution
from litequeue.worker.heartbeat import Heartbeat
from litequeue.worker.limits import Limits
from litequeue.worker.outcome import Assignment
from litequeue.worker.teller import Teller
from litequeue.worker.trouble import Trouble
from tests.worker.case import MAX_PAYLOAD, FileCase, Shelf, until

LEASE = 30 * SECOND


class Host:
    """What the heartbeat tells the loop."""

    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.settled = 0
        self.trouble = Trouble(self)
        self.assignments: list[Assignment] = []
        self.asked: list[tuple[int, int]] = []
        self.lost: list[int] = []
        self.given_up: list[DatabaseError] = []

    def running(self) -> Iterable[Assignment]:
        return self.assignments

    def ask_to_stop(self, job: int, attempt: int) -> None:
        self.asked.append((job, attempt))

    def lose(self, worker: int) -> None:
        self.lost.append(worker)

    def give_up(self, error: DatabaseError) -> None:
        self.given_up.append(error)


class Beats(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = HandClock()
        self.queue = self.make_queue(clock=self.clock)
        self.desk = self.queue.desk
        self.host = Host(self.sign_on())
        self.heartbeat = Heartbeat(self.desk, self.host, LEASE, Teller(self.desk, lambda name: None))

    def sign_on(self) -> int:
        return self.desk.workers.sign_on(NewWorker("w", 1, ("default",), 1, LEASE), locked=False)

    def claim(self, worker: int) -> Claimed:
        (job,) = self.desk.store.claim(worker, [Want("default", 1, 1)]).jobs
        return job

    def assignment(self) -> Assignment:
        """A job that this worker runs."""
        task = self.declare(nothing)
        task.enqueue()
        execution = Execution(self.clock, Limits(self.clock, lambda *_: True), MAX_PAYLOAD, Shelf())
        prepared = execution.prepare(self.claim(self.host.worker), task, None, Mailbox())
        assert isinstance(prepared, Assignment)
        self.host.assignments.append(prepared)
        return prepared

    def after_a_tick(self, seen: object) -> object:
        """Let a quarter of a second pass; what was seen before."""
        self.clock.advance(0.25)
        return seen

    def beat_for(self, seconds: float) -> None:
        """Let time pass, with a beat every second."""
        for _ in range(round(seconds)):
            self.clock.advance(1)
            self.heartbeat.beat()

    def lease_left(self) -> float:
        (info,) = [each for each in self.desk.reports.workers() if each.id == self.host.worker]
        return (info.lease_until - self.clock.monotonic()) / SECOND

    def test_the_lease_is_renewed_at_a_third_of_its_length(self) -> None:
        self.clock.advance(9)
        self.heartbeat.beat()
        self.assertEqual(self.lease_left(), 21)
        self.clock.advance(1)
        self.heartbeat.beat()
        self.assertEqual(self.lease_left(), 30)

    def test_a_renewal_that_failed_is_tried_again_with_the_next_beat(self) -> None:
        self.clock.advance(10)
        full = mock.patch.object(type(self.desk.workers), "renew", side_effect=DiskFull("no room"))
        with full, self.assertRaises(DiskFull):
            self.heartbeat.beat()
        self.heartbeat.beat()
        self.assertEqual(self.lease_left(), 30)

    def test_notes_that_can_not_be_stored_neither_stop_the_renewal_nor_are_lost(self) -> None:
        running = self.assignment().running
        running.log("one")
        running.progress(0.1, "old")
        self.clock.advance(10)
        full = mock.patch.object(Store, "take_turn", side_effect=DiskFull("no room"))
        with full, self.assertRaises(DiskFull):
            self.heartbeat.beat()
        self.assertEqual(self.lease_left(), 30)
        running.log("two")
        running.progress(0.2, "new")
        self.heartbeat.beat()
        job = self.queue.job(running.id)
        self.assertEqual([line.text for line in job.log], ["one", "two"])
        self.assertEqual((job.progress, job.progress_text), (0.2, "new"))

    def test_a_worker_that_was_reaped_is_told(self) -> None:
        self.change("DELETE FROM litequeue_worker")
        self.clock.advance(10)
        self.heartbeat.beat()
        self.assertEqual(self.host.lost, [self.host.worker])

    def test_a_request_to_cancel_is_passed_on(self) -> None:
        lease = self.assignment().lease
        self.queue.job(lease.job).cancel()
        self.heartbeat.beat()
        self.assertEqual(self.host.asked, [(lease.job, lease.attempt)])

    def test_a_worker_whose_lease_ended_is_reaped_and_one_that_renews_is_not(self) -> None:
        self.declare(nothing).enqueue()
        other = self.sign_on()
        job = self.queue.job(self.claim(other).lease.job)
        self.beat_for(29)
        self.assertEqual(job.refresh().state, State.RUNNING)
        self.beat_for(1)
        self.assertEqual((job.refresh().state, job.snapshot.crashes), (State.READY, 1))
        self.assertEqual([worker.id for worker in self.queue.workers()], [self.host.worker])

    def test_what_held_it_up_itself_is_held_to_have_held_up_the_others(self) -> None:
        """A disk that was full for longer than a lease: whoever is first must not reap the rest."""
        self.declare(nothing).enqueue()
        other = self.sign_on()
        job = self.queue.job(self.claim(other).lease.job)
        full = mock.patch.object(type(self.desk.workers), "renew", side_effect=DiskFull("no room"))
        with full:
            for _ in range(40):
                self.clock.advance(1)
                with contextlib.suppress(DiskFull):
                    self.heartbeat.beat()
        self.beat_for(1)
        self.assertEqual(job.refresh().state, State.RUNNING)
        self.desk.workers.renew(other, LEASE)
        self.beat_for(29)
        self.assertEqual(job.refresh().state, State.RUNNING)
        self.beat_for(2)
        self.assertEqual(job.refresh().state, State.READY)

    def test_one_that_is_always_late_reaps_all_the_same(self) -> None:
        self.sign_on()
        for _ in range(5):
            self.clock.advance(11)
            self.heartbeat.beat()
        self.assertEqual({worker.id for worker in self.queue.workers()}, {self.host.worker})

    def test_a_wall_clock_set_back_ends_no_lease_and_freezes_none(self) -> None:
        other = self.sign_on()
        self.clock.set_wall(datetime(2029, 1, 1, tzinfo=UTC))
        self.heartbeat.beat()
        self.assertEqual({worker.id for worker in self.queue.workers()}, {self.host.worker, other})
        self.beat_for(30)
        self.assertEqual({worker.id for worker in self.queue.workers()}, {self.host.worker})

    def test_pruning_keeps_up_in_larger_steps_and_never_keeps_a_beat(self) -> None:
        steps: list[int] = []

        def prune(store: Store, limit: int) -> int:
            steps.append(limit)
            self.clock.advance(0.03)
            return limit if len(steps) < 40 else 0

        breath = mock.patch.object(self.clock, "wait", return_value=False)
        with mock.patch.object(Store, "prune", prune), breath:
            self.clock.advance(1)
            for _ in range(4):
                before = len(steps)
                self.heartbeat.beat()
                self.assertLessEqual(len(steps) - before, 9)  # a quarter of a second, and no more
        self.assertEqual(steps[0], 1000)
        self.assertEqual(steps, sorted(steps))
        self.assertGreater(steps[-1], 2000)

    def test_an_idle_worker_seldom_looks_for_what_to_prune(self) -> None:
        with mock.patch.object(Store, "prune", return_value=0) as prune:
            for settled, seconds, looks in ((1, 1, 1), (2, 1, 2), (2, 1, 3), (2, 5, 3), (2, 5, 4)):
                self.host.settled = settled
                self.clock.advance(seconds)
                self.heartbeat.beat()
                self.assertEqual(prune.call_count, looks)

    def test_no_error_of_any_kind_ends_it(self) -> None:
        beats: list[int] = []
        ended = threading.Event()

        def beat(heartbeat: Any) -> None:
            beats.append(1)
            if len(beats) == 1:
                raise OSError("a lock that can not be asked for")
            ended.set()

        with mock.patch.object(Heartbeat, "beat", beat), self.assertLogs("litequeue", "ERROR") as logs:
            self.heartbeat.start()
            until(lambda: self.after_a_tick(ended.is_set()), "the next beat")
            self.heartbeat.stop()
        self.assertEqual(len(logs.output), 1)

    def test_a_file_that_was_replaced_is_given_up(self) -> None:
        self.path.rename(self.folder / "elsewhere.db")
        self.heartbeat.start()
        until(lambda: self.after_a_tick(self.host.given_up), "giving up")
        self.heartbeat.stop()


class Import(FileCase):
    def test_a_script_that_exits_when_imported_does_not_take_the_worker_down(self) -> None:
        (self.folder / "litequeue_exits.py").write_text("import sys\nsys.exit(3)\n")
        job, good = self.queue.enqueue("litequeue_exits:task"), self.enqueue(nothing)
        with mock.patch("os.getcwd", return_value=str(self.folder)):
            self.burst()
        self.assertEqual((job.refresh().state, good.refresh().state), (State.READY, State.COMPLETED))


def nothing() -> None:
    """A task that does nothing."""
