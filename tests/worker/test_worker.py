"""The worker that users hold: in the background, in the foreground with signals, and how each stops."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from unittest import mock

from litequeue import State, current_job
from litequeue.errors import DatabaseError, DiskFull, FileReplaced, QueueClosed, WorkerError
from litequeue.worker.limits import Limits
from litequeue.worker.loop import Loop
from tests.support import PATIENCE_SECONDS, Program
from tests.worker.case import CrewCase, FileCase, until, wait_for


class InTheBackground(FileCase):
    def test_it_runs_jobs_and_leaves_nothing_behind(self) -> None:
        task = self.declare(nothing)
        before = set(threading.enumerate())
        with self.queue.worker(threads=2):
            self.assertEqual(task.enqueue().wait(PATIENCE_SECONDS), State.COMPLETED)
            self.assertEqual(len(self.queue.workers()), 1)
        self.assertEqual(self.queue.workers(), [])
        until(lambda: set(threading.enumerate()) <= before, "the end of its threads")

    def test_signals_are_left_alone(self) -> None:
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        with self.queue.worker():
            self.assertEqual((signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)), before)

    def test_leaving_lets_running_jobs_finish(self) -> None:
        began, go_on = self.events(2)

        def work() -> str:
            began.set()
            go_on.wait()
            return "done"

        job, other = self.enqueue(work), self.enqueue(nothing)
        worker = self.queue.worker().start()
        wait_for(began)
        worker.stop()
        go_on.set()
        self.assertTrue(worker.join(PATIENCE_SECONDS))
        self.assertEqual((job.result(0), other.refresh().state), ("done", State.READY))

    def test_a_second_stop_gives_the_job_back_at_no_cost(self) -> None:
        began, go_on = self.events(2)

        def work() -> None:
            began.set()
            go_on.wait()

        job = self.enqueue(work)
        worker = self.queue.worker(grace=3600).start()
        wait_for(began)
        worker.stop()
        worker.stop()
        self.assertTrue(worker.join(PATIENCE_SECONDS))
        job.refresh()
        self.assertEqual((job.state, job.failures, job.snapshot.crashes), (State.READY, 0, 0))

    def test_when_the_grace_is_over_the_job_is_given_back_and_its_late_end_changes_nothing(self) -> None:
        began, go_on = self.events(2)

        def work() -> str:
            job = current_job()
            assert job is not None
            if job.attempt == 1:
                began.set()
                go_on.wait()
            return f"attempt {job.attempt}"

        job = self.enqueue(work)
        worker = self.queue.worker(grace=0.05).start()
        wait_for(began)
        worker.stop()
        self.assertTrue(worker.join(PATIENCE_SECONDS))
        self.assertEqual(job.refresh().state, State.READY)
        with self.queue.worker():
            go_on.set()
            self.assertEqual(job.result(PATIENCE_SECONDS), "attempt 2")

    def test_an_early_job_that_began_is_not_given_back_to_run_twice(self) -> None:
        began, go_on = self.events(2)

        def work() -> None:
            began.set()
            go_on.wait()

        job, other = self.enqueue(work, ack="early"), self.enqueue(nothing, ack="early")
        worker = self.queue.worker(grace=0.05).start()
        wait_for(began)
        worker.stop()
        self.assertTrue(worker.join(PATIENCE_SECONDS))
        self.assertEqual((job.refresh().state, job.reason), (State.FAILED, "lost"))
        self.assertEqual(other.refresh().state, State.READY)

    def test_one_stopped_before_it_began_ends_at_once(self) -> None:
        worker = self.queue.worker()
        worker.stop()
        thread = threading.Thread(target=worker.run)
        thread.start()
        thread.join(PATIENCE_SECONDS)
        self.assertFalse(thread.is_alive())

    def test_what_ends_it_is_said_at_once_and_raised_when_it_is_joined(self) -> None:
        full = mock.patch("litequeue.storage.workers.Workers.sign_on", side_effect=DiskFull("no room"))
        with full, self.assertLogs("litequeue", "ERROR") as logs:
            worker = self.queue.worker().start()
            with self.assertRaises(DiskFull):
                worker.join(PATIENCE_SECONDS)
        self.assertIn("no room", "".join(logs.output))

    def test_one_that_ends_by_an_error_nobody_foresaw_leaves_its_jobs_as_if_it_had_been_killed(self) -> None:
        """Out of memory, say. To give back what ran at no cost would let a task do it again for ever."""
        began, go_on = self.events(2)

        def work() -> None:
            began.set()
            go_on.wait()

        job = self.enqueue(work)
        worker = self.queue.worker().start()
        wait_for(began)
        with mock.patch.object(Loop, "_cycle", side_effect=MemoryError), self.assertRaises(MemoryError):
            worker.join(PATIENCE_SECONDS)
        with self.queue.worker(queues=["nobody's"]):
            until(lambda: job.refresh().state is State.READY, "the reaping")
        self.assertEqual(job.snapshot.crashes, 1)

    def test_too_many_stuck_threads_end_it_with_an_error(self) -> None:
        go_on = self.events(1)[0]

        def deaf() -> None:
            while not go_on.wait(PATIENCE_SECONDS):
                pass

        task = self.declare(deaf, timeout=0.02)
        jobs = [task.enqueue() for _ in range(2)]
        with mock.patch.object(Limits.__init__, "__defaults__", (20_000,)):
            worker = self.queue.worker(threads=2, grace=1).start()
            with self.assertRaisesRegex(WorkerError, "stuck"):
                worker.join(PATIENCE_SECONDS)
        self.assertEqual([job.refresh().reason for job in jobs], ["timeout", "timeout"])

    def test_a_coroutine_that_blocks_the_event_loop_is_blamed_and_no_other(self) -> None:
        waits, blocks, go_on = self.events(3)

        async def neighbour() -> None:
            waits.set()
            await asyncio.Event().wait()

        async def hog() -> None:
            blocks.set()
            go_on.wait()

        beside, blocking = self.enqueue(neighbour), self.enqueue(hog)
        loop = self.loop(grace=0.05)
        thread = threading.Thread(target=loop.run, daemon=True)
        thread.start()
        wait_for(waits)
        wait_for(blocks)
        assignments = {one.lease.job: one for one in loop.running()}
        self.assertFalse(loop._hands._on_stuck(assignments[beside.id], 0, ""))
        self.assertTrue(loop._hands._on_stuck(assignments[blocking.id], 0, ""))
        thread.join(PATIENCE_SECONDS)
        self.assertEqual((loop.recycle, thread.is_alive()), (True, False))
        self.assertEqual((blocking.refresh().reason, beside.refresh().state), ("timeout", State.READY))

    def test_a_task_that_closes_the_queue_of_its_worker_ends_it(self) -> None:
        job = self.enqueue(self.close_queue)
        worker = self.queue.worker().start()
        with self.assertRaisesRegex(QueueClosed, "closed"):
            worker.join(PATIENCE_SECONDS)
        with self.make_queue() as queue:
            self.assertEqual(queue.drain(), 0)  # what it does first is to take up what the dead have left
            self.assertEqual(queue.job(job.id).snapshot.crashes, 1)

    def close_queue(self) -> None:
        self.queue.close()

    def test_a_task_that_closes_the_descriptors_of_its_worker_ends_it(self) -> None:
        def close() -> None:
            assert side is not None
            os.close(side._descriptor)

        side = self.queue.desk.database.side
        if side is None:
            self.skipTest("there are no locks of this kind here")
        self.enqueue(close)
        with self.assertRaisesRegex(FileReplaced, "descriptor"):
            self.queue.worker().start().join(PATIENCE_SECONDS)
        side._descriptor = -1  # or it would be closed twice

    def test_a_replaced_file_ends_it(self) -> None:
        worker = self.queue.worker().start()
        until(self.queue.workers)
        self.path.rename(self.folder / "elsewhere.db")
        with self.assertRaisesRegex(Exception, "removed or replaced"):
            worker.join(PATIENCE_SECONDS)

    def test_a_queue_that_closes_lets_running_jobs_finish_first(self) -> None:
        began, go_on = self.events(2)

        def work() -> str:
            began.set()
            go_on.wait()
            return "done"

        job = self.enqueue(work)
        worker = self.queue.worker().start()
        wait_for(began)
        closing = threading.Thread(target=self.queue.close)
        closing.start()
        until(lambda: worker._running is not None and worker._running._stops.asked)  # type: ignore[union-attr]
        go_on.set()
        closing.join(PATIENCE_SECONDS)
        self.assertTrue(worker.join(0))
        self.assertEqual(self.make_queue().job(job.id).result(0), "done")

    def test_a_queue_that_closes_gives_back_at_no_cost_what_does_not_end(self) -> None:
        began, go_on = self.events(2)

        def work() -> None:
            began.set()
            go_on.wait()

        job = self.enqueue(work)
        with self.queue as queue:
            worker = queue.worker(grace=0.05).start()
            wait_for(began)
        self.assertTrue(worker.join(0))
        left = self.make_queue().job(job.id)
        self.assertEqual((left.state, left.failures, left.snapshot.crashes), (State.READY, 0, 0))

    def test_a_queue_in_the_middle_of_a_write_is_not_closed_and_its_workers_go_on(self) -> None:
        task = self.declare(nothing)
        with self.queue.worker():
            with self.queue.transaction(), self.assertRaisesRegex(DatabaseError, "transaction open"):
                self.queue.close()
            self.assertEqual(task.enqueue().wait(PATIENCE_SECONDS), State.COMPLETED)

    def test_a_queue_forgets_the_workers_that_have_ended(self) -> None:
        with self.queue.worker():
            self.assertEqual(len(self.queue.behind), 1)
        until(lambda: not self.queue.behind)

    def test_it_can_not_be_started_twice(self) -> None:
        with self.queue.worker() as worker, self.assertRaises(WorkerError):
            worker.start()

    def test_a_child_may_not_start_workers_of_its_own(self) -> None:
        with mock.patch.dict(os.environ, LITEQUEUE_CHILD="1"):
            with self.assertRaisesRegex(WorkerError, "__main__"):
                self.queue.worker().start()
            with self.assertRaisesRegex(WorkerError, "__main__"):
                self.queue.worker(processes=2).start()

    def test_a_cancelled_job_is_told_and_ends_as_cancelled(self) -> None:
        began = self.events(1)[0]

        def work() -> None:
            job = current_job()
            assert job is not None
            began.set()
            until(lambda: job.cancelled, "the request")

        job = self.enqueue(work)
        with self.queue.worker():
            wait_for(began)
            job.cancel()
            self.assertEqual(job.wait(PATIENCE_SECONDS), State.CANCELLED)

    def test_a_cancelled_coroutine_is_interrupted_at_its_await(self) -> None:
        began = self.events(1)[0]

        async def work() -> None:
            began.set()
            await asyncio.Event().wait()

        job = self.enqueue(work)
        with self.queue.worker():
            wait_for(began)
            job.cancel()
            self.assertEqual(job.wait(PATIENCE_SECONDS), State.CANCELLED)

    def test_a_coroutine_that_ends_in_the_grace_is_completed(self) -> None:
        began, go_on = self.events(2)

        async def work() -> str:
            began.set()
            while not go_on.is_set():
                await asyncio.sleep(0.001)
            return "done"

        job = self.enqueue(work)
        worker = self.queue.worker().start()
        wait_for(began)
        worker.stop()
        go_on.set()
        self.assertTrue(worker.join(PATIENCE_SECONDS))
        self.assertEqual(job.result(0), "done")


RUN = "from tests.worker.crew import queue; queue.worker({}).run(); print('ended', flush=True)"


class InTheForeground(CrewCase):
    def worker(self, options: str = "") -> Program:
        return Program(self, RUN.format(options))

    def test_a_first_sigterm_lets_the_job_finish(self) -> None:
        job, other = self.send("wait_for_word"), self.send("nothing")
        program = self.worker()
        self.assertEqual(program.hear(), "began 1")
        program.kill(signal.SIGTERM)
        until(lambda: self.queue.desk.reports.workers()[0].stopping, "the announcement")
        program.tell()
        self.assertEqual((program.hear(), program.wait()), ("ended", 0))
        self.assertEqual((job.result(0), other.refresh().state), ("attempt 1", State.READY))

    def test_a_second_sigterm_gives_it_back_at_no_cost(self) -> None:
        job = self.send("hang_for_ever")
        program = self.worker("grace=3600")
        program.hear()
        program.kill(signal.SIGTERM)
        until(lambda: self.queue.desk.reports.workers()[0].stopping, "the announcement")
        program.kill(signal.SIGTERM)
        self.assertEqual((program.hear(), program.wait()), ("ended", 0))
        job.refresh()
        self.assertEqual((job.state, job.failures, job.snapshot.crashes), (State.READY, 0, 0))

    def test_ctrl_c_stops_as_sigterm_does(self) -> None:
        self.send("wait_for_word")
        program = self.worker()
        program.hear()
        program.kill(signal.SIGINT)
        until(lambda: self.queue.desk.reports.workers()[0].stopping, "the announcement")
        program.tell()
        self.assertEqual((program.hear(), program.wait()), ("ended", 0))

    def test_an_idle_worker_stops_at_once(self) -> None:
        program = self.worker()
        until(self.queue.workers)
        program.kill(signal.SIGTERM)
        self.assertEqual((program.hear(), program.wait()), ("ended", 0))

    def test_the_handlers_are_put_back(self) -> None:
        code = (
            "import signal; from tests.worker.crew import queue;"
            "queue.worker(burst=True).run();"
            "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)"
        )
        self.assertEqual(Program(self, code).hear(), "True")

    def test_a_module_that_starts_a_worker_when_imported_is_told_so(self) -> None:
        code = "from tests.worker.crew import queue; queue.worker().run()"
        ended = subprocess.run(
            [sys.executable, "-c", code],
            check=False,
            env={**os.environ, "LITEQUEUE_CHILD": "1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        self.assertEqual(ended.returncode, 1)
        self.assertIn('if __name__ == "__main__"', ended.stderr)


def nothing() -> None:
    """A task that does nothing."""
