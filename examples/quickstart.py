"""Tasks, jobs, a worker in the background, a failure and how it is run again."""

from pathlib import Path

from litequeue import JobFailed, Queue, Retry, current_job

queue = Queue("quickstart.db")  # the file is made on first use
NOTES = Path("notes.txt")


@queue.task
def add(a: int, b: int) -> int:
    return a + b


@queue.task(retry=Retry(5, base=0.1))
def fetch(url: str) -> str:
    job = current_job()
    if job is not None and job.attempt < 3:
        raise ConnectionError(f"{url} does not answer")
    return f"{url} answered at last"


@queue.task
def read(path: Path) -> str:
    return path.read_text()


def main() -> None:
    NOTES.unlink(missing_ok=True)
    print("here and now:", add(2, 3))

    total = add.enqueue(2, 3)
    page = fetch.using(priority=10).enqueue("https://example.org")
    lost = read.enqueue(NOTES)
    later = add.using(delay=3600).enqueue(40, 2)
    many = queue.enqueue_many(add.call(n, n) for n in range(1000))  # one transaction

    with queue.worker(threads=4):
        print("in the background:", total.result(timeout=10))
        print(f"{page.result(timeout=10)}, after {page.failures} failures")
        print("a thousand more:", sum(job.result(timeout=10) for job in many))
        try:
            lost.result(timeout=10)
        except JobFailed as error:
            print(f"job {error.job_id} failed: {error.error_type}: {error.message}")

        NOTES.write_text("found")
        lost.retry()
        print("run again:", lost.result(timeout=10))

    print(f"job {later.id} is {later.state}: {later.explain()}")
    print({str(state): number for state, number in queue.counts().items() if number})


if __name__ == "__main__":
    main()
