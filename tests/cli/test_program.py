"""The program as a whole: help, version, misuse, and how it ends when its reader or its user leaves."""

import contextlib
import io
import os
import sqlite3
import subprocess
import sys
import unittest
from pathlib import Path

import litequeue
from litequeue.__main__ import main
from litequeue.cli.human import seconds, span, when
from litequeue.clock import SECOND
from litequeue.errors import InvalidOption
from litequeue.storage.opening import SCHEMA_VERSION
from tests.cli.case import CommandCase
from tests.repository import CHECKOUT, ROOT, run, run_python

COMMANDS = {
    *("worker", "info", "list", "show", "explain", "enqueue", "cancel", "retry"),
    *("delete", "pause", "resume", "workers", "prune", "demo", "errors", "logs"),
}


class TestProgram(CommandCase):
    def test_without_arguments_it_helps(self) -> None:
        ended = self.cli()
        self.assertEqual((ended.code, ended.out), (2, ""))
        for command in COMMANDS:
            self.assertRegex(ended.err, rf"(?m)^    {command} ")

    def test_every_command_has_help(self) -> None:
        for command in COMMANDS:
            with self.subTest(command), contextlib.redirect_stdout(io.StringIO()) as printed:
                self.assertEqual(self.cli(command, "--help").code, 0)
                self.assertTrue(printed.getvalue().startswith(f"usage: litequeue {command} "))

    def test_version(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self.assertEqual(self.cli("--version").code, 0)
        self.assertEqual(printed.getvalue(), f"litequeue {litequeue.__version__}\n")

    def test_misuse(self) -> None:
        self.open()
        for argv, complaint in (
            (["frob"], "invalid choice: 'frob'"),
            (["info"], "required: FILE; see `litequeue info --help`"),
            (["info", self.file, "--frob"], "unrecognized arguments: --frob"),
            (["info", self.file, "--js"], "unrecognized arguments: --js"),
            (["info", self.file, "another"], "unrecognized arguments: another"),
            (["list", self.file, "--limit", "many"], "invalid int value: 'many'"),
            (["show", self.file], "required: ID"),
            (["worker", self.file, "--threads", "0"], "threads is 0"),
            (["worker", self.file, "--queues", " , "], "queues is empty"),
            (["demo", "--processes", "0"], "--processes is 0"),
            (["demo", "--file", self.file], "exists already"),
        ):
            with self.subTest(argv):
                self.assert_refused(argv, complaint)

    def test_every_reading_command_takes_json(self) -> None:
        self.open()
        self.enqueue()
        for argv in (["info"], ["list"], ["show", "1"], ["explain", "1"], ["workers"]):
            with self.subTest(argv):
                self.assertTrue(self.cli(argv[0], self.file, *argv[1:], "--json").out.isascii())
                self.assertIsNotNone(self.cli(argv[0], self.file, *argv[1:], "--json").json)

    def test_a_damaged_file_is_a_clear_error(self) -> None:
        self.open()
        for _ in range(200):
            self.enqueue()
        self.database.close()
        with open(self.file, "r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 200_000)
        for argv in (["info"], ["list"], ["cancel", "1"]):
            with self.subTest(argv):
                self.assert_refused([argv[0], self.file, *argv[1:]], self.file)

    def test_a_file_of_a_newer_litequeue_is_refused(self) -> None:
        self.open()
        self.database.write(
            lambda c: c.execute("UPDATE litequeue_meta SET value = '99' WHERE key = 'version'")
        )
        for argv in (["info"], ["enqueue", "app:fetch"], ["cancel", "1"]):
            with self.subTest(argv):
                self.assert_refused([argv[0], self.file, *argv[1:]], f"this litequeue knows {SCHEMA_VERSION}")

    def test_tables_of_another_program_are_left_alone(self) -> None:
        with contextlib.closing(sqlite3.connect(self.file)) as connection:
            connection.execute("CREATE TABLE litequeue_job (mine TEXT)")
            connection.commit()
        before = Path(self.file).read_bytes()
        for argv in (["info"], ["enqueue", "app:fetch"], ["cancel", "1"]):
            with self.subTest(argv):
                self.assert_refused([argv[0], self.file, *argv[1:]], "that litequeue did not make")
        self.assertEqual(Path(self.file).read_bytes(), before)

    def test_main_gives_the_exit_code(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()) as printed:
            self.assertEqual(main(["info", self.file]), 2)
        self.assertEqual(printed.getvalue(), f"litequeue: {self.file}: there is no such file\n")


class TestProcess(CommandCase):
    def test_a_reader_that_leaves_is_no_error(self) -> None:
        self.open()
        with subprocess.Popen(
            [sys.executable, "-m", "litequeue", "info", self.file, "--watch", "--every", "0.01"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            self.assertEqual(process.wait(30), 0)
            self.assertEqual(process.stderr.read(), b"")

    @unittest.skipUnless(os.path.exists("/dev/full"), "no device that is always full")
    def test_output_that_can_not_be_written_is_told_in_one_line(self) -> None:
        self.open()
        self.enqueue()
        for argv in ("metrics FILE", "info FILE --watch"):
            with self.subTest(argv):
                ended = self.shell(f"{argv} >/dev/full")
                self.assertEqual(ended.returncode, 2)
                self.assertRegex(ended.stdout, r"\Alitequeue: standard output can not be written: [^\n]*\n\Z")

    @unittest.skipUnless(os.path.exists("/dev/full"), "no device that is always full")
    def test_the_exit_code_is_right_where_nobody_hears_a_complaint(self) -> None:
        self.open()
        for argv, code in (("info none.db", 2), ("worker FILE --burst", 0)):
            with self.subTest(argv):
                ended = self.shell(f"{argv} 2>/dev/full")
                self.assertEqual((ended.returncode, ended.stdout), (code, ""))

    def test_streams_that_were_closed_before_it_began(self) -> None:
        self.open()
        self.enqueue()
        for argv, code, said in (
            ("info FILE >&-", 0, r"\Z"),
            ("info none.db 2>&-", 2, r"\Z"),
            ("import FILE <&-", 2, "litequeue: the input is empty"),
        ):
            with self.subTest(argv):
                ended = self.shell(argv)
                self.assertEqual(ended.returncode, code)
                self.assertRegex(ended.stdout, rf"\A{said}")

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command line as a shell does, which can redirect and close what it is given."""
        command = f"{sys.executable} -m litequeue {line.replace('FILE', self.file)}"
        return run(["sh", "-c", command], self.place, environment=CHECKOUT)

    def test_output_in_a_narrow_encoding(self) -> None:
        self.open()
        self.enqueue("app:süß")
        environment = {**CHECKOUT, "PYTHONIOENCODING": "ascii"}
        command = [sys.executable, "-m", "litequeue", "list", self.file]
        ended = run(command, self.place, environment=environment)
        self.assertIn("app:s\\xfc\\xdf", ended.stdout)

    def test_the_width_may_be_told(self) -> None:
        self.open()
        self.enqueue("app:" + 80 * "a")
        command = [sys.executable, "-m", "litequeue", "list", self.file]
        for columns, longest in (("50", 50), ("", 116)):
            ended = run(command, self.place, environment={**CHECKOUT, "COLUMNS": columns})
            self.assertEqual(max(map(len, ended.stdout.splitlines())), longest)

    def test_it_imports_no_application(self) -> None:
        (self.place / "app.py").write_text("raise SystemExit('imported')")
        for argv in (
            ["enqueue", "jobs.db", "app:fetch"],
            ["show", "jobs.db", "1"],
            ["explain", "jobs.db", "1"],
        ):
            ended = run_python(["-m", "litequeue", *argv], self.place)
            self.assertEqual((ended.returncode, "imported" in ended.stdout), (0, False), ended.stdout)


class TestHuman(CommandCase):
    def test_spans(self) -> None:
        for value, text in (
            (0, "0 s"),
            (1, "1 ms"),
            (999_999, "999 ms"),
            (SECOND, "1 s"),
            (99 * SECOND, "99 s"),
            (100 * SECOND, "2 min"),
            (7199 * SECOND, "2 h"),
            (47 * 3600 * SECOND, "47 h"),
            (48 * 3600 * SECOND, "2 d"),
            (4000 * 86400 * SECOND, "4,000 d"),
        ):
            with self.subTest(value):
                self.assertEqual(span(value), text)

    def test_instants(self) -> None:
        self.assertEqual(
            [when(at * SECOND, 1000 * SECOND) for at in (990, 1000, 1003)], ["10 s ago", "now", "in 3 s"]
        )

    def test_lengths_of_time(self) -> None:
        typed = {"0": 0, "90": 90, "1.5 h": 5400, "2d": 172800, "1W": 604800, "3min": 180, "250s": 250}
        self.assertEqual({text: seconds(text) for text in typed}, typed)
        for text in ("", "soon", "-1", "1y", "1h30", "nan", "inf", "1e9", "\N{FULLWIDTH DIGIT ONE}"):
            with self.subTest(text), self.assertRaises(InvalidOption):
                seconds(text)
