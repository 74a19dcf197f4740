"""The page of results: what was measured, in which words, as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.machine import Machine
from benchmarks.measure import Figure, Figures, ratio
from benchmarks.plan import Row
from benchmarks.table import number, spread, table

OURS = "litequeue"

HEAD = """# Results

Written by `python -m benchmarks{options}`; do not edit. Other machines give other figures: the ratios, taken
between rounds that ran side by side, travel better than the rates.

{facts}

`full` is litequeue's default: every enqueue and every settlement is synced to the disk before it is
reported. `normal` survives any crash of a process, and may lose the newest jobs when the power fails. Every
floor has the durability of what it stands beside. A figure is the median of {rounds} round{s}, with the
lowest and the highest behind it; a ratio is the median of the rounds' ratios. Every round has a fresh file
and fresh processes. A job carries about 100 bytes, and all it does is to append 16 bytes to a file; each
round checks that every job ran exactly once."""

RATES = """## litequeue and its floors: jobs a second

A floor is the least that could work in Python's raw `sqlite3`: one table, one partial index, and no
retries, leases, priorities or checks of any kind. Ratios above 1 are the work of group commit and of
settling many jobs at once. Running counts from the first job to the last: a worker's start is not in it."""

WAKE = """## Waking up an idle worker: milliseconds

From just before `enqueue` in one process (so the commit is in it) to the first line of the job in another,
{pings} jobs a round, each sent to an idle worker. The last column is the processor time of a worker with
nothing to do, in percent of one core."""


@dataclass(frozen=True)
class Measured:
    """A row of the plan with what its subjects gave: litequeue's figures, and each floor's."""

    row: Row
    figures: Mapping[str, Figures]


def head(machine: Machine, options: str, rounds: int, loads: tuple[str, str]) -> str:
    """Return the title, the facts about the machine, and how to read the figures."""
    facts = [
        f"- {machine.cores} cores, {machine.system}, files on {machine.file_system}",
        f"- {machine.python}, SQLite {machine.sqlite}",
        f"- one write of 4 KiB synced to this disk: p50 {number(machine.sync_ms[0])} ms,"
        f" p99 {number(machine.sync_ms[1])} ms",
        f"- load average {loads[0]} before and {loads[1]} after (the measurement itself is part of it)",
    ]
    return HEAD.format(options=options, facts="\n".join(facts), rounds=rounds, s="" if rounds == 1 else "s")


def rates(measured: Sequence[Measured]) -> str:
    """Return the section of everything that is measured in jobs a second."""
    heads = ["measured", OURS, "its floor", f"{OURS} ÷ floor", "what the floor does"]
    rows = []
    for one in measured:
        mine = one.figures[OURS]["rate"]
        for floor in one.row.floors:
            its = one.figures[floor]["rate"]
            rows.append([one.row.title, spread(mine), spread(its), f"{ratio(mine, its):.2f}", floor])
    return f"{RATES}\n\n{table(heads, rows)}"


def wake_ups(measured: Sequence[Measured]) -> str:
    """Return the section of everything that is measured in milliseconds between two processes."""
    heads = ["measured", "p50", "p99", "p50 ÷ floor's", "idle worker, %"]
    rows = []
    for one in measured:
        lowest = next(iter(one.figures[floor]["p50"] for floor in one.row.floors))
        for name, figures in one.figures.items():
            title = f"{one.row.title}: {name}"
            rows.append(
                [title, *_waits(figures), f"{ratio(figures['p50'], lowest):.2f}", _idle(figures["idle"])]
            )
    return f"{WAKE.format(pings=measured[0].row.count)}\n\n{table(heads, rows)}"


def _waits(figures: Figures) -> list[str]:
    return [spread(figures["p50"]), spread(figures["p99"])]


def _idle(figure: Figure) -> str:
    return number(figure.median)
