"""Graphs, unique jobs and cancels inside the caller's own transaction: with the rows, or not at all."""

from __future__ import annotations

import sqlite3
import sys
import unittest
from collections.abc import Callable
from contextlib import closing
from typing import Any

from litequeue import DuplicateJob, InvalidOption, InvalidTask, JobNotFound, State, current_job, group
from litequeue.storage.checks import broken
from tests.support import Program
from tests.users.case import QueueCase

INSERT = "INSERT INTO orders DEFAULT VALUES"
# How drivers and frameworks set up a connection, and how they begin: `None` leaves that to the driver.
LEGACY: dict[str, tuple[dict[str, Any], str | None]] = {
    "the default": ({}, None),
    "immediate": ({"isolation_level": "IMMEDIATE"}, None),
    "exclusive": ({"isolation_level": "EXCLUSIVE"}, None),
    "Django, atomic": ({"isolation_level": None, "check_same_thread": False, "detect_types": 3}, "BEGIN"),
    "Django, nested": ({"isolation_level": None, "detect_types": 3}, 'BEGIN; SAVEPOINT "s1_x1"'),
    "SQLAlchemy": ({"check_same_thread": False}, None),
    "SQLAlchemy, own BEGIN": ({"isolation_level": None}, "BEGIN"),
    "begun at once": ({"isolation_level": None}, "BEGIN IMMEDIATE"),
}
NEW: dict[str, tuple[dict[str, Any], str | None]] = {
    "autocommit off": ({"autocommit": False}, None),
    "autocommit on": ({"autocommit": True}, "BEGIN"),
}


class OwnCase(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.ran: list[object] = []
        self.note: Any = self.declare("note")
        self.unique: Any = self.declare("unique", unique=True)
        self.limited: Any = self.declare("limited", max_running=1, rate="1/s")
        self.queue.counts()
        with sqlite3.connect(self.path) as connection:
            connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        connection.close()

    def declare(self, name: str, **options: Any) -> Any:
        def work(*args: object) -> object:
            self.ran.append(args)
            return args[-1] if args else None

        return self.queue.task(name=name, **options)(work)

    def connect(self, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(self.path, **options)
        self.addCleanup(connection.close)
        return connection

    def orders(self) -> int:
        with sqlite3.connect(self.path) as connection:
            found = connection.execute("SELECT count(*) FROM orders").fetchone()[0]
            self.assertEqual(broken(connection), [])
        connection.close()
        return int(found)

    def states(self) -> list[str]:
        return [str(job.state) for job in reversed(self.queue.jobs())]

    # --- all that may be done in a transaction -----------------------------------------------------------

    VERBS = (
        *(
            "a chain",
            "a chain at large",
            "a group",
            "a group at large",
            "after",
            "on success",
            "a unique one",
        ),
        *("a limited one", "a large one", "a replacement", "a cancel", "a cancelled tree", "many"),
    )

    def act(self, verb: str, connection: sqlite3.Connection | None = None) -> None:
        """One whole change; before it there are a waiting job, its child, and one that is unique."""
        through: dict[str, Any] = {} if connection is None else {"connection": connection}
        note, unique = self.note.using(**through), self.unique.using(**through)
        match verb:
            case "a chain":
                (note.call(1) | note.call(2) | note).enqueue()
            case "a chain at large":
                (self.note.call(1) | self.note).using(**through).enqueue()
            case "a group":
                note.map(range(3)).then(note).enqueue()
            case "a group at large":
                group([self.note.call(1)]).using(**through).enqueue()
            case "after":
                note.using(after=self.waiting).enqueue(1)
            case "on success":
                note.using(on_success=self.note.call("x")).enqueue(1)
            case "a unique one":
                unique.enqueue("new")
            case "a limited one":
                self.limited.using(**through).enqueue(1)
            case "a large one":
                (note.call("x" * 9000) | note).enqueue()
            case "a replacement":
                unique.using(on_duplicate="replace", delay=60).enqueue("there")
            case "a cancel":
                self.waiting.cancel("enough", **through)
            case "a cancelled tree":
                self.waiting.cancel("enough", tree=True, **through)
            case "many":
                self.queue.enqueue_many([note.call(1), note.call(2) | note, unique.call("n")])

    def prepare(self) -> None:
        self.queue.delete()
        self.waiting = self.note.using(delay=3600).enqueue("waiting")
        self.child = self.note.using(after=self.waiting, delay=3600).enqueue("child")
        self.there = self.unique.enqueue("there")

    def seen(self) -> list[tuple[object, ...]]:
        """What other connections see of the jobs."""
        with sqlite3.connect(self.path) as connection:
            found = connection.execute(
                "SELECT id, state, reason, payload, run_at, pending FROM litequeue_job ORDER BY id"
            ).fetchall()
        connection.close()
        return found


class EveryMode(OwnCase):
    MODES = LEGACY

    def in_every_mode(self, check: Callable[[sqlite3.Connection, str | None, str], None]) -> None:
        for mode, (options, begin) in self.MODES.items():
            for verb in self.VERBS:
                with self.subTest(mode, verb=verb):
                    self.prepare()
                    connection = self.connect(**options)
                    try:
                        check(connection, begin, verb)
                    finally:
                        connection.close()

    def test_all_is_there_after_the_commit_and_not_before(self) -> None:
        def check(connection: sqlite3.Connection, begin: str | None, verb: str) -> None:
            orders, before = self.orders(), self.seen()
            self.begin(connection, begin)
            self.act(verb, connection)
            self.assertTrue(connection.in_transaction)
            self.assertEqual((self.orders(), self.seen()), (orders, before))
            self.end(connection, "COMMIT")
            self.assertEqual(self.orders(), orders + 1)
            self.assertNotEqual(self.seen(), before)

        self.in_every_mode(check)

    def test_nothing_is_there_after_a_rollback(self) -> None:
        def check(connection: sqlite3.Connection, begin: str | None, verb: str) -> None:
            orders, before = self.orders(), self.seen()
            self.begin(connection, begin)
            self.act(verb, connection)
            self.end(connection, "ROLLBACK")
            self.assertEqual((self.orders(), self.seen()), (orders, before))

        self.in_every_mode(check)

    def begin(self, connection: sqlite3.Connection, begin: str | None) -> None:
        for statement in (begin or "").split(";"):
            connection.execute(statement)
        connection.execute(INSERT)

    def end(self, connection: sqlite3.Connection, how: str) -> None:
        """As one does it there: with autocommit on, `commit()` and `rollback()` do nothing."""
        if getattr(connection, "autocommit", None) is True:
            connection.execute(how)
        else:
            {"COMMIT": connection.commit, "ROLLBACK": connection.rollback}[how]()

    def test_a_refusal_leaves_the_transaction_and_the_rows_alone(self) -> None:
        def unknown(through: dict[str, Any]) -> None:
            (self.note.using(**through).call(1) | self.note.using(after=777, **through)).enqueue()

        def taken(through: dict[str, Any]) -> None:
            self.unique.using(on_duplicate="raise", **through).enqueue("there")

        def ring(through: dict[str, Any]) -> None:
            self.unique.using(on_duplicate="replace", after=self.there, **through).enqueue("there")

        for mode, (options, begin) in self.MODES.items():
            for error, verb in ((JobNotFound, unknown), (DuplicateJob, taken), (InvalidTask, ring)):
                with self.subTest(mode, error=error.__name__), closing(self.connect(**options)) as connection:
                    self.prepare()
                    orders, before = self.orders(), self.seen()
                    self.begin(connection, begin)
                    self.assertRaises(error, verb, {"connection": connection})
                    self.assertTrue(connection.in_transaction)
                    self.end(connection, "COMMIT")
                    self.assertEqual((self.orders(), self.seen()), (orders + 1, before))

    def test_the_connection_is_left_as_it_was_set(self) -> None:
        def check(connection: sqlite3.Connection, begin: str | None, verb: str) -> None:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA recursive_triggers = ON")
            connection.row_factory = lambda cursor, row: {"row": row}
            connection.text_factory = lambda data: data.decode().upper()
            before = _settings(connection)
            self.begin(connection, begin)
            self.act(verb, connection)
            self.end(connection, "COMMIT")
            self.assertEqual(_settings(connection), before)

        self.in_every_mode(check)


@unittest.skipIf(sys.version_info < (3, 12), "Connection.autocommit came with Python 3.12")
class EveryNewMode(EveryMode):
    MODES = NEW


def _settings(connection: sqlite3.Connection) -> tuple[object, ...]:
    pragmas = (
        "foreign_keys",
        "recursive_triggers",
        "synchronous",
        "busy_timeout",
        "query_only",
        "journal_mode",
    )
    cursor = connection.cursor()
    cursor.row_factory = None
    return (
        connection.row_factory,
        connection.text_factory,
        connection.isolation_level,
        getattr(connection, "autocommit", None),
        connection.in_transaction,
        [cursor.execute(f"PRAGMA {name}").fetchone() for name in pragmas],
    )


class WithoutABegin(OwnCase):
    def test_a_graph_is_a_transaction_of_its_own_where_the_driver_begins_none(self) -> None:
        connection = self.connect(isolation_level=None)
        note = self.note.using(connection=connection)
        (note.call(1) | note).enqueue()
        self.assertEqual((connection.in_transaction, self.states()), (False, ["ready", "blocked"]))
        with self.assertRaises(JobNotFound):
            (note.call(1) | note.using(after=777)).enqueue()
        self.assertEqual((connection.in_transaction, len(self.states())), (False, 2))
        self.queue.job(1).cancel(connection=connection)
        self.assertEqual(self.states(), ["cancelled", "cancelled"])

    def test_and_part_of_the_one_that_it_begins(self) -> None:
        connection = self.connect()
        note = self.note.using(connection=connection)
        (note.call(1) | note).enqueue()
        self.assertEqual((connection.in_transaction, self.states()), (True, []))
        connection.commit()
        self.assertEqual(self.states(), ["ready", "blocked"])

    def test_what_a_task_says_of_failures_goes_through_the_same_connection(self) -> None:
        connection = self.connect()
        task = self.declare("careful", on_failure=self.note.call("ill"), on_success=self.note.call("well"))
        task.using(connection=connection).enqueue("x")
        self.assertEqual(self.states(), [])
        connection.commit()
        self.queue.drain()
        self.assertEqual(self.ran, [("x",), ("well",)])

    def test_a_chain_that_begins_with_a_connection_is_written_through_it(self) -> None:
        connection = self.connect()
        (self.note.using(connection=connection).call(1) | self.note).enqueue()
        self.assertEqual(self.states(), [])
        connection.rollback()
        self.assertEqual(self.states(), [])

    def test_what_is_no_connection_is_refused(self) -> None:
        self.prepare()
        wrongs: tuple[Any, ...] = ("jobs.db", 5, self.queue)
        for wrong in wrongs:
            with self.assertRaisesRegex(InvalidOption, "sqlite3.Connection"):
                self.waiting.cancel(connection=wrong)
        other = self.connect()
        other.close()
        with self.assertRaisesRegex(InvalidOption, "can not be used here"):
            self.waiting.cancel(connection=other)


class OfTheQueue(OwnCase):
    """`queue.transaction()`."""

    def test_everything_in_it_is_there_or_not(self) -> None:
        for verb in self.VERBS:
            for fails in (True, False):
                with self.subTest(verb, fails=fails):
                    self.prepare()
                    orders, before = self.orders(), self.seen()
                    try:
                        with self.queue.transaction() as connection:
                            connection.execute(INSERT)
                            self.act(verb)
                            if fails:
                                raise KeyError
                    except KeyError:
                        self.assertEqual((self.orders(), self.seen()), (orders, before))
                    else:
                        self.assertEqual(self.orders(), orders + 1)
                        self.assertNotEqual(self.seen(), before)

    def test_its_own_connection_may_be_named_too(self) -> None:
        with self.queue.transaction() as connection:
            job = (self.note.call(1) | self.note).using(connection=connection).enqueue()
            job.parents[0].cancel(connection=connection)
        self.assertEqual(self.states(), ["cancelled", "cancelled"])

    def test_what_was_stored_in_it_can_be_waited_for_in_it(self) -> None:
        with self.queue.transaction():
            first = self.note.enqueue(1)
            job = self.note.using(after=first).enqueue(2)
            self.assertEqual(
                (job.state, self.unique.enqueue("a").id), ("blocked", self.unique.enqueue("a").id)
            )
        self.queue.drain()
        self.assertEqual(self.ran, [(1,), (2,), ("a",)])

    def test_a_refusal_in_it_undoes_itself_alone(self) -> None:
        with self.queue.transaction() as connection:
            connection.execute(INSERT)
            kept = self.note.enqueue(1)
            with self.assertRaises(JobNotFound):
                self.queue.enqueue_many([self.note.call(2) | self.note, self.note.using(after=777).call(3)])
        self.assertEqual((self.orders(), self.states(), kept.id), (1, ["ready"], 1))


class OfAJob(OwnCase):
    """`current_job().transaction()`."""

    def in_a_task(self, work: Callable[[sqlite3.Connection], object], *, fails: bool) -> State:
        def task() -> None:
            job = current_job()
            assert job is not None
            with job.transaction() as connection:
                connection.execute(INSERT)
                work(connection)
                if fails:
                    raise KeyError

        made = self.queue.task(name="task")(task).enqueue()
        self.queue.drain(limit=1)
        return made.refresh().state

    def test_a_graph_a_unique_job_and_a_cancel(self) -> None:
        def work(connection: sqlite3.Connection) -> None:
            self.note.map([1, 2]).then(self.note).using(priority=-9).enqueue()
            (self.note.call(1) | self.note).using(connection=connection, priority=-9).enqueue()
            self.unique.using(priority=-9).enqueue("once")
            self.unique.using(priority=-9).enqueue("once")
            self.waiting.cancel(connection=connection)

        for fails in (True, False):
            self.prepare()
            self.there.cancel()
            orders, before = self.orders(), len(self.seen())
            state = self.in_a_task(work, fails=fails)
            made = len(self.seen()) - before - 1
            self.assertEqual(
                (state, self.orders() - orders, made, self.waiting.refresh().state),
                ("failed", 0, 0, "scheduled") if fails else ("completed", 1, 6, "cancelled"),
            )

    def test_it_may_cancel_and_replace_without_naming_the_connection(self) -> None:
        self.prepare()

        def work(_: sqlite3.Connection) -> None:
            self.waiting.cancel(tree=True)
            self.unique.using(on_duplicate="replace", delay=60).enqueue("there")

        self.there.cancel()
        self.there = self.unique.using(on_duplicate="replace", delay=9).enqueue("there")
        self.assertEqual(self.in_a_task(work, fails=True), State.FAILED)
        self.assertEqual((self.waiting.refresh().state, self.child.refresh().state), ("scheduled", "blocked"))
        self.assertEqual(self.in_a_task(work, fails=False), State.COMPLETED)
        self.assertEqual(
            (self.waiting.refresh().state, self.child.refresh().state), ("cancelled", "cancelled")
        )


PRELUDE = """
import sqlite3, sys
import litequeue
from litequeue import Queue, current_job
queue = Queue(sys.argv[1])
@queue.task(name="step")
def step(value=None, *rest):
    return value
@queue.task(name="unique", unique=True)
def unique(value):
    return value
def say(text):
    print(text, flush=True)
def write(connection, number, step, unique):
    victim = queue.jobs(state="scheduled", limit=1)[0] if number else None
    connection.execute("INSERT INTO orders (id) VALUES (?)", (number,))
    step.map([number, number]).then(step.using(tags="end")).enqueue()
    unique.enqueue(number)
    step.using(delay=1_000_000, tags="victim").enqueue(number)
    if victim is not None:
        return victim
"""
ON_OWN_CONNECTION = (
    PRELUDE
    + """
connection = sqlite3.connect(sys.argv[1], timeout=30)
number = connection.execute("SELECT coalesce(max(id), -1) + 1 FROM orders").fetchone()[0]
while True:
    through = dict(connection=connection)
    tasks = step.using(**through), unique.using(**through)
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        victim = write(connection, number, *tasks)
        if victim is not None:
            victim.cancel(connection=connection)
    say(number)
    number += 1
"""
)
IN_QUEUE_TRANSACTION = (
    PRELUDE
    + """
number = queue.desk.database.read(
    lambda c: c.execute("SELECT coalesce(max(id), -1) + 1 FROM orders").fetchone()[0])
while True:
    with queue.transaction() as connection:
        victim = write(connection, number, step, unique)
        if victim is not None:
            victim.cancel()
    say(number)
    number += 1
"""
)
IN_A_TASK = (
    PRELUDE
    + """
@queue.task(name="order")
def order():
    with current_job().transaction() as connection:
        number = connection.execute("SELECT coalesce(max(id), -1) + 1 FROM orders").fetchone()[0]
        victim = write(connection, number, step, unique)
        if victim is not None:
            victim.cancel(connection=connection)
        order.using(priority=9).enqueue()
    say(number)
if not queue.jobs(task="order"):
    order.using(priority=9).enqueue()
queue.worker().run()
"""
)


class Killed(OwnCase):
    """Programs that are killed at any moment: of each transaction all is there, or nothing."""

    def kill_again_and_again(self, code: str, turns: int = 5) -> int:
        """The last transaction of which the program said that it is over."""
        said = -1
        for turn in range(turns):
            program = Program(self, code, self.path)
            for _ in range(1 + 3 * turn):
                said = int(program.hear())
            program.kill()
        return said

    def assert_all_or_nothing(self, done: int) -> None:
        with sqlite3.connect(self.path) as connection:
            orders = [row[0] for row in connection.execute("SELECT id FROM orders ORDER BY id")]
            counts = dict(
                connection.execute("SELECT coalesce(tags, task), count(*) FROM litequeue_job GROUP BY 1")
            )
            states = dict(
                connection.execute(
                    """SELECT state, count(*) FROM litequeue_job WHERE tags = '["victim"]' GROUP BY 1"""
                )
            )
            edges = connection.execute("SELECT count(*) FROM litequeue_edge").fetchone()[0]
            self.assertEqual(broken(connection), [])
        connection.close()
        number = len(orders)
        self.assertEqual(orders, list(range(number)))
        self.assertGreaterEqual(number, done)  # what was acknowledged is there
        counts.pop("order", None)
        expected = {"step": 2 * number, '["end"]': number, "unique": number, '["victim"]': number}
        self.assertEqual((counts, edges), (expected, 2 * number))
        self.assertEqual(states, {"cancelled": number - 1, "scheduled": 1})

    def test_on_a_connection_of_its_own(self) -> None:
        self.assert_all_or_nothing(self.kill_again_and_again(ON_OWN_CONNECTION) + 1)

    def test_in_a_transaction_of_the_queue(self) -> None:
        self.assert_all_or_nothing(self.kill_again_and_again(IN_QUEUE_TRANSACTION) + 1)

    def test_in_the_transaction_of_a_task(self) -> None:
        self.assert_all_or_nothing(self.kill_again_and_again(IN_A_TASK))  # the last it told was not yet over
