"""litequeue itself, through its public API."""

import litequeue
from litequeue import Queue

from .shared import PADDING, directory, handled, setting, synchronous

queue = Queue(directory() / "jobs.db", durability=setting("durability", "full"))


@queue.task
def handle(index: int, padding: str) -> None:
    """Do nothing but leave a stamp."""
    handled(index)


def enqueue(index: int) -> None:
    """Enqueue one job."""
    handle.enqueue(index, PADDING)


def enqueue_many(count: int) -> None:
    """Enqueue all jobs in one transaction."""
    queue.enqueue_many(handle.call(index, PADDING) for index in range(count))


def work() -> None:
    """Run the worker until it is told to stop."""
    queue.worker(threads=setting("threads", 1), processes=setting("processes", 0)).run()


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    with queue.transaction() as connection:
        return f"litequeue {litequeue.__version__}", synchronous(connection)
