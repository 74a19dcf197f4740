"""Rows edited by hand into nonsense: each column, with every value that SQLite lets through."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from litequeue import State
from litequeue.storage.opening import schema_parts
from tests.hostile.exam import examine
from tests.hostile.images import Image, make_settled
from tests.support import folder_for
from tests.worker.case import FileCase, QuietCase

EVIL = "\x1b]0;owned\x07\x9b31m\u202egnp\r\n2030-05-01 INFO forged\u2028"
DEEP = 100_000
VALUES: tuple[object, ...] = (
    *(None, -1, 0, 1, 2**63 - 1, -(2**63), 10**15),
    *(-0.0, 1.5, 9e999, -9e999),
    *(b"", b"\xff\x00", b"[[],{}]"),
    *(
        "",
        "\0",
        EVIL,
        "x" * 10_000,
        "👩\u200d🚀 \u0645\u0631\u062d\u0628\u0627",
        "'; DROP TABLE litequeue_job; --",
    ),
)
JSON: tuple[object, ...] = (
    *("null", "5", "[", "[1,", '"\\ud800"', "NaN", "[NaN]", "1e999", '{"a":1e999}', "9" * 5000, "[" * DEEP),
    *('{"a":' * 3000 + "1" + "}" * 3000, "[" * 900 + "]" * 900, '["a",5,null,{"b":[]}]', "[[],[]]", "[5,{}]"),
    *('{"$tuple":[1]}', '{"$dataclass":["os:system",{}]}', '[[],{"":1}]', '[[{"$Path":5}],{}]'),
    *('{"timeout":"x"}', '{"timeout":-5}', f'{{"timeout":{10**400}}}', '{"timeout":{}}', '{"isolate":1}'),
    *('{"retry":[]}', '{"retry":{"max_attempts":"x"}}', '{"retry":{"max_attempts":null}}', '{"queue":5}'),
    *('{"retry":{"on":["os:system"]}}', '{"retry":{"base":1e308}}', '{"retry":{"on":' + "[" * DEEP),
)
JSON_COLUMNS = {"payload", "result", "body", "tags", "meta", "options", "queues", "value"}
# Bytes that are no UTF-8 in a column of texts, which no parameter could bring there.
NO_TEXT = "CAST(x'5b22ff225d' AS TEXT)"


def nonsense(column: str) -> tuple[object, ...]:
    """What to put there: JSON only where JSON is read."""
    return (NO_TEXT, *VALUES, *(JSON if column in JSON_COLUMNS else ()))


def edit(path: Path, table: str, column: str, value: object, place: int) -> bool:
    """Put the value into the column of some row; False where SQLite does not let it through."""
    row = f"SELECT {column} FROM {table} LIMIT 1 OFFSET {place} % (SELECT count(*) FROM {table})"
    marked = f"UPDATE {table} SET {column} = ? WHERE {column} IS ({row})"
    with closing(sqlite3.connect(path)) as connection:
        try:
            if value is NO_TEXT:
                connection.execute(marked.replace("?", NO_TEXT))
            else:
                connection.execute(marked, (value,))
        except sqlite3.Error:
            return False
        connection.commit()
    return True


def tables(path: Path) -> list[str]:
    """Ours that have rows."""
    names = [name for name in schema_parts() if " TABLE " in schema_parts()[name][:14]]
    with closing(sqlite3.connect(path)) as connection:
        return [name for name in names if connection.execute(f"SELECT 1 FROM {name}").fetchone()]


def columns(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[1] for row in connection.execute(f"PRAGMA table_info({table})").fetchall()]


class TestEveryColumn(QuietCase):
    """Every command, every attribute of a job and every verb of a worker is tried on each such file."""

    image: Image

    @classmethod
    def setUpClass(cls) -> None:
        with tempfile.TemporaryDirectory() as folder:
            cls.image = make_settled(Path(folder))

    def setUp(self) -> None:
        super().setUp()
        self.path = folder_for(self, in_memory=True) / "jobs.db"

    def edits(self, table: str) -> Iterator[str]:
        """The file, edited in one place after the other; each time by what stands where."""
        for column in columns(self.path, table):
            for place, value in enumerate(nonsense(column)):
                for suffix in ("-shm", "-lock"):
                    Path(f"{self.path}{suffix}").unlink(missing_ok=True)
                self.image.write(self.path)
                if edit(self.path, table, column, value, place + len(column)):
                    yield f"{table}.{column} = {value!r:.60}"

    def test_whatever_stands_in_a_row_the_answer_is_right_or_an_error_of_ours(self) -> None:
        self.image.write(self.path)
        tried = 0
        for table in tables(self.path):
            for what in self.edits(table):
                tried += 1
                found = examine(self.path, tried)
                if found:
                    with self.subTest(what):
                        self.fail("\n".join(found))
        self.assertGreater(tried, 400)


class TestWorkers(FileCase):
    """A worker meets them: each ends or waits by itself, and every good job runs."""

    def test_jobs_of_nonsense_keep_no_other_from_running(self) -> None:
        self.queue.task(name="app:task")(lambda *args, **kwargs: None)
        tried = 0
        for column in columns(self.path_of_a_queue(), "litequeue_job"):
            values = nonsense(column)
            bad = [self.queue.enqueue("app:task") for _ in values]
            good = self.queue.enqueue("app:task", 1)
            for job, value in zip(bad, values, strict=True):
                tried += self.edit(job.id, column, value)
            with self.subTest(column):
                self.burst()
                self.assertEqual(good.refresh().state, State.COMPLETED)
            self.change("DELETE FROM litequeue_job")
        self.assertGreater(tried, 300)

    def path_of_a_queue(self) -> Path:
        self.queue.counts()
        return self.path

    def edit(self, id: int, column: str, value: object) -> bool:
        mark, values = ("?", [value, id]) if value is not NO_TEXT else (NO_TEXT, [id])
        with closing(sqlite3.connect(self.path)) as connection:
            try:
                connection.execute(f"UPDATE litequeue_job SET {column} = {mark} WHERE id = ?", values)
            except (sqlite3.Error, OverflowError):
                return False
            connection.commit()
        return True
