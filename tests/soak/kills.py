"""A hundred thousand kills: storms of two thousand each, in memory and on the disk, each on a new file."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.kills.program import report_of

KILLS, PER_STORM = 100_000, 2_000
COUNTED = (
    *("kills", "fused", "stops", "acknowledged", "claims", "settled", "effects", "pruned"),
    *("graphs", "children", "cascades", "duplicates", "limited", "firings"),
)


def run(scale: float) -> str:
    """Storm after storm, until enough were killed. Raises with the seed and what was found."""
    seed = time.time_ns() % 1_000_000
    total: Counter[str] = Counter()
    while total["kills"] < KILLS * scale:
        kills = min(PER_STORM, round(KILLS * scale) - total["kills"])
        report = storm(seed + total["storms"], kills, on_disk=total["storms"] % 4 == 3)
        total["storms"] += 1
        print(f"storm {total['storms']}, seed {report['seed']}: {report['kills']:,} kills", flush=True)
        total.update({name: report[name] for name in COUNTED})
        total.update({f"zombies {name}": number for name, number in report["zombies"].items()})
        total.update({f"struck in {name}": number for name, number in report["struck"].items()})
    return f"first seed {seed}, " + ", ".join(f"{number:,} {name}" for name, number in total.items())


def storm(seed: int, kills: int, *, on_disk: bool) -> dict[str, Any]:
    """One storm in a process of its own; every commit is synced when it takes place on the disk."""
    with tempfile.TemporaryDirectory(prefix="litequeue-") as folder:
        place = ["--folder", Path(folder) / "storm", "--durability", "full"] if on_disk else []
        return report_of("tests.kills", "--kills", kills, *place, seed=seed)
