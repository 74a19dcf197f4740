"""When the jobs of a schedule are made: its rule, and what becomes of firings that nobody saw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, get_args, get_type_hints

from .clock import LONGEST, SECOND, duration, to_datetime
from .clock import instant as microseconds
from .codec import plain
from .errors import InvalidOption, InvalidSchedule, shown
from .job import Flow, NewJobs, Rule

if TYPE_CHECKING:
    from .cron import Cron, Every

CATCH_UP_LIMIT = 1_000
# So long after its instant a firing is still in time; what is older was missed.
IN_TIME = 60 * SECOND
_SHORTEST = 60 * SECOND  # between two firings of a cron expression
NAMES = ("cron", "every", "timezone", "catch_up", "jitter", "overlap")


class TimingOptions(TypedDict, total=False):
    """What may be said of when a task is enqueued again and again."""

    cron: str
    every: float | timedelta
    timezone: str | tzinfo
    catch_up: Literal["last", "all", "none"]
    jitter: float | timedelta
    overlap: bool


@dataclass(frozen=True, slots=True)
class Timing:
    """A cron expression in a time zone, or an interval; durations in microseconds."""

    cron: str | None = None
    every: int | None = None
    timezone: str = "UTC"
    catch_up: str = "last"
    jitter: int = 0
    overlap: bool = True

    def after(self, instant: int) -> int | None:
        """The first firing later than this instant; None when there is none within the calendar."""
        try:
            return microseconds(self._rule().after(to_datetime(instant)), "firing")
        except OverflowError:
            return None

    def due(self, first: int, now: int) -> list[int]:
        """Of the firings from `first` to now, those that make a job, oldest first."""
        if self.catch_up == "all":
            return self._newest(first, now, CATCH_UP_LIMIT)
        (last,) = self._newest(first, now, 1)
        is_missed = self.catch_up == "none" and last < now - IN_TIME
        return [] if is_missed else [last]

    def late(self, name: str, firing: int) -> int:
        """When the job of a firing is due: later by the same part of the jitter, whoever computes it."""
        if not self.jitter:
            return firing
        import hashlib

        drawn = hashlib.sha256(f"{name} {firing}".encode()).digest()
        return firing + int.from_bytes(drawn[:8], "big") % self.jitter

    def _rule(self) -> Cron | Every:
        from .cron import Cron, Every  # which brings the time zones along, and few programs need them

        if self.cron is not None:
            return Cron(self.cron, self.timezone)
        return Every(timedelta(microseconds=self.every or 0))

    def _since(self, first: int, now: int) -> list[int]:
        firings, firing = [], first
        rule = self._rule()
        while firing <= now:
            firings.append(firing)
            firing = microseconds(rule.after(to_datetime(firing)), "firing")
        return firings

    def _newest(self, first: int, now: int, count: int) -> list[int]:
        """The last so many firings up to now, looked for in wider and wider times: years may have passed."""
        width = count * (self.every or _SHORTEST)
        while now - width > first:
            begin = self.after(now - width)
            found = [] if begin is None else self._since(begin, now)
            if len(found) >= count:
                return found[-count:]
            width *= 8
        return self._since(first, now)[-count:]


class NewSchedule(NamedTuple):
    """A schedule to be stored: its name, its timing, and what each of its jobs is made of."""

    name: str
    task: str
    timing: Timing
    job: str
    payload: str | bytes
    declared: bool = False


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """One schedule as its row says; instants in microseconds."""

    name: str
    task: str
    timing: Timing
    job: str
    payload: str | bytes
    declared: bool
    created_at: int
    next_at: int | None
    last_at: int | None
    last_job: int | None
    paused_at: int | None
    lost_at: int | None


def timing_of(given: Mapping[str, Any]) -> Timing:
    """The timing that a person described. Raises `InvalidOption`, for a rule that never fires at once."""
    if unknown := given.keys() - set(NAMES):
        raise InvalidOption(
            f"there is no option {', '.join(map(shown, sorted(unknown)))} of when to fire; these are "
            f"{', '.join(NAMES)}; other options belong to the call: task.call(…).using(…)"
        )
    cron, every = given.get("cron"), given.get("every")
    if (cron is None) == (every is None):
        raise InvalidOption(f"cron is {cron!r}, every is {every!r}; give one of the two")
    zone = given.get("timezone", "UTC")
    if every is not None and zone != "UTC":
        raise InvalidOption(f"timezone is {zone!r}; it goes with cron, an interval is the same in all zones")
    catch_up, overlap = given.get("catch_up", "last"), given.get("overlap", True)
    if catch_up not in ("last", "all", "none"):
        raise InvalidOption(f"catch_up is {catch_up!r:.80}; give 'last', 'all' or 'none'")
    if type(overlap) is not bool:
        raise InvalidOption(f"overlap is {overlap!r:.80}; give True or False")
    rule = None if cron is None else _cron(cron, zone)
    timing = Timing(
        cron=None if rule is None else rule.expression,
        every=None if every is None else duration(every, "every"),
        timezone="UTC" if rule is None else str(rule.timezone),
        catch_up=catch_up,
        jitter=duration(given.get("jitter", 0), "jitter"),
        overlap=overlap,
    )
    timing.after(0)
    return timing


def _cron(expression: str, zone: str | tzinfo) -> Cron:
    """The rule, whose zone other processes find by its name. Raises `InvalidSchedule`."""
    from .cron import Cron

    rule = Cron(expression, zone)
    if not isinstance(rule.timezone, str):
        raise InvalidSchedule(
            f"timezone is {shown(zone)}, which has no name to be stored; give one such as 'Europe/Berlin'"
        )
    return rule


def names_one_instant(task: str) -> InvalidOption:
    """Why a call or a task with such options can not be scheduled."""
    return InvalidOption(
        f"{task}: run_at and a date as expires name one instant, and a schedule makes jobs again and again; "
        "give delay= or expires= in seconds, which count from each firing"
    )


def template(batch: NewJobs, delay: int, expires: int | None) -> str:
    """What each job of a schedule is made of, as JSON; durations count from the firing."""
    kept = batch._asdict()
    for name in ("payloads", "run_at", "expires_at", "flow"):
        del kept[name]
    flow = None
    if batch.flow is not None:
        flow = {**batch.flow._asdict(), "rule": list(batch.flow.rule)}
        del flow["only_with"]
    return json.dumps({**kept, "flow": flow, "delay": delay, "expires": expires})


def job_of(schedule: ScheduleInfo, firing: int | None) -> NewJobs:
    """The job of one firing; of none, one that is due at once. Raises `InvalidSchedule` for a damaged row."""
    try:
        if not isinstance(schedule.payload, (str, bytes)):
            raise TypeError(f"the payload is {shown(schedule.payload)}")
        kept = plain(schedule.job)
        delay, expires = _duration(kept.pop("delay")), kept.pop("expires")
        flow = kept.pop("flow") or {}
        rule = _fitting(Rule, dict(zip(Rule._fields, flow.pop("rule", ()), strict=False)))
        wanted = _fitting(Flow, {name: value for name, value in flow.items() if name != "parents"})
        batch = NewJobs(
            **_fitting(NewJobs, kept), payloads=(schedule.payload,), flow=Flow(**wanted, rule=Rule(**rule))
        )
        if firing is None:
            return _of(batch, schedule=schedule.name)
        return _of(batch, schedule=schedule.name, scheduled_for=firing)._replace(
            run_at=_duration(schedule.timing.late(schedule.name, firing) + delay),
            expires_at=None if expires is None else firing + _duration(expires),
        )
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise InvalidSchedule(f"what schedule {schedule.name!r} makes can not be read: {error!r}") from error


def _of(batch: NewJobs, **changes: Any) -> NewJobs:
    assert batch.flow is not None
    return batch._replace(flow=batch.flow._replace(**changes))


def _fitting(record: type, values: dict[str, Any]) -> dict[str, Any]:
    """The values, if each is of a kind that its field may have. Raises `ValueError`."""
    for name, value in values.items():
        if type(value) not in _kinds(record)[name]:
            raise ValueError(f"{name} is {shown(value)}")
        if isinstance(value, int):
            _duration(value)
    return values


@cache
def _kinds(record: type) -> dict[str, tuple[Any, ...]]:
    return {name: get_args(hint) or (hint,) for name, hint in get_type_hints(record).items()}


def _duration(value: int) -> int:
    if type(value) is not int or abs(value) > LONGEST:
        raise ValueError(f"{shown(value)} is no time")
    return value


def upcoming(timing: Timing, after: int, count: int) -> list[datetime]:
    """The next firings, in UTC."""
    found: list[datetime] = []
    instant = timing.after(after)
    while instant is not None and len(found) < count:
        found.append(to_datetime(instant))
        instant = timing.after(instant)
    return found
