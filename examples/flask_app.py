"""Flask: requests enqueue, pages poll or stream the progress, and the reloader loses no job.

It visits itself once and stops; with --serve it stays up, in debug mode.
"""

import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from litequeue import Job, JobNotFound, Queue, current_job

if importlib.util.find_spec("flask") is None:
    print("Flask is not installed here: pip install flask")
    sys.exit()

from flask import Flask, request
from werkzeug.serving import is_running_from_reloader

STREAM = "text/event-stream"  # what the `new EventSource("/jobs/1")` of a page asks for
queue = Queue("flask_app.db")
app = Flask(__name__)
app.register_error_handler(JobNotFound, lambda error: (str(error), 404))


@queue.task
def write_report(pages: int) -> None:
    for page in range(1, pages + 1):
        time.sleep(0.1)
        if job := current_job():
            job.progress(page / pages, f"page {page} of {pages}")


def status(job: Job[None]) -> dict[str, Any]:
    return {"id": job.id, "state": job.state, "progress": job.progress_text}


def events(job: Job[None]) -> Iterator[str]:
    yield f"data: {json.dumps(status(job))}\n\n"
    while not job.finished_at:
        time.sleep(0.2)
        yield f"data: {json.dumps(status(job.refresh()))}\n\n"


@app.post("/reports/<int:pages>")
def enqueue(pages: int) -> Any:
    return status(write_report.enqueue(pages))


@app.get("/jobs/<int:number>")
def show(number: int) -> Any:
    job, streams = queue.job(number), request.headers.get("Accept") == STREAM
    return (events(job), {"Content-Type": STREAM}) if streams else status(job)


# Under the reloader two processes come here: one only watches the code, the other serves, and works.
if __name__ == "__main__" and "--serve" in sys.argv:
    with queue.worker(threads=2) if is_running_from_reloader() else nullcontext():
        app.run(debug=True, port=int(os.environ.get("PORT", "5000")))
elif __name__ == "__main__":
    with queue.worker(threads=2), app.test_client() as client:
        number = client.post("/reports/10").json["id"]
        print(client.get(f"/jobs/{number}", headers={"Accept": STREAM}).text)
