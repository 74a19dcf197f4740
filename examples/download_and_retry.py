"""Download fifty pages on four threads from a server that fails now and then."""

import threading
import urllib.error
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

from litequeue import Queue, Reject, Retry

queue = Queue("downloads.db")
requests = count(1)


class Moody(BaseHTTPRequestHandler):
    """Every third request meets a server that is busy, and page 13 does not exist."""

    def do_GET(self) -> None:
        status = 404 if self.path == "/13" else 503 if next(requests) % 3 == 0 else 200
        self.send_response(status)
        self.end_headers()
        self.wfile.write(f"This is page {self.path}\n".encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@queue.task(retry=Retry(10, base=0.05, max_delay=1, on=OSError), timeout=10, tags="download")
def download(url: str, target: Path) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as page:
            content: bytes = page.read()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise Reject("there is no such page") from error  # trying again would not help
        raise
    return target.write_bytes(content)


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Moody)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = f"http://127.0.0.1:{server.server_port}"

    jobs = queue.enqueue_many(download.call(f"{site}/{n}", Path(f"page{n}.txt")) for n in range(50))
    with queue.worker(threads=4):
        states = Counter(str(job.wait(timeout=30)) for job in jobs)
    server.shutdown()

    print(f"{dict(states)}, after {sum(job.failures for job in jobs)} failed attempts")
    for job in queue.jobs(state="failed"):
        print(f"job {job.id}, {job.args[0]}: {job.errors[-1].message}")


if __name__ == "__main__":
    main()
