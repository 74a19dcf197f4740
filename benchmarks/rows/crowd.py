"""The row of many processes that write to one file at once: who waits how long, and who is starved."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.goals import Line, Row, in_turn
from benchmarks.harness import Round as Place
from benchmarks.harness import Subject
from benchmarks.measure import Metrics, percentile
from benchmarks.plan import Sizes, floor, ours

NAME = "processes writing at once, full"
QUEUES = ("litequeue", "floor")
START_SECONDS = 60.0


def writers(sizes: Sizes) -> Row:
    """Return the row of processes that enqueue as fast as they can, beside SQLite's own busy handler."""
    most = sizes.processes[-1]
    subjects = dict(zip(QUEUES, (ours("full"), floor("full", bell=False)), strict=True))
    cases = {
        case_name(queue, number): partial(_write, subjects[queue], number=number, seconds=sizes.crowd_seconds)
        for number in sizes.processes
        for queue in QUEUES
    }
    line = partial(_line, f"{most} {NAME}", most)
    lines = (
        line("slowest ÷ mean", "at least a third", "share", least=1 / 3, unit=""),
        line("worst wait", "under 500 ms", "worst", most=500, unit="ms"),
        line("errors", "none", "errors", most=0, unit=""),
    )
    return Row(NAME, in_turn(cases), lines)


def case_name(queue: str, number: int) -> str:
    """Return what the case of a queue and a number of processes is called."""
    return f"{queue} from {number}"


def _line(work: str, number: int, what: str, goal: str, metric: str, **bounds: Any) -> Line:
    mine, floors = (f"{case_name(queue, number)}, {metric}" for queue in QUEUES)
    return Line(f"{work}: {what}", goal, mine, floors, is_absolute=True, **bounds)


def _write(subject: Subject, place: Path, number: int, seconds: float) -> Metrics:
    with harness.fresh_round(subject, place) as here, ThreadPoolExecutor(number) as pool:
        here.ask("fill", 1)  # so that nobody waits for, or fails at, the making of the file
        answers = [pool.submit(here.ask, "write", int(seconds * 1e3)) for _ in range(number)]
        _await_all(here, number, answers)
        (here.directory / "go").touch()
        said = [answer.result() for answer in answers]
    return _figures([one["waits"] for one in said], sum(one["errors"] for one in said), seconds)


def _await_all(here: Place, number: int, answers: Sequence[Future[Any]]) -> None:
    """Wait until all are ready to write; one that failed is heard when its answer is asked for."""
    end = time.monotonic() + START_SECONDS
    while len(list(here.directory.glob("ready-*"))) < number and not any(each.done() for each in answers):
        if time.monotonic() > end:
            return  # and none of them waits for ever: "go" comes now
        time.sleep(0.01)


def _figures(waits: Sequence[Sequence[float]], errors: int, seconds: float) -> Metrics:
    together = [wait for own in waits for wait in own]
    return {
        "rate": len(together) / seconds,
        "p50": percentile(together, 50),
        "p99": percentile(together, 99),
        "worst": max(together),
        "share": min(map(len, waits)) / (len(together) / len(waits)),
        "errors": float(errors),
    }
