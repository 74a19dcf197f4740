"""What an operator does from the dashboard: the verbs of the command line, on one thing each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from ..cli.change import CANCEL, DELETE, RETRY
from ..desk import Desk
from ..options import text_name
from .exchange import Refused

_Action = Callable[[Desk, Any], object]
JOB_VERBS: dict[str, _Action] = {verb.name: verb.one for verb in (CANCEL, RETRY, DELETE)}
QUEUE_VERBS: dict[str, _Action] = {
    "pause": lambda desk, name: desk.store.pause(text_name(name, "the queue's name")),
    "resume": lambda desk, name: desk.store.resume(text_name(name, "the queue's name")),
}
SCHEDULE_VERBS: dict[str, _Action] = {
    "run": lambda desk, name: desk.schedules.run(name),
    "pause": lambda desk, name: desk.schedules.pause(name),
    "resume": lambda desk, name: desk.schedules.resume(name),
}
_LARGEST_ID = 2**63 - 1


def act(desk: Desk, asked: Mapping[str, Any]) -> dict[str, object]:
    """Do what `verb` says to the `job`, `queue` or `schedule` that is named.

    Raises `Refused` for what is no action, and what the verb raises: `NotAllowed`, `JobNotFound`, …
    """
    match asked:
        case {"verb": str(verb), "job": int(id), **rest} if not rest and verb in JOB_VERBS:
            JOB_VERBS[verb](desk, known_id(id))
            return {"done": verb, "job": id}
        case {"verb": str(verb), "queue": str(name), **rest} if not rest and verb in QUEUE_VERBS:
            QUEUE_VERBS[verb](desk, name)
            return {"done": verb, "queue": name}
        case {"verb": str(verb), "schedule": str(name), **rest} if not rest and verb in SCHEDULE_VERBS:
            made = SCHEDULE_VERBS[verb](desk, name)
            return {"done": verb, "schedule": name, "job": made}
    raise Refused(HTTPStatus.BAD_REQUEST, "that is no action: name a verb, and one job, queue or schedule")


def known_id(id: int) -> int:
    """What can be the id of a job. Raises `Refused`."""
    if type(id) is not int or not 0 < id <= _LARGEST_ID:
        raise Refused(HTTPStatus.BAD_REQUEST, "that is not the id of a job")
    return id
