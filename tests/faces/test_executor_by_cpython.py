"""CPython's own tests of executors, held against ours. Each deviation is named here, with its reason.

They are in the `test` package, which not every Python brings along.
"""

from __future__ import annotations

import importlib
import unittest
from typing import Any

from litequeue.executor import JobExecutor
from tests.support import folder_for
from tests.worker.case import FileCase

SUITE = "test.test_concurrent_futures"
ROOMS = ("", ".executor", ".test_as_completed", ".test_wait", ".test_shutdown")
MIXINS = ("ExecutorTest", "AsCompletedTests", "WaitTests", "ExecutorShutdownTest")
DEVIATIONS = {
    "test_no_stale_references": "a bound method is refused: no other process could find its object",
    "test_free_reference": "its function returns an object of a class of its own, which can not be stored",
    "test_max_workers_negative": "a ValueError too, but the option is called threads",
    "test_interpreter_shutdown": "a program that ends waits only for what runs; the rest stays in the file",
    "test_submit_after_interpreter_shutdown": "a script that makes its executor by the name of a pool",
    "test_hang_gh83386": "likewise",
}


class Adapter(FileCase):
    """What the mix-ins expect to find: an executor, and a way to make others."""

    worker_count = 5

    def setUp(self) -> None:
        super().setUp()
        self.executor = self.executor_type(self.worker_count)
        self.executor.submit(int).result()  # a pool's threads are at work as soon as it is asked

    def executor_type(self, max_workers: int) -> JobExecutor:
        """An executor on a file of its own."""
        executor = self.make_queue(folder_for(self, in_memory=True) / "jobs.db").executor(threads=max_workers)
        self.addCleanup(executor.shutdown)
        return executor


def mixins() -> dict[str, type]:
    """The published mix-ins, by name; of an old Python they are all in one module."""
    found: dict[str, type] = {}
    for room in ROOMS:
        try:
            module = importlib.import_module(f"{SUITE}{room}")
        except ImportError:
            continue
        found |= {name: vars(module)[name] for name in MIXINS if name in vars(module)}
    return found


def held_against_ours(mixin: type) -> type[unittest.TestCase]:
    """The tests of a mix-in, run on our executor; those that we deviate from are skipped."""
    skipped = {
        name: unittest.skip(why)(lambda self: None)
        for name, why in DEVIATIONS.items()
        if hasattr(mixin, name)
    }
    body: dict[str, Any] = {"__module__": __name__, **skipped}
    return type(f"Published{mixin.__name__}", (mixin, Adapter), body)


def load_tests(loader: unittest.TestLoader, _: object, __: object) -> unittest.TestSuite:
    """The published tests, and one that says so where there are none."""
    published = [held_against_ours(mixin) for mixin in mixins().values()]
    suite = unittest.TestSuite(loader.loadTestsFromTestCase(each) for each in published)
    suite.addTest(TestThatItIsThere("test_all_mixins_are_there"))
    return suite


class TestThatItIsThere(unittest.TestCase):
    def test_all_mixins_are_there(self) -> None:
        found = mixins()
        if not found:
            self.skipTest(f"this Python has no {SUITE}")
        self.assertEqual(set(found), set(MIXINS))
        for name in DEVIATIONS:
            self.assertTrue(any(hasattr(mixin, name) for mixin in found.values()), name)


if __name__ == "__main__":
    unittest.main()
