"""What a worker says while it works: one line per claim and settlement, as text or as JSON."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from typing import TextIO

from ..clock import SECOND
from ..job import Cancelled, Claimed, Complete, Crash, Fail, Release, Settlement, Snoozed
from ..log import log
from .outcome import Outcome

_VERBS: dict[type[Settlement], str] = {
    Complete: "complete",
    Fail: "fail",
    Crash: "crash",
    Snoozed: "snooze",
    Release: "release",
    Cancelled: "cancel",
}


def claimed(job: Claimed) -> None:
    """One job was claimed."""
    if log.isEnabledFor(logging.INFO):
        log.info("claim job=%d task=%s attempt=%d", job.lease.job, job.task, job.lease.attempt)


def settled(outcome: Outcome, *, accepted: bool) -> None:
    """One job was settled, or its lease turned out to be lost."""
    if not log.isEnabledFor(logging.INFO) and isinstance(outcome.settlement, Complete) and accepted:
        return
    lease, task = outcome.settlement.lease, outcome.assignment.task.name
    if not accepted:
        log.warning(
            "lease lost job=%d task=%s attempt=%d: nothing was written", lease.job, task, lease.attempt
        )
        return
    verb = _VERBS[type(outcome.settlement)]
    seconds = outcome.duration / SECOND
    match outcome.settlement:
        case Fail(failure=failure, retry_at=retry_at):
            then = "for good" if retry_at is None else "and is tried again"
            level = logging.ERROR if retry_at is None else logging.WARNING
            words = f"{failure.type}: {failure.message}"
            log.log(
                level, "fail job=%d task=%s attempt=%d %s: %r", lease.job, task, lease.attempt, then, words
            )
        case _:
            log.info(
                "%s job=%d task=%s attempt=%d seconds=%.3f", verb, lease.job, task, lease.attempt, seconds
            )


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": record.process,
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
