"""`schedules`."""

from __future__ import annotations

import os
import time
from unittest import mock

from litequeue import Queue
from tests.cli.case import CommandCase


class TestSchedules(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.dict(os.environ, {"TZ": "Asia/Tokyo"}))
        time.tzset()
        self.addCleanup(time.tzset)

    def test_an_empty_file(self) -> None:
        self.open()
        self.assert_prints(
            ["schedules", self.file], "\n            there are no schedules\n            ", code=1
        )
        self.assertEqual(self.cli("schedules", self.file, "--json").json, [])

    def test_add_and_list(self) -> None:
        self.open()
        added = self.cli("schedules", self.file, "add", "nightly", "app:report", "5", "--cron", "0 3 * * *")
        self.assertRegex(added.out, r"schedule 'nightly' fires next \d{4}-\d\d-\d\d 12:00:00 JST")
        self.cli("schedules", self.file, "add", "poll", "app:poll", "--every", "90s", "--catch-up", "none")
        zone = ["--cron", "0 3 * * *", "--timezone", "Europe/Berlin", "--no-overlap", "--jitter", "5m"]
        self.cli("schedules", self.file, "add", "zone", "app:poll", *zone)
        listed = self.cli("schedules", self.file).out
        self.assertRegex(listed, r"nightly +app:report +0 3 \* \* \* +in \d+ h")
        self.assertRegex(listed, r"poll +app:poll +every 90 s +in \d+ s")
        self.assertRegex(listed, r"zone +app:poll +0 3 \* \* \* \(Europe/Berlin\)")
        found = {each["name"]: each for each in self.cli("schedules", self.file, "--json").json}
        self.assertEqual((found["poll"]["every_seconds"], found["poll"]["catch_up"]), (90, "none"))
        self.assertEqual((found["zone"]["jitter_seconds"], found["zone"]["overlap"]), (300, False))

    def test_pause_resume_run_remove(self) -> None:
        self.open()
        self.cli("schedules", self.file, "add", "poll", "app:poll", '{"a": 1}', "--every", "1h")
        self.assertEqual(self.cli("schedules", self.file, "pause", "poll").out, "schedule 'poll' is paused\n")
        self.assertRegex(self.cli("schedules", self.file).out, r"poll .* - +paused")
        self.assertIn("fires next", self.cli("schedules", self.file, "resume", "poll").out)
        self.assertEqual(self.cli("schedules", self.file, "run", "poll").out, "enqueued job 1\n")
        self.assertEqual(self.reports.payload(1)[0], '[[{"a":1}],{}]')
        self.assertEqual(
            self.cli("schedules", self.file, "remove", "poll").out, "schedule 'poll' is removed\n"
        )
        self.assertEqual(self.cli("schedules", self.file).code, 1)

    def test_the_next_firings_in_local_time_and_utc(self) -> None:
        self.open()
        self.cli("schedules", self.file, "add", "poll", "app:poll", "--every", "1d")
        lines = self.cli("schedules", self.file, "next", "poll", "-n", "2").out.splitlines()
        self.assertEqual(len(lines), 3)
        self.assertRegex(lines[1], r"09:00:00 JST +\d{4}-\d\d-\d\d 00:00:00 UTC")
        self.assertEqual(len(self.cli("schedules", self.file, "next", "poll", "--json").json), 5)

    def test_one_that_a_task_declared(self) -> None:
        with Queue(self.file, clock=self.clock) as queue:
            queue.task(name="app:poll", every=60)(lambda: None)
            queue.schedules.declare(queue.declared.values())
            self.assertIn("declares it again", self.cli("schedules", self.file, "remove", "app:poll").out)
            queue.schedules.declare(queue.declared.values())
            queue.desk.schedules.lose(["app:poll"])
        self.assertIn("no task declares it any more", self.cli("schedules", self.file).out)

    def test_what_another_action_takes_is_refused(self) -> None:
        self.open()
        self.cli("schedules", self.file, "add", "poll", "app:poll", "--every", "1h")
        for words, surplus in (
            (["list", "extra", "words"], "list takes no 'extra', 'words'"),
            (["list", "-n", "0"], "list takes no --count"),
            (["pause", "poll", "now"], "pause takes no 'now'"),
            (["run", "poll", "--queue", "other"], "run takes no --queue"),
            (["next", "poll", "--no-overlap"], "next takes no --no-overlap"),
            (["remove", "poll", "--catch-up", "all"], "remove takes no --catch-up"),
            (["add", "poll", "app:poll", "--every", "2h", "-n", "5"], "add takes no --count"),
        ):
            with self.subTest(words):
                self.assert_refused(["schedules", self.file, *words], f"schedules {surplus}; see")
        (poll,) = self.cli("schedules", self.file, "--json").json
        self.assertEqual((poll["every_seconds"], poll["paused_at"], poll["last_job"]), (3600, None, None))

    def test_an_option_that_is_left_blank_is_not_taken_for_the_default(self) -> None:
        self.open()
        for option in ("--timezone", "--catch-up", "--jitter", "--queue"):
            with self.subTest(option):
                rule = ["--cron", "0 3 * * *", option, ""]
                self.assert_refused(["schedules", self.file, "add", "poll", "app:poll", *rule], "")
        self.assertEqual(self.cli("schedules", self.file).code, 1)

    def test_misuse(self) -> None:
        self.open()
        self.assert_refused(["schedules", self.file, "pause"], "needs the NAME")
        self.assert_refused(["schedules", self.file, "add", "x"], "needs a TASK")
        self.assert_refused(["schedules", self.file, "add", "x", "app:y"], "give one of the two")
        self.assert_refused(
            ["schedules", self.file, "add", "x", "app:y", "--cron", "0 0 30 2 *"], "0 0 30 2 *"
        )
        self.assert_refused(["schedules", self.file, "run", "none"], "there is no schedule 'none'", code=1)
