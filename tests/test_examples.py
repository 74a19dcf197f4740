"""Every example is short, says what it shows, and runs to its end, in an empty directory and once more."""

import ast
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.repository import ROOT, run_python

EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
MAX_LINES = 80
# They make tables and files of their own, or look at all the jobs there are.
LEAVE_THINGS_BEHIND = ("customer_api.py", "own_connection.py", "quickstart.py", "resumable_import.py")


class TestExamples(unittest.TestCase):
    def test_the_four_kinds_are_there(self) -> None:
        self.assertGreaterEqual(len(EXAMPLES), 4, "quickstart, retries, a web app and asyncio are promised")

    def test_the_programs_of_four_other_libraries_are_there(self) -> None:
        ported = {example.name for example in EXAMPLES if example.parent.name == "coming_from"}
        self.assertEqual(ported, {f"from_{name}.py" for name in ("celery", "dramatiq", "huey", "rq")})

    def test_each_is_short(self) -> None:
        for example in EXAMPLES:
            with self.subTest(example.name):
                self.assertLess(len(example.read_text().splitlines()), MAX_LINES)

    def test_each_says_what_it_shows(self) -> None:
        for example in EXAMPLES:
            with self.subTest(example.name):
                self.assertTrue(ast.get_docstring(ast.parse(example.read_text())), "no docstring")

    def test_each_runs_to_its_end(self) -> None:
        with ThreadPoolExecutor(4) as pool:  # they wait more than they work
            for example, why_not in zip(EXAMPLES, pool.map(trouble, EXAMPLES), strict=True):
                with self.subTest(example.name):
                    self.assertIsNone(why_not)


def trouble(example: Path) -> str | None:
    """What keeps it from running to its end, also once more if it leaves things behind; None: nothing."""
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(2 if example.name in LEAVE_THINGS_BEHIND else 1):
            finished = run_python([example], Path(directory), timeout_seconds=60)
            if finished.returncode or not finished.stdout.strip():
                return finished.stdout or "it shows nothing"
    return None
