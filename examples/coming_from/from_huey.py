"""Huey's guide, ported: a result, a delay, retries, a periodic task, locks and pipelines."""

from datetime import datetime, timedelta

from litequeue import Queue, Retry, current_job
from litequeue.testing import in_memory

huey = Queue("demo.db")  # SqliteHuey("demo.db")
DAY = datetime(2030, 1, 1)


@huey.task
def count_beans(number: int) -> str:
    return f"counted {number} beans"


@huey.task
def add(a: int, b: int) -> int:
    return a + b


@huey.task(retry=Retry(3, intervals=[10]))  # retries=2, retry_delay=10
def divide(x: int, y: int) -> float:
    return x / y


@huey.task(cron="*/3 * * * *")  # @huey.periodic_task(crontab(minute="*/3"))
def every_three_minutes() -> str:
    job = current_job()
    return f"it is {job.scheduled_for:%H:%M}" if job else "called by hand"


@huey.task(max_running=1)  # @huey.lock_task("backup"); here the second waits, there it raises
def backup(day: datetime) -> str:
    return f"{day:%A}'s backup"


def main() -> None:
    beans = count_beans.enqueue(100)  # count_beans(100)
    print(count_beans(3))  # count_beans.call_local(3)
    later = count_beans.using(delay=60).enqueue(7)  # count_beans.schedule(args=(7,), delay=60)
    later.cancel()  # result.revoke()
    with huey.worker(threads=2):  # huey_consumer demo.huey --workers 2
        print(beans.result(timeout=10), "-", later.refresh().state)  # result(blocking=True, timeout=10)

    with in_memory(huey) as clock:  # huey.immediate = True runs all at once; here time passes as you say
        wrong = divide.enqueue(1, 0)
        pipe = (add.call(1, 2) | add.call(3)).enqueue()  # add.s(1, 2).then(add, 3)
        backups = backup.map([DAY, DAY + timedelta(days=1)]).enqueue()
        for _ in range(3):
            huey.drain()
            clock.advance(180)  # three minutes
        print(pipe.result(), backups.result())
        print(wrong.refresh().state, wrong.errors[-1].message)  # r.get() raises TaskException
        print([job.result() for job in reversed(huey.jobs(task=every_three_minutes, state="completed"))])


if __name__ == "__main__":
    main()
