"""The programs that run under the shim, as tests and the soak start them."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

from tests.crashes import shim

LONGEST = 4 * 3600.0  # seconds, for the longest soak; the gate ends its tests by itself


def sweep(library: Path, folder: Path, parts: int, *options: object) -> tuple[Counter[str], str]:
    """Sweep over all operations in so many processes at once; the counts of points, and what was found."""
    running = []
    for part in range(parts):
        place = folder / str(part)
        place.mkdir()
        arguments = ("-m", "tests.crashes.sweep", place, "--part", f"{part}/{parts}", *options)
        running.append(shim.start(library, *arguments))
    counts: Counter[str] = Counter()
    found = []
    for each in running:
        said, _ = each.communicate(timeout=LONGEST)
        if each.returncode:
            found.append(said)
        else:
            counts.update(json.loads(said.splitlines()[-1]))
    return counts, "\n".join(found)


def record(library: Path, records: Path) -> None:
    """Play every scene, and leave their records in this folder."""
    with tempfile.TemporaryDirectory(prefix="litequeue-scenes-") as folder:
        player = shim.start(library, "-m", "tests.crashes.scenes", folder, records)
        said, _ = player.communicate(timeout=LONGEST)
    if player.returncode:
        raise AssertionError(said)
