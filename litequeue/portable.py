"""A job as one line of JSON that any program can read, and back; what comes back is what was stored.

Instants are ISO 8601 in UTC, durations seconds. A stored body stands as the JSON that it is; one that JSON
would change as `name_text`, and bytes as `name_base64`. What a row does not say is left out.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from .clock import SECOND, to_datetime
from .errors import EncodingError, shown
from .job import FINAL, Rule, State

FORMAT = 2
WITHOUT_END = 1  # the older form, whose last line does not say that it is the last
_HEAD = "litequeue"
_ENDS = ("success", "failure", "end")
_REASONS = {
    State.FAILED: {"error", "timeout", "crashed", "lost", "rejected"},
    State.CANCELLED: {"cancelled", "expired", "parent", "replaced"},
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NO_RULE = Rule()

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Portable:
    """A job with all that is stored about it; each row by the names of its columns.

    `parents` are the edges to those that it waits or waited for, with the state that they had.
    """

    job: Row
    attempts: Sequence[Row] = ()
    log: Sequence[Row] = ()
    steps: Sequence[Row] = ()
    parents: Sequence[Row] = ()
    rule: Rule = NO_RULE


class _Kind(NamedTuple):
    """How a column is written, and how it is read back; `needed` if no row lacks it."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    needed: bool = True


# --- values --------------------------------------------------------------------------------------


def _same(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise EncodingError(f"it is {shown(value)}, which is no text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise EncodingError(f"it is {value!a:.80}, which UTF-8 can not store") from None
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise EncodingError(f"it is {shown(value)}, which is no whole number that can be stored")
    return value


def _to_flag(value: Any) -> bool | None:
    return True if value else None


def _flag(value: Any) -> int:
    if type(value) is not bool:
        raise EncodingError(f"it is {shown(value)}; true or false was expected")
    return int(value)


def _real(value: Any) -> float:
    if type(value) not in (int, float):
        raise EncodingError(f"it is {shown(value)}, which is no number")
    return float(value)


def _to_iso(micros: int) -> str | int:
    """The instant in words, where that says exactly the same."""
    text = to_datetime(micros).isoformat(timespec="microseconds")
    return text if _from_iso(text) == micros else micros


def _from_iso(value: Any) -> int:
    if not isinstance(value, str):
        return _whole(value)
    try:
        instant = datetime.fromisoformat(value)
        return (instant - _EPOCH) // datetime.resolution
    except (ValueError, TypeError, OverflowError):
        raise EncodingError(
            f"it is {shown(value)}, which is no instant such as 2031-05-01T08:00:00+00:00"
        ) from None


def _to_seconds(micros: int) -> float:
    return micros // SECOND if micros % SECOND == 0 else micros / SECOND


def _from_seconds(value: Any) -> int:
    seconds = _real(value)
    return _whole(round(value * SECOND)) if abs(seconds) < 2**62 / SECOND else _whole(value)


# --- rows ----------------------------------------------------------------------------------------

_TEXT, _TEXT_OR_NONE = _Kind(_same, _text), _Kind(_same, _text, needed=False)
_WHOLE, _WHOLE_OR_NONE = _Kind(_same, _whole), _Kind(_same, _whole, needed=False)
_INSTANT, _INSTANT_OR_NONE = _Kind(_to_iso, _from_iso), _Kind(_to_iso, _from_iso, needed=False)
_SPAN_OR_NONE = _Kind(_to_seconds, _from_seconds, needed=False)
_FLAG = _Kind(_to_flag, _flag, needed=False)

JOB = {
    **{"id": _WHOLE, "task": _TEXT, "queue": _TEXT, "state": _TEXT, "reason": _TEXT_OR_NONE},
    **{"message": _TEXT_OR_NONE, "priority": _WHOLE, "attempt": _WHOLE, "failures": _WHOLE},
    **{"crashes": _WHOLE, "max_crashes": _WHOLE_OR_NONE, "ack": _TEXT_OR_NONE, "cancelling": _FLAG},
    **{"created_at": _INSTANT, "run_at": _INSTANT, "started_at": _INSTANT_OR_NONE},
    **{"finished_at": _INSTANT_OR_NONE, "expires_at": _INSTANT_OR_NONE, "retention": _SPAN_OR_NONE},
    **{"progress": _Kind(_same, _real, needed=False), "progress_text": _TEXT_OR_NONE},
    **{"codec": _TEXT, "result_codec": _TEXT_OR_NONE, "unique_key": _TEXT_OR_NONE},
    **{"unique_for": _SPAN_OR_NONE, "replaceable": _FLAG, "limit_key": _TEXT_OR_NONE},
    **{"takes": _TEXT_OR_NONE, "schedule": _TEXT_OR_NONE, "scheduled_for": _INSTANT_OR_NONE},
}
JOB_BODIES = ("payload", "result", "tags", "meta", "options")
ATTEMPT = {
    **{"attempt": _WHOLE, "failed_at": _INSTANT, "reason": _TEXT, "type": _TEXT, "message": _TEXT},
    **{"traceback": _TEXT, "place": _TEXT},
}
LOG = {"number": _WHOLE, "attempt": _WHOLE, "at": _INSTANT, "text": _TEXT}
STEP = {"name": _TEXT, "number": _WHOLE, "attempt": _WHOLE, "at": _INSTANT, "codec": _TEXT_OR_NONE}
STEP_BODIES = ("result",)
PARENT = {"parent": _WHOLE, "state": _TEXT_OR_NONE, "runs_on": _TEXT, "passes": _FLAG}
RULE = {
    **{"max_running": _WHOLE_OR_NONE, "rate_count": _WHOLE_OR_NONE, "rate_period": _SPAN_OR_NONE},
    "burst": _WHOLE_OR_NONE,
}
_Kinds = Mapping[str, _Kind]
_PARTS: Mapping[str, tuple[_Kinds, Sequence[str]]] = {
    "attempts": (ATTEMPT, ()),
    "log": (LOG, ()),
    "steps": (STEP, STEP_BODIES),
    "parents": (PARENT, ()),
}
# What no two rows of a part have in common.
_ALONE = (("attempts", "attempt"), ("log", "number"), ("steps", "name"), ("steps", "number"))


def header() -> str:
    """The first line of a file of jobs."""
    return json.dumps({_HEAD: "jobs", "format": FORMAT})


def ending(jobs: int) -> str:
    """The last line of a file of so many jobs."""
    return json.dumps({_HEAD: "end", "jobs": jobs})


def require_header(line: str) -> int:
    """The format that the first line names. Raises `EncodingError` when it is none that we can read."""
    found = _object(line)
    if found.get(_HEAD) != "jobs":
        raise EncodingError("the input does not begin with the line that `litequeue export` writes first")
    named = found.get("format")
    if type(named) is not int or not WITHOUT_END <= named <= FORMAT:
        raise EncodingError(f"its format is {shown(named)}, and this litequeue reads {FORMAT} and older ones")
    return named


def told_at_end(line: str) -> int | None:
    """How many jobs the last line of a file tells of; None for any other line."""
    if _HEAD not in line[:40]:
        return None
    found = _object(line)
    return _whole(found.get("jobs")) if found.get(_HEAD) == "end" else None


def to_line(one: Portable) -> str:
    """The job as a line, in ASCII."""
    said = _written(JOB, JOB_BODIES, one.job)
    for name, (kinds, bodies) in _PARTS.items():
        rows = getattr(one, name)
        if rows:
            said[name] = [_written(kinds, bodies, row) for row in rows]
    if one.rule != NO_RULE:
        said["limit"] = _written(RULE, (), one.rule._asdict())
    return json.dumps(said)


def from_line(line: str) -> Portable:
    """The job of a line. Raises `EncodingError` that says what is wrong with it."""
    said = _object(line)
    parts = {name: said.pop(name, []) for name in _PARTS}
    rule = said.pop("limit", {})
    job = _read(JOB, JOB_BODIES, said, "the job")
    _require_sound(job)
    read = {name: _rows(*_PARTS[name], rows, name) for name, rows in parts.items()}
    _require_sound_parts(read)
    return Portable(job, **read, rule=Rule(**_read(RULE, (), rule, "limit")))


def _written(kinds: _Kinds, bodies: Sequence[str], row: Row) -> dict[str, Any]:
    said = {name: kind.write(row[name]) for name, kind in kinds.items() if row[name] is not None}
    said = {name: value for name, value in said.items() if value is not None}
    for name in bodies:
        if row[name] is not None:
            said.update(_body(name, row[name]))
    return said


def _rows(kinds: _Kinds, bodies: Sequence[str], rows: Any, what: str) -> tuple[Row, ...]:
    if not isinstance(rows, list):
        raise EncodingError(f"{what} is {shown(rows)}, which is no list")
    return tuple(_read(kinds, bodies, row, f"one of {what}") for row in rows)


def _read(kinds: _Kinds, bodies: Sequence[str], said: Any, what: str) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise EncodingError(f"{what} is {shown(said)}, which is no object")
    left = dict(said)
    row = {name: _value(name, kind, left, what) for name, kind in kinds.items()}
    row |= {name: _stored_body(name, left) for name in bodies}
    if left:
        raise EncodingError(f"{what} has {shown(min(left))}, which is not known here")
    return row


def _value(name: str, kind: _Kind, left: dict[str, Any], what: str) -> Any:
    if name not in left:
        if kind.needed:
            raise EncodingError(f"{what} has no {name}")
        return 0 if kind is _FLAG else None
    try:
        return kind.read(left.pop(name))
    except EncodingError as error:
        raise EncodingError(f"{name} of {what}: {error}") from None


# --- bodies --------------------------------------------------------------------------------------


def _body(name: str, stored: Any) -> dict[str, Any]:
    if isinstance(stored, bytes):
        return {f"{name}_base64": base64.b64encode(stored).decode("ascii")}
    try:
        value = json.loads(stored)
        if _json_text(name, value) == stored:
            return {name: value}
    except (ValueError, TypeError, RecursionError):
        pass
    return {f"{name}_text": str(stored)}


def _stored_body(name: str, left: dict[str, Any]) -> str | bytes | None:
    """The body under whichever of its three names it has."""
    try:
        if name in left:
            return _text(_json_text(name, left.pop(name)))
        if f"{name}_text" in left:
            return _text(left.pop(f"{name}_text"))
        if f"{name}_base64" in left:
            return base64.b64decode(left.pop(f"{name}_base64"), validate=True)
    except (EncodingError, ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise EncodingError(f"{name}: {error}") from None
    return None


def _json_text(name: str, value: Any) -> str:
    separators = (", ", ": ") if name == "tags" else (",", ":")
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=separators)


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise EncodingError(f"it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise EncodingError(f"it is {shown(found)}, and no JSON object")
    return found


def _require_sound(job: Row) -> None:
    """Raise `EncodingError` for a job that there can not be."""
    if job["state"] not in list(State):
        raise EncodingError(f"state is {shown(job['state'])}; the states are {', '.join(State)}")
    state = State(job["state"])
    if (state in FINAL) is not (job["finished_at"] is not None):
        raise EncodingError(f"it is {state}, and finished_at is {'missing' if state in FINAL else 'given'}")
    if job["reason"] not in _REASONS.get(state, {None}):
        raise EncodingError(f"it is {state}, and its reason is {shown(job['reason'])}")
    if min(job["attempt"], job["failures"], job["crashes"]) < 0 or job["id"] < 1:
        raise EncodingError("its id is below 1, or it counts less than no attempts, failures or crashes")
    if job["ack"] not in (None, "late", "early") or (job["cancelling"] and state is not State.RUNNING):
        raise EncodingError("its ack is neither late nor early, or it is asked to stop and does not run")
    if job["payload"] is None or job["codec"] is None:
        raise EncodingError("it has no payload, or no codec to read it with")
    if job["takes"] not in (None, "one", "all"):
        raise EncodingError(f"takes is {shown(job['takes'])}; 'one' or 'all' was expected")


def _require_sound_parts(parts: Mapping[str, Sequence[Row]]) -> None:
    for name, column in _ALONE:
        values = [row[column] for row in parts[name]]
        if len(set(values)) < len(values):
            raise EncodingError(f"two of {name} have the same {column}")
    for edge in parts["parents"]:
        if edge["runs_on"] not in _ENDS:
            raise EncodingError(f"runs_on is {shown(edge['runs_on'])}; {', '.join(_ENDS)} are known")
