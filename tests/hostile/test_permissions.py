"""Links, pipes and files of other users, planted where we would follow or believe them."""

from __future__ import annotations

import os
import stat
import unittest
from pathlib import Path

from litequeue import Queue
from litequeue.errors import DatabaseError, NotADatabase, UnsafeFile
from litequeue.storage.database import Database
from litequeue.storage.sidefile import open_side_file
from tests.storage.files import FileCase
from tests.support import Program

BESIDE = ("-wal", "-shm", "-journal", "-lock")
STRANGER = 12345
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
needs_root = unittest.skipUnless(IS_ROOT, "only root can make files of another user")
STICKY, OPEN_TO_ALL = 0o1777, 0o777
# In a process of its own, for to open a pipe may take for ever.
OPEN = """
import sys
from litequeue.errors import LiteQueueError
from litequeue.storage.database import Database
for path in map(str.strip, sys.stdin):
    for read_only in (False, True):
        try:
            Database(path, read_only=read_only).close()
            print("opened", flush=True)
        except LiteQueueError as error:
            print(type(error).__name__, error, flush=True)
"""


class PlantedCase(FileCase):
    def setUp(self) -> None:
        super().setUp()
        store = self.store()
        self.enqueue(store)
        store.database.close()
        self.lock.unlink()

    @property
    def lock(self) -> Path:
        return Path(f"{self.path}-lock")

    def beside(self, suffix: str) -> Path:
        return Path(f"{self.path}{suffix}")

    def assert_refused(self, words: str, kind: type[DatabaseError] = UnsafeFile) -> None:
        """To read and to write, and nothing changes."""
        for read_only in (False, True):
            with self.unchanged(), self.assertRaisesRegex(kind, words) as caught:
                Database(str(self.path), read_only=read_only).close()
            self.assertIs(type(caught.exception), kind)

    def assert_opened(self) -> None:
        for read_only in (False, True):
            Database(str(self.path), read_only=read_only).close()
        self.assertEqual(self.stored_ids(), [1])


class TestAnywhere(PlantedCase):
    def test_a_link_beside_the_file_is_not_followed(self) -> None:
        for suffix in BESIDE:
            for name in ("precious", "nothing"):
                with self.subTest(suffix, target=name):
                    (self.folder / "precious").write_text("mine\n")
                    self.beside(suffix).symlink_to(self.folder / name)
                    self.assert_refused(f"{suffix}: this is a link.*remove it")
                    self.assertEqual((self.folder / "precious").read_text(), "mine\n")
                    self.assertFalse((self.folder / "nothing").exists())
                    self.beside(suffix).unlink()

    def test_it_is_not_followed_where_a_new_file_is_made(self) -> None:
        self.path.unlink()
        (self.folder / "precious").write_text("mine\n")
        self.beside("-wal").symlink_to(self.folder / "precious")
        with self.unchanged(), self.assertRaises(UnsafeFile):
            Queue(self.path).counts()

    def test_a_pipe_or_a_folder_beside_the_file_is_nothing_to_wait_for(self) -> None:
        program = Program(self, OPEN)
        for suffix in BESIDE:
            for make in (os.mkfifo, os.mkdir):
                make(self.beside(suffix))
                program.tell(str(self.path))
                for _ in range(2):
                    self.assertRegex(program.hear(), f"^UnsafeFile .*{suffix}: this is no plain file")
                (os.unlink if make is os.mkfifo else os.rmdir)(self.beside(suffix))

    def test_nor_are_a_pipe_and_a_device_in_place_of_the_file(self) -> None:
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        program = Program(self, OPEN)
        for path in (pipe, Path("/dev/null"), Path("/dev/zero")):
            program.tell(str(path))
            for _ in range(2):
                self.assertRegex(program.hear(), f"^NotADatabase {path}: this is no plain file")
        with self.assertRaises(NotADatabase):
            Queue("/dev/null").counts()

    def test_the_side_file_is_never_opened_through_a_link(self) -> None:
        """Also when it is put there between the look and the opening."""
        self.lock.symlink_to(self.folder / "elsewhere")
        for read_only in (False, True):
            with self.unchanged(), self.assertRaises(DatabaseError):
                open_side_file(str(self.lock), read_only=read_only)

    def test_a_link_to_the_file_is_fine_where_others_make_none(self) -> None:
        link = self.folder / "link.db"
        link.symlink_to(self.path)
        with Queue(link) as queue:
            self.assertEqual(queue.counts()["ready"], 1)

    def test_what_a_worker_makes_is_its_users_alone(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        with Queue(self.path) as queue, queue.worker():
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in self.folder.iterdir()}
        self.assertEqual(set(modes.values()), {0o600})
        self.assertEqual(len([name for name in modes if "-wake-" in name]), 1)


class TestInAFolderOpenToAll(PlantedCase):
    """As in `/tmp`."""

    def setUp(self) -> None:
        super().setUp()
        self.folder.chmod(STICKY)

    def give(self, path: Path) -> None:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)

    @needs_root
    def test_what_another_user_has_put_beside_the_file_is_not_believed(self) -> None:
        for mode in (STICKY, OPEN_TO_ALL, 0o1770):
            self.folder.chmod(mode)
            for suffix in BESIDE:
                with self.subTest(suffix, mode=oct(mode)):
                    self.beside(suffix).touch()
                    self.give(self.beside(suffix))
                    self.assert_refused(rf"{suffix}: another user \(id {STRANGER}\) may have put it")
                    self.beside(suffix).unlink()

    @needs_root
    def test_what_the_owner_of_the_file_has_put_there_is(self) -> None:
        self.give(self.path)
        self.lock.touch()
        self.give(self.lock)
        self.assert_opened()

    @needs_root
    def test_in_a_folder_of_ones_own_everybody_let_in_is_trusted(self) -> None:
        self.folder.chmod(0o2770)
        self.lock.touch()
        self.give(self.lock)
        self.assert_opened()

    @needs_root
    def test_a_link_of_another_user_does_not_lead_elsewhere(self) -> None:
        link = self.folder / "link.db"
        link.symlink_to(self.path)
        self.give(link)
        self.path = link
        self.assert_refused("link.db: it is a link that another user has put")

    def test_a_link_of_ones_own_does(self) -> None:
        link = self.folder / "link.db"
        link.symlink_to(self.path)
        self.path = link
        self.assert_opened()

    def test_another_name_of_some_file_of_ours_is_not_written_to(self) -> None:
        precious = self.folder / "precious"
        precious.write_text("mine\n")
        for suffix in BESIDE:
            self.beside(suffix).hardlink_to(precious)
            self.assert_refused(f"{suffix}: another user")
            self.beside(suffix).unlink()
        self.assertEqual(precious.read_text(), "mine\n")

    def test_what_is_ones_own_is_fine(self) -> None:
        with Queue(self.path) as queue:
            queue.enqueue("app:task")
            self.assertTrue(self.beside("-wal").exists() and self.lock.exists())
            Database(str(self.path)).close()
            Database(str(self.path), read_only=True).close()
