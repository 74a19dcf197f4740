"""Everything a task can do to its worker, one function each, with how its job must end.

`TABLE` tells for each how it ends on a thread, and how with `isolate=True` where that differs. An ending is
the job's state, its reason, and a pattern for the type and the words of its failure.
"""

from __future__ import annotations

import asyncio
import ctypes
import locale
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, NamedTuple, NoReturn

from litequeue import Queue, current_job
from litequeue.tasks import Task

FILE = os.environ.get("LITEQUEUE_TEST_FILE", ":memory:")
LEASE = os.environ.get("LITEQUEUE_TEST_LEASE", "30")
queue = Queue(FILE, lease=float(LEASE))


class Ending(NamedTuple):
    """What must have become of a job."""

    state: str
    reason: str | None = None
    failure: str = ""


class Misdeed(NamedTuple):
    """A task that misbehaves; `is_deadly` if on a thread it takes the whole process along."""

    task: Task[..., Any]
    ends: Ending
    isolated: Ending
    is_deadly: bool


TABLE: dict[str, Misdeed] = {}
COMPLETED = Ending("completed")


def error(failure: str) -> Ending:
    """It fails, and says so."""
    return Ending("failed", "error", failure)


def crashed(failure: str) -> Ending:
    """It takes its process down."""
    return Ending("failed", "crashed", failure)


LATE = Ending("failed", "timeout", "TaskTimeout: over its time limit")


def misdeed(
    ends: Ending, isolated: Ending | None = None, *, deadly: bool = False, **options: Any
) -> Callable[[Callable[..., Any]], Task[..., Any]]:
    """Enter a function into the table."""

    def enter(function: Callable[..., Any]) -> Task[..., Any]:
        task: Task[..., Any] = queue.task(**options)(function)
        TABLE[function.__name__] = Misdeed(task, ends, isolated or ends, deadly)
        return task

    return enter


@queue.task
def innocent() -> int:
    """The next job: it does nothing wrong."""
    return os.getpid()


@queue.task
async def innocent_coroutine() -> int:
    """The next job of the event loop."""
    await asyncio.sleep(0)
    return os.getpid()


# --- it raises -------------------------------------------------------------------------------------------


@misdeed(error("ValueError: wrong"))
def raise_an_exception() -> NoReturn:
    raise ValueError("wrong")


@misdeed(error("SystemExit: 3"))
def raise_system_exit() -> NoReturn:
    sys.exit(3)


@misdeed(error("KeyboardInterrupt: "))
def raise_keyboard_interrupt() -> NoReturn:
    raise KeyboardInterrupt


@misdeed(error("GeneratorExit: "))
def raise_generator_exit() -> NoReturn:
    raise GeneratorExit


@misdeed(error("CancelledError: "))
def raise_cancelled() -> NoReturn:
    raise asyncio.CancelledError


@misdeed(error("StopIteration: 1"))
def raise_stop_iteration() -> NoReturn:
    raise StopIteration(1)


@misdeed(error("BaseException: bare"))
def raise_base_exception() -> NoReturn:
    raise BaseException("bare")


@misdeed(error("RecursionError: "))
def recurse() -> int:
    depth: int = recurse()
    return depth + 1


@misdeed(error("MemoryError: "))
def raise_memory_error() -> NoReturn:
    raise MemoryError


@misdeed(error("ValueError: x{1000}"))
def raise_50_megabytes() -> NoReturn:
    raise ValueError("x" * 50_000_000)


class Mute(Exception):
    """Can not say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Masked(Exception):
    """Denies what it is, and where it comes from."""

    __module__ = None  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class Rooted(Exception):
    """Holds what can not be pickled, and does not come back from a pickle."""

    def __init__(self, first: object, second: object) -> None:
        super().__init__("rooted")
        self.lock = threading.Lock()


@misdeed(error("Mute: <its __str__ raised RuntimeError>"))
def raise_what_has_no_words() -> NoReturn:
    raise Mute


@misdeed(error("RuntimeError: what the task raised can not be described: RuntimeError"))
def raise_what_denies_its_class() -> NoReturn:
    raise Masked("masked")


@misdeed(error("Rooted: rooted"))
def raise_what_can_not_be_pickled() -> NoReturn:
    raise Rooted(1, 2)


@misdeed(error("ValueError: 1"))
def raise_a_circle_of_causes() -> NoReturn:
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    raise first


# --- it ends its process ---------------------------------------------------------------------------------


@misdeed(crashed("WorkerDied"), crashed("exit code 0"), deadly=True)
def exit_at_once() -> NoReturn:
    os._exit(0)


@misdeed(crashed("WorkerDied"), crashed("SIGSEGV"), deadly=True)
def fault() -> None:
    ctypes.string_at(0)


@misdeed(crashed("WorkerDied"), crashed("SIGABRT"), deadly=True)
def abort() -> None:
    os.abort()


@misdeed(crashed("WorkerDied"), crashed("SIGKILL"), deadly=True)
def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@misdeed(crashed("WorkerDied"), crashed("ProcessDied"), deadly=True)
def close_every_descriptor() -> None:
    os.closerange(0, 4096)


@queue.task
def eat_all_memory() -> NoReturn:
    """Only where the kernel grants little; it is not in the table."""
    eaten: list[bytes] = []
    while True:
        eaten.append(b"x" * 1_000_000)


# --- it does not end -------------------------------------------------------------------------------------


@misdeed(LATE, timeout=0.2)
def loop_in_python() -> NoReturn:
    while True:
        pass


@misdeed(crashed("WorkerDied"), LATE, deadly=True, timeout=0.2)
def loop_in_c() -> int:
    number: int = 3 ** (3**20)  # hours, without ever giving up the interpreter
    return number


@misdeed(error("ValueError: signal only works in main thread"), LATE, timeout=0.3)
def ignore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Event().wait()


@misdeed(LATE, timeout=0.2)
def eat_the_timeout() -> NoReturn:
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            continue


# --- what it returns ---------------------------------------------------------------------------------------


@misdeed(error("EncodingError: .*object"))
def return_an_object() -> object:
    return object()


@misdeed(COMPLETED)
def return_not_a_number() -> float:
    return float("nan")


@misdeed(error("EncodingError: .*contains itself"))
def return_a_circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


@misdeed(error("EncodingError: .*generator"))
def return_a_generator() -> Generator[int, None, None]:
    return (number for number in range(3))


@misdeed(error("EncodingError: .*coroutine"))
def return_a_coroutine() -> Awaitable[None]:
    coroutine = asyncio.sleep(0)
    coroutine.close()
    return coroutine


@misdeed(error("EncodingError: .*nested too deeply"))
def return_100_000_levels() -> list[Any]:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    return nested


# --- what it leaves behind ---------------------------------------------------------------------------------


@misdeed(COMPLETED)
def fork_and_return_twice() -> int:
    return os.fork()


@misdeed(error("ValueError: both"))
def fork_and_raise_twice() -> NoReturn:
    os.fork()
    raise ValueError("both")


@misdeed(COMPLETED)
def leave_a_daemon() -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


@misdeed(COMPLETED)
def exit_in_a_thread() -> None:
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()


@misdeed(COMPLETED)
def change_the_directory() -> None:
    os.chdir("/")


@misdeed(COMPLETED)
def change_the_mask() -> None:
    os.umask(0o777)


@misdeed(COMPLETED)
def change_the_locale() -> None:
    locale.setlocale(locale.LC_ALL, "C")


@misdeed(COMPLETED)
def change_the_environment() -> None:
    os.environ.clear()
    os.environ["TZ"] = "Asia/Kathmandu"
    time.tzset()


@misdeed(error("ValueError: signal only works in main thread"), COMPLETED)
def change_signal_handlers() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)


@misdeed(COMPLETED)
def close_standard_output() -> None:
    sys.stdout.close()
    sys.stderr.close()


@misdeed(COMPLETED)
def raise_the_recursion_limit() -> None:
    sys.setrecursionlimit(1_000_000)


def quarrel(*_: object) -> NoReturn:
    """A trace function that raises."""
    raise RuntimeError("traced")


@misdeed(error("RuntimeError: traced"))
def trace_and_raise() -> None:
    sys.settrace(quarrel)
    sys.setprofile(quarrel)


def count_down(left: list[int]) -> Callable[..., Any]:
    """A trace function that raises when it has been called so many times."""

    def trace(*_: object) -> Any:
        left.pop()
        return trace

    return trace


@misdeed(COMPLETED)
def leave_a_trace_that_raises_later() -> None:
    sys.settrace(count_down([0] * 200))


@misdeed(COMPLETED)
def spoil_the_context() -> None:
    job = current_job()
    assert job is not None
    job.meta["spoiled"] = True


# --- coroutines --------------------------------------------------------------------------------------------


@misdeed(error("SystemExit: 3"))
async def coroutine_raises_system_exit() -> NoReturn:
    sys.exit(3)


@misdeed(error("KeyboardInterrupt: "))
async def coroutine_raises_keyboard_interrupt() -> NoReturn:
    raise KeyboardInterrupt


@misdeed(error("GeneratorExit: "))
async def coroutine_raises_generator_exit() -> NoReturn:
    raise GeneratorExit


@misdeed(error("CancelledError: "))
async def coroutine_raises_cancelled() -> NoReturn:
    raise asyncio.CancelledError


@misdeed(error("StopIteration"))
async def coroutine_raises_stop_iteration() -> NoReturn:
    raise StopIteration(1)


@misdeed(error("BaseException: bare"))
async def coroutine_raises_base_exception() -> NoReturn:
    raise BaseException("bare")


@misdeed(error("RuntimeError: what the task raised can not be described: RuntimeError"))
async def coroutine_raises_what_denies_its_class() -> NoReturn:
    raise Masked("masked")


@misdeed(error("EncodingError: .*object"))
async def coroutine_returns_an_object() -> object:
    return object()


@misdeed(COMPLETED)
async def coroutine_forks_and_returns_twice() -> int:
    return os.fork()


@misdeed(LATE, timeout=0.2)
async def coroutine_eats_the_timeout() -> NoReturn:
    while True:
        try:
            await asyncio.sleep(0.01)
        except BaseException:
            continue


@misdeed(COMPLETED, error("RuntimeError: Event loop stopped"))
async def coroutine_stops_its_loop() -> None:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)


@misdeed(COMPLETED, error("SystemExit: 5"))
async def coroutine_whose_child_exits() -> None:
    async def child() -> NoReturn:
        raise SystemExit(5)

    asyncio.get_running_loop().create_task(child())
    await asyncio.sleep(0.01)


@misdeed(error("CancelledError: "))
async def coroutine_cancels_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(0)
