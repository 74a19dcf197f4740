"""Errors: one base, a builtin kin that people already catch, and messages that carry what happened."""

import copy
import inspect
import pickle
import unittest

import litequeue
from litequeue import errors
from litequeue.errors import JobCancelled, JobFailed, LiteQueueError

TRACEBACK = 'Traceback (most recent call last):\n  File "app.py", line 3, in fetch\nOSError: gone'
ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


class TestErrors(unittest.TestCase):
    def test_all_derive_from_one(self) -> None:
        self.assertGreater(len(ALL), 20)
        for kind in ALL:
            with self.subTest(kind.__name__):
                self.assertTrue(issubclass(kind, LiteQueueError))

    def test_all_say_what_they_mean(self) -> None:
        for kind in ALL:
            with self.subTest(kind.__name__):
                self.assertRegex(inspect.getdoc(kind) or "", r"^[A-Z].*\.")

    def test_those_a_caller_meets_are_caught_by_their_builtin_kin(self) -> None:
        for kind, kin in (
            (errors.InvalidOption, ValueError),
            (errors.InvalidTask, TypeError),
            (errors.BadArguments, TypeError),
            (errors.EncodingError, ValueError),
            (errors.PayloadTooLarge, errors.EncodingError),
            (errors.JobNotFound, LookupError),
        ):
            with self.subTest(kind.__name__):
                self.assertTrue(issubclass(kind, kin))

    def test_those_of_the_file_are_database_errors(self) -> None:
        for kind in (
            errors.NotADatabase,
            errors.ReadOnly,
            errors.DiskFull,
            errors.FileReplaced,
            errors.SchemaTooNew,
        ):
            with self.subTest(kind.__name__):
                self.assertTrue(issubclass(kind, errors.DatabaseError))

    def test_the_base_is_public(self) -> None:
        self.assertIs(litequeue.LiteQueueError, LiteQueueError)


class TestJobFailed(unittest.TestCase):
    def setUp(self) -> None:
        self.error = JobFailed(7, "error", "OSError", "gone", TRACEBACK)

    def test_it_shows_the_remote_traceback(self) -> None:
        headline, _, rest = str(self.error).partition("\n")
        self.assertEqual(headline, "job 7 failed (error): OSError: gone")
        self.assertIn(TRACEBACK, rest)
        self.assertIn("Remote traceback", rest)

    def test_it_carries_the_parts(self) -> None:
        found = (self.error.job_id, self.error.reason, self.error.error_type, self.error.message)
        self.assertEqual(found, (7, "error", "OSError", "gone"))
        self.assertEqual(self.error.traceback, TRACEBACK)

    def test_without_a_traceback_or_an_error_type_it_is_one_line(self) -> None:
        self.assertEqual(str(JobFailed(7, "crashed", "", "", "")), "job 7 failed (crashed)")
        self.assertEqual(
            str(JobFailed(7, "timeout", "TaskTimeout", "", "")), "job 7 failed (timeout): TaskTimeout"
        )

    def test_it_survives_the_way_between_processes(self) -> None:
        for again in (pickle.loads(pickle.dumps(self.error)), copy.copy(self.error)):
            self.assertEqual((str(again), vars(again)), (str(self.error), vars(self.error)))


class TestJobCancelled(unittest.TestCase):
    def test_it_says_why(self) -> None:
        self.assertEqual(str(JobCancelled(7, "expired")), "job 7 was cancelled (expired) and has no result")

    def test_it_survives_the_way_between_processes(self) -> None:
        error = JobCancelled(7, "expired")
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((str(again), vars(again)), (str(error), vars(error)))
