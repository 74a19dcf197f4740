"""`doctor` and `check`."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import unittest
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest import mock

from litequeue import doctor
from litequeue.clock import SECOND
from litequeue.doctor import REPAIRABLE
from litequeue.errors import DatabaseDamaged, DatabaseError
from litequeue.storage.database import Database
from litequeue.storage.examination import Examination
from litequeue.storage.onlookers import Onlooker
from litequeue.storage.sidefile import supported
from litequeue.storage.workers import Workers
from tests.cli.case import HOUR, MINUTE, NOON, CommandCase, Ended
from tests.repository import ROOT
from tests.storage.test_checks import HARM

# What `doctor` calls well on every machine on which the tests run.
WELL = {"checks", "sqlite", "space", "file system", "clock", "log", "jobs"}


class DoctorCase(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()

    def harm(self, script: str) -> None:
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.executescript(script)

    def found(self, *argv: str) -> dict[str, str]:
        """The level of each finding."""
        said = self.cli("doctor", self.file, "--json", *argv).json
        return {one["name"]: one["level"] for one in said["findings"]}

    def troubles(self, *argv: str) -> set[str]:
        return {name for name, level in self.found(*argv).items() if level != "ok"}


class TestDoctor(DoctorCase):
    def test_a_file_that_is_well(self) -> None:
        self.sign_on()
        self.assertEqual(self.found(), dict.fromkeys(WELL, "ok"))
        ended = self.cli("doctor", self.file)
        self.assertEqual(ended.code, 0)
        self.assertTrue(all(line.startswith("ok      ") for line in ended.out.splitlines()))
        self.assertEqual(set(self.found("--quick")), WELL - {"checks"})

    def test_it_changes_nothing(self) -> None:
        self.enqueue()
        self.database.close()
        before = Path(self.file).read_bytes()
        self.cli("doctor", self.file)
        self.assertEqual(Path(self.file).read_bytes(), before)

    def test_what_is_broken_is_said_with_what_to_do(self) -> None:
        self.harm(HARM["counted"])
        ended = self.cli("doctor", self.file)
        self.assertEqual(ended.code, 1)
        self.assertIn(
            "error   check: counted: no job failed or crashed more often than it was claimed", ended.out
        )
        self.assertIn("        -> restore a backup", ended.out)
        self.assertNotIn("check: counted", self.found("--quick"))

    def test_each_repair_that_it_advises_is_one(self) -> None:
        for name in sorted(REPAIRABLE):
            with self.subTest(name):
                self.file = str(self.place / f"{name.replace(' ', '_')}.db")
                self.open()
                self.harm(HARM[name])
                said = self.cli("doctor", self.file).out
                self.assertRegex(said, rf"error   check: {name}: .*\n        -> --repair\n")
                done = self.cli("doctor", self.file, "--repair").out
                self.assertRegex(done, r"\Arepaired .* \(1 row\)|returned\n")
                self.assertNotIn(f"check: {name}", self.found())

    def test_repair_returns_the_jobs_of_the_dead(self) -> None:
        worker = self.sign_on()
        self.enqueue()
        self.claim(worker)
        self.workers.vanish(worker)
        self.assertIn("dead worker", self.troubles())
        self.assertIn(
            "repaired 1 job of dead workers returned", self.cli("doctor", self.file, "--repair").out
        )
        self.assertEqual(self.troubles(), {"no worker"})

    def test_what_keeps_jobs_from_running(self) -> None:
        worker = self.sign_on("mail")
        self.enqueue(queue="mail")
        self.enqueue(queue="web")
        self.clock.pass_time(10 * MINUTE)
        self.assertEqual(self.troubles(), {"no worker", "overdue"})
        self.claim(worker, "mail")
        self.clock.pass_time(25 * HOUR)
        self.assertIn("long run", self.troubles())

    def test_messages_that_nobody_gets(self) -> None:
        self.enqueue("message", "messages:uploads")
        said = self.cli("doctor", self.file).out
        self.assertIn("1 ready, and no live process gets messages from it", said)
        self.assertIn("-> start the program that gets these messages", said)
        self.assertNotIn("--queues", said)

    def test_a_backup(self) -> None:
        copy = str(self.place / "copy.db")
        self.enqueue()
        self.claim(self.sign_on())
        self.enqueue()
        self.cli("backup", self.file, copy)
        said = self.cli("doctor", copy).out
        self.assertIn(f"warning backup: this is a backup of {self.file}", said)
        self.assertNotIn("start", said)
        self.assertNotIn("reap", said)
        self.cli("restore", copy)
        self.assertNotIn("backup:", self.cli("doctor", copy).out)

    def test_a_clock_that_was_set_back(self) -> None:
        self.enqueue()
        self.clock.pass_time(-HOUR)
        self.assertIn("clock", self.troubles())

    def test_what_others_have_left_beside_it(self) -> None:
        for name in ("jobs.db.x1.part", "jobs.db-journal", "other.db.x1.part"):
            (self.place / name).write_bytes(b"")
        text = self.cli("doctor", self.file).out
        self.assertEqual(text.count("is of no use to anybody"), 2)

    def test_a_long_log_and_who_keeps_it(self) -> None:
        reader = mock.patch.object(Examination, "readers", return_value=[Onlooker(77, "python report.py")])
        size = mock.patch("litequeue.doctor.log_bytes", return_value=100_000_000)
        with reader, size:
            self.assertIn(
                "process 77 (python report.py) reads for so long", self.cli("doctor", self.file).out
            )

    def test_much_free_room_and_a_full_disk(self) -> None:
        self.harm("INSERT INTO litequeue_blob VALUES (1, 'result', zeroblob(900000))")
        self.harm("DELETE FROM litequeue_blob")
        with mock.patch.object(doctor, "_MUCH_FREE", -1), mock.patch.object(doctor, "_LITTLE_DISK", 1 << 62):
            self.assertLessEqual({"space", "disk"}, self.troubles())
            self.assertIn("-> `litequeue vacuum FILE`", self.cli("doctor", self.file).out)

    def test_damage(self) -> None:
        for _ in range(500):
            self.enqueue()
        self.database.close()
        content = bytearray(Path(self.file).read_bytes())
        content[20 * 4096 : 40 * 4096] = os.urandom(20 * 4096)
        Path(self.file).write_bytes(content)
        ended = self.cli("doctor", self.file)
        self.assertEqual(ended.code, 1)
        self.assertIn("error ", ended.out)
        self.assertIn("restore a backup", ended.out)

    def test_a_file_that_was_cut_off_is_a_finding_to_a_repair_too(self) -> None:
        for _ in range(500):
            self.enqueue()
        self.database.close()
        os.truncate(self.file, 30_000)
        plain, repairing = (self.cli("doctor", self.file, *more) for more in ((), ("--repair",)))
        self.assertEqual((repairing.code, repairing.out, repairing.err), (1, plain.out, ""))
        self.assertEqual(self.found("--repair"), {"file": "error"})

    def test_what_was_repaired_is_told_even_if_the_rest_is_damaged(self) -> None:
        self.harm(HARM["failures"])
        with mock.patch.object(Workers, "reap", side_effect=DatabaseDamaged("the table of workers is gone")):
            ended = self.cli("doctor", self.file, "--repair")
        self.assertEqual(ended.code, 1)
        self.assertRegex(ended.out, r"\Arepaired attempts of jobs that are gone are deleted \(1 row\)\n")
        self.assertIn("error   file: the table of workers is gone\n        -> restore a backup\n", ended.out)


class TestCheck(DoctorCase):
    def check(self, *argv: str) -> Ended:
        ended = self.cli("check", self.file, *argv)
        self.assertEqual(ended.out.count("\n"), 1)
        return ended

    def test_all_is_well(self) -> None:
        self.sign_on()
        self.assertEqual((self.check().code, self.check().out), (0, "ok\n"))
        self.assertEqual(self.check("--json").out, '{"healthy": true, "troubles": []}\n')

    def test_no_worker(self) -> None:
        self.assertEqual((self.check().code, self.check().out), (1, "no worker is alive\n"))

    def test_a_job_that_waits_for_too_long(self) -> None:
        self.sign_on()
        self.enqueue(queue="mail")
        self.clock.pass_time(5 * MINUTE)
        self.assertEqual(self.check().code, 0)
        self.assertEqual(self.check("--max-age", "4m").out, "queue 'mail': a job has been ready for 5 min\n")
        self.store.pause("mail")
        self.assertEqual(self.check("--max-age", "4m").code, 0)

    def test_a_file_that_can_not_be_written(self) -> None:
        self.sign_on()
        with mock.patch.object(Database, "write", side_effect=DatabaseError("the disk is full")):
            ended = self.check()
        self.assertEqual((ended.code, ended.out), (1, "the disk is full\n"))

    @contextmanager
    def locked(self, how: str) -> Iterator[None]:
        """Within the block another program has the file locked, and waits pass on our clock alone."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as stranger:
            stranger.executescript(how)
            with mock.patch("litequeue.storage.patience.SystemClock", lambda: self.clock):
                yield

    def test_a_file_that_another_program_has_locked(self) -> None:
        self.sign_on()
        for how in ("BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"):
            with self.subTest(how), self.locked(how):
                ended = self.check()
            self.assertEqual(ended.code, 1)
            self.assertIn("another program, or", ended.out)
        self.database.close()
        with self.locked("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE"):
            self.assertEqual(self.check("--json").json["healthy"], False)
        self.assertLess(self.clock.at - NOON, 3 * 4 * SECOND)

    @unittest.skipUnless(supported(), "this system has no locks of this kind")
    def test_it_does_not_stand_in_line_behind_others(self) -> None:
        self.sign_on()
        side = self.database.side
        assert side is not None
        with self.locked("BEGIN IMMEDIATE"):
            self.assertEqual(side.in_turn(self.check).code, 1)

    def test_a_file_that_is_not_there(self) -> None:
        self.file = str(self.place / "none.db")
        self.assertEqual((self.check().code, self.check().out), (1, f"{self.file}: there is no such file\n"))
        self.assert_refused(["check", self.file, "--max-age", "old"], "not a length of time")

    def test_as_a_probe_runs_it(self) -> None:
        command = [sys.executable, "-m", "litequeue", "check", self.file]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        self.assertEqual((ended.returncode, ended.stdout), (1, "no worker is alive\n"))
