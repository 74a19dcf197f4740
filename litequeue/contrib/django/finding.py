"""Which code may run, and be shown, for the name that a job carries: Django Tasks, and nothing else."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any, NamedTuple

import django
from django.apps import apps
from django.conf import settings
from django.utils.module_loading import autodiscover_modules

from ...errors import InvalidTask as NoTask
from ...handle import Job
from ...job import FailedAttempt
from ...queue import Queue
from ...resolve import AnyTask, Resolver, attribute
from ...tasks import task_name
from .framework import InvalidTask, Task
from .running import finished, runnable


class TaskResolver(Resolver):
    """Finds a Django Task in modules that this process has imported, and in those that it may import.

    These are the `tasks` of the installed apps, and what lies under BASE_DIR (or the working directory).
    """

    def __init__(self, queue: Queue) -> None:
        super().__init__({}, queue, None, os.fspath(getattr(settings, "BASE_DIR", None) or os.getcwd()))
        self._queue = queue
        self._django_tasks: dict[str, Task] = {}

    def django_task(self, name: str) -> Task | None:
        """The Django Task of this name, if it is one and may be known here."""
        self.task(name)
        return self._django_tasks.get(name)

    def accepted(self, name: str, found: object) -> AnyTask | None:
        """The task for a Django Task; nothing else is one."""
        if not isinstance(found, Task):
            return None
        self._django_tasks[name] = found
        return runnable(found, name, self._queue)

    def imported(self, name: str) -> ModuleType | None:
        """The module of this name, imported if it may be."""
        if name in sys.modules:
            return sys.modules[name]
        if any(f"{name}.".startswith(f"{app.name}.tasks.") for app in apps.get_app_configs()):
            return importlib.import_module(name)
        return super().imported(name)


class Declared(NamedTuple):
    """A Django Task as its module holds it, and the name under which workers find it there."""

    name: str
    task: Task


def declared_as(task: Task) -> Declared:
    """Where workers find a Django Task. Raises `InvalidTask` where they would not."""
    try:
        name = task_name(task.func)
    except NoTask as error:
        raise InvalidTask(str(error)) from error
    module = sys.modules.get(task.func.__module__)
    found: Any = None if module is None else attribute(module, task.func.__qualname__)
    if not isinstance(found, Task) or found.func is not task.func:
        raise InvalidTask(
            f"{task.module_path} is not this Task, so no worker would find it there; "
            "let the Task have the name of its function, as with the decorator"
        )
    return Declared(name, found)


def worker_resolver(queue: Queue) -> TaskResolver:
    """What a worker process finds its tasks with; Django is set up, and hears how their jobs end."""
    if not apps.ready:
        django.setup()  # which would undo what was made of its logging since
    autodiscover_modules("tasks")
    resolver = TaskResolver(queue)

    def tell(job: Job[Any], error: FailedAttempt | None = None) -> None:
        task = resolver.django_task(job.task)
        if task is not None:
            finished(job, task)

    queue.on("completed", tell)
    queue.on("failed", tell)
    queue.on("cancelled", tell)
    return resolver
