"""A file where nobody may write: everything that reads works, and everything else says why it does not."""

from __future__ import annotations

import os
from pathlib import Path

from litequeue import errors
from litequeue.storage.database import Database
from tests.cli.case import CommandCase
from tests.storage.files import remount, small_disk
from tests.support import Program

READING = (["info"], ["list"], ["show", "1"], ["explain", "1"], ["workers"], ["info", "--json"])
CHANGING = (["enqueue", "app:x"], ["cancel", "1"], ["delete", "1"], ["pause", "default"])
KILLED = """
import os, sys
from litequeue import Queue
Queue(sys.argv[1]).enqueue("app:task")
os._exit(0)
"""


class FrozenCase(CommandCase):
    """A folder with a queue, which `freeze` lets nobody write to any more."""

    def setUp(self) -> None:
        super().setUp()
        if os.getuid() == 0:
            self.place = small_disk(self, self.place / "disk", "8m")
        self.file = str(self.place / "jobs.db")

    def freeze(self) -> None:
        if os.getuid() == 0:
            remount(self.place, "ro")
            return
        for path in (*self.place.iterdir(), self.place):
            path.chmod(0o555)
        self.addCleanup(self.thaw)

    def thaw(self) -> None:
        if os.getuid() == 0:
            remount(self.place, "rw")
            return
        for path in (self.place, *self.place.iterdir()):
            path.chmod(0o755)

    def make(self, *, killed: bool = False) -> None:
        """A file with one job; killed, it has that in its log, and the log's index is there too."""
        if killed:
            Program(self, KILLED, self.file).wait()
        else:
            self.open()
            self.enqueue()
            self.database.close()
        names = {path.name for path in self.place.iterdir()}
        self.assertEqual("jobs.db-wal" in names, killed)

    def contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.place.iterdir()}


class TestReading(FrozenCase):
    def test_it_works_and_says_what_it_may_miss(self) -> None:
        self.make()
        self.freeze()
        before = self.contents()
        for words in READING:
            ended = self.cli(words[0], self.file, *words[1:])
            self.assertEqual(ended.code, 1 if words == ["workers"] else 0, ended)
            self.assertRegex(ended.err, rf"\Alitequeue: {self.file} is read without locks, .*\n\Z")
        self.assertEqual(self.contents(), before)

    def test_an_empty_log_hides_nothing(self) -> None:
        self.make()
        Path(f"{self.file}-wal").touch()
        self.freeze()
        self.assertEqual(self.cli("list", self.file).code, 0)

    def test_a_log_is_read_where_its_index_is_there_too(self) -> None:
        self.make(killed=True)
        self.freeze()
        ended = self.cli("list", self.file)
        self.assertEqual((ended.code, ended.err), (0, ""))

    def test_a_log_without_its_index_is_not_overlooked(self) -> None:
        self.make(killed=True)
        Path(f"{self.file}-shm").unlink()
        self.freeze()
        for words in READING:
            self.assert_refused(
                [words[0], self.file, *words[1:]], "copy both into a folder that can be written"
            )

    def test_nothing_is_said_where_one_may_write(self) -> None:
        self.make()
        self.assertEqual(self.cli("list", self.file).err, "")


class TestChanging(FrozenCase):
    def test_it_is_refused_and_nothing_changes(self) -> None:
        for killed in (False, True):
            with self.subTest(killed=killed):
                self.make(killed=killed)
                self.freeze()
                before = self.contents()
                for words in CHANGING:
                    self.assert_refused([words[0], self.file, *words[1:]], "check the permissions")
                with self.assertRaises(errors.ReadOnly):
                    database = Database(self.file)
                    self.addCleanup(database.close)
                    database.write(lambda c: c.execute("DELETE FROM litequeue_job").rowcount)
                self.assertEqual(self.contents(), before)
                self.thaw()
