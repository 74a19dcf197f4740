"""The room that deleted jobs leave goes back to the disk, in steps that keep nobody waiting."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from unittest import mock

from litequeue.clock import SECOND
from litequeue.errors import DiskFull
from litequeue.job import Filter, NewJobs
from litequeue.storage import care
from litequeue.storage.care import Care, Space
from litequeue.storage.database import Database
from litequeue.storage.reports import Reports
from litequeue.storage.store import Store
from litequeue.testing import HandClock
from tests.storage.files import FileCase

JOBS = 4_000


class Ticking(HandClock):
    """A clock on which a millisecond passes whenever it is asked."""

    def monotonic(self) -> int:
        self.advance(0.001)
        return super().monotonic()


class CareCase(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = HandClock()
        self.care, self.store_here = self.rooms()

    def rooms(self, clock: HandClock | None = None) -> tuple[Care, Store]:
        database = self.open()
        return Care(database, clock or self.clock), Store(database, self.clock)

    def come_and_go(self, jobs: int = JOBS) -> None:
        self.store_here.enqueue([NewJobs("app:task", "default", [f'[["{"x" * 100}"],{{}}]'] * jobs)])
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("DELETE FROM litequeue_job")
            connection.commit()


class GiveBack(CareCase):
    def test_the_file_is_as_small_as_before(self) -> None:
        self.care.cut()
        floor = os.path.getsize(self.path)
        self.come_and_go()
        before = self.care.space()
        self.assertGreater(before.free, 150)
        given = 0
        while some := self.care.give_back():
            given += some
        self.assertGreaterEqual(given, before.free - 2)  # but for the pages that list the free ones
        self.care.cut()
        self.assertLess(os.path.getsize(self.path), floor + 16 * 4096)

    def test_what_is_to_be_kept_is_kept(self) -> None:
        self.come_and_go()
        while self.care.give_back(keep=100):
            pass
        self.assertEqual(self.care.space().free, 100)

    def test_one_step_takes_some_milliseconds_whatever_there_is_to_do(self) -> None:
        self.come_and_go()
        clock = Ticking()
        care_, _ = self.rooms(clock)
        began = clock.monotonic()
        given = care_.give_back()
        self.assertGreater(given, 0)
        self.assertLess(given, 100)
        self.assertLess(clock.monotonic() - began, SECOND // 50)

    def test_others_write_between_the_steps(self) -> None:
        self.come_and_go()
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=0)) as other:
            while self.care.give_back():
                other.execute("INSERT INTO litequeue_meta VALUES (lower(hex(randomblob(8))), '')")

    def test_a_file_that_an_application_made_otherwise_is_left_alone(self) -> None:
        path = self.folder / "app.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE customer (name TEXT)")
        database = self.open(path)
        here = Care(database, self.clock)
        Store(database, self.clock).enqueue([NewJobs("app:task", "default", ["[[],{}]"] * JOBS)])
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM litequeue_job")
            connection.commit()
        self.assertFalse(here.space().gives_back)
        self.assertGreater(here.space().free, 50)
        self.assertEqual(here.give_back(), 0)

    def test_a_reader_is_no_obstacle(self) -> None:
        self.come_and_go()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            self.assertEqual(reader.execute("SELECT count(*) FROM litequeue_job").fetchone(), (0,))
            while self.care.give_back():
                pass
            self.care.cut()
            self.assertEqual(reader.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            reader.execute("COMMIT")
        self.care.cut()
        self.assertEqual(self.care.space().free, 0)

    def test_a_queue_in_memory(self) -> None:
        database = Database(":memory:")
        self.addCleanup(database.close)
        here = Care(database, self.clock)
        self.assertEqual(here.give_back(), 0)
        here.cut()


class Rebuild(CareCase):
    def test_nothing_is_free_and_nothing_is_lost(self) -> None:
        kept = self.store_here.enqueue([NewJobs("app:task", "default", ["[[],{}]"])])
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("INSERT INTO litequeue_blob VALUES (1, 'result', zeroblob(2000000))")
            connection.execute("DELETE FROM litequeue_blob")
            connection.commit()
        self.care.rebuild()
        self.assertEqual(self.care.space().free, 0)
        self.assertTrue(self.care.space().gives_back)
        self.assertLess(os.path.getsize(self.path), 1_000_000)
        self.assertEqual([job.id for job in Reports(self.care.database).jobs(Filter())], kept)

    def test_it_needs_room_for_a_draft_and_for_the_log(self) -> None:
        asked: list[tuple[str, int]] = []
        used = self.care.space().used * 4096
        with mock.patch.object(care, "require_room", lambda folder, size: asked.append((folder, size))):
            self.care.rebuild()
        self.assertGreater(sum(size for _, size in asked), 2 * used)
        self.assertIn(str(self.folder), [folder for folder, _ in asked])

    def test_it_does_not_begin_on_a_disk_that_is_too_small(self) -> None:
        with self.assertRaisesRegex(DiskFull, r"takes 4,000,000,000 MB there, and [\d,]+ MB are free"):
            care.require_room(str(self.folder), 4 * 10**15)
        huge = Space(page_size=4096, pages=10**12, free=0, gives_back=True)
        with mock.patch.object(Care, "space", return_value=huge), self.assertRaises(DiskFull):
            self.care.rebuild()

    def test_it_waits_for_a_writer(self) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            timer = threading.Timer(0.1, other.execute, ["COMMIT"])
            timer.start()
            self.care.rebuild()
            timer.join()
