"""litequeue and other queues, measured in the same way and in turn."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import Measure
from benchmarks.measure import Figures, Metrics, interleave, ratio
from benchmarks.peers import GAP_SECONDS, PEERS, Entry, ours, prepare
from benchmarks.processes import BenchmarkFailed
from benchmarks.table import number, spread, table

ROUNDS = 3
MEASURES = (harness.enqueue, harness.enqueue_many, harness.run, harness.wake_up)
Say = Callable[[str], None]
Results = Mapping[Measure, Mapping[str, Figures]]  # by measure, then by queue

TEXT = """## litequeue and other queues

One producer and one worker of one thread, with the settings a queue comes with where nothing else is said;
{rounds} rounds, interleaved. Durability is what the live connection said. Wake-up is in milliseconds, each
job {gap} ms after the one before; all else is jobs a second, and the ratio in brackets is litequeue divided
by that queue, at the nearest durability: `full` beside FULL and a Redis that syncs its log, `normal` beside
the rest (where a Redis in memory is weaker: what it holds is gone when it ends)."""


def section(place: Path, say: Say) -> str:
    """Install, measure and describe every peer that can be measured here; say which can not, and why."""
    entries, skipped = [ours("full", place), ours("normal", place)], []
    for peer in PEERS:
        try:
            entries.append(prepare(peer, place))
        except BenchmarkFailed as failure:
            skipped.append(f"- {peer.requirement}: {failure}")
            say(f"not measured {skipped[-1]}")
    results: Results = {measure: _interleaved(measure, entries, place, say) for measure in MEASURES}
    text = TEXT.format(rounds=ROUNDS, gap=round(GAP_SECONDS * 1000))
    parts = [text, _figures(entries, results), _notes(entries)]
    return "\n\n".join([*parts, *(["Not measured here:", "\n".join(skipped)] if skipped else [])])


def _interleaved(measure: Measure, entries: Sequence[Entry], place: Path, say: Say) -> Mapping[str, Figures]:
    cases: dict[str, Callable[[], Metrics]] = {
        _key(entry): partial(measure, entry.subject, place, entry.counts[measure])
        for entry in entries
        if measure in entry.counts
    }
    figures = interleave(cases, ROUNDS)
    say(f"{measure.__name__} of {len(cases)} queues: done")
    return figures


def _key(entry: Entry) -> str:
    return f"{entry.title} {entry.durability}"


def _figures(entries: Sequence[Entry], results: Results) -> str:
    heads = ["queue", "durability", "enqueue", "enqueue many", "run", "wake-up p50", "p99", "idle, %"]
    base = {entry.like: _key(entry) for entry in entries[:2]}
    return table(heads, [_line(entry, base[entry.like], results) for entry in entries])


def _line(entry: Entry, base: str, results: Results) -> list[str]:
    rates = [_rate(results[measure], _key(entry), base) for measure in MEASURES[:3]]
    waits = results[harness.wake_up][_key(entry)]
    wake = [spread(waits["p50"]), spread(waits["p99"]), number(waits["idle"].median)]
    return [entry.title, entry.durability, *rates, *wake]


def _rate(figures: Mapping[str, Figures], key: str, base: str) -> str:
    if key not in figures:
        return "-"
    its = figures[key]["rate"]
    beside = "" if key == base else f" [{number(ratio(figures[base]['rate'], its))}x]"
    return spread(its) + beside


def _notes(entries: Sequence[Entry]) -> str:
    return "\n".join(f"- {entry.title} ({entry.durability}): {entry.note}" for entry in entries)
