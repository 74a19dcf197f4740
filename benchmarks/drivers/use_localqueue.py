"""localqueue (Rust on SQLite), run by its own Worker."""

from importlib import import_module
from typing import Any

from .shared import PADDING, directory, handled, setting

_localqueue: Any = import_module("localqueue")
_durability = {"normal": "RELAXED", "full": "DURABLE"}[setting("durability", "normal")]
queue = _localqueue.SimpleQueue(str(directory()), durability=getattr(_localqueue.DurabilityMode, _durability))


def enqueue(index: int) -> None:
    """Put one job."""
    queue.put([index, PADDING])


def enqueue_many(count: int) -> None:
    """Put all jobs in one transaction."""
    queue.put_many([[index, PADDING] for index in range(count)])


def work() -> None:
    """Run the worker until it is told to stop."""
    _localqueue.Worker(queue, lambda job: handled(job.data[0])).run()


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    state = queue._get_native().diagnostics()
    level = ("OFF", "NORMAL", "FULL", "EXTRA")[state.synchronous]
    return f"localqueue {_localqueue.localqueue.__version__}", f"{state.journal_mode}/{level}"
