"""What users type is checked by mypy: right uses have the right types, wrong ones are errors."""

import importlib.util
import unittest

from tests.repository import ROOT, run_python


@unittest.skipUnless(importlib.util.find_spec("mypy"), "mypy is not installed here; .ci/run has it")
class TestTyping(unittest.TestCase):
    def assert_accepted(self, file: str) -> None:
        checked = run_python(["-m", "mypy", "--warn-unused-ignores", f"tests/typing/{file}"], ROOT)
        self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_right_uses_have_their_types(self) -> None:
        self.assert_accepted("right.py")

    def test_wrong_uses_are_errors(self) -> None:
        self.assert_accepted("wrong.py")
