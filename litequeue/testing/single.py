"""One job as a unit: run here and now as a worker would, and what its task raises comes out."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, overload

from ..handle import Job
from ..queue import Queue
from ..tasks import Task
from ..worker import run_now

P = ParamSpec("P")
R = TypeVar("R")


@overload
def run(queue: Queue, job: Job[R], /) -> R: ...
@overload
def run(queue: Queue, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
@overload
def run(
    queue: Queue, task: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
) -> R: ...
@overload
def run(queue: Queue, task: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
def run(queue: Queue, task: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Run one attempt of a job in this thread, whatever it waits for but other jobs; what it returns.

    Give a job, or what `queue.enqueue` takes to make one. It is a job like any other: `current_job()` is
    there, and it stays in the file as its attempt left it. Raises what the task raised itself, a directive
    such as `RetryLater` too; `NotAllowed` for a job that can not be run.
    """
    job: Job[Any] = task if isinstance(task, Job) else queue.enqueue(task, *args, **kwargs)
    raised = run_now(queue, job.refresh())
    if raised is not None:
        raise raised
    return job.result(timeout=0)
