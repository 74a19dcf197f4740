"""The planted faults still have their place in the source, and some of them are planted in every run."""

from __future__ import annotations

import unittest

from tests.mutants.faults import FAULTS
from tests.mutants.hunt import caught_by, source

PLANTED = ("no fence", "priority ignored", "unblock forgotten", "no crash limit", "hint before")


class TestMutants(unittest.TestCase):
    def test_there_are_enough_of_them_and_each_has_its_own_name(self) -> None:
        self.assertGreaterEqual(len(FAULTS), 20)
        self.assertEqual(len({fault.name for fault in FAULTS}), len(FAULTS))

    def test_each_still_has_its_place(self) -> None:
        for fault in FAULTS:
            with self.subTest(fault.name):
                self.assertNotEqual(fault.right, fault.wrong)
                self.assertIn(fault.right, source(fault))

    def test_the_tests_catch_them(self) -> None:
        chosen = [fault for fault in FAULTS if fault.name.startswith(PLANTED)]
        self.assertEqual(len(chosen), len(PLANTED))
        for fault in chosen:
            with self.subTest(fault.name):
                self.assertIsNotNone(caught_by(fault), "it goes unseen")
