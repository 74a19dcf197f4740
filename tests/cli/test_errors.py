"""`errors`, and the filter `--error` that takes what it shows."""

import shlex

from litequeue.job import Fail, Failure, Filter
from tests.cli.case import MINUTE, CommandCase

FRAME = 'Traceback (most recent call last):\n  File "/srv/shop/{}", line {}, in fetch\n'


class TestErrors(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()
        self.worker = self.sign_on("default", "mail")

    def failing(
        self, type: str, file: str = "app.py", line: int = 3, queue: str = "default", **how: int
    ) -> int:
        """One job that fails with this error at this place."""
        id = self.enqueue(queue=queue)
        failure = Failure("error", type, f"message {id}", FRAME.format(file, line) if file else "")
        self.store.settle(Fail(self.claim(self.worker, queue).lease, failure, how.get("retry_at")))
        return id

    def fill(self) -> None:
        """Four errors: one twice, one at two places, one of no place that is tried again."""
        self.failing("OSError")
        self.clock.pass_time(5 * MINUTE)
        self.failing("OSError")
        self.failing("OSError", line=9, queue="mail")
        self.failing("shop.Refused", "", retry_at=self.clock.at + MINUTE)
        self.clock.pass_time(5 * MINUTE)

    def states(self) -> list[str]:
        return [str(job.state) for job in reversed(self.reports.jobs(Filter()))]

    def test_groups_by_what_was_raised_and_where(self) -> None:
        self.fill()
        self.assert_prints(
            ["errors", self.file],
            f"""
            attempts  jobs failed  last       job  error                  message
                   2            2  5 min ago    2  OSError@shop/app.py:3  message 2
                   1            1  5 min ago    3  OSError@shop/app.py:9  message 3
                   1            0  5 min ago    4  shop.Refused@-         message 4

            to run 2 jobs again: python3 -m litequeue retry {self.file} --error OSError@shop/app.py:3
            """,
        )

    def test_as_json(self) -> None:
        self.fill()
        first, *rest = self.cli("errors", self.file, "--json").json
        self.assertEqual(
            first,
            {
                "error": "OSError@shop/app.py:3",
                "type": "OSError",
                "place": "shop/app.py:3",
                "attempts": 2,
                "jobs_failed": 2,
                "last_at": "2030-05-01T12:05:00.000000+00:00",
                "job": 2,
                "message": "message 2",
            },
        )
        self.assertEqual([error["error"] for error in rest], ["OSError@shop/app.py:9", "shop.Refused@-"])

    def test_of_one_queue_and_no_more_than_wanted(self) -> None:
        self.fill()
        found = self.cli("errors", self.file, "--queue", "mail", "--json").json
        self.assertEqual([error["job"] for error in found], [3])
        self.assertEqual(len(self.cli("errors", self.file, "--limit", "1", "--json").json), 1)
        self.assertIn("there are more: --limit 2", self.cli("errors", self.file, "--limit", "1").out)

    def test_says_no_when_there_are_none(self) -> None:
        self.assert_prints(
            ["errors", self.file],
            """
            no attempt has failed
            """,
            code=1,
        )
        self.assertEqual(self.cli("errors", self.file, "--json").json, [])

    def test_retry_takes_the_key(self) -> None:
        self.fill()
        ended = self.cli("retry", self.file, "--error", "OSError@shop/app.py:3", "--yes")
        self.assertEqual((ended.out, ended.code), ("2 jobs made ready again\n", 0))
        self.assertEqual([self.reports.job(id).state for id in (1, 2, 3)], ["ready", "ready", "failed"])
        found = self.cli("errors", self.file, "--json").json[0]
        self.assertEqual((found["attempts"], found["jobs_failed"]), (2, 0))

    def test_retry_takes_the_type_alone(self) -> None:
        self.fill()
        self.assertEqual(self.cli("retry", self.file, "--error", "OSError", "--yes").out[:6], "3 jobs")

    def test_retry_takes_it_together_with_other_filters(self) -> None:
        self.fill()
        self.cli("retry", self.file, "--error", "OSError", "--queue", "mail", "--yes")
        self.assertEqual([self.reports.job(id).state for id in (1, 2, 3)], ["failed", "failed", "ready"])

    def test_only_the_last_attempt_counts(self) -> None:
        id = self.failing("OSError", retry_at=self.clock.at)
        failure = Failure("error", "ValueError", "worse", FRAME.format("app.py", 5))
        self.store.settle(Fail(self.claim(self.worker).lease, failure))
        self.assertEqual(self.reports.job(id).state, "failed")
        for error, code in (("OSError", 1), ("ValueError@shop/app.py:4", 1), ("ValueError@shop/app.py:5", 0)):
            self.assertEqual(self.cli("list", self.file, "--error", error).code, code, error)

    def test_no_place_is_one_too(self) -> None:
        self.fill()
        self.failing("shop.Refused", queue="mail")
        (error,) = [one for one in self.cli("errors", self.file, "--json").json if not one["place"]]
        found = self.cli("list", self.file, "--error", error["error"], "--json").json
        self.assertEqual([job["id"] for job in found], [4])
        self.assertEqual(self.cli("list", self.file, "--error", "OSError@-").code, 1)

    def test_what_is_left_blank_never_means_any(self) -> None:
        self.fill()
        states = self.states()
        for error in ("", "@", "@shop/app.py:3", "OSError@"):
            for verb in ("retry", "cancel", "delete"):
                for more in ((), ("--state", "failed"), ("--queue", "mail"), ("--all",)):
                    argv = [verb, self.file, "--error", error, *more, "--yes"]
                    with self.subTest(argv[2:]):
                        self.assert_refused(argv, "--error is ")
            for reading in (["list", self.file], ["export", self.file]):
                self.assert_refused([*reading, "--error", error], "--error is ")
        self.assertEqual(self.states(), states)

    def test_no_other_filter_is_blank_either(self) -> None:
        self.fill()
        for option in ("--queue", "--task", "--tag"):
            self.assert_refused(["delete", self.file, option, "", "--yes"], f"leave {option} out")
        for command in ("errors", "logs", "prune"):
            self.assert_refused([command, self.file, "--queue", ""], "leave --queue out")

    def test_the_filter_takes_a_text_for_no_more_than_itself(self) -> None:
        self.fill()
        for text in ("", "@", "@shop/app.py:3", "OSError@"):
            self.assertEqual(self.reports.count(Filter(error=text)), 0, text)
            self.assertEqual(self.store.delete_all(Filter(error=text)), 0, text)

    def test_a_type_may_have_any_name(self) -> None:
        for type in ("odd@name", "odd@name@b", "x@app.py:3"):
            with self.subTest(type):
                id = self.failing(type)
                found = self.cli("errors", self.file, "--json").json
                (error,) = [one["error"] for one in found if one["type"] == type]
                self.assertEqual([job.id for job in self.reports.jobs(Filter(error=error))], [id])

    def test_the_command_that_it_offers_does_what_it_says(self) -> None:
        for queue in ("mail", "default", "default"):
            self.failing("OSError", queue=queue)
        offered = self.cli("errors", self.file, "--queue", "mail").out.splitlines()[-1]
        said, _, words = offered.partition(": python3 -m litequeue ")
        self.assertEqual(said, "to run 1 job again")
        self.assertEqual(self.cli(*shlex.split(words), "--yes").out, "1 job made ready again\n")
        self.assertEqual(self.states(), ["ready", "failed", "failed"])
