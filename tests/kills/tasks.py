"""The tasks of a storm. How an attempt ends is drawn from its job, so every worker would do the same."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

from litequeue import Cancel, Queue, Reject, Retry, RetryLater, Snooze, current_job
from litequeue.context import RunningJob

queue = Queue(os.environ.get("LITEQUEUE_STORM", ":memory:"))
AGAIN = Retry(None, base=0.01, max_delay=0.05)
WORK, EFFECT, ONCE, GATHER = (f"{__name__}:{name}" for name in ("work", "effect", "once", "gather"))
TICK = "tick"  # the token of every job that a schedule makes
ADD_EFFECT = "INSERT INTO effect (job, attempt) VALUES (?, ?)"


class Wrong(Exception):
    """What a task raises when it is to fail."""


def child_of(token: str) -> str:
    """The token of the job that an effect enqueues in its transaction."""
    return f"{token}/child"


@queue.task(retry=AGAIN)
def work(token: str, padding: str = "") -> str | None:
    """End in one of the ways there are."""
    job = running()
    chance = random.Random(f"{token}/{job.id}/{job.attempt}")
    ways: list[Callable[[], str | None]] = [
        *[lambda: None] * 8,
        *[lambda: token] * 4,
        lambda: padding * 2,
        lambda: time.sleep(chance.uniform(0, 0.03)),
        lambda: stop(Wrong(token)),
        lambda: stop(RetryLater(chance.uniform(0, 0.05))),
        lambda: stop(Snooze(chance.uniform(0, 0.05))),
        lambda: stop(Reject(token)),
        lambda: stop(Cancel(token)),
    ]
    job.progress(0.5, token)
    return chance.choice(ways)()


@queue.task(retry=AGAIN)
def effect(token: str, padding: str = "") -> str:
    """Write a row, and enqueue a job, in the transaction that completes this one."""
    job = running()
    with job.transaction() as connection:
        connection.execute(ADD_EFFECT, (job.id, job.attempt))
        work.enqueue(child_of(token))
        if random.Random(f"{token}/{job.attempt}").random() < 0.1:
            raise Wrong(token)
    return padding


@queue.task(ack="early")
def once(token: str, padding: str = "") -> None:
    """Run at most once."""


@queue.task(retry=AGAIN)
def gather(received: object, token: str, padding: str = "") -> str | None:
    """Take what its parents returned, and end in any way."""
    return work(token, padding)


def running() -> RunningJob:
    """The running job, which is there in every task."""
    job = current_job()
    assert job is not None
    return job


def stop(reason: BaseException) -> None:
    """Raise it, from an expression."""
    raise reason
