"""`python -m benchmarks`: measure everything that has a goal, print the table, and write RESULTS.md."""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import comparison, figures, guard, harness, machine, plan, plots, report
from benchmarks.goals import Row, Taken
from benchmarks.plan import Sizes
from benchmarks.processes import BenchmarkFailed
from benchmarks.rows import all_rows

FOLDER = Path(__file__).resolve().parent


def main() -> int:
    """Measure what the options ask for; return the exit code."""
    options = _options()
    if os.name != "posix":
        print("The benchmarks need POSIX process groups and FIFOs: nothing was measured here.")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started and made shall go with us
    with tempfile.TemporaryDirectory(dir=options.place, prefix="litequeue-benchmarks-") as place:
        _warn_of_memory(Path(place))
        try:
            return _smoke(options, Path(place)) if options.smoke else _measure(options, Path(place))
        except BenchmarkFailed as failure:
            print(f"The benchmark failed: {failure}", file=sys.stderr)
            return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--smoke", action="store_true", help="a minute's guard: fail where a goal is missed by far")
    add("--peers", action="store_true", help="install other queues and measure them, too")
    add("--scale", action="store_true", help="also claim and settle among 5 million jobs")
    add("--only", metavar="WORD", default="", help="only the rows whose name has it in it; write nothing")
    add("--rounds", metavar="N", type=int, help="rounds of each row (5)")
    add("--place", metavar="FOLDER", help="where the queues' files shall lie (a real disk)")
    return parser.parse_args()


def _warn_of_memory(place: Path) -> None:
    if machine.file_system(place) in machine.MEMORY_FILE_SYSTEMS:
        _say(f"{place.parent} is in memory, where syncing costs nothing: choose a disk with --place")


def _smoke(options: argparse.Namespace, place: Path) -> int:
    complaints = [
        complaint for row in _chosen(options, plan.SMOKE) for complaint in guard.complaints(row, place, _say)
    ]
    print("\n".join(complaints or ["Every figure is within the bounds of a noisy machine."]))
    return 1 if complaints else 0


def _measure(options: argparse.Namespace, place: Path) -> int:
    sizes = _sizes(options)
    loads = machine.load()
    taken = [_take(row, sizes.rounds, place) for row in _chosen(options, sizes)]
    if options.only:
        print(report.table_of(taken), report.details(taken), sep="\n\n")
        return 0
    peers = comparison.section(place, _say) if options.peers else None
    facts, command = machine.look(place), _command(options)
    head = report.head(facts, command, _in_force(place), (loads, machine.load()))
    beside = [peers.text] if peers else []
    page = "\n\n".join([head, report.goals(taken, sizes.rounds), *beside, report.details(taken)])
    _write(f"{page}\n", figures.collect(taken, sizes, peers, figures.facts_of(facts, command)))
    return 0


def _command(options: argparse.Namespace) -> str:
    chosen = "".join(f" --{name}" for name in ("peers", "scale") if getattr(options, name))
    return f"python -m benchmarks{chosen}"


def _in_force(place: Path) -> str:
    """Ask litequeue and the floor, at each durability, what is in force."""
    said = [
        f"{name} at {each}: {harness.describe(subject(each), place)[1]}"
        for name, subject in (("litequeue", plan.ours), ("floor", plan.floor))
        for each in plan.DURABILITIES
    ]
    return "; ".join(said)


def _write(page: str, data: figures.Data) -> None:
    print(page)
    (FOLDER / "RESULTS.md").write_text(page, encoding="utf-8")
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in data.items())
    (FOLDER / "results.json").write_text(f"{{{lines}}}\n", encoding="utf-8")
    for plot in plots.draw(data, FOLDER / "plots"):
        _say(f"drawn: {plot.name}")


def _sizes(options: argparse.Namespace) -> Sizes:
    sizes = plan.WHOLE
    if options.scale:
        sizes = replace(sizes, backlogs=(*sizes.backlogs, plan.SCALE))
    return replace(sizes, rounds=options.rounds or sizes.rounds)


def _chosen(options: argparse.Namespace, sizes: Sizes) -> Sequence[Row]:
    rows = [row for row in all_rows(sizes) if options.only in row.name]
    if not rows:
        names = "\n  ".join(row.name for row in all_rows(sizes))
        raise BenchmarkFailed(f"no row has {options.only!r} in its name; there are:\n  {names}")
    return rows


def _take(row: Row, rounds: int, place: Path) -> Taken:
    begun = time.monotonic()
    try:
        taken = row.take(place, rounds)
    except BenchmarkFailed as failure:  # one hiccup shall not cost all that was measured before
        _say(f"again: {row.name}: {failure}")
        taken = row.take(place, rounds)
    _say(f"{time.monotonic() - begun:4.0f} s  {row.name}")
    return Taken(row, tuple(taken))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
