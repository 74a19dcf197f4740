"""The backend: Django Tasks are enqueued as jobs, and jobs are shown as Django's results."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from django.core import checks

from ...errors import BadArguments, JobNotFound
from ...handle import Job
from ...queue import Queue
from .checking import problems
from .finding import TaskResolver, declared_as
from .framework import (
    BaseTaskBackend,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    task_enqueued,
)
from .given import Given, given
from .notes import KEY, Note, note_of
from .results import new_result, result_of
from .sharing import reading_through, transaction_of
from .values import from_django, plain_json


class LiteQueueBackend(BaseTaskBackend):  # type: ignore[misc,unused-ignore]
    """Keeps Django Tasks in a litequeue file; `manage.py litequeue_worker` runs them."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    @cached_property
    def given(self) -> Given:
        """The checked OPTIONS. Raises `ImproperlyConfigured`."""
        return given(self.options)

    @property
    def queue(self) -> Queue:
        """The queue behind the backend, for all that Django's interface can not say."""
        return self.given.queue()

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Store a job. With the OPTION `database` it commits or rolls back with Django's transaction there.

        Raises `InvalidTask`, `BadArguments` when the arguments do not fit the function, and `TypeError` when
        they are no JSON.
        """
        self.validate_task(task)
        declared = declared_as(task)
        plain = plain_json(list(args)), plain_json(dict(kwargs))
        _require_fit(task, *plain)
        connection = transaction_of(self.given)
        job = self.queue.enqueue(
            declared.name,
            args=plain[0],
            kwargs=plain[1],
            queue=task.queue_name,
            priority=int(task.priority),
            meta=self._meta(task, declared.task),
            **self._when(task),
            **({} if connection is None else {"connection": connection}),
            **dict(self.given.of_jobs),
        )
        with reading_through(connection, self.queue):
            result = new_result(job.id, task, job.created_at, *plain)
        task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> TaskResult:
        """The result of a job. Raises `TaskResultDoesNotExist`, also for what is no Django Task here."""
        with reading_through(transaction_of(self.given), self.queue):
            job = self._job(result_id)
            task = TaskResolver(self.queue).django_task(job.task)
            if task is None:
                raise TaskResultDoesNotExist(
                    f"job {job.id} is there, but {job.task!r} is no Task that is known here"
                )
            return result_of(job, task, note_of(job))

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """What is wrong with the settings; opens no file."""
        return list(problems(self.alias, lambda: self.given))

    def _job(self, result_id: str) -> Job[Any]:
        text = str(result_id)
        if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0):
            raise TaskResultDoesNotExist(result_id)
        try:
            return self.queue.job(int(text))
        except JobNotFound as error:
            raise TaskResultDoesNotExist(result_id) from error

    def _meta(self, task: Task, declared: Task) -> dict[str, Any]:
        note = Note(
            backend=None if task.backend == declared.backend else task.backend,
            run_after=None if task.run_after is None else from_django(task.run_after),
        )
        return {KEY: note.to_json()} if note != Note() else {}

    def _when(self, task: Task) -> dict[str, Any]:
        return {} if task.run_after is None else {"run_at": from_django(task.run_after)}


def _require_fit(task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise `BadArguments` when the function can not be called so."""
    signature = inspect.signature(task.func)
    try:
        signature.bind(*(["context"] if task.takes_context else []), *args, **kwargs)
    except TypeError as error:
        raise BadArguments(f"{task.module_path}{signature}: {error}") from None
