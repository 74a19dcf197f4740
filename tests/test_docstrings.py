"""What the docstrings show is true, and every public name has one that opens with a plain sentence."""

import doctest
import importlib
import importlib.util
import inspect
import os
import pkgutil
import tempfile
import unittest
from types import ModuleType

import litequeue


def modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(litequeue.__path__, "litequeue.")
    names = [module.name for module in found if not module.name.endswith("__main__")]
    if importlib.util.find_spec("django") is None:
        names = [name for name in names if not name.startswith("litequeue.contrib.django")]
    return [litequeue, *map(importlib.import_module, names)]


class EmptyDirectory:
    """A docstring that names a file writes it where nothing else is."""

    def enter(self, test: doctest.DocTest) -> None:
        self.before = os.getcwd()
        self.directory = tempfile.TemporaryDirectory()
        os.chdir(self.directory.name)

    def leave(self, test: doctest.DocTest) -> None:
        os.chdir(self.before)
        self.directory.cleanup()


def load_tests(
    loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: str | None
) -> unittest.TestSuite:
    for module in modules():
        place = EmptyDirectory()
        tests.addTest(doctest.DocTestSuite(module, setUp=place.enter, tearDown=place.leave))
    return tests


class TestDocstrings(unittest.TestCase):
    def test_some_are_examples(self) -> None:
        examples = [
            test for module in modules() for test in doctest.DocTestFinder().find(module) if test.examples
        ]
        self.assertTrue(examples, "no docstring holds an example, so the doctests prove nothing")

    def test_public_names_open_with_a_sentence(self) -> None:
        for name in litequeue.__all__:
            value = getattr(litequeue, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                with self.subTest(name):
                    opening = (inspect.getdoc(value) or "").partition("\n\n")[0]
                    self.assertRegex(opening, r"(?s)^[A-Z`].*[.:]$")

    def test_modules_say_what_they_are_for(self) -> None:
        for module in modules():
            with self.subTest(module.__name__):
                self.assertTrue(module.__doc__, "no docstring")
