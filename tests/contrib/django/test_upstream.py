"""Django's own tests of its Tasks hold for our backend, but for those of what another one can not do."""

from __future__ import annotations

import json
import sys
import unittest
from pathlib import Path

from tests.contrib.django.case import VERSION
from tests.repository import ROOT, run_python

# Where .ci/run puts the tests of Django's source distribution.
THEIRS = Path(sys.prefix) / "upstream" / "tests"
DEVIATIONS = {
    "DummyBackendTestCase.test_refresh_result": "changes the list in which that backend keeps its results",
    "DummyBackendTestCase.test_refresh_result_async": "the same",
    "ImmediateBackendTestCase.test_cannot_get_result": "ours can",
    "ImmediateBackendTestCase.test_cannot_refresh_result": "ours can",
    "ImmediateBackendTestCase.test_cannot_pass_run_after": "ours can",
    "ImmediateBackendTestCase.test_throws_keyboard_interrupt": "from a Task, it fails that",
}


class TestUpstream(unittest.TestCase):
    def test_their_tests_hold(self) -> None:
        if not THEIRS.is_dir() or VERSION < (6, 0):
            self.skipTest("the tests of Django 6 are not here; .ci/run fetches them")
        finished = run_python(["-m", "tests.contrib.django.upstream", THEIRS], ROOT)
        self.assertEqual(finished.returncode, 0, finished.stdout)
        outcomes: dict[str, str] = json.loads(finished.stdout.splitlines()[-1])
        self.assertGreater(len(outcomes), 70)
        went_wrong = {name: words for name, words in outcomes.items() if words != "ok"}
        self.assertEqual(went_wrong.keys(), DEVIATIONS.keys(), json.dumps(went_wrong, indent=2))
