"""The log, where there is nowhere left to write."""

import io
import logging
import unittest
from unittest import mock

from litequeue.log import Log


class TestLog(unittest.TestCase):
    def test_a_closed_standard_error_is_nobodys_trouble(self) -> None:
        closed = io.StringIO()
        closed.close()
        logger = logging.Logger("somebody's")
        logger.addHandler(logging.StreamHandler(closed))
        with mock.patch("sys.stderr", closed):
            with self.assertRaises(ValueError):
                logger.error("as Python does it")
            Log(logger).error("%s", "said to nobody")

    def test_the_line_is_the_callers(self) -> None:
        with self.assertLogs("somebody's", "INFO") as logs:
            Log(logging.getLogger("somebody's")).info("%d words", 2)
        self.assertEqual(logs.records[0].getMessage(), "2 words")
        self.assertEqual(logs.records[0].funcName, "test_the_line_is_the_callers")
