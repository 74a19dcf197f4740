"""Jobs of several steps whose process is killed again and again.

Run as `python -m tests.worker.mortal FILE KILLS SEED`. Each life is a fork of this process, for that
takes milliseconds, and works until it is killed; the last thing said is what was counted.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
from collections.abc import Callable
from sqlite3 import Connection

from litequeue import Queue, current_job

Way = Callable[[Queue], None]
STEPS = 30
_NEVER = 1_000_000


def begun(path: str, job: int, number: int, attempt: int) -> None:
    """Note outside of the file that a step runs: one write, so it is there or not."""
    with open(f"{path}-begun", "ab", buffering=0) as file:
        file.write(f"{job} {number} {attempt}\n".encode())


def write_row(connection: Connection, path: str, number: int) -> int:
    """The step: a row that must be there once."""
    job = current_job()
    assert job is not None
    begun(path, job.id, number, job.attempt)
    connection.execute("INSERT INTO effect VALUES (?, ?, ?)", (job.id, number, job.attempt))
    return number * number


def return_square(path: str, number: int) -> int:
    """A step that only returns something."""
    job = current_job()
    assert job is not None
    begun(path, job.id, number, job.attempt)
    return number * number


def work(path: str) -> int:
    """Every third step has no transaction, the others write a row each."""
    job = current_job()
    assert job is not None
    total = 0
    for number in range(STEPS):
        name = f"step {number}"
        if number % 3:
            total += job.step(name, write_row, path, number, transaction=True)
        else:
            total += job.step(name, return_square, path, number)
    return total


def main(path: str, kills: int, seed: int) -> None:
    """Kill so many lives, most of them inside the job, and say how many and how many jobs that took."""
    chance = random.Random(seed)
    with Queue(path) as queue, queue.transaction() as connection:
        connection.execute("CREATE TABLE effect (job, step, attempt)")
    span, killed, jobs = 0.005, 0, 0
    while killed < kills:
        moment, waits = chance.uniform(0, span), chance.random() < 0.9
        if jobs == 0 or not live(path, chance.choice(WAYS), moment, waits=waits):
            enqueue(path)
            jobs += 1
            span *= 0.7
        else:
            killed += 1
            span *= 1.1  # until about every third life ends by itself
    live(path, drain, _NEVER, waits=True)
    sys.stdout.write(json.dumps({"killed": killed, "jobs": jobs}) + "\n")


def enqueue(path: str) -> None:
    """One more job."""
    with Queue(path) as queue:
        queue.task(name="mortal")(work).using(max_crashes=_NEVER).enqueue(path)


def live(path: str, way: Way, seconds: float, *, waits: bool) -> bool:
    """Work in a child, and kill it so long after its job began; whether that was before its end.

    Without `waits` the time counts from its own beginning, when it has claimed nothing yet.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        with Queue(path) as queue:
            queue.task(name="mortal")(telling(theirs))
            way(queue)
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb", buffering=0) as heard:
        if waits:
            heard.read(1)
        select.select([heard], [], [], seconds)  # what can be heard now is its end
    os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"a life ended with exit code {code}")
    return code != 0


def telling(told: int) -> Callable[[str], int]:
    """The task, which tells that it begins."""

    def tell_and_work(path: str) -> int:
        os.write(told, b"!")
        return work(path)

    return tell_and_work


def drain(queue: Queue) -> None:
    """Run what there is in this thread."""
    queue.drain()


def burst(queue: Queue) -> None:
    """Run what there is in a worker."""
    queue.worker(threads=2, burst=True).run()


WAYS: tuple[Way, ...] = (drain, burst)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
