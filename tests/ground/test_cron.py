"""When a schedule fires: facts of time zones, and a daemon that looks at the clock, in all of them."""

import copy
import pickle
import unittest
import zoneinfo
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import islice
from typing import Any
from unittest.mock import patch

from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from litequeue import Cron, Every, InvalidOption, InvalidSchedule
from tests.ground.daemon import WITH_SECONDS, changes, firings, kinds_of_changes, looks
from tests.ground.entries import ALWAYS, FIXED, WILD, Entry, entries

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NAMES = sorted(zoneinfo.available_timezones())
with_zones = unittest.skipUnless(NAMES, "this system has no time zone data")
drawn = given(st.data(), entries, st.integers(1971, 2040))
instants = st.datetimes(datetime(1970, 1, 2), datetime(2150, 1, 1), timezones=st.just(UTC))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def made(line: Entry, zone: tzinfo) -> Cron:
    """The schedule of a line; a line that names a day which never comes is none of this test's."""
    try:
        return Cron(line.expression, zone)
    except InvalidSchedule:
        reject()


class Shifted(tzinfo):
    """A zone that is UTC until its clocks are moved."""

    def __init__(self, at: datetime, by: timedelta) -> None:
        self.at = at.replace(tzinfo=None)
        self.by = by
        self.looks = 0

    def fromutc(self, when: datetime) -> datetime:
        self.looks += 1
        return when + self.by if when.replace(tzinfo=None) >= self.at else when

    def utcoffset(self, when: datetime | None) -> None:
        return None

    dst = tzname = utcoffset


class TestCron(unittest.TestCase):
    def test_it_fires_strictly_after(self) -> None:
        cron = Cron("*/15 * * * *")
        for asked, fires in (
            ("2026-01-01 10:00", "2026-01-01 10:15"),
            ("2026-01-01 10:14:59.999999", "2026-01-01 10:15"),
            ("2026-01-01 10:15", "2026-01-01 10:30"),
            ("2026-01-01 10:15:00.000001", "2026-01-01 10:30"),
            ("2026-12-31 23:45", "2027-01-01 00:00"),
        ):
            with self.subTest(asked):
                self.assertEqual(cron.after(utc(asked)), utc(fires))

    def test_it_answers_in_utc(self) -> None:
        asked = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
        answer = Cron("0 12 * * *", timezone(timedelta(hours=-5))).after(asked)
        self.assertEqual((answer, answer.tzinfo), (utc("2026-01-01 17:00"), UTC))

    def test_upcoming_goes_on(self) -> None:
        days = islice(Cron("@daily").upcoming(utc("2026-02-27 12:00")), 3)
        self.assertEqual([day.isoformat()[:10] for day in days], ["2026-02-28", "2026-03-01", "2026-03-02"])

    def test_a_naive_instant_is_refused(self) -> None:
        with self.assertRaisesRegex(InvalidOption, "names no time zone"):
            Cron("@daily").after(datetime(2026, 1, 1))

    def test_what_is_far_away_is_not_walked_to(self) -> None:
        zone = Shifted(datetime(2090, 1, 1), HOUR)
        self.assertEqual(Cron("0 0 29 2 */7", zone).after(utc("2088-03-01")), utc("2128-02-28 23:00"))
        self.assertLess(zone.looks, 100)

    @given(entries, instants, st.floats(0, 1))
    def test_nothing_fires_before_the_next_firing(self, entry: Entry, asked: datetime, part: float) -> None:
        cron = made(entry, zoneinfo.ZoneInfo("America/Santiago") if NAMES else UTC)
        firing = cron.after(asked)
        self.assertGreater(firing, asked)
        between = asked + (firing - asked) * part
        if between < firing:
            self.assertEqual(cron.after(between), firing)
            self.assertEqual(cron.after(firing - timedelta.resolution), firing)

    def test_it_is_a_value(self) -> None:
        cron = Cron("0  4 * * mon", "UTC")
        self.assertEqual(cron, Cron(" 0 4 * *   mon", UTC))
        self.assertEqual(hash(cron), hash(Cron("0 4 * * mon")))
        self.assertNotEqual(cron, Cron("0 4 * * tue"))
        self.assertNotEqual(cron, Cron("0 4 * * mon", timezone(HOUR)))
        self.assertEqual(repr(cron), "Cron(expression='0 4 * * mon', timezone='UTC')")
        self.assertEqual(str(cron), "0 4 * * mon UTC")
        for twin in (pickle.loads(pickle.dumps(cron)), copy.deepcopy(cron)):
            self.assertEqual((twin, twin.after(utc("2026-01-01"))), (cron, utc("2026-01-05 04:00")))
        with self.assertRaises(AttributeError):
            cron.expression = "@daily"  # type: ignore[misc]

    def test_an_expression_is_read_at_once(self) -> None:
        with self.assertRaisesRegex(InvalidSchedule, "never fires"):
            Cron("0 0 30 2 *")


class NoZones(zoneinfo.ZoneInfo):
    def __new__(cls, key: str) -> "NoZones":
        raise zoneinfo.ZoneInfoNotFoundError(key)


class TestTimeZone(unittest.TestCase):
    @with_zones
    def test_it_is_a_name_or_a_zone(self) -> None:
        berlin = Cron("0 9 * * *", zoneinfo.ZoneInfo("Europe/Berlin"))
        self.assertEqual(berlin, Cron("0 9 * * *", "Europe/Berlin"))
        self.assertEqual(berlin.timezone, "Europe/Berlin")
        self.assertEqual(berlin.after(utc("2026-07-01")), utc("2026-07-01 07:00"))
        self.assertEqual(pickle.loads(pickle.dumps(berlin)), berlin)

    @with_zones
    def test_an_unknown_one_is_refused_with_a_near_one(self) -> None:
        for unknown, near in (
            ("Europe/Berln", "Europe/Berlin"),
            ("Europe", "Europe/"),
            ("../passwd", "/"),
            ("", "/"),
            ("\0", "/"),
        ):
            with self.subTest(unknown), self.assertRaises(InvalidSchedule) as caught:
                Cron("@daily", unknown)
            self.assertIn(f"timezone is {unknown!r}, which this system does not know", str(caught.exception))
            self.assertIn(near, str(caught.exception))

    def test_it_is_nothing_else(self) -> None:
        zones: tuple[Any, ...] = (None, 2, timedelta(hours=2))
        for zone in zones:
            with self.subTest(zone), self.assertRaisesRegex(InvalidSchedule, "give a name"):
                Cron("@daily", zone)

    def test_a_system_without_zones_says_so(self) -> None:
        with (
            patch("litequeue.cron.ZoneInfo", NoZones),
            patch("litequeue.cron.available_timezones", return_value=set()),
        ):
            with self.assertRaisesRegex(InvalidSchedule, "no time zone data; install"):
                Cron("@daily", "Europe/Berlin")
            self.assertEqual(Cron("@daily").after(utc("2026-01-01")), utc("2026-01-02"))


@with_zones
class TestChanges(unittest.TestCase):
    """Facts: each firing as the clock on the wall shows it."""

    def assert_fires(self, zone: str, expression: str, begin: str, *fires: str) -> None:
        """`begin` and the firings read 'month-day hour:minute', then the hours from UTC."""
        info = zoneinfo.ZoneInfo(zone)
        asked = datetime.strptime(begin, "%Y-%m-%d %H:%M%z")
        found = islice(Cron(expression, zone).upcoming(asked), len(fires))
        with self.subTest(f"{expression} {zone}"):
            self.assertEqual([f"{each.astimezone(info):%m-%d %H:%M%z}" for each in found], list(fires))

    def test_clocks_go_forward(self) -> None:
        berlin, begin, after = "Europe/Berlin", "2026-03-28 12:00+0100", "03-29 03:00+0200"
        self.assert_fires(berlin, "30 2 * * *", begin, after, "03-30 02:30+0200")
        self.assert_fires(berlin, "0 2 * * *", begin, after, "03-30 02:00+0200")
        self.assert_fires(berlin, "0 3 * * *", begin, after, "03-30 03:00+0200")
        self.assert_fires(berlin, "59 1 * * *", begin, "03-29 01:59+0100", "03-30 01:59+0200")
        self.assert_fires(berlin, "0,20,40 2-3 * * *", begin, after, "03-29 03:20+0200", "03-29 03:40+0200")
        self.assert_fires(berlin, "30 2 29 3 *", begin, after, "03-29 02:30+0200")
        self.assert_fires(berlin, "30 2 * * sat", begin, "04-04 02:30+0200")

    def test_clocks_go_forward_under_a_star(self) -> None:
        berlin, begin, after = "Europe/Berlin", "2026-03-29 01:10+0100", "03-29 03:00+0200"
        self.assert_fires(berlin, "*/30 * * * *", begin, "03-29 01:30+0100", after, "03-29 03:30+0200")
        self.assert_fires(berlin, "@hourly", begin, after, "03-29 04:00+0200")
        self.assert_fires(berlin, "30 */2 * * *", begin, "03-29 04:30+0200")
        self.assert_fires(berlin, "*/30 2 * * *", begin, "03-30 02:00+0200")

    def test_clocks_go_back(self) -> None:
        berlin, begin = "Europe/Berlin", "2026-10-25 01:15+0200"
        self.assert_fires(berlin, "30 2 * * *", begin, "10-25 02:30+0200", "10-26 02:30+0100")
        self.assert_fires(berlin, "0 3 * * *", begin, "10-25 03:00+0100")
        self.assert_fires(berlin, "0,30 1-3 * * *", begin, "10-25 01:30+0200", "10-25 02:00+0200",
                          "10-25 02:30+0200", "10-25 03:00+0100")  # fmt: skip
        self.assert_fires(berlin, "30 2 * * *", "2026-10-25 02:45+0200", "10-26 02:30+0100")
        self.assert_fires(berlin, "30 2 * * *", "2026-10-25 02:15+0100", "10-26 02:30+0100")

    def test_clocks_go_back_under_a_star(self) -> None:
        new_york, begin = "America/New_York", "2026-11-01 00:45-0400"
        self.assert_fires(new_york, "*/30 * * * *", begin, "11-01 01:00-0400", "11-01 01:30-0400",
                          "11-01 01:00-0500", "11-01 01:30-0500", "11-01 02:00-0500")  # fmt: skip
        self.assert_fires(new_york, "30 * * * *", begin, "11-01 01:30-0400", "11-01 01:30-0500")
        self.assert_fires(new_york, "*/30 1 1 * *", "2026-11-01 01:30-0400", "11-01 01:00-0500")

    def test_half_an_hour(self) -> None:
        howe = "Australia/Lord_Howe"
        self.assert_fires(howe, "15 2 * * *", "2026-10-03 12:00+1030", "10-04 02:30+1100", "10-05 02:15+1100")
        self.assert_fires(howe, "*/15 2 * * *", "2026-10-03 12:00+1030", "10-04 02:30+1100")
        self.assert_fires(howe, "45 1 * * *", "2026-04-04 12:00+1100", "04-05 01:45+1100", "04-06 01:45+1030")
        self.assert_fires(howe, "45 * * * *", "2026-04-05 01:00+1100", "04-05 01:45+1100", "04-05 01:45+1030")

    def test_a_skipped_midnight(self) -> None:
        for zone, begin, after, then in (
            ("America/Santiago", "2024-09-07 12:00-0400", "09-08 01:00-0300", "09-09 00:00-0300"),
            ("Asia/Beirut", "2024-03-30 12:00+0200", "03-31 01:00+0300", "04-01 00:00+0300"),
            ("Africa/Cairo", "2014-07-31 12:00+0200", "08-01 01:00+0300", "08-02 00:00+0300"),
        ):
            self.assert_fires(zone, "@daily", begin, after, then)
        self.assert_fires("America/Santiago", "@weekly", "2024-09-07 12:00-0400", "09-08 01:00-0300")

    def test_a_repeated_midnight(self) -> None:
        for zone, begin, first, then in (
            ("America/Santiago", "2024-04-06 12:00-0300", "04-07 00:00-0400", "04-08 00:00-0400"),
            ("America/St_Johns", "2010-11-06 12:00-0230", "11-07 00:00-0230", "11-08 00:00-0330"),
        ):
            self.assert_fires(zone, "@daily", begin, first, then)
        self.assert_fires("America/Santiago", "30 23 * * *", "2024-04-06 12:00-0300", "04-06 23:30-0300",
                          "04-07 23:30-0400")  # fmt: skip
        self.assert_fires("America/St_Johns", "*/30 * * * *", "2010-11-06 23:45-0230", "11-07 00:00-0230",
                          "11-06 23:30-0330", "11-07 00:00-0330")  # fmt: skip

    def test_a_day_that_never_was(self) -> None:
        apia, begin = "Pacific/Apia", "2011-12-29 13:00-1000"
        self.assert_fires(apia, "0 12 * * *", begin, "12-31 12:00+1400")
        self.assert_fires(apia, "0 12 30 12 *", begin, "12-30 12:00+1400")
        self.assert_fires(apia, "@daily", begin, "12-31 00:00+1400", "01-01 00:00+1400")

    def test_a_change_within_a_minute(self) -> None:
        # At 00:44:30 UTC of 1972-01-07 Liberia went from 44 minutes and 30 seconds behind to none.
        fixed, wild = Cron("30 0 * * *", "Africa/Monrovia"), Cron("44 * * * *", "Africa/Monrovia")
        change = utc("1972-01-07 00:44:30")
        self.assertEqual(fixed.after(change - HOUR), change)
        self.assertEqual(fixed.after(change), utc("1972-01-08 00:30"))
        self.assertEqual(wild.after(change - HOUR), utc("1972-01-07 00:28:30"))
        self.assertEqual(wild.after(utc("1972-01-07 00:28:30")), change)

    def test_a_change_by_seconds(self) -> None:
        """A minute that the change leads to is seen then; one that it does not leave is not seen twice."""
        change = utc("2026-05-09 05:00:30")
        for by, fires in ((30, [-30, 0, 60, 120]), (-10, [-30, 40, 100, 160])):
            for expression in ("* * * * *", "0-59 0-23 * * *"):
                with self.subTest(expression, by=by):
                    cron = Cron(expression, Shifted(change, timedelta(seconds=by)))
                    found = islice(cron.upcoming(change - MINUTE), 4)
                    self.assertEqual([(each - change).total_seconds() for each in found], fires)


class TestDaemon(unittest.TestCase):
    """What a daemon does that looks at the clock once a minute, around changes of clocks."""

    def assert_agree(self, zone: tzinfo, lines: Iterable[Entry], begin: datetime, until: datetime) -> None:
        seen = list(looks(zone, begin, until))
        for line in lines:
            runs = [look.instant for look in seen if look.fires(line)]
            self.assertEqual(firings(made(line, zone), begin, until), runs, line.expression)

    def test_changes_by_any_number_of_minutes(self) -> None:
        change = utc("2026-05-09 05:00")
        for minutes in (*range(-7, 8), *range(-182, -177), *range(177, 183), 24 * 60 - 1, 1 - 24 * 60):
            with self.subTest(minutes):
                zone = Shifted(change, minutes * MINUTE)
                self.assert_agree(zone, [FIXED, WILD, ALWAYS], change - HOUR, change + 4 * HOUR)

    def test_asked_at_any_minute(self) -> None:
        change = utc("2026-05-09 05:00")
        for minutes in (-180, -45, 45, 170):
            zone = Shifted(change, minutes * MINUTE)
            seen = list(looks(zone, change - HOUR, change + 5 * HOUR))
            for line in (FIXED, WILD):
                runs = [look.instant for look in seen if look.fires(line)]
                for look in seen[:240]:
                    with self.subTest(line.expression, minutes=minutes, asked=look.instant):
                        following = min(run for run in runs if run > look.instant)
                        self.assertEqual(made(line, zone).after(look.instant), following)

    @with_zones
    @settings(max_examples=50)
    @drawn
    def test_any_schedule_in_any_zone(self, data: st.DataObject, line: Entry, year: int) -> None:
        self.assert_agree_in_some_zone(data, line, year)

    def assert_agree_in_some_zone(self, data: st.DataObject, line: Entry, year: int) -> None:
        zone = zoneinfo.ZoneInfo(data.draw(st.sampled_from(NAMES)))
        found = changes(zone, year)
        assume(found and zone.key not in WITH_SECONDS)
        change = data.draw(st.sampled_from(found))
        begin = change - data.draw(st.integers(1, 9 * 60)) * MINUTE
        self.assert_agree(zone, [line], begin, change + 9 * HOUR)

    @with_zones
    def test_every_change_of_a_year(self) -> None:
        for year in (1994, 2011):
            for (change, *_), zone in kinds_of_changes(year).items():
                with self.subTest(zone, change=change):
                    self.assert_agree(zone, [FIXED, WILD], change - HOUR, change + 4 * HOUR)


class TestEvery(unittest.TestCase):
    def test_it_fires_at_whole_intervals(self) -> None:
        for every, asked, fires in (
            (Every(60), "2026-01-01 10:00", "2026-01-01 10:01"),
            (Every(60), "2026-01-01 10:00:00.000001", "2026-01-01 10:01"),
            (Every(0.25), "2026-01-01 10:00:00.3", "2026-01-01 10:00:00.5"),
            (Every(timedelta(hours=36)), "1970-01-01", "1970-01-02 12:00"),
            (Every(timedelta(days=7), utc("2026-01-05 08:00")), "2026-02-01", "2026-02-02 08:00"),
            (Every(timedelta(days=7), utc("2026-01-05 08:00")), "2025-12-29 08:00", "2026-01-05 08:00"),
            (Every(timedelta(days=7), utc("2026-01-05 08:00")), "2025-12-20", "2025-12-22 08:00"),
        ):
            with self.subTest(every, asked=asked):
                answer = every.after(utc(asked))
                self.assertEqual((answer, answer.tzinfo), (utc(fires), UTC))

    @given(st.integers(1, 10**15), instants, instants)
    def test_the_next_is_less_than_an_interval_away(
        self, micros: int, anchor: datetime, asked: datetime
    ) -> None:
        interval = timedelta(microseconds=micros)
        fires = Every(interval, anchor).after(asked)
        self.assertTrue(asked < fires <= asked + interval)
        self.assertEqual((fires - anchor) % interval, timedelta(0))

    def test_it_is_a_value(self) -> None:
        self.assertEqual(Every(90), Every(timedelta(minutes=1.5)))
        self.assertEqual(hash(Every(90)), hash(Every(90.0)))
        self.assertNotEqual(Every(90), Every(90, utc("2026-01-01")))

    def test_an_interval_is_some_time(self) -> None:
        intervals: tuple[Any, ...] = (0, -1, 1e-9, float("nan"), float("inf"), "1h", True, None)
        for interval in intervals:
            with self.subTest(interval), self.assertRaisesRegex(InvalidOption, f"interval is {interval!r}"):
                Every(interval)

    def test_an_anchor_is_aware(self) -> None:
        with self.assertRaisesRegex(InvalidOption, "anchor is .* names no time zone"):
            Every(60, datetime(2026, 1, 1))
