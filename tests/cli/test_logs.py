"""`logs`: the lines of one job or of all, and those that follow."""

from collections.abc import Callable
from unittest import mock

from litequeue.clock import SECOND
from litequeue.job import Claimed, Complete, Note
from tests.cli.case import CommandCase, StillClock


class TestLogs(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()
        self.worker = self.sign_on("default", "mail")

    def begin(self, queue: str = "default") -> Claimed:
        """A job that runs."""
        self.enqueue(f"app:{queue}", queue)
        return self.claim(self.worker, queue)

    def log(self, job: Claimed, *texts: str, at: int | None = None) -> None:
        """What its task logs."""
        logged = tuple((self.clock.at if at is None else at, text) for text in texts)
        self.store.note(Note(job.lease, logs=logged))

    def meanwhile(self, *actions: Callable[[], None]) -> None:
        """Do these, one while each pause lasts; in the pause after them a person presses Ctrl-C."""
        left = list(actions)

        def sleep(seconds: float) -> None:
            self.clock.pass_time(round(seconds * SECOND))
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        patch = mock.patch.object(StillClock, "sleep", lambda clock, seconds: sleep(seconds))
        patch.start()
        self.addCleanup(patch.stop)

    def test_of_one_job(self) -> None:
        first, second = self.begin(), self.begin()
        self.log(first, "one", "two")
        self.log(second, "else")
        self.assert_prints(
            ["logs", self.file, "1"],
            """
            2030-05-01 12:00:00.000 UTC  job 1  app:default  one
            2030-05-01 12:00:00.000 UTC  job 1  app:default  two
            """,
        )

    def test_of_all_jobs_in_the_order_of_time(self) -> None:
        first, second = self.begin(), self.begin("mail")
        self.log(first, "one")
        self.clock.pass_time(SECOND)
        self.log(second, "two")
        self.clock.pass_time(SECOND)
        self.log(first, "three")
        said = [line.split()[-1] for line in self.cli("logs", self.file).out.splitlines()]
        self.assertEqual(said, ["one", "two", "three"])
        self.assertEqual(self.cli("logs", self.file, "--queue", "mail").out.split()[-1], "two")
        said = [line.split()[-1] for line in self.cli("logs", self.file, "-n", "2").out.splitlines()]
        self.assertEqual(said, ["two", "three"])

    def test_the_last_lines_of_one_job(self) -> None:
        job = self.begin()
        self.log(job, "one", "two", "three")
        for count, said in ((2, ["two", "three"]), (5, ["one", "two", "three"]), (0, [])):
            ended = self.cli("logs", self.file, "1", "-n", str(count))
            self.assertEqual([line.split()[-1] for line in ended.out.splitlines()], said)
        self.meanwhile(lambda: self.log(job, "four", "five"))
        ended = self.cli("logs", self.file, "1", "-f", "-n", "1")
        self.assertEqual([line.split()[-1] for line in ended.out.splitlines()], ["three", "four", "five"])

    def test_one_job_is_in_one_queue(self) -> None:
        self.log(self.begin(), "one")
        self.assert_refused(["logs", self.file, "1", "--queue", "mail"], "give its ID or --queue")

    def test_as_json_a_line_each(self) -> None:
        self.log(self.begin("mail"), "one\n\x1b[2J")
        self.assertEqual(
            self.cli("logs", self.file, "--json").json,
            {
                "job": 1,
                "attempt": 1,
                "at": "2030-05-01T12:00:00.000000+00:00",
                "task": "app:mail",
                "queue": "mail",
                "text": "one\n\x1b[2J",
            },
        )

    def test_says_no_when_there_are_none(self) -> None:
        self.begin()
        for argv in (["logs", self.file], ["logs", self.file, "1"]):
            ended = self.cli(*argv)
            self.assertEqual((ended.out, ended.code), ("", 1))
        self.assert_refused(["logs", self.file, "2"], "there is no job 2", code=1)

    def test_following_a_job_ends_with_it(self) -> None:
        job = self.begin()
        self.log(job, "one")

        def end() -> None:
            self.log(job, "three")
            self.store.settle(Complete(job.lease))

        self.meanwhile(lambda: self.log(job, "two"), lambda: None, end)
        ended = self.cli("logs", self.file, "1", "--follow")
        self.assertEqual([line.split()[-1] for line in ended.out.splitlines()], ["one", "two", "three"])
        self.assertEqual(ended.code, 0)

    def test_following_all_goes_on_until_interrupted(self) -> None:
        first, second = self.begin(), self.begin("mail")
        self.log(first, "before")
        at = self.clock.at
        self.meanwhile(
            lambda: self.log(first, "one"),
            lambda: self.log(second, "late", at=at - SECOND),  # it was stored later than it was logged
            lambda: None,
            lambda: self.log(second, "two"),
        )
        ended = self.cli("logs", self.file, "-f")
        said = [line.split()[-1] for line in ended.out.splitlines()]
        self.assertEqual((said, ended.code), (["before", "one", "late", "two"], 0))

    def test_following_shows_no_older_line_than_was_asked_for(self) -> None:
        job = self.begin()
        self.log(job, "old", "older")
        self.meanwhile(lambda: self.log(job, "new"))
        ended = self.cli("logs", self.file, "-f", "-n", "0")
        self.assertEqual([line.split()[-1] for line in ended.out.splitlines()], ["new"])
