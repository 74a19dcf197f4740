"""Tasks of thirty steps whose process is killed again and again: each effect once, no finished step again."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.worker.test_steps_killed import kill_and_judge

KILLS = 3000
ROUND = 100


def run(scale: float) -> str:
    """As many kills as the scale says, in files of a hundred each."""
    rounds = []
    for seed in range(max(1, round(scale * KILLS / ROUND))):
        with tempfile.TemporaryDirectory(prefix="litequeue-steps-") as folder:
            rounds.append(kill_and_judge(Path(folder) / "jobs.db", ROUND, seed))
    killed, jobs, attempts, repeated = map(sum, zip(*rounds, strict=True))
    return (
        f"{killed:,} kills of {jobs:,} jobs in {attempts:,} attempts: every effect once; "
        f"{repeated:,} runs of steps that were killed before their end"
    )
