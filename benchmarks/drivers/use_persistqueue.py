"""persist-queue's acknowledged SQLite queue. No worker: the loop is ours, and naps 10 ms when empty."""

import time
from importlib import import_module
from importlib.metadata import version
from typing import Any

from .shared import PADDING, directory, handled, synchronous

_persistqueue: Any = import_module("persistqueue")
_path = directory() / "persistqueue"
_path.mkdir(exist_ok=True)  # two processes that begin at once would both make it, and one of them would fail
queue = _persistqueue.SQLiteAckQueue(str(_path), multithreading=True, auto_resume=False)


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
