"""In memory a queue behaves as on a file: the tests of what users do, once more under `in_memory`."""

from __future__ import annotations

import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

from litequeue import Queue
from litequeue.storage.database import MEMORY, Database
from tests.users import test_hooks, test_rates, test_schedules, test_unique, test_workflow
from tests.users.case import QueueCase

MODULES = (test_hooks, test_rates, test_schedules, test_unique, test_workflow)
# Where it differs: nobody else can open it.
DIFFERENT = {
    "test_of_a_connection_of_yours_nobody_knows_when_it_commits": "a connection of one's own",
    "test_a_row_that_was_damaged_is_paused_and_hurts_no_other": "likewise",
    "test_eight_workers_make_each_job_once": "other processes",
    "test_a_job_of_another_handle_on_the_file": "a file that has two names",
    "test_the_newest_are_those_that_counting_finds": "no file at all, and Hypothesis wants it in one class",
}
ON_FILES = (test_schedules.TestSeveralQueues,)  # its modules declare queues on files of their own


class InMemory(QueueCase):
    """The queues of a test share one file in memory, instead of the one in its folder."""

    def setUp(self) -> None:
        self.database = Database(MEMORY)
        self.addCleanup(self.database.close)
        super().setUp()

    def make_queue(self, name: str = "default", path: str | Path | None = None, **options: Any) -> Queue:
        queue = super().make_queue(name, path, **options)
        if path is None:
            self.enterContext(queue.lying_in(self.database, queue.clock, None))
        return queue


class OfMemory(unittest.TestLoader):
    """Loads what is the same."""

    def getTestCaseNames(self, testCaseClass: type[unittest.TestCase]) -> list[str]:
        return [name for name in super().getTestCaseNames(testCaseClass) if name not in DIFFERENT]


def cases(module: ModuleType) -> list[type[QueueCase]]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, QueueCase)
        and value.__module__ == module.__name__
        and value not in ON_FILES
    ]


def load_tests(_: unittest.TestLoader, tests: unittest.TestSuite, pattern: str | None) -> unittest.TestSuite:
    for module in MODULES:
        for case in cases(module):
            kind = type(f"{case.__name__}InMemory", (InMemory, case), {"__module__": __name__})
            tests.addTest(OfMemory().loadTestsFromTestCase(kind))
    return tests
