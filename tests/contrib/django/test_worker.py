"""`manage.py litequeue_worker` runs Django Tasks as Django expects, and nothing but them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

from tests.contrib.django.case import FOLDER, DjangoTest, queue_of

# isort: split
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone

import litequeue
from litequeue.contrib.django import LiteQueueBackend
from litequeue.contrib.django.framework import TaskResultStatus, task_finished, task_started
from tests.contrib.django import tasks
from tests.contrib.django.settings import BACKEND, TASKS
from tests.repository import ROOT
from tests.support import PATIENCE_SECONDS, folder_for

READY, SUCCESSFUL, FAILED = TaskResultStatus.READY, TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED
ANYWHERE = """
import pathlib, time
from tests.contrib.django.tasks import task

@task
def slow():
    with open(pathlib.Path(__file__).parent / "begun", "a") as file:
        file.write("x")
    time.sleep(3)
"""


class Ears:
    """What the signals of a worker said, in their order, with the error that there was meanwhile."""

    def __init__(self, test: DjangoTest) -> None:
        self.heard: list[tuple[str, str, Any, type[BaseException] | None]] = []
        for signal_, receiver in ((task_started, self.started), (task_finished, self.finished)):
            signal_.connect(receiver)
            test.addCleanup(signal_.disconnect, receiver)

    def started(self, sender: object, task_result: Any, **_: Any) -> None:
        assert sender is LiteQueueBackend
        self.heard.append(("started", task_result.id, task_result.status, sys.exc_info()[0]))

    def finished(self, sender: object, task_result: Any, **_: Any) -> None:
        assert sender is LiteQueueBackend
        self.heard.append(("finished", task_result.id, task_result.status, sys.exc_info()[0]))


class TestRunning(DjangoTest):
    def result(self, task: Any, *args: Any) -> Any:
        result = task.enqueue(*args)
        self.run_worker(backend=task.backend)
        result.refresh()
        return result

    def test_plain_functions_and_coroutines_run(self) -> None:
        for task in (tasks.add, tasks.aadd):
            result = self.result(task, 4)
            self.assertEqual((result.status, result.return_value), (SUCCESSFUL, 5))
            self.assertEqual((result.attempts, len(result.worker_ids), result.errors), (1, 1, []))

    def test_an_error_is_kept(self) -> None:
        for task, args, kind, words in (
            (tasks.fail, ["no"], ValueError, "ValueError: no\n"),
            (tasks.leave, [], SystemExit, "SystemExit: enough\n"),
            (tasks.give_a_function, [], TypeError, "Unsupported type: <class 'function'>\n"),
        ):
            with self.subTest(task.name):
                result = self.result(task, *args)
                self.assertEqual((result.status, result.attempts), (FAILED, 1))
                self.assertRaisesRegex(ValueError, "failed", getattr, result, "return_value")
                self.assertIs(result.errors[0].exception_class, kind)
                self.assertTrue(result.errors[0].traceback.endswith(words), result.errors[0].traceback)

    def test_a_result_is_the_json_that_comes_back(self) -> None:
        self.assertEqual(self.result(tasks.echo, {"a": (1, READY)}).return_value, {"a": [1, "READY"]})

    def test_the_context_is_the_first_argument(self) -> None:
        result = self.result(tasks.tell_context, "word")
        self.assertEqual(result.return_value, [1, result.id, "RUNNING", ["word"], "word"])

    def test_attempts_are_counted_and_each_error_kept(self) -> None:
        result = tasks.fail_twice.enqueue()
        seen = []
        while result.status != SUCCESSFUL:
            self.run_worker(backend="stubborn", max_jobs=1, burst=False)
            result.refresh()
            seen.append((str(result.status), result.attempts, len(result.errors)))
        self.assertEqual(seen, [("READY", 1, 1), ("READY", 2, 2), ("SUCCESSFUL", 3, 2)])
        self.assertEqual((result.return_value, len(set(result.worker_ids))), (3, 3))
        self.assertEqual([error.exception_class for error in result.errors], [ConnectionError] * 2)
        self.assertLess(result.started_at, result.last_attempted_at)
        self.assertIsNone(result.task.run_after)

    def test_the_order_is_that_of_priority(self) -> None:
        path = str(folder_for(self) / "lines")
        for priority in (0, -100, 100, 7):
            tasks.append.using(priority=priority).enqueue(path, f"{priority} ")
        tasks.append.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(path, "too early ")
        self.run_worker()
        with open(path) as file:
            self.assertEqual(file.read(), "100 7 0 -100 ")

    def test_only_the_queues_asked_for_are_served(self) -> None:
        mail = tasks.add.using(queue_name="mails").enqueue(1)
        self.run_worker(queues="default")
        mail.refresh()
        self.assertEqual(mail.status, READY)
        self.run_worker()  # all that the backend has
        mail.refresh()
        self.assertEqual(mail.status, SUCCESSFUL)

    def test_only_django_tasks_run(self) -> None:
        path = folder_for(self) / "made"
        module = "tests.contrib.django.tasks"
        names = [f"{module}:plain", "os:mkdir", f"{module}:os.mkdir", f"{module}:under_another_name"]
        jobs = [queue_of().enqueue(name, args=(str(path),)) for name in names[:3]]
        jobs.append(queue_of().enqueue(f"{module}:ours", args=()))
        self.run_worker()
        self.assertFalse(path.exists())
        self.assertEqual([job.refresh().state for job in jobs], ["ready"] * 4)
        self.assertEqual([job.snapshot.parked for job in jobs], [True] * 4)

    def test_signals_tell_begin_and_end(self) -> None:
        ears = Ears(self)
        good, bad = tasks.add.enqueue(1), tasks.fail.enqueue("x")
        self.run_worker()
        self.assertCountEqual(
            ears.heard,
            [
                ("started", good.id, TaskResultStatus.RUNNING, None),
                ("finished", good.id, SUCCESSFUL, None),
                ("started", bad.id, TaskResultStatus.RUNNING, None),
                ("finished", bad.id, FAILED, litequeue.JobFailed),
            ],
        )

    def test_an_attempt_that_is_not_the_last_does_not_finish(self) -> None:
        ears = Ears(self)
        result = tasks.fail_twice.enqueue()
        self.run_worker(backend="stubborn", max_jobs=3, burst=False)
        self.assertEqual([name for name, *_ in ears.heard], ["started"] * 3 + ["finished"])
        self.assertEqual(ears.heard[-1][1:], (result.id, SUCCESSFUL, None))

    def test_connections_are_closed_after_each_job(self) -> None:
        results = [task.enqueue() for task in (tasks.select, tasks.aselect) for _ in range(3)]
        self.run_worker()
        for result in results:
            result.refresh()
            self.assertIs(result.return_value, True, result)

    def test_connections_that_may_last_do(self) -> None:
        connection.settings_dict["CONN_MAX_AGE"] = 60
        self.addCleanup(connection.settings_dict.__setitem__, "CONN_MAX_AGE", 0)
        self.addCleanup(connection.close)
        first, second = tasks.select.enqueue(), tasks.select.enqueue()
        self.run_worker()
        first.refresh()
        second.refresh()
        self.assertEqual((first.return_value, second.return_value), (True, False))

    def test_a_time_limit_fails_it(self) -> None:
        ears = Ears(self)
        options = {**TASKS["default"]["OPTIONS"], "timeout": 0.2}
        with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
            results = [task.enqueue() for task in (tasks.wait, tasks.await_)]
            self.run_worker()
        for result in results:
            result.refresh()
            self.assertEqual((result.status, result.attempts), (FAILED, 1))
            self.assertIs(result.errors[0].exception_class, litequeue.TaskTimeout)
            self.assertIn(("finished", result.id, FAILED, litequeue.JobFailed), ears.heard)

    def test_the_running_job_is_there(self) -> None:
        self.assertEqual(self.result(tasks.count_attempts).return_value, 1)

    def test_other_backends_and_options_are_refused(self) -> None:
        dummy = f"{READY.__class__.__module__.partition('.base')[0]}.backends.dummy.DummyBackend"
        refused = self.assertRaisesRegex(CommandError, "is a DummyBackend, not a LiteQueueBackend")
        with override_settings(TASKS={**TASKS, "dummy": {"BACKEND": dummy}}), refused:
            call_command("litequeue_worker", backend="dummy", verbosity=0)
        with self.assertRaisesRegex(CommandError, "threads is 0; give a whole number"):
            call_command("litequeue_worker", threads=0, verbosity=0)


class Command:
    """The command as people run it, and what it has said so far."""

    def __init__(self, test: DjangoTest, *options: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "django", "litequeue_worker", *options],
            cwd=ROOT,
            env=os.environ
            | {"PYTHONPATH": f"{ROOT}{os.pathsep}{FOLDER}", "LITEQUEUE_TEST_LOGS": "1"}
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said = ""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        test.addCleanup(self._end)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._news:
                    self.said += line
                    self._news.notify()

    def says(self, words: str, times: int = 1, seconds: float = PATIENCE_SECONDS) -> bool:
        """Wait until it has said this so many times; whether it has."""
        with self._news:
            return self._news.wait_for(lambda: self.said.count(words) >= times, seconds)

    def wait(self) -> int:
        """Wait until it ends; its exit code."""
        code = self._process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        return code

    def terminate(self) -> int:
        """Ask it to stop; its exit code."""
        self._process.terminate()
        return self.wait()

    def _end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # with the one below the reloader
        self.wait()


class TestProcesses(DjangoTest):
    def test_a_killed_worker_is_one_attempt(self) -> None:
        result = tasks.kill_first.enqueue(str(folder_for(self) / "flag"))
        self.assertEqual(Command(self, "--burst").wait(), -signal.SIGKILL)
        second = Command(self, "--burst")
        self.assertEqual(second.wait(), 0, second.said)
        result.refresh()
        self.assertEqual((result.return_value, result.attempts), ("alive", 2))
        self.assertIs(result.errors[0].exception_class, litequeue.JobFailed)

    def test_a_task_that_kills_too_often_has_failed(self) -> None:
        options = {**TASKS["default"]["OPTIONS"], "max_crashes": 1}
        with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
            result = tasks.kill_first.enqueue(str(folder_for(self) / "flag"))
        self.assertEqual(Command(self, "--burst").wait(), -signal.SIGKILL)
        ears = Ears(self)
        self.run_worker()  # it finds the dead one
        result.refresh()
        self.assertEqual((result.status, result.attempts), (FAILED, 1))
        self.assertIs(result.errors[0].exception_class, litequeue.JobFailed)
        self.assertEqual(ears.heard, [("finished", result.id, FAILED, litequeue.JobFailed)])

    def test_processes_find_the_tasks_and_send_the_signals(self) -> None:
        results = [task.enqueue(1) for task in (tasks.add, tasks.aadd) for _ in range(5)]
        worker = Command(self, "--burst", "--processes", "2", "--log-json")
        self.assertEqual(worker.wait(), 0, worker.said)
        for result in results:
            self.assertIn(f"Task id={result.id} path={result.task.module_path} state=SUCCESSFUL", worker.said)

    def test_systemd_hears_when_it_works_and_when_it_stops(self) -> None:
        address = str(folder_for(self) / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address)
            manager.settimeout(PATIENCE_SECONDS)
            worker = Command(self, NOTIFY_SOCKET=address)
            self.assertEqual(manager.recv(100), b"READY=1")
            self.assertEqual(worker.terminate(), 0, worker.said)
            while manager.recv(100) != b"STOPPING=1":
                pass

    def test_a_file_that_is_gone_ends_it(self) -> None:
        worker = Command(self, "--backend", "stubborn")
        self.assertTrue(worker.says("start worker="), worker.said)
        for file in FOLDER.glob("jobs.db*"):
            file.rename(FOLDER / f"away-{file.name}")
        self.addCleanup(self._bring_back)
        self.assertEqual(worker.wait(), 3, worker.said)
        self.assertIn("was removed or replaced", worker.said)

    def _bring_back(self) -> None:
        for file in FOLDER.glob("away-*"):
            file.rename(FOLDER / file.name.removeprefix("away-"))

    def test_it_begins_anew_when_code_of_an_app_changes(self) -> None:
        module = FOLDER / "anywhere" / "tasks.py"
        module.parent.mkdir()
        module.write_text(ANYWHERE)
        job = queue_of().enqueue("anywhere.tasks:slow", args=())
        worker = Command(self, "--reload", LITEQUEUE_TEST_APPS="anywhere")
        self.assertTrue(worker.says("state=RUNNING"), worker.said)
        for _ in range(15):
            os.utime(module)
            if worker.says("changed, reloading", seconds=2):
                break
        self.assertTrue(worker.says("start worker=", 2), worker.said)
        self.assertEqual(job.wait(PATIENCE_SECONDS), "completed")
        self.assertEqual(worker.terminate(), 0, worker.said)
        self.assertEqual((job.refresh().failures, job.errors), (0, []))
        self.assertEqual((module.parent / "begun").read_text(), "x")
