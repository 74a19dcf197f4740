"""A million damaged files, each opened, listed, claimed from and settled by a child of its own."""

from __future__ import annotations

from tests.hostile.test_files import examine

FLIPS, CUTS = 800_000, 200_000
STEP = 10_000


def run(scale: float) -> str:
    """Examine them; the first numbers are those that every run of the tests examines."""
    shares = {"flip": round(FLIPS * scale), "cut": round(CUTS * scale)}
    for kind, count in shares.items():
        for first in range(0, count, STEP):
            found = examine(kind, first, min(STEP, count - first))
            if found:
                raise AssertionError("\n\n".join(found))
    return f"{shares['flip']:,} files with wrong bits, {shares['cut']:,} cut off: nothing found"
