"""Directives: a task raises them to choose its outcome, and its own `except Exception` lets them pass."""

import math
import unittest
from datetime import timedelta
from typing import Any

from litequeue.directives import Cancel, Directive, Reject, RetryLater, Snooze, TaskTimeout
from litequeue.errors import InvalidOption

EACH = (RetryLater(), RetryLater(5), Snooze(5), Reject("no"), Cancel("no"), TaskTimeout())


def careless(error: BaseException) -> str:
    """A task that catches all it can."""
    try:
        raise error
    except Exception:
        return "swallowed"


class TestDirectives(unittest.TestCase):
    def test_they_pass_except_exception(self) -> None:
        for error in EACH:
            with self.subTest(error), self.assertRaises(type(error)):
                careless(error)

    def test_finally_still_runs(self) -> None:
        steps = []
        with self.assertRaises(Snooze):
            try:
                raise Snooze(1)
            finally:
                steps.append("cleaned up")
        self.assertEqual(steps, ["cleaned up"])

    def test_all_but_the_time_out_are_directives(self) -> None:
        self.assertEqual({type(error) for error in EACH if not isinstance(error, Directive)}, {TaskTimeout})

    def test_delays_are_microseconds(self) -> None:
        self.assertEqual(Snooze(1.5).delay, 1_500_000)
        self.assertEqual(Snooze(timedelta(minutes=1)).delay, 60_000_000)
        self.assertEqual(RetryLater(2).delay, 2_000_000)
        self.assertEqual(RetryLater(timedelta(0)).delay, 0)
        self.assertIsNone(RetryLater().delay)

    def test_reasons_are_kept(self) -> None:
        self.assertEqual((Reject("bad input").reason, str(Reject("bad input"))), ("bad input", "bad input"))
        self.assertEqual(
            (Cancel("not needed").reason, str(Cancel("not needed"))), ("not needed", "not needed")
        )
        self.assertEqual((Reject().reason, Cancel().reason), ("", ""))
        wrong: Any = 5  # which would else be found out where the worker writes it down
        self.assertEqual((Reject(wrong).reason, Cancel(wrong).reason), ("5", "5"))

    def test_delays_that_are_none_are_refused_where_they_are_raised(self) -> None:
        for wrong in (-1, math.nan, math.inf, True, "soon"):
            with self.subTest(wrong):
                with self.assertRaisesRegex(InvalidOption, "Snooze seconds"):
                    Snooze(wrong)  # type: ignore[arg-type]
                with self.assertRaisesRegex(InvalidOption, "RetryLater delay"):
                    RetryLater(wrong)  # type: ignore[arg-type]
