"""Every command that reads: on a live file, on a copy of it, and where nothing may be written."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from litequeue.job import Complete, Fail, Failure, Note
from tests.cli.case import HOUR, TRACEBACK, CommandCase
from tests.repository import ROOT
from tests.support import PATIENCE_SECONDS

# What it prints where there is something to read, without its file; and its exit code.
COMMANDS = (
    ["info"],
    ["list"],
    ["show", "2"],
    ["explain", "2"],
    ["errors"],
    ["logs"],
    ["logs", "1"],
    ["workers"],
    ["schedules"],
    ["schedules", "next", "poll"],
    ["limit", "default"],
)

# The library is loaded first, for that user may not be allowed to read it.
AS_NOBODY = """
import json, os, sys
from litequeue.cli.program import run
from litequeue.cli.terminal import system_terminal
system_terminal().clock.boot()
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for argv in json.loads(sys.argv[2]):
    print("exit", run([argv[0], sys.argv[1], *argv[1:]], system_terminal()))
"""


class TestReading(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()
        self.cli("schedules", self.file, "add", "poll", "app:poll", "--every", "1h")
        worker = self.sign_on()
        for _ in range(3):
            self.enqueue()
        first = self.claim(worker)
        self.store.note(Note(first.lease, 0.5, "half", logs=((self.clock.at, "begun"),)))
        self.store.settle(Complete(first.lease))
        self.store.settle(Fail(self.claim(worker).lease, Failure("error", "OSError", "no route", TRACEBACK)))

    def said(self, file: str) -> dict[str, tuple[str, int]]:
        """What each command says of the file, for people and for programs."""
        said = {}
        for argv in COMMANDS:
            for extra in ([], ["--json"]):
                ended = self.cli(argv[0], file, *argv[1:], *extra)
                self.assertEqual(ended.err, "", argv)
                said[" ".join([*argv, *extra])] = ended.out.replace(file, "FILE"), ended.code
        return said

    def test_json_is_json(self) -> None:
        for command, (out, _) in self.said(self.file).items():
            for line in out.splitlines() if command.endswith("--json") else ():
                with self.subTest(command):
                    json.loads(line)

    def test_a_copy_says_the_same(self) -> None:
        copy = str(self.place / "copy.db")
        with closing(sqlite3.connect(self.file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        before = Path(copy).read_bytes()
        self.clock.pass_time(HOUR)
        live, copied = self.said(self.file), self.said(copy)
        for command in live:
            self.assertEqual(copied[command], live[command])
        self.assertEqual(Path(copy).read_bytes(), before)

    def test_nothing_is_written(self) -> None:
        self.database.close()
        place = self.place / "shut"
        place.mkdir()
        file = shutil.copy(self.file, place)
        before = Path(file).read_bytes()
        os.chmod(file, 0o444)
        os.chmod(place, 0o555)
        self.addCleanup(os.chmod, place, 0o755)
        os.chmod(self.place, 0o755)
        ended = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, file, json.dumps(COMMANDS)],
            cwd=ROOT,
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        self.assertEqual(ended.stderr.count("is read without locks"), len(COMMANDS), ended.stderr)
        self.assertEqual(ended.stdout.count("exit 0\n"), len(COMMANDS) - 1, ended.stdout)
        self.assertEqual([path.name for path in place.iterdir()], ["jobs.db"])
        self.assertEqual(Path(file).read_bytes(), before)


class TestWatched(CommandCase):
    """In a terminal of its own, as a person runs it."""

    def test_ctrl_c_ends_it_and_leaves_the_terminal_as_it_was(self) -> None:
        self.open()
        self.database.close()
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(ROOT)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # who runs in the background has it ignored
            os.execv(
                sys.executable,
                [sys.executable, "-m", "litequeue", "info", self.file, "--watch", "--every", "0.05"],
            )
        self.addCleanup(os.close, terminal)
        shown = self.read_until(terminal, b"\x1b[J\x1b[H")  # two frames
        os.write(terminal, b"\x03")
        shown += self.read_until(terminal, b"\x1b[?7h\x1b[?25h")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertNotIn(b"Traceback", shown)
        self.assertTrue(shown.startswith(b"\x1b[?25l"), shown[:50])

    def read_until(self, terminal: int, end: bytes) -> bytes:
        """What the terminal shows up to this."""
        shown = b""
        while end not in shown:
            ready, _, _ = select.select([terminal], [], [], PATIENCE_SECONDS)
            self.assertTrue(ready, shown)
            shown += os.read(terminal, 65536)
        return shown
