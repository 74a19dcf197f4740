"""Queues that a program declares at import lie elsewhere during a test, and nothing is left of it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from typing import Any

from litequeue import Job, Messages, Queue, QueueClosed, Retry, ShutDown, Task, current_job
from litequeue.clock import SystemClock
from litequeue.testing import HandClock, assert_enqueued, enqueued, in_file, in_memory, run
from tests.support import PATIENCE_SECONDS
from tests.users.case import QueueCase
from tests.users.things import add, fail, later


class PlaceCase(QueueCase):
    """A module's queue and tasks, as they are declared when it is imported."""

    def setUp(self) -> None:
        super().setUp()
        self.add: Task[..., int] = self.queue.task(add)


class TestInMemory(PlaceCase):
    def test_tasks_of_the_module_use_it_and_its_own_file_is_not_made(self) -> None:
        with in_memory(self.queue) as clock:
            self.assertIsInstance(clock, HandClock)
            job = self.add.using(delay=3600).enqueue(1)
            self.assertEqual((repr(self.queue), self.queue.drain()), ("<Queue 'default' in :memory:>", 0))
            clock.advance(3600)
            self.assertEqual((self.queue.drain(), job.result()), (1, 2))
        self.assertEqual(self.contents(), {})
        self.assertEqual((self.queue.path, self.queue.clock), (str(self.path), self.clock))

    def test_each_block_begins_empty_and_the_own_file_is_theirs_again_after_it(self) -> None:
        own = self.add.enqueue(1)
        for _ in range(2):
            with in_memory(self.queue), self.unchanged():
                self.assertEqual(enqueued(self.queue), [])
                self.add.enqueue(2)
        self.assertEqual(enqueued(self.queue), [own])
        with self.assertRaises(KeyError), in_memory(self.queue):
            raise KeyError
        self.assertEqual(self.queue.drain(), 1)

    def test_handles_know_their_own_file(self) -> None:
        own = self.add.enqueue(1)
        with in_memory(self.queue):
            other = self.add.enqueue(1)
            self.assertEqual((own.id, own == other), (other.id, False))
            self.queue.drain()
            self.assertEqual((own.refresh().state, other.refresh().state), ("ready", "completed"))
        with self.assertRaises(QueueClosed):
            other.refresh()

    def test_queues_of_one_file_share_one_and_those_of_others_do_not(self) -> None:
        mail, other = self.make_queue("mail"), self.make_queue(path=self.folder / "other.db")
        with in_memory(self.queue, mail, other):
            self.add.using(queue="mail").enqueue(1)
            other.enqueue(add, 1)
            self.assertEqual([mail.counts()["ready"], self.queue.drain(), other.drain()], [1, 0, 1])
            self.assertEqual(self.queue.drain(queues=["default", "mail"]), 1)
            self.assertEqual([len(enqueued(queue)) for queue in (self.queue, mail, other)], [1, 1, 1])

    def test_a_queue_that_was_closed_and_one_that_the_program_closes(self) -> None:
        with in_memory(self.queue):
            self.queue.close()
            with self.assertRaises(QueueClosed):
                self.add.enqueue(1)
        self.add.enqueue(1)
        self.queue.close()
        with in_memory(self.queue):
            self.add.enqueue(1)
        with self.assertRaises(QueueClosed):
            self.add.enqueue(1)

    def test_blocks_in_blocks(self) -> None:
        with in_memory(self.queue) as outer:
            self.add.enqueue(1)
            with in_memory(self.queue, clock=outer):
                self.assertEqual((enqueued(self.queue), self.queue.clock), ([], outer))
            self.assertEqual(len(enqueued(self.queue)), 1)

    def test_schedules_fire_as_the_clock_is_moved(self) -> None:
        ran: list[object] = []

        def nightly() -> None:
            ran.append(current_job())

        self.queue.task(name="nightly", cron="0 3 * * *")(nightly)
        with in_memory(self.queue) as clock:
            runs = []
            for _ in range(4):
                runs.append(self.queue.drain())
                clock.advance(timedelta(hours=12))
            self.assertEqual((runs, len(ran)), ([0, 1, 0, 1], 2))

    def test_failed_jobs_wait_as_long_as_they_may(self) -> None:
        task = self.queue.task(name="f", retry=Retry(4, base=10, backoff=2, max_delay=30))(fail)
        with in_memory(self.queue) as clock:
            job = task.enqueue()
            waits = []
            for _ in range(3):
                self.queue.drain()
                waits.append((job.refresh().run_at - self._now()).total_seconds())
                clock.advance(waits[-1])
        self.assertEqual(waits, [10, 20, 30])

    def _now(self) -> Any:
        return self.add.enqueue(1).created_at


class TestWorkers(PlaceCase):
    def test_a_background_worker_on_either_clock(self) -> None:
        task = self.queue.task(later)
        for clock in (SystemClock(), HandClock()):
            with self.subTest(type(clock).__name__), in_memory(self.queue, clock=clock):
                with self.queue.worker(threads=3):
                    jobs: list[Job[int]] = [self.add.enqueue(n) for n in range(30)]
                    jobs += [task.enqueue(n) for n in range(30)]
                    results = [job.result(PATIENCE_SECONDS) for job in jobs]
                self.assertEqual(results, [*range(1, 31), *range(1, 31)])
                self.assertEqual(self.queue.counts()["completed"], 60)

    def test_coroutines_that_enqueue_and_wait(self) -> None:
        task = self.queue.task(later)

        async def program() -> list[int]:
            jobs = [await task.aenqueue(number) for number in range(5)]
            await asyncio.to_thread(self.queue.drain)
            return await asyncio.gather(*(job.aresult(timeout=0) for job in jobs))

        with in_memory(self.queue):
            self.assertEqual(asyncio.run(program()), [1, 2, 3, 4, 5])

    def test_an_executor(self) -> None:
        with in_memory(self.queue, clock=SystemClock()), self.queue.executor(threads=2) as executor:
            self.assertEqual(list(executor.map(self.add, range(5))), [1, 2, 3, 4, 5])
        self.assertEqual(self.contents(), {})

    def test_messages_that_one_test_has_shut_are_open_in_the_next(self) -> None:
        inbox: Messages[str] = self.queue.messages("inbox")
        for immediate in (True, False):
            with in_memory(self.queue):
                inbox.put("a")
                inbox.shutdown(immediate)
                with self.assertRaises(ShutDown):
                    inbox.put("b")
        inbox.put("c")
        inbox.shutdown()
        with in_memory(self.queue):
            self.assertFalse(inbox.is_shutdown)
        self.assertTrue(inbox.is_shutdown)

    def test_messages_of_the_module(self) -> None:
        inbox: Messages[str] = self.queue.messages("inbox")
        later = inbox.aio
        inbox.put("own")
        self.assertEqual(inbox.get(), "own")  # and so this process is signed on to its own file

        async def program() -> str:
            await later.put("by a coroutine")
            return await later.get()

        for _ in range(2):
            with in_memory(self.queue):
                self.assertTrue(inbox.empty())
                inbox.put("here")
                self.assertEqual((inbox.get(timeout=5), inbox.qsize()), ("here", 0))
                self.assertEqual(asyncio.run(program()), "by a coroutine")
                inbox.task_done()
        inbox.task_done()
        self.assertTrue(inbox.empty())
        inbox.put("own again")
        self.assertEqual(inbox.get(), "own again")
        inbox.task_done()
        inbox.join()

    def test_threads_that_enqueue_and_drain_at_once(self) -> None:
        ran: list[int] = []
        note: Task[..., None] = self.queue.task(name="note")(ran.append)
        begin = threading.Barrier(6)

        def work(first: int) -> None:
            begin.wait(PATIENCE_SECONDS)
            for number in range(first, first + 20):
                note.enqueue(number)
                self.queue.drain(limit=3)

        with in_memory(self.queue):
            threads = [threading.Thread(target=work, args=(20 * n,)) for n in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_SECONDS)
            self.queue.drain()
            self.assertEqual(self.queue.counts()["completed"], 120)
        self.assertEqual(sorted(ran), list(range(120)))


class TestInFile(PlaceCase):
    def test_a_connection_of_the_test_sees_it(self) -> None:
        place = self.folder / "test.db"
        with in_file(place, self.queue) as clock, closing(sqlite3.connect(place)) as connection:
            self.queue.counts()
            with connection:
                self.add.using(connection=connection, delay=60).enqueue(1)
            self.assertEqual(
                connection.execute("SELECT task FROM litequeue_jobs").fetchall(), [(self.add.name,)]
            )
            clock.advance(60)
            self.assertEqual(self.queue.drain(), 1)
        self.assertTrue(place.exists())
        self.assertFalse(self.path.exists())

    def test_the_file_stays_with_what_is_in_it(self) -> None:
        place = self.folder / "test.db"
        for _ in range(2):
            with in_file(place, self.queue):
                self.add.enqueue(1)
        self.assertEqual(Queue(place).counts()["ready"], 2)


class TestDrainOfSeveral(PlaceCase):
    def test_lanes_in_the_order_of_their_names(self) -> None:
        ran: list[str] = []

        def note() -> None:
            job = current_job()
            assert job is not None
            ran.append(job.queue)
            if job.queue == "mail":
                task.using(queue="first").enqueue()

        task: Task[..., None] = self.queue.task(name="note")(note)
        for name in ("mail", "other", "first", "mail"):
            task.using(queue=name).enqueue()
        self.assertEqual(self.queue.drain(queues=["first", "mail"]), 5)
        self.assertEqual(ran, ["first", "mail", "first", "mail", "first"])
        self.assertEqual(assert_enqueued(self.queue, task, args=(), queue="other").state, "ready")

    def test_units_of_several_queues(self) -> None:
        mail = self.make_queue("mail")
        with in_memory(self.queue, mail):
            self.assertEqual((run(mail, self.add, 1), run(self.queue, add, 2)), (2, 3))
            self.assertEqual([job.queue for job in enqueued(mail)], ["mail", "default"])
