"""Jobs as Django shows them: the TaskResult behind a job of ours."""

from __future__ import annotations

import builtins
from typing import Any

import litequeue

from ...handle import Job
from ...job import State
from .framework import Task, TaskError, TaskResult, TaskResultStatus
from .notes import Note
from .values import to_django

_STATUS = {
    State.RUNNING: TaskResultStatus.RUNNING,
    State.COMPLETED: TaskResultStatus.SUCCESSFUL,
    State.FAILED: TaskResultStatus.FAILED,
    State.CANCELLED: TaskResultStatus.FAILED,
}


def new_result(
    job_id: int, task: Task, enqueued_at: Any, args: list[Any], kwargs: dict[str, Any]
) -> TaskResult:
    """The result of a job that was enqueued this moment."""
    return TaskResult(
        task=task,
        id=str(job_id),
        status=TaskResultStatus.READY,
        enqueued_at=to_django(enqueued_at),
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=args,
        kwargs=kwargs,
        backend=task.backend,
        errors=[],
        worker_ids=[],
    )


def result_of(job: Job[Any], declared: Task, note: Note) -> TaskResult:
    """The result of a stored job of this Task, as the job was read last."""
    starts = [each.began for each in note.attempts.values() if each.began is not None]
    result = TaskResult(
        task=declared.using(
            priority=job.priority,
            queue_name=job.queue,
            run_after=to_django(note.run_after),
            backend=note.backend,
        ),
        id=str(job.id),
        status=_status(job, note),
        enqueued_at=to_django(job.created_at),
        started_at=to_django(starts[0]) if starts else None,
        finished_at=to_django(job.finished_at),
        last_attempted_at=to_django(starts[-1]) if starts else None,
        args=list(job.args),
        kwargs=job.kwargs,
        backend=note.backend or declared.backend,
        errors=_errors(job),
        worker_ids=[each.worker for each in note.attempts.values()],
    )
    if job.state is State.COMPLETED:
        object.__setattr__(result, "_return_value", job.result(timeout=0))  # as Django's own backends do
    return result


def _status(job: Job[Any], note: Note) -> TaskResultStatus:
    """Its status; a job that a worker has taken, but not begun, is ready."""
    has_begun = job.state is not State.RUNNING or job.attempt in note.attempts
    return _STATUS.get(job.state, TaskResultStatus.READY) if has_begun else TaskResultStatus.READY


def _errors(job: Job[Any]) -> list[TaskError]:
    """Why its attempts failed; and why it has ended, where no attempt tells that."""
    errors = [
        TaskError(exception_class_path=_class_path(each.type), traceback=each.traceback or each.message)
        for each in job.errors
    ]
    if job.state is State.CANCELLED:
        errors.append(TaskError(exception_class_path="litequeue.JobCancelled", traceback=job.explain()))
    elif job.state is State.FAILED and not errors:
        errors.append(TaskError(exception_class_path="litequeue.JobFailed", traceback=job.explain()))
    return errors


def _class_path(kind: str) -> str:
    """Where Django can import the class of an error, whose name we keep."""
    if "." in kind:
        return kind
    if hasattr(builtins, kind):
        return f"builtins.{kind}"
    return (
        f"litequeue.{kind}" if kind in litequeue.__all__ else "litequeue.JobFailed"
    )  # WorkerDied is no class
