"""persist-queue's acknowledged SQLite queue. No worker: the loop is ours, and naps 10 ms when empty."""

import fcntl
import time
from importlib import import_module
from importlib.metadata import version
from typing import Any

from .shared import PADDING, directory, handled, synchronous

_persistqueue: Any = import_module("persistqueue")


def _open() -> Any:
    """Open the queue, one process after the other: two that make it at once step on each other."""
    with open(directory() / "opening", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = str(directory() / "persistqueue")
        return _persistqueue.SQLiteAckQueue(folder, multithreading=True, auto_resume=False)


queue = _open()


def enqueue(index: int) -> None:
    """Put one item."""
    queue.put([index, PADDING])


def work() -> None:
    """Get, handle, acknowledge, for ever."""
    while True:
        try:
            item = queue.get(block=False)
        except _persistqueue.Empty:
            time.sleep(0.01)
            continue
        handled(item[0])
        queue.ack(item)


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    return f"persist-queue {version('persist-queue')}", synchronous(queue._putter)
