"""Steps under kill -9: every effect is there exactly once, and no finished step runs again."""

from __future__ import annotations

import json
import os
import sqlite3
import unittest
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from litequeue.storage.checks import broken
from tests.repository import ROOT, run_python
from tests.support import folder_for
from tests.worker.mortal import STEPS

KILLS = 40


class Counted(NamedTuple):
    """What a run was."""

    killed: int
    jobs: int
    attempts: int
    repeated: int


def kill_and_judge(path: Path, kills: int, seed: int) -> Counted:
    """Let a program be killed so often, and raise `AssertionError` for what became of its steps wrongly."""
    ended = run_python(
        ["-m", "tests.worker.mortal", path, str(kills), str(seed)], ROOT, timeout_seconds=20 + kills
    )
    if ended.returncode != 0:
        raise AssertionError(ended.stdout)
    counts = json.loads(ended.stdout.splitlines()[-1])
    with closing(sqlite3.connect(path)) as connection:
        attempts, repeated = judge(connection, Path(f"{path}-begun"))
    return Counted(counts["killed"], counts["jobs"], attempts, repeated)


def judge(connection: sqlite3.Connection, begun: Path) -> tuple[int, int]:
    """How many attempts there were, and how many runs of steps were for nothing."""
    assert broken(connection) == [], broken(connection)
    jobs = connection.execute("SELECT id, state, result, attempt FROM litequeue_job").fetchall()
    total = str(sum(number * number for number in range(STEPS)))
    wrong = [job for job in jobs if job[1:3] != ("completed", total)]
    assert not wrong, f"these jobs did not end well: {wrong}"
    kept = {
        (job, int(name.removeprefix("step "))): attempt
        for job, name, attempt in connection.execute("SELECT job, name, attempt FROM litequeue_step")
    }
    assert kept.keys() == {(job[0], number) for job in jobs for number in range(STEPS)}
    effects = connection.execute("SELECT job, step, attempt FROM effect ORDER BY job, step").fetchall()
    expected = sorted((*step, attempt) for step, attempt in kept.items() if step[1] % 3)
    assert effects == expected, "the effects are not those of the steps that were kept, once each"
    return sum(job[3] for job in jobs), require_no_repeat(begun, kept)


def require_no_repeat(begun: Path, kept: dict[tuple[int, int], int]) -> int:
    """How many runs of steps came to nothing; raises if one began after it was finished."""
    runs: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for line in begun.read_text().splitlines():
        job, number, attempt = map(int, line.split())
        runs[job, number].append(attempt)
    for step, attempts in runs.items():
        assert attempts == sorted(set(attempts)), f"step {step} ran twice in an attempt: {attempts}"
        assert attempts[-1] == kept[step], f"step {step} was finished in attempt {kept[step]}: {attempts}"
    return sum(len(attempts) - 1 for attempts in runs.values())


@unittest.skipUnless(hasattr(os, "fork"), "processes can not be forked here")
class TestKilled(unittest.TestCase):
    def test_a_task_that_is_killed_again_and_again_does_every_step_once(self) -> None:
        counted = kill_and_judge(folder_for(self, in_memory=True) / "jobs.db", KILLS, seed=1)
        self.assertEqual(counted.killed, KILLS)
        self.assertGreater(counted.attempts, counted.jobs, "no kill struck in the middle of a job")
