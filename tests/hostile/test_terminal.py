"""Stored text that would act on a terminal, break a line of the log, or pass for another line."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from litequeue.cli.terminal import CODES
from litequeue.storage.opening import schema_parts
from litequeue.worker.logs import JsonFormatter, TextFormatter
from tests.cli.case import CommandCase, Ended
from tests.hostile.images import JOBS, make_settled
from tests.repository import run_python

FORGED = "2030-05-01 12:00:00,000 INFO    [1] complete job=1 task=app:forged"
EVIL = f"\x1b]0;owned\x07\x9b31m\x1b[2J\u202egnp\u2066\r\n{FORGED}\u2028\x85\ud800\0\x7f\u200b\ufeffend"
STORED = EVIL.replace("\ud800", "")  # which SQLite takes from nobody
COLOURS = re.compile("|".join(re.escape(f"\x1b[{code}m") for code in ("0", *CODES.values())))
TABLES = ("job", "blob", "failure", "log", "queue", "worker")
APP = """
import litequeue
queue = litequeue.Queue("jobs.db")
EVIL = {evil!a}

@queue.task(retry=1)
def stumble(words=""):
    raise ValueError(EVIL)

@queue.task(name="stuck", timeout=0.05)
def stuck(): ...

class Evil(Exception):
    def __str__(self): return EVIL
Evil.__qualname__ = EVIL

@queue.task(retry=litequeue.Retry(2, base=0))
def bear_a_name():
    raise Evil

@queue.task
def tell(words):
    job = litequeue.current_job()
    job.progress(0.5, EVIL)
    job.log(EVIL)
    job.meta["words"] = EVIL.replace("\\ud800", "")
    raise litequeue.Reject(EVIL)
"""


def stray(text: str) -> set[str]:
    """The characters that a terminal would obey."""
    return {character for character in text if not character.isprintable()} - {"\n"}


class TestCommands(CommandCase):
    """Every text in every table is evil, and every command has to print it."""

    def setUp(self) -> None:
        super().setUp()
        self.file = str(self.place / f"{STORED[:9]}\n{FORGED}.db")
        Path(self.file).write_bytes(make_settled(self.place).main)
        self.evil_columns = self.poison()

    def poison(self) -> set[str]:
        """Write it wherever the schema takes it; the columns it came to."""
        reached = set()
        with closing(sqlite3.connect(self.file)) as connection, connection:
            for table in TABLES:
                for _, column, kind, *_ in connection.execute(
                    f"PRAGMA table_info(litequeue_{table})"
                ).fetchall():
                    if kind in ("TEXT", "ANY"):
                        reached |= {f"{table}.{column}"} if self.write(connection, table, column) else set()
        return reached

    def write(self, connection: sqlite3.Connection, table: str, column: str) -> bool:
        """In one row of four as JSON, in the others as it is."""
        name, listed = f"litequeue_{table}", json.dumps([STORED, {STORED: STORED}])
        try:
            connection.execute(
                f"UPDATE OR REPLACE {name} SET {column} = ? WHERE {column} IS NOT NULL", (STORED,)
            )
        except sqlite3.IntegrityError:
            return False
        if table == "job" and column != "codec":
            connection.execute(f"UPDATE OR IGNORE {name} SET {column} = ? WHERE id % 4 = 0", (listed,))
        if column in ("codec", "result_codec"):
            connection.execute(
                f"UPDATE {name} SET {column} = 'json' WHERE {column} IS NOT NULL AND id % 2 = 0"
            )
        return True

    def test_every_text_is_evil(self) -> None:
        rest = {"job.state", "job.reason", "job.ack", "blob.kind"}
        texts = {
            f"{table}.{column}"
            for table in TABLES
            for column in re.findall(
                r"^  (\w+) +(?:TEXT|ANY)", schema_parts()[f"litequeue_{table}"], re.MULTILINE
            )
        }
        self.assertEqual(self.evil_columns, texts - rest)

    def test_what_is_printed_is_harmless(self) -> None:
        commands = [["info"], ["list", "--limit", "50"], ["workers"], ["errors"], ["logs"]]
        commands += [[verb, str(id)] for verb in ("show", "explain") for id in range(1, JOBS + 1)]
        for argv in commands:
            for how in ({}, {"width": 60}, {"width": 200, "is_terminal": True, "color": True}):
                with self.subTest(argv=argv, how=how):
                    ended = self.run_command(*argv, **how)
                    self.assertTrue("owned" in ended.out or argv[0] == "explain" or how.get("width") == 60)

    def test_json_is_one_line_of_ascii(self) -> None:
        for argv in (
            ["info"],
            ["list"],
            ["workers"],
            ["errors"],
            *([verb, "4"] for verb in ("show", "explain")),
        ):
            with self.subTest(argv=argv):
                ended = self.run_command(*argv, "--json")
                self.assertTrue(ended.out.isascii() and ended.out.count("\n") == 1, ended.out)
                self.assertIn("owned", str(texts_in(ended.json)))

    def test_what_is_changed_is_told_harmlessly(self) -> None:
        for argv in (
            *(
                ["cancel", "1", "2", "20"],
                ["retry", "--all", "--yes"],
                ["delete", "--queue", STORED, "--yes"],
                ["prune"],
            ),
            *(
                ["cancel", "999"],
                ["pause", EVIL],
                ["pause", "mail"],
                ["resume", "mail"],
                ["enqueue", "app:x", EVIL],
            ),
            *(
                ["list", "--state", EVIL],
                ["list", "--task", EVIL],
                ["list", "--older-than", EVIL],
                ["show", EVIL],
            ),
            *(
                ["enqueue", EVIL],
                ["enqueue", "app:f", "--args", f"[{EVIL}"],
                ["enqueue", "app:f", "--run-at", EVIL],
            ),
            *(
                ["enqueue", "app:f", "--delay", EVIL],
                ["enqueue", "app:f", "--priority", EVIL],
                ["info", f"--{EVIL}"],
            ),
            *(["worker", "--queues", EVIL], ["worker", "--grace", EVIL], ["worker", "--threads", EVIL]),
        ):
            with self.subTest(argv=ascii(argv)):
                self.run_command(*argv)

    def test_so_are_complaints_about_files(self) -> None:
        for path in (f"{self.file}-no", str(self.place / STORED[:8] / "x.db"), str(self.place), "x\0y"):
            ended = self.cli("info", path)
            self.assertEqual((ended.code, stray(ended.err), ended.err.count("\n")), (2, set(), 1))
        self.assertEqual(stray(self.cli(EVIL, self.file).err), set())
        Path(self.file).write_bytes(b"no database" * 1000)
        self.run_command("list")

    def run_command(self, *argv: str, **how: Any) -> Ended:
        ended = self.cli(argv[0], self.file, *argv[1:], **how)
        out = COLOURS.sub("", ended.out) if how.get("color") else ended.out
        self.assertEqual(stray(out) | stray(ended.err.replace("\r", "").replace("\x1b[K", "")), set())
        self.assertNotIn(f"\n{FORGED[:20]}", out + ended.err)
        return ended


def texts_in(value: Any) -> list[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts_in(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts_in(part)]
    return [value] if isinstance(value, str) else []


class TestLogs(CommandCase):
    LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING|ERROR) +\[\d+\] \S")

    def record(self, message: str, *args: object, **more: Any) -> logging.LogRecord:
        return logging.LogRecord("litequeue", logging.ERROR, "", 0, message, args, more.get("exc_info"))

    def test_a_text_line_begins_as_ours_do_or_is_set_in(self) -> None:
        try:
            raise ValueError(EVIL)
        except ValueError as error:
            info = (type(error), error, error.__traceback__)
        for record in (self.record("fail %s", EVIL), self.record(EVIL), self.record("x", exc_info=info)):
            text = TextFormatter().format(record)
            self.assertEqual(stray(text), set())
            first, *more = text.split("\n")
            self.assertRegex(first, self.LINE)
            self.assertTrue(all(line.startswith("    ") for line in more), more)
            line = JsonFormatter().format(record)
            self.assertTrue(line.isascii() and "\n" not in line)
            self.assertIn("owned" if record.args else "", str(texts_in(json.loads(line))))

    def work(self, *options: str) -> list[str]:
        """The lines of a worker that meets tasks and rows which try to write into its log."""
        (self.place / "app.py").write_text(APP.format(evil=EVIL))
        self.open()
        for task in ("stumble", "bear_a_name", "tell"):
            self.enqueue(
                f"app:{task}", payload=json.dumps([[STORED], {}]) if task != "bear_a_name" else "[[],{}]"
            )
        self.enqueue("app:stumble", payload=json.dumps([[], {STORED: 1}]))
        self.enqueue("app:stumble", payload=json.dumps([[{"$datetime": [STORED, 0]}], {}]))
        self.enqueue("app:stumble", payload=STORED)
        self.enqueue("app:stumble", options=json.dumps({STORED: 1}), tags=STORED, meta=STORED)
        self.enqueue(f"app:{STORED}")
        self.enqueue(STORED)
        ended = run_python(["-m", "litequeue", "worker", "jobs.db", "--burst", *options], self.place)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        self.assertGreaterEqual(ended.stdout.count("fail job="), 8)
        return ended.stdout.splitlines()

    def test_a_workers_lines_are_its_own(self) -> None:
        for line in self.work():
            self.assertRegex(line, self.LINE)
            self.assertEqual(stray(line), set())
            self.assertNotRegex(line, r"\A.{,45}\] complete")

    def test_a_workers_json_is_one_object_a_line(self) -> None:
        for line in map(json.loads, self.work("--log-json")):
            self.assertNotRegex(line["message"], r"\n|\Acomplete")
