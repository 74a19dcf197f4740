"""A file that lost a part of itself, or has a part too many: refused, or read as what is left of it."""

from __future__ import annotations

import os

from litequeue import errors
from litequeue.storage.database import Database
from tests.files.left import LeftCase


class TestLogWithoutItsFile(LeftCase):
    """SQLite would delete the log, with all that was stored last."""

    def test_a_file_that_is_gone_is_not_made_anew_beside_its_log(self) -> None:
        self.leave_a_log()
        self.path.unlink()
        self.refuse_and_keep()

    def test_a_file_that_was_emptied_is_not_begun_anew_beside_its_log(self) -> None:
        self.leave_a_log()
        os.truncate(self.path, 0)
        self.refuse_and_keep()

    def test_the_file_put_back_has_all_of_it(self) -> None:
        self.leave_a_log()
        elsewhere = self.path.rename(self.folder / "elsewhere.db")
        with self.assertRaises(errors.MissingFile):
            self.open()
        elsewhere.rename(self.path)
        self.assertEqual(self.stored_ids(), list(range(1, 21)))

    def test_it_is_made_anew_when_the_log_was_removed_too(self) -> None:
        self.leave_a_log()
        self.path.unlink()
        self.log.unlink()
        self.assertEqual(self.enqueue(self.store()), [1])

    def test_an_empty_log_is_nothing_to_keep(self) -> None:
        self.log.touch()
        self.assertEqual(self.enqueue(self.store()), [1])

    def refuse_and_keep(self) -> None:
        for read_only in (False, True):
            with self.unchanged(), self.assertRaisesRegex(errors.MissingFile, "jobs.db-wal .*put .* back"):
                Database(str(self.path), read_only=read_only)


class TestRefusedBesideALog(LeftCase):
    """The last connection that closes copies the log; into a file that is refused it must not."""

    def test_a_newer_schema(self) -> None:
        self.leave_a_log("UPDATE litequeue_meta SET value = '99' WHERE key = 'version'")
        self.refuse(errors.SchemaTooNew)

    def test_a_table_of_the_same_name(self) -> None:
        self.leave_a_log("DROP TABLE litequeue_meta")
        self.refuse(errors.ForeignTables)

    def refuse(self, kind: type[errors.DatabaseError]) -> None:
        before = self.stored()
        for read_only in (False, True):
            with self.assertRaises(kind):
                Database(str(self.path), read_only=read_only)
            self.assertEqual(self.stored(), before)
