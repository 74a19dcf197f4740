"""How a program with a worker may end: at any moment, by any signal, and with what the worker had in hand."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from litequeue import State
from litequeue.worker.worker import Worker
from tests.moments import each_interrupt
from tests.support import PATIENCE_SECONDS, Program
from tests.worker.case import CrewCase, FileCase, until
from tests.worker.test_supervisor import is_alive

# A worker in the foreground, and a signal at one moment of its life after the other.
STRUCK = """
import faulthandler, logging, signal, sys
from litequeue import Queue
from tests.moments import each_moment
logging.getLogger("litequeue").setLevel(100)
path, step, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
queue = Queue(path)
task = queue.task(name="nothing")(lambda: None)

def strike(place):
    faulthandler.dump_traceback_later(20, exit=True)
    if callable(signal.getsignal(signal.SIGTERM)):  # else the worker has not begun, or is through
        for _ in range(times):
            signal.raise_signal(signal.SIGTERM)

def work():
    queue.worker(burst=True, grace=5).run()

task.enqueue()
moments = 0
for number in each_moment(work, strike, step=step):
    moments += 1
    assert queue.workers() == [], number
    assert queue.counts()["running"] == 0, number
    queue.delete()
    task.enqueue()
print("moments", moments, flush=True)
"""
BACKGROUND = """
import signal, sys, time
from tests.worker.crew import queue
worker = queue.worker({})
"""


class AtAnyMoment(CrewCase):
    step = 23  # `python -m tests.soak misdeeds` tries every moment

    def strike(self, times: int) -> None:
        program = Program(self, STRUCK, self.path, self.step, times)
        self.assertGreater(int(program.hear().removeprefix("moments ")), 1000 // self.step)
        self.assertEqual(program.wait(), 0)

    def test_a_signal_stops_a_worker(self) -> None:
        self.strike(1)

    def test_two_signals_at_once_stop_a_worker(self) -> None:
        self.strike(2)


class Interrupted(FileCase):
    def test_starting_in_the_background(self) -> None:
        @contextmanager
        def made() -> Iterator[None]:
            workers.append(self.queue.worker())
            yield

        def start() -> None:
            despite_python(workers[-1].start)

        workers: list[Worker] = []
        self.queue.counts()
        for place in each_interrupt(start, around=made):
            with self.subTest(place):
                self.assertTrue(workers[-1].join(PATIENCE_SECONDS))
                until(lambda: not self.queue.workers(), "its end")
        until(self.queue.workers)  # the last, which was not interrupted any more
        workers[-1].stop()
        self.assertTrue(workers[-1].join(PATIENCE_SECONDS))
        until(lambda: not self.queue.workers(), "the end of those that were interrupted as they began")

    def test_leaving_a_block(self) -> None:
        @contextmanager
        def begun() -> Iterator[None]:
            workers.append(self.queue.worker().start())
            until(self.queue.workers)
            yield

        def leave() -> None:
            despite_python(lambda: workers[-1].__exit__(None, None, None))

        workers: list[Worker] = []
        for place in each_interrupt(leave, around=begun, step=3):
            with self.subTest(place):
                workers[-1].stop()  # who is interrupted at the very first instant has to stop it once more
                self.assertTrue(workers[-1].join(PATIENCE_SECONDS))


class Background(CrewCase):
    def program(self, code: str, options: str = "") -> Program:
        return Program(self, BACKGROUND.format(options) + code)

    def require_given_back(self) -> None:
        (job,) = self.queue.jobs()
        self.assertEqual((job.state, job.failures, job.snapshot.crashes), (State.READY, 0, 0))
        self.assertEqual(self.queue.workers(), [])

    def test_a_program_that_exits_gives_back_what_runs(self) -> None:
        for ending, code, options in (
            ("sys.exit(7)", 7, "grace=0.1"),
            ("raise ValueError", 1, "grace=0.1"),
            ("pass", 0, "grace=0.1, processes=1"),
            ("queue.close()", 0, "grace=0.1"),
            ("queue.close()", 0, "grace=0.1, processes=1"),
        ):
            with self.subTest(ending=ending):
                self.queue.delete()
                self.send("hang_for_ever")
                program = self.program(f"worker.start(); sys.stdin.readline(); {ending}", options)
                self.assertEqual(program.hear(), "began 1")
                program.tell()
                self.assertEqual(program.wait(), code)
                self.require_given_back()

    def test_a_job_that_ends_in_the_grace_time_is_completed(self) -> None:
        job = self.send("wait_for_word")
        program = self.program("worker.start(); time.sleep(0.1)")
        self.assertEqual(program.hear(), "began 1")
        until(lambda: self.queue.desk.reports.workers()[0].stopping, "the announcement")
        program.tell()
        self.assertEqual(program.wait(), 0)
        self.assertEqual(job.result(0), "attempt 1")

    def test_ctrl_c_waits_for_what_runs_and_a_second_does_not(self) -> None:
        self.send("hang_for_ever")
        program = self.program("with worker: signal.pause()", "grace=3600")
        self.assertEqual(program.hear(), "began 1")
        program.kill(signal.SIGINT)
        until(lambda: self.queue.desk.reports.workers()[0].stopping, "the announcement")
        program.kill(signal.SIGINT)
        self.assertEqual(program.wait(), -signal.SIGINT)
        self.require_given_back()

    def test_ctrl_c_twice_where_nothing_waits_for_the_worker(self) -> None:
        self.send("hang_for_ever")
        program = self.program("worker.start(); signal.pause()", "grace=3600")
        self.assertEqual(program.hear(), "began 1")
        program.kill(signal.SIGINT)
        until(lambda: self.queue.desk.reports.workers()[0].stopping, "the announcement")
        program.kill(signal.SIGINT)
        program.wait()
        self.require_given_back()

    def test_a_handler_may_stop_it(self) -> None:
        program = self.program(
            "signal.signal(signal.SIGTERM, lambda *_: worker.stop()); worker.start(); worker.join()"
        )
        until(self.queue.workers)
        program.kill(signal.SIGTERM)
        self.assertEqual(program.wait(), 0)

    def test_a_forked_child_that_ends_stops_nothing(self) -> None:
        code = """
import os
with worker:
    child = os.fork()
    if child == 0:
        sys.exit()  # leaves the block, and the program
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.stdin.readline()
"""
        for options in ("", "processes=1"):
            with self.subTest(options=options):
                program = self.program(code, options)
                self.assertEqual(program.hear(), "0")
                self.assertIsInstance(self.send("whose").result(PATIENCE_SECONDS), int)
                program.tell()
                self.assertEqual(program.wait(), 0)


class Foreground(CrewCase):
    def worker(self, options: str = "", before: str = "") -> Program:
        code = f"import signal; {before}\nfrom tests.worker.crew import queue; queue.worker({options}).run()"
        return Program(self, code)

    def test_a_terminal_that_goes_away_stops_it(self) -> None:
        for options in ("grace=0.1", "grace=0.1, processes=1"):
            with self.subTest(options=options):
                self.queue.delete()
                job = self.send("hang_for_ever")
                program = self.worker(options)
                self.assertEqual(program.hear(), "began 1")
                program.kill(signal.SIGHUP)
                self.assertEqual(program.wait(), 0)
                self.assertEqual((job.refresh().state, job.snapshot.crashes), (State.READY, 0))

    def test_one_that_is_to_outlive_its_terminal_does(self) -> None:
        program = self.worker(before="signal.signal(signal.SIGHUP, signal.SIG_IGN)")
        until(self.queue.workers)
        program.kill(signal.SIGHUP)
        self.assertEqual(self.send("whose").result(PATIENCE_SECONDS), program.pid)

    def test_a_worker_that_was_put_aside_goes_on(self) -> None:
        """Ctrl-Z and fg; its processes work on meanwhile, and are not taken for dead after it."""
        program = self.worker(
            "processes=1",
            "import os; os.setpgid(0, 0)\n"  # as a shell does; in an orphaned group nothing is put aside
            "import litequeue.worker.supervisor as s; s._TIME_TO_END = 100_000",
        )
        before = self.send("whose").result(PATIENCE_SECONDS)
        program.kill(signal.SIGTSTP)
        until(lambda: state_of(program.pid) == "T", "its stop")
        self.assertEqual(self.send("whose").result(PATIENCE_SECONDS), before)
        threading.Event().wait(0.3)  # longer than it would wait for an answer
        program.kill(signal.SIGCONT)
        until(lambda: state_of(program.pid) != "T", "its return")
        self.assertEqual(self.send("whose").result(PATIENCE_SECONDS), before)
        self.assertTrue(is_alive(before))


def despite_python(work: Callable[[], object]) -> None:
    """Python's Condition raises something else when it is struck where it has let go of its lock."""
    try:
        work()
    except RuntimeError as error:
        raise KeyboardInterrupt(str(error)) from error


def state_of(pid: int) -> str:
    """What the kernel says a process does."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0]
