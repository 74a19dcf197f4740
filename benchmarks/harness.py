"""One round of one measurement: a fresh directory, a driver's processes in it, and the figures they give."""

import contextlib
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.drivers.shared import STAMP
from benchmarks.measure import Metrics, percentile
from benchmarks.processes import (
    BENCHMARKS,
    PROJECT,
    BenchmarkFailed,
    alive,
    answer,
    beside,
    environment,
    processor_seconds,
)
from benchmarks.redis_server import redis_server

WORK_SECONDS = 300.0
IDLE_SECONDS_PER_PING = 0.02  # how long a worker is then watched doing nothing
FIRST_PINGS = 5  # the first meet a worker that is still starting


@dataclass(frozen=True)
class Subject:
    """One queue as it is measured: a driver, its settings, and the interpreter that has it installed."""

    driver: str
    settings: Mapping[str, object] = field(default_factory=dict)
    python: str = sys.executable
    workers: int = 1  # worker processes that we start ourselves
    redis: str = ""  # "" without; "full" or "memory": what Redis does before it answers

    def command(self, verb: str, number: int = 0) -> list[str]:
        """Return the command line of one verb of the driver."""
        return [self.python, "-m", "drivers", self.driver, verb, str(number)]


@dataclass(frozen=True)
class Round:
    """A subject in the directory of one round."""

    subject: Subject
    directory: Path
    variables: Mapping[str, str]

    def ask(self, verb: str, number: int = 0) -> Any:
        """Run one verb of the driver to its end and return its answer."""
        return answer(self.subject.command(verb, number), self.directory, self.variables)

    def worker(self) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        """Keep one worker process of the driver running beside us."""
        return beside(self.subject.command("work"), self.directory, self.variables)

    def await_stamps(self, count: int, workers: Sequence[subprocess.Popen[str]]) -> None:
        """Wait until so many jobs ran in the workers beside us."""
        end = time.monotonic() + WORK_SECONDS
        while self.stamped() < count:
            if time.monotonic() > end:
                raise BenchmarkFailed(f"{self.subject.driver}: {self.stamped()} of {count} jobs in time")
            for worker in workers:
                alive(worker, self.subject.command("work"))
            time.sleep(0.02)

    def stamps(self) -> list[tuple[int, int]]:
        """Return the stamps so far: (index, nanoseconds) in the order in which the jobs ran."""
        return list(STAMP.iter_unpack((self.directory / "stamps").read_bytes()))

    def stamped(self) -> int:
        """Return how many jobs ran so far."""
        stamps = self.directory / "stamps"
        return stamps.stat().st_size // STAMP.size if stamps.exists() else 0


Measure = Callable[[Subject, Path, int], Metrics]


@contextlib.contextmanager
def fresh_round(subject: Subject, place: Path) -> Iterator[Round]:
    """Give a subject an empty directory (and a Redis of its own, if it needs one) for one round."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place, prefix="round-")))
        extra: dict[str, str] = {}
        if subject.driver == "use_litequeue":
            extra["PYTHONPATH"] = os.pathsep.join((str(BENCHMARKS), str(PROJECT)))
        if subject.redis:
            extra["BENCH_REDIS"] = stack.enter_context(redis_server(directory, subject.redis))
        yield Round(subject, directory, environment(directory, subject.settings, extra))


def describe(subject: Subject, place: Path) -> tuple[str, str]:
    """Return the version of a subject and the durability in force, from its live connection."""
    with fresh_round(subject, place) as here:
        said = here.ask("describe")
        return said["version"], said["durability"]


def enqueue(subject: Subject, place: Path, count: int) -> Metrics:
    """Jobs enqueued one by one, a second; and the longest that one call took, in milliseconds."""
    with fresh_round(subject, place) as here:
        said = here.ask("enqueue", count)
        return {"rate": count / said["seconds"], "worst": said["worst"]}


def enqueue_many(subject: Subject, place: Path, count: int) -> Metrics:
    """Jobs enqueued in one call, a second."""
    with fresh_round(subject, place) as here:
        return {"rate": count / here.ask("enqueue_many", count)["seconds"]}


def run(subject: Subject, place: Path, count: int) -> Metrics:
    """Waiting jobs run a second: starting the worker is not counted.

    From the first claim to the last settlement where the queue's file tells that, else from the first run to
    the last.
    """
    with fresh_round(subject, place) as here:
        here.ask("fill", count)
        with contextlib.ExitStack() as stack:
            workers = [stack.enter_context(here.worker()) for _ in range(subject.workers)]
            here.await_stamps(count, workers)
        rate, settled = _rate(here.stamps(), count), here.ask("settled")
    return {"rate": rate if settled is None else _settled_rate(settled, count)}


def _rate(stamps: Sequence[tuple[int, int]], count: int) -> float:
    if sorted(index for index, _ in stamps) != list(range(count)):
        raise BenchmarkFailed(f"{count} jobs were enqueued, and not each of them ran once: {len(stamps)} ran")
    instants = [instant for _, instant in stamps]
    return (count - 1) / (max(instants) - min(instants)) * 1e9


def _settled_rate(settled: tuple[int, float], count: int) -> float:
    if settled[0] != count:
        raise BenchmarkFailed(f"{count} jobs ran, and {settled[0]} of them were settled")
    return count / settled[1]


@dataclass(frozen=True)
class Pings:
    """What an idle worker did: the milliseconds until it ran each job, and its idling, in % of one core."""

    waits: tuple[float, ...]
    idle: float


def pings(subject: Subject, place: Path, count: int, idle_seconds: float) -> Pings:
    """Send one job at a time to an idle worker; then watch it do nothing for so many seconds."""
    with fresh_round(subject, place) as here:
        with here.worker() as worker:
            sent = here.ask("ping", count + FIRST_PINGS)["sent"]
            alive(worker, subject.command("work"))
            idle = idle_percent(worker.pid, idle_seconds) if idle_seconds else math.nan
        ran = dict(here.stamps())
    waits = [(ran[index] - instant) / 1e6 for index, instant in enumerate(sent)][FIRST_PINGS:]
    return Pings(tuple(waits), idle)


def wake_up(subject: Subject, place: Path, count: int) -> Metrics:
    """Milliseconds from an enqueue to the job's first line in another process; then what idling costs."""
    seen = pings(subject, place, count, count * IDLE_SECONDS_PER_PING)
    return {"p50": percentile(seen.waits, 50), "p99": percentile(seen.waits, 99), "idle": seen.idle}


def idle_percent(group: int, seconds: float) -> float:
    """Return the processor time that a process group uses meanwhile, in percent of one core."""
    before = processor_seconds(group)
    time.sleep(seconds)
    after = processor_seconds(group)
    return math.nan if before is None or after is None else (after - before) / seconds * 100
