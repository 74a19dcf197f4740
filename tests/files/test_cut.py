"""A log or a file that was cut short: what is left is read as it was, or it is refused."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from litequeue import errors
from litequeue.storage.checks import broken
from litequeue.storage.database import Database
from tests.files.left import LeftCase

HEADER, FRAME = 32, 24 + 4096
PAGE = 4096


class TestCutLog(LeftCase):
    """SQLite reads a log up to its first frame that is not whole: a copy without its end has fewer jobs."""

    def test_it_is_sound_and_holds_what_was_stored_first(self) -> None:
        self.leave_a_log()
        made = self.folder / "made"
        made.mkdir()
        for path in (self.path, self.log):
            shutil.copy(path, made)
        lengths = range(HEADER, self.log.stat().st_size + 1, FRAME // 2)
        left = [self.left_of(made, length) for length in lengths]
        self.assertEqual(left, sorted(left), "a longer log has never fewer jobs")
        self.assertEqual((left[0], left[-1]), (0, 20))

    def left_of(self, made: Path, length: int) -> int:
        """How many jobs a log of this length leaves: the first ones, and the next one follows on them."""
        for path in (self.path, self.log):
            shutil.copy(made / path.name, path)
        os.truncate(self.log, length)
        store = self.store()
        ids = self.stored_ids(store.database)
        self.assertEqual(ids, list(range(1, len(ids) + 1)))
        self.assertEqual(self.enqueue(store), [len(ids) + 1])
        store.database.close()
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(broken(connection), [])
        return len(ids)


class TestCutFile(LeftCase):
    def test_it_is_answered_rightly_or_refused_and_never_changed(self) -> None:
        store = self.store()
        self.enqueue(store, 300)
        store.database.close()
        whole = self.path.read_bytes()
        answers = [self.answer(whole[:length]) for length in range(PAGE // 2, len(whole), PAGE // 2)]
        self.assertEqual(set(answers), {"refused"})
        self.assertEqual(self.answer(whole), "300")

    def answer(self, content: bytes) -> str:
        """What a reader and a writer say of such a file."""
        self.path.write_bytes(content)
        for read_only in (True, False):
            try:
                with closing(Database(str(self.path), read_only=read_only)) as database:
                    said = str(len(self.stored_ids(database)))
            except (errors.DatabaseDamaged, errors.NotADatabase) as error:
                self.assertIn(str(self.path), str(error))
                said = "refused"
            self.assertEqual(self.path.read_bytes(), content)
        return said
