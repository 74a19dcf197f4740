"""Tasks that misbehave: the worker lives or is replaced, the next job runs, the right one bears the blame."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from litequeue import Job
from litequeue.storage.checks import broken
from tests.support import Program
from tests.worker.case import CrewCase, until
from tests.worker.misdeeds import TABLE, Ending, Misdeed
from tests.worker.test_supervisor import is_alive

# Who ignores a time limit is given up after 0.3 s here, not after 5.
RUN = """
from litequeue.worker import limits, supervisor
limits.Limits.__init__.__defaults__ = (300_000,)
supervisor._TIME_TO_END = 500_000
from tests.worker.misdeeds import queue
queue.worker({}).run()
"""
Pairs = dict[str, tuple[Job[Any], Job[Any]]]


def names(*, deadly: bool, plain: bool = True, coroutines: bool = True) -> list[str]:
    """The misdeeds of the table that are of these kinds."""

    def is_wanted(misdeed: Misdeed) -> bool:
        return coroutines if misdeed.task.is_async else plain

    return [name for name, each in TABLE.items() if each.is_deadly is deadly and is_wanted(each)]


class MisdeedCase(CrewCase):
    lease_seconds = 1.0
    known: tuple[str, ...] = ()  # invariants that the test itself breaks

    def tearDown(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual([each for each in broken(connection) if each.name not in self.known], [])
        super().tearDown()

    def send_pairs(self, misdeeds: Iterable[str], **options: Any) -> Pairs:
        """Enqueue these, each with one behind it that does nothing wrong. One crash is one too many."""
        return {name: self.send_pair(name, **options) for name in misdeeds}

    def send_pair(self, name: str, **options: Any) -> tuple[Job[Any], Job[Any]]:
        follower = "innocent_coroutine" if TABLE[name].task.is_async else "innocent"
        module = "tests.worker.misdeeds"
        return (
            self.queue.enqueue(f"{module}:{name}", args=(), max_crashes=1, **options),
            self.queue.enqueue(f"{module}:{follower}", args=(), max_crashes=1, **options),
        )

    def require(self, pairs: Pairs, *, isolated: bool = False) -> None:
        """Each has ended as the table says; those behind them are done, and were charged nothing."""
        for name, (job, follower) in pairs.items():
            with self.subTest(name):
                self.require_ending(job, TABLE[name].isolated if isolated else TABLE[name].ends)
                self.assertEqual(follower.refresh().state, "completed")
                self.assertEqual((follower.failures, follower.snapshot.crashes), (0, 0))

    def require_ending(self, job: Job[Any], ending: Ending) -> None:
        last = job.refresh().errors[-1:]
        words = "".join(f"{each.type}: {each.message}" for each in last)
        self.assertEqual((job.state, job.reason), (ending.state, ending.reason), words)
        self.assertTrue(re.search(ending.failure, words), words)
        self.assertLessEqual(len(last), 1)

    def run_burst(self, options: str) -> None:
        self.assertEqual(Program(self, RUN.format(f"burst=True, {options}")).wait(), 0)


class OnThreads(MisdeedCase):
    def test_the_worker_lives_and_the_next_job_runs(self) -> None:
        pairs = self.send_pairs(names(deadly=False))
        self.run_burst("threads=1, async_slots=1")
        self.require(pairs)
        for name in ("fork_and_return_twice", "coroutine_forks_and_returns_twice"):
            child = pairs[name][0].result(0)
            self.assertFalse(is_alive(child), "the second to return lives on")

    def test_the_process_is_replaced_and_the_next_job_runs(self) -> None:
        pairs = self.send_pairs(names(deadly=True))
        self.run_burst("processes=1")
        self.require(pairs)


class ByHand(MisdeedCase):
    """Rows that somebody wrote into the file: their job fails, once, and the worker goes on."""

    known = ("text",)
    changes = (
        ("payload", "[[1],{}]", "BadArguments"),
        ("payload", "[" * 100_000 + "]" * 100_000, "EncodingError"),
        ("payload", f"[[{'9' * 5_000}],{{}}]", "EncodingError|BadArguments"),
        ("payload", b'[["\xff\xfe"],{}]', "EncodingError"),
        ("payload", '[[{"$datetime":1}],{}]', "EncodingError"),
        ("payload", '[{}, {"$": 1}, 2]', "EncodingError"),
        ("codec", "pickle", "EncodingError"),
        ("options", '{"timeout": ' + "[" * 100_000 + "]" * 100_000 + "}", "EncodingError|InvalidOption"),
        ("options", '{"timeout": NaN}', "EncodingError|InvalidOption"),
        ("meta", "{" * 100_000, "EncodingError|InvalidOption"),
    )

    def test_on_threads(self) -> None:
        self.run_changed("threads=1")

    def test_isolated(self) -> None:
        self.run_changed("threads=1", isolate=True)

    def run_changed(self, options: str, **task_options: Any) -> None:
        jobs = []
        for column, value, failure in self.changes:
            bad = self.send_pair("leave_a_daemon", **task_options)
            jobs.append((column, value, failure, bad))
            self.change(f"UPDATE litequeue_job SET {column} = CAST(? AS TEXT) WHERE id = ?", value, bad[0].id)
        self.run_burst(options)
        for column, value, failure, (job, follower) in jobs:
            with self.subTest(f"{column} {value[:20]!r}"):
                self.require_ending(job, Ending("failed", "error", failure))
                self.assertEqual((job.attempt, follower.refresh().state), (1, "completed"))


class OutOfMemory(MisdeedCase):
    granted = 128 << 20

    def test_the_kernel_kills_the_process_and_nothing_that_waited_in_it_is_charged(self) -> None:
        jail = self.make_jail()
        before = [self.queue.enqueue("tests.worker.misdeeds:innocent", args=()) for _ in range(500)]
        glutton = self.queue.enqueue("tests.worker.misdeeds:eat_all_memory", args=(), max_crashes=1)
        behind = [self.queue.enqueue("tests.worker.misdeeds:innocent", args=()) for _ in range(500)]
        enter = f"import os; open({str(jail / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"
        enter += "; import resource; resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))"
        program = Program(self, f"{enter}\n{RUN.format('burst=True, processes=1')}")
        self.assertEqual(program.wait(), 0)
        self.assertEqual((glutton.refresh().state, glutton.reason), ("failed", "crashed"))
        for job in before + behind:
            self.assertEqual((job.refresh().state, job.snapshot.crashes), ("completed", 0))

    def make_jail(self) -> Path:
        """A control group with little memory; skips the test where none can be made."""
        old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
        root, limit = (old, "memory.limit_in_bytes") if old.is_dir() else (new, "memory.max")
        jail = root / f"litequeue-{os.getpid()}"
        try:
            jail.mkdir()
            self.addCleanup(self.remove, jail)
            with open(jail / limit, "r+", encoding="ascii") as file:  # never made: it is there in a real one
                file.write(str(self.granted))
        except OSError as error:
            self.skipTest(f"no control group for memory can be made: {error}")
        return jail

    def remove(self, jail: Path) -> None:
        if (members := jail / "cgroup.procs").exists():
            until(lambda: not members.read_text(), "the end of all in the group")
        jail.rmdir()


class Isolated(MisdeedCase):
    def test_one_child_is_lost_and_the_next_job_runs(self) -> None:
        pairs = self.send_pairs(TABLE, isolate=True)
        self.run_burst("threads=3")
        self.require(pairs, isolated=True)
