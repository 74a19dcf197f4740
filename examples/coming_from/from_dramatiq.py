"""Dramatiq's guide, ported: count_words, what becomes of its errors, limits, delays and priorities."""

import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

from litequeue import Queue, Retry, current_job

queue = Queue("dramatiq.db")  # dramatiq.set_broker(RedisBroker())
visits = count(1)


class Page(BaseHTTPRequestHandler):
    """A page whose server is busy at every second visit."""

    def do_GET(self) -> None:
        self.send_response(503 if next(visits) % 2 else 200)
        self.end_headers()
        self.wfile.write(b"an actor is a function that takes messages")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


# There an actor is tried again 20 times unless told otherwise; here a task is tried once unless told so.
# min_backoff=100 and time_limit=60_000 there are milliseconds; a lower priority comes first there.
@queue.task(retry=Retry(21, base=0.1, give_up_on=ValueError), timeout=60, expires=3600, priority=1)
def count_words(url: str) -> int:
    if not url.startswith("http"):
        raise ValueError(f"{url} is no address")  # throws=ValueError
    with urllib.request.urlopen(url, timeout=10) as page:
        words = len(page.read().split())
    if job := current_job():  # CurrentMessage.get_current_message(); None when it is simply called
        job.log(f"{words} words, failures: {job.failures}")
    return words


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    try:
        count_words(url)  # as there: here and now
    except urllib.error.HTTPError as error:
        print(error)

    good, bad = count_words.send(url), count_words.send("foo")  # the same there
    late = count_words.using(delay=0.2).send(url)  # send_with_options(args=(url,), delay=200)
    with queue.worker(threads=8):  # dramatiq app --processes 1 --threads 8
        print(good.result(timeout=30), late.result(timeout=30))  # there with the Results middleware
        bad.wait(timeout=30)
    server.shutdown()
    print([line.text for line in good.log], bad.errors[-1].message)


if __name__ == "__main__":
    main()
