"""Ctrl-C at every moment of what a program does with a queue: nothing is half done, nothing stays locked."""

from __future__ import annotations

import fcntl
import gc
import os
import sqlite3
import sys
import threading
import unittest
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from itertools import count
from typing import Any
from unittest import mock

from litequeue import Job, JobCancelled, Queue, State, current_job
from litequeue.clock import SystemClock
from litequeue.errors import DatabaseError
from litequeue.storage import forks, sidefile
from litequeue.storage.checks import broken
from litequeue.tasks import Task
from tests.moments import each_interrupt, each_moment
from tests.repository import PACKAGE
from tests.support import PATIENCE_SECONDS, together
from tests.users.case import QueueCase
from tests.users.things import echo
from tests.worker.case import until


class InterruptCase(QueueCase):
    long_step = 11  # of works with hundreds of moments; `python -m tests.soak misdeeds` tries every one

    def setUp(self) -> None:
        super().setUp()
        self.task: Task[..., Any] = self.queue.task(echo)
        self.task.enqueue()  # opens the file
        self.queue.counts()
        self.stranger = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        self.addCleanup(self.stranger.close)
        self.let_go: Callable[[], object] = lambda: None  # of what the work had to wait for
        self.unraisable: list[Any] = []
        hook = mock.patch.object(sys, "unraisablehook", self.unraisable.append)
        hook.start()
        self.addCleanup(hook.stop)

    def tearDown(self) -> None:
        super().tearDown()
        self.assertEqual(broken(self.stranger), [])
        # What strikes Python itself while it closes a generator is told by it, and goes no further.
        others = [each for each in self.unraisable if not isinstance(each.exc_value, KeyboardInterrupt)]
        self.assertEqual(others, [])

    def stored(self, mark: int) -> int:
        """How many jobs there are with this argument."""
        query = "SELECT count(*) FROM litequeue_job WHERE payload = ?"
        return int(self.stranger.execute(query, (f"[[{mark}],{{}}]",)).fetchone()[0])

    def require_free(self) -> None:
        """Others write at once: another program, another thread, and this one."""
        self.let_go()
        self.stranger.execute("BEGIN IMMEDIATE")
        self.stranger.execute("ROLLBACK")
        self.require_no_turn()
        thread = threading.Thread(target=self.task.enqueue, daemon=True)
        thread.start()
        thread.join(PATIENCE_SECONDS)
        self.assertFalse(thread.is_alive(), "another thread can not write")
        self.task.enqueue()

    def require_no_turn(self) -> None:
        """Nobody is left standing at the head of the writers' queue."""
        if sidefile.supported():
            side = sidefile.SideFile(f"{self.path}-lock")
            side._set(fcntl.F_WRLCK, sidefile._TURN, fcntl.F_OFD_SETLK)
            side.close()

    def interrupt(
        self,
        work: Callable[[int], object],
        jobs: int,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
        *,
        also_meanwhile: bool = True,
    ) -> int:
        """Interrupt the work at every moment; all the jobs it adds are stored, or none. How many moments."""
        marks = count(1000)
        mark = 0

        def attempt() -> None:
            nonlocal mark
            mark = next(marks)
            work(mark)

        moments = 0
        meanwhile = self.require_free if also_meanwhile else lambda: None
        for place in each_interrupt(attempt, meanwhile, around):
            moments += 1
            with self.subTest(place):
                self.require_free()
                self.assertIn(self.stored(mark), (0, jobs))
        self.assertEqual(self.stored(mark), jobs)  # the last one was not interrupted any more
        return moments


class Napping(SystemClock):
    """A clock on which no time is slept away."""

    def __init__(self, nap: Callable[[], object]) -> None:
        self._nap = nap

    def sleep(self, seconds: float) -> None:
        self._nap()


class Interrupted(InterruptCase):
    def test_an_enqueue(self) -> None:
        self.assertGreater(self.interrupt(self.task.enqueue, 1), 50)

    def test_many_at_once(self) -> None:
        def work(mark: int) -> None:
            self.queue.enqueue_many([self.task.call(mark), self.task.using(priority=1).call(mark)])

        self.interrupt(work, 2)

    def test_a_bounded_queue(self) -> None:
        queue = self.make_queue(maxsize=10_000)
        self.task = queue.task(echo)
        self.task.enqueue()
        self.interrupt(self.task.enqueue, 1)

    def test_a_transaction(self) -> None:
        def work(mark: int) -> None:
            with self.queue.transaction():
                self.task.enqueue(mark)
                self.task.enqueue(mark)

        self.interrupt(work, 2, also_meanwhile=False)

    def test_an_enqueue_that_waits_for_another_program(self) -> None:
        def nap() -> None:
            self.naps += 1
            if self.naps == 3:
                self.let_go()

        @contextmanager
        def blocked() -> Iterator[None]:
            self.naps = 0
            self.stranger.execute("BEGIN IMMEDIATE")
            yield
            self.let_go()

        self.let_go = lambda: self.stranger.in_transaction and self.stranger.execute("ROLLBACK")
        with mock.patch.object(self.queue.desk.database._patience, "_clock", Napping(nap)):
            self.interrupt(self.task.enqueue, 1, blocked)

    def test_an_enqueue_that_waits_for_another_thread(self) -> None:
        self.interrupt(self.task.enqueue, 1, lambda: self.beside(1))

    def test_an_enqueue_whose_commit_another_thread_makes(self) -> None:
        self.interrupt(self.task.enqueue, 1, lambda: self.beside(2))

    @contextmanager
    def beside(self, waiting: int) -> Iterator[None]:
        """Within the block a thread has a transaction open, until so many wait for it."""
        gate = self.queue.desk.database._gate
        is_open, is_over = threading.Event(), threading.Event()

        def keep() -> None:
            with self.queue.transaction():
                is_open.set()
                until(lambda: len(gate._waiting) >= waiting or is_over.is_set())

        def let_go() -> None:
            is_over.set()
            for thread in threads:
                thread.join(PATIENCE_SECONDS)
                self.assertFalse(thread.is_alive())

        threads = [threading.Thread(target=keep, daemon=True)]
        threads += [threading.Thread(target=self.task.enqueue, daemon=True) for _ in range(waiting - 1)]
        threads[0].start()
        is_open.wait(PATIENCE_SECONDS)
        for number, thread in enumerate(threads[1:], 1):
            thread.start()
            until(lambda number=number: len(gate._waiting) >= number)  # type: ignore[misc]
        self.let_go = let_go
        yield
        let_go()

    def test_a_read(self) -> None:
        self.interrupt(lambda _: self.queue.counts(), 0)

    def test_a_wait_for_a_result(self) -> None:
        """Which any number of naps is a part of."""

        def nap() -> None:
            self.naps += 1
            if self.naps == 3:
                self.queue.desk.store.cancel(jobs[-1].id)

        @contextmanager
        def waiting() -> Iterator[None]:
            self.naps = 0
            jobs.append(self.task.enqueue())
            yield

        def work(_: int) -> None:
            with suppress(JobCancelled):
                jobs[-1].result(timeout=10)

        jobs: list[Job[Any]] = []
        with mock.patch.object(self.queue.desk, "clock", Napping(nap)):
            self.interrupt(work, 0, waiting)

    def test_a_drain(self) -> None:
        self.drain(self.task)

    def test_a_drain_whose_task_writes_through_its_transaction(self) -> None:
        self.drain(self.queue.task(write))

    def drain(self, task: Task[..., Any]) -> None:
        """Interrupt a drain: what it had claimed is ready again or done, and no worker is left behind."""

        @contextmanager
        def one_job() -> Iterator[None]:
            self.queue.delete()
            task.enqueue()
            yield

        for place in each_interrupt(self.queue.drain, around=one_job, step=self.long_step):
            with self.subTest(place):
                self.require_free()
                self.assertEqual((self.queue.counts()[State.RUNNING], self.queue.workers()), (0, []))
                self.assertIsNone(current_job())

    def test_the_first_use_of_a_file(self) -> None:
        @contextmanager
        def named() -> Iterator[None]:
            queues.append(Queue(self.folder / f"{len(queues)}.db"))
            yield
            queues[-1].enqueue(echo)

        def descriptors() -> int:
            gc.collect()
            return len(os.listdir("/dev/fd"))

        queues: list[Queue] = []
        before = descriptors()
        warnings.simplefilter("ignore", ResourceWarning)  # a file that is being opened is closed without with
        for place in each_interrupt(lambda: queues[-1].enqueue(echo), around=named, step=self.long_step):
            with self.subTest(place), closing(queues[-1]), sqlite3.connect(queues[-1].path) as connection:
                self.assertEqual(broken(connection), [])
            connection.close()
        queues[-1].close()  # the one that was not interrupted any more
        # An os.open may be struck before anybody has what it gave.
        self.assertLessEqual(descriptors(), before + 3)

    @unittest.skipUnless(hasattr(os, "fork"), "there is no fork here")
    def test_a_fork(self) -> None:
        """Python tells of what strikes its hooks around a fork, and goes on."""
        me = os.getpid()

        def fork() -> None:
            child = 0
            try:
                child = os.fork()
            finally:
                if os.getpid() != me:
                    os._exit(0)
            os.waitpid(child, 0)

        def strike(place: str) -> None:
            if f"{PACKAGE}/" in place:  # the logging module's own hook would leave its lock shut
                struck.append(place)
                raise KeyboardInterrupt

        struck: list[str] = []
        ours = {self.queue.desk.database, self.queue.desk.minutes}
        # What other tests have left open would have its part in each fork, and moments of its own.
        self.enterContext(mock.patch.object(forks, "_watched", lambda: ours))
        for moment in each_moment(fork, strike):
            with self.subTest(moment):
                self.require_free()
                self.assertEqual(self.queue.counts()[State.RUNNING], 0)
        self.assertGreater(len(struck), 10)

    def test_closing(self) -> None:
        @contextmanager
        def opened() -> Iterator[None]:
            queues.append(Queue(self.path))
            queues[-1].counts()
            yield

        queues: list[Queue] = []

        def close() -> None:
            queues[-1].close()

        for place in each_interrupt(close, around=opened):
            with self.subTest(place):
                self.require_free()
                queues[-1].close()


class Handlers(InterruptCase):
    """A signal's handler, or a `__del__` that the garbage collector calls, uses the queue at every moment."""

    def test_enqueue_during_an_enqueue(self) -> None:
        self.enqueue_during(self.task.enqueue)

    def test_enqueue_during_a_bulk(self) -> None:
        self.enqueue_during(lambda: self.queue.enqueue_many([self.task.call(), self.task.call()]))

    def test_enqueue_during_a_transaction(self) -> None:
        def work() -> None:
            with self.queue.transaction():
                self.task.enqueue()

        self.enqueue_during(work)

    def test_enqueue_during_a_read(self) -> None:
        self.assertEqual(self.enqueue_during(self.queue.counts), 0)

    def test_enqueue_during_the_first_use(self) -> None:
        def work() -> None:
            self.queue = Queue(self.path)
            self.task = self.queue.task(echo)
            self.task.enqueue()

        self.enqueue_during(work, step=self.long_step)

    def test_read_during_an_enqueue(self) -> None:
        self.assertEqual(self.during(self.task.enqueue, self.queue.counts), 0)

    def enqueue_during(self, work: Callable[[], object], *, step: int = 1) -> int:
        def enqueue() -> Job[Any]:
            return self.task.enqueue()  # of the queue that is opened by then

        return self.during(work, enqueue, step=step)

    def during(self, work: Callable[[], object], handle: Callable[[], object], *, step: int = 1) -> int:
        """Do something in the middle of the work; how often that was refused. What was not is stored."""
        refused = 0

        def strike(_: str) -> None:
            nonlocal refused
            try:
                done = handle()
            except DatabaseError as error:
                self.assertRegex(str(error), "this thread is in the middle of a write|has a transaction open")
                refused += 1
            else:
                if isinstance(done, Job):
                    acknowledged.append(done)

        def run(_: int) -> None:
            for _ in each_moment(work, strike, step=step):
                self.require_free()

        acknowledged: list[Job[Any]] = []
        together(1, run)  # on a thread that can be left hanging
        for job in acknowledged:
            self.assertEqual(job.refresh().state, State.READY)
        return refused


def write() -> None:
    """Write through the transaction of the job."""
    job = current_job()
    assert job is not None
    with job.transaction() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS ledger (attempt)")
