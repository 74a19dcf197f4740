"""Transactions, foreign connections, the log, and a file that is taken away."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import sys
import threading
import unittest
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from sqlite3 import Connection
from unittest import mock

from litequeue import errors
from litequeue.clock import SystemClock
from litequeue.job import Complete, NewJobs, NewWorker, Start, State, Turn, Want
from litequeue.storage import checkpoint
from litequeue.storage.database import MEMORY, Database
from litequeue.storage.gate import Durability
from litequeue.storage.reports import Reports
from litequeue.storage.sidefile import SideFile
from litequeue.storage.store import Store
from litequeue.storage.transactions import begins_by_itself, through
from litequeue.storage.workers import Workers
from litequeue.testing import HandClock
from tests.storage.engines import look_into
from tests.storage.files import JOB, PRELUDE, FileCase, remount, small_disk
from tests.support import PATIENCE_SECONDS, Program, together

BAD = NewJobs("app:task", "default", ("[]",), ack="maybe")


class TestTransaction(FileCase):
    """What the thread that has one open enqueues meanwhile joins it."""

    def setUp(self) -> None:
        super().setUp()
        self.jobs = self.store()
        self.database = self.jobs.database

    @contextmanager
    def transaction(self, *, commit: bool = True) -> Iterator[Connection]:
        connection = self.database.begin()
        try:
            with self.database.joining(connection):
                yield connection
        finally:
            self.database.finish(connection, commit=commit)

    def test_writes_are_seen_when_it_commits(self) -> None:
        with self.transaction() as connection:
            connection.execute("CREATE TABLE mine (x)")
            self.assertEqual(self.enqueue(self.jobs), [1])
            self.assertEqual(self.stored_ids(self.database), [1])
            self.assertEqual(look_into(self.path, "SELECT id FROM litequeue_job"), [])
        self.assertEqual(look_into(self.path, "SELECT id FROM litequeue_job"), [(1,)])

    def test_nothing_is_left_of_it_when_it_rolls_back(self) -> None:
        with self.transaction(commit=False) as connection:
            connection.execute("CREATE TABLE mine (x)")
            self.enqueue(self.jobs)
        self.assertEqual(self.stored_ids(self.database), [])
        self.assertEqual(self.enqueue(self.jobs), [1])

    def test_other_threads_do_not_join(self) -> None:
        seen: list[list[int]] = []
        with self.transaction():
            self.enqueue(self.jobs)
            together(1, lambda _: seen.append(self.stored_ids(self.database)))
            writer = threading.Thread(target=self.enqueue, args=(self.jobs,), daemon=True)
            writer.start()
        writer.join(PATIENCE_SECONDS)
        self.assertEqual((seen, self.stored_ids(self.database)), ([[]], [1, 2]))

    def test_another_queue_on_the_same_file_joins(self) -> None:
        others = self.store()
        for commit in (False, True):
            with self.transaction(commit=commit):
                self.enqueue(self.jobs)
                self.assertEqual(self.enqueue(others), [2])
                self.assertEqual(self.stored_ids(others.database), [1, 2])
            self.assertEqual(self.stored_ids(others.database), [1, 2] if commit else [])
        self.assertEqual(self.enqueue(others), [3])

    def test_a_queue_on_another_file_does_not_join(self) -> None:
        others = self.store(self.folder / "other.db")
        with self.transaction(commit=False):
            self.enqueue(others)
        self.assertEqual(self.stored_ids(others.database), [1])

    def test_a_failing_write_leaves_the_rest_of_it(self) -> None:
        with self.transaction():
            self.enqueue(self.jobs)
            with self.assertRaises(errors.DatabaseError):
                self.jobs.enqueue([JOB, BAD])
            self.enqueue(self.jobs)
        self.assertEqual(self.stored_ids(self.database), [1, 2])

    def test_the_row_factory_of_the_borrower_does_not_matter(self) -> None:
        with self.transaction() as connection:
            connection.row_factory, connection.text_factory = sqlite3.Row, bytes
            (id,) = self.enqueue(self.jobs)
            self.assertEqual(Reports(self.database).job(id).state, State.READY)
            self.assertEqual(connection.execute("SELECT 'a' AS x").fetchone()["x"], b"a")
        self.assertEqual(Reports(self.database).job(id).task, "app:task")

    def test_ending_it_inside_is_an_error(self) -> None:
        with (
            self.assertRaisesRegex(errors.DatabaseError, "ended inside its own block"),
            self.transaction() as c,
        ):
            c.execute("COMMIT")
        self.assertEqual(self.enqueue(self.jobs), [1])

    def test_a_rollback_inside_does_not_hide_the_error_of_the_block(self) -> None:
        with self.transaction(commit=False) as connection:
            connection.execute("ROLLBACK")
        self.assertEqual(self.enqueue(self.jobs), [1])

    def test_it_is_over_once(self) -> None:
        connection = self.database.begin()
        self.database.finish(connection, commit=True)
        with self.assertRaisesRegex(errors.DatabaseError, "is over"):
            self.database.finish(connection, commit=True)
        self.assertEqual(self.enqueue(self.jobs), [1])

    def test_what_the_borrower_leaves_open_does_not_matter(self) -> None:
        self.enqueue(self.jobs, 500)
        with self.transaction() as connection:
            cursor = connection.execute("SELECT * FROM litequeue_job")
            cursor.fetchone()
            connection.execute("PRAGMA query_only = ON")
        for _ in range(3):
            self.enqueue(self.jobs)
            with self.transaction():
                self.enqueue(self.jobs)
        with self.assertRaises(sqlite3.ProgrammingError):
            cursor.fetchone()

    def test_this_thread_does_not_wait_for_itself(self) -> None:
        connection = self.database.begin()
        for action in (lambda: self.enqueue(self.jobs), self.database.begin, self.database.close):
            with self.assertRaisesRegex(errors.DatabaseError, "this thread has a transaction open"):
                action()
        self.database.finish(connection, commit=True)
        self.assertEqual(self.enqueue(self.jobs), [1])

    def test_a_coroutine_does_not_join_that_of_another(self) -> None:
        async def first(opened: asyncio.Event, go_on: asyncio.Event) -> None:
            with self.transaction():
                opened.set()
                await go_on.wait()

        async def both() -> None:
            opened, go_on = asyncio.Event(), asyncio.Event()
            task = asyncio.create_task(first(opened, go_on))
            await opened.wait()
            with self.assertRaisesRegex(errors.DatabaseError, "do not await inside it"):
                self.enqueue(self.jobs)
            go_on.set()
            await task

        asyncio.run(both())
        self.assertEqual(self.stored_ids(self.database), [])

    def test_a_coroutine_made_inside_does_not_write_after_its_end(self) -> None:
        async def enqueue_later(go_on: asyncio.Event) -> None:
            await go_on.wait()
            self.enqueue(self.jobs)

        async def both() -> None:
            go_on = asyncio.Event()
            with self.transaction(commit=False):
                task = asyncio.create_task(enqueue_later(go_on))
                self.enqueue(self.jobs)
            go_on.set()
            await task

        asyncio.run(both())
        self.assertEqual(self.stored_ids(self.database), [1])

    def test_in_memory_too(self) -> None:
        self.database = Database(MEMORY)
        self.addCleanup(self.database.close)
        self.jobs = Store(self.database, SystemClock())
        with self.transaction(commit=False):
            self.enqueue(self.jobs)
        with self.transaction():
            self.enqueue(self.jobs)
            self.assertEqual(self.stored_ids(self.database), [1])
        together(4, lambda _: self.add(self.jobs))
        self.assertEqual(self.stored_ids(self.database), [1, 2, 3, 4, 5])


class TestForeignConnection(FileCase):
    """A job that is enqueued on the caller's own connection."""

    def setUp(self) -> None:
        super().setUp()
        self.jobs = self.store()

    def connect(self, **options: object) -> Connection:
        connection: Connection = sqlite3.connect(self.path, **options)  # type: ignore[call-overload]
        self.addCleanup(connection.close)
        return connection

    def seen(self) -> list[int]:
        return [id for (id,) in look_into(self.path, "SELECT id FROM litequeue_job")]

    def test_it_commits_with_the_callers_rows(self) -> None:
        connection = self.connect()
        connection.execute("CREATE TABLE mine (x)")
        connection.execute("INSERT INTO mine VALUES (1)")
        self.assertEqual(self.jobs.enqueue([JOB, JOB], connection), [1, 2])
        self.assertEqual(self.seen(), [])
        connection.commit()
        self.assertEqual(self.seen(), [1, 2])

    def test_it_rolls_back_with_them(self) -> None:
        connection = self.connect()
        self.jobs.enqueue([JOB], connection)
        connection.rollback()
        self.assertEqual(self.seen(), [])

    def test_without_a_transaction_one_is_begun_for_commit_to_end(self) -> None:
        connection = self.connect()
        self.jobs.enqueue([JOB], connection)
        self.assertTrue(connection.in_transaction)
        connection.commit()
        self.assertEqual(self.seen(), [1])

    def test_in_autocommit_mode_it_is_stored_at_once(self) -> None:
        connection = self.connect(isolation_level=None)
        self.jobs.enqueue([JOB], connection)
        self.assertFalse(connection.in_transaction)
        self.assertEqual(self.seen(), [1])
        connection.execute("BEGIN")
        self.jobs.enqueue([JOB], connection)
        connection.execute("ROLLBACK")
        with self.assertRaises(errors.DatabaseError):
            self.jobs.enqueue([JOB, BAD], connection)
        self.assertEqual((self.seen(), connection.in_transaction), ([1], False))

    @unittest.skipIf(sys.version_info < (3, 12), "the attribute came with Python 3.12")
    def test_the_newer_modes_of_the_driver(self) -> None:
        self.jobs.enqueue([JOB], self.connect(autocommit=True))
        self.assertEqual(self.seen(), [1])
        connection = self.connect(autocommit=False)
        self.jobs.enqueue([JOB], connection)
        self.assertEqual(self.seen(), [1])
        connection.commit()
        self.assertEqual(self.seen(), [1, 2])

    def test_who_begins_by_itself(self) -> None:
        for mode, level, expected in (
            (-1, "", True),
            (-1, None, False),
            (True, "", False),
            (False, None, True),
        ):
            connection = mock.Mock(autocommit=mode, isolation_level=level)
            self.assertEqual(begins_by_itself(connection), expected)

    def test_all_or_none_and_the_callers_rows_stay(self) -> None:
        connection = self.connect()
        connection.execute("CREATE TABLE mine (x)")
        connection.execute("INSERT INTO mine VALUES (1)")
        with self.assertRaises(errors.DatabaseError):
            self.jobs.enqueue([JOB, BAD], connection)
        connection.commit()
        self.assertEqual((self.seen(), look_into(self.path, "SELECT x FROM mine")), ([], [(1,)]))

    def test_the_callers_factories_do_not_matter(self) -> None:
        def as_dict(cursor: sqlite3.Cursor, row: tuple[object, ...]) -> dict[str, object]:
            return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}

        for number, factory in enumerate((sqlite3.Row, as_dict, lambda cursor, row: object())):
            connection = self.connect()
            connection.row_factory, connection.text_factory = factory, bytes
            self.assertEqual(self.jobs.enqueue([JOB], connection), [number + 1])
            self.assertEqual((connection.row_factory, connection.text_factory), (factory, bytes))
            connection.commit()

    def test_what_it_has_written_can_be_read_through_it(self) -> None:
        connection = self.connect()
        [id] = self.jobs.enqueue([JOB], connection)
        reports = Reports(self.jobs.database)
        for _ in range(2):
            with through(self.jobs.database, connection):
                self.assertEqual(reports.job(id).task, JOB.task)
            self.assertRaises(errors.JobNotFound, reports.job, id)
        with closing(sqlite3.connect(":memory:")) as other:
            wrong = through(self.jobs.database, other)
            self.assertRaisesRegex(errors.InvalidOption, "is not one to", wrong.__enter__)

    def test_beside_a_transaction_of_ones_own_the_wait_ends_and_tells_how_to_join(self) -> None:
        self.connect(isolation_level=None).execute("BEGIN IMMEDIATE")
        short = mock.patch("litequeue.storage.patience._LONGEST", 20_000)
        with short, self.assertRaisesRegex(errors.DatabaseBusy, "of your own, .* join it with connection="):
            self.jobs.enqueue([JOB])

    def test_a_connection_to_another_file_is_refused(self) -> None:
        for path in (self.folder / "other.db", ":memory:"):
            with closing(sqlite3.connect(path)) as connection:
                with self.assertRaisesRegex(errors.InvalidOption, f"is not one to {self.path}"):
                    self.jobs.enqueue([JOB], connection)
                self.assertFalse(connection.in_transaction)

    def test_a_connection_to_a_file_that_is_gone_is_refused(self) -> None:
        other = self.folder / "other.db"
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("CREATE TABLE mine (x)")
            other.unlink()
            with self.assertRaises(errors.InvalidOption):
                self.jobs.enqueue([JOB], connection)

    def test_a_file_that_can_not_be_looked_at(self) -> None:
        connection = self.connect()
        with (
            mock.patch("os.stat", side_effect=OSError(errno.EIO, "broken")),
            self.assertRaisesRegex(errors.DatabaseError, f"{self.path}: .*broken"),
        ):
            self.jobs.enqueue([JOB], connection)
        self.jobs.enqueue([JOB], connection)
        connection.commit()
        self.assertEqual(self.seen(), [1])

    def test_another_name_of_the_file_will_do(self) -> None:
        link = self.folder / "link.db"
        link.symlink_to(self.path)
        with closing(sqlite3.connect(link)) as connection:
            self.jobs.enqueue([JOB], connection)
            connection.commit()
        self.assertEqual(self.seen(), [1])

    def test_a_locked_file_is_told_of(self) -> None:
        holder = self.connect(isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with self.assertRaisesRegex(errors.DatabaseBusy, "end or shorten its transaction"):
            self.jobs.enqueue([JOB], self.connect(timeout=0))

    def test_a_transaction_that_read_old_data_is_told_how_to_begin(self) -> None:
        connection = self.connect(isolation_level=None)
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM litequeue_job").fetchall()
        self.enqueue(self.jobs)
        with self.assertRaisesRegex(errors.DatabaseBusy, "BEGIN IMMEDIATE"):
            self.jobs.enqueue([JOB], connection)


class TestFile(FileCase):
    """A file that is closed, taken away, or has no room."""

    def test_a_closed_file_says_so(self) -> None:
        database = self.open()
        database.close()
        database.close()
        actions: list[Callable[[], object]] = [
            lambda: database.read(lambda c: None),
            lambda: database.write(lambda c: None),
            database.begin,
        ]
        for action in actions:
            with self.assertRaisesRegex(errors.QueueClosed, f"{self.path}: this queue was closed"):
                action()

    def test_closing_while_others_write(self) -> None:
        for _ in range(5):
            store = self.store()
            ended: list[type[BaseException]] = []

            def write(number: int) -> None:
                if number == 0:
                    store.database.close()  # noqa: B023
                    return
                try:
                    while True:
                        self.enqueue(store)  # noqa: B023
                        store.is_work_waiting(["default"])  # noqa: B023
                except errors.LiteQueueError as error:
                    ended.append(type(error))  # noqa: B023

            together(6, write)
            self.assertEqual(ended, [errors.QueueClosed] * 5)

    def test_a_closed_file_leaves_nothing_beside_it(self) -> None:
        store = self.store()
        self.enqueue(store)
        store.database.close()
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["jobs.db", "jobs.db-lock"])

    def test_connections_of_ended_threads_are_closed(self) -> None:
        database = self.open()
        for _ in range(20):
            together(1, lambda _: database.read(lambda c: None))
        self.assertLessEqual(len(database._readers.connections), 2)

    def test_a_file_that_was_taken_away(self) -> None:
        def unlink() -> None:
            self.path.unlink()

        def rename() -> None:
            self.path.rename(self.folder / "moved.db")

        def replace() -> None:
            other = self.folder / "other.db"
            Database(str(other)).close()
            other.replace(self.path)

        for take_away in (unlink, rename, replace):
            with self.subTest(take_away.__name__):
                for path in self.folder.iterdir():
                    path.unlink()
                store = self.store()
                self.enqueue(store)
                take_away()
                for action in (self.enqueue, self.begin_and_finish):
                    with self.assertRaisesRegex(errors.FileReplaced, "removed or replaced while it was open"):
                        action(store)

    def test_a_file_that_can_not_be_looked_at(self) -> None:
        store = self.store()
        self.enqueue(store)
        for action in (self.enqueue, self.begin_and_finish):
            with (
                mock.patch("litequeue.storage.opening.os.stat", side_effect=OSError(errno.EIO, "broken")),
                self.assertRaisesRegex(errors.DatabaseError, f"{self.path}: .* looked at: broken"),
            ):
                action(store)
        self.assertEqual(self.enqueue(store), [3])  # what was written before the look is there

    def test_a_lock_that_can_not_be_had(self) -> None:
        workers = Workers(self.open(), SystemClock())
        refused = mock.patch.object(SideFile, "hold", side_effect=OSError(errno.ENOLCK, "no locks available"))
        with refused, self.assertRaisesRegex(errors.DatabaseError, f"{self.path}: .*no locks available"):
            workers.sign_on(NewWorker("w", 1))
        self.assertEqual(Reports(workers.database).workers(), [])
        self.assertEqual(workers.sign_on(NewWorker("w", 1)), 1)

    def begin_and_finish(self, store: Store) -> None:
        connection = store.database.begin()
        store.database.finish(connection, commit=True)

    def test_a_damaged_file_is_told_of(self) -> None:
        store = self.store()
        self.enqueue(store, 2000)
        store.database.close()
        content = bytearray(self.path.read_bytes())
        content[8192:] = os.urandom(len(content) - 8192)
        self.path.write_bytes(content)
        with self.assertRaisesRegex(errors.DatabaseDamaged, "restore a backup"):
            Reports(self.open()).counts("default")

    def test_a_limit_on_the_size_of_files(self) -> None:
        self.enqueue(self.store(), 10)
        code = PRELUDE + LIMITED
        program = Program(self, code, self.path)
        self.assertRegex(program.hear(), f"^DatabaseError {self.path}: the disk refused; what was reported")
        self.assertRegex(program.hear(), "^did ")
        self.assertEqual(program.wait(), 0)
        self.assertEqual(self.stored_ids()[:10], list(range(1, 11)))

    def test_a_full_disk(self) -> None:
        disk = small_disk(self, self.folder / "disk", "400k")
        store = self.store(disk / "jobs.db")
        stored: list[int] = []
        with self.assertRaisesRegex(errors.DiskFull, "the disk is full; what is stored is sound"):
            while True:
                stored += self.enqueue(store, 50)
        self.assertEqual(self.stored_ids(store.database), stored)
        with self.assertRaises(errors.DiskFull):
            together(4, lambda _: self.add(store, 500))
        self.assertEqual(self.stored_ids(store.database), stored)
        remount(disk, "size=10m")
        self.assertEqual(self.enqueue(store), [stored[-1] + 1])

    def test_no_room_to_begin_with(self) -> None:
        disk = small_disk(self, self.folder / "disk", "12k")
        with self.assertRaises(errors.DiskFull):
            Database(str(disk / "jobs.db"))

    def test_counts_are_of_one_instant(self) -> None:
        store = self.store()
        self.enqueue(store, 50)
        reports, done = Reports(store.database), threading.Event()

        def work(number: int) -> None:
            if number:
                for id in range(1, 51):
                    store.cancel(id)
                done.set()
                return
            while not done.is_set():
                self.assertEqual(sum(reports.counts("default").values()), 50)

        together(2, work)


LIMITED = """
import resource
store = store_at(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
def fill():
    while True:
        store.enqueue([JOB] * 100)
attempt(fill)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
attempt(lambda: store.enqueue([JOB]))
store.database.close()
"""


class TestLog(FileCase):
    """The write-ahead log stays small, and is copied only under the write lock."""

    def log_size(self) -> int:
        return os.stat(f"{self.path}-wal").st_size

    def connections(self, database: Database) -> list[Connection]:
        lent = database.begin()
        database.finish(lent, commit=False)
        database.read(lambda c: None)
        return [*database._writers.values(), *database._readers.connections]

    def test_automatic_checkpoints_are_off_where_they_can_do_harm(self) -> None:
        for faulty, expected in ((True, 0), (False, 1000)):
            with mock.patch("litequeue.storage.opening.carries_reset_fault", lambda: faulty):  # noqa: B023
                path = self.folder / f"{faulty}.db"
                for connection in self.connections(self.open(path)):
                    self.assertEqual(connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0], expected)

    @unittest.skipUnless(checkpoint.carries_reset_fault(), "this SQLite looks after its log by itself")
    def test_the_log_does_not_grow_over_many_commits(self) -> None:
        store, sizes = self.store(), []
        for _ in range(30):
            for _ in range(100):
                self.enqueue(store)
            sizes.append(self.log_size())
        self.assertLess(max(sizes), 12 << 20)
        self.assertGreater(self.path.stat().st_size, 100_000)

    @unittest.skipUnless(checkpoint.carries_reset_fault(), "this SQLite looks after its log by itself")
    def test_the_log_does_not_creep_over_large_commits(self) -> None:
        store, sizes = self.store(), []
        for _ in range(80):
            store.enqueue([NewJobs("app:task", "default", ("x" * 4000,))] * 250)
            sizes.append(self.log_size())
        self.assertLess(max(sizes), 40 << 20)
        self.assertLess(max(sizes[40:]), 1.2 * max(sizes[:40]))

    @unittest.skipUnless(checkpoint.carries_reset_fault(), "this SQLite looks after its log by itself")
    def test_the_log_of_synced_commits_is_laid_out_at_once_and_holds_nothing_of_it(self) -> None:
        database = Database(str(self.path), Durability.FULL)
        self.addCleanup(database.close)
        store = Store(database, SystemClock())
        for _ in range(63):
            self.enqueue(store)
        self.assertLess(self.log_size(), 1 << 20)
        self.enqueue(store)
        laid_out = self.log_size()
        self.assertGreater(laid_out, 4 << 20)
        for _ in range(100):
            self.enqueue(store)
        self.assertEqual(self.log_size(), laid_out)
        with closing(sqlite3.connect(self.path)) as other:
            self.assertEqual(other.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            self.assertEqual(other.execute("SELECT count(*) FROM litequeue_blob").fetchone(), (0,))
            self.assertEqual(other.execute("SELECT count(*) FROM litequeue_job").fetchone(), (164,))
            self.assertLess(other.execute("PRAGMA page_count").fetchone()[0], 200)

    def test_a_reader_that_stays_open_is_told_of(self) -> None:
        with mock.patch.multiple(checkpoint, _ALARMING=200_000, _GROWTH=50_000), self.held_snapshot():
            keeper = checkpoint.LogKeeper(str(self.path), self.connect, begin, raise_it, is_synced=False)
            with self.assertLogs("litequeue", "WARNING") as logged:
                self.write_with(keeper, 400)
        self.assertRegex(logged.output[0], "jobs.db-wal has grown to .* a reader that stays open")
        self.assertLess(len(logged.output), 5)

    def test_the_write_lock_is_held_while_the_log_is_copied(self) -> None:
        store = self.store()
        locked: list[bool] = []

        def look(text: str) -> None:
            if "checkpoint" in text:
                locked.append(self.is_locked())

        def connect() -> Connection:
            connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
            self.addCleanup(connection.close)
            connection.set_trace_callback(look)
            return connection

        self.enqueue(store, 100)
        self.write_with(checkpoint.LogKeeper(str(self.path), connect, begin, raise_it, is_synced=False), 256)
        self.assertEqual(locked, [True])
        self.assertFalse(self.is_locked())
        self.assertLess(self.log_size(), 4 << 20)

    def test_a_checkpoint_that_can_not_be_is_logged_and_hurts_nobody(self) -> None:
        def refuse(connection: Connection) -> None:
            raise sqlite3.OperationalError("locked")

        heard: list[Exception] = []
        keeper = checkpoint.LogKeeper(str(self.path), self.connect, refuse, heard.append, is_synced=False)
        with self.assertLogs("litequeue", "WARNING") as logged:
            self.write_with(keeper, 256)
        self.assertRegex(logged.output[0], "could not be tended: locked")
        self.assertEqual([str(error) for error in heard], ["locked"])

    def connect(self) -> Connection:
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        self.addCleanup(connection.close)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection

    def write_with(self, keeper: checkpoint.LogKeeper, commits: int) -> None:
        with closing(self.connect()) as writer:
            writer.execute("PRAGMA journal_mode = WAL")
            writer.execute("PRAGMA synchronous = OFF")
            writer.execute("CREATE TABLE IF NOT EXISTS t (x)")
            for number in range(commits):
                writer.execute("INSERT INTO t VALUES (?)", (number,))
                keeper.tend(writer)

    def is_locked(self) -> bool:
        with closing(sqlite3.connect(self.path, timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            other.execute("ROLLBACK")
        return False

    @contextmanager
    def held_snapshot(self) -> Iterator[None]:
        self.enqueue(self.store())
        with closing(self.connect()) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM litequeue_job").fetchall()
            yield


class TestDurability(FileCase):
    def test_it_is_said_out_loud(self) -> None:
        for durability, expected in ((Durability.FULL, 2), (Durability.NORMAL, 1)):
            database = Database(str(self.path), durability)
            self.addCleanup(database.close)
            lent = database.begin()
            self.assertEqual(synchronous(lent), expected)
            database.finish(lent, commit=True)
            self.assertEqual(database.write(synchronous, Durability.FULL), expected)
            self.assertEqual(database.write(synchronous), 1)

    def test_what_must_not_be_lost_is_synced(self) -> None:
        database = Database(str(self.path), Durability.FULL)
        self.addCleanup(database.close)
        store, workers = Store(database, SystemClock()), Workers(database, SystemClock())
        worker = workers.sign_on(NewWorker("w", 1))
        store.enqueue([JOB, JOB])
        with mock.patch.object(database, "write", wraps=database.write) as write:
            (first, second) = store.claim(worker, [Want("default", 1, 2)]).jobs
            store.start(Start(second.lease))
            self.assertEqual([call.args[1:] for call in write.mock_calls], [(Durability.NORMAL,)] * 2)
            write.reset_mock()
            store.settle(Complete(first.lease))
            store.start(Start(second.lease, ack="early"))
            store.take_turn(worker, Turn(starts=(Start(second.lease, ack="early"),)))
            store.cancel(second.lease.job)
            self.assertEqual([call.args[1:] for call in write.mock_calls], [(Durability.FULL,)] * 4)
            write.reset_mock()
            store.enqueue([JOB])
            store.enqueue([JOB, JOB])
            store.enqueue_flow([JOB])
            self.assertEqual([call.args[1:] for call in write.mock_calls], [(Durability.FULL,)] * 3)


class TestLeases(FileCase):
    def test_they_begin_when_the_worker_is_let_in(self) -> None:
        """To wait for the write lock may take longer than a lease; who has waited for it is not dead."""
        clock, database = HandClock(), self.open()
        workers, write = Workers(database, clock), database.write

        def write_late(operation: Callable[[Connection], object]) -> object:
            clock.advance(40)
            return write(operation)

        def is_alive() -> bool:
            (worker,) = Reports(database).workers()
            return workers.is_alive(worker)

        with mock.patch.object(database, "write", write_late):
            worker = workers.sign_on(NewWorker("w", 1, lease=30_000_000))
            self.assertTrue(is_alive())
            clock.advance(30)
            self.assertFalse(is_alive())
            self.assertTrue(workers.renew(worker, 30_000_000))
            self.assertTrue(is_alive())


def begin(connection: Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")


def raise_it(error: Exception) -> None:
    raise error


def synchronous(connection: Connection) -> int:
    return int(connection.execute("PRAGMA synchronous").fetchone()[0])
