"""Tasks whose worker lives under a clock that is set; the file and the lease come from the environment."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from litequeue import Queue, Retry
from tests.worker.crew import attempt, say

queue = Queue(os.environ["LITEQUEUE_TEST_FILE"], lease=float(os.environ["LITEQUEUE_TEST_LEASE"]))


@queue.task
def tell() -> float:
    """The wall clock of the worker."""
    return time.time()


@queue.task
def until(mark: str) -> int:
    """Say that it began, and end when the mark is there; the number of the attempt."""
    say(f"began {attempt()}")
    while not Path(mark).exists():
        threading.Event().wait(0.01)
    return attempt()


@queue.task(timeout=0.3)
def overrun() -> None:
    """Last longer than it may."""
    say(f"began {attempt()}")
    while True:
        threading.Event().wait(0.01)


@queue.task(timeout=300)
def within(mark: str) -> int:
    """Last no longer than it may."""
    return until.function(mark)  # type: ignore[no-any-return]


@queue.task(retry=Retry(2, base=3600, jitter=False))
def stumble() -> int:
    """Fail once; the next try is an hour later."""
    if attempt() == 1:
        raise ValueError("not yet")
    return attempt()


@queue.task(retry=Retry(5, base=0.01), max_crashes=100)
def work(number: int) -> int:
    """Fail now and then."""
    if attempt() == 1 and number % 7 == 0:
        raise ValueError("now")
    return number
