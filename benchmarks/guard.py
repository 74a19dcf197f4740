"""The guard of a gate: it fails where a goal is missed by far, on a machine that may be noisy."""

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.goals import Line, Round, Row

TRIES = 3


def complaints(row: Row, place: Path, say: Callable[[str], None]) -> list[str]:
    """Measure a row until each guarded line was once within its loose bound; return what never was."""
    begun = time.monotonic()
    rounds: list[Round] = []
    bad: list[Line] = []
    for _ in range(TRIES):
        rounds += row.take(place, 1)
        bad = [line for line in row.lines if line.guarded and not _was_met(line, rounds)]
        if not bad:
            break
    again = f" ({len(rounds)} rounds)" if len(rounds) > 1 else ""
    say(f"{time.monotonic() - begun:4.1f} s  {row.name}{again}")
    return [line.complaint(rounds) for line in bad]


def _was_met(line: Line, rounds: list[Round]) -> bool:
    return any(line.is_met([each], line.loose) for each in rounds)
