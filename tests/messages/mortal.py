"""Consumers that put, get and are killed again and again.

Run as `python -m tests.messages.mortal FILE KILLS SEED`. Each life is a fork of this process, for that takes
milliseconds. What is put and done is noted outside of the file; what is wrong in the end is said.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from litequeue import Empty, Messages, Queue

MOST = 40  # so many wait at once
LONGEST_LIFE = 0.05


def main(path: str, kills: int, seed: int) -> None:
    """Let so many lives be killed, and the last one take what is left."""
    chance = random.Random(seed)
    for life in range(kills):
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            live(path, life, theirs)
        os.read(ours, 1)
        time.sleep(chance.uniform(0, LONGEST_LIFE))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for end in (ours, theirs):
            os.close(end)
    finish(path)
    sys.stdout.write(judge(path) + "\n")


def note(path: str, what: str) -> None:
    """One write, so it is there or not."""
    with open(f"{path}-{what.split(maxsplit=1)[0]}", "ab", buffering=0) as file:
        file.write(f"{what}\n".encode())


def live(path: str, life: int, told: int) -> NoReturn:
    """Put one, take one, and note each when it is certain, until the end comes; tell that it begins."""
    inbox = Queue(path, durability="normal").messages("inbox", MOST)
    take(path, inbox)
    os.write(told, b"!")
    for number in itertools.count():
        if not inbox.full():
            note(path, f"begun {life}.{number}")
            inbox.put(f"{life}.{number}")
            note(path, f"put {life}.{number}")
        if inbox.full() or number % 3:
            take(path, inbox)
    raise AssertionError("there is no end of numbers")


def take(path: str, inbox: Messages[str]) -> bool:
    """Take one and do it; whether there was one."""
    try:
        with inbox.claim(block=False) as message:
            note(path, f"done {message.item}")
    except Empty:
        return False
    return True


def finish(path: str) -> None:
    """Do what is left."""
    with Queue(path) as queue:
        inbox = queue.messages("inbox")
        while take(path, inbox):
            pass


def noted(path: str, what: str) -> set[str]:
    """The items of which this was noted."""
    file = Path(f"{path}-{what}")
    return {line.split()[1] for line in file.read_text().splitlines()} if file.exists() else set()


def judge(path: str) -> str:
    """Nothing that was put may be missing, nothing may be left, nothing may come from nowhere."""
    begun, put, done = (noted(path, what) for what in ("begun", "put", "done"))
    with Queue(path) as queue:
        left = queue.jobs(queue="messages:inbox", limit=1000)
        crashed = {job.args[0] for job in left if job.reason == "crashed"}
        lost, strange = put - done - crashed, done - begun
        if lost or strange or len(left) != len(crashed):
            return f"lost {sorted(lost)}, strange {sorted(strange)}, left {left}"
    return f"{len(put)} items were put and done, {len(crashed)} of them gave up"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
