"""Every option and argument of every command, with values that make no sense: an answer, or a refusal.

The commands are asked of the parser itself, so that a new one can not be forgotten.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest import mock

from litequeue.cli.program import make_parser
from tests.cli.case import CommandCase
from tests.hostile.images import make_settled
from tests.hostile.test_terminal import EVIL, stray

VALUES = (
    *("", "\udcff", "\0", EVIL, "'; DROP TABLE litequeue_job; --", "x" * 10_000),
    *("-1", "nan", "9" * 5000, str(2**63), "[" * 100_000, "9" * 30 + "w"),
)
# They serve until they are stopped, or run for minutes.
LEFT_OUT = {"demo", "dashboard"}


def commands() -> dict[str, argparse.ArgumentParser]:
    (subparsers,) = (each for each in make_parser()._actions if isinstance(each, argparse._SubParsersAction))
    return {name: parser for name, parser in subparsers.choices.items() if name not in LEFT_OUT}


class TestEveryCommand(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        Path(self.file).write_bytes(make_settled(self.place).main)

    def test_the_commands_are_found(self) -> None:
        self.assertLessEqual(
            {"list", "show", "enqueue", "cancel", "worker", "schedules", "pause"}, commands().keys()
        )

    @mock.patch("litequeue.cli.work.Worker.run", mock.Mock())
    @mock.patch("litequeue.worker.logs.configure", mock.Mock())
    def test_nonsense_is_refused_in_one_line(self) -> None:
        for name, parser in commands().items():
            for argv in self.lines(name, parser):
                with self.subTest(ascii(argv)[:100]):
                    self.try_line(argv)
        with closing(sqlite3.connect(self.file)) as connection:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])

    def lines(self, name: str, parser: argparse.ArgumentParser) -> Iterator[list[str]]:
        """The command with each value in the place of each of its arguments and options."""
        places = [action for action in parser._actions if not action.option_strings and action.dest != "file"]
        likely = [next(iter(action.choices or ["1"])) for action in places]
        for value in VALUES:
            for place in range(len(places)):
                yield [name, self.file, *likely[:place], value, *likely[place + 1 :]]
            for action in parser._actions:
                if action.option_strings and action.nargs != 0:
                    yield [name, self.file, *likely, f"{action.option_strings[-1]}={value}"]

    def try_line(self, argv: list[str]) -> None:
        began = time.monotonic()
        ended = self.cli(*argv, answer="n\n")
        self.assertIn(ended.code, (0, 1, 2))
        self.assertEqual(stray(ended.out) | stray(ended.err), set())
        if ended.code == 2:
            self.assertRegex(ended.err, r"\A(litequeue: [^\n]*\n)+\Z")
        self.assertLess(time.monotonic() - began, 20)
