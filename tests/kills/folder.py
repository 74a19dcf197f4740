"""Where a storm takes place: kills need no disk, and in memory there are more of them in a second."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder that is never synced to a disk, where there is such a place; removed in the end."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="litequeue-", dir=place) as made:
        yield Path(made)
