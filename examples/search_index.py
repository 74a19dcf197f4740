"""Every edit asks for the page to be indexed; a burst of edits indexes it once, with the last text."""

import time

from litequeue import Queue

queue = Queue("index.db")
index: dict[str, str] = {}


# The key is the page. A new call replaces the arguments of the one that waits and puts it off again, but the
# index is never behind by more than two seconds.
@queue.task(unique=("page",), on_duplicate="replace", delay=0.2, max_wait=2)
def index_page(page: str, text: str) -> int:
    index[page] = text
    return len(index)


def main() -> None:
    with queue.worker():
        for number in range(20):
            job = index_page.enqueue("start", f"edit {number}")
            index_page.enqueue("about", f"edit {number}")
            time.sleep(0.01)
        job.result(timeout=10)
        queue.jobs(task=index_page)[0].wait(timeout=10)
    print(f"40 edits, {len(queue.jobs())} jobs, and the index has {index}")


if __name__ == "__main__":
    main()
