"""A power cut at every point of every recorded scene, torn in many ways: a million images at scale 1."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.crashes import programs, shim
from tests.crashes.cuts import cut_all
from tests.crashes.scenes import FAILING, LEFT, PLAYS

TORN = 78  # of each point, at scale 1


def run(scale: float) -> str:
    """Fewer ways to tear at a smaller scale, and then fewer points."""
    if shim.missing():
        return f"skipped: {shim.missing()}"
    torn = max(1, round(TORN * scale))
    every = max(1, round(torn / (TORN * scale)))
    with tempfile.TemporaryDirectory(prefix="litequeue-records-") as name:
        records = Path(name)
        programs.record(shim.build(records), records)
        counts, losses = cut_all(records, PLAYS + FAILING + LEFT, every, torn)
    if losses:
        raise AssertionError("\n".join(losses[:20]))
    return f"{counts.total()} images ({', '.join(f'{k} {n}' for k, n in counts.items())}), nothing lost"
