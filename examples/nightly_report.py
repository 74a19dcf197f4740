"""A report at three every night in Berlin; after three days without a worker, each night gets its own."""

from datetime import timedelta

from litequeue import Queue, current_job
from litequeue.testing import HandClock

clock = HandClock()  # so that the example need not wait for the night
queue = Queue("reports.db", clock=clock)


@queue.task(cron="0 3 * * *", timezone="Europe/Berlin", catch_up="all")
def report() -> str:
    job = current_job()
    assert job is not None and job.scheduled_for is not None
    night = job.scheduled_for - timedelta(days=1)  # the instant it is for, however late it runs
    return f"sales of {night:%d %B}"


def main() -> None:
    queue.drain()  # a worker starts, and the schedule is in the file from now on
    print("next:", *[f"{firing:%d %B %H:%M} UTC" for firing in queue.schedules.get(report.name).upcoming(2)])

    clock.advance(timedelta(days=3).total_seconds())  # no worker for three days
    queue.drain()
    for job in reversed(queue.jobs(task=report)):
        print(f"job {job.id}:", job.result())


if __name__ == "__main__":
    main()
