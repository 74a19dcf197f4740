"""A file that is gone, another, or damaged: its workers stop with a message and a code of their own."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from litequeue.cli.arguments import FAILED_BY_FILE
from tests.repository import CHECKOUT
from tests.storage.files import FileCase
from tests.support import PATIENCE_SECONDS

DAMAGE = """
import os, sys
with open(sys.argv[1], "r+b") as file:
    file.seek((int(sys.argv[2]) - 1) * 4096)
    file.write(os.urandom(4096))
"""


class TestWorkers(FileCase):
    """Two workers started from a shell: one alone, one with processes of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.enqueue(self.store(), 500)  # none of them can be run here
        self.workers = [self.start(), self.start("--processes", "2")]
        _, self.crew = (
            self.processes(worker, number) for worker, number in zip(self.workers, (1, 2), strict=True)
        )

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "litequeue", "worker", str(self.path), *options]
        worker = subprocess.Popen(
            command, cwd=self.folder, env=os.environ | CHECKOUT, stderr=subprocess.PIPE, text=True
        )
        self.addCleanup(worker.communicate)
        self.addCleanup(worker.kill)
        return worker

    def processes(self, worker: subprocess.Popen[str], number: int) -> list[int]:
        """The processes of a worker, once so many have signed on."""
        assert worker.stderr is not None
        pids: list[int] = []
        while len(pids) < number:
            pids += map(int, re.findall(r"\[(\d+)\] start worker=", worker.stderr.readline()))
        return pids

    def assert_all_stop(self, words: str) -> str:
        """They end by themselves, with their own code, and their last line says why; all that they say."""
        heard = ""
        for worker in self.workers:
            _, said = worker.communicate(timeout=PATIENCE_SECONDS)
            self.assertEqual(worker.returncode, FAILED_BY_FILE, said)
            self.assertIn(f"litequeue: {self.path}{words}", said.splitlines()[-1])
            heard += said
        self.assertNotIn("Traceback", heard)
        return heard

    def test_a_file_that_was_removed(self) -> None:
        self.path.unlink()
        self.assertNotIn("starting another", self.assert_all_stop(": the file was removed or replaced"))
        self.assertFalse(self.path.exists(), "one was made in its place")

    def test_a_process_that_dies_while_the_file_is_gone(self) -> None:
        self.path.unlink()
        for pid in self.crew:
            os.kill(pid, signal.SIGKILL)
        self.assertIn("starting another", self.assert_all_stop(": the file was removed or replaced"))
        self.assertFalse(self.path.exists(), "the other made one in its place")

    def test_a_file_that_was_replaced(self) -> None:
        other = self.folder / "other.db"
        self.open(other).close()
        content = other.read_bytes()
        other.replace(self.path)
        self.assert_all_stop(": the file was removed or replaced")
        self.assertEqual(self.path.read_bytes(), content)

    def test_a_log_that_was_removed(self) -> None:
        Path(f"{self.path}-wal").unlink()
        self.assert_all_stop("-wal: the file was removed or replaced")

    def test_a_page_that_was_damaged(self) -> None:
        with closing(sqlite3.connect(self.path, timeout=PATIENCE_SECONDS, isolation_level=None)) as other:
            other.execute("CREATE TABLE mine (x)")
            (page,) = other.execute(
                "SELECT rootpage FROM sqlite_schema WHERE name = 'litequeue_ready'"
            ).fetchone()
            while other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                continue  # a worker was just looking
            # Not from this process, which would lose its locks on the file.
            subprocess.run([sys.executable, "-c", DAMAGE, self.path, str(page)], check=True)
            other.execute("INSERT INTO mine VALUES (1)")  # has the workers look at the file anew
        self.assert_all_stop(": SQLite finds it malformed; restore a backup")
