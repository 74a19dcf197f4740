"""A disk that is full for a while: a worker begins nothing, keeps what has ended, and goes on by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from litequeue import Queue
from litequeue.storage.checks import broken
from tests.storage.files import FileCase, remount, small_disk
from tests.support import Program

# A worker that is told what to do by lines, and tells all that happens by lines.
WORKER = """
import logging, resource, sys, threading, time
from litequeue import Queue
from litequeue.errors import DatabaseError
from litequeue.storage.store import Store
from litequeue.worker import loop

queue, go_on = Queue(sys.argv[1], durability="normal"), threading.Event()
loop._RETRY_PAUSE = 0.1

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

@queue.task(name="app:big")
def big():
    say("began big")
    go_on.wait()
    return "x" * 300_000

@queue.task(name="app:small")
def small(number):
    say("began", number)
    return number

class Lines(logging.Handler):
    def emit(self, record):
        if record.levelno >= logging.WARNING:
            say(record.levelname, record.getMessage())

def take_turn(store, worker, turn, original=Store.take_turn):
    try:
        return original(store, worker, turn)
    except DatabaseError as error:
        say("failed", type(error).__name__, time.monotonic(), time.process_time())
        raise

def listen():
    for line in map(str.strip, sys.stdin):
        if line == "go on":
            go_on.set()
        elif line == "stop":
            worker.stop()
        else:
            most = 1 if line == "limited" else resource.RLIM_INFINITY
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
            say(line)

Store.take_turn = take_turn
logging.getLogger("litequeue").addHandler(Lines())
worker = queue.worker(threads=1, grace=5).start()
threading.Thread(target=listen, daemon=True).start()
worker.join()
say("end")
"""


class TestPassingTrouble(FileCase):
    def test_a_full_disk(self) -> None:
        disk = small_disk(self, self.folder / "disk", "2m")
        self.path = disk / "jobs.db"
        self.go_through("DiskFull", lambda: fill(disk / "ballast"), (disk / "ballast").unlink)

    def test_a_disk_that_grows(self) -> None:
        disk = small_disk(self, self.folder / "disk", "400k")
        self.path = disk / "jobs.db"
        self.go_through("DiskFull", lambda: None, lambda: remount(disk, "size=8m"))

    def test_a_limit_on_the_size_of_files(self) -> None:
        self.go_through("DatabaseError", lambda: self.tell("limited"), lambda: self.tell("unlimited"))

    def go_through(self, error: str, begin: Callable[[], object], end: Callable[[], object]) -> None:
        """One job ends in the midst of the trouble, with five behind it; then it is over."""
        queue = Queue(self.path, durability="normal")
        self.addCleanup(queue.close)
        big, *small = [queue.enqueue("app:big"), *(queue.enqueue("app:small", number) for number in range(5))]
        self.worker = Program(self, WORKER, self.path)
        self.assertEqual(self.hear_until("began"), ["began big"])
        begin()
        self.worker.tell("go on")
        during = self.hear_until(f"failed {error} ", times=8)
        end()
        after = self.hear_until("began 4")
        self.worker.tell("stop")
        after += self.hear_until("end")
        self.assert_told(during, after)
        self.assert_at_rest([line for line in during if line.startswith("failed")])
        self.assertEqual([job.result(0) for job in (big, *small)], ["x" * 300_000, *range(5)])
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(broken(connection), [])

    def assert_told(self, during: list[str], after: list[str]) -> None:
        """It was said once that it began and once that it was over, and meanwhile nothing began."""
        starts = [line for line in during + after if line.startswith("began")]
        self.assertEqual(starts, [f"began {number}" for number in range(5)])
        told = [line for line in during + after if line.startswith(("ERROR", "WARNING"))]
        self.assertEqual(len(told), 2, told)
        self.assertRegex(
            told[0], f"^ERROR hold worker=1: no job begins, and what .* kept.*{self.path}: the disk "
        )
        self.assertRegex(told[1], "^WARNING resume worker=1")
        self.assertIn(told[0], during)
        self.assertIn(told[1], after)

    def assert_at_rest(self, failed: list[str]) -> None:
        """Between two tries it slept."""
        (first, first_spent), *_, (last, last_spent) = [map(float, line.split()[2:]) for line in failed]
        self.assertLess(last_spent - first_spent, 0.5 * (last - first))

    def tell(self, line: str) -> None:
        """Have the worker do something that it confirms."""
        self.worker.tell(line)
        self.hear_until(line)

    def hear_until(self, start: str, times: int = 1) -> list[str]:
        """What the worker says, up to the so-many-th line that begins so."""
        heard: list[str] = []
        while sum(line.startswith(start) for line in heard) < times:
            heard.append(self.worker.hear())
        return heard


def fill(file: Path) -> None:
    """Take all room there is on its disk, and give none back."""
    with file.open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4096))
