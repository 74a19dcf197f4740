"""current_job().transaction(): a task's writes and its completion commit together, or not at all."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from sqlite3 import Connection
from typing import Any
from unittest import mock

from litequeue import Cancel, DatabaseError, Job, Reject, RetryLater, Snooze, State, current_job
from litequeue.context import RunningJob
from litequeue.worker.limits import Limits
from litequeue.worker.transaction import TaskTransaction
from tests.support import PATIENCE_SECONDS, Program
from tests.worker.case import FileCase, until, wait_for

INSERT = "INSERT INTO ledger VALUES (?)"


def this_job() -> RunningJob:
    """The running job, which is there in every task."""
    job = current_job()
    assert job is not None
    return job


class TransactionCase(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.change("CREATE TABLE ledger (x)")

    @property
    def ledger(self) -> list[Any]:
        with_rows = self.queue.desk.database.read(lambda c: c.execute("SELECT x FROM ledger").fetchall())
        return [row[0] for row in with_rows]

    def ended(self, job: Job[Any]) -> tuple[State, list[Any]]:
        """Run the job to its end; its state, and what is in the ledger then."""
        self.burst()
        return job.refresh().state, self.ledger

    def drained(self, job: Job[Any]) -> tuple[State, list[Any]]:
        """The same without a worker."""
        self.queue.drain()
        return job.refresh().state, self.ledger


class Together(TransactionCase):
    def test_the_writes_are_seen_with_the_completion_and_not_before(self) -> None:
        wrote, go_on = self.events(2)

        def work() -> str:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (1,))
            wrote.set()
            go_on.wait()
            return "done"

        job = self.enqueue(work)
        with self.queue.worker():
            wait_for(wrote)
            self.assertEqual((self.ledger, job.refresh().state), ([], State.RUNNING))
            go_on.set()
            self.assertEqual(job.result(PATIENCE_SECONDS), "done")
            self.assertEqual(self.ledger, [1])

    def test_what_the_task_enqueues_through_a_queue_of_its_own_joins(self) -> None:
        its_own = self.make_queue(name="its own")

        def work() -> int:
            with this_job().transaction():
                return its_own.enqueue("app:next").id

        job = self.enqueue(work)
        self.assertEqual(self.ended(job), (State.COMPLETED, []))
        self.assertEqual([each.id for each in its_own.jobs()], [job.result(0)])

    def test_an_exception_after_the_block_rolls_back(self) -> None:
        def work() -> None:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (1,))
            raise ValueError

        self.assertEqual(self.ended(self.enqueue(work)), (State.FAILED, []))

    def test_an_exception_inside_the_block_rolls_back_also_when_the_task_swallows_it(self) -> None:
        def work() -> str:
            try:
                with this_job().transaction() as connection:
                    connection.execute(INSERT, (1,))
                    raise ValueError
            except ValueError:
                return "swallowed"

        job = self.enqueue(work)
        self.assertEqual(self.ended(job), (State.COMPLETED, []))
        self.assertEqual(job.result(0), "swallowed")

    def test_no_directive_commits(self) -> None:
        def work(kind: str) -> None:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (1,))
            raise {
                "reject": Reject("no"), "cancel": Cancel("so"), "snooze": Snooze(60), "retry": RetryLater(60)
            }[kind]  # fmt: skip

        task = self.declare(work)
        jobs = [task.enqueue(kind) for kind in ("reject", "cancel", "snooze", "retry")]
        self.burst()
        states = [job.refresh().state for job in jobs]
        self.assertEqual(states, [State.FAILED, State.CANCELLED, State.SCHEDULED, State.SCHEDULED])
        self.assertEqual(self.ledger, [])

    def test_a_result_that_can_not_be_stored_rolls_back(self) -> None:
        def work() -> object:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (1,))
            return object()

        self.assertEqual(self.ended(self.enqueue(work)), (State.FAILED, []))

    def test_a_failed_try_leaves_nothing_and_the_next_commits_once(self) -> None:
        def work() -> None:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (this_job().attempt,))
            if this_job().attempt < 3:
                raise ValueError

        job = self.enqueue(work, retry=lambda failures, error: 0)
        self.assertEqual(self.ended(job), (State.COMPLETED, [3]))

    def test_entered_again_it_is_the_same_one(self) -> None:
        def work() -> bool:
            with this_job().transaction() as first:
                first.execute(INSERT, (1,))
                with this_job().transaction() as second:
                    second.execute(INSERT, (2,))
            with this_job().transaction() as third:
                third.execute(INSERT, (3,))
            return first is second is third

        job = self.enqueue(work)
        self.assertEqual(self.ended(job), (State.COMPLETED, [1, 2, 3]))
        self.assertIs(job.result(0), True)

    def test_rolled_back_it_can_not_be_opened_again(self) -> None:
        def work() -> None:
            try:
                with this_job().transaction():
                    raise KeyError
            except KeyError:
                with this_job().transaction() as connection:
                    connection.execute(INSERT, (1,))

        job = self.enqueue(work)
        self.assertEqual(self.ended(job), (State.FAILED, []))
        self.assertIn("rolled back", job.errors[0].message)

    def test_what_is_enqueued_inside_joins(self) -> None:
        def child() -> None: ...

        def work(end: str) -> None:
            with this_job().transaction():
                other.enqueue()
            if end == "badly":
                raise ValueError

        other, task = self.declare(child, delay=3600), self.declare(work)
        task.enqueue("badly")
        self.burst()
        self.assertEqual(self.queue.counts()[State.SCHEDULED], 0)
        task.enqueue("well")
        self.burst()
        self.assertEqual(self.queue.counts()[State.SCHEDULED], 1)

    def test_another_thread_of_the_task_may_not_open_it(self) -> None:
        """It could not be left from there, and the write lock would stay with it."""

        def work() -> None:
            job, refused = this_job(), []

            def open_it() -> None:
                try:
                    with job.transaction() as connection:
                        connection.execute(INSERT, (1,))
                except Exception as error:
                    refused.append(error)

            thread = threading.Thread(target=contextvars.copy_context().run, args=(open_it,))
            thread.start()
            thread.join()
            raise refused[0]

        job = self.enqueue(work)
        self.assertEqual(self.ended(job), (State.FAILED, []))
        self.assertIn("belongs to the thread", job.errors[0].message)

    def test_a_coroutine_is_refused(self) -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            with this_job().transaction():
                raise AssertionError

        job = self.enqueue(work)
        self.assertEqual(self.ended(job)[0], State.FAILED)
        self.assertIn("use a plain function", job.errors[0].message)

    def test_a_row_factory_that_the_task_sets_is_its_own_affair(self) -> None:
        def work() -> None:
            with this_job().transaction() as connection:
                connection.row_factory = lambda cursor, row: {"x": row[0]}
                connection.text_factory = bytes
                connection.execute(INSERT, (1,))

        self.assertEqual(self.ended(self.enqueue(work)), (State.COMPLETED, [1]))

    def test_logs_and_progress_are_kept_with_it(self) -> None:
        def work() -> None:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (1,))
            this_job().log("line")
            this_job().progress(0.5)

        job = self.enqueue(work)
        self.assertEqual(self.ended(job), (State.COMPLETED, [1]))
        self.assertEqual((job.log[0].text, job.progress), ("line", 0.5))


class EndedByOthers(TransactionCase):
    def test_a_task_that_commits_by_itself_fails_with_the_reason(self) -> None:
        def commit(connection: Connection) -> None:
            connection.commit()

        def rollback(connection: Connection) -> None:
            connection.execute("ROLLBACK")

        def work(how: str) -> None:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (1,))
                {"commit": commit, "rollback": rollback, "close": Connection.close}[how](connection)

        task = self.declare(work)
        for how in ("commit", "rollback", "close"):
            for run in (self.ended, self.drained):
                with self.subTest(how=how, run=run):
                    job = task.enqueue(how)
                    self.assertEqual(run(job)[0], State.FAILED)
                    self.assertIn("leave COMMIT and ROLLBACK to litequeue", job.errors[0].message)

    def test_what_it_raises_then_is_what_is_told(self) -> None:
        def work(how: str, where: str) -> None:
            with this_job().transaction() as connection:
                {"commit": Connection.commit, "close": Connection.close}[how](connection)
                if where == "inside":
                    raise OSError("my own")
            raise OSError("my own")

        task = self.declare(work)
        for how in ("commit", "close"):
            for where in ("inside", "outside"):
                for run in (self.ended, self.drained):
                    with self.subTest(how=how, where=where, run=run):
                        job = task.enqueue(how, where)
                        self.assertEqual(run(job)[0], State.FAILED)
                        self.assertEqual([each.message for each in job.errors], ["my own"])

    def test_after_closing_the_connection_the_worker_goes_on(self) -> None:
        def work() -> None:
            with this_job().transaction() as connection:
                connection.close()

        job, next_one = self.enqueue(work), self.enqueue(nothing)
        with self.assertLogs("litequeue") as logged:
            self.assertEqual(self.ended(job)[0], State.FAILED)
        self.assertNotIn("foresaw", "".join(logged.output))
        self.assertEqual(next_one.refresh().state, State.COMPLETED)

    def test_a_deferred_constraint_fails_the_job(self) -> None:
        self.change("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        self.change("CREATE TABLE child (p REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")

        def work() -> None:
            with this_job().transaction() as connection:
                connection.execute("INSERT INTO child VALUES (7)")
                connection.execute(INSERT, (1,))

        job = self.enqueue(work)
        is_enforced = self.queue.desk.database.read(lambda c: c.execute("PRAGMA foreign_keys").fetchone()[0])
        expected = (State.FAILED, []) if is_enforced else (State.COMPLETED, [1])
        self.assertEqual(self.ended(job), expected)

    def test_a_job_that_was_asked_to_stop_rolls_back_and_ends_as_cancelled(self) -> None:
        began, go_on = self.events(2)

        def work() -> None:
            began.set()
            go_on.wait()
            with this_job().transaction() as connection:
                connection.execute(INSERT, (1,))

        job = self.enqueue(work)
        with self.queue.worker():
            wait_for(began)
            job.cancel()
            go_on.set()
            self.assertEqual(job.wait(PATIENCE_SECONDS), State.CANCELLED)
        self.assertEqual(self.ledger, [])

    def test_a_lost_lease_rolls_back(self) -> None:
        began, go_on = self.events(2)

        def work() -> str:
            if this_job().attempt == 1:
                began.set()
                go_on.wait()
            with this_job().transaction() as connection:
                connection.execute(INSERT, (this_job().attempt,))
            return f"attempt {this_job().attempt}"

        job = self.enqueue(work)
        with self.queue.worker():
            wait_for(began)
            # As if another worker had reaped it.
            self.change("UPDATE litequeue_job SET state = 'ready', worker = NULL WHERE id = ?", job.id)
            self.change("UPDATE litequeue_job SET attempt = attempt + 1 WHERE id = ?", job.id)
            go_on.set()
            self.assertEqual(job.result(PATIENCE_SECONDS), "attempt 3")
        self.assertEqual(self.ledger, [3])

    def test_a_second_stop_does_not_wait_for_a_task_that_has_one_open(self) -> None:
        opened, go_on = self.events(2)

        def work() -> str:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (1,))
                opened.set()
                go_on.wait()
            return "done"

        job = self.enqueue(work)
        worker = self.queue.worker().start()
        wait_for(opened)
        worker.stop()
        worker.stop()
        self.assertTrue(worker.join(PATIENCE_SECONDS), "the worker waits for the task")
        self.assertEqual((job.refresh().state, job.failures, self.ledger), (State.READY, 0, []))
        go_on.set()

    def test_what_is_enqueued_where_it_was_taken_away_is_not_stored(self) -> None:
        opened, go_on, tried = self.events(3)
        found: list[str] = []

        def work() -> None:
            with this_job().transaction():
                opened.set()
                go_on.wait()
                try:
                    self.queue.enqueue("app:next")
                except DatabaseError as error:
                    found.append(str(error))
                finally:
                    tried.set()

        job = self.enqueue(work)
        worker = self.queue.worker().start()
        wait_for(opened)
        worker.stop()
        worker.stop()
        worker.join(PATIENCE_SECONDS)
        go_on.set()
        wait_for(tried)
        self.assertEqual([each.id for each in self.queue.jobs()], [job.id])
        self.assertIn("was rolled back", found[0])

    def test_the_end_of_the_grace_does_not_wait_either_and_never_completes_without_the_writes(self) -> None:
        opened, go_on = self.events(2)

        def work() -> str:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (1,))
            opened.set()
            go_on.wait()
            return "done"

        job = self.enqueue(work)
        worker = self.queue.worker(grace=0.05).start()
        wait_for(opened)
        worker.stop()
        self.assertTrue(worker.join(PATIENCE_SECONDS), "the worker waits for the task")
        go_on.set()
        self.assertEqual((job.refresh().state, self.ledger), (State.READY, []))

    def test_within_the_grace_it_is_committed(self) -> None:
        opened, go_on = self.events(2)

        def work() -> str:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (1,))
            opened.set()
            go_on.wait()
            return "done"

        job = self.enqueue(work)
        worker = self.queue.worker(grace=PATIENCE_SECONDS).start()
        wait_for(opened)
        worker.stop()
        go_on.set()
        self.assertTrue(worker.join(PATIENCE_SECONDS))
        self.assertEqual((job.result(0), self.ledger), ("done", [1]))


class Stuck(TransactionCase):
    def test_a_stuck_task_loses_its_transaction_and_the_others_can_write_again(self) -> None:
        opened, go_on = self.events(2)

        def work() -> None:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (1,))
                opened.set()
                while not go_on.wait(PATIENCE_SECONDS):  # nothing can be raised in here
                    pass

        self.lose_patience_soon()
        job, next_one = self.enqueue(work, timeout=0.05), self.enqueue(nothing)
        with self.queue.worker(threads=1):
            wait_for(opened)
            self.assertEqual(next_one.wait(PATIENCE_SECONDS), State.COMPLETED)
            self.assertEqual((job.refresh().state, job.reason, self.ledger), (State.FAILED, "timeout", []))
            self.assertIn("go_on.wait", job.errors[0].traceback)
            go_on.set()

    def test_also_one_that_has_read_half_of_something(self) -> None:
        opened, go_on = self.events(2)

        def work() -> None:
            with this_job().transaction() as connection:
                connection.execute(INSERT, (1,))
                rows = connection.execute("SELECT id FROM litequeue_job")
                rows.fetchone()
                opened.set()
                while not go_on.wait(PATIENCE_SECONDS):
                    pass

        self.lose_patience_soon()
        job, next_one = self.enqueue(work, timeout=0.05), self.enqueue(nothing)
        with self.queue.worker(threads=1):
            wait_for(opened)
            self.assertEqual(next_one.wait(PATIENCE_SECONDS), State.COMPLETED)
            self.assertEqual((job.refresh().state, self.ledger), (State.FAILED, []))
            go_on.set()

    def test_one_that_writes_all_the_time_crashes_nothing_and_stores_nothing(self) -> None:
        database = self.queue.desk.database
        for _ in range(200):
            transaction, wrote, errors = TaskTransaction(database), threading.Event(), list[Exception]()

            def work(
                transaction: TaskTransaction = transaction,
                wrote: threading.Event = wrote,
                errors: list[Exception] = errors,
            ) -> None:
                try:
                    with transaction() as connection:
                        while True:
                            connection.execute(INSERT, (1,))
                            wrote.set()
                except Exception as error:  # whatever the driver says of it
                    errors.append(error)
                transaction.leave()

            task = threading.Thread(target=work)
            task.start()
            wait_for(wrote)
            transaction.abort()
            task.join(PATIENCE_SECONDS)
            self.assertTrue(errors)
        self.assertEqual(self.ledger, [])

    def test_a_statement_that_never_ends_is_interrupted(self) -> None:
        endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
        threads: list[threading.Thread] = []

        def work() -> None:
            threads.append(threading.current_thread())
            with this_job().transaction() as connection:
                connection.execute(endless).fetchone()

        self.lose_patience_soon()
        job = self.enqueue(work, timeout=0.5)
        self.burst()
        self.assertEqual((job.refresh().state, job.reason), (State.FAILED, "timeout"))
        until(lambda: not threads[0].is_alive(), "the interrupt")

    def lose_patience_soon(self) -> None:
        """Let a task count as stuck after a moment."""
        patch = mock.patch.object(Limits.__init__, "__defaults__", (50_000,))
        patch.start()
        self.addCleanup(patch.stop)


class Killed(TransactionCase):
    def test_killed_before_the_commit_nothing_is_there_and_the_next_attempt_commits_once(self) -> None:
        job = self.queue.enqueue("tests.worker.crew:write_and_wait")
        program = Program(self, "from tests.worker.crew import queue; queue.worker().run()")
        self.assertEqual(program.hear(), "wrote 1")
        program.kill()
        self.assertEqual(self.ledger, [])
        second = Program(self, "from tests.worker.crew import queue; queue.worker().run()")
        self.assertEqual(second.hear(), "wrote 2")
        second.tell()
        self.assertEqual(job.wait(PATIENCE_SECONDS), State.COMPLETED)
        self.assertEqual((self.ledger, job.attempt), ([2], 2))

    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch.dict(os.environ, LITEQUEUE_TEST_FILE=str(self.path))
        patch.start()
        self.addCleanup(patch.stop)


def nothing() -> None:
    """A task that does nothing."""
