"""What the page shows, as JSON: what the commands print with --json, and what a plot needs beyond it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .. import __version__
from ..cli.arguments import job_id, wanted, wanted_error
from ..cli.describe import as_json, call_of, encoded, note_of, options_of
from ..cli.errors import as_json as error_json
from ..cli.human import iso
from ..cli.inspect import call_in_short, step_json
from ..cli.overview import as_json as look_json
from ..cli.overview import look
from ..cli.schedules import as_json as schedule_json
from ..cli.schedules import rule_text
from ..clock import SECOND
from ..desk import Desk
from ..errors import InvalidOption
from ..explain import explain
from ..job import Filter, Snapshot, state_named
from ..options import whole
from ..schedules import Schedule
from ..storage.steps import StoredStep
from ..traffic import MINUTE, QueueReport, Traffic
from .graph import graph_of

PAGE, LARGEST_PAGE = 50, 200
_MINUTES = 60
_LONGEST_TEXT = 20_000
_LONGEST_TRACEBACK = 50_000
_MOST_FAILURES, _MOST_LINES, _MOST_STEPS = 20, 500, 500
_MOST_QUEUES = 200
_MOST_ERRORS = 100


def overview(desk: Desk, file: str) -> dict[str, object]:
    """The file at a glance: what `info` tells, and each minute of the last hour."""
    found = look(desk, file)
    first = found.now // MINUTE - _MINUTES + 1
    shown = {queue.name: queue for queue in found.queues[:_MOST_QUEUES]}
    told = look_json(found)
    queues = [
        {**one, "ended_by_minute": _ended(shown[one["queue"]], first)}
        for one in told["queues"]  # type: ignore[attr-defined]
        if one["queue"] in shown
    ]
    return {
        **told,
        "version": __version__,
        "now": iso(found.now),
        "queues": queues,
        "more_queues": len(found.queues) - len(queues),
        "minutes": [_minute_json(first + place, passed) for place, passed in _hour(found.queues, first)],
    }


def _hour(queues: Iterable[QueueReport], first: int) -> list[tuple[int, Traffic]]:
    """What passed through all queues in each minute from the first on."""
    sums = [Traffic()] * _MINUTES
    for queue in queues:
        for minute in queue.minutes:
            place = minute.at // MINUTE - first
            if 0 <= place < _MINUTES:
                sums[place] += minute.traffic
    return list(enumerate(sums))


def _ended(queue: QueueReport, first: int) -> list[int]:
    """How many attempts of one queue ended in each minute."""
    return [passed.completed + passed.failed + passed.retried for _, passed in _hour([queue], first)]


def _minute_json(minute: int, passed: Traffic) -> dict[str, object]:
    shares = {
        f"{what}_p{share * 100:g}": _seconds(times.quantile(share))
        for what, times in (("wait", passed.waits), ("run", passed.runs))
        for share in (0.5, 0.95)
    }
    counts = {"completed": passed.completed, "failed": passed.failed, "retried": passed.retried}
    return {"at": iso(minute * MINUTE), **counts, **shares}


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / SECOND


# --- jobs ----------------------------------------------------------------------------------------


def jobs(desk: Desk, query: Mapping[str, str]) -> dict[str, object]:
    """A page of jobs, newest first. Raises `InvalidOption`."""
    limit = _limit(query.get("limit", str(PAGE)))
    after = job_id(query["after"]) if "after" in query else None
    found = desk.reports.jobs(_filter(query), limit + 1, after)
    return {
        "jobs": [
            {**as_json(job), "arguments": call_in_short(desk, job.id), "note": note_of(job)[:_LONGEST_TEXT]}
            for job in found[:limit]
        ],
        "next": found[limit - 1].id if len(found) > limit else None,
    }


def _filter(query: Mapping[str, str]) -> Filter:
    return Filter(
        state=state_named(query["state"]) if "state" in query else None,
        queue=wanted(query.get("queue"), "queue"),
        task=wanted(query.get("task"), "task"),
        tag=wanted(query.get("tag"), "tag"),
        error=wanted_error(query.get("error"), "error"),
    )


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidOption(f"limit is {text!r:.80}; give a whole number")
    return whole(int(text), "limit", 1, LARGEST_PAGE)


def job(desk: Desk, id: int) -> dict[str, object]:
    """All of one job that a page can hold. Raises `JobNotFound`."""
    found = desk.reports.job(id)
    call = call_of(*desk.reports.payload_head(id, _LONGEST_TEXT + 1))[0]
    return {
        **as_json(found),
        "arguments": cut(call),
        "result": _result(desk, found),
        "meta": None if found.meta is None else cut(str(found.meta)),
        "options": options_of(found),
        "note": cut(note_of(found)),
        "explanation": cut(explain(desk.reports, desk.workers, desk.clock, id).text),
        "failed_attempts": _failed(desk, id),
        "steps": [_step(step) for step in desk.steps.all(id)[:_MOST_STEPS]],
        "log": [
            {"attempt": line.attempt, "at": iso(line.at), "text": cut(line.text)}
            for line in desk.reports.log(id, _MOST_LINES)
        ],
        "graph": graph_of(desk, id),
    }


def _result(desk: Desk, found: Snapshot) -> str | None:
    if found.state != "completed":
        return None
    stored = desk.reports.result(found.id)
    return cut(encoded(stored.body, stored.codec)[0])


def _failed(desk: Desk, id: int) -> list[dict[str, object]]:
    """The last attempts that failed, the newest first."""
    return [
        {
            "attempt": one.attempt,
            "failed_at": iso(one.failed_at),
            "reason": one.reason,
            "type": one.type,
            "message": cut(one.message),
            "traceback": one.traceback[-_LONGEST_TRACEBACK:],
        }
        for one in desk.reports.failures(id)[: -_MOST_FAILURES - 1 : -1]
    ]


def _step(step: StoredStep) -> dict[str, object]:
    return {**step_json(step), "result": cut(encoded(step.body, step.codec)[0])}


def cut(text: str) -> str:
    """As much of a text as a page holds."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


# --- errors and schedules ---------------------------------------------------------------------------


def errors(desk: Desk) -> dict[str, object]:
    """Failed attempts by what was raised and where, the most frequent first."""
    found = desk.overview.errors(limit=_MOST_ERRORS)
    return {"errors": [{**error_json(one), "message": cut(one.message)} for one in found]}


def schedules(desk: Desk) -> dict[str, object]:
    """What is enqueued again and again."""
    found = [Schedule(info, desk.clock) for info in desk.schedules.all()]
    return {"schedules": [{**schedule_json(one), "fires": rule_text(one.timing)} for one in found]}
