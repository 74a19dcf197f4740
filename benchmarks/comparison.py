"""litequeue and other queues, measured in the same way and in turn."""

import contextlib
import math
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks import harness
from benchmarks.measure import Figure, percentile, ratio
from benchmarks.peers import GAP_SECONDS, Counts, Entry, ours, peers, prepare
from benchmarks.processes import BenchmarkFailed
from benchmarks.table import number, spread, table

ROUNDS = 3
IDLE_SECONDS = 1.0  # how long an idle worker is watched in each round
SAMPLE_SECONDS = 60.0  # a sample that takes longer has failed
FAILURES = (BenchmarkFailed, OSError, subprocess.SubprocessError, ValueError, LookupError)
HEADS = ["queue", "durability", "enqueue", "enqueue many", "run", "wake-up p50", "p99", "idle, %"]
SYNCED = "### Synced to the disk before it is reported"
UNSYNCED = "### Not synced, or in memory only"

TEXT = """## litequeue and other queues

One producer and one worker of one thread, with the settings a queue comes with where nothing else is said;
{rounds} rounds, every queue in turn. Durability is what the live connection said. Enqueue and run are jobs a
second, the median of the rounds with the lowest and the highest behind it; the ratio in brackets is
litequeue divided by that queue. Wake-up is in milliseconds, from just before an enqueue in one process to
the job's first line in another, each job {gap} ms after the one before: the median of the rounds' medians,
and the p99 of all rounds together. Idle is the processor time of a worker with nothing to do. In bold: the
best of its column."""

Say = Callable[[str], None]
Sample = Callable[[Entry, Path], Any]
Rounds = Mapping[str, Sequence[Any]]  # by queue: what each round gave


@dataclass(frozen=True)
class Comparison:
    """The section of the page, and the same figures for the plots."""

    text: str
    throughput: list[dict[str, Any]]
    latency: list[dict[str, Any]]


@dataclass(frozen=True)
class Work:
    """One thing that every queue does: how many jobs it takes (0: it can not), and one sample of it."""

    name: str
    count: Callable[[Counts], int]
    sample: Sample


def _rate(measure: harness.Measure, count: Callable[[Counts], int]) -> Sample:
    return lambda entry, place: measure(entry.subject, place, count(entry.counts))["rate"]


def _pings(entry: Entry, place: Path) -> harness.Pings:
    return harness.pings(entry.subject, place, entry.counts.pings, IDLE_SECONDS)


def _works() -> list[Work]:
    counts: list[tuple[harness.Measure, Callable[[Counts], int]]] = [
        (harness.enqueue, lambda counts: counts.enqueue),
        (harness.enqueue_many, lambda counts: counts.enqueue_many),
        (harness.run, lambda counts: counts.run),
    ]
    rates = [Work(measure.__name__, count, _rate(measure, count)) for measure, count in counts]
    return [*rates, Work("wake_up", lambda counts: counts.pings, _pings)]


def section(place: Path, say: Say) -> Comparison:
    """Install and measure every peer that can be measured here, and litequeue; say which can not, and why."""
    entries, skipped = _entries(place, say)
    results: dict[str, Rounds] = {}
    for work in _works():
        results[work.name], failed = _in_turn(work, entries, place, say)
        skipped += failed
    text = _text(entries, results, skipped)
    return Comparison(text, _throughput(entries, results), _latency(entries, results))


def _entries(place: Path, say: Say) -> tuple[list[Entry], list[str]]:
    entries, skipped = [ours("full", place), ours("normal", place)], []
    for peer in peers():
        try:
            entries.append(prepare(peer, place))
        except FAILURES as failure:
            skipped.append(f"- {peer.requirements}: {_reason(failure)}")
            say(f"not measured {skipped[-1]}")
    return entries, skipped


def _in_turn(work: Work, entries: Sequence[Entry], place: Path, say: Say) -> tuple[Rounds, list[str]]:
    """Take a sample of every queue in every round; leave out a queue from its first failure on."""
    begun = time.monotonic()
    seen: dict[str, list[Any]] = {entry.key: [] for entry in entries if work.count(entry.counts)}
    failed = []
    for turn in range(ROUNDS):
        for entry in entries[:: 1 if turn % 2 == 0 else -1]:
            if entry.key not in seen:
                continue
            try:
                with _deadline(SAMPLE_SECONDS):
                    seen[entry.key].append(work.sample(entry, place))
            except FAILURES as failure:
                del seen[entry.key]
                failed.append(f"- {entry.key}, {work.name}: {_reason(failure)}")
                say(f"not measured {failed[-1]}")
    say(f"{work.name} of {len(seen)} queues: {time.monotonic() - begun:.0f} s")
    return seen, failed


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise BenchmarkFailed in the block when it takes too long: a hanging queue must not stop the rest."""

    def over(_: int, __: FrameType | None) -> None:
        raise BenchmarkFailed(f"took longer than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _reason(failure: Exception) -> str:
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    shown = " ... ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))
    return shown or type(failure).__name__


def _text(entries: Sequence[Entry], results: Mapping[str, Rounds], skipped: Sequence[str]) -> str:
    parts = [TEXT.format(rounds=ROUNDS, gap=round(GAP_SECONDS * 1000))]
    for head, like in ((SYNCED, "full"), (UNSYNCED, "normal")):
        group = [entry for entry in entries if entry.like == like]
        parts += [head, table(HEADS, _lines(group, results))]
    parts.append("\n".join(f"- {entry.key}: {entry.note}" for entry in entries))
    return "\n\n".join([*parts, *(["Not measured here:", "\n".join(skipped)] if skipped else [])])


@dataclass(frozen=True)
class Cell:
    """One figure of a table as it is shown, and as it is ranked: the highest worth is the best."""

    shown: str
    worth: float = -math.inf


def _lines(group: Sequence[Entry], results: Mapping[str, Rounds]) -> list[list[str]]:
    rows = [_cells(entry, group[0], results) for entry in group]
    best = [max(cell.worth for cell in column) for column in zip(*rows, strict=True)]
    return [
        [entry.title, entry.durability, *map(_marked, row, best)]
        for entry, row in zip(group, rows, strict=True)
    ]


def _marked(cell: Cell, best: float) -> str:
    return f"**{cell.shown}**" if cell.worth == best > -math.inf else cell.shown


def _cells(entry: Entry, base: Entry, results: Mapping[str, Rounds]) -> list[Cell]:
    rates = [_rate_cell(results[name], entry, base) for name in ("enqueue", "enqueue_many", "run")]
    pings = results["wake_up"].get(entry.key)
    return [*rates, *(_wake_cells(pings) if pings else [Cell("-")] * 3)]


def _rate_cell(rounds: Rounds, entry: Entry, base: Entry) -> Cell:
    if entry.key not in rounds:
        return Cell("-")
    its = Figure(tuple(rounds[entry.key]))
    if entry.key == base.key or base.key not in rounds:
        return Cell(spread(its), its.median)
    return Cell(f"{spread(its)} [{number(ratio(Figure(tuple(rounds[base.key])), its))}x]", its.median)


def _wake_cells(pings: Sequence[harness.Pings]) -> list[Cell]:
    halves = Figure(tuple(statistics.median(each.waits) for each in pings))
    slow = percentile([wait for each in pings for wait in each.waits], 99)
    idle = statistics.median(each.idle for each in pings)
    worth = -math.inf if math.isnan(idle) else -idle
    return [Cell(spread(halves), -halves.median), Cell(number(slow), -slow), Cell(number(idle), worth)]


def _throughput(entries: Sequence[Entry], results: Mapping[str, Rounds]) -> list[dict[str, Any]]:
    names = ("enqueue", "enqueue_many", "run")
    return [
        _who(entry) | {name: _median(results[name].get(entry.key)) for name in names} for entry in entries
    ]


def _median(rates: Sequence[float] | None) -> float | None:
    return statistics.median(rates) if rates else None


def _latency(entries: Sequence[Entry], results: Mapping[str, Rounds]) -> list[dict[str, Any]]:
    pings = results["wake_up"]
    return [
        _who(entry) | {"waits_ms": [wait for each in pings[entry.key] for wait in each.waits]}
        for entry in entries
        if entry.key in pings
    ]


def _who(entry: Entry) -> dict[str, Any]:
    return {"queue": entry.title, "durability": entry.durability, "ours": entry.ours}
