"""One job as people and programs want to see it."""

from __future__ import annotations

import json
import math
from typing import Any

from ..codec import JSON, plain
from ..errors import EncodingError
from ..job import FINAL, Snapshot, State
from ..names import MESSAGE
from .human import iso, number, span, times, when

COLORS: dict[State, str | None] = {
    State.SCHEDULED: "blue",
    State.BLOCKED: "blue",
    State.READY: None,
    State.RUNNING: "cyan",
    State.COMPLETED: "green",
    State.FAILED: "red",
    State.CANCELLED: "yellow",
}
NO_ARGUMENTS = "none"
_DEEPEST = 200


def tags_of(job: Snapshot) -> list[str]:
    """The tags of a job; what plain SQL wrote there and is no list of texts counts as none."""
    found = parsed(job.tags)
    return [tag for tag in found if isinstance(tag, str)] if isinstance(found, list) else []


def parsed(stored: object) -> Any:
    """The JSON value of a stored text, or None where it is none, or too deep to be written again."""
    if not isinstance(stored, (str, bytes)):
        return None
    try:
        value = plain(stored)
    except EncodingError:
        return None
    return value if _is_shallow(value, _DEEPEST) else None


def _is_shallow(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_is_shallow(each, levels - 1) for each in inner)


def moment_of(job: Snapshot, now: int) -> str:
    """The instant that matters most in the job's state, as seen from now."""
    if job.state in FINAL and job.finished_at is not None:
        return when(job.finished_at, now)
    if job.state is State.RUNNING:
        return (
            "starting"
            if job.started_at is None
            else f"since {when(job.started_at, now)}".removesuffix(" ago")
        )
    if job.state is State.SCHEDULED and job.run_at <= now:
        return "due"
    return when(job.run_at, now)


def note_of(job: Snapshot) -> str:
    """What else there is to say in one line: how it ended, how far it is, how often it failed."""
    return ", ".join(filter(None, (_condition(job), _failures(job))))


def _condition(job: Snapshot) -> str:
    if job.state in FINAL:
        return ": ".join(part for part in (job.reason, job.message) if part and part != job.state)
    if job.state is State.RUNNING:
        return "asked to stop" if job.cancelling else progress_of(job)
    return "no worker here can resolve its task" if job.parked and job.task != MESSAGE else ""


def _failures(job: Snapshot) -> str:
    goes_without_saying = 1 if job.state is State.FAILED else 0
    return f"failed {times(job.failures)}" if job.failures > goes_without_saying else ""


def progress_of(job: Snapshot) -> str:
    """How far a running job says it is."""
    percent = None if job.progress is None else f"{job.progress:.0%}"
    return " ".join(part for part in (percent, job.progress_text) if part)


def as_json(job: Snapshot) -> dict[str, object]:
    """A job for machines: its columns, with instants in ISO 8601."""
    return {
        "id": job.id,
        "task": job.task,
        "queue": job.queue,
        "state": str(job.state),
        "reason": job.reason,
        "message": job.message,
        "priority": job.priority,
        "attempt": job.attempt,
        "failures": job.failures,
        "crashes": job.crashes,
        "created_at": iso(job.created_at),
        "run_at": iso(job.run_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "expires_at": iso(job.expires_at),
        "worker": job.worker,
        "cancelling": job.cancelling,
        "parked": job.parked,
        "progress": job.progress if math.isfinite(job.progress or 0) else None,
        "progress_text": job.progress_text,
        "tags": tags_of(job),
        "meta": parsed(job.meta) or {},
        "unique_key": job.unique_key,
        "limit_key": job.limit_key,
        "schedule": job.schedule,
        "scheduled_for": iso(job.scheduled_for),
    }


def options_of(job: Snapshot) -> str:
    """What was said of this one job beyond its task's own options."""
    kept = parsed(job.options)
    if not isinstance(kept, dict):
        return job.options or ""
    said = [
        f"{name} {value}" for name, value in kept.items() if name not in ("retry", "timeout", "retention")
    ]
    match kept.get("retry"):
        case {"max_attempts": int(attempts)}:
            said.append(f"at most {number(attempts, 'attempt')}")
        case {"max_attempts": None}:
            said.append("tried again without end")
    if isinstance(kept.get("timeout"), int):
        said.append(f"timeout {span(kept['timeout'])}")
    if isinstance(kept.get("retention"), dict):
        said += [f"kept {_kept(time)} when {state}" for state, time in kept["retention"].items()]
    return ", ".join(said)


def _kept(time: object) -> str:
    return span(time) if isinstance(time, int) else "for ever"


def call_of(body: str | bytes, codec: str) -> tuple[str, Any, Any]:
    """The arguments of a job: as a text, and as JSON where they are JSON."""
    text, value = encoded(body, codec)
    match value:
        case [list(args), dict(kwargs)]:
            given = [json.dumps(arg, ensure_ascii=False) for arg in args]
            given += [f"{name}={json.dumps(arg, ensure_ascii=False)}" for name, arg in kwargs.items()]
            return ", ".join(given) or NO_ARGUMENTS, args, kwargs
    return text, None, None


def encoded(body: str | bytes | None, codec: str | None) -> tuple[str, object]:
    """A stored value as text for people and as JSON for programs; it is never unpickled here."""
    if body is None or codec is None:
        return "None", None
    if not isinstance(body, (str, bytes)):
        return str(body), None
    if codec != JSON.name:
        size = f"{len(body):,} {'bytes' if isinstance(body, bytes) else 'characters'}"
        return f"({size}, written by the codec {codec!r})", None
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    return text, parsed(text)
