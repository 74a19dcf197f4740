"""When a schedule fires: a cron expression in a time zone, or a fixed interval. Arithmetic only."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from .clock import SECOND, duration, to_datetime
from .clock import instant as microseconds
from .crontab import MINUTE, Crontab
from .errors import InvalidSchedule

_LATE = 5 * MINUTE
_CORRECTION = timedelta(hours=3)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
# No change of clocks is of two days, for an offset lies within a day of UTC.
_MARGIN = timedelta(days=3)


@dataclass(frozen=True)
class Cron:
    """The instants that a cron expression names in a time zone, as Debian's cron would fire them.

    >>> from datetime import datetime, timezone
    >>> str(Cron("30 4 1,15 * fri").after(datetime(2026, 5, 9, tzinfo=timezone.utc)))
    '2026-05-15 04:30:00+00:00'

    The fields are minute, hour, day of month, month and day of week, with names, lists, ranges and steps;
    `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` stand for some. When neither day field begins
    with `*`, a day that fits one of the two is enough.

    When clocks go forward, a schedule fires once, right after the change, for all that was skipped; when they
    go back, it does not fire again. One whose minute or hour begins with `*` follows the clock on the wall
    instead. A change of three hours forward, or more than three back, is a correction: the new time holds.
    """

    expression: str
    timezone: str | tzinfo = "UTC"
    _crontab: Crontab = field(init=False, repr=False, compare=False)
    _zone: tzinfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # the documented way to normalise a frozen dataclass
        set_field(self, "_crontab", Crontab.read(self.expression))
        set_field(self, "_zone", _zone(self.timezone))
        set_field(self, "expression", " ".join(self.expression.split()))
        set_field(self, "timezone", _name(self.timezone))

    def __str__(self) -> str:
        return f"{self.expression} {self.timezone}"

    def after(self, instant: datetime) -> datetime:
        """The first firing later than `instant`, in UTC."""
        moment = to_datetime(microseconds(instant, "instant"))
        while True:
            moment = self._leap(moment)
            until = moment + 2 * _MARGIN
            for stretch in _stretches(self._zone, _minute(moment) - _DAY, until):
                if (firing := self._firing(stretch, moment)) is not None:
                    return firing
            moment = until

    def upcoming(self, instant: datetime) -> Iterator[datetime]:
        """All firings later than `instant`, one after the other, without end."""
        while True:
            instant = self.after(instant)
            yield instant

    def _leap(self, moment: datetime) -> datetime:
        """The last moment from `moment` on of which it is certain that nothing fires before."""
        local = _local(moment, _offset(self._zone, moment))
        away = self._crontab.after(local - _MARGIN) - local
        return moment + max(away - _MARGIN, timedelta(0))

    def _firing(self, stretch: _Stretch, moment: datetime) -> datetime | None:
        """The first firing after `moment` in the stretch."""
        done = self._done(stretch)
        if stretch.begin <= moment:
            done = max(done, _minute(_local(moment, stretch.offset)))
        firing = (self._crontab.after(done) - stretch.offset).replace(tzinfo=UTC)
        return max(firing, stretch.begin) if firing < stretch.end else None

    def _done(self, stretch: _Stretch) -> datetime:
        """The local minute with which, and with all before it, this schedule is done when a stretch begins.

        Cron looks at the clock once a minute, and sees a change of clocks as a jump from the minute that it
        saw last: a jump by one is no change, and one by up to five is a late look.
        """
        jump = stretch.first - stretch.before
        if not -_CORRECTION < jump <= _CORRECTION:
            return stretch.first - MINUTE
        if self._crontab.wild and not MINUTE <= jump <= _LATE:
            return stretch.first - MINUTE if jump else stretch.first
        return stretch.before


@dataclass(frozen=True)
class Every:
    """The instants that lie whole intervals from an anchor; by default from the first of January 1970, UTC.

    >>> from datetime import datetime, timezone
    >>> str(Every(900).after(datetime(2026, 5, 9, 12, 20, tzinfo=timezone.utc)))
    '2026-05-09 12:30:00+00:00'
    """

    interval: float | timedelta
    anchor: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    def __post_init__(self) -> None:
        interval, anchor = duration(self.interval, "interval"), microseconds(self.anchor, "anchor")
        if interval == 0:
            raise InvalidSchedule(f"interval is {self.interval!r}; give a time from a microsecond on")
        object.__setattr__(self, "interval", interval / SECOND)
        object.__setattr__(self, "anchor", to_datetime(anchor))

    def after(self, instant: datetime) -> datetime:
        """The first firing later than `instant`, in UTC."""
        interval, anchor = duration(self.interval, "interval"), microseconds(self.anchor, "anchor")
        passed = (microseconds(instant, "instant") - anchor) // interval
        return to_datetime(anchor + (passed + 1) * interval)


@dataclass(frozen=True)
class _Stretch:
    """A time between two changes of a zone's clocks."""

    begin: datetime
    end: datetime
    offset: timedelta
    before: datetime
    """The last local minute that was seen before it began."""

    @property
    def first(self) -> datetime:
        """The local minute in which it begins."""
        return _minute(_local(self.begin, self.offset))


def _stretches(zone: tzinfo, begin: datetime, until: datetime) -> Iterator[_Stretch]:
    """The time from `begin` to `until`, cut at the changes of clocks."""
    before = _minute(_local(begin, _offset(zone, begin))) - MINUTE
    while begin < until:
        offset = _offset(zone, begin)
        end = _change(zone, begin, until)
        yield _Stretch(begin, end, offset, before)
        before = _minute(_local(end, offset) - datetime.resolution)
        begin = end


def _change(zone: tzinfo, begin: datetime, until: datetime) -> datetime:
    """The first change of a zone's clocks after `begin`, or `until`.

    In the whole history of time zones no two changes came closer than four days.
    """
    offset, day = _offset(zone, begin), begin
    while _offset(zone, day + _DAY) == offset:
        day += _DAY
        if day >= until:
            return until
    seconds = range(_DAY // _SECOND)
    return day + _SECOND * bisect_left(
        seconds, True, key=lambda n: _offset(zone, day + n * _SECOND) != offset
    )


def _offset(zone: tzinfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).replace(tzinfo=None) - instant.replace(tzinfo=None)


def _local(instant: datetime, offset: timedelta) -> datetime:
    return instant.replace(tzinfo=None) + offset


def _minute(local: datetime) -> datetime:
    return local.replace(second=0, microsecond=0)


def _zone(timezone: str | tzinfo) -> tzinfo:
    if isinstance(timezone, tzinfo):
        return timezone
    if not isinstance(timezone, str):
        raise InvalidSchedule(f"timezone is {timezone!r}; give a name such as 'Europe/Berlin', or a tzinfo")
    if timezone == "UTC":
        return UTC  # needs no time zone data
    try:
        return ZoneInfo(timezone)
    except (LookupError, ValueError, OSError) as error:
        raise InvalidSchedule(f"timezone is {timezone!r}, {_instead(timezone)}") from error


def _instead(timezone: str) -> str:
    from difflib import get_close_matches

    known = available_timezones()
    if not known:
        return (
            "and this system has no time zone data; "
            "install its tzdata package, or the one of PyPI: pip install tzdata"
        )
    near = get_close_matches(timezone, known, n=1) or ["Europe/Berlin"]
    return f"which this system does not know; names look like {near[0]!r}"


def _name(timezone: str | tzinfo) -> str | tzinfo:
    """A zone by its name where it has one, so that it equals the same zone given by name."""
    if isinstance(timezone, ZoneInfo):
        return timezone.key or timezone
    return "UTC" if timezone is UTC else timezone
