"""The caller's connection was there before the queue."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import unittest
from pathlib import Path

from litequeue import InvalidOption, Queue


class TestForeignFirst(unittest.TestCase):
    """Our tables can not be made while the caller's own transaction holds the write lock."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "app.db")
        self.connection = sqlite3.connect(path)
        self.addCleanup(self.connection.close)
        self.connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        self.queue = Queue(path)
        self.addCleanup(self.queue.close)

    def test_it_says_so_at_once(self) -> None:
        self.connection.execute("INSERT INTO orders DEFAULT VALUES")
        with self.assertRaisesRegex(InvalidOption, "use the queue once before you begin"):
            self.queue.enqueue("app:ship", args=(1,), connection=self.connection)
        self.assertTrue(self.connection.in_transaction)

    def test_an_old_queue_is_told_of(self) -> None:
        old = Path(__file__).with_name("versions") / "2.sql"
        self.connection.executescript(old.read_text(encoding="utf-8"))
        self.connection.execute("INSERT INTO orders DEFAULT VALUES")
        with self.assertRaisesRegex(InvalidOption, "holds a queue of version 2, .* or upgraded"):
            self.queue.enqueue("app:ship", args=(1,), connection=self.connection)

    def test_a_queue_used_once_before_joins(self) -> None:
        self.queue.counts()
        self.connection.execute("INSERT INTO orders DEFAULT VALUES")
        self.queue.enqueue("app:ship", args=(1,), connection=self.connection)
        self.assertEqual(self.queue.counts()["ready"], 0)
        self.connection.commit()
        self.assertEqual(self.queue.counts()["ready"], 1)

    def test_without_a_transaction_the_tables_are_made(self) -> None:
        self.queue.enqueue("app:ship", args=(1,), connection=self.connection)
        self.connection.commit()
        self.assertEqual(self.queue.counts()["ready"], 1)
