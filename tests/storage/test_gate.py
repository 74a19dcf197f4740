"""The gate: one leader at a time, everybody served, and no signal that jams it."""

from __future__ import annotations

import signal
import threading
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from unittest import mock

from litequeue import errors
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability, Gate, Ticket
from tests.storage.files import PRELUDE, FileCase
from tests.support import PATIENCE_SECONDS, Program, together


class Struck(BaseException):
    """What a signal handler raises."""


def give(value: int, connection: Any) -> int:
    return value


def add(values: list[int], value: int, connection: Any) -> None:
    values.append(value)


class GateCase(unittest.TestCase):
    """A gate whose operations are plain functions, and whose groups are written down."""

    def setUp(self) -> None:
        self.groups: list[int] = []
        self.gate = Gate(self.run_group, lambda: 0)

    def run_group(self, leader: Ticket) -> None:
        group = [leader, *leader.group]
        for ticket in group:
            assert ticket.operation is not None
            try:
                ticket.result = ticket.operation(mock.sentinel.connection)
            except Exception as error:  # goes to the owner, as in the database
                ticket.error = error
        self.groups.append(len(group))
        leader.settled = True

    @contextmanager
    def held(self) -> Iterator[None]:
        ticket = Ticket()
        self.gate.enter(ticket)
        yield
        self.gate.leave(ticket)

    def start(
        self, operation: Callable[[Any], Any] | None, results: list[Any] | None = None
    ) -> threading.Thread:
        """Send an operation to the gate, which is held, and return when it waits there."""
        waiting = len(self.gate._waiting)

        def work() -> None:
            if operation is None:
                with self.held():
                    self.groups.append(0)
            else:
                found = self.gate.pass_through(Ticket(operation))
                if results is not None:
                    results.append(found)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.until(lambda: len(self.gate._waiting) > waiting)
        return thread

    def until(self, condition: Callable[[], bool]) -> None:
        """Give other threads a moment, until what they should do is seen."""
        pause = threading.Event()
        for _ in range(int(PATIENCE_SECONDS * 1000)):
            if condition():
                return
            pause.wait(0.001)
        self.fail("it does not happen")

    def join(self, *threads: threading.Thread) -> None:
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
            self.assertFalse(thread.is_alive(), "a thread hangs at the gate")


class TestGate(GateCase):
    def test_alone_it_is_a_plain_call(self) -> None:
        self.assertEqual(self.gate.pass_through(Ticket(lambda _: 5)), 5)
        with self.assertRaises(ZeroDivisionError):
            self.gate.pass_through(Ticket(lambda _: 1 // 0))
        self.assertEqual(self.gate.pass_through(Ticket(lambda _: 6)), 6)

    def test_all_that_wait_share_one_run(self) -> None:
        results: list[int] = []
        with self.held():
            threads = [self.start(partial(give, number), results) for number in range(5)]
        self.join(*threads)
        self.assertEqual((self.groups, sorted(results)), ([5], [0, 1, 2, 3, 4]))

    def test_they_run_in_the_order_of_their_coming(self) -> None:
        order: list[int] = []
        with self.held():
            threads = [self.start(partial(add, order, number)) for number in range(5)]
        self.join(*threads)
        self.assertEqual(order, [0, 1, 2, 3, 4])

    def test_who_wants_the_lead_is_not_overtaken(self) -> None:
        with self.held():
            threads = [self.start(op) for op in (lambda _: 1, lambda _: 2, None, lambda _: 3, lambda _: 4)]
        self.join(*threads)
        self.assertEqual(self.groups, [2, 0, 2])

    def test_every_operation_runs_once(self) -> None:
        runs = [0] * 8

        def work(number: int) -> None:
            def operation(_: Any) -> int:
                runs[number] += 1
                return runs[number]

            for turn in range(200):
                self.assertEqual(self.gate.pass_through(Ticket(operation)), turn + 1)

        together(8, work)
        self.assertEqual(runs, [200] * 8)

    def test_leaving_twice_is_harmless(self) -> None:
        ticket = Ticket()
        self.gate.enter(ticket)
        thread = self.start(lambda _: 1)
        self.gate.leave(ticket)
        self.gate.leave(ticket)
        self.join(thread)
        self.assertEqual(self.gate.pass_through(Ticket(lambda _: 2)), 2)


class TestSignals(GateCase):
    """A signal that strikes a thread at the gate."""

    def test_one_that_waits_is_forgotten(self) -> None:
        ran: list[int] = []
        ticket = Ticket()
        self.gate.enter(ticket)
        thread = self.start(lambda _: ran.append(1))
        interrupt = threading.Thread(target=self.interrupt_when_waiting, args=(2,))
        interrupt.start()
        with self.assertRaises(KeyboardInterrupt):
            self.gate.pass_through(Ticket(lambda _: ran.append(2)))
        interrupt.join()
        self.gate.leave(ticket)
        self.join(thread)
        self.assertEqual(ran, [1])
        self.assertEqual(self.gate.pass_through(Ticket(lambda _: 3)), 3)

    def interrupt_when_waiting(self, count: int) -> None:
        self.until(lambda: len(self.gate._waiting) == count)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def test_the_group_of_a_struck_leader_runs_with_the_next(self) -> None:
        ran: list[int] = []

        def strike(_: Any) -> None:
            raise Struck

        with self.held():
            leader = threading.Thread(target=self.survive, args=(strike,), daemon=True)
            leader.start()
            self.until(lambda: len(self.gate._waiting) == 1)
            threads = [self.start(partial(add, ran, number)) for number in range(3)]
        self.join(leader, *threads)
        self.assertEqual((ran, self.groups), ([0, 1, 2], [3]))

    def survive(self, operation: Callable[[Any], Any]) -> None:
        with self.assertRaises(Struck):
            self.gate.pass_through(Ticket(operation))

    def test_a_group_that_was_settled_does_not_run_again(self) -> None:
        ran: list[int] = []
        run_group = self.run_group

        def strike_afterwards(leader: Ticket) -> None:
            run_group(leader)
            raise Struck

        self.gate._run = strike_afterwards
        with self.held():
            leader = threading.Thread(target=self.survive, args=(lambda _: ran.append(0),), daemon=True)
            leader.start()
            self.until(lambda: len(self.gate._waiting) == 1)
            threads = [self.start(partial(add, ran, number)) for number in (1, 2)]
        self.join(leader, *threads)
        self.assertEqual(ran, [0, 1, 2])

    def test_a_leader_struck_in_leaving_leaves_again(self) -> None:
        leave = self.gate.leave
        strikes: list[Struck] = []

        def struck(ticket: Ticket) -> None:
            if strikes:
                raise strikes.pop()
            leave(ticket)

        for lead in (
            lambda: self.gate.pass_through(Ticket(lambda _: 1)),
            lambda: self.gate.alone(lambda: None),
        ):
            strikes = [Struck()]
            with mock.patch.object(self.gate, "leave", struck), self.assertRaises(Struck):
                lead()
            self.assertEqual(self.gate.pass_through(Ticket(lambda _: 2)), 2)


class TestGroups(FileCase):
    """Groups in the database: one transaction, and nobody pays for another's failure."""

    def test_neighbours_of_a_failing_operation_are_stored(self) -> None:
        database = self.open()
        database.write(lambda c: c.execute("CREATE TABLE t (x INTEGER UNIQUE)").rowcount)
        raised: list[BaseException] = []

        def insert(number: int) -> None:
            try:
                database.write(lambda c: c.execute("INSERT INTO t VALUES (?)", (number // 2,)).rowcount)
            except errors.DatabaseError as error:
                raised.append(error)

        lent = database.begin()
        threads = [threading.Thread(target=insert, args=(number,), daemon=True) for number in range(6)]
        for thread in threads:
            thread.start()
        pause = threading.Event()
        while len(database._gate._waiting) < 6:
            pause.wait(0.001)
        database.finish(lent, commit=False)
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        self.assertEqual(
            database.read(lambda c: c.execute("SELECT x FROM t ORDER BY x").fetchall()), [(0,), (1,), (2,)]
        )
        self.assertEqual(len(raised), 3)
        self.assertRegex(str(raised[0]), f"^{self.path}: .*UNIQUE")

    def test_what_a_failing_operation_wrote_is_undone_with_it(self) -> None:
        database = self.open()
        database.write(lambda c: c.execute("CREATE TABLE t (x INTEGER UNIQUE)").rowcount)

        def insert_and_fail(number: int) -> None:
            with suppress(errors.DatabaseError):
                database.write(
                    lambda c: [c.execute("INSERT INTO t VALUES (?)", (x,)) for x in (number, number)]
                )

        lent = database.begin()
        threads = [
            threading.Thread(target=insert_and_fail, args=(number,), daemon=True) for number in (1, 2, 3)
        ]
        for thread in threads:
            thread.start()
        pause = threading.Event()
        while len(database._gate._waiting) < 3:
            pause.wait(0.001)
        database.finish(lent, commit=False)
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        self.assertEqual(database.read(lambda c: c.execute("SELECT x FROM t").fetchall()), [])

    def test_the_strictest_durability_holds_for_the_group(self) -> None:
        database = Database(str(self.path), Durability.FULL)
        self.addCleanup(database.close)

        def synchronous(durability: Durability) -> int:
            return database.write(lambda c: int(c.execute("PRAGMA synchronous").fetchone()[0]), durability)

        self.assertEqual((synchronous(Durability.NORMAL), synchronous(Durability.FULL)), (1, 2))
        relaxed = self.open(self.folder / "other.db")
        self.assertEqual(
            relaxed.write(lambda c: c.execute("PRAGMA synchronous").fetchone()[0], Durability.FULL), 1
        )

    @unittest.skipUnless(hasattr(signal, "setitimer"), "needs interval timers")
    def test_a_storm_of_signals_jams_nothing(self) -> None:
        """A thousand interrupts strike the main thread while it and three others write."""
        program = Program(self, PRELUDE + STORM, self.path)
        self.assertEqual(program.hear(), "no thread hangs")
        self.assertEqual(program.hear(), "all that was acknowledged is stored, once")
        self.assertEqual(program.wait(), 0)


STORM = """
import random
class Strike(BaseException):
    pass
armed = False
def strike(number, frame):
    global armed
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00005, 0.001))
    if armed:
        armed = False
        raise Strike
store = store_at(sys.argv[1])
acknowledged, running = [], True
def write():
    while running:
        acknowledged.extend(store.enqueue([JOB]))
def write_and_be_struck():
    global armed
    strikes = 0
    while strikes < 1000:
        try:
            armed = True
            ids = store.enqueue([JOB])
            armed = False
            acknowledged.extend(ids)
        except Strike:
            strikes += 1
threads = [threading.Thread(target=write, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
signal.signal(signal.SIGALRM, strike)
signal.setitimer(signal.ITIMER_REAL, 0.001)
write_and_be_struck()
signal.setitimer(signal.ITIMER_REAL, 0)
running = False
for thread in threads:
    thread.join(20)
if not any(thread.is_alive() for thread in threads):
    say("no thread hangs")
query = "SELECT id FROM litequeue_job"
stored = store.database.read(lambda c: [row[0] for row in c.execute(query).fetchall()])
if len(set(acknowledged)) == len(acknowledged) and set(acknowledged) <= set(stored):
    if len(stored) - len(acknowledged) <= 1000:
        say("all that was acknowledged is stored, once")
store.database.close()
"""
