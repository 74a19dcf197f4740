"""The place of a failure: the innermost frame of what was raised, short enough to be the same everywhere."""

from __future__ import annotations

import traceback
import unittest
from collections.abc import Callable

from litequeue.storage.places import place_of

HERE = "storage/test_places.py"


def text_of(function: Callable[[], None]) -> str:
    """The traceback of what the function raises."""
    try:
        function()
    except Exception:
        return traceback.format_exc()
    raise AssertionError("it raised nothing")


def inner() -> None:
    """Where all of them fail."""
    raise OSError("no route")


def outer() -> None:
    inner()


def chained() -> None:
    try:
        inner()
    except OSError as error:
        raise ValueError("chained") from error


def grouped() -> None:
    found = []
    for function in (inner, chained):
        try:
            function()
        except Exception as error:
            found.append(error)
    raise ExceptionGroup("grouped", found)


class TestPlaces(unittest.TestCase):
    def assert_in(self, function: Callable[[], None], where: Callable[[], None], line: int) -> None:
        """It failed on that line of the function `where`, counted from its `def`."""
        expected = f"{HERE}:{where.__code__.co_firstlineno + line}"
        self.assertEqual(place_of(text_of(function)), expected)

    def test_the_innermost_frame(self) -> None:
        self.assert_in(outer, inner, 2)

    def test_of_the_exception_that_was_raised_last(self) -> None:
        self.assert_in(chained, chained, 4)

    def test_of_a_group_itself_and_not_of_what_it_holds(self) -> None:
        self.assert_in(grouped, grouped, 7)

    def test_a_path_of_any_system(self) -> None:
        for path, place in (
            ("C:\\shop\\app.py", "shop/app.py"),
            ("app.py", "app.py"),
            ("<string>", "<string>"),
        ):
            self.assertEqual(place_of(f'  File "{path}", line 3, in <module>\n'), f"{place}:3")

    def test_there_may_be_none(self) -> None:
        for text in ("", "OSError: no route", 'File "x", line 3', '  File "x\n", line 3'):
            self.assertEqual(place_of(text), "")

    def test_a_long_name_is_cut(self) -> None:
        self.assertLess(len(place_of(f'  File "{"x" * 5000}", line 3, in y')), 210)


if __name__ == "__main__":
    unittest.main()
