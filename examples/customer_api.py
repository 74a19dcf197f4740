"""An API that takes five calls a second of each customer, two at a time; who sends much delays no other."""

import threading
import time
from collections import Counter

from litequeue import Queue

queue = Queue("api.db")
calls: list[tuple[float, str]] = []
running: Counter[str] = Counter()
most: Counter[str] = Counter()
lock = threading.Lock()


@queue.task(key=("customer",), rate="5/s", max_running=2)
def call_api(customer: str, number: int) -> None:
    with lock:
        calls.append((time.monotonic(), customer))
        running[customer] += 1
        most[customer] = max(most[customer], running[customer])
    time.sleep(0.02)
    with lock:
        running[customer] -= 1


def main() -> None:
    ada = queue.enqueue_many(call_api.call("Ada", number) for number in range(10))
    grace = queue.enqueue_many(call_api.call("Grace", number) for number in range(3))
    began = time.monotonic()
    with queue.worker(threads=8):
        for job in grace:
            job.wait(timeout=10)
        print(f"Grace's three calls were through after {time.monotonic() - began:.1f} s")
        for job in ada:
            job.wait(timeout=10)
    starts = [at for at, customer in calls if customer == "Ada"]
    busiest = max(sum(begin <= at < begin + 1 for at in starts) for begin in starts)
    print(f"Ada's ten after {time.monotonic() - began:.1f} s; in no second more than {busiest}", end="")
    print(f", and never more than {max(most.values())} at a time")


if __name__ == "__main__":
    main()
