"""Tasks that worker processes run. They say on standard output where they are, and wait to be told."""

from __future__ import annotations

import os
import signal
import sys
import threading

from litequeue import Queue, current_job

FILE = os.environ.get("LITEQUEUE_TEST_FILE", ":memory:")
LEASE = os.environ.get("LITEQUEUE_TEST_LEASE", "30")
queue = Queue(FILE, lease=float(LEASE))


def say(words: str) -> None:
    """One line to whoever started this process."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def attempt() -> int:
    """The number of this attempt."""
    job = current_job()
    assert job is not None
    return job.attempt


@queue.task
def nothing() -> None:
    """Do nothing."""


@queue.task
def double(number: int) -> int:
    """Something to compute."""
    return 2 * number


@queue.task
def wait_for_word() -> str:
    """Say that it began, and end when it is told to."""
    say(f"began {attempt()}")
    sys.stdin.readline()
    return f"attempt {attempt()}"


@queue.task
def hang() -> str:
    """Say that it began, and hang on the first attempt."""
    say(f"began {attempt()}")
    if attempt() == 1:
        threading.Event().wait()
    return f"attempt {attempt()}"


@queue.task
def hang_for_ever() -> None:
    """Say that it began, and never end."""
    say(f"began {attempt()}")
    threading.Event().wait()


@queue.task(ack="early")
def once() -> None:
    """Say that it began, and never end; not to be run twice."""
    say(f"began {attempt()}")
    threading.Event().wait()


@queue.task(timeout=0.05)
def deaf() -> None:
    """Do not react to the time limit."""
    while True:
        threading.Event().wait()


@queue.task
def kill_worker() -> None:
    """Take the process down without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


@queue.task
def exit_worker(code: int) -> None:
    """End the process as if all were well, or not."""
    os._exit(code)


@queue.task
def leave_a_child() -> None:
    """Take the process down, and leave a child that keeps its pipes open."""
    if os.fork() == 0:
        signal.alarm(10)
        threading.Event().wait()
    os.kill(os.getpid(), signal.SIGKILL)


@queue.task
def whose() -> int:
    """The process that runs it."""
    return os.getpid()


@queue.task
def write_and_wait() -> None:
    """Write through the job's transaction, and end when told to."""
    job = current_job()
    assert job is not None
    with job.transaction() as connection:
        connection.execute("INSERT INTO ledger VALUES (?)", (job.attempt,))
    say(f"wrote {job.attempt}")
    sys.stdin.readline()
