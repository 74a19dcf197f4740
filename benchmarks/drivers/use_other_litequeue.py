"""The other litequeue, the one on PyPI. It has no worker: the loop is ours, and sleeps 10 ms when empty."""

import json
import time
from importlib import import_module
from importlib.metadata import version
from typing import Any

from .shared import PADDING, directory, handled, setting, synchronous

_litequeue: Any = import_module("litequeue")
queue = _litequeue.LiteQueue(directory() / "other.db")
queue.conn.execute(f"PRAGMA synchronous = {setting('durability', 'normal')}")


def enqueue(index: int) -> None:
    """Put one message."""
    queue.put(json.dumps([index, PADDING]))


def enqueue_many(count: int) -> None:
    """Put all messages in one transaction."""
    with queue.transaction():
        for index in range(count):
            enqueue(index)


def work() -> None:
    """Pop, handle, mark as done, for ever."""
    while True:
        message = queue.pop()
        if message is None:
            time.sleep(0.01)
            continue
        handled(json.loads(message.data)[0])
        queue.done(message.message_id, claim_id=message.claim_id)


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    return f"litequeue {version('litequeue')} (PyPI)", synchronous(queue.conn)
