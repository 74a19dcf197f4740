"""Retry policies: bounds of the waits, which exceptions count, what is stored, what is refused."""

import json
import math
import random
import sys
import unittest
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from types import ModuleType
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from litequeue.clock import SECOND
from litequeue.errors import InvalidOption
from litequeue.retry import NO_RETRY, Retry, exception_name, next_delay, retry_policy

attempts = st.one_of(st.none(), st.integers(1, 10_000))
factors = st.floats(1, 100)
seconds = st.one_of(st.integers(0, 10**6), st.floats(0, 1e6), st.timedeltas(timedelta(0), timedelta(days=10)))
kinds = st.sampled_from(
    [ValueError, "OSError", "app:MyError", "package.module:Outer.Inner", KeyboardInterrupt]
)
policies = st.builds(
    Retry,
    attempts,
    backoff=factors,
    base=seconds,
    max_delay=seconds,
    jitter=st.booleans(),
    intervals=st.lists(seconds, max_size=4),
    on=st.one_of(kinds, st.lists(kinds, max_size=3)),
    give_up_on=st.one_of(kinds, st.lists(kinds, max_size=3)),
)


class Flaky(Exception):
    pass


class VeryFlaky(Flaky):
    pass


def wait(policy: Retry, failures: int, error: BaseException | None = None, seed: int = 0) -> float | None:
    delay = policy.delay(failures, error or Flaky(), random.Random(seed))
    return None if delay is None else delay / SECOND


class TestWaits(unittest.TestCase):
    @given(factors, st.floats(0, 1e4), st.floats(0, 1e6), st.integers(1, 2**31), st.integers())
    def test_full_jitter_stays_between_nothing_and_the_longest(
        self, backoff: float, base: float, max_delay: float, failures: int, seed: int
    ) -> None:
        policy = Retry(None, backoff=backoff, base=base, max_delay=max_delay)
        waited = wait(policy, failures, seed=seed)
        assert waited is not None
        longest = wait(Retry(None, backoff=backoff, base=base, max_delay=max_delay, jitter=False), failures)
        assert longest is not None
        self.assertGreaterEqual(waited, 0)
        self.assertLessEqual(waited, longest)
        self.assertLessEqual(longest, max_delay + 1e-6)

    def test_full_jitter_uses_the_whole_range(self) -> None:
        waits = [wait(Retry(9, base=10, backoff=1), 1, seed=seed) or 0 for seed in range(1000)]
        self.assertLess(min(waits), 0.5)
        self.assertGreater(max(waits), 9.5)
        self.assertAlmostEqual(sum(waits) / len(waits), 5, delta=0.5)

    def test_the_longest_wait_doubles_up_to_the_limit(self) -> None:
        policy = Retry(None, base=1, backoff=2, max_delay=10, jitter=False)
        self.assertEqual(
            [wait(policy, failures) for failures in (1, 2, 3, 4, 5, 10**9)], [1, 2, 4, 8, 10, 10]
        )

    def test_intervals_one_by_one_the_last_repeating(self) -> None:
        policy = Retry(None, intervals=[10, timedelta(minutes=1), 0.5])
        self.assertEqual([wait(policy, failures) for failures in (1, 2, 3, 4, 99)], [10, 60, 0.5, 0.5, 0.5])

    @given(st.integers(1, 1000), st.integers(1, 2000))
    def test_there_are_max_attempts_and_no_more(self, limit: int, failures: int) -> None:
        self.assertIs(wait(Retry(limit), failures) is None, failures >= limit)

    def test_none_is_for_ever(self) -> None:
        self.assertIsNotNone(wait(Retry(None), 10**9))

    def test_without_an_error_only_the_number_decides(self) -> None:
        policy = Retry(3, on=OSError)
        self.assertIsNotNone(policy.delay(2, None, random.Random(0)))
        self.assertIsNone(policy.delay(3, None, random.Random(0)))


class TestWhichExceptions(unittest.TestCase):
    def assert_retries(self, policy: Retry, error: BaseException, expected: bool) -> None:
        self.assertIs(wait(policy, 1, error) is not None, expected, f"{policy} {error!r}")

    def test_all_by_default(self) -> None:
        self.assert_retries(Retry(), Flaky(), True)
        self.assert_retries(Retry(), OSError(), True)

    def test_on_by_class_and_its_subclasses(self) -> None:
        policy = Retry(on=Flaky)
        self.assert_retries(policy, Flaky(), True)
        self.assert_retries(policy, VeryFlaky(), True)
        self.assert_retries(policy, ValueError(), False)

    def test_on_by_name(self) -> None:
        name = f"{__name__}:Flaky"
        self.assert_retries(Retry(on=name), VeryFlaky(), True)
        self.assert_retries(Retry(on=name), ValueError(), False)
        self.assert_retries(Retry(on="OSError"), ConnectionResetError(), True)
        self.assert_retries(Retry(on="elsewhere:Flaky"), Flaky(), False)

    def test_on_several(self) -> None:
        policy = Retry(on=[KeyError, "app:Other", "TimeoutError"])
        self.assert_retries(policy, KeyError(), True)
        self.assert_retries(policy, TimeoutError(), True)
        self.assert_retries(policy, IndexError(), False)

    def test_give_up_on_wins(self) -> None:
        policy = Retry(on=Flaky, give_up_on=VeryFlaky)
        self.assert_retries(policy, Flaky(), True)
        self.assert_retries(policy, VeryFlaky(), False)
        self.assert_retries(Retry(give_up_on="LookupError"), KeyError(), False)
        self.assert_retries(Retry(give_up_on="LookupError"), OSError(), True)


class TestStored(unittest.TestCase):
    @given(policies)
    def test_it_comes_back_from_json(self, policy: Retry) -> None:
        self.assertEqual(Retry.from_json(json.loads(json.dumps(policy.to_json()))), policy)

    @given(
        policies, st.integers(1, 100), st.sampled_from([ValueError(), KeyError(), OSError()]), st.integers()
    )
    def test_it_decides_the_same_afterwards(
        self, policy: Retry, failures: int, error: BaseException, seed: int
    ) -> None:
        again = Retry.from_json(json.loads(json.dumps(policy.to_json())))
        self.assertEqual(
            policy.delay(failures, error, random.Random(seed)),
            again.delay(failures, error, random.Random(seed)),
        )

    def test_no_class_is_stored(self) -> None:
        self.assertEqual(
            Retry(on=(Flaky, OSError)).to_json()["on"], [f"{__name__}:Flaky", "builtins:OSError"]
        )


class TestTheOption(unittest.TestCase):
    def test_a_number_is_so_many_attempts(self) -> None:
        self.assertEqual(retry_policy(5), Retry(5))
        self.assertEqual(retry_policy(0), NO_RETRY)
        self.assertEqual(retry_policy(1), NO_RETRY)

    def test_a_policy_is_itself(self) -> None:
        policy = Retry(7)
        self.assertIs(retry_policy(policy), policy)

    def test_a_function_gives_seconds_or_gives_up(self) -> None:
        def patience(failures: int, error: BaseException) -> float | timedelta | None:
            if isinstance(error, ValueError):
                return None
            return timedelta(minutes=1) if failures > 2 else 1.5

        policy = retry_policy(patience)
        rng = random.Random(0)
        self.assertEqual(next_delay(policy, 1, Flaky(), rng), 1_500_000)
        self.assertEqual(next_delay(policy, 3, Flaky(), rng), 60 * SECOND)
        self.assertIsNone(next_delay(policy, 1, ValueError(), rng))

    def test_what_a_function_returns_is_checked(self) -> None:
        for returned in (-1, math.nan, "soon", True):
            with self.subTest(returned), self.assertRaisesRegex(InvalidOption, "from the retry function"):
                next_delay(partial(lambda value, *_: value, returned), 1, Flaky(), random.Random(0))

    def test_refusals(self) -> None:
        for value in (-1, True, 2.0, "3", None, [1], Retry, ValueError):
            with self.subTest(value), self.assertRaisesRegex(InvalidOption, "retry is"):
                retry_policy(value)  # type: ignore[arg-type]


class TestRefusals(unittest.TestCase):
    def assert_refused(self, option: str, wrong: Sequence[Any]) -> None:
        for value in wrong:
            with self.subTest(option=option, value=value), self.assertRaisesRegex(InvalidOption, option):
                Retry(**{option: value})

    def test_max_attempts(self) -> None:
        self.assert_refused("max_attempts", [0, -1, True, 1.0, "3", math.inf, 2**31])

    def test_backoff(self) -> None:
        self.assert_refused("backoff", [0, 0.5, -2, math.nan, math.inf, True, "2", None, 10**400])

    def test_durations(self) -> None:
        wrong = [
            -1,
            math.nan,
            math.inf,
            True,
            "1",
            None,
            1e308,
            10**400,
            timedelta(seconds=-1),
            timedelta.max,
        ]
        self.assert_refused("base", wrong)
        self.assert_refused("max_delay", wrong)
        self.assert_refused("intervals", [[value] for value in wrong])

    def test_intervals_that_are_no_list(self) -> None:
        self.assert_refused("intervals", [60, "60", None, timedelta(1)])

    def test_jitter(self) -> None:
        self.assert_refused("jitter", [0, 1, "yes", None])

    def test_exceptions_that_are_none(self) -> None:
        wrong = [5, int, None, [ValueError, 3], ValueError(), "ConnectionEror", "app.MyError", "len", ""]
        self.assert_refused("on", wrong)
        self.assert_refused("give_up_on", wrong)

    def test_a_policy_can_not_be_changed(self) -> None:
        with self.assertRaises(AttributeError):
            Retry().max_attempts = 9  # type: ignore[misc]


class TestExceptionNames(unittest.TestCase):
    def test_module_and_qualified_name(self) -> None:
        self.assertEqual(exception_name(Flaky), f"{__name__}:Flaky")
        self.assertEqual(exception_name(KeyError), "builtins:KeyError")

    def test_a_class_of_a_script_is_called_after_its_file(self) -> None:
        script = ModuleType("__main__")
        script.__file__ = "/somewhere/app.py"
        with patch.dict(sys.modules, {"__main__": script}), patch.object(Flaky, "__module__", "__main__"):
            self.assertEqual(exception_name(Flaky), "app:Flaky")
            self.assertIsNotNone(wait(Retry(on="app:Flaky"), 1, VeryFlaky()))
