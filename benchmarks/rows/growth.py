"""Rows of claiming and settling in files of very different size, which must not be felt.

Asked of the store itself: a claim is its verb, and a worker would hide it behind a batch.
"""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks import backlog
from benchmarks.backlog import Backlog
from benchmarks.goals import Line, Round, Row
from benchmarks.plan import Sizes

MIXES = ("ready", "finished", "scheduled", "many queues")
VERBS = ("claim", "settle")
FLAT = 1.2
TURN = 10  # claims in one file before it is the other's turn
WARM_UP = 50

Times = dict[str, list[float]]  # microseconds, by verb


def among(sizes: Sizes, mix: str) -> Row:
    """Return the row of claims and settlements among jobs of one mix."""
    least, most = sizes.backlogs[0], sizes.backlogs[-1]
    lines = [
        Line(
            f"{verb} among {most:,} jobs, {mix}, normal",
            f"flat within {FLAT} from {least:,}",
            figure_name(verb, most),
            figure_name(verb, least),
            most=FLAT,
            unit="µs",
            guarded=False,
        )
        for verb in VERBS
    ]
    return Row(row_name(mix), partial(_take, sizes, mix), tuple(lines))


def row_name(mix: str) -> str:
    """Return what the row of a mix is called."""
    return f"claim and settle in a large file, {mix}"


def figure_name(verb: str, jobs: int) -> str:
    """Return what the median of a verb among so many jobs is called."""
    return f"{verb} among {jobs:,}, µs"


def _take(sizes: Sizes, mix: str, place: Path, rounds: int) -> list[Round]:
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place, prefix="backlog-")))
        files = {}
        for jobs in sizes.backlogs:
            backlog.fill(directory / f"{jobs}.db", mix, jobs)
            files[jobs] = stack.enter_context(contextlib.closing(Backlog(directory / f"{jobs}.db", mix)))
        _time(files, WARM_UP)
        return [_round(_time(files, sizes.claims)) for _ in range(rounds)]


def _time(files: Mapping[int, Backlog], claims: int) -> Mapping[int, Times]:
    seen: dict[int, Times] = {jobs: {verb: [] for verb in VERBS} for jobs in files}
    for first in range(0, claims, TURN):
        for jobs, file in files.items():
            for index in range(first, first + TURN):
                for verb, seconds in zip(VERBS, _one(file, index), strict=True):
                    seen[jobs][verb].append(seconds * 1e6)
    return seen


def _one(file: Backlog, index: int) -> tuple[float, float]:
    """Add a ready job, so that there is one; time a claim and what settles it."""
    queue = file.enqueue_ready(index)
    begun = time.perf_counter()
    claimed = file.claim(queue, 1)
    between = time.perf_counter()
    file.settle([claimed[0].lease])
    return between - begun, time.perf_counter() - between


def _round(seen: Mapping[int, Times]) -> Round:
    return Round(
        {figure_name(verb, jobs): statistics.median(seen[jobs][verb]) for verb in VERBS for jobs in seen}
    )


def curves(mix: str, rounds: Sequence[Round], backlogs: Sequence[int]) -> list[dict[str, object]]:
    """Return the medians against the number of jobs, as a plot wants them."""
    return [
        {
            "mix": mix,
            "what": verb,
            "jobs": list(backlogs),
            "microseconds": [
                statistics.median(each.figures[figure_name(verb, jobs)] for each in rounds)
                for jobs in backlogs
            ],
        }
        for verb in VERBS
    ]
