"""Files of very many jobs, filled in seconds: some by litequeue itself, the rest as copies of those rows."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.drivers.shared import PADDING
from benchmarks.processes import BenchmarkFailed
from litequeue import Queue
from litequeue.job import Claimed, Complete, Lease, NewWorker, Turn, Want
from litequeue.options import CallOptions

CHUNK = 1_000
FIRST = 10_000  # jobs that litequeue writes; larger files have some multiple of it
PRIORITIES = 10
QUEUES = 100
YEAR = 365 * 24 * 3600
MEMORY_KILOBYTES = 400_000  # for the pages of the indexes while a file is filled

FINISHED = "finished"  # all jobs of this mix are completed, of the next the first half
HALF = "half finished"
MIXES: dict[str, Callable[[int], CallOptions]] = {
    "ready": lambda index: {"priority": index % PRIORITIES},
    FINISHED: lambda index: {"priority": index % PRIORITIES},
    "scheduled": lambda index: {"priority": index % PRIORITIES, "delay": YEAR},
    "many queues": lambda index: {"queue": f"queue-{index % QUEUES}", "priority": index // QUEUES % QUEUES},
    HALF: lambda index: {"priority": index % PRIORITIES},
}


def job(index: int, padding: str) -> None:
    """Do nothing; what these files hold is never run."""


class Backlog:
    """A file full of jobs, with a worker that claims from it: the store's own verbs, each in its commit."""

    def __init__(self, path: Path, mix: str) -> None:
        self._queue = Queue(path, durability="normal")
        self._task = self._queue.task(job)
        self._options = MIXES[mix]
        self._desk = self._queue.desk
        self._worker = self._desk.workers.sign_on(NewWorker("benchmark", os.getpid()))

    def enqueue(self, indexes: Sequence[int]) -> None:
        """Store jobs of this mix."""
        calls = [self._task.using(**self._options(index)).call(index, PADDING) for index in indexes]
        self._queue.enqueue_many(calls)

    def enqueue_ready(self, index: int) -> str:
        """Store one job that can be claimed; return in which queue it lies."""
        options = self._options(index)
        options.pop("delay", None)
        self._task.using(**options).enqueue(index, PADDING)
        return options.get("queue", "default")

    def claim(self, queue: str, count: int) -> Sequence[Claimed]:
        """Claim so many jobs."""
        jobs = self._desk.store.claim(self._worker, [Want(queue, count, count)]).jobs
        if len(jobs) != count:
            raise BenchmarkFailed(f"a claim of {count} brought {len(jobs)}")
        return jobs

    def settle(self, leases: Sequence[Lease]) -> None:
        """Complete claimed jobs."""
        self._desk.store.take_turn(self._worker, Turn(settlements=tuple(map(Complete, leases))))

    def close(self) -> None:
        """Let go of the file."""
        self._queue.close()


def fill(path: Path, mix: str, jobs: int) -> None:
    """Make a file with so many jobs of a mix."""
    first = min(jobs, FIRST)
    backlog = Backlog(path, mix)
    for begin in range(0, first, CHUNK):
        indexes = range(begin, min(begin + CHUNK, first))
        backlog.enqueue(indexes)
        if mix == FINISHED or (mix == HALF and begin < first // 2):
            backlog.settle([claimed.lease for claimed in backlog.claim("default", len(indexes))])
    backlog.close()
    _multiply(path, first, jobs // first)


def _multiply(path: Path, first: int, times: int) -> None:
    """Copy the first jobs with all that is stored of them, each copy due a microsecond after the last."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA cache_size = -{MEMORY_KILOBYTES}")
    connection.execute("PRAGMA synchronous = OFF")
    known = [row[1] for row in connection.execute("PRAGMA table_info(litequeue_job)")]
    same = ", ".join(name for name in known if name not in ("id", "run_at"))
    copy = f"""INSERT INTO litequeue_job (id, run_at, {same})
        SELECT id + ?, run_at + ?, {same} FROM litequeue_job WHERE id <= ?"""
    for number in range(1, times):
        connection.execute(copy, (number * first, number, first))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
