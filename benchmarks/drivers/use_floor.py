"""The floor: the least raw `sqlite3` that could work as a durable queue, at the same durability.

One table, one partial index, integer states. No retries, leases, priorities, schedules or checks of any kind.
"""

import contextlib
import functools
import json
import os
import select
import sqlite3
import threading

from .shared import PADDING, directory, handled, setting, synchronous

SCHEMA = """
CREATE TABLE IF NOT EXISTS job(
  id INTEGER PRIMARY KEY, state INTEGER NOT NULL DEFAULT 0, payload TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ready ON job(id) WHERE state = 0;
"""
INSERT = "INSERT INTO job(payload) VALUES (?)"
COMPLETE = "UPDATE job SET state = 2 WHERE id = ?"
CLAIM = """UPDATE job SET state = 1 WHERE id IN (SELECT id FROM job WHERE state = 0 ORDER BY id LIMIT ?)
RETURNING id, payload"""


@functools.cache
def connect() -> sqlite3.Connection:
    """Return the one connection of this process."""
    path = directory() / "floor.db"
    connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # this and the rest as litequeue has them
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute(f"PRAGMA journal_size_limit = {16 << 20}")
    connection.execute(f"PRAGMA synchronous = {setting('durability', 'full')}")
    connection.executescript(SCHEMA)
    return connection


@functools.cache
def bell() -> int:
    """Return the FIFO by which a producer wakes a sleeping worker."""
    path = directory() / "bell"
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


def _ring() -> None:
    with contextlib.suppress(BlockingIOError):  # full: whoever sleeps has plenty to be woken by
        os.write(bell(), b"!")


_lock = threading.Lock()
_RINGS = setting("bell", True)  # not where nobody sleeps: a floor does no needless work


def enqueue(index: int) -> None:
    """Insert one job in a commit of its own."""
    with _lock:
        connect().execute(INSERT, (json.dumps([index, PADDING]),))
    if _RINGS:
        _ring()


def enqueue_many(count: int) -> None:
    """Insert all jobs in one commit."""
    connect().execute("BEGIN IMMEDIATE")
    connect().executemany(INSERT, ((json.dumps([index, PADDING]),) for index in range(count)))
    connect().execute("COMMIT")
    _ring()


def close() -> None:
    """Let go of the file, and of its log."""
    connect().close()


def turn(finished: list[tuple[int]], batch: int) -> list[tuple[int, str]]:
    """Complete what is finished and claim what is next, in one commit."""
    connection = connect()
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(COMPLETE, finished)
    jobs = connection.execute(CLAIM, (batch,)).fetchall()
    connection.execute("COMMIT")
    return jobs


def turn_apart(finished: list[tuple[int]], batch: int) -> list[tuple[int, str]]:
    """Complete what is finished in one commit, and claim what is next in another."""
    connection = connect()
    for job in finished:
        connection.execute(COMPLETE, job)
    return connection.execute(CLAIM, (batch,)).fetchall()


def work() -> None:
    """Run jobs for ever, `batch` of them to a commit; sleep at the FIFO when there are none."""
    take = turn if setting("merge", True) else turn_apart
    batch = setting("batch", 1)
    finished: list[tuple[int]] = []
    while True:
        jobs = take(finished, batch)
        for _, payload in jobs:
            handled(json.loads(payload)[0])
        finished = [(id,) for id, _ in jobs]
        if not jobs:
            select.select([bell()], [], [])
            os.read(bell(), 65536)


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    return f"SQLite {sqlite3.sqlite_version}", synchronous(connect())
