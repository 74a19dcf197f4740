"""Cron expressions: what they name, day by day, and what is refused with which words."""

import unittest
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from litequeue.crontab import Crontab
from litequeue.errors import InvalidSchedule, LiteQueueError
from tests.ground.entries import Entry, entries

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
FAR = timedelta(days=1500)
NEW_YEAR = datetime(2026, 1, 1)  # a Thursday


def minutes(field: str) -> list[int]:
    return [time % 60 for time in Crontab.read(f"{field} 0 * * *").times]


def days(expression: str, count: int, start: datetime = NEW_YEAR) -> list[str]:
    """The first days that `0 0` and the three fields given name."""
    found, crontab = [], Crontab.read(f"0 0 {expression}")
    moment = start - MINUTE
    for _ in range(count):
        moment = crontab.after(moment)
        found.append(f"{moment:%a %Y-%m-%d}")
    return found


class TestFields(unittest.TestCase):
    def test_a_field_names_numbers(self) -> None:
        for field, named in (
            ("*", list(range(60))),
            ("7", [7]),
            ("07", [7]),
            ("5,1,5", [1, 5]),
            ("8-11", [8, 9, 10, 11]),
            ("8-8", [8]),
            ("1-3,7-9", [1, 2, 3, 7, 8, 9]),
            ("*/20", [0, 20, 40]),
            ("1-30/10", [1, 11, 21]),
            ("1-9/2,30", [1, 3, 5, 7, 9, 30]),
            ("*/100", [0]),
            ("40,*/30", [0, 30, 40]),
        ):
            with self.subTest(field):
                self.assertEqual(minutes(field), named)

    def test_months_and_days_of_the_week_have_names(self) -> None:
        for named, numbered in (
            ("* jan,JUL Mon-fri", "* 1,7 1-5"),
            ("* sep-dec/2 sun", "* 9,11 0"),
            ("* * sat,7", "* * 6,0"),
            ("* * fri-7", "* * 5,6,7"),
            ("* * */7", "* * 0,7"),
        ):
            with self.subTest(named):
                self.assertEqual(days(named, 20), days(numbered, 20))

    def test_sunday_is_0_and_7(self) -> None:
        self.assertEqual(days("* * 0", 2), ["Sun 2026-01-04", "Sun 2026-01-11"])
        self.assertEqual(days("* * 7", 2), days("* * 0", 2))
        self.assertEqual(days("* * 5-7", 3), ["Fri 2026-01-02", "Sat 2026-01-03", "Sun 2026-01-04"])

    def test_words_stand_for_expressions(self) -> None:
        for word, expression in (
            ("@hourly", "0 * * * *"),
            ("@daily", "0 0 * * *"),
            ("@midnight", "0 0 * * *"),
            ("@weekly", "0 0 * * 0"),
            ("@monthly", "0 0 1 * *"),
            ("@yearly", "0 0 1 1 *"),
            ("  @annually ", "0 0 1 1 *"),
        ):
            with self.subTest(word):
                self.assertEqual(Crontab.read(word), Crontab.read(expression))

    def test_blanks_are_free(self) -> None:
        self.assertEqual(Crontab.read(" 0\t0  1 1   *\n"), Crontab.read("0 0 1 1 *"))

    def test_a_star_at_the_beginning_makes_a_schedule_wild(self) -> None:
        for expression in ("* 5 * * *", "*/5 5 * * *", "*,5 5 * * *", "5 * * * *", "5 */2 * * *", "@hourly"):
            with self.subTest(expression):
                self.assertTrue(Crontab.read(expression).wild)
        for expression in ("0-59 0-23 * * *", "5,* 5,* * * *", "0-59/2 5 * * *", "@daily", "@weekly"):
            with self.subTest(expression):
                self.assertFalse(Crontab.read(expression).wild)


class TestDays(unittest.TestCase):
    def test_one_of_two_restricted_days_is_enough(self) -> None:
        self.assertEqual(
            days("13 * fri", 4), ["Fri 2026-01-02", "Fri 2026-01-09", "Tue 2026-01-13", "Fri 2026-01-16"]
        )

    def test_a_field_that_begins_with_a_star_must_fit_as_well(self) -> None:
        self.assertEqual(days("*/2 * mon", 3), ["Mon 2026-01-05", "Mon 2026-01-19", "Mon 2026-02-09"])
        self.assertEqual(days("13 * */5", 2), ["Fri 2026-02-13", "Fri 2026-03-13"])
        self.assertEqual(days("1-31/2,* * mon", 2), ["Thu 2026-01-01", "Fri 2026-01-02"])

    def test_a_day_that_is_rare_is_found(self) -> None:
        self.assertEqual(days("29 2 *", 2), ["Tue 2028-02-29", "Sun 2032-02-29"])
        self.assertEqual(days("29 2 */7", 2), ["Sun 2032-02-29", "Sun 2060-02-29"])
        self.assertEqual(days("29 2 */7", 1, datetime(2089, 1, 1)), ["Sun 2128-02-29"])
        self.assertEqual(days("*/31 */12 *", 2), ["Thu 2026-01-01", "Fri 2027-01-01"])

    def test_a_day_that_only_one_month_has(self) -> None:
        self.assertEqual(days("31 2,4,5 *", 2), ["Sun 2026-05-31", "Mon 2027-05-31"])

    def test_with_a_day_of_the_week_30_february_is_no_obstacle(self) -> None:
        self.assertEqual(days("30 2 mon", 2), ["Mon 2026-02-02", "Mon 2026-02-09"])

    @given(entries, st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
    def test_it_finds_the_minute_that_a_walk_finds(self, entry: Entry, start: datetime) -> None:
        start = start.replace(second=0, microsecond=0)
        walked = walk(entry, start)
        try:
            found = Crontab.read(entry.expression).after(start)
        except InvalidSchedule:
            self.assertFalse(any(entry.fits_day(datetime(2028, 1, 1) + day * DAY) for day in range(366)))
            found = None
        if walked is not None or (found is not None and found <= start + FAR):
            self.assertEqual(found, walked)


def walk(entry: Entry, start: datetime) -> datetime | None:
    """The first minute that fits within the next years, found a minute at a time in days that fit."""
    moment = start + MINUTE
    while moment <= start + FAR:
        if not entry.fits_day(moment):
            moment = moment.replace(hour=0, minute=0) + DAY
        elif entry.fits_time(moment):
            return moment
        else:
            moment += MINUTE
    return None


class TestRefusals(unittest.TestCase):
    def assert_refused(self, expression: object, *words: str) -> None:
        with self.subTest(expression), self.assertRaises(InvalidSchedule) as caught:
            Crontab.read(expression)  # type: ignore[arg-type]
        for word in (repr(expression), *words):
            self.assertIn(word, str(caught.exception))

    def test_they_are_errors_of_litequeue_and_of_values(self) -> None:
        self.assertTrue(issubclass(InvalidSchedule, LiteQueueError))
        self.assertTrue(issubclass(InvalidSchedule, ValueError))

    def test_a_field_says_its_name_what_was_found_and_what_it_takes(self) -> None:
        for place, name, found, allowed in (
            (0, "minute", "60", "0-59"),
            (0, "minute", "-1", "0-59"),
            (0, "minute", "1.5", "0-59"),
            (0, "minute", "five", "0-59"),
            (0, "minute", "jan", "0-59"),
            (0, "minute", "", "0-59"),
            (0, "minute", "*5", "0-59"),
            (0, "minute", "*-5", "0-59"),
            (0, "minute", "5;x", "0-59"),
            (0, "minute", "\u0663", "0-59"),
            (0, "minute", "9" * 5000, "0-59"),
            (1, "hour", "24", "0-23"),
            (1, "hour", "5-24", "0-23"),
            (1, "hour", "5-", "0-23"),
            (1, "hour", "1-5-7", "0-23"),
            (2, "day of month", "0", "1-31"),
            (2, "day of month", "32", "1-31"),
            (2, "day of month", "L", "1-31"),
            (2, "day of month", "?", "1-31"),
            (3, "month", "0", "1-12 or jan-dec"),
            (3, "month", "13", "1-12 or jan-dec"),
            (3, "month", "january", "1-12 or jan-dec"),
            (4, "day of week", "8", "0-7 or sun-sat"),
            (4, "day of week", "mon#1", "0-7 or sun-sat"),
        ):
            fields = ["1", "1", "1", "1", "1"]
            fields[place] = f"1,{found}"
            self.assert_refused(" ".join(fields), f"the {name} is {found!r}", allowed)

    def test_a_step_needs_a_range_and_a_number(self) -> None:
        self.assert_refused("5/10 * * * *", "the minute is '5/10'", "5-59/10", "*/10")
        self.assert_refused("* * * * mon/2", "the day of week is 'mon/2'", "mon-7/2", "*/2")
        for step in ("0", "-1", "x", "", "2/3", "1.5"):
            self.assert_refused(f"*/{step} * * * *", f"the minute is '*/{step}'", "a whole number from 1")

    def test_a_range_does_not_run_backwards(self) -> None:
        self.assert_refused("10-5 * * * *", "the minute is '10-5'", "backwards, from 10 to 5")
        self.assert_refused("* 22-6,8 * * *", "the hour is '22-6'", "backwards")
        self.assert_refused("* * * * fri-sun", "the day of week is 'fri-sun'", "Sunday is 7")

    def test_there_are_five_fields(self) -> None:
        self.assert_refused("", "0 fields were found", "five")
        self.assert_refused("* * * *", "4 fields were found", "day of month")
        self.assert_refused("* * * * * *", "6 fields were found", "every=")
        self.assert_refused("* * * * * * *", "7 fields were found")

    def test_a_word_is_known(self) -> None:
        self.assert_refused("@Daily", "@daily, @midnight, @weekly")
        self.assert_refused("@daily 5", "unknown")
        self.assert_refused("@reboot", "does not see a machine start", "enqueue")

    def test_it_is_text(self) -> None:
        for value in (None, 5, b"* * * * *", ["*"] * 5):
            self.assert_refused(value, "give text")

    def test_what_never_comes(self) -> None:
        for never in ("0 0 30 2 *", "0 0 31 2,4 *", "0 0 31 apr,jun,sep,nov *", "* * 30-31 2 */2"):
            self.assert_refused(never, "never fires")
