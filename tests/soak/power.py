"""A power cut at every point of every recorded scene, torn in many ways: a million images at scale 1."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections import Counter
from pathlib import Path

from tests.crashes import programs, shim
from tests.crashes.disk import read_record
from tests.crashes.images import PowerCuts
from tests.crashes.scenes import FAILING, LEFT, PLAYS, Play

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
        tasks = [(records, play, every, torn) for play in PLAYS + FAILING + LEFT]
        with multiprocessing.get_context("spawn").Pool() as pool:
            judged = pool.starmap(cut, tasks, chunksize=1)
    counts = sum((counts for counts, _ in judged), Counter[str]())
    losses = [loss for _, lost in judged for loss in lost]
    if losses:
        raise AssertionError("\n".join(losses[:20]))
    return f"{counts.total()} images ({', '.join(f'{k} {n}' for k, n in counts.items())}), nothing lost"


def cut(records: Path, play: Play, every: int, torn: int) -> tuple[Counter[str], list[str]]:
    """Cut the power in one record."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="litequeue-images-", dir=place) as folder:
        cuts = PowerCuts(Path(folder), is_full=play.durability == "full")
        cuts.play(read_record(records / play.file), every, torn=torn)
    return cuts.counts, [f"{play}: {loss}" for loss in cuts.losses]
