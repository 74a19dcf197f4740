"""Rows of an idle worker: how soon it wakes up, and what it costs meanwhile."""

import math
import re
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import harness
from benchmarks.goals import Line, Round, Row
from benchmarks.harness import Subject
from benchmarks.measure import Metrics, percentile
from benchmarks.plan import Sizes, floor, ours
from benchmarks.processes import alive, beside

MOST_MS = {"normal": 0.6, "full": 2}
# The same code took 0.6 ms in a quiet hour of one machine and 1.5 in a busy one.
LOOSE_WAKE = 4.0
LATE_MS = 10
START_SECONDS = 1.5  # after which a worker has certainly begun to idle
IDLE = "idle worker"
# The plainest worker there is: nothing of the drivers is in its memory.
WORKER = "from litequeue import Queue; Queue('jobs.db').worker().run()"


def wake_up(sizes: Sizes, durability: str) -> Row:
    """Return the row of the way from an enqueue to the first line of the job in another process."""
    subjects = {"litequeue": ours(durability), "floor": floor(durability)}
    name = wake_name(durability)
    most = MOST_MS[durability]
    lines = (
        replace(_line(name, "p50", most), loose=LOOSE_WAKE),
        replace(_line(name, "p99", LATE_MS), guarded=False),
    )
    return Row(name, partial(_wakes, subjects, sizes.pings), lines)


def wake_name(durability: str) -> str:
    """Return what the row of that durability is called."""
    return f"wake-up, {durability}"


def _line(name: str, which: str, most: float) -> Line:
    mine, floors = f"litequeue, {which}", f"floor, {which}"
    return Line(f"{name}: {which}", f"under {most} ms", mine, floors, most=most, unit="ms", is_absolute=True)


def _wakes(subjects: dict[str, Subject], pings: int, place: Path, rounds: int) -> list[Round]:
    return [_wake(subjects, pings, place, is_even=number % 2 == 0) for number in range(rounds)]


def _wake(subjects: dict[str, Subject], pings: int, place: Path, *, is_even: bool) -> Round:
    figures: dict[str, float] = {}
    waits = {}
    for who in list(subjects)[:: 1 if is_even else -1]:
        waits[who] = harness.pings(subjects[who], place, pings, idle_seconds=0).waits
        for percent in (50, 99):
            figures[f"{who}, p{percent}"] = percentile(waits[who], percent)
    return Round(figures, waits)


def idle(sizes: Sizes) -> Row:
    """Return the row of a worker that has nothing to do."""
    lines = (
        Line(f"{IDLE}: processor", "under 0.3 % of a core", "processor", most=0.3, unit="%"),
        Line(f"{IDLE}: memory", "under 35 MB resident", "resident", most=35, unit="MB"),
    )
    return Row(IDLE, partial(_idles, sizes.idle_seconds), lines)


def _idles(seconds: float, place: Path, rounds: int) -> list[Round]:
    return [Round(_idle(seconds, place)) for _ in range(rounds)]


def _idle(seconds: float, place: Path) -> Metrics:
    command = [sys.executable, "-c", WORKER]
    with (
        harness.fresh_round(ours("full"), place) as here,
        beside(command, here.directory, here.variables) as worker,
    ):
        time.sleep(START_SECONDS)
        percent = harness.idle_percent(worker.pid, seconds)
        alive(worker, command)
        return {"processor": percent, "resident": _resident_megabytes(worker.pid)}


def _resident_megabytes(process: int) -> float:
    status = Path(f"/proc/{process}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text() if status.exists() else "")
    return int(found[1]) * 1024 / 1e6 if found else math.nan
