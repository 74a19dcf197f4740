"""Tasks as a Django project has them, and things that are none."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from litequeue import Queue, current_job
from litequeue.contrib.django.framework import TaskContext

try:
    from django.tasks import task
except ModuleNotFoundError:
    from django_tasks import task


@task
def add(left: int, right: int = 1) -> int:
    return left + right


@task
async def aadd(left: int, right: int = 1) -> int:
    return left + right


@task
def echo(value: Any) -> Any:
    return value


@task
def fail(text: str) -> None:
    raise ValueError(text)


@task
def leave() -> None:
    raise SystemExit("enough")


@task
def give_a_function() -> Any:
    return lambda: None


@task(takes_context=True)
def tell_context(context: TaskContext, word: str) -> list[Any]:
    result = context.task_result
    return [context.attempt, result.id, str(result.status), result.args, word]


@task(takes_context=True, backend="stubborn")
def fail_twice(context: TaskContext) -> int:
    if context.attempt < 3:
        raise ConnectionError(f"attempt {context.attempt}")
    return int(context.attempt)


@task
def append(path: str, line: str) -> None:
    with open(path, "a") as file:
        file.write(line)


@task
def select() -> bool:
    """Use the database, and tell whether its connection had been closed before."""
    was_closed = connection.connection is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return was_closed


@task
async def aselect() -> bool:
    return bool(await sync_to_async(select.func)())


@task
def wait() -> None:
    time.sleep(60)


@task
async def await_() -> None:
    await asyncio.sleep(60)


@task
def kill_first(path: str) -> str:
    """Take the worker down, the first time."""
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), 9)
    return "alive"


@task
def count_attempts() -> int:
    job = current_job()
    assert job is not None
    return job.attempt


def plain(path: str) -> None:
    """No task at all: a file that names it must not run it."""
    Path(path).touch()


under_another_name = task(plain)
queue = Queue(":memory:")


@queue.task
def ours() -> None:
    """A task of litequeue's, which is no Django Task."""
