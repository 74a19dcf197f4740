"""Messages: one process puts, two get; one of them is killed in mid-message, and nothing is lost."""

import multiprocessing
import os
import signal
import sys

from litequeue import Queue

queue = Queue("jobs.db")
photos = queue.messages("photos", maxsize=10)
done = queue.messages("done")


def resize(is_clumsy: bool) -> None:
    """Take photos until told to stop; a clumsy one is killed over its third."""
    taken = 0
    while True:
        with photos.claim() as photo:
            if photo.item is None:
                return
            taken += 1
            if is_clumsy and taken == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            with queue.transaction():  # the two are one step: both are done, or neither
                done.put(f"small-{photo.item}")
                photo.complete()


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    consumers = [context.Process(target=resize, args=(is_clumsy,)) for is_clumsy in (True, False)]
    for consumer in consumers:
        consumer.start()
    for number in range(200):
        photos.put(f"{number}.jpg")  # waits while ten wait
    photos.join()  # until none waits or is held, in any process
    for consumer in consumers:
        if consumer.is_alive():
            photos.put(None)
            consumer.join()

    done.shutdown()
    names = []
    for name in done:  # until it is empty, now that it is shut down here
        names.append(name)
        done.task_done()
    print(f"{len(names)} photos are small now; the first consumer ended with {consumers[0].exitcode}")
    sys.exit(len(set(names)) != 200 or len(names) != 200)
