"""What other processes run for the tests: they import it by its name."""

from __future__ import annotations

from litequeue import Queue


def enqueue(queue: Queue, number: int) -> int:
    """Enqueue through a queue that was sent here; the id of the job."""
    return queue.enqueue("tests.worker.crew:double", number).id
