"""An hour of eight processes on one file with a kill every second: nothing grows, and nothing is lost."""

from __future__ import annotations

import time

from tests.kills.program import report_of

SECONDS = 3_600
SHOWN = ("seed", "kills", "stored", "memory", "descriptors", "file", "log")


def run(scale: float) -> str:
    """Run it once. Raises with what grew or was lost."""
    seconds = max(10, SECONDS * scale)
    report = report_of("tests.kills.endurance", "--seconds", seconds, seed=time.time_ns() % 1_000_000)
    return ", ".join(f"{name} {report[name]}" for name in SHOWN)
