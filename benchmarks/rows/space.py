"""Rows of the disk: what a waiting job takes, and how large a file gets whose jobs come and go."""

import time
from functools import partial
from pathlib import Path

from benchmarks import harness
from benchmarks.goals import Line, Round, Row, in_turn
from benchmarks.harness import Round as Place
from benchmarks.harness import Subject
from benchmarks.measure import Metrics
from benchmarks.plan import Sizes, floor, ours
from benchmarks.processes import BenchmarkFailed, beside

WORK_SECONDS = 600.0
FILES = {"use_litequeue": "jobs.db", "use_floor": "floor.db"}
RETENTION_SECONDS = 1


def waiting(sizes: Sizes) -> Row:
    """Return the row of the bytes of a waiting job."""
    subjects = {"litequeue": ours("full"), "floor": floor("full")}
    cases = {who: partial(_stored, subject, count=sizes.stored) for who, subject in subjects.items()}
    name = "bytes on disk of a waiting job of 100 bytes"
    mine, its = "litequeue, bytes", "floor, bytes"
    line = Line(name, "under 260", mine, its, most=260, unit="B", is_absolute=True)
    return Row(name, in_turn(cases), (line,))


def _stored(subject: Subject, place: Path, count: int) -> Metrics:
    with harness.fresh_round(subject, place) as here:
        here.ask("fill", count)
        return {"bytes": sum(_sizes(here)) / count}


def _sizes(here: Place) -> tuple[int, int]:
    """Return how large the file and its log are."""
    file = here.directory / FILES[here.subject.driver]
    log = file.with_name(f"{file.name}-wal")
    return _size(file), _size(log)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def passing(sizes: Sizes) -> Row:
    """Return the row of jobs that come, run and are deleted a second later; once, for it takes a while."""
    subject = ours("normal", retention=RETENTION_SECONDS)
    name = f"{sizes.passing:,} jobs come and go, normal, once"
    line = Line(f"{name}: the file", "under 30 MB", "file, MB", most=30, unit="MB", guarded=False)
    return Row(name, lambda place, _: [_passing(subject, place, sizes.passing)], (line,))


def _passing(subject: Subject, place: Path, count: int) -> Round:
    file = together = 0
    end = time.monotonic() + WORK_SECONDS
    with harness.fresh_round(subject, place) as here, here.worker():
        begun = time.monotonic()
        with beside(subject.command("stream", count), here.directory, here.variables):
            while here.stamped() < count:
                now = _sizes(here)
                file, together = max(file, now[0]), max(together, sum(now))
                if time.monotonic() > end:
                    raise BenchmarkFailed(f"{here.stamped()} of {count} jobs in time")
                time.sleep(0.02)
        rate = count / (time.monotonic() - begun)
    return Round({"file, MB": file / 1e6, "with log, MB": together / 1e6, "rate": rate})
