"""A copy is whole whatever happens meanwhile, and its jobs do not run beside those of the original."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from unittest import mock

from litequeue import Queue
from litequeue.errors import BackupFile, DatabaseDamaged, DiskFull, InvalidOption, MissingFile, NotAllowed
from litequeue.job import Filter, NewJobs, NewWorker, Start, Want
from litequeue.storage import checks
from litequeue.storage.backup import Backup
from litequeue.storage.database import Database
from litequeue.storage.reports import Reports
from litequeue.storage.store import Store
from litequeue.storage.workers import Workers
from litequeue.testing import HandClock
from tests.storage.files import PRELUDE, FileCase, small_disk
from tests.support import Program

# Two jobs at a time, so that a copy with one of a pair was torn; and some that come and go.
WRITER = (
    PRELUDE
    + """
store = store_at(sys.argv[1])
workers = Workers(store.database, store.clock)
worker = workers.sign_on(NewWorker("w", os.getpid()))
for number in range(10**9):
    ids = store.enqueue([JOB._replace(queue=f"pair{number}{sys.argv[2]}", payloads=["[[],{}]"] * 2)])
    if number % 3 == 0:
        gone = store.enqueue([JOB._replace(retention=0, priority=9)])
        for job in store.claim(worker, [Want("default", 1, 1)]).jobs:
            store.settle(Complete(job.lease, '"' + "r" * 5000 + '"', "json"))
        store.prune()
    if number % 10 == 0:
        say(ids[-1])
"""
)
COPIER = (
    PRELUDE
    + """
from litequeue.storage.backup import Backup
database = Database(sys.argv[1], read_only=True)
def told(done, total):
    say(done, total)
    sys.stdin.readline()
Backup(database, SystemClock()).copy(sys.argv[2], told, overwrite=True)
"""
)
EVERY = Filter()
TORN = "SELECT queue FROM litequeue_job WHERE queue LIKE 'pair%' GROUP BY queue HAVING count(*) <> 2"


class BackupCase(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.copy_path = self.folder / "copy.db"
        self.clock = HandClock()

    def backup(self, path: Path | None = None) -> Backup:
        return Backup(self.open(path), self.clock)

    def fill(self, jobs: int = 10) -> None:
        self.store().enqueue([NewJobs("app:task", "default", ["[[],{}]"] * jobs)])

    def left(self) -> set[str]:
        return {path.name for path in self.folder.iterdir() if path.name.startswith("copy.db")}


class Copy(BackupCase):
    def test_it_is_one_file_with_all_that_was_committed(self) -> None:
        self.fill()
        here = self.backup()
        copied = here.copy(str(self.copy_path))
        self.assertEqual(self.left(), {"copy.db"})
        self.assertEqual(copied.size, self.copy_path.stat().st_size)
        self.assertEqual(stat.S_IMODE(self.copy_path.stat().st_mode), 0o600)
        with closing(sqlite3.connect(self.copy_path)) as connection:
            self.assertEqual(checks.broken(connection), [])
            self.assertEqual(connection.execute("SELECT count(*) FROM litequeue_job").fetchone(), (10,))

    def test_what_is_not_committed_is_not_in_it(self) -> None:
        self.fill()
        here = self.backup()
        connection = here.database.begin()
        connection.execute("DELETE FROM litequeue_job")
        here.copy(str(self.copy_path))
        here.database.finish(connection, commit=True)
        self.assertEqual(len(Reports(self.open(self.copy_path, read_only=True)).jobs(EVERY)), 10)

    def test_it_tells_how_far_it_is(self) -> None:
        self.fill(20_000)
        told: list[tuple[int, int]] = []
        self.backup().copy(str(self.copy_path), lambda done, total: told.append((done, total)))
        self.assertGreater(len(told), 2)
        self.assertEqual(told, sorted(told))
        self.assertEqual(*told[-1])

    def test_a_storm_of_writes_leaves_it_whole(self) -> None:
        self.fill(2_000)
        writers = [Program(self, WRITER, self.path, number) for number in range(2)]
        here = self.backup()
        for round in range(5):
            known = [int(writer.hear()) for writer in writers]
            copy = self.folder / f"copy{round}.db"
            here.copy(str(copy))
            with closing(sqlite3.connect(copy)) as connection:
                self.assertEqual(connection.execute(TORN).fetchall(), [])
                self.assertEqual(checks.broken(connection), [])
                ids = {row[0] for row in connection.execute("SELECT id FROM litequeue_job")}
            self.assertLessEqual(set(known), ids)  # what was acknowledged before it began
        for writer in writers:
            writer.kill()
        self.assertEqual(here.database.read(checks.broken), [])

    def test_one_that_is_killed_leaves_no_half_of_it_under_its_name(self) -> None:
        self.fill(20_000)
        for before in (None, b"the backup of yesterday"):
            if before is not None:
                self.copy_path.write_bytes(before)
            copier = Program(self, COPIER, self.path, self.copy_path)
            done, total = map(int, copier.hear().split())
            self.assertLess(done, total)
            copier.kill()
            self.assertEqual(self.copy_path.read_bytes() if self.copy_path.exists() else None, before)
            (part,) = self.left() - {"copy.db"}
            self.assertRegex(part, r"^copy\.db\..+\.part$")
            os.unlink(self.folder / part)
        self.backup().copy(str(self.copy_path), overwrite=True)

    def test_a_damaged_file_is_not_copied_for_a_sound_one(self) -> None:
        self.fill()
        here = self.backup()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("INSERT INTO litequeue_log VALUES (999, 1, 1, 0, 'of no job')")
            connection.commit()
        with self.assertRaisesRegex(DatabaseDamaged, "a log line belongs to an attempt .* 999 line 1"):
            here.copy(str(self.copy_path))
        self.assertEqual(self.left(), set())

    def test_damage_is_that_of_the_file_and_not_of_the_copy(self) -> None:
        store = self.store()
        self.enqueue(store, 500)
        store.database.close()  # so that nothing of it is left in a log
        pages = self.path.stat().st_size // 4096
        sound = self.path.read_bytes()
        for page in (pages // 2, pages - 2):
            self.path.write_bytes(sound[: page * 4096] + b"\xff" * 4096 + sound[(page + 1) * 4096 :])
            here = self.backup()
            with self.assertRaisesRegex(DatabaseDamaged, rf"\A{self.path}: SQLite finds it malformed"):
                here.copy(str(self.copy_path))
            here.database.close()
            self.assertEqual(self.left(), set())

    def test_a_full_disk_is_that_of_the_copy(self) -> None:
        self.fill(100)
        disk = small_disk(self, self.folder / "disk", "40k")
        enough = mock.patch("litequeue.storage.backup.require_room")
        with enough, self.assertRaisesRegex(DiskFull, rf"\A{disk / 'copy.db'}: the disk is full"):
            self.backup().copy(str(disk / "copy.db"))
        self.assertEqual(list(disk.iterdir()), [])

    def test_what_can_not_be_its_name_is_refused_and_nothing_is_left(self) -> None:
        self.fill()
        here = self.backup()
        self.copy_path.write_bytes(b"precious")
        link = self.folder / "link.db"
        link.symlink_to(self.path)
        logged = self.folder / "logged.db"
        (self.folder / "logged.db-wal").write_bytes(b"of another file")
        for path, overwrite, error in (
            (self.copy_path, False, NotAllowed),
            (self.folder / "no" / "copy.db", False, MissingFile),
            (self.folder, True, NotAllowed),
            (self.path, True, NotAllowed),
            (link, True, NotAllowed),
            (logged, True, NotAllowed),
        ):
            with self.subTest(path), self.assertRaises(error):
                here.copy(str(path), overwrite=overwrite)
        self.assertEqual(self.copy_path.read_bytes(), b"precious")
        self.assertEqual([path for path in self.folder.iterdir() if path.suffix == ".part"], [])
        memory = Database(":memory:")
        self.addCleanup(memory.close)
        with self.assertRaises(InvalidOption):
            Backup(memory, self.clock).copy(str(logged))

    def test_a_full_disk_is_told_before_it_begins(self) -> None:
        self.fill()
        full = mock.patch("litequeue.storage.backup.require_room", side_effect=DiskFull("no room"))
        with full, self.assertRaises(DiskFull):
            self.backup().copy(str(self.copy_path))
        self.assertEqual(self.left(), set())


class Restore(BackupCase):
    def copied(self) -> Database:
        """A copy of a file in which one job runs, one runs that may do so once, and one waits."""
        store = self.store()
        workers = Workers(store.database, store.clock)
        store.enqueue([NewJobs("app:task", "default", ["[[],{}]"])])
        store.enqueue([NewJobs("app:once", "default", ["[[],{}]"], ack="early", priority=1)])
        store.enqueue([NewJobs("app:task", "default", ["[[],{}]"], priority=-1)])
        worker = workers.sign_on(NewWorker("w", os.getpid()))
        once, _ = store.claim(worker, [Want("default", 2, 2)]).jobs
        store.start(Start(once.lease, ack="early"))
        Backup(store.database, self.clock).copy(str(self.copy_path))
        return self.open(self.copy_path)

    def test_no_worker_of_any_kind_runs_the_jobs_of_a_copy(self) -> None:
        self.copied()
        with Queue(self.copy_path) as queue:
            refusal = r"a backup of .*jobs\.db, made at 20.*`litequeue restore .*copy\.db`"
            ways = (queue.drain, queue.worker(burst=True).run, queue.worker(processes=1, burst=True).run)
            for work in ways:
                with self.assertRaisesRegex(BackupFile, refusal):
                    work()
            with self.assertRaises(BackupFile), queue.worker():
                pass
            self.assertEqual(queue.counts()["ready"], 1)
            self.assertEqual(queue.workers(), [])

    def test_the_mark_goes_along_when_the_copy_is_moved(self) -> None:
        self.copied().close()
        os.replace(self.copy_path, self.folder / "moved.db")
        mark = self.backup(self.folder / "moved.db").mark()
        assert mark is not None
        self.assertEqual((mark.of, mark.at), (str(self.path), self.clock.now()))

    def test_the_original_bears_no_mark(self) -> None:
        self.copied()
        self.assertIsNone(self.backup().mark())
        with self.assertRaisesRegex(NotAllowed, "this is no backup"):
            self.backup().restore()

    def test_restored_its_jobs_run_and_what_may_run_once_does_not_run_twice(self) -> None:
        database = self.copied()
        here = Backup(database, self.clock)
        self.assertEqual(here.restore(), {"ready": 1, "failed": 1})
        self.assertIsNone(here.mark())
        jobs = {job.id: (str(job.state), job.reason, job.crashes) for job in Reports(database).jobs(EVERY)}
        self.assertEqual(jobs, {1: ("ready", None, 0), 2: ("failed", "lost", 1), 3: ("ready", None, 0)})
        self.assertEqual(Reports(database).workers(), [])
        store, workers = Store(database, self.clock), Workers(database, self.clock)
        worker = workers.sign_on(NewWorker("w", 1))
        self.assertEqual(len(store.claim(worker, [Want("default", 5, 5)]).jobs), 2)
        self.assertEqual(database.read(checks.broken), [])

    def test_a_mark_that_was_written_by_hand_is_meant_all_the_same(self) -> None:
        for text in ("", "{", "[]", '{"of": 1}'):
            self.fill(1)
            here = self.backup()
            with closing(sqlite3.connect(self.path)) as connection:
                connection.execute("INSERT OR REPLACE INTO litequeue_meta VALUES ('backup', ?)", (text,))
                connection.commit()
            with self.assertRaises(BackupFile):
                Workers(here.database, self.clock).sign_on(NewWorker("w", 1))
            here.restore()

    def test_a_copy_of_a_copy_names_the_copy(self) -> None:
        again = self.folder / "again.db"
        Backup(self.copied(), self.clock).copy(str(again))
        mark = self.backup(again).mark()
        self.assertEqual(mark and mark.of, str(self.copy_path))
