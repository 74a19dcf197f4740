"""`enqueue`."""

import json
from pathlib import Path

from tests.cli.case import HOUR, MINUTE, NOON, CommandCase


class TestEnqueue(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()

    def stored(self, *argv: str) -> list[object]:
        """The arguments with which the command stored a job."""
        id = self.cli("enqueue", self.file, "app:fetch", "--json", *argv).json["id"]
        args, kwargs = json.loads(self.reports.payload(id)[0])
        return [args, kwargs]

    def test_makes_the_file(self) -> None:
        file = self.place / "new.db"
        ended = self.cli("enqueue", str(file), "app:fetch")
        self.assertEqual((ended.code, ended.out, ended.err), (0, "enqueued job 1\n", ""))
        self.assertTrue(file.exists())

    def test_arguments(self) -> None:
        for argv, expected in (
            ([], [[], {}]),
            (["https://x", "42", "true", "null", "1.5"], [["https://x", 42, True, None, 1.5], {}]),
            (["-5", "two words", "süß", ""], [[-5, "two words", "süß", ""], {}]),
            (['"42"', "[1,[2]]", '{"a":{}}'], [["42", [1, [2]], {"a": {}}], {}]),
            (["NaN", "--kwargs", '{"b":1}'], [["NaN"], {"b": 1}]),
            (["--args", '[1,"x"]', "--kwargs", '{"a":[]}'], [[1, "x"], {"a": []}]),
            (["--args", '[{"$date":"2030-01-01"}]'], [[{"$date": "2030-01-01"}], {}]),
            (["1", "--priority", "2", "3"], [[1, 3], {}]),
        ):
            with self.subTest(argv):
                self.assertEqual(self.stored(*argv), expected)

    def test_options(self) -> None:
        argv = ["--queue", "mail", "--priority", "-2", "--delay", "2h", "--tag", "web", "--tag", "a b"]
        more = [
            "--meta",
            '{"by":"me"}',
            "--retry",
            "4",
            "--timeout",
            "30s",
            "--expires",
            "1d",
            "--ack",
            "early",
        ]
        last = ["--retention", "5m", "--max-crashes", "2"]
        self.assertEqual(self.cli("enqueue", self.file, "app:fetch", *argv, *more, *last).code, 0)
        job = self.reports.job(1)
        self.assertEqual((job.queue, job.priority, job.run_at), ("mail", -2, NOON + 2 * HOUR))
        self.assertEqual((job.tags, job.meta, job.ack), ('["web", "a b"]', '{"by":"me"}', "early"))
        self.assertEqual((job.expires_at, job.max_crashes), (NOON + 24 * HOUR, 2))
        options = json.loads(job.options or "")
        self.assertEqual((options["retry"]["max_attempts"], options["timeout"]), (4, MINUTE // 2))

    def test_an_instant(self) -> None:
        for text in ("2030-05-01T13:00", "2030-05-01T15:00+02:00"):
            self.cli("enqueue", self.file, "app:fetch", "--run-at", text)
        self.assertEqual([self.reports.job(id).run_at for id in (1, 2)], [NOON + HOUR, NOON + HOUR])

    def test_refuses_and_writes_nothing(self) -> None:
        for argv, complaint in (
            (["fetch"], "'fetch' names no task; write 'package.module:function'"),
            (["app:fetch", "[1"], "ARG is '[1', which is not JSON"),
            (["app:fetch", "1", "--args", "[2]"], "choose one form"),
            (["app:fetch", "--args", "{}"], "give a JSON list"),
            (["app:fetch", "--kwargs", "[]"], "give a JSON object"),
            (["app:fetch", "--args", '[{"$nobody":1}]'], "unknown tag"),
            (["app:fetch", "--delay", "soon"], "is not a length of time"),
            (["app:fetch", "--delay", "-3"], "is not a length of time"),
            (["app:fetch", "--delay", "1h", "--run-at", "2031-01-01"], "delay and run_at are both given"),
            (["app:fetch", "--run-at", "tomorrow"], "is not an instant"),
            (["app:fetch", "--priority", "high"], "'high' is not a whole number"),
            (["app:fetch", "--ack", "never"], "ack is 'never'"),
            (["app:fetch", "--meta", "[]"], "meta is []"),
            (["app:fetch", "--timeout", "0"], "timeout is 0"),
            (["app:fetch", "--queue", ""], "queue's name is ''"),
            (["app:fetch", "--tag", "\x07"], "a tag is"),
            (["app:fetch", "x" * (1 << 20)], "over the limit"),
            (["app:fetch", "--frob"], "unrecognized arguments: --frob"),
        ):
            with self.subTest(argv[1:3]):
                self.assert_refused(["enqueue", self.file, *argv], complaint)
        self.assertEqual(self.cli("list", self.file).code, 1)

    def test_a_folder_that_is_missing_is_not_made(self) -> None:
        file = Path(self.place, "no", "jobs.db")
        self.assert_refused(["enqueue", str(file), "app:fetch"], "does not exist; make it first")
        self.assertFalse(file.parent.exists())
