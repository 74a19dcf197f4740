"""Files, jobs and processes for the tests of the file itself."""

from __future__ import annotations

import hashlib
import os
import subprocess
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from litequeue.clock import SystemClock
from litequeue.job import Filter, NewJobs
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.storage.reports import Reports
from litequeue.storage.store import Store
from tests.support import folder_for

JOB = NewJobs("app:task", "default", ("[[],{}]",))
# What a child process needs: `store_at(path)` and JOB.
PRELUDE = """
import os, sys, sqlite3, signal, threading
from litequeue.clock import SystemClock
from litequeue.errors import *
from litequeue.job import *
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.storage.reports import Reports
from litequeue.storage.store import Store
from litequeue.storage.workers import Workers
JOB = NewJobs("app:task", "default", ("[[],{}]",))
def store_at(path):
    return Store(Database(path, Durability.NORMAL), SystemClock())
def say(*words):
    print(*words, flush=True)
def attempt(action):
    try:
        say("did", action())
    except LiteQueueError as error:
        say(type(error).__name__, error)
"""


class FileCase(unittest.TestCase):
    """A folder of its own for each test, and what tests do to files in it."""

    def setUp(self) -> None:
        self.folder = folder_for(self)
        self.path = self.folder / "jobs.db"

    def open(self, path: Path | None = None, **options: Any) -> Database:
        database = Database(str(path or self.path), Durability.NORMAL, **options)
        self.addCleanup(database.close)
        return database

    def store(self, path: Path | None = None) -> Store:
        return Store(self.open(path), SystemClock())

    def enqueue(self, store: Store, count: int = 1) -> list[int]:
        return store.enqueue([JOB] * count)

    def add(self, store: Store, count: int = 1) -> None:
        """`enqueue`, for a thread."""
        store.enqueue([JOB] * count)

    def stored_ids(self, database: Database | None = None) -> list[int]:
        jobs = Reports(database or self.open()).jobs(Filter(), limit=100_000)
        return sorted(job.id for job in jobs)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Within the block no file of the folder changes, comes or goes."""
        before = self.contents()
        yield
        self.assertEqual(self.contents(), before)

    def contents(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def mode_of(self, path: Path) -> int:
        return os.stat(path).st_mode & 0o777


def small_disk(test: unittest.TestCase, place: Path, size: str) -> Path:
    """A file system of its own, in memory; where none can be mounted the test is skipped."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "litequeue", str(place)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        test.skipTest("no file system can be mounted here")
    test.addCleanup(subprocess.run, ["umount", "-l", str(place)], check=True)
    return place


def remount(place: Path, options: str) -> None:
    """Mount it anew with other options, such as `ro` or `size=10m`."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)
