"""litequeue itself, through its public API."""

import asyncio
import os
import time

import litequeue
from litequeue import Queue

from .shared import PADDING, begun, directory, handled, setting, synchronous

queue = Queue(
    directory() / "jobs.db",
    durability=setting("durability", "full"),
    retention=setting("retention", 7 * 24 * 3600),
)


@queue.task
def handle(index: int, padding: str) -> None:
    """Do nothing but leave a stamp."""
    handled(index)


@queue.task
def spin(index: int, padding: str) -> None:
    """Keep a core busy with plain Python, for as long as the benchmark found that so many steps take."""
    for _ in range(setting("steps", 1)):
        pass
    handled(index)


@queue.task
async def nap(index: int, padding: str) -> None:
    """Wait as a coroutine does."""
    begun()
    await asyncio.sleep(0.1)
    handled(index)


@queue.task(max_crashes=1000)
def hold(index: int, padding: str) -> None:
    """Say which process runs this, and run until it is killed."""
    handled(os.getpid())
    time.sleep(600)


TASKS = {"handle": handle, "spin": spin, "nap": nap, "hold": hold}
task = TASKS[setting("task", "handle")]


def enqueue(index: int) -> None:
    """Enqueue one job."""
    task.enqueue(index, PADDING)


def enqueue_many(count: int) -> None:
    """Enqueue all jobs in one transaction."""
    queue.enqueue_many(task.call(index, PADDING) for index in range(count))


def close() -> None:
    """Let go of the file, and of its log."""
    queue.close()


def work() -> None:
    """Run the worker until it is told to stop."""
    options = {
        name: setting(name, usual) for name, usual in (("threads", 1), ("processes", 0), ("async_slots", 100))
    }
    queue.worker(**options).run()


def settled() -> tuple[int, float]:
    """Return how many jobs are completed, and the seconds from the first claim to the last settlement."""
    with queue.transaction() as connection:
        count, first, last = connection.execute(
            "SELECT count(*), min(started_at), max(finished_at) FROM litequeue_job WHERE state = 'completed'"
        ).fetchone()
    return count, (last - first) / 1e6


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    with queue.transaction() as connection:
        return f"litequeue {litequeue.__version__}", synchronous(connection)
