"""A crash or a fault at each file call of each operation; here at some of them, in the soak at all."""

from __future__ import annotations

from tests.crashes import programs
from tests.crashes.case import ShimCase
from tests.crashes.operations import CARELESS
from tests.crashes.points import MODES

EVERY, PAIRS, PARTS = 14, 40, 2


class TestCrashPoints(ShimCase):
    def test_crashes_and_faults_lose_nothing_and_leave_nothing_by_halves(self) -> None:
        options = ("--every", EVERY, "--pairs", PAIRS)
        counts, found = programs.sweep(self.library, self.folder, PARTS, *options)
        self.assertEqual(found, "")
        # Of some 6,000 points one was missed so far, on a busy machine; why is not known.
        self.assertLessEqual(counts["missed"], 1, "points that were never reached")
        self.assertLessEqual({*MODES, "twice"}, set(counts))
        self.assertGreater(counts.total(), 750, counts)

    def test_what_is_done_by_halves_is_found(self) -> None:
        _, found = programs.sweep(self.library, self.folder, 1, "--operation", CARELESS, "--mode", "kill")
        self.assertIn("is none of the 2 things it may be", found)
