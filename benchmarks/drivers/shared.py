"""What every driver shares: its directory, its settings, the payload, and the stamps its jobs leave."""

import functools
import json
import os
import struct
import time
from pathlib import Path
from typing import Any

STAMP = struct.Struct("=qq")  # the job's index, and the monotonic clock in nanoseconds when it ran
PADDING = "x" * 85  # with the index and the encoding, a payload of 100 bytes


def directory() -> Path:
    """Return the directory of this round: the queue's files and the stamps lie in it."""
    return Path(os.environ["BENCH_DIRECTORY"])


def redis_url() -> str:
    """Return the address of the Redis server that was started for this round."""
    return os.environ["BENCH_REDIS"]


def setting(name: str, default: Any) -> Any:
    """Return one of the settings of this round, or a default."""
    return json.loads(os.environ.get("BENCH_SETTINGS", "{}")).get(name, default)


@functools.cache
def _stamps() -> int:
    return os.open(directory() / "stamps", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def handled(index: int) -> None:
    """Do the job's whole work: note that it ran, and when. One short append is whole or not there at all."""
    os.write(_stamps(), STAMP.pack(index, time.monotonic_ns()))


@functools.cache
def begun() -> None:
    """Note when the first job of this process began, and cost the others nothing."""
    (directory() / "begun").write_text(str(time.monotonic_ns()))


def synchronous(connection: Any) -> str:
    """Return the durability in force on a SQLite connection, in SQLite's own words."""
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    level = connection.execute("PRAGMA synchronous").fetchone()[0]
    return f"{mode}/{('OFF', 'NORMAL', 'FULL', 'EXTRA')[level]}"


def redis_durability(server: Any) -> str:
    """Return what the live Redis server does with its log before it answers."""
    log = server.config_get("append*")
    return f"Redis, log synced: {log['appendfsync']}" if log["appendonly"] == "yes" else "Redis, memory only"
