"""Several worker processes: replaced when they die, given up on when they die for ever, ended with us."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from litequeue import State
from litequeue.errors import WorkerError
from litequeue.worker.settings import WorkerOptions
from litequeue.worker.supervisor import _shares
from tests.repository import ROOT
from tests.support import PATIENCE_SECONDS, Program
from tests.worker.case import CrewCase, until

RUN = """
import sys
from tests.worker.crew import queue
from litequeue.errors import WorkerError
try:
    queue.worker({}).run()
except WorkerError as error:
    print("gave up:", error, flush=True)
    sys.exit(3)
print("ended", flush=True)
"""


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Supervised(CrewCase):
    def supervisor(self, options: str = "processes=2", code: str = RUN) -> Program:
        program = Program(self, code.format(options))
        self.addCleanup(self.kill_workers)
        return program

    def kill_workers(self) -> None:
        """Leave no process behind, also when a test has failed."""
        for worker in self.queue.desk.reports.workers():
            if worker.pid != os.getpid() and is_alive(worker.pid):
                os.kill(worker.pid, signal.SIGKILL)

    def pids(self, number: int) -> set[int]:
        """The worker processes, once there are so many."""
        until(lambda: len({worker.pid for worker in self.queue.workers()}) == number, f"{number} processes")
        return {worker.pid for worker in self.queue.workers()}

    def silence_processes(self) -> None:
        """Let the processes of this one write their tracebacks elsewhere."""
        kept = os.dup(2)
        self.addCleanup(os.close, kept)
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        self.addCleanup(os.dup2, kept, 2)

    def until_gone(self, pids: set[int]) -> None:
        until(lambda: not any(map(is_alive, pids)), "the end of the processes")

    # --- work ----------------------------------------------------------------------------------------

    def test_all_processes_work_and_a_stop_ends_them_all(self) -> None:
        program = self.supervisor()
        pids = self.pids(2)
        jobs = [self.send("whose") for _ in range(50)]
        self.assertLessEqual({job.result(PATIENCE_SECONDS) for job in jobs}, pids)
        self.assertNotIn(program.pid, pids)
        program.kill(signal.SIGTERM)
        self.assertEqual((program.hear(), program.wait()), ("ended", 0))
        self.until_gone(pids)

    def test_a_burst_of_processes_ends_and_everything_is_done(self) -> None:
        for number in range(40):
            self.send("double", number)
        program = self.supervisor("processes=2, burst=True")
        self.assertEqual((program.hear(), program.wait()), ("ended", 0))
        self.assertEqual(self.queue.counts()[State.COMPLETED], 40)

    def test_max_jobs_is_shared_out(self) -> None:
        for number in range(40):
            self.send("double", number)
        program = self.supervisor("processes=2, max_jobs=11")
        self.assertEqual((program.hear(), program.wait()), ("ended", 0))
        self.assertEqual(self.queue.counts()[State.COMPLETED], 11)

    def test_shares_add_up(self) -> None:
        for processes, most, shares in ((3, 10, [4, 3, 3]), (4, 2, [1, 1]), (2, None, [None, None])):
            options = WorkerOptions(processes=processes, max_jobs=most)
            self.assertEqual(_shares(options), shares)

    # --- death ---------------------------------------------------------------------------------------

    def test_a_dead_process_is_replaced_and_its_job_runs_again(self) -> None:
        self.supervisor("processes=1")
        (first,) = self.pids(1)
        os.kill(first, signal.SIGKILL)
        job = self.send("whose")
        self.assertNotIn(job.result(PATIENCE_SECONDS), (first,))

    def test_a_process_that_a_task_ends_with_code_0_is_replaced_too(self) -> None:
        self.supervisor("processes=1")
        self.pids(1)
        poison = self.send("exit_worker", 0, max_crashes=1)
        self.assertIsInstance(self.send("whose").result(PATIENCE_SECONDS), int)
        until(lambda: poison.refresh().state is State.FAILED)
        self.assertEqual(poison.reason, "crashed")

    def test_a_process_that_dies_and_leaves_a_child_is_replaced_too(self) -> None:
        """The child keeps the pipe open by whose end a death is seen."""
        self.supervisor("processes=1")
        self.pids(1)
        self.send("leave_a_child", max_crashes=1)
        self.assertIsInstance(self.send("whose").result(PATIENCE_SECONDS), int)

    def test_it_gives_up_on_a_crash_loop_with_a_message_and_a_code(self) -> None:
        for _ in range(15):
            self.send("kill_worker")
        program = self.supervisor("processes=1")
        self.assertRegex(
            program.hear(), "gave up: 11 worker processes died within 60 s, the last one by SIGKILL"
        )
        self.assertEqual(program.wait(), 3)

    def test_it_gives_up_at_once_when_a_process_can_not_start(self) -> None:
        declare = "def f(): ...\nf.__module__ = 'no_such_module'\n"
        code = declare + RUN.replace("queue.worker(", "queue.task(f)\n    queue.worker(")
        program = self.supervisor("processes=2", code)
        self.assertRegex(program.hear(), "gave up: a worker process could not start")
        self.assertEqual(program.wait(), 3)

    def test_in_the_background_a_failing_start_is_raised_at_once(self) -> None:
        def stray() -> None: ...

        stray.__module__ = "no_such_module"
        self.queue.task(name="no_such_module:stray")(stray)
        self.silence_processes()
        with self.assertRaisesRegex(WorkerError, "could not start"):
            self.queue.worker(processes=1).start()

    def test_a_process_is_replaced_where_it_began_though_the_program_moved(self) -> None:
        code = (
            "import os; from tests.worker.crew import queue; worker = queue.worker(processes=1).start();"
            "os.chdir('/'); print('moved', flush=True); worker.join()"
        )
        self.assertEqual(self.supervisor(code=code).hear(), "moved")
        (first,) = self.pids(1)
        os.kill(first, signal.SIGKILL)
        self.assertEqual(self.send("where").result(PATIENCE_SECONDS), str(ROOT))

    def test_a_thread_that_a_task_leaves_behind_does_not_keep_a_process_alive(self) -> None:
        self.send("leave_a_thread")
        hasten = "import litequeue.worker.supervisor as s; s._TIME_TO_END = 200_000"
        program = self.supervisor("processes=1, burst=True", f"{hasten}\n{RUN}")
        self.assertEqual((program.hear(), program.wait()), ("ended", 0))

    # --- stopping ------------------------------------------------------------------------------------

    def test_processes_end_by_themselves_when_their_supervisor_is_killed(self) -> None:
        program = self.supervisor()
        pids = self.pids(2)
        program.kill()
        self.until_gone(pids)
        self.assertEqual(self.queue.workers(), [])

    def test_a_second_stop_gives_the_jobs_back(self) -> None:
        job = self.send("hang_for_ever")
        program = self.supervisor("processes=1, grace=3600")
        self.assertEqual(program.hear(), "began 1")
        program.kill(signal.SIGTERM)
        until(lambda: self.queue.desk.reports.workers()[0].stopping, "the announcement")
        program.kill(signal.SIGTERM)
        self.assertEqual((program.hear(), program.wait()), ("ended", 0))
        self.assertEqual((job.refresh().state, job.failures), (State.READY, 0))

    def test_ctrl_c_reaches_the_processes_once(self) -> None:
        """A terminal sends it to the whole group; counted twice it would stop them at once."""
        job = self.send("hang_for_ever")
        program = self.supervisor("processes=1, grace=1", f"import os\nos.setpgid(0, 0)\n{RUN}")
        program.hear()
        os.killpg(program.pid, signal.SIGINT)
        until(lambda: self.queue.desk.reports.workers()[0].stopping, "the announcement")
        self.assertEqual(job.refresh().state, State.RUNNING)
        self.assertEqual((program.hear(), program.wait()), ("ended", 0))
        self.assertEqual((job.refresh().state, job.failures), (State.READY, 0))

    def test_a_process_that_does_not_react_is_killed_in_the_end(self) -> None:
        hasten = "import litequeue.worker.supervisor as s; s._TIME_TO_END = 200_000"
        program = self.supervisor("processes=1, grace=0.1", f"{hasten}\n{RUN}")
        (pid,) = self.pids(1)
        os.kill(pid, signal.SIGSTOP)
        program.kill(signal.SIGTERM)
        self.assertEqual((program.hear(), program.wait()), ("ended", 0))
        self.assertFalse(is_alive(pid))

    # --- stuck ---------------------------------------------------------------------------------------

    def test_a_process_with_too_many_stuck_threads_is_replaced(self) -> None:
        site = self.folder / "sitecustomize.py"
        site.write_text(
            "import sys\n"
            "if 'litequeue.worker.process' in ' '.join(sys.orig_argv):\n"
            "    from litequeue.worker.limits import Limits\n"
            "    Limits.__init__.__defaults__ = (50_000,)\n"
        )
        code = f"import sys; sys.path.insert(0, {str(self.folder)!r})\n{RUN}"
        self.supervisor("processes=1, threads=2", code)
        (first,) = self.pids(1)
        stuck = [self.send("deaf") for _ in range(2)]
        until(lambda: {job.refresh().reason for job in stuck} == {"timeout"}, "the time-outs")
        until(lambda: not is_alive(first), "the recycling")
        self.assertNotEqual(self.send("whose").result(PATIENCE_SECONDS), first)
