"""A file is found or made, checked, refused with its own error, and brought up to date."""

from __future__ import annotations

import os
import sqlite3
import unittest
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest import mock

from litequeue import errors
from litequeue.clock import SystemClock
from litequeue.storage import checkpoint, opening
from litequeue.storage.database import Database
from tests.storage.engines import look_into
from tests.storage.files import PRELUDE, FileCase
from tests.support import Program, together

MOUNTS = """\
22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:40 / /mnt rw - tmpfs tmpfs rw
31 30 0:41 / /mnt/share rw shared:9 - nfs4 server:/export rw
32 30 0:42 / /mnt/with\\040space rw - 9p drive rw
33 31 0:43 / /mnt/share/local rw - ext4 /dev/sdb rw
34 22 0:44 / /vm rw master:2 - virtiofs shared rw
35 22 0:45 / /home/me/remote rw - fuse.sshfs me@there: rw
"""

OLD_FAILURE = """
INSERT INTO litequeue_failure (job, attempt, failed_at, reason, type, message, traceback)
VALUES (1, 1, 1, 'error', 'OSError', '',
        '  File "/srv/shop/app.py", line 3, in fetch' || char(10) || 'OSError')
"""


def sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


class TestRefusals(FileCase):
    """Each bad file has an error of its own, and is left as it was."""

    def refuse(self, kind: type[Exception], words: str, path: Path | None = None) -> None:
        with self.unchanged(), self.assertRaisesRegex(kind, words) as caught:
            Database(str(path or self.path))
        self.assertIs(type(caught.exception), kind)
        self.assertIn(str(path or self.path), str(caught.exception))

    def test_what_is_not_sqlite(self) -> None:
        for content in (b"hello", b"\0" * 8192, b"SQLite format 3\0 but not really", os.urandom(5000)):
            self.path.write_bytes(content)
            self.refuse(errors.NotADatabase, "not a SQLite database")

    def test_a_folder(self) -> None:
        self.refuse(errors.NotADatabase, "this is a folder", self.folder)

    def test_a_missing_folder(self) -> None:
        self.refuse(
            errors.MissingFile, "nowhere does not exist; make it", self.folder / "nowhere" / "jobs.db"
        )

    def test_a_link_to_nothing(self) -> None:
        self.path.symlink_to(self.folder / "target.db")
        self.refuse(errors.MissingFile, "a link to .*target.db, which does not exist")

    def test_a_path_that_can_not_be(self) -> None:
        with self.assertRaises(errors.InvalidOption):
            Database("a\0b")
        self.refuse(errors.DatabaseError, "File name too long", self.folder / ("x" * 300))

    def test_a_table_of_the_same_name(self) -> None:
        for statement in (
            "CREATE TABLE litequeue_job (id INTEGER PRIMARY KEY, name TEXT)",
            "CREATE TABLE LITEQUEUE_META (key TEXT, value TEXT)",
            "CREATE TABLE litequeue_meta (key TEXT, other TEXT)",
            "CREATE VIEW litequeue_jobs AS SELECT 1",
            "CREATE TABLE t (x); CREATE INDEX litequeue_ready ON t (x)",
        ):
            with self.subTest(statement):
                self.path.unlink(missing_ok=True)
                sql(self.path, *statement.split("; "))
                self.refuse(errors.ForeignTables, "litequeue did not make; rename it")

    def test_a_newer_schema(self) -> None:
        self.open().close()
        sql(
            self.path,
            "UPDATE litequeue_meta SET value = '99' WHERE key = 'version'",
            "PRAGMA journal_mode = DELETE",
        )
        self.refuse(
            errors.SchemaTooNew, f"version 99, this litequeue knows {opening.SCHEMA_VERSION}; upgrade"
        )

    def test_a_newer_schema_that_lacks_a_table_of_ours(self) -> None:
        self.open().close()
        sql(
            self.path,
            "DROP TABLE litequeue_log",
            f"UPDATE litequeue_meta SET value = '{opening.SCHEMA_VERSION + 1}' WHERE key = 'version'",
        )
        self.refuse(errors.SchemaTooNew, f"version {opening.SCHEMA_VERSION + 1}")

    def test_an_old_sqlite(self) -> None:
        old = mock.patch.object(sqlite3, "sqlite_version_info", (3, 36, 0))
        with old, self.unchanged(), self.assertRaisesRegex(errors.UnsupportedSQLite, "needs 3.37"):
            Database(str(self.path))

    def test_a_network_file_system(self) -> None:
        refused = ["/mnt/share/jobs.db", "/mnt/with space/jobs.db", "/vm/a/b", "/home/me/remote/x"]
        allowed = [
            "/jobs.db",
            "/mnt/jobs.db",
            "/mnt/shared/jobs.db",
            "/mnt/share/local/jobs.db",
            "/home/me/x",
        ]
        for path in refused:
            with self.assertRaisesRegex(errors.NetworkFileSystem, f"{path} lies on a network file system"):
                opening.refuse_network(path, MOUNTS)
        for path in allowed:
            opening.refuse_network(path, MOUNTS)

    def test_a_network_file_system_leaves_nothing_behind(self) -> None:
        mounts = f"22 1 0:1 / {self.folder} rw - nfs server:/ rw\n"
        with mock.patch.object(opening, "_mounts", lambda: mounts):
            self.refuse(errors.NetworkFileSystem, r"\(nfs\)")


class TestPermissions(FileCase):
    """Asked as a user who may not do everything."""

    def as_nobody(self, code: str) -> list[str]:
        """What that user hears; each line is an error's name and text, or what was done."""
        if os.getuid() != 0:
            demote = ""
        else:
            demote = "opening.schema_parts(); os.setgroups([]); os.setgid(65534); os.setuid(65534)"
        lines = [
            PRELUDE,
            "from litequeue.storage import opening",
            demote,
            "path = sys.argv[1]",
            code,
            "say('end')",
        ]
        program = Program(self, "\n".join(lines), self.path)
        heard: list[str] = []
        while (line := program.hear()) != "end":
            heard.append(line)
        return heard

    def test_a_folder_that_can_not_be_written(self) -> None:
        self.folder.chmod(0o555)
        (found,) = self.as_nobody("attempt(lambda: Database(path))")
        self.assertRegex(
            found, f"ReadOnly {self.path}: the file can not be made in {self.folder}: Permission"
        )
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_file_that_can_not_be_written(self) -> None:
        self.enqueue_and_close()
        self.path.chmod(0o444)
        self.folder.chmod(0o755)
        found = self.as_nobody("attempt(lambda: store_at(path).enqueue([JOB]))")
        self.assertRegex(found[-1], f"^ReadOnly {self.path}: it, or .*check the permissions")
        self.assertEqual(self.stored_ids(), [1])

    def test_a_file_that_can_not_be_read(self) -> None:
        self.open().close()
        self.path.chmod(0o000)
        self.folder.chmod(0o755)
        with self.unchanged():
            (found,) = self.as_nobody("attempt(lambda: Database(path))")
        self.assertRegex(found, f"^ReadOnly {self.path}: .*check the permissions")

    def test_reading_where_nothing_can_be_written(self) -> None:
        self.enqueue_and_close()
        self.path.chmod(0o444)
        self.folder.chmod(0o555)
        with self.unchanged():
            found = self.as_nobody("attempt(lambda: Reports(Database(path, read_only=True)).job(1).task)")
        self.assertEqual(found, ["did app:task"])

    @unittest.skipUnless(os.getuid() == 0, "only root can give a file to another user")
    def test_a_side_file_of_another_user_is_done_without(self) -> None:
        self.enqueue_and_close()
        self.path.chmod(0o666)
        self.folder.chmod(0o777)
        found = self.as_nobody("store = store_at(path); say(store.database.side); say(store.enqueue([JOB]))")
        self.assertEqual(found, ["None", "[2]"])

    def enqueue_and_close(self) -> None:
        store = self.store()
        self.enqueue(store)
        store.database.close()


class TestMaking(FileCase):
    def test_only_the_owner_may_read_what_is_made(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.enqueue(self.store())
        made = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(made, ["jobs.db", "jobs.db-lock", "jobs.db-shm", "jobs.db-wal"])
        self.assertEqual({self.mode_of(self.folder / name) for name in made}, {0o600})

    def test_an_existing_file_keeps_its_mode(self) -> None:
        self.path.touch()
        self.path.chmod(0o640)
        self.enqueue(self.store())
        self.assertEqual(self.mode_of(self.path), 0o640)

    def test_a_link_to_a_file_is_followed(self) -> None:
        target = self.folder / "real.db"
        self.enqueue(self.store(target))
        self.path.symlink_to(target)
        self.assertEqual(self.stored_ids(), [1])
        self.assertFalse((self.folder / "jobs.db-lock").exists())

    def test_odd_names(self) -> None:
        for name in ("a b?mode=ro#x%41.db", "\u00e4\U0001f40d.db", os.fsdecode(b"\xff\xfe.db")):
            path = self.folder / name
            self.enqueue(self.store(path))
            self.assertTrue(path.stat().st_size > 0)

    def test_a_new_file_can_give_room_back(self) -> None:
        self.open()
        self.assertEqual(look_into(self.path, "PRAGMA auto_vacuum"), [(2,)])
        self.assertEqual(look_into(self.path, "PRAGMA journal_mode"), [("wal",)])

    def test_eight_processes_make_it_at_once(self) -> None:
        code = PRELUDE + "say('ready'); input(); say(*store_at(sys.argv[1]).enqueue([JOB] * 3))"
        for turn in range(3):
            path = self.folder / f"{turn}.db"
            programs = [Program(self, code, path) for _ in range(8)]
            for program in programs:
                program.hear()
            for program in programs:
                program.tell()
            ids = [int(id) for program in programs for id in program.hear().split()]
            self.assertEqual(sorted(ids), list(range(1, 25)))
            self.assertEqual(look_into(path, "PRAGMA integrity_check"), [("ok",)])

    def test_eight_threads_open_it_at_once(self) -> None:
        together(8, lambda number: self.open().close())
        self.enqueue(self.store())

    def test_opening_waits_for_a_locked_file(self) -> None:
        sql(self.path, "CREATE TABLE mine (x)")
        with closing(sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            with mock.patch.object(SystemClock, "sleep", lambda *_: release(holder)):
                self.open()

    def test_a_locked_file_is_told_of_when_patience_ends(self) -> None:
        sql(self.path, "CREATE TABLE mine (x)")
        with closing(sqlite3.connect(self.path, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            short = mock.patch("litequeue.storage.patience._LONGEST", 20_000)
            with short, self.assertRaisesRegex(errors.DatabaseBusy, "another program, or .* keeps it locked"):
                Database(str(self.path))


def release(holder: sqlite3.Connection) -> None:
    if holder.in_transaction:
        holder.execute("ROLLBACK")


class TestTenants(FileCase):
    """In a file that belongs to an application."""

    def test_the_application_keeps_what_is_its_own(self) -> None:
        sql(
            self.path,
            "PRAGMA user_version = 42",
            "PRAGMA application_id = 4711",
            "CREATE TABLE mine (x TEXT)",
            "INSERT INTO mine VALUES ('kept')",
        )
        self.enqueue(self.store())
        self.assertEqual(look_into(self.path, "SELECT x FROM mine"), [("kept",)])
        self.assertEqual(look_into(self.path, "PRAGMA user_version"), [(42,)])
        self.assertEqual(look_into(self.path, "PRAGMA application_id"), [(4711,)])

    def test_everything_of_ours_says_so_in_its_name(self) -> None:
        self.open()
        names = look_into(self.path, "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
        self.assertEqual([name for (name,) in names if not name.startswith("litequeue_")], [])
        self.assertEqual({name for (name,) in names}, set(opening.schema_parts()))

    def test_a_job_may_come_by_plain_sql(self) -> None:
        self.open()
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("INSERT INTO litequeue_job (task) VALUES ('app:task')")
        self.assertEqual(self.stored_ids(), [1])

    def test_the_schema_refuses_what_makes_no_sense(self) -> None:
        self.open()
        for columns, values in (
            ("state", "'running'"),
            ("state", "'failed'"),
            ("state, reason, finished_at", "'failed', 'expired', 1"),
            ("state, reason, finished_at", "'cancelled', 'error', 1"),
            ("state, finished_at", "'ready', 1"),
            ("state, reason", "'ready', 'error'"),
            ("state", "'asleep'"),
            ("cancelling", "1"),
            ("state, parked", "'scheduled', 1"),
            ("ack", "'maybe'"),
            ("attempt", "-1"),
            ("priority", "'high'"),
            ("state, worker", "'ready', 1"),
        ):
            statement = f"INSERT INTO litequeue_job (task, {columns}) VALUES ('a', {values})"
            with self.subTest(columns=columns, values=values), self.assertRaises(sqlite3.IntegrityError):
                sql(self.path, statement)


class TestReading(FileCase):
    """Opened for reading only, as the command line does."""

    def test_nothing_is_made(self) -> None:
        with self.unchanged(), self.assertRaisesRegex(errors.MissingFile, "there is no such file"):
            Database(str(self.path), read_only=True)
        self.path.touch()
        with self.unchanged(), self.assertRaisesRegex(errors.DatabaseError, "there is no queue in this file"):
            Database(str(self.path), read_only=True)

    def test_nothing_is_changed(self) -> None:
        writer = self.store()
        self.enqueue(writer)
        reader = self.open(read_only=True)
        self.assertEqual(self.stored_ids(reader), [1])
        actions: list[Callable[[], object]] = [
            reader.begin,
            lambda: reader.write(lambda c: c.execute("DELETE FROM litequeue_job")),
        ]
        for action in actions:
            with self.assertRaisesRegex(errors.ReadOnly, "opened for reading only"):
                action()
        with self.assertRaises(errors.ReadOnly):
            reader.read(lambda c: c.execute("DELETE FROM litequeue_job"))
        self.enqueue(writer)
        self.assertEqual(self.stored_ids(reader), [1, 2])


class TestUpgrade(FileCase):
    """A later version adds to the file; `SCHEMA_VERSION` and `MIGRATIONS` are stood in for."""

    def upgraded(self, *statements: str) -> mock._patch[int]:
        migrations = mock.patch.object(
            opening, "MIGRATIONS", {**opening.MIGRATIONS, opening.SCHEMA_VERSION: statements}
        )
        migrations.start()
        self.addCleanup(migrations.stop)
        return mock.patch.object(opening, "SCHEMA_VERSION", opening.SCHEMA_VERSION + 1)

    def test_the_schema_says_its_version(self) -> None:
        self.open()
        version = look_into(self.path, "SELECT value FROM litequeue_meta WHERE key = 'version'")
        self.assertEqual(version, [(str(opening.SCHEMA_VERSION),)])
        self.assertEqual(set(opening.MIGRATIONS), set(range(1, opening.SCHEMA_VERSION)))

    def test_an_old_file_is_brought_up_to_date(self) -> None:
        self.enqueue(self.store(), 3)
        with self.upgraded(
            "ALTER TABLE litequeue_job ADD COLUMN colour TEXT", "CREATE TABLE litequeue_new (x)"
        ):
            database = self.open()
            self.assertEqual(self.stored_ids(database), [1, 2, 3])
            version = database.read(lambda c: opening.stored_version(c, ""))
            self.assertEqual(version, opening.SCHEMA_VERSION)
            self.open()
        self.assertEqual(look_into(self.path, "SELECT colour FROM litequeue_job"), [(None,)] * 3)

    def test_a_file_of_each_older_version_becomes_like_a_new_one(self) -> None:
        for old in sorted(Path(__file__).with_name("versions").glob("*.sql")):
            with self.subTest(old.name):
                path = self.folder / f"{old.stem}.db"
                with closing(sqlite3.connect(path)) as connection:
                    connection.execute("PRAGMA journal_mode = WAL")
                    connection.executescript(old.read_text(encoding="utf-8"))
                    connection.execute("INSERT INTO litequeue_job (task) VALUES ('app:task')")
                    connection.execute(OLD_FAILURE)
                    connection.commit()
                self.assertEqual(self.place_after_upgrade(path), [("shop/app.py:3",)])
                store = self.store(path)
                self.assertEqual(self.enqueue(store, 2), [2, 3])
                store.delete(1)
                self.assertEqual(self.shape(path), self.shape(self.new_file()))

    def place_after_upgrade(self, path: Path) -> list[tuple[object, ...]]:
        """What became of a failure that an older version had written down."""
        self.open(path)
        return look_into(path, "SELECT place FROM litequeue_failure")

    def new_file(self) -> Path:
        path = self.folder / "new.db"
        self.store(path).database.close()
        return path

    def shape(self, path: Path) -> dict[str, object]:
        """The columns of each table, and the text of all else."""
        names = look_into(path, "SELECT name, type, sql FROM sqlite_schema WHERE name LIKE 'litequeue_%'")
        return {
            name: look_into(path, f"PRAGMA table_xinfo({name})") if kind == "table" else sql
            for name, kind, sql in names
        }

    def test_who_was_there_before_is_told(self) -> None:
        old = self.open()
        old.verify_version()
        with self.upgraded("CREATE TABLE litequeue_new (x)"):
            self.open()
        with self.assertRaises(errors.SchemaTooNew):
            old.verify_version()

    def test_a_migration_that_fails_changes_nothing(self) -> None:
        self.enqueue(self.store())
        failing = self.upgraded("CREATE TABLE litequeue_new (x)", "CREATE TABLE litequeue_job (x)")
        with failing, self.assertRaisesRegex(errors.DatabaseError, "already exists"):
            self.open()
        self.assertEqual(self.stored_ids(), [1])
        self.assertEqual(
            look_into(self.path, "SELECT name FROM sqlite_schema WHERE name = 'litequeue_new'"), []
        )

    def test_threads_upgrade_it_once(self) -> None:
        self.open()
        with self.upgraded("CREATE TABLE litequeue_new (x)"):
            together(4, lambda number: self.open().close())

    def test_a_reader_does_not_upgrade(self) -> None:
        self.open()
        words = f"its schema has version {opening.SCHEMA_VERSION}; start a worker"
        upgraded = self.upgraded("CREATE TABLE litequeue_new (x)")
        with upgraded, self.assertRaisesRegex(errors.DatabaseError, words):
            self.open(read_only=True)


class TestVersions(unittest.TestCase):
    def test_which_sqlite_carries_the_fault(self) -> None:
        for version in ((3, 37, 0), (3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 2)):
            self.assertTrue(checkpoint.carries_reset_fault(version), version)
        for version in ((3, 44, 6), (3, 50, 7), (3, 51, 3), (3, 53, 0), (4, 0, 0)):
            self.assertFalse(checkpoint.carries_reset_fault(version), version)
