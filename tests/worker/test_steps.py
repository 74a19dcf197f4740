"""current_job().step(): done once over all attempts of a job, and kept together with its own writes."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from sqlite3 import Connection
from typing import Any
from unittest import mock

from litequeue import PICKLE, Job, Queue, Reject, Retry, Snooze, State, current_job
from litequeue.context import RunningJob
from litequeue.errors import (
    DatabaseError,
    EncodingError,
    InvalidOption,
    LeaseLost,
    LiteQueueError,
    PayloadTooLarge,
)
from litequeue.job import NewWorker, Want
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.worker.limits import Limits
from tests.support import PATIENCE_SECONDS
from tests.worker.case import FileCase, until, wait_for

INSERT = "INSERT INTO ledger VALUES (?)"
AGAIN = Retry(9, intervals=[0])


def this_job() -> RunningJob:
    """The running job, which is there in every task."""
    job = current_job()
    assert job is not None
    return job


@dataclass
class Found:
    """What a step found; the task's own annotations do not name it."""

    pages: tuple[int, ...]


class StepCase(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.change("CREATE TABLE ledger (x)")
        self.ran: list[Any] = []

    def note(self, value: Any) -> Any:
        """A step that says that it ran."""
        self.ran.append(value)
        return value

    def write(self, connection: Connection, value: Any) -> Any:
        """A step that writes in its transaction."""
        connection.execute(INSERT, (value,))
        return self.note(value)

    @property
    def ledger(self) -> list[Any]:
        rows = self.queue.desk.database.read(lambda c: c.execute("SELECT x FROM ledger").fetchall())
        return [row[0] for row in rows]

    def names(self, job: Job[Any]) -> list[tuple[str, int]]:
        """The finished steps and the attempts in which they ended."""
        return [(step.name, step.attempt) for step in job.steps]

    def error_of(self, work: Any, *args: Any, **options: Any) -> BaseException:
        """What a step raises inside this task."""
        raised: list[BaseException] = []

        def catch() -> None:
            try:
                work(*args)
            except BaseException as error:
                raised.append(error)

        self.enqueue(catch, **options)
        self.queue.drain()
        return raised[0]


class Once(StepCase):
    def test_a_finished_step_is_not_run_again_and_gives_what_it_returned(self) -> None:
        def work() -> list[Any]:
            job = this_job()
            found = [job.step("first", self.note, (1, "a")), job.step("second", self.note, None)]
            if job.attempt < 3:
                raise ValueError
            return [*found, job.step("third", self.note, b"bytes")]

        job = self.enqueue(work, retry=AGAIN)
        self.burst()
        self.assertEqual(job.result(0), [(1, "a"), None, b"bytes"])
        self.assertEqual(self.ran, [(1, "a"), None, b"bytes"])
        self.assertEqual(self.names(job), [("first", 1), ("second", 1), ("third", 3)])
        self.assertEqual([step.result for step in job.steps], [(1, "a"), None, b"bytes"])

    def test_called_twice_in_an_attempt_it_is_done_once(self) -> None:
        job = self.enqueue(lambda: [this_job().step("one", self.note, n) for n in (1, 2)], name="twice")
        self.burst()
        self.assertEqual((job.result(0), self.ran), ([1, 1], [1]))

    def test_two_jobs_have_their_own_steps(self) -> None:
        task = self.declare(lambda n: this_job().step("one", self.note, n), name="each")
        jobs = [task.enqueue(n) for n in (1, 2)]
        self.burst()
        self.assertEqual([job.result(0) for job in jobs], [1, 2])

    def test_it_is_stored_when_the_call_returns(self) -> None:
        seen: list[Any] = []

        def work() -> None:
            this_job().step("one", self.note, 1)
            seen.append(self.make_queue().job(this_job().id).steps[0].name)

        with mock.patch.object(Database, "write", autospec=True, side_effect=Database.write) as write:
            self.enqueue(work)
            self.queue.drain()
        self.assertEqual(seen, ["one"])
        kept = [
            call for call in write.call_args_list if call.kwargs.get("is_single") and "Steps" in str(call)
        ]
        self.assertEqual([call.args[2] for call in kept], [Durability.FULL])

    def test_a_snooze_between_steps_frees_the_thread_and_keeps_them(self) -> None:
        def work() -> str:
            this_job().step("ask", self.note, "asked")
            if not this_job().step("answer", lambda: None) and this_job().attempt == 1:
                raise Snooze(3600)
            return str(this_job().step("ask", self.note, "asked again"))

        job = self.enqueue(work)
        self.burst()
        self.assertEqual(
            (job.refresh().state, self.names(job)), (State.SCHEDULED, [("ask", 1), ("answer", 1)])
        )
        self.change("UPDATE litequeue_job SET run_at = 0")
        self.burst()
        self.assertEqual((job.result(0), self.ran), ("asked", ["asked"]))

    def test_directives_and_errors_pass_and_store_nothing(self) -> None:
        def no(kind: str) -> None:
            raise {"value": ValueError("v"), "reject": Reject("r"), "snooze": Snooze(60)}[kind]

        def work(kind: str) -> None:
            this_job().step("one", no, kind)

        task = self.declare(work)
        jobs = [task.enqueue(kind) for kind in ("value", "reject", "snooze")]
        self.burst()
        self.assertEqual([job.refresh().reason for job in jobs], ["error", "rejected", None])
        self.assertEqual([job.steps for job in jobs], [[], [], []])

    def test_it_knows_the_types_that_its_own_function_names(self) -> None:
        def find(pages: int) -> Found:
            return Found(tuple(range(pages)))

        def work() -> int:
            found = this_job().step("find", find, pages=3)
            if this_job().attempt == 1:
                raise ValueError
            return len(found.pages)

        job = self.enqueue(work, retry=AGAIN)
        self.burst()
        self.assertEqual(job.result(0), 3)
        with self.assertRaises(EncodingError):
            _ = job.steps[0].result  # nobody told the queue of that class

    def test_it_uses_the_tasks_codec(self) -> None:
        queue = Queue(self.path, codec=PICKLE)
        self.addCleanup(queue.close)
        task = queue.task(name="pickled")(lambda: this_job().step("one", lambda: {1: object}))
        job = task.enqueue()
        queue.drain()
        self.assertEqual([step.result for step in job.steps], [{1: object}])

    def test_drain_and_a_queue_in_memory_have_steps_too(self) -> None:
        with Queue(":memory:") as queue:

            def work() -> list[Any]:
                job = this_job()
                found = [job.step("one", self.note, 1), job.step("two", write, 2, transaction=True)]
                if job.attempt == 1:
                    raise ValueError
                return found

            def write(connection: Connection, value: int) -> int:
                connection.execute("CREATE TABLE mine (x)")
                return value

            job = queue.task(name="work", retry=AGAIN)(work).enqueue()
            queue.drain()
            self.assertEqual((job.result(0), self.ran), ([1, 2], [1]))


class Refused(StepCase):
    def test_a_result_that_can_not_be_stored(self) -> None:
        error = self.error_of(lambda: this_job().step("find", object))
        self.assertIsInstance(error, EncodingError)
        self.assertRegex(str(error), r"the result of the step 'find'")

    def test_a_result_that_is_too_large(self) -> None:
        self.queue = self.make_queue(max_payload=100)
        error = self.error_of(lambda: this_job().step("find", lambda: "x" * 101))
        self.assertIsInstance(error, PayloadTooLarge)
        self.assertRegex(str(error), r"the result of the step 'find' takes 103 bytes")

    def test_a_step_that_can_not_be_kept_is_not_done_again(self) -> None:
        def effect(result: object) -> object:
            self.ran.append(result)
            return result

        def work(result: str) -> None:
            this_job().step("one", effect, object if result == "odd" else "x" * 2_000)

        async def work_async(result: str) -> None:
            await this_job().astep("one", effect, object if result == "odd" else "x" * 2_000)

        self.queue = self.make_queue(max_payload=1_000)
        for number, (function, result) in enumerate(product((work, work_async), ("odd", "large")), 1):
            with self.subTest(function=function.__name__, result=result):
                job = self.declare(function, retry=AGAIN).enqueue(result)
                self.burst()
                self.assertEqual((job.refresh().state, job.attempt), (State.FAILED, 1))
                self.assertEqual(len(self.ran), number)

    def test_one_whose_task_goes_on_without_it_is_tried_again_for_other_reasons(self) -> None:
        def work() -> None:
            with suppress(EncodingError):
                this_job().step("one", object)
            if this_job().attempt == 1:
                raise OSError

        job = self.declare(work, retry=AGAIN).enqueue()
        self.queue.drain()
        self.assertEqual((job.refresh().state, job.attempt), (State.COMPLETED, 2))

    def test_what_it_wrote_goes_with_a_result_that_can_not_be_stored(self) -> None:
        def write(connection: Connection) -> object:
            connection.execute(INSERT, (1,))
            return object()

        self.assertIsInstance(
            self.error_of(lambda: this_job().step("one", write, transaction=True)), EncodingError
        )
        self.assertEqual(self.ledger, [])

    def test_a_name_that_is_none(self) -> None:
        names: tuple[Any, ...] = ("", 7, "two\nlines", None)
        for name in names:
            self.assertIsInstance(self.error_of(lambda n=name: this_job().step(n, int)), InvalidOption)

    def test_a_transaction_that_is_neither_true_nor_false(self) -> None:
        wrong: Any = "yes"
        error = self.error_of(lambda: this_job().step("one", int, transaction=wrong))
        self.assertRegex(str(error), "transaction is 'yes'")

    def test_a_coroutine_function_in_a_plain_task(self) -> None:
        async def later() -> None: ...

        error = self.error_of(lambda: this_job().step("one", later))
        self.assertRegex(str(error), r"await current_job\(\)\.astep")

    def test_a_step_inside_itself(self) -> None:
        error = self.error_of(lambda: this_job().step("one", lambda: this_job().step("one", int)))
        self.assertRegex(str(error), "'one' runs already in this attempt")

    def test_the_same_step_on_two_threads(self) -> None:
        inside, go_on = self.events(2)
        refused: list[Exception] = []

        def slow() -> None:
            inside.set()
            go_on.wait(PATIENCE_SECONDS)

        def beside() -> None:
            wait_for(inside)
            try:
                this_job().step("one", slow)
            except LiteQueueError as error:
                refused.append(error)
            go_on.set()

        def work() -> None:
            thread = threading.Thread(target=contextvars.copy_context().run, args=(beside,))
            thread.start()
            this_job().step("one", slow)
            thread.join()

        job = self.enqueue(work)
        self.burst()
        self.assertEqual((job.refresh().state, len(refused)), (State.COMPLETED, 1))

    def test_an_attempt_that_lost_its_lease(self) -> None:
        def work(takes: bool) -> None:
            self.change("UPDATE litequeue_job SET attempt = attempt + 1")
            if takes:
                this_job().step("one", self.write, 1, transaction=True)
            else:
                this_job().step("one", self.note, 1)

        for takes in (False, True):
            with self.subTest(takes_connection=takes):
                error = self.error_of(lambda t=takes: work(t))
                self.assertIsInstance(error, LeaseLost)
                self.assertRegex(str(error), "its step 'one' was not kept")
        self.assertEqual(self.ledger, [])
        self.assertEqual(self.value("SELECT count(*) FROM litequeue_step"), 0)


class Kept(StepCase):
    """Over all that may become of a job; until it is to begin afresh, or goes."""

    def failing(self) -> Job[Any]:
        """A job with one step, that failed for good."""

        def work() -> Any:
            found = this_job().step("one", self.note, this_job().attempt)
            if this_job().attempt == 1:
                raise ValueError
            return found

        job = self.enqueue(work)
        self.burst()
        self.assertEqual((job.refresh().state, self.ran), (State.FAILED, [1]))
        return job

    def test_a_plain_retry_keeps_them(self) -> None:
        job = self.failing()
        job.retry()
        self.burst()
        self.assertEqual((job.result(0), self.ran), (1, [1]))

    def test_a_fresh_retry_forgets_them(self) -> None:
        job = self.failing()
        job.retry(fresh=True)
        self.assertEqual(job.steps, [])
        self.burst()
        self.assertEqual((job.result(0), self.ran), (2, [1, 2]))

    def test_so_does_a_fresh_retry_of_many(self) -> None:
        job = self.failing()
        self.assertEqual(self.queue.retry(fresh=True), 1)
        self.assertEqual(job.steps, [])

    def test_a_retry_that_is_refused_forgets_nothing(self) -> None:
        job = self.failing()
        job.retry()
        with self.assertRaises(LiteQueueError):
            job.retry(fresh=True)
        self.assertEqual(self.names(job), [("one", 1)])

    def test_a_release_and_a_crash_keep_them(self) -> None:
        reached, go_on = self.events(2)

        def work() -> Any:
            found = this_job().step("one", self.note, this_job().attempt)
            if this_job().attempt == 1:
                reached.set()
                go_on.wait(PATIENCE_SECONDS)
            return found

        job = self.enqueue(work)
        worker = self.queue.worker().start()
        wait_for(reached)
        worker.stop()
        worker.stop()
        worker.join(PATIENCE_SECONDS)
        self.assertEqual((job.refresh().state, job.failures), (State.READY, 0))
        desk = self.queue.desk
        dead = desk.workers.sign_on(NewWorker("dead", 1, lease=0), locked=False)
        desk.store.claim(dead, [Want("default", 1, 1)])
        desk.workers.reap()
        self.assertEqual(job.refresh().snapshot.crashes, 1)
        self.burst()
        self.assertEqual((job.result(0), self.ran, job.attempt), (1, [1], 3))
        go_on.set()

    def test_they_go_with_the_job(self) -> None:
        job = self.failing()
        job.delete()
        self.assertEqual(self.value("SELECT count(*) FROM litequeue_step"), 0)


class WithTransaction(StepCase):
    def test_its_writes_and_its_result_are_there_together(self) -> None:
        wrote, go_on = self.events(2)

        def write(connection: Connection) -> str:
            connection.execute(INSERT, (1,))
            wrote.set()
            go_on.wait(PATIENCE_SECONDS)
            return "done"

        def work() -> str:
            return this_job().step("one", write, transaction=True)

        job = self.enqueue(work)
        with self.queue.worker():
            wait_for(wrote)
            self.assertEqual((self.ledger, job.steps), ([], []))
            go_on.set()
            self.assertEqual(job.result(PATIENCE_SECONDS), "done")
        self.assertEqual((self.ledger, self.names(job)), ([1], [("one", 1)]))

    def test_they_stay_when_the_task_fails_later(self) -> None:
        def work() -> None:
            this_job().step("one", self.write, 1, transaction=True)
            if this_job().attempt == 1:
                raise ValueError
            this_job().step("two", self.write, value=2, transaction=True)

        job = self.enqueue(work, retry=AGAIN)
        self.burst()
        self.assertEqual((job.refresh().state, self.ledger, self.ran), (State.COMPLETED, [1, 2], [1, 2]))

    def test_an_exception_rolls_both_back_and_the_task_may_go_on(self) -> None:
        def no(connection: Connection) -> None:
            connection.execute(INSERT, (1,))
            raise KeyError

        def work() -> None:
            try:
                this_job().step("one", no, transaction=True)
            except KeyError:
                this_job().step("one", self.write, 2, transaction=True)

        job = self.enqueue(work)
        self.burst()
        self.assertEqual((job.refresh().state, self.ledger), (State.COMPLETED, [2]))

    def test_what_is_enqueued_inside_joins(self) -> None:
        child = self.declare(lambda: None, name="child", delay=3600)

        def no(connection: Connection) -> None:
            child.enqueue()
            raise KeyError

        self.enqueue(lambda: this_job().step("one", no, transaction=True), name="badly")
        self.burst()
        self.assertEqual(self.queue.counts()["scheduled"], 0)
        self.enqueue(
            lambda: this_job().step("one", lambda c: child.enqueue().id, transaction=True), name="well"
        )
        self.burst()
        self.assertEqual(self.queue.counts()["scheduled"], 1)

    def test_a_step_that_commits_by_itself_is_not_kept(self) -> None:
        def commit(connection: Connection) -> None:
            connection.execute("COMMIT")

        error = self.error_of(lambda: this_job().step("one", commit, transaction=True))
        self.assertIsInstance(error, DatabaseError)
        self.assertEqual(self.value("SELECT count(*) FROM litequeue_step"), 0)

    def test_a_row_factory_that_it_sets_is_its_own_affair(self) -> None:
        def work(connection: Connection) -> int:
            connection.row_factory = lambda cursor, row: {"x": row[0]}
            return int(connection.execute("SELECT 7").fetchone()["x"])

        job = self.enqueue(lambda: this_job().step("one", work, transaction=True), name="rows")
        self.burst()
        self.assertEqual(job.result(0), 7)


class Joined(StepCase):
    """Inside current_job().transaction() a step is a part of that: kept with the completion or not at all."""

    def test_it_goes_with_the_completion(self) -> None:
        def work() -> None:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (0,))
                this_job().step("one", self.note, 1)
                this_job().step("two", self.write, 2, transaction=True)
            this_job().step("three", self.note, 3)
            if this_job().attempt == 1:
                raise ValueError

        job = self.enqueue(work, retry=AGAIN)
        self.burst()
        self.assertEqual((self.ran, self.ledger), ([1, 2, 3, 1, 2, 3], [0, 2]))
        self.assertEqual(self.names(job), [("one", 2), ("two", 2), ("three", 2)])

    def test_its_own_writes_alone_are_undone_when_it_fails(self) -> None:
        def no(connection: Connection) -> None:
            connection.execute(INSERT, (1,))
            raise KeyError

        def work() -> None:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (0,))
                try:
                    this_job().step("one", no, transaction=True)
                except KeyError:
                    this_job().step("two", self.write, 2, transaction=True)

        job = self.enqueue(work)
        self.burst()
        self.assertEqual((job.refresh().state, self.ledger), (State.COMPLETED, [0, 2]))

    def test_a_step_inside_a_step_with_a_transaction_joins_that(self) -> None:
        def outer(connection: Connection) -> None:
            this_job().step("inner", self.write, this_job().attempt, transaction=True)
            if this_job().attempt == 1:
                raise KeyError

        job = self.enqueue(
            lambda: this_job().step("outer", outer, transaction=True), name="nested", retry=AGAIN
        )
        self.burst()
        self.assertEqual((self.ledger, self.names(job)), ([2], [("inner", 2), ("outer", 2)]))

    def test_a_step_that_ends_the_transaction_is_not_kept(self) -> None:
        def commit(connection: Connection) -> None:
            connection.execute("COMMIT")

        def work() -> None:
            with this_job().transaction():
                this_job().step("one", commit, transaction=True)

        job = self.enqueue(work)
        self.burst()
        self.assertEqual((job.refresh().state, job.steps), (State.FAILED, []))
        self.assertIn("leave COMMIT and ROLLBACK", job.errors[0].message)


class Coroutines(StepCase):
    def test_a_coroutine_is_awaited_and_a_function_runs_beside_the_loop(self) -> None:
        places: list[int] = []

        async def later(number: int) -> int:
            await asyncio.sleep(0)
            places.append(threading.get_ident())
            return self.note(number)  # type: ignore[no-any-return]

        def aside(number: int) -> int:
            places.append(threading.get_ident())
            return self.note(number)  # type: ignore[no-any-return]

        async def work() -> list[int]:
            job = this_job()
            found = [await job.astep("later", later, 1), await job.astep("aside", aside, number=2)]
            if job.attempt == 1:
                places.append(threading.get_ident())
                raise ValueError
            return found

        job = self.enqueue(work, retry=AGAIN)
        self.burst()
        self.assertEqual((job.result(0), self.ran), ([1, 2], [1, 2]))
        in_coroutine, in_function, in_loop = places
        self.assertEqual(in_coroutine, in_loop)
        self.assertNotEqual(in_function, in_loop)

    def test_the_loop_never_waits_for_the_file(self) -> None:
        """While the write lock is held by another, a step waits and other coroutines go on."""
        held, free, beside = self.events(3)

        async def stepping() -> int:
            return await this_job().astep("one", int)

        async def other() -> None:
            while not held.is_set():
                await asyncio.sleep(0.001)
            beside.set()

        def hold() -> None:
            with self.queue.transaction():
                held.set()
                free.wait(PATIENCE_SECONDS)

        def keep(*args: Any) -> None:
            threading.Thread(target=hold).start()
            wait_for(held)
            original(*args)

        original = self.queue.desk.steps.keep
        jobs = [self.enqueue(other), self.enqueue(stepping)]
        with mock.patch.object(self.queue.desk.steps, "keep", keep), self.queue.worker():
            wait_for(beside, "another coroutine, while a step waits for the file")
            free.set()
            self.assertEqual([job.result(PATIENCE_SECONDS) for job in jobs], [None, 0])

    def test_step_itself_is_refused_there(self) -> None:
        async def work() -> None:
            this_job().step("one", int)

        job = self.enqueue(work)
        self.burst()
        self.assertRegex(job.errors[0].message, r"await current_job\(\)\.astep")

    def test_a_transaction_runs_beside_the_loop(self) -> None:
        async def work() -> int:
            found = await this_job().astep("one", self.write, 5, transaction=True)
            if this_job().attempt == 1:
                raise ValueError
            return int(found)

        job = self.enqueue(work, retry=AGAIN)
        self.burst()
        self.assertEqual((job.result(0), self.ledger), (5, [5]))

    def test_a_coroutine_can_not_have_one(self) -> None:
        async def later(connection: Connection) -> None: ...

        async def work() -> None:
            found: Any = await this_job().astep("one", later, transaction=True)
            self.note(found)

        job = self.enqueue(work)
        self.burst()
        self.assertIn("hold the file's write lock", job.errors[0].message)

    def test_a_cancelled_attempt_gives_the_write_lock_back(self) -> None:
        wrote, go_on = self.events(2)

        def hang(connection: Connection) -> None:
            connection.execute(INSERT, (1,))
            wrote.set()
            go_on.wait(PATIENCE_SECONDS)

        async def work() -> None:
            await this_job().astep("one", hang, transaction=True)

        job = self.enqueue(work, timeout=0.05)
        with self.queue.worker():
            wait_for(wrote)
            self.assertEqual(job.wait(PATIENCE_SECONDS), State.FAILED)
        self.assertEqual((job.reason, self.ledger, job.steps), ("timeout", [], []))
        go_on.set()

    def test_drain_runs_them(self) -> None:
        async def work() -> list[Any]:
            job = this_job()
            return [
                await job.astep("one", self.note, 1),
                await job.astep("two", self.write, 2, transaction=True),
            ]

        job = self.enqueue(work)
        self.queue.drain()
        self.assertEqual((job.result(0), self.ledger), ([1, 2], [2]))


class TakenAway(StepCase):
    """The write lock is not left to a step that does not end."""

    def test_the_end_of_the_grace_takes_it_at_no_cost(self) -> None:
        wrote, go_on = self.events(2)

        def hang(connection: Connection) -> None:
            connection.execute(INSERT, (1,))
            wrote.set()
            go_on.wait(PATIENCE_SECONDS)

        job = self.enqueue(lambda: this_job().step("one", hang, transaction=True), name="hanging")
        worker = self.queue.worker(grace=0.05).start()
        wait_for(wrote)
        worker.stop()
        self.assertTrue(worker.join(PATIENCE_SECONDS), "the worker waits for the step")
        go_on.set()
        self.assertEqual((job.refresh().state, job.failures, self.ledger), (State.READY, 0, []))
        self.assertEqual(job.steps, [])

    def test_a_stuck_step_loses_it_and_the_others_can_write_again(self) -> None:
        wrote, go_on = self.events(2)

        def hang(connection: Connection) -> None:
            connection.execute(INSERT, (1,))
            wrote.set()
            while not go_on.wait(PATIENCE_SECONDS):
                pass

        patch = mock.patch.object(Limits.__init__, "__defaults__", (50_000,))  # to lose patience soon
        patch.start()
        self.addCleanup(patch.stop)
        job = self.enqueue(
            lambda: this_job().step("one", hang, transaction=True), name="hanging", timeout=0.05
        )
        after = self.enqueue(lambda: None, name="after")
        with self.queue.worker():
            wait_for(wrote)
            self.assertEqual(after.wait(PATIENCE_SECONDS), State.COMPLETED)
            self.assertEqual((job.refresh().reason, self.ledger), ("timeout", []))
            go_on.set()

    def test_a_time_limit_that_strikes_anywhere_in_it_leaves_no_lock_behind(self) -> None:
        def work() -> None:
            for number in range(1000):
                this_job().step(f"step {number}", self.write, number, transaction=True)

        task = self.declare(work)
        jobs = [task.using(timeout=0.003 + turn / 5000).enqueue() for turn in range(40)]
        self.burst()
        self.assertEqual({job.refresh().reason for job in jobs}, {"timeout"})
        steps = sum(len(job.steps) for job in jobs)
        self.assertGreater(steps, 0)
        self.assertEqual(len(self.ledger), steps)
        until(lambda: self.queue.counts()["running"] == 0)
