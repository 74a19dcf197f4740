"""Every statement finds its rows by an index, and a claim costs the same however many jobs there are.

The statements are collected from the modules, so that a new one can not be forgotten.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import sqlite3
import unittest
from collections.abc import Callable, Iterator
from typing import Any

from litequeue import storage
from litequeue.job import Want
from litequeue.storage import claims, flow, opening, operating, reports
from litequeue.testing import HandClock
from tests.repository import PACKAGE
from tests.source import Module

NOW = HandClock().now()
VERBS = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
# A scan of these is a scan of few rows, and a sort of theirs a sort of few.
ALLOWED = {
    "reports.WORKERS": "a row per live worker",
    "workers.SIGN_ON": "looks among the tables that number their rows",
    "workers.SIGNED_ON": "a row per live worker",
    "overview.ERRORS": "goes through the failures, along their index, and sorts what they come to",
    "logs.LAST": "goes back along an index until it has enough",
    "reports.PAUSED": "a row per queue that was ever paused",
    "reports.RUNNING_QUEUES": "sorts the names among the running jobs, of which there are as many as slots",
    "reports.QUEUES": "looks at five names, one from each index, and goes from one to the next",
    "operating.ENDED_QUEUES": "goes from one name to the next",
    "claims.PARKED": "goes from one name to the next",
    "reports.OLDEST_READY": "looks at two instants, one from each index",
    "reports.AHEAD": "counts what its two searches found, 10,001 at the most",
    "enqueuing.ENQUEUE": "goes through the rows that it is given",
    "claims.LOOK": "goes through the one row that holds the queue's name",
    "flow.OUTLOOK": "sorts the parents of one job",
    "flow.PARENTS": "likewise",
    "flow.RECOUNT": "likewise",
    "flow.DESCENDANTS": "goes through what it found so far",
    "flow.REVIVABLE": "likewise",
    "flow.IS_ABOVE": "likewise",
    "limits.RUNNING": "counts what its search found, no further than the limit",
    "limits.RUNNING_IN_QUEUE": "goes through the running jobs of one queue, no further than the limit",
    "schedules.ALL": "a row per schedule",
    "backup.DISOWN": "a row per worker, in a copy that nobody uses yet",
    "backup.PIN": "a handful of rows",
    "care.SPACE": "four pragmas of one row each",
    "limits.WAITING": "its subqueries, each cut off at the bound",
    "limits.UNFINISHED": "likewise, and the running jobs of one queue",
}
# These go through all there is, once in a file that a hand or damage has spoilt.
WHOLE = {"mending.MEND", "mending.MEND_KEYS", "mending.MEND_SCHEDULES"}
SLOW = re.compile(r"SCAN (?!(\d+ )?CONSTANT ROW)|USE TEMP B-TREE")
# The list of ids that a filter names, or that a handful of jobs has.
LISTS = re.compile(r"SCAN json_each VIRTUAL TABLE|USE TEMP B-TREE FOR ORDER BY$")

FILL = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :jobs),
mixed(n, state) AS (
  SELECT n, CASE WHEN n <= 16 THEN 'running' WHEN n / 5 % 6 = 0 THEN 'ready'
                 WHEN n / 5 % 6 = 1 THEN 'scheduled' WHEN n / 5 % 6 = 2 THEN 'completed'
                 WHEN n / 5 % 6 = 3 THEN 'failed' WHEN n / 5 % 6 = 4 THEN 'cancelled' ELSE 'blocked' END
  FROM number)
INSERT INTO litequeue_job (task, queue, state, reason, priority, attempt, parked, run_at, created_at,
                           finished_at, expires_at, retention, worker, tags)
SELECT 'app:task' || (n % 7), 'queue' || (n % 5), state,
       CASE state WHEN 'failed' THEN 'error' WHEN 'cancelled' THEN 'cancelled' END, n % 11 - 5, n % 3,
       state = 'ready' AND n % 13 = 0,
       :now + iif(state = 'scheduled', (n % 1001 - 500) * 60000000, 0), :now,
       iif(state IN ('completed', 'failed', 'cancelled'), :now, NULL),
       iif(n % 17 = 0, :now + 3600000000, NULL), 86400000000 * (n % 9),
       iif(state = 'running', n % 4 + 1, NULL), '["a"]'
FROM mixed
"""


class Anything(dict[str, object]):
    """Named parameters for any statement."""

    def __missing__(self, name: str) -> None:
        return None


def is_statement(value: object) -> bool:
    return isinstance(value, str) and VERBS.match(value) is not None


def collect() -> dict[str, str]:
    """Every SQL statement that is a constant of a storage module, by its name."""
    found: dict[str, str] = {}
    for info in pkgutil.iter_modules(storage.__path__):
        module = importlib.import_module(f"litequeue.storage.{info.name}")
        for name, value in vars(module).items():
            parts = value if isinstance(value, dict) else {"": value}
            for key, text in parts.items():
                if name.isupper() and not name.startswith("_") and is_statement(text):
                    found.setdefault(text, f"{info.name}.{name}" + (f" {str(key)[:40]!r}" if key else ""))
    return {name: text for text, name in found.items()}


def trigger_statements() -> Iterator[str]:
    for text in opening.statements(opening.schema_text()):
        if "CREATE TRIGGER" in text:
            body = text[text.index("BEGIN") + 5 : text.rindex("END")]
            yield from (
                re.sub(r"\b(old|new)\.(\w+)", r":\1_\2", part) for part in body.split(";") if part.strip()
            )


def memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(opening.schema_text())
    return connection


def fill(connection: sqlite3.Connection, jobs: int) -> None:
    connection.execute(FILL, {"jobs": jobs, "now": NOW})


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    named = re.search(r":\w", statement) is not None
    numbered = max(map(int, re.findall(r"\?(\d+)", statement)), default=0)
    values: Any = Anything() if named else (None,) * (numbered or statement.count("?"))
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()]


class TestPlans(unittest.TestCase):
    connection: sqlite3.Connection

    @classmethod
    def setUpClass(cls) -> None:
        cls.connection = memory()
        cls.addClassCleanup(cls.connection.close)
        fill(cls.connection, 20_000)
        cls.connection.execute(
            "INSERT INTO litequeue_worker SELECT value, 'w', 1, '[]', 1, 0, 0, 'b', 0, NULL, 0"
            " FROM json_each('[1, 2, 3, 4]')"
        )

    def test_the_statements_are_found(self) -> None:
        names = {name.partition(" ")[0] for name in collect()}
        expected = {
            "claims.CANDIDATES",
            "settling.COMPLETE",
            "enqueuing.ENQUEUE",
            "reports.MATCHING",
            "workers.RENEW",
        }
        self.assertLessEqual(expected, names)
        self.assertGreater(len(collect()), 50)
        self.assertEqual(set(ALLOWED) - names, set())

    def test_no_statement_about_jobs_hides_in_a_function(self) -> None:
        for path in sorted((PACKAGE / "storage").glob("*.py")):
            module = Module.read(path, PACKAGE)
            for function in module.functions():
                for node in ast.walk(function):
                    if isinstance(node, ast.Constant) and is_statement(node.value):
                        self.assertNotIn(
                            "litequeue_job", str(node.value), module.at(node.lineno, "inline SQL")
                        )

    def test_the_data_is_mixed(self) -> None:
        states = self.connection.execute(
            "SELECT state, count(*) FROM litequeue_job GROUP BY state"
        ).fetchall()
        self.assertEqual(len(states), 7)
        self.assertTrue(all(count >= 16 for _, count in states), states)

    def test_every_statement_searches(self) -> None:
        self.check_all()

    def test_every_statement_searches_after_analyze(self) -> None:
        self.connection.execute("ANALYZE")
        self.addCleanup(self.connection.execute, "DROP TABLE sqlite_stat1")
        self.check_all()

    def check_all(self) -> None:
        statements = collect() | {f"trigger {n}": text for n, text in enumerate(trigger_statements())}
        for name, text in statements.items():
            lines = plan(self.connection, text)
            bad = [line for line in lines if SLOW.match(line)]
            if "json_each" in text:
                bad = [line for line in bad if not LISTS.match(line)]
            if name in WHOLE:
                bad = []
            if name.partition(" ")[0] in ALLOWED:
                bad = [line for line in bad if "litequeue_job" in line]
            with self.subTest(name):
                self.assertEqual(bad, [], "\n".join([text, *lines]))

    def test_a_claim_goes_down_the_ready_index(self) -> None:
        for statement, index in (
            (claims.CANDIDATES, "litequeue_ready"),
            (claims.PROMOTE, "litequeue_scheduled"),
            (flow.EXPIRE, "litequeue_expiring"),
            (claims.REVIVE, "litequeue_parked"),
            (operating.PRUNE, "litequeue_final"),
            (reports.MATCHING[reports.ENDED], "litequeue_retriable"),
        ):
            self.assertIn(f"INDEX {index} (", " ".join(plan(self.connection, statement)))

    def test_the_check_sees_a_scan(self) -> None:
        lines = plan(self.connection, "SELECT id FROM litequeue_job WHERE task = ? ORDER BY task, codec")
        self.assertEqual(len([line for line in lines if SLOW.match(line)]), 2)


class TestFlatness(unittest.TestCase):
    """Counted in steps of SQLite's virtual machine, so that no clock is asked."""

    def steps(self, jobs: int, action: Callable[[sqlite3.Connection], object]) -> int:
        connection = memory()
        self.addCleanup(connection.close)
        fill(connection, jobs)
        counted = 0

        def count() -> int:
            nonlocal counted
            counted += 1
            return 0

        action(connection)  # what is due is promoted before it is counted
        connection.set_progress_handler(count, 1)
        action(connection)
        return counted

    def assert_flat(self, action: Callable[[sqlite3.Connection], object]) -> None:
        few, many = self.steps(600, action), self.steps(20_000, action)
        self.assertGreater(few, 20)
        self.assertLess(many, few * 1.1, f"{few} steps among 600 jobs, {many} among 20,000")

    def test_a_claim(self) -> None:
        wants = [Want("queue1", 1, 1), Want("queue2", 1, 2)]

        def action(connection: sqlite3.Connection) -> None:
            while claims.promote(connection, "queue1", NOW) or claims.promote(connection, "queue2", NOW):
                pass
            claimed = claims.claim(connection, 1, wants, NOW)
            self.assertEqual(len(claimed.jobs), 2)

        self.assert_flat(action)

    def test_a_look_for_work(self) -> None:
        queues = ["nobody's", "queue1"]
        self.assert_flat(lambda connection: claims.is_work_waiting(connection, queues, NOW))

    def test_the_next_due_time(self) -> None:
        self.assert_flat(lambda connection: claims.next_due(connection, ["queue1", "queue2"], NOW))
