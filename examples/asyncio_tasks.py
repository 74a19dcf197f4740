"""Coroutines as tasks: two hundred slow calls at once, on one event loop, awaited from another."""

import asyncio
import time

from litequeue import JobFailed, Queue, Retry

queue = Queue("asyncio_tasks.db")


@queue.task(retry=Retry(3, base=0.1), timeout=5)
async def call(service: str, number: int) -> int:
    await asyncio.sleep(0.25)  # a service that takes its time
    return number * number


@queue.task(timeout=0.2)
async def hang() -> None:
    await asyncio.sleep(3600)


async def main() -> None:
    began = time.perf_counter()
    first = await call.aenqueue("squares", 12)  # never blocks the event loop
    rest = queue.enqueue_many(call.call("squares", number) for number in range(200))
    stuck = await hang.aenqueue()

    with queue.worker(async_slots=250):
        print("one:", await first)
        print("all:", sum(await asyncio.gather(*rest)))
        try:
            await stuck.aresult(timeout=10)
        except JobFailed as error:
            print(f"job {error.job_id} failed ({error.reason}): {error.message}")
    print(f"{len(rest)} calls of 0.25 s took {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    asyncio.run(main())
