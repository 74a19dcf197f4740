"""Durations and instants: integer microseconds inside, and what is none is refused with the fix."""

import math
import threading
import unittest
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from litequeue.clock import LAST_INSTANT, SECOND, SystemClock, boot_id, duration, instant, to_datetime
from litequeue.errors import InvalidOption

CENTURY = timedelta(days=36_500)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)


class TestDuration(unittest.TestCase):
    def test_seconds_and_timedeltas(self) -> None:
        for value in (90, 90.0, timedelta(minutes=1.5)):
            with self.subTest(value):
                self.assertEqual(duration(value, "delay"), 90 * SECOND)
        self.assertEqual(duration(0, "delay"), 0)
        self.assertEqual(duration(-0.0, "delay"), 0)
        self.assertEqual(duration(1e-6, "delay"), 1)

    @given(st.timedeltas(timedelta(0), CENTURY))
    def test_timedeltas_are_kept_to_the_microsecond(self, value: timedelta) -> None:
        self.assertEqual(timedelta(microseconds=duration(value, "delay")), value)

    @given(st.integers(0, 10**9))
    def test_whole_seconds_are_exact(self, value: int) -> None:
        self.assertEqual(duration(value, "delay"), value * SECOND)

    @given(st.floats(0, 1e9))
    def test_fractions_are_kept_to_the_microsecond(self, value: float) -> None:
        self.assertAlmostEqual(duration(value, "delay") / SECOND, value, delta=1e-6)

    def test_refusals(self) -> None:
        wrong = (math.nan, math.inf, -math.inf, -1, -0.1, 1e10, 1e308, 10**400, timedelta(-1), timedelta.max)
        others: list[Any] = [True, False, "1", None, [], 1j]
        for value in (*wrong, *others):
            with self.subTest(value), self.assertRaisesRegex(InvalidOption, "^pause is .*; give "):
                duration(value, "pause")

    @given(st.one_of(st.floats(), st.integers(), st.timedeltas()))
    def test_a_number_is_a_duration_or_refused(self, value: float | timedelta) -> None:
        try:
            self.assertGreaterEqual(duration(value, "delay"), 0)
        except InvalidOption as error:
            self.assertIn("delay is", str(error))


class TestInstant(unittest.TestCase):
    @given(st.datetimes(datetime(1971, 1, 1), datetime(2199, 1, 1)), offsets)
    def test_aware_datetimes_come_back(self, when: datetime, zone: timezone) -> None:
        aware = when.replace(tzinfo=zone)
        self.assertEqual(to_datetime(instant(aware, "run_at")), aware)

    @given(st.integers(0, LAST_INSTANT - 1))
    def test_microseconds_come_back(self, micros: int) -> None:
        self.assertEqual(instant(to_datetime(micros), "run_at"), micros)

    def test_what_python_can_not_express_is_shown_as_the_nearest_it_can(self) -> None:
        for micros in (2**63 - 1, 10**18, datetime.max.replace(tzinfo=UTC).year * 366 * 86400 * SECOND):
            self.assertEqual(to_datetime(micros), datetime.max.replace(tzinfo=UTC))
        for micros in (-(2**63), -(10**18)):
            self.assertEqual(to_datetime(micros), datetime.min.replace(tzinfo=UTC))

    def test_the_epoch_is_nought(self) -> None:
        self.assertEqual(instant(EPOCH, "run_at"), 0)

    @given(st.datetimes())
    def test_naive_datetimes_are_refused_with_the_fix(self, when: datetime) -> None:
        with self.assertRaisesRegex(
            InvalidOption, r"run_at is .*no time zone; use datetime.now\(timezone.utc\)"
        ):
            instant(when, "run_at")

    def test_the_fix_works(self) -> None:
        naive = datetime(2026, 11, 24, 12)
        self.assertEqual(instant(naive.astimezone(), "run_at"), round(naive.timestamp() * SECOND))

    def test_what_is_out_of_range(self) -> None:
        for year in (1, 1969, 2200, 9999):
            with self.subTest(year), self.assertRaisesRegex(InvalidOption, "between 1970 and 2200"):
                instant(datetime(year, 6, 1, tzinfo=UTC), "run_at")
        with self.assertRaises(InvalidOption):
            instant(datetime.max.replace(tzinfo=timezone(timedelta(hours=-23))), "run_at")

    def test_what_is_no_datetime(self) -> None:
        for value in (1_800_000_000, "2026-11-24", None, date(2026, 11, 24), timedelta(1)):
            with (
                self.subTest(value),
                self.assertRaisesRegex(InvalidOption, "run_at is .*give an aware datetime"),
            ):
                instant(value, "run_at")  # type: ignore[arg-type]


class TestSystemClock(unittest.TestCase):
    def test_wall_time_is_now(self) -> None:
        before = datetime.now(UTC)
        read = to_datetime(SystemClock().now())
        self.assertLessEqual(before, read)
        self.assertLessEqual(read, datetime.now(UTC))

    def test_nobody_can_set_the_monotonic_clock(self) -> None:
        clock = SystemClock()
        before = clock.monotonic()
        with mock.patch("time.time_ns", return_value=0), mock.patch("time.time", return_value=0.0):
            self.assertEqual(clock.now(), 0)
            self.assertTrue(before <= clock.monotonic() < before + 60_000_000)

    def test_monotonic_time_never_goes_back(self) -> None:
        clock = SystemClock()
        read = [clock.monotonic() for _ in range(100)]
        self.assertEqual(read, sorted(read))

    def test_the_boot_has_one_name(self) -> None:
        self.assertTrue(boot_id())
        self.assertEqual(SystemClock().boot(), boot_id())

    def test_waiting_ends_when_the_event_is_set(self) -> None:
        event = threading.Event()
        self.assertFalse(SystemClock().wait(event, 0))
        event.set()
        self.assertTrue(SystemClock().wait(event, 3600))
