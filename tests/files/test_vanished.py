"""A file, or its log, or the log's index, that is taken away or replaced while it is in use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from unittest import mock

from litequeue import errors
from litequeue.storage.identity import identity_of
from litequeue.storage.store import Store
from tests.storage.files import PRELUDE, FileCase
from tests.support import Program, together

OFTEN = """
from litequeue.storage import identity
identity._LOOK_EVERY = 0
"""
FORKS = """
store = store_at(sys.argv[1])
store.enqueue([JOB])
if os.fork() == 0:
    for number in range(3):
        store.database.finish(store.database.begin(), commit=True)
        for other in "ab":  # they take the inodes of the log and its index, or the next ones would have them
            open(f"{sys.argv[1]}.{number}{other}", "w").close()
    store.enqueue([JOB])
    store.database.close()
    os._exit(0)
say(os.wait()[1])
attempt(lambda: store.enqueue([JOB]))
"""
STRAY = """
store = store_at(sys.argv[1])
store.enqueue([JOB])
open(sys.argv[1], "rb").close()
say("opened and closed")
sys.stdin.readline()
attempt(lambda: store.enqueue([JOB]))
"""


class TestBeside(FileCase):
    """What is written into a log without a name is gone with its last process."""

    def setUp(self) -> None:
        super().setUp()
        often = mock.patch("litequeue.storage.identity._LOOK_EVERY", 0)
        often.start()
        self.addCleanup(often.stop)
        self.jobs = self.store()
        self.enqueue(self.jobs)

    def test_a_log_or_index_that_was_removed(self) -> None:
        for ending in ("-wal", "-shm"):
            with self.subTest(ending):
                jobs = self.store(self.folder / f"{ending}.db")
                self.enqueue(jobs)
                os.unlink(f"{jobs.database.path}{ending}")
                self.assert_refuses(jobs, ending)

    def test_a_log_or_index_that_was_replaced(self) -> None:
        for ending in ("-wal", "-shm"):
            with self.subTest(ending):
                jobs = self.store(self.folder / f"{ending}.db")
                self.enqueue(jobs)
                place = Path(f"{jobs.database.path}{ending}")
                shutil.copy(place, self.folder / "copy")
                (self.folder / "copy").replace(place)
                self.assert_refuses(jobs, ending)

    def assert_refuses(self, jobs: Store, ending: str) -> None:
        def in_a_transaction() -> None:
            database = jobs.database
            database.finish(database.begin(), commit=True)

        for write in (lambda: self.enqueue(jobs), in_a_transaction, jobs.database.verify):
            with self.assertRaisesRegex(errors.FileReplaced, f"db{ending}: .*was removed or replaced"):
                write()

    def test_what_was_stored_before_is_copied_when_the_last_one_closes(self) -> None:
        os.unlink(f"{self.path}-wal")
        with self.assertRaises(errors.FileReplaced):
            self.enqueue(self.jobs)
        self.jobs.database.close()
        self.assertEqual(self.stored_ids()[0], 1)

    def test_it_is_looked_for_now_and_then_and_by_every_worker(self) -> None:
        seldom = mock.patch("litequeue.storage.identity._LOOK_EVERY", 1 << 60)
        with seldom:
            os.unlink(f"{self.path}-shm")
            self.enqueue(self.jobs)
            with self.assertRaises(errors.FileReplaced):
                self.jobs.database.verify()

    def test_a_fork_may_have_others_make_them_anew(self) -> None:
        """The one process that has the file open closes it for that, and so does each lone transaction."""
        self.jobs.database.close()
        program = Program(self, PRELUDE + OFTEN + FORKS, self.path)
        self.assertEqual([program.hear(), program.hear()], ["0", "did [4]"])

    def test_a_program_that_opened_the_file_itself_is_told(self) -> None:
        """With that it lost its locks, and the next one to close takes itself for the last."""
        self.jobs.database.close()
        program = Program(self, PRELUDE + OFTEN + STRAY, self.path)
        self.assertEqual(program.hear(), "opened and closed")
        self.open().close()
        program.tell()
        self.assertRegex(program.hear(), "^FileReplaced .*-wal: the file was removed or replaced")
        self.assertEqual(self.stored_ids()[:2], [1, 2])

    def test_a_log_that_is_let_go_of_meanwhile_is_not_missed(self) -> None:
        """One thread looks for it while another closes the last connection, and it is removed with that."""
        files = self.jobs.database.files

        def let_go(path: str) -> tuple[int, int]:
            if path.endswith("-wal"):
                files.forget_log()
                return (0, 0)
            return identity_of(path)

        with mock.patch("litequeue.storage.identity.identity_of", let_go):
            files.require()

    def test_threads_and_closers_raise_no_false_alarm(self) -> None:
        def work(number: int) -> None:
            for _ in range(10):
                if number % 2:
                    self.open().close()
                self.enqueue(self.jobs)
                self.jobs.database.read(lambda c: None)

        together(4, work)
