"""Debian's cron as a program that looks at the clock once a minute: slow and plain, to hold `Cron` against.

What a look makes it do does not depend on any schedule, so the looks are made once and asked about many.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import takewhile

from litequeue import Cron
from tests.ground.entries import Entry

MINUTE = timedelta(minutes=1)
WITH_SECONDS = {"Africa/Monrovia"}  # it had an offset of seconds until 1972, for which a daemon looks in vain


@dataclass(frozen=True)
class Look:
    """One look at the clock: the local minutes for which jobs run now, by whether they are wild."""

    instant: datetime
    wild: list[datetime]
    fixed: list[datetime]

    def fires(self, entry: Entry) -> bool:
        return any(entry.fits(local) for local in (self.wild if entry.is_wild else self.fixed))


def looks(zone: tzinfo, begin: datetime, until: datetime) -> Iterator[Look]:
    """What the daemon does from `begin`, when it has run all until then, to `until`."""
    instant = begin
    virtual = seen = wall(instant, zone)  # the minute until which all has run, and the one that was seen last
    while instant < until:
        instant += MINUTE
        local = wall(instant, zone)
        if local == seen:
            continue
        seen = local
        behind = round((local - virtual) / MINUTE)
        missed = [virtual + number * MINUTE for number in range(1, behind + 1)]
        if 0 < behind <= 5:
            yield Look(instant, missed, missed)
        elif 5 < behind <= 180:
            yield Look(instant, [local], missed)
        elif -180 < behind <= 0:
            yield Look(instant, [local], [])
            continue  # the virtual minute waits until the clock has caught up with it
        else:
            yield Look(instant, [local], [local])
        virtual = local


def wall(instant: datetime, zone: tzinfo) -> datetime:
    """The minute that a clock on the wall shows."""
    return instant.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0)


def changes(zone: tzinfo, year: int) -> list[datetime]:
    """The instants of a year at which the clocks of a zone change, found by looking four times a day."""
    begin = datetime(year, 1, 1, tzinfo=UTC)
    marks = [begin + timedelta(hours=6 * number) for number in range(4 * 366)]
    offsets = [mark.astimezone(zone).utcoffset() for mark in marks]
    pairs = zip(marks, offsets, offsets[1:], strict=False)
    return [change(zone, mark) for mark, before, after in pairs if before != after]


def change(zone: tzinfo, early: datetime) -> datetime:
    """The second within six hours from `early` at which the offset of a zone changes."""
    late, offset = early + timedelta(hours=6), early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        early, late = (middle, late) if middle.astimezone(zone).utcoffset() == offset else (early, middle)
    return late


def kinds_of_changes(year: int) -> dict[tuple[datetime, ...], zoneinfo.ZoneInfo]:
    """The changes of a year in all zones, one zone for each instant and the wall time before it and after.

    What happens around a change depends on nothing else.
    """
    zones = map(zoneinfo.ZoneInfo, sorted(zoneinfo.available_timezones()))
    return {
        (change, wall(change - MINUTE, zone), wall(change, zone)): zone
        for zone in zones
        for change in changes(zone, year)
    }


def firings(cron: Cron, begin: datetime, until: datetime) -> list[datetime]:
    """All firings later than `begin`, up to `until`."""
    return list(takewhile(lambda firing: firing <= until, cron.upcoming(begin)))
