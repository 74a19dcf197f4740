"""What the figures were measured on: enough to judge them by, nothing that names the machine."""

import os
import platform
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import percentile

SYNCS = 300
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")


@dataclass(frozen=True)
class Machine:
    """The facts that a reader needs beside any figure."""

    cores: int
    system: str
    file_system: str
    python: str
    sqlite: str
    sync_ms: tuple[float, float]  # p50 and p99 of writing 4 KiB and syncing it


def look(place: Path) -> Machine:
    """Look at this machine, and time its disk where the queues will lie."""
    return Machine(
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        file_system=file_system(place),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        sqlite=sqlite3.sqlite_version,
        sync_ms=_sync_ms(place),
    )


def _sync_ms(place: Path) -> tuple[float, float]:
    path = place / "syncs"
    sync = getattr(os, "fdatasync", os.fsync)
    waits = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for _ in range(SYNCS):
            os.write(descriptor, bytes(4096))
            begun = time.perf_counter()
            sync(descriptor)
            waits.append((time.perf_counter() - begun) * 1e3)
    finally:
        os.close(descriptor)
        path.unlink()
    return percentile(waits, 50), percentile(waits, 99)


def file_system(place: Path) -> str:
    """Return the kind of file system a folder lies on, "unknown" where the system does not say."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    at = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    inside = [(folder, kind) for folder, kind in at if place.resolve().is_relative_to(folder)]
    return max(inside, key=lambda found: len(found[0]), default=("", "unknown"))[1]


def load() -> str:
    """Return how many processes wanted to run during the last minute, on average."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
