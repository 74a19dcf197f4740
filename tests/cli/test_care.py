"""`prune`, `vacuum`, `backup` and `restore` as people type them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from unittest import mock

from litequeue.errors import DiskFull
from litequeue.job import Filter, Start
from litequeue.storage import checks
from litequeue.storage.care import Care
from tests.cli.case import HOUR, MINUTE, CommandCase

EVERY = Filter()


class TestPrune(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()
        self.worker = self.sign_on()

    def ids(self) -> list[int]:
        return sorted(job.id for job in self.reports.jobs(EVERY))

    def fill(self) -> None:
        """Jobs 1 and 2 completed, 3 failed, 4 waits; the retention of 1 and 3 is over in a minute."""
        for retention in (MINUTE, HOUR):
            self.enqueue(retention=retention)
            self.complete_next(self.worker)
        self.enqueue(retention=MINUTE)
        self.fail_next(self.worker)
        self.enqueue()
        self.clock.pass_time(2 * MINUTE)

    def test_what_has_been_there_long_enough(self) -> None:
        self.fill()
        self.assertEqual(self.cli("prune", self.file, "--dry-run").out, "2 jobs would be pruned\n")
        self.assertEqual(
            self.cli("prune", self.file, "--dry-run", "--json").json, {"changed": 0, "prunable": 2}
        )
        self.assertEqual(self.ids(), [1, 2, 3, 4])
        self.assertEqual(self.cli("prune", self.file).out, "2 jobs pruned\n")
        self.assertEqual(self.cli("prune", self.file, "--json").json, {"changed": 0})
        self.assertEqual(self.ids(), [2, 4])

    def test_of_one_state_or_queue(self) -> None:
        self.fill()
        self.assertEqual(self.cli("prune", self.file, "--queue", "mail").out, "0 jobs pruned\n")
        self.assertEqual(
            self.cli("prune", self.file, "--state", "failed", "--dry-run").out, "1 job would be pruned\n"
        )
        self.assertEqual(self.cli("prune", self.file, "--state", "failed").out, "1 job pruned\n")
        self.assertEqual(self.ids(), [1, 2, 4])

    def test_what_ended_longer_ago_whatever_its_retention(self) -> None:
        self.fill()
        asked = ["prune", self.file, "--older-than", "1m"]
        self.assertEqual(
            self.cli(*asked, "--state", "completed", "--dry-run").out, "2 jobs would be pruned\n"
        )
        self.assertEqual(self.cli("prune", self.file, "--older-than", "3m").out, "0 jobs pruned\n")
        self.assertEqual(self.cli(*asked).out, "3 jobs pruned\n")
        self.assertEqual(self.ids(), [4])

    def test_a_state_that_is_not_final(self) -> None:
        self.assert_refused(["prune", self.file, "--state", "ready"], "such jobs are not final")
        self.assert_refused(["prune", self.file, "--state", "gone"], "'gone' is not a state")
        self.assert_refused(["prune", self.file, "--older-than", "old"], "'old' is not a length of time")


class TestVacuum(CommandCase):
    def leave_room(self, file: str) -> None:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("INSERT INTO litequeue_blob VALUES (1, 'result', zeroblob(1000000))")
            connection.execute("DELETE FROM litequeue_blob")
            connection.commit()

    def test_gives_the_room_back(self) -> None:
        self.open()
        self.leave_room(self.file)
        ended = self.cli("vacuum", self.file)
        self.assertRegex(ended.out, r"\A1\.2 MB before, 1\d\d\.\d kB now\n\Z")
        self.assertEqual(ended.code, 0)
        said = self.cli("vacuum", self.file, "--json").json
        self.assertEqual((said["pages"], said["free"]), (0, 0))

    def test_shows_a_bar_to_a_person(self) -> None:
        self.open()
        self.leave_room(self.file)
        self.assertRegex(self.cli("vacuum", self.file, is_terminal=True).err, r"vacuum \[#+\] 24\d of 24\d")

    def test_a_file_that_an_application_made(self) -> None:
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute("CREATE TABLE customer (name TEXT)")
        self.open()
        self.leave_room(self.file)
        ended = self.cli("vacuum", self.file)
        self.assertIn("made without auto_vacuum=INCREMENTAL, so only --full gives them back", ended.out)
        self.assertEqual(ended.code, 1)
        self.assertRegex(
            self.cli("vacuum", self.file, "--full").out, r"\A1\.2 MB before, 1\d\d\.\d kB now\n\Z"
        )
        with closing(sqlite3.connect(self.file)) as connection:
            self.assertEqual(
                connection.execute("PRAGMA auto_vacuum").fetchone(), (0,)
            )  # it is not ours to say

    def test_full_only_while_no_worker_is_alive(self) -> None:
        self.open()
        worker = self.sign_on()
        self.assert_refused(
            ["vacuum", self.file, "--full"], "1 worker alive on this file (process 7)", code=1
        )
        self.workers.sign_off(worker)
        self.assertEqual(self.cli("vacuum", self.file, "--full").code, 0)

    def test_full_without_the_room_for_it(self) -> None:
        self.open()
        with mock.patch.object(Care, "_require_room", side_effect=DiskFull("/: this takes 5 MB there")):
            self.assert_refused(["vacuum", self.file, "--full"], "this takes 5 MB there")


class TestBackup(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.copy = str(self.place / "copy.db")

    def test_a_copy_can_be_read_and_is_restored(self) -> None:
        self.open()
        worker = self.sign_on()
        self.enqueue()
        self.enqueue()
        self.claim(worker)
        self.assertRegex(self.cli("backup", self.file, self.copy).out, r"copy\.db: 1\d\d\.\d kB, checked\n\Z")
        listed = self.cli("list", self.copy, "--json").json
        self.assertEqual([job["state"] for job in listed], ["ready", "running"])
        self.assertEqual(
            self.cli("restore", self.copy).out,
            f"{self.copy} was a backup of {self.file}, made at 2030-05-01 12:00:00 UTC, "
            "and is a queue of its own now\n1 job ran when it was made: 1 will run again\n",
        )
        self.assert_refused(["restore", self.copy], "this is no backup", code=1)

    def test_only_what_will_run_again_is_said_to(self) -> None:
        self.open()
        worker = self.sign_on()
        self.enqueue()
        self.enqueue(priority=1)
        self.enqueue(ack="early", priority=2)
        self.store.start(Start(self.claim(worker).lease, ack="early"))
        self.store.cancel(self.claim(worker).lease.job)
        self.claim(worker)
        self.cli("backup", self.file, self.copy)
        told = "3 jobs ran when it was made: 1 will run again, 1 is now failed, 1 is now cancelled"
        self.assertEqual(self.cli("restore", self.copy).out.splitlines()[1], told)
        self.cli("backup", self.file, self.copy, "--force")
        said = {"of": self.file, "given_back": 1, "failed": 1, "cancelled": 1}
        self.assertEqual(self.cli("restore", self.copy, "--json").json, said)

    def test_json(self) -> None:
        self.open()
        said = self.cli("backup", self.file, self.copy, "--json").json
        self.assertEqual((said["copy"], said["bytes"] > 100_000), (self.copy, True))
        self.assertEqual(
            self.cli("restore", self.copy, "--json").json,
            {"of": self.file, "given_back": 0, "failed": 0, "cancelled": 0},
        )

    def test_what_is_there_is_not_written_over_unless_it_may_be(self) -> None:
        self.open()
        (self.place / "copy.db").write_text("precious")
        self.assert_refused(["backup", self.file, self.copy], "there is such a file already", code=1)
        self.assertEqual((self.place / "copy.db").read_text(), "precious")
        self.assertEqual(self.cli("backup", self.file, self.copy, "--force").code, 0)
        with closing(sqlite3.connect(self.copy)) as connection:
            self.assertEqual(checks.broken(connection), [])

    def test_shows_a_bar_to_a_person(self) -> None:
        self.open()
        ended = self.cli("backup", self.file, self.copy, is_terminal=True)
        self.assertRegex(ended.err, r"backup \[#{28}\] (\d+) of \1")

    def test_a_file_without_a_queue(self) -> None:
        self.assert_refused(["backup", self.file, self.copy], "there is no such file")
        self.assertFalse((self.place / "copy.db").exists())
