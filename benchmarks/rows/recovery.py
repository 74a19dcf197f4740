"""The row of killed workers: how soon another one runs their job."""

import contextlib
import os
import random
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

from benchmarks import harness
from benchmarks.goals import Line, Round, Row
from benchmarks.harness import Round as Place
from benchmarks.measure import percentile
from benchmarks.plan import Sizes, ours
from benchmarks.processes import BenchmarkFailed

NAME = "a killed worker's job runs elsewhere, full"
WORKERS = 3  # one has the job, another is idle, the third may still be starting
WAIT_SECONDS = 60.0
BREATH = (0.4, 0.7)  # between two kills; not even, or it could keep in step with something


def kills(sizes: Sizes) -> Row:
    """Return the row of the time from SIGKILL to the first line of the same job in another process."""
    line = Line(f"{NAME}: p99", "under 1 s", "p99", most=1_000, unit="ms", by_worst=True)
    return Row(NAME, partial(_take, sizes.kills), (line,))


def _take(count: int, place: Path, rounds: int) -> list[Round]:
    return [_round(count, place) for _ in range(rounds)]


def _round(count: int, place: Path) -> Round:
    with harness.fresh_round(ours("full", task="hold"), place) as here, contextlib.ExitStack() as stack:
        workers: dict[int, subprocess.Popen[str]] = {}
        stack.callback(_kill_all, workers)
        for _ in range(WORKERS):
            _hire(here, stack, workers)
        here.ask("produce", 1)
        here.await_stamps(1, [])
        waits = []
        for _ in range(count):
            waits.append(_kill_one(here, workers))
            _hire(here, stack, workers)
        _kill_all(workers)  # at once: none of them would end its job for being asked
    return Round({"p50": percentile(waits, 50), "p99": percentile(waits, 99)}, {"litequeue": waits})


def _hire(here: Place, stack: contextlib.ExitStack, workers: dict[int, subprocess.Popen[str]]) -> None:
    worker = stack.enter_context(here.worker())
    workers[worker.pid] = worker


def _kill_one(here: Place, workers: dict[int, subprocess.Popen[str]]) -> float:
    time.sleep(random.uniform(*BREATH))
    runs = here.stamped()
    victim = here.stamps()[-1][0]
    begun = time.monotonic_ns()
    os.kill(victim, signal.SIGKILL)
    workers.pop(victim).wait()
    here.await_stamps(runs + 1, list(workers.values()))
    process, instant = here.stamps()[-1]
    if process == victim:
        raise BenchmarkFailed("a killed process ran a job")
    return (instant - begun) / 1e6


def _kill_all(workers: dict[int, subprocess.Popen[str]]) -> None:
    while workers:
        process = workers.popitem()[1]
        process.kill()
        process.wait()
