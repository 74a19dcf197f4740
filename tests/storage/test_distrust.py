"""What is not trusted after the disk has failed, and how it is set right."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection
from unittest import mock

from litequeue import errors
from litequeue.storage import distrust, enqueuing
from litequeue.storage.database import MEMORY, Database
from litequeue.storage.distrust import Distrust, write_again
from tests.storage.files import JOB, FileCase

LOCKS = Path("/proc/locks")


def failure(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


class TestDistrust(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.done: list[str] = []
        self.distrust = Distrust(str(self.path), self.connect, lambda: self.done.append("let go"))
        patch = mock.patch.object(distrust, "write_again", lambda path: self.done.append(f"write {path}"))
        patch.start()
        self.addCleanup(patch.stop)

    def connect(self) -> Connection:
        return sqlite3.connect(self.path)

    def begin(self, connection: Connection) -> None:
        self.done.append("begin")

    def test_a_sync_that_failed_has_the_log_written_again_under_the_write_lock(self) -> None:
        self.distrust.heed(failure(sqlite3.SQLITE_IOERR_FSYNC))
        self.distrust.heed(failure(sqlite3.SQLITE_IOERR_READ))
        for _ in range(2):
            self.distrust.end(self.begin)
            self.assertEqual(self.done, ["begin", f"write {self.path}-wal", "let go"])

    def test_other_errors_of_the_disk_cost_only_the_connections(self) -> None:
        for code in (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            self.done.clear()
            self.distrust.heed(failure(code))
            self.distrust.end(self.begin)
            self.assertEqual(self.done, ["let go"])

    def test_what_says_nothing_about_the_disk_costs_nothing(self) -> None:
        for error in (failure(sqlite3.SQLITE_FULL), failure(sqlite3.SQLITE_BUSY), ValueError("no")):
            self.distrust.heed(error)
        self.distrust.end(self.begin)
        self.assertEqual(self.done, [])

    def test_a_log_that_can_not_be_written_stays_in_doubt(self) -> None:
        def refuse(connection: Connection) -> None:
            raise failure(sqlite3.SQLITE_IOERR)

        self.distrust.heed(failure(sqlite3.SQLITE_IOERR_FSYNC))
        with self.assertRaises(sqlite3.OperationalError):
            self.distrust.end(refuse)
        self.distrust.end(self.begin)
        self.assertEqual(self.done, ["begin", f"write {self.path}-wal", "let go"])


class TestWriteAgain(FileCase):
    def test_a_file_keeps_what_it_holds_and_is_synced(self) -> None:
        content = os.urandom((1 << 20) + 5)
        self.path.write_bytes(content)
        os.utime(self.path, (0, 0))
        with mock.patch.object(os, "fsync", wraps=os.fsync) as fsync:
            write_again(str(self.path))
        self.assertEqual(len(fsync.mock_calls), 1)
        self.assertEqual(self.path.read_bytes(), content)
        self.assertGreater(self.path.stat().st_mtime, 0)

    def test_no_lock_of_sqlite_is_dropped(self) -> None:
        if not LOCKS.exists():
            self.skipTest("to see locks takes Linux")
        database = self.open()
        reader = sqlite3.connect(self.path)
        self.addCleanup(reader.close)
        database.write(lambda c: None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM litequeue_job").fetchall()
        lent = database.begin()
        lent.execute("CREATE TABLE mine (x)")
        before = self.locks()
        self.assertGreaterEqual(len(before[""]), 1)
        self.assertGreaterEqual(len(before["-shm"]), 2)  # the reader's, the writer's
        self.assertEqual(before["-wal"], [])
        write_again(f"{self.path}-wal")
        self.assertEqual(self.locks(), before)
        database.finish(lent, commit=True)

    def locks(self) -> dict[str, list[str]]:
        """What this process has locked in the database and the files beside it, as the kernel tells."""
        lines = [line.split() for line in LOCKS.read_text().splitlines()]
        held: dict[str, list[str]] = {}
        for suffix in ("", "-wal", "-shm"):
            inode = str(os.stat(f"{self.path}{suffix}").st_ino)
            held[suffix] = sorted(
                " ".join(line[3:])
                for line in lines
                if line[4] == str(os.getpid()) and line[5].split(":")[-1] == inode
            )
        return held


class TestDatabase(FileCase):
    """A connection that met an error of the disk is not used again."""

    def fails(self, code: int) -> Callable[[Connection], None]:
        def operation(connection: Connection) -> None:
            raise failure(code)

        return operation

    def test_the_next_write_has_another_connection(self) -> None:
        database = self.open()
        database.read(lambda c: None)
        before = database.write(lambda c: c)
        for code, is_kept in ((sqlite3.SQLITE_CONSTRAINT, True), (sqlite3.SQLITE_READONLY, False)):
            with self.assertRaises(errors.DatabaseError):
                database.write(self.fails(code))
            self.assertIs(database.write(lambda c: c) is before, is_kept)
        with self.assertRaises(sqlite3.ProgrammingError):
            before.execute("SELECT 1")  # it is closed
        self.assertEqual(database.read(lambda c: c.execute("SELECT 1").fetchone()), (1,))

    def test_what_fails_in_a_transaction_is_heeded_too(self) -> None:
        database = self.open()
        lent = database.begin()
        with database.joining(lent), self.assertRaisesRegex(errors.DatabaseError, "the disk refused"):
            database.write(self.fails(sqlite3.SQLITE_IOERR_FSYNC))
        database.finish(lent, commit=False)
        with mock.patch.object(distrust, "write_again") as again:
            database.finish(database.begin(), commit=True)
        again.assert_called_once_with(f"{self.path}-wal")

    def test_a_log_in_doubt_is_left_to_whoever_comes_next(self) -> None:
        database = self.open()
        (id,) = database.write(lambda c: enqueuing.insert(c, [JOB], 0))
        with self.assertRaises(errors.DatabaseError):
            database.write(self.fails(sqlite3.SQLITE_IOERR_FSYNC))
        database.close()
        log = self.folder / "jobs.db-wal"
        self.assertGreater(log.stat().st_size, 0)  # copying it would trust it
        for is_in_doubt in (True, False):
            next = self.open()
            with mock.patch.object(distrust, "write_again", wraps=write_again) as again:
                next.write(lambda c: None)
            self.assertEqual(len(again.mock_calls), is_in_doubt)
        self.assertEqual(self.stored_ids(), [id])

    def test_a_new_connection_asks_for_the_doubt_of_others(self) -> None:
        database, other = self.open(), self.open()
        with self.assertRaises(errors.DatabaseError):
            other.write(self.fails(sqlite3.SQLITE_IOERR_FSYNC))
        with mock.patch.object(distrust, "write_again") as again:
            database.write(lambda c: None)  # the disk would tell this one itself
            again.assert_not_called()
            database.finish(database.begin(), commit=True)
        again.assert_called_once_with(f"{self.path}-wal")

    def test_a_file_in_memory_is_kept(self) -> None:
        database = Database(MEMORY)
        self.addCleanup(database.close)
        before = database.write(lambda c: c)
        with self.assertRaises(errors.DatabaseError):
            database.write(self.fails(sqlite3.SQLITE_IOERR))
        self.assertIs(database.write(lambda c: c), before)
