"""Files whose schema somebody has written to deceive or to trap us: refused, or harmless."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from litequeue import DatabaseError
from litequeue.errors import DatabaseDamaged, ForeignTables
from litequeue.storage import opening
from litequeue.storage.database import Database
from tests.storage.files import FileCase

ENDLESS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
META = "CREATE TABLE litequeue_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID"
VERSION = "INSERT INTO litequeue_meta VALUES ('version', '1')"
# Instead of ours, under our name; each with what makes it look like ours to somebody who looks less closely.
DECEITS: dict[str, tuple[str, ...]] = {
    "a view as the version": ("CREATE VIEW litequeue_meta AS SELECT 'version' AS key, '1' AS value",),
    "a view that never ends": (
        f"CREATE VIEW litequeue_meta AS SELECT 'version' AS key, ({ENDLESS}) AS value",
    ),
    "a table of other kinds": ("CREATE TABLE litequeue_meta (key, value)", VERSION),
    "a generated version": (
        "CREATE TABLE litequeue_meta (key TEXT PRIMARY KEY, value TEXT AS (upper(key)) VIRTUAL)",
    ),
    "the version alone": (META, VERSION),
    "a view as the jobs": (META, VERSION, f"CREATE VIEW litequeue_job AS SELECT ({ENDLESS}) AS id"),
    "a virtual table": ("CREATE VIRTUAL TABLE litequeue_meta USING fts5(key, value)",),
    "a name in capitals": (META.replace("_meta", "_META"), VERSION),
    "a comment": (f"CREATE TABLE litequeue_meta (x /* {META[12:].replace('/*', '')} */)",),
}
# What is done to a file that was ours.
CHANGES: dict[str, str] = {
    "a missing index": "DROP INDEX litequeue_ready",
    "a missing view": "DROP VIEW litequeue_jobs",
    "a missing trigger": "DROP TRIGGER litequeue_job_deleted",
    "a missing table": "DROP TABLE litequeue_log",
    "a renamed column": "ALTER TABLE litequeue_job RENAME COLUMN priority TO urgency",
    "a missing column": "DROP VIEW litequeue_jobs; ALTER TABLE litequeue_job DROP COLUMN progress",
    "another trigger": "DROP TRIGGER litequeue_job_deleted; CREATE TRIGGER litequeue_job_deleted "
    "AFTER DELETE ON litequeue_job BEGIN DELETE FROM litequeue_worker; END",
    "another view": f"DROP VIEW litequeue_jobs; CREATE VIEW litequeue_jobs AS {ENDLESS}",
    "another index": "DROP INDEX litequeue_final; CREATE INDEX litequeue_final ON litequeue_job (task)",
    "a table of any kinds": "DROP TABLE litequeue_queue; CREATE TABLE litequeue_queue (name, paused_at)",
    "a table that says nothing": "PRAGMA writable_schema = ON; "
    "UPDATE sqlite_schema SET sql = 'CREATE TABLE litequeue_log (x)' WHERE name = 'litequeue_log'",
    "a version of another kind": "UPDATE litequeue_meta SET value = '01' WHERE key = 'version'",
    "no version": "DELETE FROM litequeue_meta",
}
# What an application may do in its own file, beside what is ours and to it.
ALLOWED = (
    "CREATE TABLE orders (id INTEGER PRIMARY KEY)",
    "CREATE INDEX by_task ON litequeue_job (task)",
    "CREATE VIEW late AS SELECT * FROM litequeue_job WHERE run_at < 5",
    "CREATE TRIGGER noted AFTER UPDATE ON litequeue_job BEGIN INSERT INTO orders VALUES (NULL); END",
    "ALTER TABLE litequeue_job ADD COLUMN colour TEXT",
    "ALTER TABLE litequeue_job ADD COLUMN loud TEXT AS (upper(task)) VIRTUAL",
    "CREATE TABLE litequeue_mine (x)",
    "CREATE TABLE litequeue_job2 (id INTEGER PRIMARY KEY, task TEXT)",
    "ANALYZE",
    "VACUUM",
)


def change(path: Path, statements: Sequence[str]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(";\n".join(statements))


class TestDeceits(FileCase):
    def assert_refused(self) -> None:
        for read_only in (False, True):
            before = self.path.read_bytes()
            with self.assertRaises((ForeignTables, DatabaseDamaged)) as caught:
                Database(str(self.path), read_only=read_only)
            self.assertIn(str(self.path), str(caught.exception))
            self.assertEqual(self.path.read_bytes(), before)

    def test_what_only_looks_like_ours_is_refused_and_not_run(self) -> None:
        for name, statements in DECEITS.items():
            with self.subTest(name):
                self.path.unlink(missing_ok=True)
                change(self.path, statements)
                self.assert_refused()

    def test_what_was_ours_and_is_no_longer_is_refused(self) -> None:
        for name, statements in CHANGES.items():
            with self.subTest(name):
                for file in self.folder.iterdir():
                    file.unlink()
                self.open().close()
                change(self.path, [statements])
                self.assert_refused()

    def test_what_an_application_does_in_its_own_file_is_its_own_affair(self) -> None:
        self.enqueue(self.store())
        for number, statement in enumerate(ALLOWED):
            with self.subTest(statement):
                change(self.path, [statement])
                store = self.store()
                self.enqueue(store)
                self.assertEqual(len(self.stored_ids(store.database)), number + 2)
                store.database.close()

    def test_no_schema_can_call_what_reaches_beyond_the_file(self) -> None:
        """SQLite itself refuses such functions in a schema that is not trusted."""
        change(self.path, [*opening.statements(opening.schema_text())])
        database = self.open()
        for call in (
            "load_extension('x')",
            "fts3_tokenizer('simple')",
            "readfile('/etc/passwd')",
            "writefile('x', 1)",
        ):
            change(
                self.path,
                [
                    "DROP TRIGGER IF EXISTS reach",
                    f"CREATE TRIGGER reach AFTER INSERT ON litequeue_job BEGIN SELECT {call}; END",
                ],
            )
            with self.assertRaisesRegex(DatabaseError, "unsafe use|no such function|not authorized"):
                self.enqueue(self.store())
        self.assertEqual(self.stored_ids(database), [])

    def test_every_connection_of_ours_distrusts_the_file(self) -> None:
        database = self.open()

        def ask(connection: sqlite3.Connection) -> tuple[int, int]:
            asked = ("PRAGMA trusted_schema", "PRAGMA cell_size_check")
            schema, cells = (connection.execute(each).fetchone()[0] for each in asked)
            return schema, cells

        connection = database.begin()
        lent = ask(connection)
        database.finish(connection, commit=False)
        self.assertEqual([lent, database.read(ask), database.write(ask)], [(0, 1)] * 3)
