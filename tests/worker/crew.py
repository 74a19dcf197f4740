"""Tasks that worker processes run. They say on standard output where they are, and wait to be told."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from litequeue import Queue, Reject, Retry, Snooze, current_job

FILE = os.environ.get("LITEQUEUE_TEST_FILE", ":memory:")
LEASE = os.environ.get("LITEQUEUE_TEST_LEASE", "30")
queue = Queue(FILE, lease=float(LEASE))


def say(words: str) -> None:
    """One line to whoever started this process."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def attempt() -> int:
    """The number of this attempt."""
    job = current_job()
    assert job is not None
    return job.attempt


@queue.task
def nothing() -> None:
    """Do nothing."""


@queue.task
def double(number: int) -> int:
    """Something to compute."""
    return 2 * number


@queue.task
def wait_for_word() -> str:
    """Say that it began, and end when it is told to."""
    say(f"began {attempt()}")
    sys.stdin.readline()
    return f"attempt {attempt()}"


@queue.task
def hang() -> str:
    """Say that it began, and hang on the first attempt."""
    say(f"began {attempt()}")
    if attempt() == 1:
        threading.Event().wait()
    return f"attempt {attempt()}"


@queue.task
def hang_for_ever() -> None:
    """Say that it began, and never end."""
    say(f"began {attempt()}")
    threading.Event().wait()


@queue.task(ack="early")
def once() -> None:
    """Say that it began, and never end; not to be run twice."""
    say(f"began {attempt()}")
    threading.Event().wait()


@queue.task(timeout=0.05)
def deaf() -> None:
    """Do not react to the time limit."""
    while True:
        threading.Event().wait()


@queue.task
def kill_worker() -> None:
    """Take the process down without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


@queue.task
def exit_worker(code: int) -> None:
    """End the process as if all were well, or not."""
    os._exit(code)


@queue.task
def leave_a_child() -> None:
    """Take the process down, and leave a child that keeps its pipes open."""
    if os.fork() == 0:
        os.closerange(0, 3)  # but for these, whose end the test waits for
        signal.alarm(10)
        threading.Event().wait()
    os.kill(os.getpid(), signal.SIGKILL)


@queue.task
def whose() -> int:
    """The process that runs it."""
    return os.getpid()


@queue.task
def write_and_wait() -> None:
    """Write through the job's transaction, and end when told to."""
    job = current_job()
    assert job is not None
    with job.transaction() as connection:
        connection.execute("INSERT INTO ledger VALUES (?)", (job.attempt,))
    say(f"wrote {job.attempt}")
    sys.stdin.readline()


# --- isolated: each runs in a child process of its own --------------------------------------------------


@queue.task(isolate=True)
def isolated_pid() -> int:
    """The child it runs in."""
    return os.getpid()


@queue.task
def where() -> str:
    """The working directory of the process that runs it."""
    return os.getcwd()


@queue.task
def leave_a_thread() -> None:
    """Leave a thread behind for which Python waits at its end."""
    threading.Thread(target=threading.Event().wait).start()


@queue.task
def move(folder: str) -> None:
    """Take the whole process elsewhere."""
    os.chdir(folder)


@queue.task(isolate=True)
def isolated_move(folder: str) -> int:
    """Take the child elsewhere; which that was."""
    os.chdir(folder)
    return os.getpid()


@queue.task(isolate=True)
def isolated_where() -> str:
    """Where the child is."""
    return os.getcwd()


@queue.task(isolate=True)
async def isolated_coroutine(number: int) -> int:
    """A coroutine, isolated."""
    await asyncio.sleep(0)
    return number + os.getpid() * 0


@queue.task(isolate=True)
def isolated_segfault() -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


@queue.task(isolate=True)
def isolated_exit(code: int) -> None:
    """End the child."""
    os._exit(code)


@queue.task(isolate=True)
def isolated_kill() -> None:
    """As the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


@queue.task(isolate=True, timeout=1.5)
def isolated_family(pids: str) -> None:
    """Start a child of its own, note both processes, and hang."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(pids).write_text(f"{os.getpid()} {child.pid}\n")
    child.wait()


@queue.task(isolate=True)
def isolated_orphan(pids: str) -> None:
    """Die, and leave a child that keeps the pipe open."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        threading.Event().wait()
    Path(pids).write_text(f"{pid}\n")
    os.kill(os.getpid(), signal.SIGKILL)


@queue.task(isolate=True)
def isolated_glutton() -> int:
    """Take more memory than it is granted."""
    granted = 1 << 30
    resource.setrlimit(resource.RLIMIT_AS, (granted, granted))
    return len(bytearray(2 * granted))


@queue.task(isolate=True)
def isolated_talk() -> str:
    """Tell all that can be told."""
    job = current_job()
    assert job is not None
    job.progress(0.5, "half")
    job.log("line")
    job.meta["seen"] = [1, 2]
    return f"attempt {job.attempt}"


@queue.task(isolate=True)
def isolated_failure(kind: str) -> None:
    """Raise, or choose."""
    if kind == "reject":
        raise Reject("no")
    if kind == "snooze":
        raise Snooze(3600)
    raise ValueError(kind)


@queue.task(isolate=True)
def isolated_transaction() -> None:
    """Ask for what is not there."""
    job = current_job()
    assert job is not None
    with job.transaction():
        raise AssertionError


@queue.task(isolate=True)
def isolated_until_cancelled(mark: str) -> None:
    """Say that it began, and end when asked to."""
    job = current_job()
    assert job is not None
    Path(mark).touch()
    while not job.cancelled:
        time.sleep(0.005)


@queue.task(isolate=True)
def isolated_deaf(mark: str) -> None:
    """Say that it began, and never end."""
    Path(mark).write_text(f"{os.getpid()}\n")
    threading.Event().wait()


@queue.task(isolate=True)
def isolated_large(size: int) -> str:
    """Return much."""
    return "x" * size


@queue.task(isolate=True)
def isolated_worker() -> None:
    """Start a worker inside."""
    queue.worker().run()


@queue.task(isolate=True)
def isolated_noise() -> None:
    """Write nonsense to every pipe that is open."""
    for descriptor in range(3, 1024):
        with suppress(OSError):
            os.write(descriptor, b"\0\0\0\5junk!")
    threading.Event().wait()


@queue.task(isolate=True, retry=Retry(2, intervals=[0]))
def isolated_steps(mark: str) -> list[object]:
    """Two steps, and a failure after the first."""
    job = current_job()
    assert job is not None
    found = [job.step("one", touch, mark), job.step("nothing", int, 0)]
    if job.attempt == 1:
        raise ValueError("not yet")
    return [*found, job.step("two", bytes, 3)]


def touch(mark: str) -> tuple[str, int]:
    """A step that leaves a mark each time it runs."""
    with open(mark, "a") as file:
        file.write("x")
    return "touched", os.getpid()


@queue.task(isolate=True)
async def isolated_async_steps() -> list[int]:
    """Steps of a coroutine."""
    job = current_job()
    assert job is not None
    return [await job.astep("one", int, "1"), await job.astep("two", isolated_coroutine.function, 2)]


@queue.task(isolate=True)
def isolated_wrong_steps(mark: str, kind: str) -> None:
    """Steps that are refused: by the child itself, or by the worker at the other end."""
    job = current_job()
    assert job is not None
    if kind == "transaction":
        job.step("one", print, transaction=True)
    Path(mark).touch()
    while kind == "lost" and Path(mark).exists():
        time.sleep(0.002)
    job.step("one", bytes, 20_000_000 if kind == "large" else 1)


def with_pid(job: object, call_next: Callable[[], object]) -> object:
    """Middleware for one task of these: what it returned, and where this ran."""
    value = call_next()
    return [value, os.getpid()] if getattr(job, "task", "").endswith(":isolated_wrapped") else value


queue.middleware(with_pid)


@queue.task(isolate=True)
def isolated_wrapped() -> int:
    """Say where it runs."""
    return os.getpid()
