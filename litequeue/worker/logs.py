"""What a worker says while it works: one line per claim and settlement, as text or as JSON."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TextIO

from ..clock import SECOND, to_datetime
from ..job import (
    Cancelled,
    Claimed,
    Complete,
    Crash,
    Ended,
    Fail,
    Failure,
    Filter,
    Release,
    Settlement,
    Snapshot,
    Snoozed,
    State,
)
from ..log import log
from ..storage.reports import Reports
from .outcome import Outcome
from .settings import WorkerOptions

_FACTS = "litequeue_facts"  # where a record carries them

_VERBS: dict[type[Settlement], str] = {
    Complete: "complete",
    Fail: "fail",
    Crash: "crash",
    Snoozed: "snooze",
    Release: "release",
    Cancelled: "cancel",
}


def started(worker: int, options: WorkerOptions) -> None:
    """A worker signed on."""
    queues = ",".join(options.queues)
    facts = {"event": "start", "worker": worker, "queues": options.queues, "threads": options.threads}
    _tell(logging.INFO, facts, "start worker=%d queues=%s threads=%d", worker, queues, options.threads)


def stopped(worker: int, settled: int, released: int) -> None:
    """A worker has ended."""
    facts = {"event": "stop", "worker": worker, "settled": settled, "released": released}
    _tell(logging.INFO, facts, "stop worker=%d settled=%d released=%d", worker, settled, released)


def fired(schedule: str, job: int) -> None:
    """A schedule made a job."""
    facts = {"event": "fire", "schedule": schedule, "job": job}
    _tell(logging.INFO, facts, "fire schedule=%s job=%d", schedule, job)


def claimed(jobs: Iterable[Claimed], worker: int, now: int) -> None:
    """Jobs were claimed."""
    if not log.isEnabledFor(logging.INFO):
        return
    for job in jobs:
        facts = {**_facts("claim", job, worker), "wait": max(0, now - job.run_at) / SECOND}
        _tell(logging.INFO, facts, "claim job=%d task=%s attempt=%d", *_names(job))


def settled(outcome: Outcome, worker: int, *, accepted: bool) -> None:
    """One job was settled, or its lease turned out to be lost."""
    settlement, job = outcome.settlement, outcome.assignment.claimed
    if not log.isEnabledFor(logging.INFO) and isinstance(settlement, Complete) and accepted:
        return
    verb = _VERBS[type(settlement)] if accepted else "lose"
    facts = {**_facts(verb, job, worker), "seconds": outcome.duration / SECOND}
    if not accepted:
        text = "lease lost job=%d task=%s attempt=%d: nothing was written"
        _tell(logging.WARNING, facts, text, *_names(job))
    elif isinstance(settlement, Fail):
        failed(job, settlement, facts)
    else:
        facts |= _more(settlement)
        text = f"{verb} job=%d task=%s attempt=%d seconds=%.3f"
        _tell(logging.INFO, facts, text, *_names(job), outcome.duration / SECOND)


def unfit(job: Claimed, settlement: Fail, worker: int) -> None:
    """One job failed before it began: what is stored of it can not be run."""
    failed(job, settlement, _facts("fail", job, worker))


def failed(job: Claimed, settlement: Fail, facts: Mapping[str, object]) -> None:
    """An attempt failed."""
    failure, retry_at = settlement.failure, settlement.retry_at
    level, then = (logging.ERROR, "for good") if retry_at is None else (logging.WARNING, "and is tried again")
    words = f"{failure.type}: {failure.message}"
    facts = {**facts, **_more(settlement)}
    _tell(level, facts, "fail job=%d task=%s attempt=%d %s: %r", *_names(job), then, words)


def given_back(verb: str, ended: Iterable[Ended], worker: int) -> None:
    """Attempts were taken from a dead worker ("reap"), or from one that stops ("release")."""
    for settlement, job, _ in ended:
        facts = {**_facts_of(verb, job, worker), **_more(settlement), "state": str(job.state)}
        text = f"{verb} job=%d task=%s attempt=%d: it is %s now"
        _tell(logging.INFO, facts, text, job.id, job.task, job.attempt, job.state)


def ended_unrun(reports: Reports, ids: tuple[int, ...], worker: int) -> None:
    """Jobs that came to their turn, and had to end instead. Raises `DatabaseError`, for it looks at them."""
    if not ids or not log.isEnabledFor(logging.INFO):
        return
    for job in reports.jobs(Filter(ids=ids), len(ids)):
        verb = "expire" if job.reason == "expired" else "cancel" if job.state is State.CANCELLED else "fail"
        facts = {**_facts_of(verb, job, worker), "reason": job.reason, "error_message": job.message}
        _tell(logging.INFO, facts, f"{verb} job=%d task=%s unrun: %r", job.id, job.task, job.message or "")


def _tell(level: int, facts: Mapping[str, object], text: str, *args: object) -> None:
    log.log(level, text, *args, extra={_FACTS: facts})


def _facts(event: str, job: Claimed, worker: int) -> dict[str, object]:
    facts = {"event": event, "job": job.lease.job, "task": job.task, "queue": job.queue}
    return {**facts, "attempt": job.lease.attempt, "worker": worker}


def _facts_of(event: str, job: Snapshot, worker: int) -> dict[str, object]:
    facts = {"event": event, "job": job.id, "task": job.task, "queue": job.queue}
    return {**facts, "attempt": job.attempt, "worker": worker}


def _more(settlement: Settlement) -> dict[str, object]:
    match settlement:
        case Fail(failure=failure, retry_at=retry_at):
            return {**_why(failure), "retry_at": None if retry_at is None else _iso(retry_at)}
        case Crash(failure=failure):
            return _why(failure)
        case Snoozed(run_at=run_at):
            return {"run_at": _iso(run_at)}
        case Cancelled(message=message):
            return {"reason": "cancelled", "error_message": message or None}
    return {}


def _why(failure: Failure) -> dict[str, object]:
    return {"reason": failure.reason, "error": failure.type, "error_message": failure.message}


def _names(job: Claimed) -> tuple[int, str, int]:
    return job.lease.job, job.task, job.lease.attempt


def _iso(instant: int) -> str:
    return to_datetime(instant).isoformat(timespec="milliseconds")


class JsonFormatter(logging.Formatter):
    """One JSON object per line, with the facts of what it tells in keys of their own."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": record.process,
            **{name: value for name, value in getattr(record, _FACTS, {}).items() if value is not None},
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextFormatter(logging.Formatter):
    """A line for a person, and whatever follows, such as a traceback, set in below it.

    Stored text can neither move the cursor nor pass for a line of the worker's own.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s [%(process)d] %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).split("\n")
        return "\n    ".join(
            "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in lines
        )


def configure(kind: str) -> None:
    """Let the worker's lines go to standard error, as "text" or "json"."""
    handler = logging.StreamHandler(_standard_error())
    handler.setFormatter(JsonFormatter() if kind == "json" else TextFormatter())
    log.logger.handlers[:] = [handler]
    log.logger.setLevel(logging.INFO)
    log.logger.propagate = False


def _standard_error() -> TextIO | None:
    """A stream of our own to where standard error goes: a task may close the other."""
    try:
        return open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    except OSError:
        return None  # there is none: the handler takes what Python has in its place
