"""SAQ on Redis, with one job at a time; it is asyncio through and through, so one loop runs each call."""

import asyncio
from importlib import import_module
from importlib.metadata import version
from typing import Any

from .shared import PADDING, handled, redis_durability, redis_url, setting

_saq: Any = import_module("saq")
_redis: Any = import_module("redis")
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
queue = _saq.Queue.from_url(redis_url())


async def handle(context: object, *, index: int, padding: str) -> None:
    """Do nothing but leave a stamp."""
    handled(index)


def enqueue(index: int) -> None:
    """Enqueue one job."""
    loop.run_until_complete(queue.enqueue("handle", index=index, padding=PADDING))


def work() -> None:
    """Run the worker until it is told to stop."""
    worker = _saq.Worker(queue, functions=[handle], concurrency=setting("threads", 1))
    loop.run_until_complete(worker.start())


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    return f"saq {version('saq')}", redis_durability(_redis.Redis.from_url(redis_url()))
