"""Messages between processes: a holder that is killed, one that ends, one that forks, and many that share."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
import unittest
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from litequeue import Empty, State
from tests.messages.case import LaneCase, Later
from tests.support import PATIENCE_SECONDS, Program, together
from tests.users.case import run_python

# What a killed holder had is here again within about a second; the rest is for a machine that is busy.
SOON_SECONDS = 5

HOLD = """
import sys
from litequeue import Queue

inbox = Queue(sys.argv[1]).messages("inbox")
print(inbox.get(), flush=True)
sys.stdin.readline()
"""
HANG = """
import sys
from litequeue import LeaseLost, Queue

inbox = Queue(sys.argv[1], lease=1).messages("inbox")
print(inbox.get(), flush=True)
sys.stdin.readline()
try:
    inbox.task_done()
except LeaseLost:
    print("it went to another", flush=True)
print(inbox.get(), flush=True)
inbox.task_done()
"""
PRODUCE = """
import sys
from litequeue import Queue

path, first, last, maxsize = sys.argv[1], *map(int, sys.argv[2:])
inbox = Queue(path, durability="normal").messages("inbox", maxsize)
for number in range(first, last):
    inbox.put(number)
print("done", flush=True)
"""
CONSUME = """
import json, sys, threading
from litequeue import Queue

path, threads = sys.argv[1], int(sys.argv[2])
queue = Queue(path, durability="normal")
got = []

def consume(inbox):
    for number in inbox:
        if number is None:
            inbox.task_done()
            return
        got.append(number)
        inbox.task_done()

consumers = [threading.Thread(target=consume, args=(queue.messages("inbox"),)) for _ in range(threads)]
for consumer in consumers:
    consumer.start()
for consumer in consumers:
    consumer.join()
print(json.dumps(got), flush=True)
"""
DAEMONS = """
import sys, threading
from litequeue import Queue

inbox = Queue(sys.argv[1]).messages("inbox")

def work():
    while True:
        inbox.get()
        inbox.task_done()

for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
for number in range(50):
    inbox.put(number)
inbox.join()
"""
FORK = """
import os, sys
from litequeue import Queue

queue = Queue(sys.argv[1])
inbox = queue.messages("inbox")
print(inbox.get(), flush=True)
child = os.fork()
if child == 0:
    try:
        inbox.task_done()
    except ValueError:
        print("nothing is the child's", flush=True)
    print(inbox.get(), flush=True)
    inbox.task_done()
    queue.close()
    os._exit(0)
print("child", os.waitpid(child, 0)[1], flush=True)
print("unfinished", inbox.unfinished_tasks, flush=True)
inbox.task_done()
print("unfinished", inbox.unfinished_tasks, flush=True)
"""


class Ends(LaneCase):
    def setUp(self) -> None:
        super().setUp()
        self.inbox = self.queue.messages("inbox")

    def holder(self) -> Program:
        """A process that holds the one message."""
        program = Program(self, HOLD, self.path)
        self.assertEqual(program.hear(), "a")
        return program

    def test_who_waits_gets_what_a_killed_process_held(self) -> None:
        self.inbox.put("a")
        holder = self.holder()
        waiting = Later(self.inbox.get)
        holder.kill()
        killed = time.monotonic()
        self.assertEqual(waiting.came(), "a")
        self.assertLess(time.monotonic() - killed, SOON_SECONDS)
        self.assertEqual(self.queue.job(1).snapshot.crashes, 1)

    def test_one_that_kills_three_holders_has_failed(self) -> None:
        id = self.inbox.put("a")
        for _ in range(3):
            self.holder().kill()
            self.queue.desk.workers.reap()
        job = self.queue.job(id)
        self.assertEqual((job.state, job.reason), (State.FAILED, "crashed"))
        with self.assertRaises(Empty):
            self.inbox.get_nowait()

    def test_one_that_hangs_past_its_lease_is_told_and_goes_on(self) -> None:
        self.inbox.put("a")
        program = Program(self, HANG, self.path)
        self.assertEqual(program.hear(), "a")
        self.freeze(program)
        self.assertEqual(self.inbox.get(timeout=PATIENCE_SECONDS), "a")
        self.inbox.task_done()
        program.kill(signal.SIGCONT)
        program.tell()
        self.assertEqual(program.hear(), "it went to another")
        self.inbox.put("b")
        self.assertEqual(program.hear(), "b")
        self.assertEqual(program.wait(), 0)
        self.assertEqual(self.inbox.unfinished_tasks, 0)

    def freeze(self, program: Program) -> None:
        """Stop it, but not in the middle of a write, which would stop everybody."""
        with closing(sqlite3.connect(self.path, timeout=0, isolation_level=None)) as connection:
            while True:
                program.kill(signal.SIGSTOP)
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError:
                    program.kill(signal.SIGCONT)

    def test_the_end_of_the_program_gives_back_at_once_and_at_no_cost(self) -> None:
        self.inbox.put("a")
        holder = self.holder()
        holder.tell()
        self.assertEqual(holder.wait(), 0)
        self.assertEqual(self.inbox.get_nowait(), "a")
        self.assertEqual(self.queue.job(1).snapshot.crashes, 0)
        self.assertEqual(len(self.queue.workers()), 1)

    def test_daemon_threads_that_wait_go_without_a_word(self) -> None:
        said = run_python("-W", "error", "-c", DAEMONS, self.path, cwd=self.path.parent)
        self.assertEqual(said, "")
        self.assertEqual((self.inbox.unfinished_tasks, self.queue.workers()), (0, []))

    @unittest.skipUnless(hasattr(os, "fork"), "there is no fork here")
    def test_a_forked_child_has_nothing_of_its_parent(self) -> None:
        for item in "ab":
            self.inbox.put(item)
        program = Program(self, FORK, self.path)
        said = [program.hear() for _ in range(6)]
        self.assertEqual(
            said, ["a", "nothing is the child's", "b", "child 0", "unfinished 1", "unfinished 0"]
        )
        self.assertEqual(program.wait(), 0)


class Killed(LaneCase):
    @unittest.skipUnless(hasattr(os, "fork"), "there is no fork here")
    def test_nothing_is_lost_whenever_consumers_are_killed(self) -> None:
        said = run_python("-m", "tests.messages.mortal", self.path, 15, 1, cwd=self.path.parent)
        self.assertRegex(said, r"^\d+ items were put and done, \d+ of them gave up$")


class Shared(LaneCase):
    def setUp(self) -> None:
        super().setUp()
        self.queue = self.make_queue(durability="normal")

    def heard(self, programs: Sequence[Program]) -> list[Any]:
        return [number for program in programs for number in json.loads(program.hear())]

    def test_each_item_is_got_once_and_the_lane_never_overflows(self) -> None:
        inbox = self.queue.messages("inbox", 3)
        producers = [Program(self, PRODUCE, self.path, first, first + 100, 3) for first in (0, 100)]
        consumers = [Program(self, CONSUME, self.path, 1) for _ in range(2)]
        while inbox.unfinished_tasks == 0:
            time.sleep(0.01)
        largest = 0
        for producer in producers:
            waiting = Later(producer.hear)
            while waiting.is_waiting:
                largest = max(largest, inbox.qsize())
                time.sleep(0.001)
            self.assertEqual(waiting.came(), "done")
        inbox.join()
        for _ in consumers:
            inbox.put(None)
        self.assertEqual(sorted(self.heard(consumers)), list(range(200)))
        self.assertLessEqual(largest, 3)

    def test_many_threads_of_many_processes(self) -> None:
        consumers = [Program(self, CONSUME, self.path, 4) for _ in range(2)]
        inbox = self.queue.messages("inbox")

        def produce(place: int) -> None:
            for number in range(100):
                inbox.put(4 * number + place)

        together(4, produce)
        inbox.join()
        for _ in range(8):
            inbox.put(None)
        self.assertEqual(sorted(self.heard(consumers)), list(range(400)))
        self.assertEqual(self.queue.jobs(queue="messages:inbox"), [])


if __name__ == "__main__":
    unittest.main()
