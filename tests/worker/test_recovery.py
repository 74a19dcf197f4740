"""Workers that are killed or frozen: their jobs run again, soon, and never twice to the end."""

from __future__ import annotations

import signal
import time

from litequeue import State, current_job
from litequeue.job import Complete, Lease
from tests.support import PATIENCE_SECONDS, Program
from tests.worker.case import CrewCase, until

RUN = "from tests.worker.crew import queue; queue.worker({}).run()"


class Killed(CrewCase):
    def worker(self, options: str = "") -> Program:
        return Program(self, RUN.format(options))

    def test_a_killed_workers_job_runs_elsewhere_within_a_second(self) -> None:
        job = self.send("hang")
        first = self.worker()
        self.assertEqual(first.hear(), "began 1")
        second = self.worker("queues=['default', 'other']")
        until(lambda: len(self.queue.workers()) == 2, "the second worker")
        before = time.monotonic()
        first.kill()
        self.assertEqual(second.hear(), "began 2")
        self.assertLess(time.monotonic() - before, 1.0)
        self.assertEqual(job.result(PATIENCE_SECONDS), "attempt 2")
        self.assertEqual((job.snapshot.crashes, job.failures), (1, 0))
        self.assertEqual(job.errors[0].type, "WorkerDied")

    def test_a_worker_in_the_background_of_this_process_takes_over(self) -> None:
        job = self.send("hang")
        first = self.worker()
        first.hear()
        with self.queue.worker():
            self.queue.task(name="tests.worker.crew:hang")(taken_over)
            first.kill()
            self.assertEqual(job.result(PATIENCE_SECONDS), "taken over")

    def test_early_jobs_are_lost_and_never_run_twice(self) -> None:
        job = self.send("once")
        first = self.worker()
        self.assertEqual(first.hear(), "began 1")
        first.kill()
        with self.queue.worker():
            self.assertEqual(job.wait(PATIENCE_SECONDS), State.FAILED)
        self.assertEqual((job.reason, job.attempt), ("lost", 1))

    def test_a_job_that_takes_its_worker_down_again_and_again_becomes_crashed(self) -> None:
        job = self.send("kill_worker", max_crashes=2)
        for _ in range(2):
            self.assertEqual(self.worker().wait(), -signal.SIGKILL)
        with self.queue.worker():
            self.assertEqual(job.wait(PATIENCE_SECONDS), State.FAILED)
        self.assertEqual((job.reason, job.attempt, len(job.errors)), ("crashed", 2, 2))

    def test_jobs_that_only_waited_in_the_killed_worker_are_not_charged(self) -> None:
        """Quick ones are claimed ahead of the one that hangs."""
        jobs = [self.send("nothing") for _ in range(300)]
        hanging = self.send("hang_for_ever")
        behind = [self.send("nothing") for _ in range(50)]
        first = self.worker()
        self.assertEqual(first.hear(), "began 1")
        first.kill()
        with self.queue.worker(queues=["nobody's"]):
            until(lambda: not self.queue.counts()[State.RUNNING], "the reaping")
        self.assertEqual({job.refresh().snapshot.crashes for job in jobs + behind}, {0})
        self.assertEqual({job.state for job in jobs}, {State.COMPLETED})
        self.assertEqual({job.state for job in behind}, {State.READY})
        self.assertEqual(hanging.refresh().state, State.READY)

    def test_many_kills_lose_no_job_and_complete_each_once(self) -> None:
        """Completion is counted in the same file, by a trigger that no attempt can get around."""
        self.change("CREATE TABLE done (job)")
        self.change(
            "CREATE TRIGGER count_done AFTER UPDATE OF state ON litequeue_job WHEN new.state = 'completed' "
            "BEGIN INSERT INTO done VALUES (new.id); END"
        )
        jobs = [self.send("double", number, max_crashes=100) for number in range(3000)]
        for kill in range(4):
            worker = self.worker("threads=2")
            until(lambda at=200 * (kill + 1): self.value("SELECT count(*) FROM done") >= at)  # type: ignore[misc]
            worker.kill()
        last = self.worker("threads=2, burst=True")
        self.assertEqual(last.wait(), 0)
        self.assertEqual(self.queue.counts()[State.COMPLETED], 3000)
        self.assertEqual(self.value("SELECT count(*) = count(DISTINCT job) FROM done"), 1)
        self.assertEqual([jobs[0].result(0), jobs[-1].result(0)], [0, 5998])


class Frozen(CrewCase):
    lease_seconds = 1.0

    def test_a_frozen_worker_loses_its_lease_and_its_late_settlement_is_refused(self) -> None:
        job = self.send("wait_for_word")
        first = Program(self, RUN.format(""))
        self.assertEqual(first.hear(), "began 1")
        first.kill(signal.SIGSTOP)
        second = Program(self, RUN.format(""))
        self.assertEqual(second.hear(), "began 2")
        first.kill(signal.SIGCONT)
        first.tell()  # its task returns, but owns nothing any more
        until(lambda: len(self.queue.workers()) == 2, "the first worker signing on anew")
        self.assertEqual((job.refresh().state, job.attempt), (State.RUNNING, 2))
        second.tell()
        self.assertEqual(job.result(PATIENCE_SECONDS), "attempt 2")
        second.kill()
        self.assertEqual(self.send("whose").result(PATIENCE_SECONDS), first.pid)  # alive, and at work

    def test_a_lease_is_renewed_though_a_task_is_busy_in_python(self) -> None:
        began, stop = self.events(2)

        def busy() -> int:
            began.set()
            while not stop.is_set():
                pass
            job = busy_job.refresh()
            return job.attempt

        queue = self.make_queue(lease=1)
        task = queue.task(name="busy")(busy)
        busy_job = task.enqueue()
        with queue.worker(), self.make_queue().worker():
            began.wait(PATIENCE_SECONDS)
            (first, *_) = self.queue.desk.reports.workers()
            until(lambda: self.renewals(first.id) > first.lease_until + 1_000_000, "renewals")
            stop.set()
            self.assertEqual(busy_job.result(PATIENCE_SECONDS), 1)

    def renewals(self, worker: int) -> int:
        return int(self.value("SELECT lease_until FROM litequeue_worker WHERE id = ?", worker))


class TakenForDead(CrewCase):
    def test_a_worker_whose_row_is_gone_signs_on_anew_and_works_on(self) -> None:
        ran: list[int] = []

        def work(number: int) -> None:
            ran.append(number)

        task = self.declare(work)
        with self.queue.worker():
            task.enqueue(1).wait(PATIENCE_SECONDS)
            self.change("DELETE FROM litequeue_worker")
            self.assertEqual(task.enqueue(2).wait(2), State.COMPLETED)  # long before a third of the lease
        self.assertEqual((ran, self.queue.workers()), ([1, 2], []))

    def test_a_burst_whose_row_is_gone_finishes_the_burst(self) -> None:
        def work(number: int) -> None:
            if number == 0:
                self.change("DELETE FROM litequeue_worker")

        task = self.declare(work)
        self.queue.enqueue_many(task.call(number) for number in range(20))
        self.burst()
        self.assertGreaterEqual(self.queue.counts()[State.COMPLETED], 19)
        self.assertEqual(self.queue.counts()[State.READY], 0)

    def test_what_ran_when_the_lease_was_lost_is_told_and_changes_nothing(self) -> None:
        began, go_on = self.events(2)

        def work() -> None:
            began.set()
            go_on.wait()

        job = self.declare(work).enqueue()
        with self.queue.worker():
            began.wait(PATIENCE_SECONDS)
            self.change("UPDATE litequeue_job SET attempt = 7, worker = 99 WHERE id = ?", job.id)
            self.change(
                "INSERT INTO litequeue_worker "
                "SELECT 99, 'x', 1, '[]', 1, 0, 0, boot, lease_until, NULL, 0 FROM litequeue_worker"
            )
            go_on.set()
            self.assertEqual(self.declare(nothing).enqueue().wait(PATIENCE_SECONDS), State.COMPLETED)
            self.assertEqual((job.refresh().state, job.attempt), (State.RUNNING, 7))
            self.queue.desk.store.settle(Complete(Lease(job.id, 7)))


class Notes(CrewCase):
    def test_progress_logs_and_meta_are_seen_while_the_task_runs(self) -> None:
        go_on = self.events(1)[0]

        def work() -> None:
            job = current_job()
            assert job is not None
            job.progress(0.25, "a quarter")
            job.log("line")
            job.meta["seen"] = True
            go_on.wait()

        job = self.declare(work).enqueue()
        with self.queue.worker():
            until(lambda: self.queue.counts()[State.RUNNING] == 1)
            before = time.monotonic()
            until(lambda: job.refresh().progress == 0.25, "the progress")
            self.assertLess(time.monotonic() - before, 2)  # 0.5 s is told; the machine may be busy
            self.assertEqual((job.progress_text, job.meta), ("a quarter", {"seen": True}))
            self.assertEqual(job.log[0].text, "line")
            go_on.set()


def taken_over() -> str:
    """What the next worker knows under the same name."""
    return "taken over"


def nothing() -> None:
    """A task that does nothing."""
