"""`python -m benchmarks [--smoke] [--peers] [--place FOLDER]`: measure, print, and write RESULTS.md."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks import claims, comparison, machine, plan, report
from benchmarks.measure import Metrics, interleave
from benchmarks.plan import Row, Sizes
from benchmarks.processes import BenchmarkFailed
from benchmarks.report import OURS, Measured

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def main() -> int:
    """Measure what the options ask for; return the exit code."""
    options = _options()
    if os.name != "posix":
        print("The benchmarks need POSIX process groups and FIFOs: nothing was measured here.")
        return 0
    with tempfile.TemporaryDirectory(dir=options.place, prefix="litequeue-benchmarks-") as place:
        _warn_of_memory(Path(place))
        try:
            page = _measure(options, Path(place))
        except BenchmarkFailed as failure:
            print(f"The benchmark failed: {failure}", file=sys.stderr)
            return 1
    print(page)
    if not options.smoke:
        RESULTS.write_text(page, encoding="utf-8")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--smoke", action="store_true", help="only show that everything still runs; write nothing"
    )
    parser.add_argument("--peers", action="store_true", help="install other queues and measure them, too")
    parser.add_argument("--place", metavar="FOLDER", help="where the queues' files shall lie (a real disk)")
    return parser.parse_args()


def _warn_of_memory(place: Path) -> None:
    if machine.file_system(place) in machine.MEMORY_FILE_SYSTEMS:
        _say(f"{place.parent} is in memory, where syncing costs nothing: choose a disk with --place")


def _measure(options: argparse.Namespace, place: Path) -> str:
    sizes = plan.SMOKE if options.smoke else plan.WHOLE
    loads = machine.load()
    facts = machine.look(place)
    sections = [
        report.rates(_rows(plan.rate_rows(sizes), sizes, place)),
        report.wake_ups(_rows(plan.wake_rows(sizes), sizes, place)),
        claims.section(sizes, place, _say),
    ]
    if options.peers:
        sections.append(comparison.section(place, _say))
    chosen = "".join(f" --{name}" for name in ("smoke", "peers") if getattr(options, name))
    head = report.head(facts, chosen, sizes.rounds, (loads, machine.load()))
    return "\n\n".join([head, *sections]) + "\n"


def _rows(rows: Sequence[Row], sizes: Sizes, place: Path) -> list[Measured]:
    return [_row(row, sizes.rounds, place) for row in rows]


def _row(row: Row, rounds: int, place: Path) -> Measured:
    begun = time.monotonic()
    cases: dict[str, Callable[[], Metrics]] = {
        name: partial(row.measure, subject, place, row.count)
        for name, subject in {OURS: row.ours, **row.floors}.items()
    }
    figures = interleave(cases, rounds)
    _say(f"{row.title}: {time.monotonic() - begun:.0f} s")
    return Measured(row, figures)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
