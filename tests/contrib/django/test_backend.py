"""The backend keeps the contract of Django's Tasks: what is enqueued, and what is read back of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from tests.contrib.django.case import FOLDER, DjangoTest, queue_of

# isort: split
import django
from asgiref.sync import async_to_sync
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import override_settings
from django.utils import timezone
from django.utils.safestring import mark_safe

import litequeue
from litequeue.contrib.django import LiteQueueBackend
from litequeue.contrib.django.framework import (
    InvalidTask,
    Task,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
    task_enqueued,
)
from litequeue.storage.checkpoint import carries_reset_fault
from tests.contrib.django import tasks
from tests.contrib.django.settings import BACKEND, TASKS
from tests.markdown import blocks
from tests.repository import ROOT, run_python
from tests.support import PATIENCE_SECONDS, folder_for

READY, SUCCESSFUL, FAILED = TaskResultStatus.READY, TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED


@contextmanager
def heard() -> Iterator[list[tuple[object, Any]]]:
    """What `task_enqueued` says meanwhile."""
    found: list[tuple[object, Any]] = []

    def hear(sender: object, task_result: Any, **_: Any) -> None:
        found.append((sender, task_result))

    task_enqueued.connect(hear)
    try:
        yield found
    finally:
        task_enqueued.disconnect(hear)


@contextmanager
def autocommit_off() -> Iterator[None]:
    """A database whose transactions have no visible begin, and a table to write into."""
    connection.cursor().execute("CREATE TABLE IF NOT EXISTS lines (number INTEGER)")
    transaction.set_autocommit(False)
    try:
        yield
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


class TestEnqueue(DjangoTest):
    def test_all_is_supported(self) -> None:
        for flag in ("defer", "async_task", "get_result", "priority"):
            self.assertIs(getattr(LiteQueueBackend, f"supports_{flag}"), True)

    def test_an_enqueue_gives_a_result_that_is_ready(self) -> None:
        for task in (tasks.add, tasks.aadd):
            with self.subTest(task.name), heard() as signals:
                result = task.enqueue(1, right=3)
                self.assertEqual((result.status, result.is_finished, result.attempts), (READY, False, 0))
                self.assertEqual((result.started_at, result.last_attempted_at), (None, None))
                self.assertIsNone(result.finished_at)
                self.assertEqual((result.args, result.kwargs), ([1], {"right": 3}))
                self.assertEqual((result.task, result.backend), (task, "default"))
                self.assertEqual((result.errors, result.worker_ids), ([], []))
                self.assertRaisesRegex(ValueError, "not finished", getattr, result, "return_value")
                self.assertEqual(signals, [(LiteQueueBackend, result)])

    def test_a_coroutine_enqueues(self) -> None:
        with heard() as signals:
            result = asyncio.run(tasks.aadd.aenqueue(1))
        self.assertEqual(asyncio.run(tasks.aadd.aget_result(result.id)), result)
        self.assertEqual(signals, [(LiteQueueBackend, result)])

    def test_priority_queue_and_time_are_kept(self) -> None:
        then = timezone.now() + timedelta(hours=1)
        chosen = tasks.add.using(priority=-100, queue_name="mails", run_after=then)
        result = chosen.enqueue(1)
        job = queue_of().job(int(result.id))
        self.assertEqual((job.priority, job.queue, job.run_at, job.state), (-100, "mails", then, "scheduled"))
        self.assertEqual(chosen.get_result(result.id), result)
        self.assertEqual(chosen.get_result(result.id).task.run_after, then)

    def test_naive_times_are_those_of_the_time_zone(self) -> None:
        with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
            result = tasks.add.using(run_after=datetime(2099, 1, 1, 9)).enqueue(1)
            self.assertEqual(tasks.add.get_result(result.id), result)
            self.assertIsNone(result.enqueued_at.tzinfo)
            self.assertLess(abs(result.enqueued_at - timezone.now()), timedelta(minutes=1))
            self.assertEqual(result.task.run_after, datetime(2099, 1, 1, 9))
        run_at = queue_of().job(int(result.id)).run_at
        self.assertEqual(run_at.isoformat(), "2099-01-01T00:00:00+00:00")
        self.assertEqual(tasks.add.get_result(result.id).task.run_after, run_at)

    def test_arguments_are_the_json_that_comes_back(self) -> None:
        value = {"safe": mark_safe("<b>"), "status": READY, "pair": (1, 2), "bytes": b"x", 1: None}
        result = tasks.echo.enqueue(value)
        self.assertEqual(result, tasks.echo.get_result(result.id))
        self.assertEqual(
            json.loads(json.dumps(result.args)),
            [{"safe": "<b>", "status": "READY", "pair": [1, 2], "bytes": "x", "1": None}],
        )

    def test_what_is_no_json_or_does_not_fit_is_refused(self) -> None:
        for task, args, kwargs in (
            (tasks.echo, [timezone.now()], {}),
            (tasks.add, [], {}),
            (tasks.add, [1], {"wrong": 2}),
            (tasks.tell_context, ["one", "too many"], {}),
        ):
            self.assertRaises(TypeError, task.enqueue, *args, **kwargs)
        self.assertEqual(sum(queue_of().counts().values()), 0)

    def test_a_task_that_no_worker_would_find_is_refused(self) -> None:
        with self.assertRaisesRegex(InvalidTask, "tests.contrib.django.tasks.plain is not this Task"):
            tasks.under_another_name.enqueue("x")
        self.assertEqual(sum(queue_of().counts().values()), 0)

    def test_a_queue_is_checked_when_it_is_used(self) -> None:
        with override_settings(TASKS={"default": {**TASKS["default"], "QUEUES": []}}):
            chosen = tasks.add.using(queue_name="anywhere")
        with self.assertRaisesRegex(InvalidTask, "Queue 'anywhere' is not valid"):
            chosen.enqueue(1)

    def test_the_options_of_the_backend_go_with_the_job(self) -> None:
        result = tasks.add.using(backend="stubborn").enqueue(1)
        self.assertEqual(result.backend, "stubborn")
        self.assertEqual(task_backends["default"].get_result(result.id), result)
        self.assertIn('"max_attempts":3', queue_of().job(int(result.id)).snapshot.options or "")


class TestResults(DjangoTest):
    def test_there_is_none_of_this_id(self) -> None:
        for id in ("1", "0", "-1", "x", "", "1.5", "९", "9" * 30, 7, None):
            with self.subTest(id), self.assertRaises(TaskResultDoesNotExist):
                task_backends["default"].get_result(id)
            with self.subTest(id), self.assertRaises(TaskResultDoesNotExist):
                asyncio.run(task_backends["default"].aget_result(id))

    def test_only_django_tasks_have_results(self) -> None:
        module = "tests.contrib.django.tasks"
        for name in (
            "subprocess:check_output",
            f"{module}:plain",
            f"{module}:ours",
            f"{module}:gone",
            "no:x",
        ):
            job = queue_of().enqueue(name, args=())
            with self.subTest(name), self.assertRaisesRegex(TaskResultDoesNotExist, "no Task that is known"):
                task_backends["default"].get_result(str(job.id))

    def test_meta_that_somebody_else_wrote_is_told(self) -> None:
        for meta in (5, {"attempts": 5}, {"attempts": {"x": ["1", None]}}, {"run_after": "soon"}):
            job = queue_of().enqueue("tests.contrib.django.tasks:add", args=(1,), meta={"django": meta})
            with self.subTest(meta), self.assertRaisesRegex(litequeue.EncodingError, "the meta of job"):
                task_backends["default"].get_result(str(job.id))

    def test_a_module_that_is_not_of_the_project_is_not_imported(self) -> None:
        job = queue_of().enqueue("this:s", args=())  # it would print a poem
        self.assertRaises(TaskResultDoesNotExist, task_backends["default"].get_result, str(job.id))
        self.assertNotIn("this", sys.modules)

    def test_a_refresh_tells_what_became_of_it(self) -> None:
        result = tasks.add.enqueue(1)
        again = tasks.add.enqueue(2)
        self.run_worker()
        self.assertEqual(result.status, READY)
        result.refresh()
        asyncio.run(again.arefresh())
        self.assertEqual((result.status, result.return_value, result.attempts), (SUCCESSFUL, 2, 1))
        self.assertEqual((again.status, again.return_value, again.attempts), (SUCCESSFUL, 3, 1))
        self.assertLessEqual(result.enqueued_at, result.started_at)
        self.assertLessEqual(result.started_at, result.finished_at)
        self.assertEqual(result.started_at, result.last_attempted_at)

    def test_a_cancelled_job_has_failed(self) -> None:
        result = tasks.add.enqueue(1)
        queue_of().job(int(result.id)).cancel("not wanted")
        result.refresh()
        self.assertEqual((result.status, result.attempts), (FAILED, 0))
        self.assertIs(result.errors[0].exception_class, litequeue.JobCancelled)
        self.assertIn("not wanted", result.errors[0].traceback)

    def test_a_deleted_job_has_none(self) -> None:
        result = tasks.add.enqueue(1)
        queue_of().job(int(result.id)).delete()
        self.assertRaises(TaskResultDoesNotExist, result.refresh)


class TestOwnDatabase(DjangoTest):
    """With `database` the jobs lie beside Django's rows, and share their transactions."""

    task: Task = tasks.add.using(backend="shared")

    def test_a_job_commits_with_the_transaction(self) -> None:
        with transaction.atomic():
            result = self.task.enqueue(1)
            self.assertEqual(queue_of("shared").counts()["ready"], 0)
        self.assertEqual(self.task.get_result(result.id), result)

    def test_the_transaction_reads_what_it_has_written(self) -> None:
        with transaction.atomic():
            result = self.task.enqueue(1)
            read = self.task.get_result(result.id)
            result.refresh()
            self.assertEqual((read, result.status, result.args), (result, READY, [1]))
            async_to_sync(result.arefresh)()
            self.assertRaises(TaskResultDoesNotExist, self.task.get_result, str(int(result.id) + 1))

    def test_naive_times_are_those_of_the_time_zone(self) -> None:
        with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"), transaction.atomic():
            result = self.task.enqueue(1)
            self.assertEqual(self.task.get_result(result.id), result)
            self.assertLess(abs(result.enqueued_at - timezone.now()), timedelta(minutes=1))

    def test_with_autocommit_off_a_transaction_is_always_open(self) -> None:
        for has_written in (False, True):
            for ends, kept in ((transaction.rollback, False), (transaction.commit, True)):
                with self.subTest(has_written=has_written, kept=kept), autocommit_off():
                    if has_written:
                        connection.cursor().execute("INSERT INTO lines VALUES (1)")
                    result = self.task.enqueue(1)
                    self.assertEqual(self.task.get_result(result.id), result)
                    ends()
                    stored = [job.id for job in queue_of("shared").jobs()]
                    self.assertEqual(int(result.id) in stored, kept)

    def test_autocommit_may_be_off_in_the_settings(self) -> None:
        connection.close()
        with mock.patch.dict(connection.settings_dict, {"AUTOCOMMIT": False}):
            self.addCleanup(connection.close)
            result = self.task.enqueue(1)
            transaction.rollback()
        self.assertRaises(TaskResultDoesNotExist, result.refresh)

    def test_a_job_rolls_back_with_the_transaction(self) -> None:
        with self.assertRaises(LookupError), transaction.atomic():
            result = self.task.enqueue(1)
            raise LookupError
        self.assertRaises(TaskResultDoesNotExist, result.refresh)
        with transaction.atomic():
            kept = self.task.enqueue(1)
            with self.assertRaises(LookupError), transaction.atomic():
                self.task.enqueue(2)
                raise LookupError
        self.assertEqual([job.id for job in queue_of("shared").jobs()], [int(kept.id)])

    def test_a_transaction_may_have_read_before_others_wrote(self) -> None:
        if django.VERSION < (5, 1):
            self.skipTest("this Django begins no transaction at once")
        with ThreadPoolExecutor(1) as aside:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM sqlite_schema")
                other = aside.submit(queue_of("shared").enqueue, "a:b", 1)
                wait([other], 0.2)  # it can not write before this transaction has ended
                result = self.task.enqueue(1)
            self.assertLess(int(result.id), other.result(PATIENCE_SECONDS).id)
        result.refresh()

    def test_a_coroutine_enqueues(self) -> None:
        result = asyncio.run(self.task.aenqueue(1))
        self.assertEqual(asyncio.run(self.task.aget_result(result.id)), result)

    def test_the_worker_runs_them(self) -> None:
        result = self.task.enqueue(1)
        self.run_worker(backend="shared")
        result.refresh()
        self.assertEqual((result.return_value, result.backend), (2, "shared"))

    def test_the_transaction_of_another_file_does_not_matter(self) -> None:
        with self.assertRaises(LookupError), transaction.atomic():
            result = tasks.add.enqueue(1)
            raise LookupError
        result.refresh()
        self.assertEqual(result.status, READY)
        self.assertFalse(connection.in_atomic_block)


class TestTables(DjangoTest):
    """They can not be made inside a transaction, so `migrate` does."""

    def setUp(self) -> None:
        super().setUp()
        connection.close()
        self.addCleanup(connection.close)
        self.path = folder_for(self) / "new.db"
        self.enterContext(mock.patch.dict(connection.settings_dict, {"NAME": self.path}))

    def problems(self) -> list[Any]:
        return [each.id for each in run_checks(databases=["default"]) if each.id.startswith("litequeue")]

    def test_migrate_makes_them_and_until_then_the_check_tells(self) -> None:
        self.assertEqual(self.problems(), ["litequeue.W004"])
        self.assertFalse(self.path.exists())
        shared = tasks.add.using(backend="shared")
        for call in (shared.enqueue, shared.get_result):
            with transaction.atomic(), self.assertRaisesRegex(litequeue.InvalidOption, "no queue yet"):
                call("1")
        call_command("migrate", verbosity=0)
        self.assertEqual(self.problems(), [])
        with transaction.atomic():
            result = shared.enqueue(1)
            result.refresh()
        call_command("migrate", verbosity=0)
        result.refresh()

    def test_a_database_without_jobs_is_let_alone(self) -> None:
        call_command("migrate", verbosity=0, database="memory")
        with override_settings(TASKS={"default": TASKS["default"]}):
            call_command("migrate", verbosity=0)
            self.assertEqual(self.problems(), [])
        self.assertEqual(self.problems(), ["litequeue.W004"])

    def test_with_wrong_settings_no_table_is_missing(self) -> None:
        with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": {}}}):
            self.assertNotIn("litequeue.W004", self.problems())

    def test_the_tests_of_a_project_may_enqueue_in_their_transactions(self) -> None:
        label = "tests.contrib.django.site_tests"
        done = run_python(["-m", "django", "test", label, "--noinput"], ROOT)
        self.assertEqual(done.returncode, 0, done.stdout)


class TestChecks(DjangoTest):
    def problems(self, **options: Any) -> str:
        with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
            return " ".join(f"{each.id}: {each.msg} {each.hint}" for each in task_backends["default"].check())

    def test_good_settings_are_good(self) -> None:
        self.assertEqual([list(task_backends[alias].check()) for alias in TASKS], [[], [], []])

    def test_those_of_the_readme_are_good(self) -> None:
        told = blocks((ROOT / "README.md").read_text())
        settings: dict[str, Any] = {"INSTALLED_APPS": [], "BASE_DIR": FOLDER}
        exec(next(block.text for block in told if "TASKS =" in block.text), settings)
        self.assertEqual(settings["INSTALLED_APPS"], ["litequeue.contrib.django"])
        with override_settings(TASKS=settings["TASKS"]):
            self.assertEqual(list(task_backends["default"].check()), [])
            self.assertEqual(tasks.add.using(queue_name="mails").enqueue(1).status, READY)

    def test_each_mistake_is_told(self) -> None:
        for told, options in (
            ('needs either "path"', {}),
            ('needs either "path"', {"path": "a.db", "database": "default"}),
            ("OPTIONS has no 'pathh'; the names are database, durability", {"pathh": "a.db"}),
            ("durability is 'some'; give 'full' or 'normal'", {"path": "a.db", "durability": "some"}),
            ("retention is 0, so nobody could read a result", {"path": "a.db", "retention": 0}),
            ("retry is", {"path": "a.db", "retry": "often"}),
            ("path is 5; give the path of a file", {"path": 5}),
            ("'nowhere', which DATABASES has not", {"database": "nowhere"}),
            ("'memory', which is in memory", {"database": "memory"}),
            ("'other', which is no SQLite database", {"database": "other"}),
        ):
            with self.subTest(told):
                self.assertIn("litequeue.E001: TASKS['default']: OPTIONS", found := self.problems(**options))
                self.assertIn(told, found)

    def test_bad_settings_refuse_an_enqueue(self) -> None:
        with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": {}}}):
            self.assertRaisesRegex(ImproperlyConfigured, "needs either", lambda: tasks.add.enqueue(1))

    def test_a_shared_database_is_to_be_told_something(self) -> None:
        if django.VERSION < (5, 1):
            self.skipTest("this Django does not know these options")
        options = connections["default"].settings_dict["OPTIONS"]
        with mock.patch.dict(options, {"transaction_mode": "DEFERRED", "init_command": ""}):
            told = self.problems(database="default")
        self.assertIn("litequeue.W002: DATABASES['default']: an enqueue in a transaction", told)
        self.assertEqual("litequeue.W003" in told, carries_reset_fault())
        self.assertEqual(self.problems(database="default"), "")

    def test_without_the_app_there_is_no_command(self) -> None:
        with override_settings(INSTALLED_APPS=["tests.contrib.django"]):
            self.assertIn("litequeue.W001", self.problems(path="a.db"))
            self.assertIn("Add 'litequeue.contrib.django' to INSTALLED_APPS", self.problems(path="a.db"))

    def test_threads_share_one_file(self) -> None:
        one = task_backends["default"].queue
        two = asyncio.run(asyncio.to_thread(lambda: task_backends["default"].queue))
        self.assertIs(one, two)
