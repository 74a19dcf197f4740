"""Files that can not be a queue: a clear error from the queue itself, and the file as it was."""

from __future__ import annotations

import os
import pickle
import sqlite3
import unittest
from contextlib import closing

import litequeue
from litequeue import LiteQueueError, Queue, errors
from tests.users.case import QueueCase
from tests.users.things import add


class TestFiles(QueueCase):
    def assert_refused(self, kind: type[LiteQueueError], message: str, queue: Queue | None = None) -> None:
        """Each way in is refused, and no file comes, goes or changes."""
        chosen = queue or self.queue
        with self.unchanged():
            for use in (chosen.counts, chosen.drain, chosen.jobs, lambda: chosen.enqueue(add, 1)):
                with self.assertRaisesRegex(kind, message) as caught:
                    use()
                self.assertIn(chosen.path, str(caught.exception))

    def test_no_database(self) -> None:
        self.path.write_text("a text, and a long one at that\n" * 100, encoding="utf-8")
        self.assert_refused(errors.NotADatabase, "not a SQLite database; give another path")

    def test_a_folder_in_its_place(self) -> None:
        self.path.mkdir()
        self.assert_refused(errors.NotADatabase, "this is a folder")

    def test_a_folder_that_is_missing(self) -> None:
        queue = self.make_queue(path=self.folder / "none" / "jobs.db")
        self.assert_refused(errors.MissingFile, "does not exist; make it first", queue)

    def test_the_table_of_another_program(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("CREATE TABLE litequeue_job (mine)")
            connection.commit()
        self.assert_refused(errors.ForeignTables, "litequeue_job.*did not make; rename it")

    def test_a_newer_schema(self) -> None:
        with self.make_queue() as queue:
            queue.counts()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("UPDATE litequeue_meta SET value = '99' WHERE key = 'version'")
            connection.commit()
        self.assert_refused(errors.SchemaTooNew, "version 99.*upgrade it")

    @unittest.skipIf(os.geteuid() == 0, "root may write anywhere")
    def test_a_folder_that_can_not_be_written(self) -> None:
        os.chmod(self.folder, 0o500)
        self.addCleanup(os.chmod, self.folder, 0o700)
        self.assert_refused(errors.ReadOnly, "can not be made in")

    def test_after_the_cause_is_gone_the_same_queue_works(self) -> None:
        queue = self.make_queue(path=self.folder / "soon" / "jobs.db")
        self.assert_refused(errors.MissingFile, "make it first", queue)
        (self.folder / "soon").mkdir()
        job = queue.enqueue(add, 1)
        self.assertEqual((queue.drain(), job.result(0)), (1, 2))

    def test_a_file_that_is_replaced_swallows_no_job(self) -> None:
        self.queue.enqueue(add, 1)
        self.path.unlink()
        with self.assertRaisesRegex(errors.FileReplaced, "removed or replaced"):
            self.queue.enqueue(add, 2)


class TestFamily(unittest.TestCase):
    def test_every_error_is_of_one_family_and_survives_a_process_pool(self) -> None:
        kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
        self.assertGreater(len(kinds), 20)
        for kind in kinds:
            self.assertTrue(issubclass(kind, LiteQueueError), kind)
            if kind not in (errors.JobFailed, errors.JobCancelled, errors.DuplicateJob):
                again = pickle.loads(pickle.dumps(kind("what, where, what to do")))
                self.assertEqual((type(again), str(again)), (kind, "what, where, what to do"))

    def test_everything_a_user_types_is_importable_from_the_top(self) -> None:
        for name in litequeue.__all__:
            self.assertTrue(hasattr(litequeue, name), name)
        self.assertEqual(sorted(litequeue.__all__), sorted(set(litequeue.__all__)))
