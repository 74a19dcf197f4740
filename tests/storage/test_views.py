"""The views, by which other programs read: their columns, what is in them, and that nothing breaks them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from litequeue.clock import SystemClock
from litequeue.job import Complete, Fail, Failure, NewJobs, NewWorker, Want
from litequeue.storage.minutes import Minutes
from litequeue.storage.workers import Workers
from tests.storage.files import FileCase

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
# The contract: a column may be added at the end of its line, by hand; none may go, or change its kind.
COLUMNS = {
    "litequeue_jobs": """
        id integer, task text, queue text, state text, reason text, message text, priority integer,
        attempt integer, failures integer, crashes integer, created_at time, run_at time, started_at time,
        finished_at time, expires_at time, wait_seconds real, run_seconds real, worker integer,
        parked integer, cancelling integer, progress real, progress_text text, tags text, meta text,
        options text, unique_key text, limit_key text, pending integer, schedule text,
        scheduled_for time, codec text, payload text, result_codec text, result text""",
    "litequeue_attempts": """
        job integer, attempt integer, state text, worker integer, started_at time, ended_at time, reason text,
        type text, message text, place text, traceback text""",
    "litequeue_workers": """
        id integer, name text, pid integer, queues text, threads integer, started_at time, seen_at time,
        stopping integer, running integer""",
    "litequeue_schedules": """
        name text, task text, cron text, every_seconds real, timezone text, catch_up text,
        jitter_seconds real, overlap integer, state text, next_at time, last_at time, last_job integer,
        declared integer, created_at time, paused_at time, lost_at time, payload text""",
    "litequeue_queues": """
        queue text, paused_at time, scheduled integer, blocked integer, ready integer, running integer,
        completed integer, failed integer, cancelled integer, oldest_ready_at time, max_running integer,
        rate_count integer, rate_seconds real, burst integer""",
    "litequeue_minutes": """
        queue text, minute time, completed integer, failed integer, retried integer, waits text, runs text""",
}
TRACEBACK = 'Traceback (most recent call last):\n  File "/srv/shop/app.py", line 3, in fetch\nOSError: no\n'
ODD = """
UPDATE litequeue_job SET created_at = 9223372036854775807, run_at = -9223372036854775808, started_at = 0,
  tags = 'no list', meta = char(0), options = '{', queue = char(0) || 'x', progress = 1e308, payload = NULL
  WHERE id = 2;
UPDATE litequeue_job SET started_at = 9223372036854775807, run_at = -9223372036854775808 WHERE id = 3;
UPDATE litequeue_failure SET failed_at = -9223372036854775808, traceback = CAST(x'ff00ff' AS TEXT);
UPDATE litequeue_worker SET queues = '', started_at = 9223372036854775807;
UPDATE litequeue_schedule SET next_at = -1, every = -9223372036854775808, cron = NULL;
UPDATE litequeue_minute SET waits = '', minute = 9223372036854775807 WHERE minute > 0;
UPDATE litequeue_queue SET paused_at = 9223372036854775807, rate_period = 9223372036854775807;
"""
# Where a tool asks like this, SQLite has an index for it.
SEARCHES = {
    "SELECT * FROM litequeue_jobs WHERE id = 5": r"SEARCH litequeue_job USING INTEGER PRIMARY KEY",
    "SELECT * FROM litequeue_jobs WHERE state IN ('failed', 'cancelled')": "INDEX litequeue_retriable",
    "SELECT * FROM litequeue_jobs WHERE state = 'running'": "INDEX litequeue_running",
    "SELECT * FROM litequeue_jobs WHERE queue = 'a' AND state = 'scheduled'": "INDEX litequeue_scheduled",
    "SELECT * FROM litequeue_jobs WHERE queue = 'a' AND state = 'ready' AND parked = 0": "litequeue_ready",
    "SELECT * FROM litequeue_attempts WHERE job = 5": r"SEARCH litequeue_failure USING PRIMARY KEY \(job=",
    "SELECT * FROM litequeue_workers": r"litequeue_running \(worker=",
    "SELECT * FROM litequeue_queues": r"litequeue_ready \(queue=",
}


class TestViews(FileCase):
    """On a file with something in each table."""

    def setUp(self) -> None:
        super().setUp()
        store = self.store()
        clock = SystemClock()
        flags: dict[str, Any] = {
            "tags": '["a"]',
            "meta": "{}",
            "options": "{}",
            "expires_at": clock.now() + 9**9,
        }
        store.enqueue([NewJobs("app:task", "default", ("[[],{}]",) * 4, **flags)])
        worker = Workers(store.database, clock).sign_on(NewWorker("box:7", 7, ("default",)))
        claimed = store.claim(worker, [Want("default", 3, 3)]).jobs
        store.settle(Complete(claimed[0].lease, "3", "json"))
        store.settle(Fail(claimed[1].lease, Failure("error", "OSError", "no", TRACEBACK)))
        store.pause("default")
        minutes = Minutes(store.database, clock)
        minutes.count("default", "completed", clock.now(), clock.monotonic(), 5)
        minutes.write()
        self.run_sql(
            "INSERT INTO litequeue_schedule (name, task, every, job, payload, created_at, next_at, last_at,"
            " last_job) VALUES ('nightly', 'app:task', 60000000, '{}', '[[],{}]', 1, 2, 3, 4)"
        )

    def run_sql(self, script: str) -> None:
        """As any program may."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(script)

    def read(self, statement: str) -> list[dict[str, Any]]:
        """As any program may."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            connection.text_factory = bytes
            return [dict(row) for row in connection.execute(statement)]

    def test_the_views_are_these(self) -> None:
        found = self.read("SELECT CAST(name AS BLOB) AS name FROM sqlite_schema WHERE type = 'view'")
        self.assertEqual({row["name"].decode() for row in found}, set(COLUMNS))

    def test_their_columns_are_stable(self) -> None:
        for view, text in COLUMNS.items():
            columns = dict(part.split() for part in text.split(","))
            rows = self.read(f"SELECT * FROM {view}")
            self.assertTrue(rows, view)
            for row in rows:
                self.assertEqual(list(row), list(columns), view)
                for name, kind in columns.items():
                    with self.subTest(f"{view}.{name}"):
                        self.assert_kind(row[name], kind)

    def assert_kind(self, value: object, kind: str) -> None:
        if kind == "time" and value is not None:
            assert isinstance(value, bytes)
            self.assertRegex(value.decode(), rf"^({TIME}|\d{{4}}-\d\d-\d\d \d\d:\d\d)$")
        python = {"integer": int, "real": float, "text": bytes, "time": bytes}[kind]
        self.assertIsInstance(value, (python, type(None)))

    def test_no_column_is_empty_in_every_row(self) -> None:
        """Or the test of their kinds would prove little."""
        seldom = {
            "reason",
            "message",
            "lost_at",
            "cron",
            "scheduled_for",
            "schedule",
            "unique_key",
            "limit_key",
        }
        seldom |= {
            "progress",
            "progress_text",
            "max_running",
            "rate_count",
            "rate_seconds",
            "burst",
            "paused_at",
        }
        for view in COLUMNS:
            rows = self.read(f"SELECT * FROM {view}")
            empty = {name for name in rows[0] if all(row[name] is None for row in rows)}
            self.assertEqual(empty - seldom, set(), view)

    def test_what_they_say(self) -> None:
        jobs = self.read("SELECT id, state FROM litequeue_jobs ORDER BY id")
        self.assertEqual([row["state"] for row in jobs], [b"completed", b"failed", b"running", b"ready"])
        attempts = self.read("SELECT job, state, place FROM litequeue_attempts ORDER BY job")
        self.assertEqual(
            [tuple(row.values()) for row in attempts],
            [(1, b"completed", None), (2, b"failed", b"shop/app.py:3"), (3, b"running", None)],
        )
        (queue,) = self.read("SELECT * FROM litequeue_queues")
        self.assertEqual([queue[state] for state in ("ready", "running", "completed", "failed")], [1] * 4)
        self.assertEqual(self.read("SELECT running FROM litequeue_workers"), [{"running": 1}])
        self.assertEqual(self.read("SELECT state FROM litequeue_schedules"), [{"state": b"active"}])
        self.assertEqual(
            self.read("SELECT completed, failed FROM litequeue_minutes"), [{"completed": 1, "failed": 0}]
        )

    def test_a_body_that_lies_elsewhere_is_there_too(self) -> None:
        large = f'[["{"x" * 9000}"],{{}}]'
        self.run_sql(
            "INSERT INTO litequeue_job (id, task, payload) VALUES (9, 'a', NULL);"
            f"INSERT INTO litequeue_blob VALUES (9, 'payload', '{large}')"
        )
        self.assertEqual(
            self.read("SELECT payload FROM litequeue_jobs WHERE id = 9"), [{"payload": large.encode()}]
        )

    def test_a_job_that_failed_before_it_completed_has_an_attempt_of_each(self) -> None:
        self.run_sql("UPDATE litequeue_job SET attempt = 4 WHERE id = 1")
        self.run_sql("INSERT INTO litequeue_failure VALUES (1, 3, 5, 'error', 'E', 'm', '', '')")
        found = self.read("SELECT attempt, state FROM litequeue_attempts WHERE job = 1 ORDER BY attempt")
        self.assertEqual([tuple(row.values()) for row in found], [(3, b"failed"), (4, b"completed")])

    def test_odd_rows_do_not_make_them_fail(self) -> None:
        self.run_sql(ODD)
        counted = {view: len(self.read(f"SELECT * FROM {view}")) for view in COLUMNS}
        self.assertEqual(counted["litequeue_jobs"], 4)
        self.assertEqual(counted["litequeue_queues"], 2)
        self.assertTrue(all(counted.values()), counted)

    def test_an_index_serves_where_there_is_one(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            for statement, index in SEARCHES.items():
                with self.subTest(statement):
                    plan = " | ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))
                    self.assertRegex(plan, index)
                    self.assertNotRegex(
                        plan, r"SCAN litequeue_job(?! USING (COVERING )?INDEX litequeue_running)"
                    )
