"""RQ on Redis, run by its SimpleWorker (no fork per job: its quickest)."""

from importlib import import_module
from importlib.metadata import version
from typing import Any

from .shared import PADDING, handled, redis_durability, redis_url

_redis: Any = import_module("redis")
_rq: Any = import_module("rq")
connection = _redis.Redis.from_url(redis_url())
queue = _rq.Queue(connection=connection)


def handle(index: int, padding: str) -> None:
    """Do nothing but leave a stamp."""
    handled(index)


def enqueue(index: int) -> None:
    """Enqueue one job."""
    queue.enqueue(handle, index, PADDING)


def enqueue_many(count: int) -> None:
    """Enqueue all jobs in one call."""
    prepared = [_rq.Queue.prepare_data(handle, args=(index, PADDING)) for index in range(count)]
    queue.enqueue_many(prepared)


def work() -> None:
    """Run the worker until it is told to stop."""
    _rq.SimpleWorker([queue], connection=connection).work(logging_level="ERROR")


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    return f"rq {version('rq')}", redis_durability(connection)
