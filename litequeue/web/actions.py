"""What an operator does from the dashboard: the verbs of the command line, on one thing each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from ..cli.arguments import wanted, wanted_error
from ..cli.change import CANCEL, DELETE, RETRY, Verb
from ..cli.human import number
from ..desk import Desk
from ..errors import InvalidOption
from ..job import Filter, State
from ..options import text_name
from .exchange import Refused

_Action = Callable[[Desk, Any], str]  # does it, and says what it did
_LARGEST_ID = 2**63 - 1


def act(desk: Desk, asked: Mapping[str, Any]) -> dict[str, object]:
    """Do what `verb` says to the `job`, `queue`, `schedule` or `error` that is named.

    Raises `Refused` for what is no action, and what the verb raises: `NotAllowed`, `JobNotFound`, …
    """
    verb, targets = asked.get("verb"), [item for item in asked.items() if item[0] != "verb"]
    if len(targets) == 1 and isinstance(verb, str):
        [(kind, target)] = targets
        if (kind, verb) in _VERBS:
            return {**asked, "told": _VERBS[kind, verb](desk, target)}
    raise Refused(
        HTTPStatus.BAD_REQUEST, "that is no action: name a verb, and one job, queue, schedule or error"
    )


def _change_job(verb: Verb, desk: Desk, id: object) -> str:
    if type(id) is not int or not 0 < id <= _LARGEST_ID:
        raise Refused(HTTPStatus.BAD_REQUEST, "that is not the id of a job")
    verb.one(desk, id)
    return verb.done


def _pause_queue(desk: Desk, name: object) -> str:
    desk.store.pause(text_name(name, "the queue's name"))
    return "paused"


def _resume_queue(desk: Desk, name: object) -> str:
    desk.store.resume(text_name(name, "the queue's name"))
    return "open again"


def _run_schedule(desk: Desk, name: object) -> str:
    return f"enqueued job {desk.schedules.run(_text(name))}"


def _pause_schedule(desk: Desk, name: object) -> str:
    desk.schedules.pause(_text(name))
    return "paused"


def _resume_schedule(desk: Desk, name: object) -> str:
    desk.schedules.resume(_text(name))
    return "fires again"


def _retry_error(desk: Desk, key: object) -> str:
    chosen = Filter(state=State.FAILED, error=wanted_error(_text(key), "error"))
    return f"{number(desk.store.retry_all(chosen), 'job')} {RETRY.done}"


def _text(given: object) -> str:
    """What may stand in the file. Raises `InvalidOption`."""
    if not isinstance(given, str) or not given:
        raise InvalidOption("give the name as a text")
    return wanted(given, "the name") or ""


_VERBS: dict[tuple[str, str], _Action] = {
    **{("job", verb.name): partial(_change_job, verb) for verb in (CANCEL, RETRY, DELETE)},
    ("queue", "pause"): _pause_queue,
    ("queue", "resume"): _resume_queue,
    ("schedule", "run"): _run_schedule,
    ("schedule", "pause"): _pause_schedule,
    ("schedule", "resume"): _resume_schedule,
    ("error", "retry"): _retry_error,
}
