"""How long a writer waits for a file that another program keeps locked: a minute, wherever it waits."""

from __future__ import annotations

import sqlite3
import threading
import unittest
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar, cast
from unittest import mock

from litequeue.clock import SECOND
from litequeue.errors import DatabaseBusy
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.storage.patience import Patience
from litequeue.storage.sidefile import SideFile, supported
from tests.cli.case import NOON, StillClock
from tests.storage.files import FileCase
from tests.support import PATIENCE_SECONDS, together
from tests.worker.case import until

T = TypeVar("T")
MINUTE = 60 * SECOND
NEARLY = SECOND // 100  # what the last pause may last, or how long a real one takes


class Line:
    """A queue in which one stands for some time before it is one's turn."""

    def __init__(self, clock: StillClock) -> None:
        self.clock = clock
        self.lasts = 0
        self.at_head = 0

    def in_turn(self, action: Callable[[], T]) -> T:
        self.clock.pass_time(self.lasts)
        began = self.clock.at
        try:
            return action()
        finally:
            self.at_head += self.clock.at - began


class TestPatience(unittest.TestCase):
    """One patience, with a clock that only waiting moves."""

    def setUp(self) -> None:
        self.clock = StillClock()
        self.line = Line(self.clock)
        with mock.patch("litequeue.storage.patience.SystemClock", lambda: self.clock):
            self.patience = Patience(cast(SideFile, self.line), Durability.FULL)
        self.connection = sqlite3.connect(":memory:")
        self.addCleanup(self.connection.close)
        self.tries = 0
        self.is_locked = True

    def attempt(self) -> str:
        self.tries += 1
        if self.is_locked:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return "done"

    def refused_after(self, since: int | None = None) -> int:
        """For how long one waits before one is refused."""
        began = self.clock.at
        with self.assertRaisesRegex(sqlite3.OperationalError, "locked"):
            self.patience.first(self.connection, self.attempt, since)
        return self.clock.at - began

    def test_a_minute(self) -> None:
        self.assertAlmostEqual(self.refused_after(), MINUTE, delta=NEARLY)

    def test_the_time_in_line_counts(self) -> None:
        self.line.lasts = MINUTE // 2
        self.assertAlmostEqual(self.refused_after(), MINUTE, delta=NEARLY)

    def test_who_comes_to_the_head_too_late_asks_once_more_and_gives_up(self) -> None:
        self.line.lasts = MINUTE + SECOND
        self.assertEqual(self.refused_after(), self.line.lasts)
        self.assertLessEqual(self.tries, 3)
        self.assertEqual(self.clock.naps, [])

    def test_nobody_is_at_the_head_for_long(self) -> None:
        self.refused_after()
        self.assertAlmostEqual(self.line.at_head, 5 * SECOND, delta=NEARLY)

    def test_late_at_the_head_of_a_free_file_it_still_writes(self) -> None:
        def let_go(action: Callable[[], T]) -> T:
            self.clock.pass_time(2 * MINUTE)
            self.is_locked = False
            return action()

        with mock.patch.object(self.line, "in_turn", let_go):
            self.assertEqual(self.patience.first(self.connection, self.attempt), "done")

    def test_who_waited_behind_a_refused_thread_has_waited(self) -> None:
        came = self.clock.at + SECOND
        self.refused_after()
        self.assertAlmostEqual(self.refused_after(came), SECOND, delta=2 * NEARLY)
        self.assertAlmostEqual(self.refused_after(), MINUTE, delta=NEARLY)

    def test_who_waited_behind_one_that_wrote_has_not(self) -> None:
        came = self.clock.at
        self.refused_after()
        self.is_locked = False
        self.patience.first(self.connection, self.attempt)
        self.clock.pass_time(MINUTE)
        self.is_locked = True
        self.assertAlmostEqual(self.refused_after(came), MINUTE, delta=NEARLY)


class TestLockedFile(FileCase):
    """Writers of a file that another program keeps locked."""

    def setUp(self) -> None:
        super().setUp()
        self.store().database.close()
        self.stranger = self.enterContext(
            closing(sqlite3.connect(self.path, isolation_level=None, check_same_thread=False))
        )
        self.enterContext(mock.patch("litequeue.storage.patience._LONGEST", SECOND // 2))

    def refused(self, write: Callable[[], Any]) -> None:
        with self.assertRaisesRegex(DatabaseBusy, "another program, or .* keeps it locked"):
            write()

    def test_threads_give_up_each_at_its_own_time(self) -> None:
        clock = StillClock()
        with mock.patch("litequeue.storage.patience.SystemClock", lambda: clock):
            database = self.open()
        gate, ended = database._gate, []

        def write(number: int) -> None:
            if number % 2:
                self.refused(lambda: database.write(lambda c: None))
            else:
                self.refused(database.begin)
            ended.append(clock.at)

        others = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(6)]

        def nap(seconds: float) -> None:
            """At the first leader's first nap all the others come."""
            for number, thread in enumerate(others if not clock.naps else [], 1):
                thread.start()
                until(lambda number=number: len(gate._waiting) >= number)  # type: ignore[misc]
            StillClock.sleep(clock, seconds)

        self.stranger.execute("BEGIN IMMEDIATE")
        with mock.patch.object(clock, "sleep", nap):
            write(1)
            for thread in others:
                thread.join(PATIENCE_SECONDS)
        self.assertEqual(len(ended), 7)
        self.assertAlmostEqual(max(ended) - NOON, SECOND // 2, delta=NEARLY)

    @unittest.skipUnless(supported(), "this system has no locks of this kind")
    def test_those_in_line_give_up_together_and_then_all_write(self) -> None:
        databases = [self.open() for _ in range(8)]
        waited = []

        def write(number: int) -> None:
            began = databases[number]._patience.now()
            self.refused(lambda: databases[number].write(lambda c: None))
            waited.append(databases[number]._patience.now() - began)

        self.stranger.execute("BEGIN IMMEDIATE")
        together(8, write)
        self.assertEqual(len(waited), 8)
        self.assertLess(max(waited), 2 * SECOND)  # in turn it were four
        self.stranger.execute("ROLLBACK")
        together(8, lambda number: databases[number].write(lambda c: None))

    def test_it_is_refused_once_while_a_file_is_opened(self) -> None:
        clock = StillClock()
        self.stranger.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        self.stranger.execute("BEGIN EXCLUSIVE")
        with mock.patch("litequeue.storage.patience.SystemClock", lambda: clock):
            self.refused(lambda: Database(str(self.path)))
        self.assertAlmostEqual(clock.at - NOON, SECOND // 2, delta=NEARLY)
