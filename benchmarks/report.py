"""The page of results: what was measured, in which words, as Markdown."""

from collections.abc import Sequence
from datetime import date

from benchmarks.goals import Taken, named
from benchmarks.machine import Machine
from benchmarks.table import number, spread, table

HEAD = """# Results

Written by `{command}`; do not edit. Other machines give other figures: the ratios, taken
between rounds that ran side by side, travel better than the rates.

{facts}

`full` is litequeue's default: every enqueue and every settlement is synced to the disk before it is
reported. `normal` survives any crash of a process, and may lose the newest jobs when the power fails. Every
floor has the durability of what it stands beside. A figure is the median of {rounds} round{s}, with the
lowest and the highest behind it; a ratio is the median of the rounds' ratios. Every round has a fresh file
and fresh processes. A job carries about 100 bytes, and all it does is to append 16 bytes to a file; each
round checks that every job ran exactly once."""

TABLE = """## The goals

A floor is the least that could work in Python's raw `sqlite3`: one table, one partial index, and no retries,
leases, priorities or checks of any kind. A ratio is the measured figure divided by the one beside it."""

DETAILS = """## Every figure

Rates are jobs a second, waits are milliseconds."""


def head(machine: Machine, command: str, rounds: int, loads: tuple[str, str]) -> str:
    """Return the title, the facts about the machine, and how to read the figures."""
    facts = [
        f"- {date.today()}: {machine.cores} cores, {machine.system}, files on {machine.file_system}",
        f"- {machine.python}, SQLite {machine.sqlite}",
        f"- one write of 4 KiB synced to this disk: p50 {number(machine.sync_ms[0])} ms,"
        f" p99 {number(machine.sync_ms[1])} ms",
        f"- load average {loads[0]} before and {loads[1]} after (the measurement itself is part of it)",
    ]
    return HEAD.format(command=command, facts="\n".join(facts), rounds=rounds, s="" if rounds == 1 else "s")


def goals(taken: Sequence[Taken]) -> str:
    """Return the section of the table that says which goals are met."""
    return f"{TABLE}\n\n{table_of(taken)}"


def table_of(taken: Sequence[Taken]) -> str:
    """Return the table itself."""
    heads = ["work", "goal", "measured", "beside it", "ratio", "verdict"]
    return table(heads, [line.cells(one.rounds) for one in taken for line in one.row.lines])


def details(taken: Sequence[Taken]) -> str:
    """Return the section of all figures that were taken."""
    rows = [_detail(one, name) for one in taken for name in one.rounds[0].figures]
    return f"{DETAILS}\n\n{table(['work', 'figure', 'measured'], rows)}"


def _detail(one: Taken, name: str) -> list[str]:
    return [one.row.name, name, spread(named(name, one.rounds))]
