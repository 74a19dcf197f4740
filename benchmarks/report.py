"""The page of results: what was measured, in which words, as Markdown."""

from collections.abc import Sequence
from datetime import date

from benchmarks.goals import Taken, named
from benchmarks.machine import Machine
from benchmarks.table import number, spread, table

HEAD = """# Results

Written by `{command}`; do not edit.
Other machines give other figures: the ratios, taken between measurements that ran side by side, travel better
than the rates.

{facts}

`full` is litequeue's default: every enqueue and every settlement is synced to the disk before it is
reported. `normal` survives any crash of a process, and may lose the newest jobs when the power fails. Every
floor has the durability of what it stands beside."""

TABLE = """## The goals

A figure is the median of {rounds} round{s}, with the lowest and the highest behind it; a ratio is the
measured figure divided by the one beside it, round by round. Where a goal has no ratio, the figure itself is
judged, and the floor's may stand beside it. Every round has a fresh file and fresh processes (only the large
files are filled once), and whoever is compared takes turns.

A floor is the least that could work in Python's raw `sqlite3`: one table, one partial index, and no retries,
leases, priorities or checks of any kind. A job carries 100 bytes, and all it does is to append 16 bytes to a
file; each round checks that every job ran exactly once. Running counts from the first claim to the last
settlement, without the start of the worker; the floor that runs jobs claims one in a commit and completes it
in another."""

DETAILS = """## What else was measured

Rates are jobs a second; waits (p50, p99, worst) are milliseconds; `share` is what the slowest process wrote,
divided by the mean of all."""


def head(machine: Machine, command: str, in_force: str, loads: tuple[str, str]) -> str:
    """Return the title, the facts about the machine, and how to read the figures."""
    facts = [
        f"- {date.today()}: {machine.cores} cores, {machine.system}, files on {machine.file_system}",
        f"- {machine.python}, SQLite {machine.sqlite}",
        f"- one write of 4 KiB synced to this disk: p50 {number(machine.sync_ms[0])} ms,"
        f" p99 {number(machine.sync_ms[1])} ms",
        f"- durability in force, as the live connections said: {in_force}",
        f"- load average {loads[0]} before and {loads[1]} after (the measurement itself is part of it)",
    ]
    return HEAD.format(command=command, facts="\n".join(facts))


def goals(taken: Sequence[Taken], rounds: int) -> str:
    """Return the section of the table that says which goals are met."""
    return f"{TABLE.format(rounds=rounds, s='' if rounds == 1 else 's')}\n\n{table_of(taken)}"


def table_of(taken: Sequence[Taken]) -> str:
    """Return the table itself."""
    heads = ["work", "goal", "measured", "beside it", "ratio", "verdict"]
    return table(heads, [line.cells(one.rounds) for one in taken for line in one.row.lines])


def details(taken: Sequence[Taken]) -> str:
    """Return the section of the figures that are not in the table, if there are any."""
    rows = [[one.row.name, who, "; ".join(said)] for one in taken for who, said in _unshown(one).items()]
    return f"{DETAILS}\n\n{table(['work', 'who', 'measured'], rows)}" if rows else ""


def _unshown(one: Taken) -> dict[str, list[str]]:
    """Return what the table does not show of a row, by whose figures they are."""
    shown = {name for line in one.row.lines for name in (line.measured, line.beside)}
    found: dict[str, list[str]] = {}
    for name in one.rounds[0].figures:
        if name not in shown:
            who, _, metric = name.rpartition(", ")
            found.setdefault(who, []).append(f"{metric} {spread(named(name, one.rounds))}")
    return found
