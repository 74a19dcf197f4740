"""Uses that a type checker must refuse: an `ignore` that hides no error is itself one. Never run."""

from litequeue import Job, Messages, Queue, current_job

queue = Queue(":memory:")


@queue.task
def double(number: int) -> int:
    return 2 * number


@queue.task(retry=3)
async def download(url: str) -> bytes:
    return url.encode()


def plain(left: int, right: int) -> float:
    return left / right


def enqueued() -> None:
    double.enqueue("2")  # type: ignore[arg-type]
    double.enqueue()  # type: ignore[call-arg]
    double.enqueue(2, 3)  # type: ignore[call-arg]
    double.enqueue(numbre=2)  # type: ignore[call-arg]
    double.enqueue(2, priority=5)  # type: ignore[call-arg]
    double.using(priority=5).enqueue("2")  # type: ignore[arg-type]
    double.call("2")  # type: ignore[call-overload]
    double("2")  # type: ignore[arg-type]


def explicit() -> None:
    queue.enqueue(double, "2")  # type: ignore[call-overload]
    queue.enqueue(plain, 1)  # type: ignore[call-overload]
    queue.enqueue(double, args=(2,), prioritty=5)  # type: ignore[call-overload]


def options() -> None:
    double.using(prioritty=5)  # type: ignore[call-arg]
    double.using(priority="high")  # type: ignore[arg-type]
    queue.task(timeout="30")  # type: ignore[call-overload]


def results() -> None:
    text: str = double.enqueue(2).result()  # type: ignore[assignment]
    number: int = download.enqueue("https://example.org").result()  # type: ignore[assignment]
    print(text, number)


async def awaited() -> None:
    text: str = await double.enqueue(2)  # type: ignore[assignment]
    await download.aenqueue(2)  # type: ignore[arg-type]
    print(text)


def submitted() -> None:
    with queue.executor(threads=4) as executor:
        executor.submit(double, "2")  # type: ignore[call-overload]
        executor.submit(plain, 1)  # type: ignore[call-overload]
        text: str = executor.submit(double, 2).result()  # type: ignore[assignment]
        print(text)


def steps() -> None:
    if job := current_job():
        job.step("one", plain, 1, "2")  # type: ignore[call-overload]
        job.step("two", double, 1, nummber=3)  # type: ignore[call-arg]
        text: str = job.step("three", plain, 1, 2)  # type: ignore[assignment]
        print(text)


def hook(job: Job[int]) -> None: ...


def hooks() -> None:
    queue.on("finished", hook)  # type: ignore[call-overload]
    queue.on("failed", hook)  # type: ignore[call-overload]
    queue.middleware("run")  # type: ignore[call-overload]
    queue.middleware("enqueue")(hook)  # type: ignore[type-var]


def messages() -> None:
    words: Messages[str] = queue.messages("words")
    words.put(1)  # type: ignore[arg-type]
    words.put("a", 1)  # type: ignore[arg-type]
    words.put("a", urgent=True)  # type: ignore[call-arg]
