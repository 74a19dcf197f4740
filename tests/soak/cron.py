"""Schedules against a daemon that looks at the clock once a minute, around every change of every zone."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta

from hypothesis import settings

from litequeue import Cron
from tests.ground.daemon import WITH_SECONDS, changes, firings, looks
from tests.ground.entries import FIXED, WILD
from tests.ground.test_cron import TestDaemon, drawn

YEARS = range(1971, 2038)
EXAMPLES = 20_000
HOUR = timedelta(hours=1)


def run(scale: float) -> str:
    names = sorted(zoneinfo.available_timezones() - WITH_SECONDS)
    years = YEARS[: max(1, round(len(YEARS) * scale))]
    counts = [around_changes(zoneinfo.ZoneInfo(name), year) for name in names for year in years]
    examples = max(1, round(EXAMPLES * scale))
    settings(max_examples=examples, database=None)(drawn(TestDaemon().assert_agree_in_some_zone))()
    changed, fired = (sum(each) for each in zip(*counts, strict=True))
    swept_over = f"{changed} changes of clocks in {len(names)} zones and {len(years)} years"
    return f"{swept_over}, {fired} firings, and {examples} drawn schedules"


def around_changes(zone: zoneinfo.ZoneInfo, year: int) -> tuple[int, int]:
    """How often the clocks changed, and how often the schedules fired around it."""
    found = changes(zone, year)
    return len(found), sum(around_change(zone, change) for change in found)


def around_change(zone: zoneinfo.ZoneInfo, change: datetime) -> int:
    begin, until = change - HOUR, change + 4 * HOUR
    seen = list(looks(zone, begin, until))
    count = 0
    for line in (FIXED, WILD):
        cron = Cron(line.expression, zone)
        found = firings(cron, begin, until)
        if found != [look.instant for look in seen if look.fires(line)]:
            raise AssertionError(f"{cron} after {begin} fires at {found}")
        count += len(found)
    return count
