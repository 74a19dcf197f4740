"""Counts of a minute: quantiles within the promised error, sums, and what is stored of them."""

import math
import unittest

from hypothesis import given
from hypothesis import strategies as st

from litequeue.traffic import Times, Traffic, measured, restored, stored

LENGTHS = st.lists(st.integers(0, 10**13), min_size=1, max_size=50)
WRONG_BY = 2 ** (1 / 8)


class TestTimes(unittest.TestCase):
    @given(LENGTHS, st.floats(0.01, 1))
    def test_a_quantile_is_wrong_by_nine_percent_at_the_most(self, lengths: list[int], share: float) -> None:
        exact = sorted(lengths)[max(0, math.ceil(share * len(lengths)) - 1)]
        told = measured(lengths).quantile(share)
        assert told is not None
        self.assertLessEqual(exact / WRONG_BY - 0.5, told)
        self.assertLessEqual(told, exact * WRONG_BY + 0.5)

    @given(LENGTHS, LENGTHS)
    def test_a_sum_is_as_if_measured_together(self, some: list[int], others: list[int]) -> None:
        self.assertEqual(measured(some) + measured(others), measured([*some, *others]))

    @given(LENGTHS)
    def test_what_is_stored_comes_back(self, lengths: list[int]) -> None:
        self.assertEqual(restored(stored(measured(lengths))), measured(lengths))

    def test_nothing_has_no_quantile(self) -> None:
        self.assertIsNone(Times().quantile(0.5))
        self.assertEqual(Times().total, 0)

    def test_a_clock_that_went_back_makes_no_wait(self) -> None:
        self.assertEqual(measured([-(3600 * 10**6)]).quantile(0.5), 0)

    def test_any_length_needs_few_buckets(self) -> None:
        self.assertLessEqual(len(measured(range(0, 10**7, 7)).counts), 100)

    def test_odd_text_counts_as_empty(self) -> None:
        for text in (
            "",
            "[]",
            "3",
            "{",
            '{"x": 1}',
            '{"1": "2"}',
            '{"1": -2}',
            '{"-1": 2}',
            '{"99999": 1}',
            '{"1": true}',
            '{"1": 1e400}',
            f'{{"1": {10**400}}}',
            "[" * 100_000,
            '{"\u0663": 1}',
        ):
            with self.subTest(text[:20]):
                self.assertEqual(restored(text), Times())

    def test_a_sum_stays_within_what_the_file_can_hold(self) -> None:
        much = Traffic(2**62, 2**62, 2**62, Times({3: 2**62}), Times({3: 2**62}))
        twice = much + much
        counts = [twice.completed, twice.failed, twice.retried, *twice.waits.counts.values()]
        self.assertTrue(all(0 < count < 2**62 for count in counts), counts)


if __name__ == "__main__":
    unittest.main()
