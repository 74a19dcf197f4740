"""RQ's getting started, ported: the words at an address are counted in the background."""

import threading
import urllib.request
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from litequeue import Queue, Retry

queue = Queue("jobs.db")  # Queue(connection=Redis())


class Page(BaseHTTPRequestHandler):
    """One page of eight words, and nothing else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/" else 404)
        self.end_headers()
        self.wfile.write(b"a job is a function and its arguments")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def count_words_at_url(url: str) -> int:  # a plain function of a module, as there
    with urllib.request.urlopen(url, timeout=10) as page:
        return len(page.read().split())


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = f"http://127.0.0.1:{server.server_port}"

    job = queue.enqueue(count_words_at_url, f"{site}/")
    print(job.state, "as job", job.id)  # job.get_status()

    # With args= the other keywords are options: there job_timeout=, retry=, depends_on=, at_front=True
    lost = queue.enqueue(
        count_words_at_url, args=(f"{site}/lost",), timeout=30, retry=Retry(4, intervals=[0.1])
    )
    after = queue.enqueue(count_words_at_url, args=(f"{site}/",), after=job, priority=1, tags="again")
    later = queue.enqueue(count_words_at_url, args=(f"{site}/",), delay=timedelta(days=1))  # enqueue_in

    with queue.worker():  # in a shell: litequeue worker jobs.db --burst; there: rq worker --burst
        lost.wait(timeout=30)
        print(job.result(timeout=30), "and", after.result(timeout=30), "words")  # job.return_value()
    server.shutdown()

    print(f"{lost.state} after {lost.failures} tries: {lost.errors[-1].message}")  # job.exc_info
    print("tomorrow's is", later.refresh().state, "without a scheduler of its own")
    print(queue.retry(), "job tried again")  # rq requeue --all


if __name__ == "__main__":
    main()
