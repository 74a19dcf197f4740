"""The options of tasks and jobs: the same names wherever they are given, checked in one place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from sqlite3 import Connection
from typing import Any, Literal, Protocol, TypedDict

from .clock import LONGEST, SECOND, duration, instant
from .codec import plain
from .dialects import HERE
from .errors import EncodingError, InvalidOption, shown
from .headers import Headers, checked_headers
from .keys import KeyOption, checked_key
from .rates import Rate, rate_of
from .retention import Kept, RetentionOption, checked_retention
from .retry import Retry, RetryFunction, RetryOption, retry_policy

Duration = float | timedelta


class Numbered(Protocol):
    """A job, as far as others wait for it."""

    id: int


class Enqueueable(Protocol):
    """A call, or a graph of them, that runs after a job."""

    def enqueue(self) -> Any:
        """Store it."""


_NAME_LIMIT = 200


class TaskOptions(TypedDict, total=False):
    """What may be said of a task, of a call, and in the explicit form of `enqueue`."""

    queue: str
    priority: int
    delay: Duration
    run_at: datetime
    expires: Duration | datetime
    retry: RetryOption
    timeout: Duration | None
    ack: Literal["late", "early"]
    retention: RetentionOption
    tags: str | Iterable[str]
    meta: Mapping[str, object]
    headers: Mapping[str, str]
    max_crashes: int
    isolate: bool
    unique: KeyOption
    unique_for: Duration
    on_duplicate: Literal["return", "raise", "replace"]
    max_wait: Duration
    max_running: int
    rate: str
    burst: int
    key: KeyOption
    on_success: Enqueueable
    on_failure: Enqueueable
    on_parent_failure: Literal["cancel", "run"]


class CallOptions(TaskOptions, total=False):
    """What may be said of a call: the task's options, its parents, and the connection to write through."""

    after: Numbered | int | Iterable[Numbered | int]
    connection: Connection


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options; what was not given is UNSET. Times in microseconds."""

    queue: str = UNSET
    priority: int = UNSET
    delay: int = UNSET
    run_at: int = UNSET
    expires: int = UNSET
    expires_at: int = UNSET
    retry: Retry | RetryFunction = UNSET
    timeout: int | None = UNSET
    ack: str = UNSET
    retention: int | Kept | None = UNSET
    tags: str = UNSET
    meta: str = UNSET
    headers: Headers = UNSET
    max_crashes: int = UNSET
    isolate: bool = UNSET
    unique: KeyOption = UNSET
    unique_for: int = UNSET
    on_duplicate: str = UNSET
    max_wait: int = UNSET
    max_running: int = UNSET
    rate: Rate = UNSET
    burst: int = UNSET
    key: KeyOption = UNSET
    after: tuple[Numbered | int, ...] = UNSET
    on_success: Any = UNSET
    on_failure: Any = UNSET
    on_parent_failure: str = UNSET
    connection: Connection = UNSET

    def over(self, base: Options) -> Options:
        """These options where given, else those of `base`."""
        if self is NO_OPTIONS:
            return base
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not UNSET}
        if "delay" in given or "run_at" in given:  # the two are one choice
            base = replace(base, delay=UNSET, run_at=UNSET)
        if "expires" in given or "expires_at" in given:
            base = replace(base, expires=UNSET, expires_at=UNSET)
        return replace(base, **given)

    def stored(self, base: Options, kept_for: int | Kept | None = None) -> str | None:
        """The JSON text kept with a job: how to run it, where the call differs from `base`, its task.

        And its headers; and how long it is `kept_for`, where that depends on its end.
        """
        kept: dict[str, object] = {}
        if self.retry is not UNSET and self.retry is not base.retry:
            if not isinstance(self.retry, Retry):
                raise InvalidOption(
                    "a function as `retry` can not be stored with a job; "
                    "give it to @queue.task(retry=…), or use a Retry here"
                )
            kept["retry"] = self.retry.to_json()
        if self.timeout is not UNSET and self.timeout != base.timeout:
            kept["timeout"] = self.timeout
        if self.isolate is not UNSET and self.isolate is not base.isolate:
            kept["isolate"] = self.isolate
        if self.headers is not UNSET and self.headers:
            kept["headers"] = dict(self.headers)
        if isinstance(kept_for, Kept):
            kept["retention"] = kept_for._asdict()
        return json.dumps(kept, separators=(",", ":")) if kept else None


NO_OPTIONS = Options()
_PARTNERS = (
    ("burst", "rate"),
    ("unique_for", "unique"),
    ("on_duplicate", "unique"),
    ("max_wait", "on_duplicate"),
)


def stored_options(text: str | None) -> Options:
    """The options that were kept with a job. Raises `EncodingError` when the row was damaged."""
    if not text:
        return NO_OPTIONS
    try:
        return Options(**{name: _STORED[name](value) for name, value in plain(text).items()})
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise EncodingError(f"the stored options can not be read: {type(error).__name__}: {error}") from error


def headers_of(text: str | None) -> dict[str, str]:
    """The headers that were kept with a job. Raises `EncodingError` when the row was damaged."""
    headers = stored_options(text).headers
    return {} if headers is UNSET else dict(headers)


def _stored_timeout(micros: object) -> int | None:
    return None if micros is None else whole(micros, "timeout", 1, LONGEST)


def checked(given: Mapping[str, Any]) -> Options:
    """Options from what a person typed. Raises `InvalidOption` for a name or value that is not one."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        check = _CHECKS.get(name)
        if check is None:
            known = f"the options are {', '.join(sorted(_CHECKS))}"
            raise InvalidOption(f"there is no option {shown(name)}; {HERE.get(name, known)}")
        values.update(check(value))
    if "delay" in values and "run_at" in values:
        raise InvalidOption("delay and run_at are both given; a job can wait for one of them")
    return Options(**values) if values else NO_OPTIONS


def require_partners(options: Options) -> None:
    """Raise `InvalidOption` when an option is given that means nothing without another."""
    for name, partner in _PARTNERS:
        if getattr(options, name) is not UNSET and getattr(options, partner) is UNSET:
            raise InvalidOption(f"{name} is given without {partner}, which it belongs to")
    is_replaced = options.on_duplicate == "replace"
    if options.max_wait is not UNSET and not is_replaced:
        raise InvalidOption("max_wait bounds how long a job is replaced; give on_duplicate='replace' with it")
    if options.unique_for is not UNSET and is_replaced:
        raise InvalidOption(
            "on_duplicate='replace' changes a job that waits, so unique_for, which binds after its end, "
            "does not go with it"
        )


def text_name(value: object, what: str) -> str:
    """A name that a person can read: 1 to 200 printable characters."""
    if not isinstance(value, str) or not 0 < len(value) <= _NAME_LIMIT or not value.isprintable():
        raise InvalidOption(
            f"{what} is {shown(value)}; give a text of 1 to {_NAME_LIMIT} printable characters"
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidOption(f"{what} is {value!a:.80}, which UTF-8 can not store") from None
    return value


def whole(value: object, what: str, low: int, high: int) -> int:
    """A whole number within bounds; True and 1.0 are not."""
    if type(value) is not int or not low <= value <= high:
        raise InvalidOption(f"{what} is {shown(value)}; give a whole number from {low} to {high}")
    return value


def list_of_names(value: object, what: str) -> tuple[str, ...]:
    """Names given one by one; a single text is not taken letter by letter."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise InvalidOption(f"{what} is {shown(value)}; give a list of names")
    return tuple(text_name(name, f"a name in {what}") for name in value)


def path_text(path: object) -> str:
    """The path of the queue's file as text."""
    given = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(given, str) or not given or "\0" in given or not _is_file_name(given):
        raise InvalidOption(f"path is {shown(path)}; give the path of a file, or ':memory:'")
    return given


def _is_file_name(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def lease_time(value: Duration) -> int:
    """Microseconds of a lease."""
    micros = duration(value, "lease")
    if micros < SECOND:
        raise InvalidOption(
            f"lease is {shown(value)}; give at least 1 second, or no worker could renew it in time"
        )
    return micros


def explicit(given: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], Options]:
    """Arguments, keyword arguments and options out of the keywords of the explicit form of `enqueue`."""
    options = {key: value for key, value in given.items() if key not in ("args", "kwargs")}
    args, kwargs = given.get("args", ()), given.get("kwargs", {})
    if isinstance(args, (str, bytes)) or not isinstance(args, Iterable) or not isinstance(kwargs, Mapping):
        raise InvalidOption(f"args={shown(args)}, kwargs={shown(kwargs)}: give a tuple and a dict")
    if not all(isinstance(name, str) for name in kwargs):
        raise InvalidOption(f"kwargs={shown(kwargs)}: the names of arguments are texts")
    return tuple(args), dict(kwargs), checked(options)


def _expires(value: Duration | datetime) -> dict[str, Any]:
    if isinstance(value, datetime):
        return {"expires_at": instant(value, "expires")}
    return {"expires": duration(value, "expires")}


def _optional(value: Duration | None, what: str) -> int | None:
    return None if value is None else duration(value, what)


def _timeout(value: Duration | None) -> int | None:
    micros = _optional(value, "timeout")
    if micros == 0:
        raise InvalidOption("timeout is 0; give the seconds an attempt may take, or None for no limit")
    return micros


def _ack(value: object) -> str:
    if value not in ("late", "early"):
        raise InvalidOption(f"ack is {shown(value)}; give 'late' (at least once) or 'early' (at most once)")
    return str(value)


def _tags(value: object) -> str:
    listed = [value] if isinstance(value, str) else value
    if isinstance(listed, (bytes, Mapping)) or not isinstance(listed, Iterable):
        raise InvalidOption(f"tags is {shown(value)}; give texts")
    return json.dumps([text_name(tag, "a tag") for tag in listed], ensure_ascii=False)


def _meta(value: object) -> str:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidOption(f"meta is {shown(value)}; give a dict with text keys")
    return meta_text(value)


def meta_text(value: Mapping[str, object]) -> str:
    """The JSON text of a job's meta. Raises `InvalidOption` when it holds more than plain JSON."""
    try:
        text = json.dumps(dict(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
        same = json.loads(text) == value
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidOption(f"meta can not be stored as JSON: {error}") from error
    if not same:
        raise InvalidOption(f"meta is {shown(value)}, which JSON would change; use lists and text keys")
    return text


def _isolate(value: object) -> bool:
    if type(value) is not bool:
        raise InvalidOption(f"isolate is {shown(value)}; give True or False")
    return value


def _one_of(value: object, what: str, *choices: str) -> str:
    if value not in choices:
        raise InvalidOption(f"{what} is {shown(value)}; give {' or '.join(map(repr, choices))}")
    return str(value)


def _after(value: Any) -> tuple[Numbered | int, ...]:
    given = value if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else [value]
    jobs = tuple(given)
    for job in jobs:
        number_of(job)
    return jobs


def number_of(job: object) -> int:
    """The id of a job in `after`, given as a handle or as that very number. Raises `InvalidOption`."""
    return whole(getattr(job, "id", job), "a job in after", 1, 2**63 - 1)


def _node(value: Any, what: str) -> Any:
    if not hasattr(value, "enqueue") or not hasattr(value, "using") or not hasattr(value, "then"):
        raise InvalidOption(f"{what} is {shown(value)}; give a call: task.call(…)")
    return value


def _connection(value: object) -> Connection:
    if not isinstance(value, Connection):
        raise InvalidOption(f"connection is {shown(value)}; give an open sqlite3.Connection")
    return value


_STORED: dict[str, Callable[[Any], Any]] = {
    "retry": Retry.from_json,
    "timeout": _stored_timeout,
    "isolate": _isolate,
    "retention": Kept.from_json,
    "headers": checked_headers,
}
_CHECKS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "queue": lambda v: {"queue": text_name(v, "queue")},
    "priority": lambda v: {"priority": whole(v, "priority", -(2**31), 2**31 - 1)},
    "delay": lambda v: {"delay": duration(v, "delay")},
    "run_at": lambda v: {"run_at": instant(v, "run_at")},
    "expires": _expires,
    "retry": lambda v: {"retry": retry_policy(v)},
    "timeout": lambda v: {"timeout": _timeout(v)},
    "ack": lambda v: {"ack": _ack(v)},
    "retention": lambda v: {"retention": checked_retention(v)},
    "tags": lambda v: {"tags": _tags(v)},
    "meta": lambda v: {"meta": _meta(v)},
    "headers": lambda v: {"headers": checked_headers(v)},
    "max_crashes": lambda v: {"max_crashes": whole(v, "max_crashes", 1, 1_000_000)},
    "isolate": lambda v: {"isolate": _isolate(v)},
    "unique": lambda v: {"unique": checked_key(v, "unique")},
    "unique_for": lambda v: {"unique_for": duration(v, "unique_for")},
    "on_duplicate": lambda v: {"on_duplicate": _one_of(v, "on_duplicate", "return", "raise", "replace")},
    "max_wait": lambda v: {"max_wait": duration(v, "max_wait")},
    "max_running": lambda v: {"max_running": whole(v, "max_running", 1, 1_000_000)},
    "rate": lambda v: {"rate": rate_of(v)},
    "burst": lambda v: {"burst": whole(v, "burst", 1, 10**9)},
    "key": lambda v: {"key": checked_key(v, "key")},
    "after": lambda v: {"after": _after(v)},
    "on_success": lambda v: {"on_success": _node(v, "on_success")},
    "on_failure": lambda v: {"on_failure": _node(v, "on_failure")},
    "on_parent_failure": lambda v: {"on_parent_failure": _one_of(v, "on_parent_failure", "cancel", "run")},
    "connection": lambda v: {"connection": _connection(v)},
}
