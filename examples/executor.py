"""An executor that survives: a program that is killed in the middle, and one that goes on where it was."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import as_completed

from litequeue import Queue

queue = Queue("executor.db", retention=None)


@queue.task
def measure(number: int) -> int:
    time.sleep(0.01)  # a file to read, a page to fetch
    return len(str(2**number))


def begin() -> None:
    executor = queue.executor(threads=4)
    futures = [executor.submit(measure, number) for number in range(100)]
    for count, future in enumerate(as_completed(futures), 1):
        future.result()
        if count == 20:
            os.kill(os.getpid(), signal.SIGKILL)  # the power cord, as it were


def go_on() -> None:
    counts = queue.counts()
    print(f"after the kill: {counts['completed']} done, {counts['ready'] + counts['running']} to do")
    with queue.executor(threads=4) as executor:  # its worker serves the whole queue
        print("one more:", executor.submit(measure, 1000).result())
        try:
            executor.submit(lambda: 1)
        except TypeError as error:
            print("refused:", error)
        print("in order:", list(executor.map(measure, range(0, 50, 10))))
        for job in queue.jobs():
            job.wait(timeout=30)
    print("in the end:", queue.counts()["completed"], "done")


if __name__ == "__main__":
    if sys.argv[1:] == ["begin"]:
        begin()
    subprocess.run([sys.executable, __file__, "begin"], check=False)
    go_on()
