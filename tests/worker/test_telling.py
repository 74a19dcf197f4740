"""Hooks and middleware in workers: threads, coroutines, child processes, other processes."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

from litequeue import Job, Snooze, State, current_job
from litequeue.job import FailedAttempt, NewWorker, Want
from litequeue.worker import teller
from tests.support import PATIENCE_SECONDS
from tests.users.case import run_python
from tests.worker import crew
from tests.worker.case import CrewCase, FileCase, until, wait_for

APP = """
import os
from pathlib import Path
from litequeue import Queue, Retry, current_job

queue = Queue("elsewhere.db")  # never made: the worker is told another file
told = Path("told")

def write(*words):
    with told.open("a") as file:
        print(*words, file=file)

@queue.on("completed")
def completed(job):
    write("completed", job.id, job.args, job.refresh().state)

@queue.on("reaped")
def reaped(job, error):
    write("reaped", job.id, error.type)

@queue.middleware
def around(job, call_next):
    write("around", job.id, os.getppid())
    return call_next()

@queue.task
def work(number: int) -> int:
    return 2 * number
"""


def nothing() -> None:
    """Do nothing."""


class Telling(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.heard: list[tuple[str, int, str]] = []
        self.threads: set[str] = set()

    def listen(self, *events: str) -> None:
        """Write down what is heard, and on which thread."""
        on: Any = self.queue.on
        for event in events:
            on(event, self.noting(event))

    def noting(self, event: str) -> Callable[..., None]:
        def note(job: Job[Any], error: FailedAttempt | None = None) -> None:
            self.threads.add(threading.current_thread().name)
            self.heard.append((event, job.id, str(job.state)))

        return note

    def test_a_worker_tells_all_before_it_ends_on_a_thread_of_its_own(self) -> None:
        self.listen("claimed", "completed", "retried")
        task = self.declare(nothing)
        jobs = self.queue.enqueue_many(task.call() for _ in range(200))
        self.burst(threads=4)
        for event, state in (("claimed", "running"), ("completed", "completed")):
            heard = [(id, seen) for name, id, seen in self.heard if name == event]
            self.assertEqual(sorted(heard), [(job.id, state) for job in jobs])
        self.assertEqual(self.threads, {"litequeue-hooks"})

    def test_coroutines_too(self) -> None:
        self.listen("claimed", "snoozed", "completed")

        async def work() -> None:
            job = current_job()
            if job is not None and job.attempt == 1:
                raise Snooze(0)

        self.enqueue(work)
        self.burst()
        self.assertEqual(
            [event for event, _, _ in self.heard], ["claimed", "snoozed", "claimed", "completed"]
        )

    def test_a_hook_that_takes_its_time_holds_up_no_job(self) -> None:
        began, go_on = self.events(2)

        @self.queue.on("completed")
        def slow(job: Job[Any]) -> None:
            began.set()
            go_on.wait(PATIENCE_SECONDS)

        task = self.declare(nothing)
        first = task.enqueue()
        with self.queue.worker():
            wait_for(began)
            self.assertEqual(first.refresh().state, State.COMPLETED)
            after = [task.enqueue() for _ in range(20)]
            for job in after:
                self.assertEqual(job.wait(PATIENCE_SECONDS), State.COMPLETED)
            go_on.set()

    def test_what_finds_no_room_is_lost_and_logged(self) -> None:
        go_on = self.events(1)[0]
        self.queue.on("completed", lambda job: go_on.wait(PATIENCE_SECONDS))
        task = self.declare(nothing)
        jobs = self.queue.enqueue_many(task.call() for _ in range(50))
        with (
            mock.patch.object(teller, "_MOST", 3),
            mock.patch.object(teller, "_PATIENCE", 1000),
            self.assertLogs("litequeue", "ERROR") as logged,
            self.queue.worker(),
        ):
            for job in jobs:
                self.assertEqual(job.wait(PATIENCE_SECONDS), State.COMPLETED)
            until(lambda: any("hooks are too slow" in line for line in logged.output), "the loss")
            go_on.set()

    def test_a_hook_that_never_ends_does_not_keep_the_worker(self) -> None:
        go_on = self.events(1)[0]
        self.queue.on("completed", lambda job: go_on.wait(PATIENCE_SECONDS))
        self.declare(nothing).enqueue()
        with mock.patch.object(teller, "_TIME_TO_END", 0.01), self.assertLogs("litequeue", "ERROR") as logged:
            self.burst()
        self.assertIn("hooks do not end", logged.output[-1])

    def test_what_is_given_back_at_the_end_is_told(self) -> None:
        began, go_on = self.events(2)
        self.listen("released", "completed")

        def work() -> None:
            began.set()
            go_on.wait(PATIENCE_SECONDS)

        job = self.enqueue(work)
        worker = self.queue.worker(grace=0.01).start()
        wait_for(began)
        worker.stop()
        self.assertTrue(worker.join(PATIENCE_SECONDS))
        self.assertEqual(self.heard, [("released", job.id, "ready")])
        go_on.set()

    def test_what_completes_through_its_transaction_is_told_once(self) -> None:
        self.listen("completed")

        def work() -> None:
            job = current_job()
            assert job is not None
            with job.transaction() as connection:
                connection.execute("CREATE TABLE mine (x)")

        job = self.enqueue(work)
        self.burst()
        self.assertEqual(self.heard, [("completed", job.id, "completed")])

    def test_the_dead_are_told_also_when_nobody_has_met_the_task_yet(self) -> None:
        self.listen("reaped", "completed")
        job = self.enqueue(nothing)
        desk = self.queue.desk
        dead = desk.workers.sign_on(NewWorker("dead", 1, lease=0), locked=False)
        desk.store.claim(dead, [Want("default", 1, 1)])
        self.burst()
        self.assertEqual(self.heard, [("reaped", job.id, "ready"), ("completed", job.id, "completed")])

    def test_without_hooks_nothing_is_asked_and_no_thread_begins(self) -> None:
        self.declare(nothing).enqueue()
        with mock.patch.object(teller.TellerAside, "_start") as start:
            self.burst()
        start.assert_not_called()

    def test_middleware_stands_around_threads_and_coroutines(self) -> None:
        @self.queue.middleware
        def plain(job: Any, call_next: Callable[[], Any]) -> Any:
            return ["plain", call_next()]

        @self.queue.middleware
        async def other(job: Any, call_next: Callable[[], Any]) -> Any:
            return ["async", await call_next()]

        async def later() -> int:
            return 1

        jobs = [self.enqueue(nothing), self.enqueue(later)]
        self.burst()
        self.assertEqual([job.result(0) for job in jobs], [["plain", None], ["async", 1]])

    def test_the_time_limit_covers_it(self) -> None:
        go_on = self.events(1)[0]

        @self.queue.middleware
        def slow(job: Any, call_next: Callable[[], Any]) -> Any:
            while not go_on.wait(0.001):
                pass

        job = self.enqueue(nothing, timeout=0.05)
        self.burst()
        self.assertEqual((job.refresh().state, job.reason), (State.FAILED, "timeout"))


class Isolated(CrewCase):
    def test_middleware_runs_inside_the_child(self) -> None:
        self.queue.declared.update(crew.queue.declared)
        job = self.send("isolated_wrapped")
        with self.queue.worker():
            inside, pid = job.result(PATIENCE_SECONDS)
        self.assertEqual(inside, pid)
        self.assertNotEqual(pid, os.getpid())


class Elsewhere(FileCase):
    """A worker that was started on the command line learns of hooks with the module of the task."""

    def setUp(self) -> None:
        super().setUp()
        (self.folder / "app.py").write_text(APP)
        self.queue.counts()

    def told(self) -> list[list[str]]:
        return [line.split(" ", 2) for line in (self.folder / "told").read_text().splitlines()]

    def work(self, *options: str) -> None:
        run_python("-m", "litequeue", "worker", self.path, "--burst", *options, cwd=self.folder)

    def test_the_hooks_of_the_app_hear_of_jobs_in_the_workers_file(self) -> None:
        for options in ((), ("--app", "app"), ("--processes", "1")):
            with self.subTest(options=options):
                job = self.queue.enqueue("app:work", 21)
                self.work(*options)
                around, completed = self.told()
                self.assertEqual(around[:2], ["around", str(job.id)])
                self.assertEqual(completed, ["completed", str(job.id), "(21,) completed"])
                (self.folder / "told").unlink()
        self.assertFalse((self.folder / "elsewhere.db").exists())

    def test_one_whose_task_it_has_not_met_is_heard_of_when_it_is_reaped(self) -> None:
        job = self.queue.enqueue("app:work", 21)
        desk = self.queue.desk
        dead = desk.workers.sign_on(NewWorker("dead", 1, lease=0), locked=False)
        desk.store.claim(dead, [Want("default", 1, 1)])
        self.work()
        self.assertIn(["reaped", str(job.id), "WorkerDied"], self.told())
        self.assertEqual(json.loads(json.dumps(job.result(0))), 42)
