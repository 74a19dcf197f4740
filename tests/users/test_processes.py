"""Queues in other processes, at the end of the interpreter, and what may be sent from one to another."""

from __future__ import annotations

import pickle
import sys
import threading
import unittest
from typing import Any
from unittest import mock

from litequeue import Queue, State
from litequeue.errors import InvalidOption
from litequeue.storage import database
from tests.support import PATIENCE_SECONDS, Program
from tests.users.case import QueueCase
from tests.users.things import Color, echo
from tests.worker import crew
from tests.worker.case import CrewCase

# In a child of each kind: a task, a queue that was sent there, and a pool of such children.
CHILDREN = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from tests.users.elsewhere import enqueue
from tests.worker.crew import double, queue

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    queue.counts()
    child = context.Process(target=double.enqueue, args=(1,))
    child.start()
    child.join()
    print("exit code", child.exitcode, flush=True)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        ids = list(pool.map(enqueue, [queue] * 20, range(20)))
        print("distinct", len(set(ids)), flush=True)
        print("called", list(pool.map(double, range(3))), flush=True)
    print("here", double.enqueue(21).id, flush=True)
"""
# Enqueues at every stage of the end, while a daemon enqueues until it is frozen in the middle of it.
END = """
import atexit, gc, sys, threading
from tests.worker.crew import double, queue

class Last:
    def __init__(self):
        self.itself = self  # so that it goes when the interpreter does

    def __del__(self):
        try:
            print("del", double.enqueue(3).id > 0, flush=True)
        except Exception as error:
            print("del", type(error).__name__, error, flush=True)

def late():
    threading.main_thread().join()
    print("thread", double.enqueue(1).id > 0, flush=True)

def for_ever():
    while True:
        double.enqueue(0)

queue.counts()
gc.disable()  # but for the collection at the end
Last()
atexit.register(lambda: print("atexit", double.enqueue(2).id > 0, flush=True))
threading.Thread(target=late).start()
if sys.argv[1] == "busy":
    threading.Thread(target=for_ever, daemon=True).start()
"""
LAST = """
from tests.worker.crew import queue

class Last:
    queue = queue

    def __del__(self):
        print("del", self.queue.enqueue("app:late").id > 0, flush=True)

queue.counts()
last = Last()  # goes after all that a program can have called at its end
"""
# Worker processes and isolated tasks beside threads, where Python warns of every fork.
WARNING = """
import threading
from tests.worker.crew import isolated_pid, queue, whose
threading.Thread(target=threading.Event().wait, daemon=True).start()
with queue.worker():
    isolated_pid.enqueue().result(30)
with queue.worker(processes=1):
    whose.enqueue().result(30)
print("no warning", flush=True)
"""


class Children(CrewCase):
    def test_each_kind_of_child_uses_the_queue(self) -> None:
        for kind in ("fork", "spawn", "forkserver"):
            with self.subTest(kind):
                self.queue.delete()
                program = Program(self, CHILDREN, kind)
                self.assertEqual(program.hear(), "exit code 0")
                self.assertEqual(program.hear(), "distinct 20")
                self.assertEqual(program.hear(), "called [0, 2, 4]")
                self.assertRegex(program.hear(), r"here \d+")
                self.assertEqual(program.wait(), 0)
                self.assertEqual(self.queue.counts()[State.READY], 22)

    def test_a_fork_that_can_not_wait_for_a_transaction_is_told(self) -> None:
        ended = threading.Event()
        inside = threading.Event()

        def hold() -> None:
            with self.queue.transaction():
                inside.set()
                ended.wait(PATIENCE_SECONDS)

        thread = threading.Thread(target=hold)
        thread.start()
        inside.wait(PATIENCE_SECONDS)
        opened = self.queue.desk.database
        with mock.patch.object(database, "_LONGEST_WAIT_TO_FORK", 0.01):
            opened.before_fork()
        opened.after_fork()
        ended.set()
        thread.join()
        self.queue.enqueue("tests.worker.crew:double", 1)  # and the parent goes on

    @unittest.skipIf(sys.version_info < (3, 12), "Python 3.12 began to warn of forks beside threads")
    def test_no_fork_of_ours_is_warned_of(self) -> None:
        with mock.patch.dict("os.environ", PYTHONWARNINGS="error::DeprecationWarning"):
            program = Program(self, WARNING)
        self.assertEqual(program.hear(), "no warning")
        self.assertEqual(program.wait(), 0)


class TheEnd(CrewCase):
    def test_a_thread_and_atexit_still_enqueue(self) -> None:
        program = Program(self, END, "idle")
        self.assertEqual([program.hear() for _ in range(2)], ["thread True", "atexit True"])
        # Since 3.13 Python may close the connection before it deletes what has yet to use it.
        told = "True" if sys.version_info < (3, 13) else "(True|DatabaseError .*closed database)"
        self.assertRegex(program.hear(), f"^del {told}")
        self.assertEqual(program.wait(), 0)

    def test_the_last_object_of_a_program_still_enqueues(self) -> None:
        program = Program(self, LAST)
        self.assertEqual(program.hear(), "del True")
        self.assertEqual(program.wait(), 0)

    def test_who_would_wait_for_a_frozen_thread_is_told(self) -> None:
        program = Program(self, END, "busy")
        self.assertEqual([program.hear() for _ in range(2)], ["thread True", "atexit True"])
        self.assertRegex(program.hear(), "^del (DatabaseError .*the end of the interpreter|True)")
        self.assertEqual(program.wait(), 0)


class Sent(QueueCase):
    def sent(self, thing: Any) -> Any:
        return pickle.loads(pickle.dumps(thing))

    def test_a_queue_opens_its_file_anew(self) -> None:
        queue = self.make_queue("other", clock=None, lease=7, retention=None, maxsize=2)
        queue.enqueue(echo, 1)
        other = self.sent(queue)
        self.addCleanup(other.close)
        self.assertEqual((other.path, other.name, other.lease), (queue.path, "other", queue.lease))
        self.assertEqual((other.retention, other.maxsize), (None, 2))
        self.assertEqual(other.counts(), queue.counts())
        self.assertIsNot(other.desk.database, queue.desk.database)

    def test_a_queue_with_a_codec_that_was_told_of_types(self) -> None:
        queue = Queue(self.path, codec=crew.queue.codec.knowing(Color))  # type: ignore[attr-defined]
        self.addCleanup(queue.close)
        other = self.sent(queue)
        self.assertIs(other.codec.decode(queue.codec.encode(Color.BLUE)), Color.BLUE)

    def test_a_queue_in_memory_stays(self) -> None:
        with self.assertRaisesRegex(InvalidOption, "give it a file"):
            self.sent(Queue(":memory:"))

    def test_a_task_is_found_by_its_name(self) -> None:
        self.assertIs(self.sent(crew.double), crew.double)
        self.assertEqual(self.sent(crew.double.call(3)).args, (3,))

    def test_a_job_stays(self) -> None:
        with self.assertRaisesRegex(InvalidOption, r"<Job 1>.*queue\.job\(id\)"):
            self.sent(self.queue.enqueue(echo, 1))
