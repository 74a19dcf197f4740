"""`python -m drivers NAME VERB [NUMBER]`: do one thing with one queue; the answer is a line of JSON."""

import json
import os
import sys
import threading
import time
from importlib import import_module
from itertools import pairwise
from typing import Any

from .shared import STAMP, directory, setting

WARM_UP = 20
CHUNK = 1_000
AHEAD = 20_000
START_SECONDS = 120.0


def describe(driver: Any, _: int) -> object:
    """Say which version runs, and the durability read from the live connection."""
    version, durability = driver.describe()
    return {"version": version, "durability": durability}


def enqueue(driver: Any, count: int) -> object:
    """Time `count` jobs enqueued one by one, by as many threads as `producers` says; and the longest call."""
    for index in range(WARM_UP):
        driver.enqueue(index)
    producers = setting("producers", 1)
    share = count // producers
    gate = threading.Barrier(producers + 1)
    marks: list[list[float]] = [[] for _ in range(producers)]
    threads = [threading.Thread(target=_produce, args=(driver, share, gate, own)) for own in marks]
    for thread in threads:
        thread.start()
    gate.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = (time.perf_counter() - begun) * count / (share * producers)
    return {"seconds": seconds, "worst": max(max(waits_of(own)) for own in marks) * 1e3}


def _produce(driver: Any, count: int, gate: threading.Barrier, marks: list[float]) -> None:
    gate.wait()
    clock = time.perf_counter  # one look at the clock per call: where one ends the next begins
    marks.append(clock())
    for index in range(count):
        driver.enqueue(index)
        marks.append(clock())


def waits_of(marks: list[float]) -> list[float]:
    """Return how long each call took, from the instants between the calls."""
    return [after - before for before, after in pairwise(marks)]


def enqueue_many(driver: Any, count: int) -> object:
    """Time `count` jobs enqueued by the queue's own call for many."""
    driver.enqueue(0)
    begun = time.perf_counter()
    driver.enqueue_many(count)
    return {"seconds": time.perf_counter() - begun}


def fill(driver: Any, count: int) -> object:
    """Enqueue the jobs 0 to `count` - 1 in the quickest way the queue has."""
    if hasattr(driver, "enqueue_many"):
        driver.enqueue_many(count)
    else:
        for index in range(count):
            driver.enqueue(index)
    if hasattr(driver, "close"):
        driver.close()
    return {}


def work(driver: Any, _: int) -> object:
    """Run jobs until killed."""
    return driver.work()


def settled(driver: Any, _: int) -> object:
    """Answer how many jobs are settled, and in how many seconds, if the queue's own file tells that."""
    return driver.settled() if hasattr(driver, "settled") else None


def ping(driver: Any, count: int) -> object:
    """Enqueue one job at a time to an idle worker; answer with the instants just before each enqueue."""
    sent = []
    for index in range(count):
        time.sleep(setting("gap", 0.02))
        sent.append(time.monotonic_ns())
        driver.enqueue(index)
        time.sleep(0.005)  # first look when a quick worker has surely run it: looking costs it processor time
        _await_stamps(index + 1)
    return {"sent": sent}


def _await_stamps(count: int) -> None:
    stamps = directory() / "stamps"
    while count > 0 and (not stamps.exists() or stamps.stat().st_size < count * STAMP.size):
        time.sleep(0.005)


def produce(driver: Any, count: int) -> object:
    """Enqueue jobs one by one while a worker runs beside us; answer with the instant before the first."""
    begun = time.monotonic_ns()
    for index in range(count):
        driver.enqueue(index)
    return {"begun": begun}


def stream(driver: Any, count: int) -> object:
    """Enqueue jobs by the thousand, and stay no more than so many ahead of the worker that runs beside us."""
    for sent in range(0, count, CHUNK):
        _await_stamps(sent + CHUNK - AHEAD)
        driver.enqueue_many(CHUNK)
    return {}


def write(driver: Any, milliseconds: int) -> object:
    """Enqueue one by one for so long, beginning together with others; answer with each wait in ms."""
    driver.enqueue(0)
    (directory() / f"ready-{os.getpid()}").touch()
    patience = time.monotonic() + START_SECONDS
    while not (directory() / "go").exists() and time.monotonic() < patience:
        time.sleep(0.002)
    clock, errors = time.perf_counter, 0
    marks = [clock()]
    end = marks[0] + milliseconds / 1e3
    while marks[-1] < end:
        try:
            driver.enqueue(len(marks))
        except Exception:
            errors += 1
        marks.append(clock())
    return {"waits": [wait * 1e3 for wait in waits_of(marks)], "errors": errors}


_ALL = (describe, enqueue, enqueue_many, fill, work, settled, ping, produce, stream, write)
VERBS = {verb.__name__: verb for verb in _ALL}


def main() -> None:
    """Import the named driver, do what the verb says, print the answer."""
    name, verb, *number = sys.argv[1:]
    driver = import_module(f"{__package__}.{name}")
    answer = VERBS[verb](driver, int(number[0]) if number else 0)
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
