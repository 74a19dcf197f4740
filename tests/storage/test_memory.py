"""The contract of the store holds in memory as it does on a file: the same tests, against `:memory:`."""

from __future__ import annotations

import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

from litequeue.storage.checks import broken
from litequeue.storage.database import MEMORY, Database
from litequeue.testing import HandClock
from tests.storage import test_contract, test_steps, test_unique
from tests.storage.engines import ContractCase, Engine, sqlite_engine

MODULES = (test_contract, test_steps, test_unique)


class InMemory(ContractCase):
    """The same words, said to a store in memory."""

    def make_engine(self) -> Engine:
        engine = sqlite_engine(Path(MEMORY), HandClock())
        self.addCleanup(engine.store.database.close)
        return engine

    def look(self, query: str, *values: object) -> list[Any]:
        return self.store.database.read(lambda connection: connection.execute(query, values).fetchall())

    def assert_sound(self, database: Database) -> None:
        self.assertEqual(database.read(broken), [])


def cases(module: ModuleType) -> list[type[ContractCase]]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ContractCase) and value.__module__ == module.__name__
    ]


def load_tests(
    loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: str | None
) -> unittest.TestSuite:
    for module in MODULES:
        for case in cases(module):
            kind = type(f"{case.__name__}InMemory", (InMemory, case), {"__module__": __name__})
            tests.addTest(loader.loadTestsFromTestCase(kind))
    return tests
