"""Tests as a project has them, inside transactions and on a new database; Django's own runner runs them."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.test import TestCase, TransactionTestCase

from litequeue.contrib.django.framework import Task, TaskResultStatus, task_backends
from tests.contrib.django import tasks

add: Task = tasks.add.using(backend="shared")


class TestInTransaction(TestCase):  # type: ignore[misc,unused-ignore]
    before: Any

    @classmethod
    def setUpTestData(cls) -> None:
        cls.before = add.enqueue(1)

    def test_a_task_is_enqueued_and_read(self) -> None:
        self.before.refresh()
        result = add.enqueue(2)
        self.assertEqual(add.get_result(result.id), result)

    def test_the_test_before_has_left_nothing(self) -> None:
        self.assertEqual(add.get_result(self.before.id).status, TaskResultStatus.READY)
        self.assertEqual(add.enqueue(2).id, str(int(self.before.id) + 1))


class TestOutside(TransactionTestCase):  # type: ignore[misc,unused-ignore]
    def test_nothing_was_committed_before(self) -> None:
        with transaction.atomic():
            result = add.enqueue(1)
        self.assertEqual([job.id for job in task_backends["shared"].queue.jobs()], [int(result.id)])
