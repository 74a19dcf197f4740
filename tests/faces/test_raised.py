"""What a task raised comes back as like to it as the file can tell, and nothing in the file runs code."""

from __future__ import annotations

import os
import pickle
import socket
import ssl
import unittest
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from litequeue import JobFailed
from litequeue.raised import exception_of
from litequeue.worker.execution import failure_of
from tests.faces.things import Colour, Peculiar, Plain, PlainKey

GONE = Path("/nowhere/x -> 'y: z")


class Price(Decimal):
    """A key whose repr is a literal, but another one than of the value that Python reads in it."""

    __repr__ = Decimal.__str__


def stored(error: BaseException) -> JobFailed:
    """What the file tells of it."""
    failure = failure_of(error, "error")
    return JobFailed(1, failure.reason, failure.type, failure.message, failure.traceback)


def raised_by(call: Callable[..., Any], *args: object) -> OSError:
    """What the system says to this."""
    try:
        call(*args)
    except OSError as error:
        return error
    raise AssertionError(f"{call} did not fail")


class TestRaised(unittest.TestCase):
    def back(self, error: BaseException) -> Exception:
        """It as it comes back: of the same class, with the same message."""
        failed = stored(error)
        made = exception_of(failed)
        self.assertIs(type(made), type(error))
        self.assertEqual(str(made), str(error))
        self.assertIs(made.__cause__, failed)
        return made

    def test_the_key_that_was_not_there(self) -> None:
        for key in ("x", "it's", '"', "", 7, 0.5, None, ("a", 1), b"\xff", Path("a/b")):
            for kind in (KeyError, PlainKey):
                with self.subTest(key=key, kind=kind):
                    self.assertEqual(self.back(kind(key)).args, (key,))
        self.assertEqual(self.back(KeyError()).args, ())

    def test_a_key_of_which_only_its_repr_is_known(self) -> None:
        for key in (Colour.RED, Price("1.50"), object(), frozenset(), float("nan")):
            made = self.back(KeyError(key))
            self.assertEqual(made.args, (repr(key),))
            self.assertEqual(str(pickle.loads(pickle.dumps(made))), repr(key))
        long = stored(KeyError("x" * 5000))
        self.assertEqual(str(exception_of(long)), long.message)

    def test_what_the_system_said(self) -> None:
        for error in (
            raised_by(open, "/nowhere/x"),
            raised_by(open, b"/nowhere/x"),
            raised_by(os.stat, GONE),
            raised_by(os.rename, str(GONE), '/nowhere/"'),
            raised_by(os.close, 99_999),
            raised_by(os.listdir, 99_999),
            OSError(5, "it says: 'this' -> that"),
            socket.gaierror(-2, "Name or service not known"),
            BlockingIOError(11, "not now", 7),
        ):
            with self.subTest(repr(error)):
                made = self.back(error)
                assert isinstance(made, OSError)
                for name in ("errno", "strerror", "filename", "filename2"):
                    self.assertEqual(getattr(made, name), getattr(error, name), name)
                self.assertEqual(made.args, error.args[:2])

    def test_words_that_only_look_like_those_of_the_system(self) -> None:
        for error in (
            OSError("no more"),
            OSError("[Errno 2] in words"),
            OSError(),
        ):
            with self.subTest(repr(error)):
                self.assertEqual(self.back(error).args, error.args)
        self.assertEqual(self.back(ssl.SSLError(1, "bad certificate")).args, (None, "bad certificate"))

    def test_one_text_or_nothing_at_all(self) -> None:
        for error in (
            ValueError(),
            AssertionError(),
            Plain("lost"),
            RuntimeError("two\nlines"),
            StopIteration(),
        ):
            with self.subTest(repr(error)):
                self.assertEqual(self.back(error).args, error.args)

    def test_other_arguments_come_as_the_words_they_make(self) -> None:
        self.assertEqual(self.back(ValueError("a", 1)).args, ("('a', 1)",))
        self.assertEqual(self.back(ValueError(7)).args, ("7",))
        self.assertEqual(self.back(KeyError("a", 1)).args, (("a", 1),))
        self.assertIsNone(vars(self.back(ImportError("no", name="x"))).get("name"))

    def test_what_takes_more_or_speaks_otherwise_stays_as_it_is(self) -> None:
        for error in (
            Peculiar(1, "x"),
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
            ExceptionGroup("two", [ValueError()]),
        ):
            failed = stored(error)
            self.assertIs(exception_of(failed), failed)
        self.assertEqual(Peculiar(1, "x").args, ("1 at x",))

    def test_no_name_in_the_file_makes_anything_but_a_plain_exception(self) -> None:
        for name in (
            "SystemExit",
            "KeyboardInterrupt",
            "print",
            "os.system",
            "json.JSONDecodeError",
            "nowhere.X",
        ):
            failed = JobFailed(1, "error", name, "words", "")
            self.assertIs(exception_of(failed), failed)
        for words in ("__import__('os')._exit(3)", "(" * 2000, "{[]: 1}", "PosixPath(3)", "'\\ud800", "\0"):
            made = exception_of(JobFailed(1, "error", "KeyError", words, ""))
            self.assertEqual((made.args, str(made)), ((words,), words))
        for words in (f"[Errno {'9' * 5000}] more digits than Python reads", f"[Errno 2] x: {'9' * 5000}"):
            self.assertEqual(str(exception_of(JobFailed(1, "error", "OSError", words, ""))), words)


if __name__ == "__main__":
    unittest.main()
