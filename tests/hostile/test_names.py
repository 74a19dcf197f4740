"""Names that are SQL, noise, or ten thousand letters: they come back as they went in, or are refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from litequeue import InvalidOption, Job, Queue, State
from litequeue.job import NewWorker
from litequeue.options import text_name
from litequeue.storage import checks, opening
from litequeue.storage.hints import fifo_path
from tests.cli.case import CommandCase
from tests.users.case import QueueCase

ACCEPTED = (
    *(
        "'); DROP TABLE litequeue_job;--",
        "' OR 1=1 --",
        '"',
        "''",
        "`",
        ";",
        "?",
        ":queue",
        "@x",
        "$1",
        "\\",
        "/*",
    ),
    *(
        "%",
        "_",
        "*",
        "[a-z]",
        "a%b",
        "NULL",
        "null",
        "None",
        "0",
        "-1",
        "1e5",
        "true",
        "x'00'",
        "rowid",
        "litequeue_job",
    ),
    *(
        "-rf",
        "--json",
        "../x",
        "/etc/passwd",
        "~",
        "a,b",
        "a b",
        " ",
        "C:\\x",
        "http://x/?a=b#c",
        "{}",
        "{0}",
        "%s%n",
    ),
    *(
        "🐍",
        "ünï",
        "漢字",
        "\u0645\u0631\u062d\u0628\u0627",
        "שלום",
        "e\u0301",
        "ﬃ",
        "x" * 200,
        "🐍" * 200,
    ),
)
REFUSED: tuple[Any, ...] = (
    *("", "\0", "a\0b", "\n", "a\nb", "\r", "\t", "\x1b[31m", "\x1b]0;x\x07", "\x7f", "\x9b31m", "\x85"),
    *(
        "\u202e",
        "\u2066x",
        "\u200b",
        "\ufeff",
        "\u2028",
        "\u2029",
        "\xa0",
        "\ud800",
        "a\udcff",
        "\ud83d",
        "\ue000",
    ),
    *("👩\u200d🚀", "\U000e0041", "\uffff", "x" * 201, "x" * 10_000, "é" * 10_000),
    *(None, 5, 1.5, True, b"x", b"", ["x"], ("x",), {"x": 1}, object(), str),
)


class TestNames(QueueCase):
    def tearDown(self) -> None:
        """Whatever was tried, the file is whole and nobody has changed its schema."""
        if self.path.exists():
            with closing(sqlite3.connect(self.path)) as connection:
                self.assertEqual(checks.broken(connection), [])
                rows = connection.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'litequeue%'")
                self.assertEqual({row[0] for row in rows.fetchall()}, set(opening.schema_parts()))

    def test_what_can_be_read_comes_back_as_it_went_in(self) -> None:
        for name in ACCEPTED:
            with self.subTest(name[:20]):
                queue = self.make_queue(name)
                task = queue.task(name=name)(lambda: None)
                job = task.using(tags=[name, "other"], meta={name: name}).enqueue()
                self.assert_found(queue, job, name)
                self.assertEqual(queue.drain(), 1)
                self.assertEqual((job.refresh().state, job.task, job.queue), (State.COMPLETED, name, name))
                self.assertEqual((job.tags, job.meta), ((name, "other"), {name: name}))

    def assert_found(self, queue: Queue, job: Job[Any], name: str) -> None:
        """By each filter it is found, and it alone."""
        for chosen in ({"task": name}, {"tag": name}, {}):
            self.assertEqual(queue.jobs(**chosen), [job])  # type: ignore[arg-type]
        self.assertEqual(queue.jobs(tag="nothing"), [])
        self.assertEqual(queue.counts()[State.READY], 1)
        queue.pause()
        self.assertIn("is paused", job.explain())
        queue.resume()
        self.assertNotIn("paused", job.explain())

    def test_a_worker_of_any_name_and_queue_is_seen(self) -> None:
        workers = self.queue.desk.workers
        for name in ACCEPTED:
            workers.sign_on(NewWorker(name, 1, (name,)), locked=False)
        found = self.queue.desk.reports.workers()
        self.assertEqual([(one.name, one.queues) for one in found], [(name, (name,)) for name in ACCEPTED])

    def test_the_rest_is_refused_everywhere_and_nothing_is_written(self) -> None:
        task = self.queue.task(name="app:task")(lambda: None)
        takers: dict[str, Callable[[Any], object]] = {
            "queue": self.make_queue,
            "queue=": lambda v: task.using(queue=v),
            "task": lambda v: (
                self.queue.task(name=v)(lambda: None) if v is not None else text_name(v, "task")
            ),
            "by name": lambda v: self.queue.enqueue(
                f"app:{v}" if isinstance(v, str) and v else text_name(v, "task")
            ),
            "tags": lambda v: task.using(tags=[v]),
            "jobs(queue=)": lambda v: self.queue.jobs(queue=v if v is not None else ""),
            "jobs(tag=)": lambda v: self.queue.jobs(tag=v if v is not None else ""),
            "worker(queues=)": lambda v: self.queue.worker(queues=[v]),
        }
        for place, taker in takers.items():
            for value in REFUSED:
                with self.subTest(place, value=ascii(value)[:30]), self.assertRaises(InvalidOption) as caught:
                    taker(value)
                str(caught.exception).encode()
                self.assertLess(len(str(caught.exception)), 300)
        self.assertEqual(self.contents(), {})

    def test_keys_of_meta(self) -> None:
        task = self.queue.task(name="app:task")(lambda: None)
        keys = ("", "\0", "\x1b[0m", "\u202e", "x" * 10_000, "$tuple", "__class__", "\U0001f40d")
        meta = {key: key for key in keys}
        self.assertEqual(task.using(meta=meta).enqueue().meta, meta)
        for key in ("\ud800", 5, None, b"x"):
            with self.assertRaises(InvalidOption):
                task.using(meta={key: 1})  # type: ignore[dict-item]

    def test_a_queue_of_any_name_has_a_pipe_of_its_own_beside_the_file(self) -> None:
        pipes = {fifo_path(str(self.path), name) for name in ACCEPTED}
        self.assertEqual(len(pipes), len(ACCEPTED))
        for pipe in pipes:
            self.assertRegex(pipe.removeprefix(str(self.path)), r"\A-wake-[0-9a-f]{12}\Z")

    def test_words_about_a_job_may_be_any(self) -> None:
        words = "\0 \x1b]0;x\x07 \u202e \ud800 " + "x" * 10_000
        job = self.queue.enqueue("app:task")
        job.cancel(words)
        self.assertEqual(job.snapshot.message, words.replace("\ud800", "\\ud800"))
        other = self.queue.enqueue("app:task")
        for reason in (5, b"no", ["no"], object()):
            with self.assertRaises(InvalidOption):
                other.cancel(reason)  # type: ignore[arg-type]
        self.assertEqual(other.refresh().state, State.READY)


class TestCommandLine(CommandCase):
    def test_what_no_text_can_hold_is_refused(self) -> None:
        self.open()
        self.enqueue()
        for argv in (
            *(
                [verb, option, "\udcff"]
                for verb in ("list", "cancel")
                for option in ("--queue", "--task", "--tag", "--state")
            ),
            *(
                [verb, "\udcff"]
                for verb in ("show", "explain", "cancel", "retry", "delete", "pause", "resume", "enqueue")
            ),
            *(
                ["enqueue", "app:f", "\udcff"],
                ["enqueue", "app:f", "--queue", "\udcff"],
                ["enqueue", "app:f", "--tag", "\udcff"],
            ),
            *(["enqueue", "app:f", "--meta", '{"a":"\udcff"}'], ["worker", "--queues", "\udcff"]),
        ):
            with self.subTest(ascii(argv)):
                self.assert_refused(
                    [argv[0], self.file, *argv[1:], *(["--yes"] if argv[0] == "cancel" else [])], ""
                )

    def test_what_nobody_would_name_so_can_still_be_looked_for(self) -> None:
        self.open()
        for name in ("\x1b[31m", "a\nb", "%"):
            self.enqueue(name, name, tags='["%"]')
            self.assertEqual(self.cli("list", self.file, "--task", name, "--json").json[0]["task"], name)
        self.assertEqual(len(self.cli("list", self.file, "--tag", "%", "--json").json), 3)
        self.assertEqual(self.cli("list", self.file, "--tag", "_").code, 1)
