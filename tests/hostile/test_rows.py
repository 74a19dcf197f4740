"""A worker meets rows that were edited into nonsense; `test_files.py` shows them to everybody else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from litequeue import State
from litequeue.storage.checks import broken
from tests.hostile.edits import as_parameter, columns, nonsense
from tests.worker.case import FileCase


class TestWorkers(FileCase):
    """Each such job ends or waits by itself, and every good one runs."""

    def test_jobs_of_nonsense_keep_no_other_from_running(self) -> None:
        self.queue.task(name="app:task")(lambda *args, **kwargs: None)
        self.queue.counts()
        tried = 0
        with closing(sqlite3.connect(self.path)) as connection:
            names = columns(connection, "litequeue_job")
        for column in names:
            values = nonsense(column)
            bad = [self.queue.enqueue("app:task") for _ in values]
            good = self.queue.enqueue("app:task", 1)
            for job, value in zip(bad, values, strict=True):
                tried += self.edit(job.id, column, value)
            with self.subTest(column):
                self.burst()
                self.assertEqual(good.refresh().state, State.COMPLETED)
            self.change("DELETE FROM litequeue_job")
        self.assertGreater(tried, 300)

    def edit(self, id: int, column: str, value: object) -> bool:
        mark, values = as_parameter(value)
        with closing(sqlite3.connect(self.path)) as connection:
            try:
                connection.execute(f"UPDATE litequeue_job SET {column} = {mark} WHERE id = {id}", values)
            except (sqlite3.Error, OverflowError):
                return False
            connection.commit()
        return True


class TestForged(FileCase):
    """What only a hand that switched SQLite's checks off can write, or that nobody in his right mind does."""

    def setUp(self) -> None:
        super().setUp()
        self.task = self.queue.task(name="app:task")(lambda *args, **kwargs: None)
        self.queue.counts()

    def forge(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute("PRAGMA writable_schema = ON")
            for statement in statements:
                connection.execute(statement)

    def assert_a_good_job_runs(self) -> None:
        good = self.task.enqueue()
        self.burst()
        self.assertEqual(good.refresh().state, State.COMPLETED, good.explain())

    def test_jobs_against_the_rules_are_set_right(self) -> None:
        changes = (
            *("finished_at = 5", "worker = 7", "reason = 'error'", "attempt = -5", "crashes = -1"),
            *("failures = -1", "ack = 'never'", "cancelling = 1", "state = 'running'"),
            *("state = 'scheduled', parked = 1", "state = 'scheduled', worker = 1, finished_at = 1"),
            *("expires_at = 5, worker = 7", "state = 'failed'", "state = 'cancelled', finished_at = 1"),
        )
        jobs = [self.task.enqueue(number) for number in range(len(changes))]
        self.forge(
            *(
                f"UPDATE litequeue_job SET {change} WHERE id = {job.id}"
                for job, change in zip(jobs, changes, strict=True)
            )
        )
        with self.assertLogs("litequeue", "WARNING") as logs:
            self.assert_a_good_job_runs()
        self.burst()  # reaps what seemed to run
        self.assertRegex("\n".join(logs.output), r"mend rows=14: .*against the rules")
        states = [job.refresh().state for job in jobs]
        self.assertEqual(states, [State.COMPLETED] * 11 + [State.CANCELLED, State.FAILED, State.CANCELLED])
        self.assertEqual(self.queue.desk.database.read(broken), [])

    def test_jobs_that_share_a_unique_key(self) -> None:
        jobs = [self.task.using(unique=key).enqueue() for key in "abc"]
        of_index = "WHERE name = 'litequeue_unique'"
        change = "UPDATE sqlite_schema SET sql = replace(sql, '{}INDEX', '{}INDEX') " + of_index
        self.forge(change.format("UNIQUE ", ""), "PRAGMA schema_version = 5000")
        self.forge(
            "UPDATE litequeue_job SET unique_key = 'a'",
            change.format("", "UNIQUE "),
            "PRAGMA schema_version = 5001",
        )
        self.assert_a_good_job_runs()
        self.assertEqual({job.refresh().state for job in jobs}, {State.COMPLETED})

    def test_a_schedule_against_the_rules_fires(self) -> None:
        self.queue.schedules.add("nightly", self.task.call(), every=10)
        self.forge("UPDATE litequeue_schedule SET catch_up = 'some', next_at = next_at - 60000000")
        self.assert_a_good_job_runs()
        self.assertEqual(len(self.queue.jobs(state="completed")), 2)

    def test_a_worker_has_the_last_number_that_there_is(self) -> None:
        for number in (2**63 - 1, 2**62):
            self.forge(
                "INSERT INTO litequeue_worker"
                " (id, name, pid, queues, threads, started_at, seen_at, boot, lease_until)"
                f" VALUES ({number}, 'w', 1, '[]', 1, 0, 0, '', 0)"
            )
            self.assert_a_good_job_runs()

    def test_limits_of_nonsense(self) -> None:
        for values in (
            *("NULL, 5, NULL, NULL", "NULL, NULL, 10, 2", "NULL, 5, 9223372036854775807, NULL"),
            *("NULL, 9223372036854775807, 5, 1", "NULL, -5, 10, -9223372036854775808", "NULL, 5, 0, 0"),
            "9223372036854775807, 0, NULL, 9223372036854775807",
        ):
            limited = self.task.using(key="k", max_running=1).enqueue()
            self.forge(
                f"UPDATE litequeue_limit SET (max_running, rate_count, rate_period, burst) = ({values})",
                f"INSERT OR REPLACE INTO litequeue_queue VALUES ('default', NULL, {values})",
            )
            with self.subTest(values):
                self.assert_a_good_job_runs()
                self.assertEqual(limited.refresh().state, State.COMPLETED)
