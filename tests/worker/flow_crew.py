"""Graphs whose jobs end in any way, at random, for worker processes that are killed meanwhile."""

from __future__ import annotations

import os
import random
import sys

from litequeue import Cancel, Queue, Reject, Retry, RetryLater, Snooze, current_job

FILE = os.environ.get("LITEQUEUE_TEST_FILE", ":memory:")
queue = Queue(FILE, retention=None)


def say(words: str) -> None:
    """One line to whoever started this process."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


@queue.task(max_crashes=4, retry=Retry(3, intervals=[0]))
def work(*_: object) -> int:
    """End in any way."""
    job = current_job()
    assert job is not None
    say(f"work {job.id}")
    chance = random.random()
    if chance < 0.1:
        raise OSError("no luck")
    if chance < 0.15:
        raise Reject("no")
    if chance < 0.2:
        raise Cancel("enough")
    if chance < 0.3:
        raise RetryLater(0)
    if chance < 0.4:
        raise Snooze(0)
    return job.id


def note(results: list[object], number: int) -> None:
    """Write down that a group is over, with this job's completion or not at all."""
    job = current_job()
    assert job is not None
    say(f"over {number}")
    with job.transaction() as connection:
        connection.execute("INSERT INTO ledger VALUES (?, ?)", (number, len(results)))


# Whoever dies with its worker is not to blame here.
@queue.task(max_crashes=10_000, on_parent_failure="run")
def tally(results: list[object], number: int) -> None:
    """The callback of a group, whatever becomes of its members."""
    note(results, number)


@queue.task(max_crashes=10_000)
def thank(results: list[object], number: int) -> None:
    """The callback of a group of which all completed."""
    assert None not in results
    note(results, number)
