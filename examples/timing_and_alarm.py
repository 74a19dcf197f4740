"""Middleware that times each task, and hooks that raise an alarm and count what became of the jobs."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from litequeue import Call, FailedAttempt, Job, Queue, Retry, RunningJob

queue = Queue("timing_and_alarm.db")
seconds: defaultdict[str, list[float]] = defaultdict(list)
events: Counter[str] = Counter()


@queue.middleware
def timed(job: RunningJob, call_next: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    try:
        return call_next()
    finally:
        seconds[job.task].append(time.perf_counter() - began)


@queue.middleware("enqueue")
def hurry(call: Call[Any]) -> Call[Any]:
    return call.using(priority=10) if "urgent" in call.args else call


@queue.on("failed")
async def alarm(job: Job[Any], error: FailedAttempt) -> None:
    await asyncio.sleep(0)  # a message to whoever is on duty
    print(f"ALARM: {job.task}{job.args} failed in attempt {error.attempt}: {error.message}")


@queue.task(retry=Retry(2, intervals=[0]))
def send(to: str, subject: str) -> None:
    time.sleep(0.01)
    if to == "nobody":
        raise LookupError("there is no such address")


def main() -> None:
    for event in ("claimed", "completed", "retried", "failed"):
        queue.on(event, lambda job, *_, event=event: events.update([event]))
    send.enqueue("Ada", "news")
    send.enqueue("nobody", "news")
    first = send.enqueue("Grace", "urgent")
    print(f"job {first.id} has priority {first.priority}")
    queue.worker(threads=2, burst=True).run()
    print(dict(events))
    for task, took in seconds.items():
        print(f"{task}: {len(took)} runs, {sum(took) / len(took):.3f} s on average")


if __name__ == "__main__":
    main()
