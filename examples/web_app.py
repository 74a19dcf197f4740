"""A web app: requests enqueue, a page shows progress, the worker runs beside the server in one process.

It visits itself once and stops; with --serve it stays up.
"""

import json
import sys
import threading
import time
from urllib.request import urlopen
from wsgiref.simple_server import make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from litequeue import Queue, current_job

queue = Queue("web_app.db")


@queue.task
def write_report(pages: int) -> str:
    for page in range(1, pages + 1):
        time.sleep(0.1)
        if job := current_job():
            job.progress(page / pages, f"page {page} of {pages}")
    return f"a report of {pages} pages"


def answer(method: str, path: str) -> dict[str, object]:
    match method, path.split("/"):
        case "POST", ["", "reports", pages]:
            return {"job": write_report.enqueue(int(pages)).id}
        case "GET", ["", "jobs", number]:
            job = queue.job(int(number))  # raises JobNotFound, a LookupError
            done = job.state == "completed"
            return {"state": job.state, "shows": job.result() if done else job.progress_text}
    raise LookupError("try POST /reports/10, then GET /jobs/1")


def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    try:
        status, body = "200 OK", answer(environ["REQUEST_METHOD"], environ["PATH_INFO"])
    except (LookupError, ValueError) as error:
        status, body = "404 Not Found", {"error": str(error)}
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]


if __name__ == "__main__":
    stay = "--serve" in sys.argv
    with make_server("127.0.0.1", 8000 if stay else 0, app) as server, queue.worker(threads=2):
        print(site := f"http://127.0.0.1:{server.server_port}", flush=True)
        (serving := threading.Thread(target=server.serve_forever, daemon=True)).start()
        page = f"{site}/jobs/{json.load(urlopen(f'{site}/reports/10', b''))['job']}"
        while (shown := json.load(urlopen(page)))["state"] != "completed":
            print(shown)
            time.sleep(0.4)
        print(shown)
        if stay:
            serving.join()
