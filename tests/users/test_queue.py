"""The queue: enqueue together with the caller's own rows, list, change many, close, threads and forks."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import unittest
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from litequeue import (
    Call,
    InvalidOption,
    InvalidTask,
    Job,
    JobNotFound,
    LiteQueueError,
    State,
    Task,
    current_job,
)
from litequeue.errors import DatabaseError, QueueClosed, QueueFull
from tests.support import PATIENCE_SECONDS, together
from tests.users.case import QueueCase
from tests.users.things import add, echo, fail


class TestFile(QueueCase):
    def test_it_is_made_on_first_use_and_not_before(self) -> None:
        task = self.queue.task(priority=1)(add)
        call = task.using(priority=2).call(1)
        self.queue.worker()
        self.assertEqual((repr(self.queue), self.contents()), (f"<Queue 'default' in {self.path}>", {}))
        call.enqueue()
        self.assertTrue(self.path.exists())
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)

    def test_a_relative_path_stays_where_it_was_when_the_program_moves(self) -> None:
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        queue = self.make_queue(path="here.db")
        os.chdir("/")
        queue.counts()
        self.assertTrue((self.folder / "here.db").exists())

    def test_a_closed_queue_says_so_whatever_is_asked_of_it(self) -> None:
        job = self.queue.enqueue(add, 1)
        unopened = self.make_queue()
        for queue in (self.queue, unopened):
            queue.close()
            queue.close()
            uses: tuple[Callable[[], object], ...] = (
                queue.counts,
                queue.jobs,
                queue.drain,
                queue.pause,
                queue.workers,
                queue.worker(burst=True).run,
                queue.transaction().__enter__,
                lambda queue=queue: queue.enqueue(add, 1),  # type: ignore[misc]
                lambda queue=queue: queue.job(1),  # type: ignore[misc]
            )
            for number, use in enumerate(uses):
                with self.subTest(number), self.assertRaisesRegex(QueueClosed, "open another one"):
                    use()
        with self.assertRaises(QueueClosed):
            job.refresh()
        self.assertEqual(self.make_queue().job(job.id), job)

    def test_with_closes_it_also_after_an_error(self) -> None:
        with self.make_queue() as queue:
            queue.enqueue(add, 1)
        with self.assertRaises(KeyError), self.make_queue() as broken:
            raise KeyError
        for closed in (queue, broken):
            with self.assertRaises(QueueClosed):
                closed.counts()

    def test_a_queue_can_hold_only_so_many(self) -> None:
        queue = self.make_queue(maxsize=2)
        task = queue.task(add)
        queue.enqueue_many([task.call(1), task.call(2)])
        with self.assertRaises(QueueFull):
            task.enqueue(3)
        queue.drain(limit=1)
        task.enqueue(3)


class InMemoryAndOnFile(QueueCase):
    """What holds for a queue in a file holds for one in memory."""

    path_of_queue: str | None = None

    def setUp(self) -> None:
        super().setUp()
        if self.path_of_queue is not None:
            self.queue = self.make_queue(path=self.path_of_queue)
        self.add: Task[..., int] = self.queue.task(add)
        self.fail_task: Task[..., None] = self.queue.task(fail)

    def ids(self, jobs: list[Job[Any]]) -> list[int]:
        return [job.id for job in jobs]

    def ready(self) -> int:
        return self.queue.counts()[State.READY]


class TestTransactions(InMemoryAndOnFile):
    def test_rows_and_jobs_are_there_together(self) -> None:
        with self.queue.transaction() as connection:
            connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, job INTEGER)")
            job = self.add.enqueue(1)
            connection.execute("INSERT INTO orders (job) VALUES (?)", (job.id,))
            self.assertEqual((job.refresh().state, self.ready()), ("ready", 1))
        self.assertEqual(self.rows("SELECT job FROM orders"), [(job.id,)])
        self.assertEqual(self.queue.drain(), 1)

    def test_or_not_at_all(self) -> None:
        with self.queue.transaction() as connection:
            connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        for error in (KeyError, KeyboardInterrupt, SystemExit):
            with self.assertRaises(error), self.queue.transaction() as connection:
                connection.execute("INSERT INTO orders VALUES (1)")
                job = self.queue.enqueue_many([self.add.call(1), self.add.call(2)])[0]
                raise error
            with self.assertRaises(JobNotFound):
                job.refresh()
        self.assertEqual((self.rows("SELECT * FROM orders"), self.ready()), ([], 0))
        self.assertEqual(self.add.enqueue(1).id, 1)

    def test_an_inner_one_is_a_part_of_the_outer(self) -> None:
        with self.queue.transaction() as outer:
            self.add.enqueue(1)
            with self.queue.transaction() as inner:
                self.assertIs(inner, outer)
                self.add.enqueue(2)
            with self.assertRaises(KeyError), self.queue.transaction():
                self.add.enqueue(3)
                with self.queue.transaction():
                    self.add.enqueue(4)
                raise KeyError
            self.add.enqueue(5)
        self.assertEqual([job.args for job in reversed(self.queue.jobs())], [(1,), (2,), (5,)])

    def test_an_outer_one_that_fails_takes_the_inner_with_it(self) -> None:
        with self.assertRaises(KeyError), self.queue.transaction():
            with self.queue.transaction():
                self.add.enqueue(1)
            raise KeyError
        self.assertEqual(self.ready(), 0)

    def test_an_enqueue_that_is_refused_inside_leaves_the_rest_as_it_was(self) -> None:
        with self.queue.transaction():
            self.add.enqueue(1)
            with self.assertRaises(LiteQueueError):
                self.add.enqueue(object())
        self.assertEqual(self.ready(), 1)

    def test_a_coroutine_joins_it_and_does_not_wait_for_itself(self) -> None:
        async def program(error: type[Exception] | None) -> None:
            with self.queue.transaction():
                await asyncio.wait_for(self.add.aenqueue(1), PATIENCE_SECONDS)
                await asyncio.wait_for(self.add.call(2).aenqueue(), PATIENCE_SECONDS)
                if error is not None:
                    raise error

        with self.assertRaises(KeyError):
            asyncio.run(program(KeyError))
        self.assertEqual(self.ready(), 0)
        asyncio.run(program(None))
        self.assertEqual((self.ready(), self.queue.in_transaction), (2, False))

    def test_every_verb_joins_it(self) -> None:
        job = self.add.enqueue(1)
        with self.assertRaises(KeyError), self.queue.transaction():
            job.cancel()
            self.queue.pause()
            self.assertEqual(self.queue.counts()[State.CANCELLED], 1)
            raise KeyError
        self.assertEqual((job.refresh().state, self.queue.drain()), ("ready", 1))

    def test_commit_inside_the_block_is_found_out(self) -> None:
        with (
            self.assertRaisesRegex(DatabaseError, "ended inside its own block"),
            self.queue.transaction() as c,
        ):
            c.execute("COMMIT")
        self.add.enqueue(1)
        self.assertEqual(self.queue.drain(), 1)

    def test_another_thread_waits_and_does_not_join(self) -> None:
        done = threading.Event()

        def work() -> None:
            self.add.enqueue(2)
            done.set()

        thread = threading.Thread(target=work)
        with self.assertRaises(KeyError), self.queue.transaction():
            self.add.enqueue(1)
            thread.start()
            self.assertFalse(done.wait(0.05))
            raise KeyError
        self.assertTrue(done.wait(PATIENCE_SECONDS))
        thread.join()
        self.assertEqual([job.args for job in self.queue.jobs()], [(2,)])

    def test_a_task_writes_with_its_completion_or_not_at_all(self) -> None:
        with self.queue.transaction() as connection:
            connection.execute("CREATE TABLE log (text TEXT)")
        good, bad = self.queue.enqueue(note_down, "good"), self.queue.enqueue(note_down, "bad")
        self.assertEqual(self.queue.drain(), 2)
        self.assertEqual((good.refresh().state, bad.refresh().state), ("completed", "failed"))
        self.assertEqual(self.rows("SELECT text FROM log"), [("good",)])

    def rows(self, query: str) -> list[Any]:
        return self.queue.desk.database.read(lambda c: c.execute(query).fetchall())


class TestTransactionsInMemory(TestTransactions):
    path_of_queue = ":memory:"


class TestManyAtOnce(InMemoryAndOnFile):
    def test_calls_that_are_made_one_by_one_keep_their_own_options(self) -> None:
        """What a call named may be gone, and its place in memory taken, when the next one comes."""
        add, numbers = self.add, range(200)
        for calls in (
            (add.call(number).using(priority=number, tags=f"t{number}") for number in numbers),
            (add.using(priority=number, tags=f"t{number}").call(number) for number in numbers),
        ):
            jobs = self.queue.enqueue_many(calls)
            self.assertEqual([job.priority for job in jobs], list(range(200)))
            self.assertEqual([job.tags for job in jobs], [(f"t{number}",) for number in range(200)])
            self.assertEqual([job.args for job in jobs], [(number,) for number in range(200)])

    def test_a_delay_counts_from_when_the_calls_are_made(self) -> None:
        def slowly() -> Iterator[Call[int]]:
            for number in range(3):
                self.clock.advance(10)
                yield self.add.using(delay=5).call(number)

        jobs = self.queue.enqueue_many(slowly())
        self.assertEqual({(job.run_at - job.created_at).total_seconds() for job in jobs}, {5})


class TestListing(InMemoryAndOnFile):
    def test_filters(self) -> None:
        one = self.add.using(tags=["a", "b"]).enqueue(1)
        two = self.add.using(tags="b", delay=5).enqueue(2)
        three = self.queue.enqueue(echo, 3)
        mail = self.add.using(queue="mail", tags="a").enqueue(4)
        asked: tuple[tuple[dict[str, Any], list[Job[Any]]], ...] = (
            ({}, [three, two, one]),
            ({"state": "scheduled"}, [two]),
            ({"state": State.READY}, [three, one]),
            ({"task": self.add}, [two, one]),
            ({"task": add}, [two, one]),
            ({"task": self.add.name}, [two, one]),
            ({"task": "no:such"}, []),
            ({"tag": "b"}, [two, one]),
            ({"tag": "b", "state": "ready", "task": add}, [one]),
            ({"queue": "mail"}, [mail]),
            ({"queue": "none"}, []),
        )
        for given, jobs in asked:
            with self.subTest(given):
                self.assertEqual(self.queue.jobs(**given), jobs)
        self.assertEqual(self.queue.counts(), dict.fromkeys(State, 0) | {State.READY: 2, State.SCHEDULED: 1})

    def test_page_by_page(self) -> None:
        jobs = self.queue.enqueue_many(self.add.call(number) for number in range(25))
        last: Job[Any] | None = None
        seen: list[int] = []
        while page := self.queue.jobs(limit=10, after=last):
            seen += self.ids(page)
            last = page[-1]
        self.assertEqual(seen, self.ids(jobs)[::-1])
        self.assertEqual(self.queue.jobs(limit=2, after=3), jobs[1::-1])

    def test_what_can_not_be_a_filter_is_refused(self) -> None:
        refused: dict[str, tuple[object, ...]] = {
            "state": ("done", "", 5, ["ready"], "READY"),
            "task": ("", "a\nb", "\ud800"),
            "tag": ("", 5, "\ud800", "a\0"),
        }
        for name, values in refused.items():
            for value in values:
                given: dict[str, Any] = {name: value}
                for verb in (self.queue.jobs, self.queue.cancel, self.queue.retry, self.queue.delete):
                    with self.subTest(ascii(given)), self.assertRaises(InvalidOption):
                        verb(**given)
        bad: tuple[dict[str, Any], ...] = (
            *({"limit": value} for value in (0, -1, True, 1.0, "1", None)),
            *({"after": value} for value in (-1, True, "1", 2**63, 1.0)),
            *({"queue": value} for value in ("", 5, "a\n")),
        )
        for given in bad:
            with self.subTest(given), self.assertRaises(InvalidOption):
                self.queue.jobs(**given)
        with self.assertRaises(InvalidTask):
            self.queue.jobs(task=lambda: 1)
        with self.assertRaisesRegex(InvalidOption, "the states are scheduled, blocked, ready, running"):
            self.queue.cancel(state="waiting")

    def test_a_job_by_its_id(self) -> None:
        job = self.add.enqueue(1)
        self.assertEqual(self.queue.job(job.id), job)
        for missing in (2, 10**12, 2**63 - 1):
            with self.assertRaisesRegex(JobNotFound, f"there is no job {missing}"):
                self.queue.job(missing)
        bad: tuple[Any, ...] = (0, -1, True, "1", 1.0, None, 2**63)
        for id in bad:
            with self.subTest(id), self.assertRaises(InvalidOption):
                self.queue.job(id)


class TestListingInMemory(TestListing):
    path_of_queue = ":memory:"


class TestChanges(InMemoryAndOnFile):
    def test_cancel_what_matches_and_is_not_final(self) -> None:
        done = self.add.enqueue(0)
        self.queue.drain()
        jobs: list[Job[Any]] = [
            self.add.using(tags="a").enqueue(1),
            self.add.using(delay=5).enqueue(2),
            self.queue.enqueue(echo),
        ]
        mail = self.add.using(queue="mail").enqueue(3)
        self.assertEqual(self.queue.cancel(tag="a"), 1)
        self.assertEqual(self.queue.cancel(task=add), 1)
        self.assertEqual(self.queue.cancel(), 1)
        self.assertEqual(self.queue.cancel(), 0)
        self.assertEqual({job.refresh().reason for job in jobs}, {"cancelled"})
        self.assertEqual((done.refresh().state, mail.state), ("completed", "ready"))

    def test_retry_what_failed_or_was_cancelled(self) -> None:
        failed, cancelled = self.fail_task.enqueue(), self.add.enqueue(1)
        cancelled.cancel()
        self.queue.drain()
        self.assertEqual(self.queue.retry(), 1)
        self.assertEqual((failed.refresh().state, failed.failures), ("ready", 0))
        self.assertEqual(self.queue.retry(state="cancelled", task=add), 1)
        self.assertEqual(self.queue.retry(state="completed"), 0)
        self.assertEqual(self.queue.drain(), 2)

    def test_delete_what_matches_and_never_use_its_id_again(self) -> None:
        jobs = [self.add.using(tags="a").enqueue(1), self.add.enqueue(2)]
        self.assertEqual(self.queue.delete(tag="a"), 1)
        with self.assertRaises(JobNotFound):
            jobs[0].refresh()
        self.assertEqual(self.queue.delete(), 1)
        self.assertEqual(sum(self.queue.counts().values()), 0)
        self.assertEqual(self.add.enqueue(3).id, 3)

    def test_thousands_at_once(self) -> None:
        self.queue.enqueue_many(self.add.call(number) for number in range(2500))
        self.assertEqual(self.queue.cancel(), 2500)
        self.assertEqual(self.queue.retry(state="cancelled"), 2500)
        self.assertEqual(self.queue.delete(), 2500)

    def test_nothing_runs_while_the_queue_is_paused(self) -> None:
        job = self.add.enqueue(1)
        mail = self.add.using(queue="mail").enqueue(2)
        self.queue.pause()
        self.queue.pause()
        self.assertEqual((self.queue.drain(), job.refresh().state), (0, "ready"))
        self.assertIn("is paused", job.explain())
        self.assertNotIn("is paused", mail.explain())
        self.queue.resume()
        self.assertEqual((self.queue.drain(), job.result(0)), (1, 2))

    def test_final_jobs_go_when_their_retention_is_over(self) -> None:
        jobs = [self.add.using(retention=keep).enqueue(1) for keep in (10, 100, None)]
        kept_failed = self.fail_task.using(retention=10).enqueue()
        self.queue.drain()
        left = []
        for seconds in (9, 2, 100, 10**9):
            self.clock.advance(seconds)
            self.queue.desk.store.prune()
            left.append(self.ids(self.queue.jobs())[::-1])
        ids = self.ids([*jobs, kept_failed])
        self.assertEqual(left, [ids, ids[1:3], ids[2:3], ids[2:3]])


class TestChangesInMemory(TestChanges):
    path_of_queue = ":memory:"


class TestTogether(InMemoryAndOnFile):
    def test_sixteen_threads_enqueue_and_read(self) -> None:
        jobs: list[Job[Any]] = []

        def produce(number: int) -> None:
            for step in range(10):
                job = self.add.enqueue(number, step)
                self.assertEqual(job.args, (number, step))
                jobs.append(job)
            jobs.extend(self.queue.enqueue_many(self.add.call(number, step) for step in range(10, 20)))

        together(16, produce)
        self.assertEqual(sorted(self.ids(jobs)), list(range(1, 321)))
        pairs = sorted(job.args for job in self.queue.jobs(limit=1000))
        self.assertEqual(pairs, [(number, step) for number in range(16) for step in range(20)])

    def test_sixteen_threads_open_it_at_the_same_instant(self) -> None:
        queue = self.make_queue(path=self.path_of_queue or self.folder / "new.db")
        task: Task[..., Any] = queue.task(echo)
        jobs: list[Job[Any]] = []
        together(16, lambda number: jobs.append(task.enqueue(number)))
        self.assertEqual(len(set(jobs)), 16)
        self.assertEqual(queue.counts()[State.READY], 16)


class TestTogetherInMemory(TestTogether):
    path_of_queue = ":memory:"


@unittest.skipUnless(hasattr(os, "fork"), "there is no fork here")
class TestFork(QueueCase):
    def in_a_child(self, work: Callable[[], object]) -> str:
        """What comes of it in a forked child."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                said = str(work())
            except BaseException as error:
                said = type(error).__name__
            os.write(writing, said.encode())
            os._exit(0)
        os.close(writing)
        with open(reading, encoding="utf-8") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        return said

    def test_parent_and_child_go_on_each_by_itself(self) -> None:
        task: Task[..., Any] = self.queue.task(echo)
        before = task.enqueue("before")
        self.assertEqual(before.refresh().state, "ready")  # a reader is open, too
        self.assertEqual(self.in_a_child(lambda: task.enqueue("child").refresh().id), "2")
        self.assertEqual(task.enqueue("parent").id, 3)
        self.assertEqual(self.in_a_child(lambda: (self.queue.drain(), before.result(0))), "(3, 'before')")
        self.assertEqual(self.queue.counts()[State.COMPLETED], 3)

    def test_a_queue_that_was_not_opened_yet(self) -> None:
        task: Task[..., Any] = self.queue.task(echo)
        self.assertEqual(self.in_a_child(lambda: task.enqueue(1).id), "1")
        self.assertEqual(task.enqueue(2).id, 2)

    def test_a_queue_in_memory_does_not_pretend(self) -> None:
        queue = self.make_queue(path=":memory:")
        queue.enqueue(echo, 1)
        self.assertEqual(self.in_a_child(lambda: queue.enqueue(echo, 2)), "QueueClosed")
        self.assertEqual(queue.drain(), 1)


class TestForeignConnections(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.task: Task[..., Any] = self.queue.task(echo)
        self.queue.counts()
        self.connection = self.connect()
        self.connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        self.connection.commit()

    def connect(self, path: Any = None, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(path or self.path, **options)
        self.addCleanup(connection.close)
        return connection

    def test_the_job_is_there_when_the_caller_commits(self) -> None:
        with self.connection:
            self.connection.execute("INSERT INTO orders DEFAULT VALUES")
            job = self.task.using(connection=self.connection).enqueue(1)
            self.assertEqual(self.queue.jobs(), [])
        self.assertEqual(self.queue.jobs(), [job])
        self.assertEqual((self.queue.drain(), job.result(0)), (1, 1))

    def test_and_gone_when_the_caller_rolls_back(self) -> None:
        self.connection.execute("INSERT INTO orders DEFAULT VALUES")
        self.task.using(connection=self.connection).enqueue("x" * 10_000)
        self.queue.enqueue(echo, args=(1,), connection=self.connection)
        self.queue.enqueue_many([self.task.call(1).using(connection=self.connection)])
        self.connection.rollback()
        self.assertEqual(self.queue.jobs(), [])
        self.assertEqual(self.connection.execute("SELECT count(*) FROM orders").fetchone(), (0,))

    def test_without_a_transaction_one_is_begun_or_not_as_the_connection_is_used_to(self) -> None:
        self.task.using(connection=self.connection).enqueue(1)
        self.assertTrue(self.connection.in_transaction)
        self.connection.commit()
        plain = self.connect(isolation_level=None)
        self.task.using(connection=plain).enqueue(2)
        self.assertFalse(plain.in_transaction)
        self.assertEqual([job.args for job in self.queue.jobs()], [(2,), (1,)])

    def test_factories_of_the_caller_stay_and_do_no_harm(self) -> None:
        self.connection.row_factory, self.connection.text_factory = sqlite3.Row, bytes
        with self.connection:
            self.task.using(connection=self.connection).enqueue(1)
        self.assertIs(self.connection.row_factory, sqlite3.Row)
        self.assertIs(self.connection.text_factory, bytes)
        self.assertEqual(self.queue.drain(), 1)

    def test_another_file_is_refused(self) -> None:
        closed = self.connect()
        closed.close()
        made_elsewhere: list[sqlite3.Connection] = []
        thread = threading.Thread(target=lambda: made_elsewhere.append(sqlite3.connect(self.path)))
        thread.start()
        thread.join()
        refused = (
            self.connect(":memory:"),
            self.connect(self.folder / "other.db"),
            closed,
            made_elsewhere[0],
        )
        for connection in refused:
            with self.assertRaisesRegex(InvalidOption, "the connection"):
                self.task.using(connection=connection).enqueue(1)
        self.assertEqual(self.queue.jobs(), [])

    def test_a_queue_in_memory_has_no_other_connections(self) -> None:
        queue = self.make_queue(path=":memory:")
        for path in (":memory:", "", self.path):
            with closing(sqlite3.connect(path)) as connection, self.assertRaises(InvalidOption):
                queue.enqueue(echo, args=(1,), connection=connection)

    def test_one_transaction_has_one_connection(self) -> None:
        here = self.task.using(connection=self.connection)
        for calls in (
            [here.call(1), self.task.call(2)],
            [here.call(1), self.task.using(connection=self.connect()).call(2)],
        ):
            with self.assertRaisesRegex(InvalidOption, "different connections"):
                self.queue.enqueue_many(calls)
        self.assertEqual(self.queue.jobs(), [])

    def test_a_read_only_connection_says_so(self) -> None:
        reading = self.connect(f"file:{self.path}?mode=ro", uri=True)
        with self.assertRaises(DatabaseError):
            self.task.using(connection=reading).enqueue(1)


class TestLanes(QueueCase):
    def test_queues_of_one_file_are_apart(self) -> None:
        mail = self.make_queue("mail")
        self.queue.enqueue(add, 1)
        job = mail.enqueue(add, 2)
        self.assertEqual((mail.jobs(), self.queue.drain(), mail.counts()[State.READY]), ([job], 1, 1))
        self.assertEqual((mail.cancel(), self.queue.counts()[State.COMPLETED]), (1, 1))

    def test_what_a_worker_is_told_is_checked(self) -> None:
        bad: tuple[dict[str, Any], ...] = (
            *({"queues": value} for value in ("mail", [], 5, [""], [5])),
            *({"threads": value} for value in (0, -1, True, 1.0, "2")),
            *({"async_slots": value} for value in (-1, 0, True)),
            *({"processes": value} for value in (-1, True, 1.5)),
            *({"max_jobs": value} for value in (0, True, "1")),
            *({"grace": value} for value in (-1, float("nan"), float("inf"), True)),
            {"burst": 1},
        )
        for given in bad:
            with self.subTest(given), self.assertRaises(InvalidOption):
                self.queue.worker(**given)
        self.assertEqual(self.contents(), {})


def note_down(text: str) -> None:
    running = current_job()
    assert running is not None
    with running.transaction() as connection:
        connection.execute("INSERT INTO log VALUES (?)", (text,))
    if text == "bad":
        raise ValueError(text)
