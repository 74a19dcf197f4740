"""The power cut in many records at once, one process to each processor."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.crashes.disk import read_record
from tests.crashes.images import PowerCuts
from tests.crashes.scenes import Play


def cut_all(
    records: Path, plays: Iterable[Play], every: int, torn: int = 1
) -> tuple[Counter[str], list[str]]:
    """Cut the power at every so-manyth point of these records; the counts of images, and what was lost."""
    tasks = [(records, play, every, torn) for play in plays]
    with multiprocessing.get_context("spawn").Pool() as pool:
        judged = pool.starmap(_cut, tasks, chunksize=1)
    counts = sum((counts for counts, _ in judged), Counter[str]())
    return counts, [loss for _, lost in judged for loss in lost]


def _cut(records: Path, play: Play, every: int, torn: int) -> tuple[Counter[str], list[str]]:
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="litequeue-images-", dir=place) as folder:
        cuts = PowerCuts(Path(folder), is_full=play.durability == "full")
        cuts.play(read_record(records / play.file), every, torn=torn)
    return cuts.counts, [f"{play}: {loss}" for loss in cuts.losses]
