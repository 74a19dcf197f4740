"""Isolated attempts: what kills a child costs that attempt and nothing else."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any
from unittest import mock

from litequeue import Job, State
from litequeue.worker.sandbox import Child
from tests.support import PATIENCE_SECONDS
from tests.worker import crew
from tests.worker.case import CrewCase, until


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_ready_to_bury(child: int) -> bool:
    """Whether a child of this process has ended with all its threads; the first may be dead alone."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


class Isolated(CrewCase):
    def setUp(self) -> None:
        super().setUp()
        self.queue.declared.update(crew.queue.declared)
        self.mark = self.folder / "mark"

    def run_one(self, task: str, *args: Any, **options: Any) -> Job[Any]:
        """Run one job of the crew in a worker of this process, to its end."""
        job = self.send(task, *args, **options)
        with self.queue.worker():
            job.wait(PATIENCE_SECONDS)
        return job

    # --- well ----------------------------------------------------------------------------------------

    def test_it_runs_in_another_process_and_a_healthy_child_is_used_again(self) -> None:
        with self.queue.worker():
            pids = [self.send("isolated_pid").result(PATIENCE_SECONDS) for _ in range(3)]
            self.assertNotEqual(pids[0], os.getpid())
            self.assertEqual(len(set(pids)), 1)
        until(lambda: not is_alive(pids[0]), "its end with the worker")

    def test_two_at_once_have_a_child_each(self) -> None:
        marks = [self.folder / f"mark{number}" for number in range(2)]
        jobs = [self.send("isolated_until_cancelled", str(mark)) for mark in marks]
        with self.queue.worker(threads=2):
            until(lambda: all(mark.exists() for mark in marks), "both at once")
            for job in jobs:
                job.cancel()
                self.assertEqual(job.wait(PATIENCE_SECONDS), State.CANCELLED)

    def test_progress_log_and_meta_arrive(self) -> None:
        job = self.run_one("isolated_talk")
        self.assertEqual(job.result(0), "attempt 1")
        self.assertEqual((job.progress, job.progress_text), (0.5, "half"))
        self.assertEqual((job.meta, job.log[0].text), ({"seen": [1, 2]}, "line"))

    def test_steps_are_kept_by_the_worker(self) -> None:
        job = self.run_one("isolated_steps", str(self.mark))
        (kind, pid), nothing, two = job.result(0)
        self.assertNotEqual(pid, os.getpid())
        self.assertEqual((kind, nothing, two), ("touched", 0, bytes(3)))
        self.assertEqual(self.mark.read_text(), "x")
        self.assertEqual(
            [(step.name, step.attempt) for step in job.steps], [("one", 1), ("nothing", 1), ("two", 2)]
        )

    def test_so_are_those_of_a_coroutine(self) -> None:
        self.assertEqual(self.run_one("isolated_async_steps").result(0), [1, 2])

    def test_a_step_that_is_refused_says_why(self) -> None:
        for kind, why in (("transaction", "in an isolated task"), ("large", "over the limit of")):
            job = self.run_one("isolated_wrong_steps", str(self.mark), kind)
            self.assertIn(why, job.errors[0].message)
            self.assertEqual(job.steps, [])

    def test_a_step_of_a_lost_lease_is_not_kept(self) -> None:
        job = self.send("isolated_wrong_steps", str(self.mark), "lost")
        with self.queue.worker():
            until(self.mark.exists)
            self.change("UPDATE litequeue_job SET attempt = attempt + 1")
            with self.assertLogs("litequeue", "WARNING") as logged:
                self.mark.unlink()
                until(lambda: any("lease lost" in line for line in logged.output), "the loss")
        self.assertEqual(self.value("SELECT count(*) FROM litequeue_step WHERE attempt = 1"), 0)
        self.assertEqual(job.id, 1)

    def test_a_coroutine_may_be_isolated(self) -> None:
        self.assertEqual(self.run_one("isolated_coroutine", 7).result(0), 7)

    def test_failures_and_directives_come_through(self) -> None:
        with self.queue.worker():
            failed, rejected = self.send("isolated_failure", "bad"), self.send("isolated_failure", "reject")
            snoozed = self.send("isolated_failure", "snooze")
            failed.wait(PATIENCE_SECONDS)
            rejected.wait(PATIENCE_SECONDS)
            until(lambda: snoozed.refresh().state is State.SCHEDULED)
        self.assertEqual((failed.reason, failed.errors[0].type), ("error", "ValueError"))
        self.assertIn("isolated_failure", failed.errors[0].traceback)
        self.assertEqual((rejected.reason, snoozed.failures), ("rejected", 0))

    def test_a_large_result_comes_through_and_one_too_large_fails(self) -> None:
        with self.queue.worker():
            large, too_large = self.send("isolated_large", 1_000_000), self.send("isolated_large", 2_000_000)
            self.assertEqual(len(large.result(PATIENCE_SECONDS)), 1_000_000)
            self.assertEqual(too_large.wait(PATIENCE_SECONDS), State.FAILED)

    # --- badly ---------------------------------------------------------------------------------------

    def test_whatever_kills_the_child_costs_that_attempt_and_no_more(self) -> None:
        with self.queue.worker():
            for task, args, word in (
                ("isolated_segfault", (), "SIGSEGV"),
                ("isolated_kill", (), "SIGKILL"),
                ("isolated_exit", (0,), "exit code 0"),
                ("isolated_exit", (9,), "exit code 9"),
            ):
                with self.subTest(task=task, args=args):
                    job = self.send(task, *args, max_crashes=2)
                    self.assertEqual(job.wait(PATIENCE_SECONDS), State.FAILED)
                    self.assertEqual((job.reason, job.attempt), ("crashed", 2))
                    self.assertIn(word, job.errors[0].message)
                    self.assertIsInstance(self.send("isolated_pid").result(PATIENCE_SECONDS), int)
            self.assertEqual(len(self.queue.workers()), 1)

    def test_a_child_that_died_since_its_last_job_is_no_fault_of_the_next(self) -> None:
        with self.queue.worker():
            child = self.send("isolated_pid").result(PATIENCE_SECONDS)
            os.kill(child, signal.SIGKILL)
            until(lambda: is_ready_to_bury(child), "its end")
            job = self.send("isolated_pid")
            self.assertNotEqual(job.result(PATIENCE_SECONDS), child)
        self.assertEqual((job.attempt, job.snapshot.crashes), (1, 0))

    def test_a_child_that_a_task_has_changed_is_not_used_again(self) -> None:
        with self.queue.worker():
            moved = self.send("isolated_move", str(self.folder)).result(PATIENCE_SECONDS)
            self.assertEqual(self.send("isolated_where").result(PATIENCE_SECONDS), os.getcwd())
            self.assertNotEqual(self.send("isolated_pid").result(PATIENCE_SECONDS), moved)

    def test_a_task_on_a_thread_that_moves_the_worker_moves_no_child(self) -> None:
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        with self.queue.worker():
            self.send("move", str(self.folder)).result(PATIENCE_SECONDS)
            self.assertEqual(self.send("isolated_where").result(PATIENCE_SECONDS), before)

    def test_early_jobs_whose_child_dies_are_lost(self) -> None:
        job = self.run_one("isolated_kill", ack="early")
        self.assertEqual((job.reason, job.attempt), ("lost", 1))

    def test_a_dead_child_is_noticed_though_its_own_child_keeps_the_pipe_open(self) -> None:
        job = self.run_one("isolated_orphan", str(self.mark), max_crashes=1)
        self.assertEqual((job.state, job.reason), (State.FAILED, "crashed"))
        until(lambda: not is_alive(int(self.mark.read_text())), "the end of the grandchild")

    def test_the_time_limit_kills_the_whole_family(self) -> None:
        job = self.run_one("isolated_family", str(self.mark))
        self.assertEqual((job.state, job.reason), (State.FAILED, "timeout"))
        pids = [int(word) for word in self.mark.read_text().split()]
        until(lambda: not any(map(is_alive, pids)), "the end of both")

    def test_the_memory_limit_costs_the_attempt(self) -> None:
        job = self.run_one("isolated_glutton")
        self.assertEqual((job.state, job.errors[0].type), (State.FAILED, "MemoryError"))

    def test_a_transaction_is_refused_with_the_reason(self) -> None:
        self.assertIn("isolated task", self.run_one("isolated_transaction").errors[0].message)

    def test_a_worker_inside_is_refused_with_the_reason(self) -> None:
        self.assertIn("WorkerError", self.run_one("isolated_worker").errors[0].type)

    def test_nonsense_on_the_pipe_costs_the_attempt(self) -> None:
        with self.queue.worker():
            self.assertEqual(self.send("isolated_noise").wait(PATIENCE_SECONDS), State.FAILED)
            self.assertIsInstance(self.send("isolated_pid").result(PATIENCE_SECONDS), int)

    def test_a_child_that_can_not_be_started_costs_the_attempt(self) -> None:
        tries: list[int] = []
        original = Child.__init__

        def start(child: Child, max_payload: int, folder: str) -> None:
            tries.append(1)
            if len(tries) == 1:
                raise OSError("no more processes")
            original(child, max_payload, folder)

        with mock.patch.object(Child, "__init__", start), self.queue.worker():
            first, second = self.send("isolated_pid"), self.send("isolated_pid")
            self.assertEqual(first.wait(PATIENCE_SECONDS), State.FAILED)
            self.assertIn("no more processes", first.errors[0].message)
            self.assertIsInstance(second.result(PATIENCE_SECONDS), int)

    # --- asked to stop -------------------------------------------------------------------------------

    def test_one_that_listens_is_told_and_ends_as_cancelled(self) -> None:
        job = self.send("isolated_until_cancelled", str(self.mark))
        with self.queue.worker():
            until(self.mark.exists)
            job.cancel()
            self.assertEqual(job.wait(PATIENCE_SECONDS), State.CANCELLED)

    def test_one_that_does_not_is_killed(self) -> None:
        job = self.send("isolated_deaf", str(self.mark))
        with mock.patch("litequeue.worker.sandbox._TIME_TO_STOP", 100_000), self.queue.worker():
            until(lambda: self.mark.exists() and self.mark.read_text())
            job.cancel()
            self.assertEqual(job.wait(PATIENCE_SECONDS), State.CANCELLED)
        self.assertFalse(is_alive(int(self.mark.read_text())))

    def test_a_worker_that_stops_gives_the_job_back_and_kills_the_child(self) -> None:
        job = self.send("isolated_deaf", str(self.mark))
        worker = self.queue.worker(grace=0.05).start()
        until(lambda: self.mark.exists() and self.mark.read_text())
        worker.stop()
        self.assertTrue(worker.join(PATIENCE_SECONDS))
        self.assertEqual((job.refresh().state, job.failures, job.snapshot.crashes), (State.READY, 0, 0))
        until(lambda: not is_alive(int(self.mark.read_text())), "the end of the child")
