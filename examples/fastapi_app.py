"""FastAPI: requests enqueue, pages poll or stream the progress, and each server process has a worker.

It visits itself once and stops. To serve: uvicorn fastapi_app:app --reload, or with --workers 2
"""

import asyncio
import importlib.util
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litequeue import Job, JobNotFound, Queue, current_job

if importlib.util.find_spec("fastapi") is None:
    print("FastAPI is not installed here: pip install fastapi uvicorn")
    sys.exit()

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

STREAM = "text/event-stream"  # what the `new EventSource("/jobs/1")` of a page asks for
queue = Queue("fastapi_app.db")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with queue.aworker(slots=100):
        yield


app = FastAPI(lifespan=lifespan)
app.add_exception_handler(JobNotFound, lambda request, error: PlainTextResponse(str(error), 404))


@queue.task
async def write_report(pages: int) -> None:
    for page in range(1, pages + 1):
        await asyncio.sleep(0.1)
        if job := current_job():
            job.progress(page / pages, f"page {page} of {pages}")


def status(job: Job[None]) -> dict[str, Any]:
    return {"id": job.id, "state": job.state, "progress": job.progress_text}


async def events(job: Job[None]) -> AsyncIterator[str]:
    while (told := status(await asyncio.to_thread(job.refresh)))["state"] in ("ready", "running"):
        yield f"data: {json.dumps(told)}\n\n"
        await asyncio.sleep(0.2)
    yield f"data: {json.dumps(told)}\n\n"


@app.post("/reports/{pages}")
def enqueue(pages: int) -> Any:  # plain functions run on threads of FastAPI's, and may wait for the disk
    return status(write_report.enqueue(pages))


@app.get("/jobs/{number}")
def show(number: int, request: Request) -> Any:
    job, streams = queue.job(number), request.headers.get("Accept") == STREAM
    return StreamingResponse(events(job), media_type=STREAM) if streams else status(job)


async def visit() -> None:
    async with lifespan(app):
        job = await write_report.aenqueue(10)
        async for event in events(job):
            print(event, end="")


if __name__ == "__main__":
    asyncio.run(visit())
