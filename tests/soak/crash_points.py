"""Every crash point and fault of every operation, and every pair of crashes in enqueue, claim, complete."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.crashes import programs, shim


def run(scale: float) -> str:
    """All points at scale 1, and of both points and pairs as large a part as the scale says below it."""
    if shim.missing():
        return f"skipped: {shim.missing()}"
    every = max(1, round(1 / scale))
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="litequeue-sweep-", dir=place) as name:
        folder = Path(name)
        options = ("--every", every, "--pairs", max(1, round(every**0.5)))
        counts, found = programs.sweep(shim.build(folder), folder, os.cpu_count() or 1, *options)
    if found:
        raise AssertionError(found)
    points = ", ".join(f"{mode} {count}" for mode, count in counts.items() if mode not in ("twice", "missed"))
    return f"{points}; twice {counts['twice']}; never reached {counts['missed']}; nothing lost or halved"
