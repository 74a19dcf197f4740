"""Celery on Redis, with one process of its default pool, and late acknowledgement as litequeue has it."""

from importlib import import_module
from importlib.metadata import version
from typing import Any

from .shared import PADDING, handled, redis_durability, redis_url

_celery: Any = import_module("celery")
_redis: Any = import_module("redis")
app = _celery.Celery("drivers.use_celery", broker=redis_url())
app.conf.update(task_ignore_result=True, task_acks_late=True, worker_concurrency=1)


@app.task  # type: ignore[untyped-decorator]
def handle(index: int, padding: str) -> None:
    """Do nothing but leave a stamp."""
    handled(index)


def enqueue(index: int) -> None:
    """Enqueue one job."""
    handle.delay(index, PADDING)


def work() -> None:
    """Run the worker until it is told to stop."""
    app.worker_main(["worker", "--loglevel=ERROR"])


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    return f"celery {version('celery')}", redis_durability(_redis.Redis.from_url(redis_url()))
