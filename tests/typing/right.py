"""Uses that a type checker must accept, each with the type it must see. Checked by mypy, never run."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from sqlite3 import Connection
from typing import Any, assert_type

from litequeue import (
    Call,
    Cron,
    Every,
    FailedAttempt,
    Job,
    Messages,
    Queue,
    Retry,
    RunningJob,
    Scheduler,
    Task,
    as_completed,
    current_job,
)
from litequeue.clock import SystemClock
from litequeue.testing import HandClock, in_file, in_memory, run

queue = Queue(":memory:")


@queue.task
def double(number: int) -> int:
    return 2 * number


@queue.task(retry=Retry(5, backoff=2.0), timeout=30, tags=["mail"], priority=1)
def greet(name: str, *, loud: bool = False) -> str:
    return name.upper() if loud else name


@queue.task
async def download(url: str) -> bytes:
    return url.encode()


def plain(left: int, right: int) -> float:
    return left / right


def decorated() -> None:
    assert_type(double(2), int)
    assert_type(greet("Ada", loud=True), str)
    assert_type(double.call(2), Call[int])


def enqueued() -> None:
    assert_type(double.enqueue(2), Job[int])
    assert_type(double.enqueue(2).result(timeout=1), int)
    assert_type(greet.enqueue("Ada", loud=True).result(), str)
    assert_type(double.using(priority=10, delay=60).enqueue(2), Job[int])
    assert_type(double.delay(2), Job[int])
    assert_type(greet.send("Ada", loud=True), Job[str])
    assert_type(double.using(delay=60).delay(2), Job[int])
    assert_type(double.using(retry=3).call(2), Call[int])


def explicit() -> None:
    assert_type(queue.enqueue(double, 2), Job[int])
    assert_type(queue.enqueue(greet, "Ada", loud=True), Job[str])
    assert_type(queue.enqueue(plain, 1, 2).result(), float)
    assert_type(queue.enqueue(double, args=(2,), priority=5), Job[int])
    assert_type(queue.enqueue("app:fetch", "https://example.org"), Job[Any])


def many() -> None:
    assert_type(queue.enqueue_many(double.call(number) for number in range(3)), list[Job[int]])


def inside_a_task() -> None:
    if job := current_job():
        assert_type(job.attempt, int)
        job.progress(0.5, "half")


async def in_the_background() -> None:
    async with queue.aworker(slots=10) as worker:
        await worker.stop()
    async for job in as_completed([double.enqueue(2)], timeout=timedelta(seconds=1)):
        assert_type(job, Job[int])
    for again in as_completed([greet.enqueue("Ada")]):
        assert_type(again.result(), str)


async def spawned() -> None:
    async with Scheduler(limit=10) as scheduler:
        assert_type(await (await scheduler.spawn(later(3))).wait(), float)
        assert_type(await (await scheduler.spawn(double.call(3), name="x")).wait(timeout=1), int)
        assert_type((await scheduler.spawn(download.call("https://example.org"))).job, Job[bytes])
        assert_type(await scheduler.shield(later(3)), float)


async def awaited() -> None:
    assert_type(await double.enqueue(2), int)
    assert_type(await double.aenqueue(2), Job[int])
    assert_type(await (await double.aenqueue(2)).aresult(), int)
    assert_type(await download("https://example.org"), bytes)
    assert_type(download.enqueue("https://example.org").result(), bytes)


def submitted() -> None:
    with queue.executor(threads=4) as executor:
        assert_type(executor.submit(double, 2).result(), int)
        assert_type(executor.submit(double, 2).job, Job[int])
        assert_type(executor.submit(plain, 1, right=2).result(), float)
        assert_type(executor.submit(download, "https://example.org").result(), bytes)
        assert_type(executor.map(double, [1, 2]), Iterator[int])
        assert_type(executor.map(download, ["https://example.org"], timeout=5), Iterator[bytes])


async def talked() -> None:
    words: Messages[str] = queue.messages("words", 10)
    assert_type(words.put("a", priority=1), int)
    assert_type(words.get(timeout=1), str)
    with words.claim() as message:
        assert_type(message.item, str)
    assert_type(list(words), list[str])
    assert_type(await words.aio.get(), str)
    assert_type([word async for word in words.aio], list[str])


def annotated(task: Task[[int], int]) -> Job[int]:
    return task.enqueue(1)


annotated(double)


def scheduled() -> None:
    assert_type(Cron("@daily", "Europe/Berlin").after(datetime.now(UTC)), datetime)
    assert_type(Cron("@daily", UTC).upcoming(datetime.now(UTC)), Iterator[datetime])
    assert_type(Every(timedelta(hours=1)).after(datetime.now(UTC)), datetime)


def rows(connection: Connection, number: int) -> list[str]:
    return [str(number)]


async def later(number: int) -> float:
    return number / 2


async def steps() -> None:
    if job := current_job():
        assert_type(job.step("one", plain, 1, right=2), float)
        assert_type(job.step("two", rows, 3, transaction=True), list[str])
        assert_type(await job.astep("three", later, 3), float)
        assert_type(await job.astep("four", plain, 1, 2), float)
        assert_type(await job.astep("five", rows, 3, transaction=True), list[str])
    assert_type(double.enqueue(2).steps[0].name, str)


@queue.on("completed")
def completed(job: Job[Any]) -> None: ...


@queue.on("failed")
async def failed(job: Job[Any], error: FailedAttempt) -> None: ...


@queue.middleware
def around(job: RunningJob, call_next: Callable[[], Any]) -> Any:
    return call_next()


@queue.middleware("enqueue")
def before(call: Call[Any]) -> Call[Any]:
    return call.using(priority=1)


async def hooks(job: Job[Any], error: FailedAttempt) -> None:
    assert_type(completed(job), None)
    assert_type(await failed(job, error), None)


def in_tests(job: Job[str]) -> None:
    with in_memory(queue) as clock, in_file("test.db", queue, clock=SystemClock()) as other:
        assert_type(clock, HandClock)
        assert_type(other, SystemClock)
    assert_type(run(queue, job), str)
    assert_type(run(queue, double, 2), int)
    assert_type(run(queue, download, "https://example.org"), bytes)
    assert_type(run(queue, plain, 1, right=2), float)
    assert_type(run(queue, later, 1), float)
