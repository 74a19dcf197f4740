"""The cost of one claim, in files that hold ten jobs and in files that hold a million.

Asked of the store itself: a claim is its verb, and a worker would hide it behind a batch.
"""

import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.drivers import use_floor
from benchmarks.drivers.shared import PADDING
from benchmarks.measure import Figure
from benchmarks.plan import Sizes
from benchmarks.processes import BenchmarkFailed
from benchmarks.table import number, spread, table
from litequeue.clock import SECOND, SystemClock
from litequeue.job import Complete, Lease, NewJob, NewWorker, Turn, Want
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.storage.store import Store
from litequeue.storage.workers import Workers

GROUPS = 5  # the claims of one file are cut into so many groups, whose medians give the spread
CHUNK = 1_000
PRIORITIES = 10
YEAR = 365 * 24 * 3600 * SECOND
PAYLOAD = json.dumps([[0, PADDING], {}])

TEXT = """## One claim: microseconds

A claim in a commit of its own, not synced, in files that hold so many other jobs in that state (with ten
priorities in turn), and one more ready job each time. The files are asked in turn. A figure is the median of
{groups} medians of {each} claims each, with the lowest and the highest behind it."""


class Queue(Protocol):
    """A file in which claims are timed."""

    def fill(self, jobs: int) -> None:
        """Put so many jobs there."""

    def claim(self) -> float:
        """Add one ready job; claim one, which is timed, in seconds; complete it."""

    def close(self) -> None:
        """Let go of the file."""


class Ours:
    """litequeue's store, among jobs that are all in one state."""

    def __init__(self, path: Path, state: str) -> None:
        self._database = Database(str(path), Durability.NORMAL)
        self._store = Store(self._database, SystemClock())
        workers = Workers(self._database, SystemClock())
        self._worker = workers.sign_on(NewWorker("benchmark", os.getpid()))
        self._state = state

    def fill(self, jobs: int) -> None:
        """Put so many jobs there, in the state that was asked for."""
        run_at = self._store.clock.now() + YEAR if self._state == "scheduled" else None
        for first in range(0, jobs, CHUNK):
            indexes = range(first, min(first + CHUNK, jobs))
            self._store.enqueue([_new(index % PRIORITIES, run_at) for index in indexes])
            if self._state == "completed":
                claim = self._store.claim(self._worker, [Want("default", CHUNK, CHUNK)])
                self._complete([job.lease for job in claim.jobs])

    def claim(self) -> float:
        """Add one, time the claim of one, complete it."""
        self._store.enqueue([_new(0, None)])
        begun = time.perf_counter()
        claim = self._store.claim(self._worker, [Want("default", 1, 1)])
        seconds = time.perf_counter() - begun
        if len(claim.jobs) != 1:
            raise BenchmarkFailed(f"a claim of one job brought {len(claim.jobs)}")
        self._complete([claim.jobs[0].lease])
        return seconds

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _complete(self, leases: Sequence[Lease]) -> None:
        self._store.take_turn(self._worker, Turn(settlements=tuple(Complete(lease) for lease in leases)))


def _new(priority: int, run_at: int | None) -> NewJob:
    return NewJob("benchmarks:job", "default", PAYLOAD, priority=priority, run_at=run_at)


class Floor:
    """Raw SQLite, among ready jobs."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(use_floor.SCHEMA)

    def fill(self, jobs: int) -> None:
        """Put so many jobs there."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(use_floor.INSERT, ((PAYLOAD,) for _ in range(jobs)))
        self._connection.execute("COMMIT")

    def claim(self) -> float:
        """Add one, time the claim of one, complete it."""
        self._connection.execute(use_floor.INSERT, (PAYLOAD,))
        begun = time.perf_counter()
        jobs = self._connection.execute(use_floor.CLAIM, (1,)).fetchall()
        seconds = time.perf_counter() - begun
        self._connection.execute(use_floor.COMPLETE, (jobs[0][0],))
        return seconds

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


CASES: dict[str, Callable[[Path], Queue]] = {
    "litequeue, ready": lambda path: Ours(path, "ready"),
    "litequeue, scheduled": lambda path: Ours(path, "scheduled"),
    "litequeue, completed": lambda path: Ours(path, "completed"),
    "floor, ready": Floor,
}


def section(sizes: Sizes, place: Path, say: Callable[[str], None]) -> str:
    """Measure every case at every size; return the section of the page."""
    begun = time.monotonic()
    heads = ["claim among", *(f"{jobs:,} jobs" for jobs in sizes.backlogs), "most ÷ fewest jobs"]
    with tempfile.TemporaryDirectory(dir=place, prefix="claims-") as directory:
        queues = [_filled(name, jobs, Path(directory)) for name in CASES for jobs in sizes.backlogs]
        figures = _in_turn(queues, sizes.claims)
    width = len(sizes.backlogs)
    rows = [_row(name, figures[n * width : (n + 1) * width]) for n, name in enumerate(CASES)]
    say(f"claims: {time.monotonic() - begun:.0f} s")
    return f"{TEXT.format(groups=GROUPS, each=sizes.claims // GROUPS)}\n\n{table(heads, rows)}"


def _filled(name: str, jobs: int, directory: Path) -> Queue:
    queue = CASES[name](directory / f"{name}-{jobs}.db")
    queue.fill(jobs)
    return queue


def _in_turn(queues: Sequence[Queue], claims: int) -> list[Figure]:
    waits = [[queue.claim() for queue in queues] for _ in range(claims)]
    for queue in queues:
        queue.close()
    return [_figure([turn[place] * 1e6 for turn in waits]) for place in range(len(queues))]


def _row(name: str, figures: Sequence[Figure]) -> list[str]:
    growth = figures[-1].median / figures[0].median
    return [name, *(spread(figure) for figure in figures), number(growth)]


def _figure(waits: Sequence[float]) -> Figure:
    size = len(waits) // GROUPS
    return Figure(tuple(statistics.median(waits[n * size : (n + 1) * size]) for n in range(GROUPS)))
