"""Dramatiq on Redis, with a worker of one thread."""

import time
from importlib import import_module
from importlib.metadata import version
from typing import Any

from .shared import PADDING, handled, redis_durability, redis_url, setting

_dramatiq: Any = import_module("dramatiq")
_brokers: Any = import_module("dramatiq.brokers.redis")
broker = _brokers.RedisBroker(url=redis_url())
_dramatiq.set_broker(broker)


@_dramatiq.actor  # type: ignore[untyped-decorator]
def handle(index: int, padding: str) -> None:
    """Do nothing but leave a stamp."""
    handled(index)


def enqueue(index: int) -> None:
    """Enqueue one job."""
    handle.send(index, PADDING)


def work() -> None:
    """Run the worker until it is told to stop."""
    _dramatiq.Worker(broker, worker_threads=setting("threads", 1)).start()
    while True:
        time.sleep(3600)


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    return f"dramatiq {version('dramatiq')}", redis_durability(broker.client)
