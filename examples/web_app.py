"""Plain WSGI: requests enqueue, pages poll or stream the progress, and a worker runs beside the server.

It visits itself once and stops; with --serve it stays up. `app` goes with any WSGI server.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from threading import Thread
from urllib.request import Request, urlopen
from wsgiref.simple_server import WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from litequeue import Job, Queue, current_job

STREAM = "text/event-stream"  # what the `new EventSource("/jobs/1")` of a page asks for
queue = Queue("web_app.db")


@queue.task
def write_report(pages: int) -> None:
    for page in range(1, pages + 1):
        time.sleep(0.1)
        if job := current_job():
            job.progress(page / pages, f"page {page} of {pages}")


def status(job: Job[None]) -> bytes:
    return json.dumps({"id": job.id, "state": job.state, "progress": job.progress_text}).encode()


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    path, kind = environ["PATH_INFO"].split("/"), environ.get("HTTP_ACCEPT")
    is_new = environ["REQUEST_METHOD"] == "POST" and path[1] == "reports"
    try:
        number = int(path[2])
        job = write_report.enqueue(number) if is_new else queue.job(number)
    except (LookupError, ValueError) as error:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        yield f"{error}; try POST /reports/10, then GET /jobs/1".encode()
        return
    start_response("200 OK", [("Content-Type", STREAM if kind == STREAM else "application/json")])
    while kind == STREAM and not job.finished_at:
        yield b"data: %b\n\n" % status(job)
        time.sleep(0.2)
        job.refresh()
    yield b"data: %b\n\n" % status(job) if kind == STREAM else status(job)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a stream of which nobody hears any more holds up nothing


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000")) if "--serve" in sys.argv else 0
    with make_server("127.0.0.1", port, app, Server) as server, queue.worker(threads=2):
        print(site := f"http://127.0.0.1:{server.server_port}", flush=True)
        (serving := Thread(target=server.serve_forever, daemon=True)).start()
        if port:
            serving.join()
        number = json.load(urlopen(f"{site}/reports/10", b""))["id"]
        print(urlopen(Request(f"{site}/jobs/{number}", headers={"Accept": STREAM})).read().decode())
