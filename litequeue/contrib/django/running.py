"""A Django Task as a worker runs it: between its signals, with Django's database connections looked after."""

from __future__ import annotations

from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import close_old_connections, connections, reset_queries

from ...clock import to_datetime
from ...context import current_job
from ...errors import JobCancelled, JobFailed
from ...handle import Job
from ...options import NO_OPTIONS
from ...queue import Queue
from ...tasks import Task as OurTask
from ...tasks import make_task
from .framework import Task, TaskContext, task_backends, task_finished, task_started
from .notes import KEY, note_of
from .results import result_of
from .values import plain_json


def runnable(task: Task, name: str, queue: Queue) -> OurTask[..., Any]:
    """The task of ours that runs a Django Task."""

    def run(*args: Any, **kwargs: Any) -> Any:
        context = _begin(task, queue)
        try:
            return plain_json(task.call(*context, *args, **kwargs))
        finally:
            close_old_connections()

    async def run_async(*args: Any, **kwargs: Any) -> Any:
        async with ThreadSensitiveContext():  # a thread for its database, as a request has: jobs overlap here
            context = await sync_to_async(_begin)(task, queue)
            try:
                return plain_json(await task.acall(*context, *args, **kwargs))
            finally:
                await sync_to_async(connections.close_all)()

    is_async = make_task(task.func, name, queue, NO_OPTIONS).is_async
    return make_task(run_async if is_async else run, name, queue, NO_OPTIONS)


def _begin(task: Task, queue: Queue) -> tuple[TaskContext, ...]:
    """Tell that the attempt begins; what the function wants to be called with before its arguments."""
    reset_queries()
    close_old_connections()
    running = current_job()
    assert running is not None
    job = queue.job(running.id)
    note = note_of(job).begun(job, to_datetime(queue.clock.now()))
    running.meta[KEY] = note.to_json()
    result = result_of(job, task, note)
    task_started.send(type(task_backends[result.backend]), task_result=result)
    return (TaskContext(task_result=result),) if task.takes_context else ()


def finished(job: Job[Any], task: Task) -> None:
    """Tell Django that a job is final. Its receivers expect to find the error in `sys.exc_info()`."""
    close_old_connections()
    result = result_of(job, task, note_of(job))
    sender = type(task_backends[result.backend])
    try:
        job.result(timeout=0)
    except (JobFailed, JobCancelled):
        task_finished.send(sender, task_result=result)
    else:
        task_finished.send(sender, task_result=result)
    finally:
        close_old_connections()
