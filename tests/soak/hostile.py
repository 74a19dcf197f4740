"""A million damaged files, each opened, listed, claimed from and settled by a child process."""

from __future__ import annotations

from tests.hostile.test_files import examine

# Each row that can be edited by hand is, for every command.
COUNTS = {
    "edit": 15_000,
    "forge": 60_000,
    "untype": 20_000,
    "litter": 35_000,
    "shuffle": 100_000,
    "cut": 150_000,
    "flip": 620_000,
}
STEP = 2_000


def run(scale: float) -> str:
    """Examine them; the first numbers are those that every run of the tests examines."""
    counts = {kind: round(count * scale) for kind, count in COUNTS.items()}
    for kind, count in counts.items():
        for first in range(0, count, STEP):
            found = examine(kind, first, min(STEP, count - first))
            if found:
                raise AssertionError("\n\n".join(found))
    told = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
    return f"{sum(counts.values()):,} files, nothing found: {told}"
