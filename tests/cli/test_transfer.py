"""`export` and `import` as people type them."""

from __future__ import annotations

import io
import json
from unittest import mock

from litequeue.cli.program import run
from litequeue.cli.terminal import Terminal
from litequeue.errors import DatabaseError
from litequeue.job import Filter, Flow, NewJobs, Parent
from litequeue.storage.database import Database
from litequeue.storage.reports import Reports
from tests.cli.case import NOON, CommandCase, Ended, Paper

HEADER = '{"litequeue": "jobs", "format": 1}\n'


class Pipe(Paper):
    """What comes from another program can be read once."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation("seek")


class TransferCase(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()
        self.other = str(self.place / "other.db")

    def export(self, *argv: str) -> str:
        return self.cli("export", self.file, *argv).out

    def bring(self, text: str, *argv: str, source: type[Paper] = Paper, is_terminal: bool = False) -> Ended:
        out, err = Paper(), Paper(is_terminal=is_terminal)
        terminal = Terminal(out, err, source(text), self.clock)
        return Ended(run(["import", self.other, *argv], terminal), out.getvalue(), err.getvalue())

    def there(self) -> list[int]:
        database = Database(self.other)
        self.addCleanup(database.close)
        return sorted(job.id for job in Reports(database).jobs(Filter(), limit=10_000))


class TestExport(TransferCase):
    def test_a_line_per_job(self) -> None:
        self.enqueue(payload='[["ä",2],{"b":null}]', tags='["web"]', meta='{"by":"me"}')
        self.complete_next(self.sign_on())
        text = self.export()
        self.assertTrue(text.startswith(HEADER))
        said = json.loads(text.splitlines()[1])
        self.assertEqual(said["payload"], [["ä", 2], {"b": None}])
        self.assertEqual(said["result"], {"size": 3})
        self.assertEqual((said["tags"], said["meta"]), (["web"], {"by": "me"}))
        self.assertEqual(said["finished_at"], "2030-05-01T12:00:00.000000+00:00")

    def test_filters(self) -> None:
        for queue in ("default", "mail", "mail"):
            self.enqueue(queue=queue)
        self.assertEqual(len(self.export("--queue", "mail").splitlines()), 3)
        self.assertEqual(self.cli("export", self.file, "--state", "failed").code, 1)
        self.assert_refused(["export", self.file, "--state", "gone"], "'gone' is not a state")

    def test_shows_a_bar_to_a_person(self) -> None:
        for _ in range(600):
            self.enqueue()
        self.assertIn("500 of 600", self.cli("export", self.file, is_terminal=True).err)


class TestImport(TransferCase):
    def fill(self, jobs: int = 3) -> str:
        for _ in range(jobs):
            self.enqueue()
        return self.export()

    def test_what_was_exported(self) -> None:
        text = self.fill()
        ended = self.bring(text)
        self.assertEqual((ended.code, ended.out, ended.err), (0, "imported 3 jobs, ids 1 to 3\n", ""))
        self.assertEqual(self.bring(text, "--json").json, {"jobs": 3, "first": 4, "last": 6})
        self.assertEqual(self.there(), [1, 2, 3, 4, 5, 6])

    def test_from_another_program(self) -> None:
        self.assertEqual(self.bring(self.fill(), source=Pipe).out, "imported 3 jobs, ids 1 to 3\n")

    def test_only_looked_at(self) -> None:
        ended = self.bring(self.fill(), "--dry-run")
        self.assertEqual(ended.out, "3 jobs can be imported\n")
        self.assertFalse((self.place / "other.db").exists())

    def test_under_the_same_ids(self) -> None:
        text = self.fill()
        self.cli("delete", self.file, "1", "--yes")
        self.assertEqual(self.bring(self.export(), "--keep-ids").out, "imported 2 jobs, ids 2 to 3\n")
        ended = self.bring(text, "--keep-ids")
        self.assertEqual(ended.code, 1)
        self.assertIn("line 3: there is a job 2 here already; without --keep-ids", ended.err)
        self.assertEqual(self.there(), [2, 3])  # not even job 1, which would have fitted

    def test_a_wrong_line_is_named_and_nothing_is_stored(self) -> None:
        first, *lines = self.fill(600).splitlines(keepends=True)
        for place, line, expected in (
            (-1, "{\n", "line 601: it is not JSON"),
            (-1, '{"id": 700}\n', "line 601: the job has no task"),
            (-1, lines[0], "line 601: its id has stood before"),
            (0, "\x00\n", "line 2: it is not JSON"),
        ):
            with self.subTest(expected):
                changed = [*lines]
                changed[place] = line
                ended = self.bring("".join([first, *changed]))
                self.assertEqual((ended.code, ended.out), (2, ""))
                self.assertRegex(ended.err, rf"\Alitequeue: {expected}.*; nothing was imported\n\Z")
        self.assertFalse((self.place / "other.db").exists())
        for text in ("", "\n", "".join(lines), '{"litequeue": "jobs", "format": 2}\n'):
            self.assertEqual(self.bring(text).code, 2)

    def test_a_child_without_its_parent(self) -> None:
        parent = self.enqueue()
        flow = Flow(parents=(Parent(parent),))
        self.store.enqueue_flow([NewJobs("app:child", "default", ("[[],{}]",), flow=flow)])
        ended = self.bring(self.export("--task", "app:child"))
        self.assertIn("line 2: it waits for job 1, which does not stand before it", ended.err)
        self.assertEqual(self.bring(self.export()).code, 0)

    def test_a_disk_that_fails_midway_leaves_whole_batches(self) -> None:
        text = self.fill(1200)
        write, calls = Database.write, 0

        def failing(database: Database, *args: object, **rest: object) -> object:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise DatabaseError("the disk refused")
            return write(database, *args, **rest)  # type: ignore[arg-type]

        with mock.patch.object(Database, "write", failing):
            ended = self.bring(text)
        self.assertEqual(ended.code, 2)
        self.assertIn("the disk refused", ended.err)
        self.assertEqual(len(self.there()), 1000)

    def test_shows_a_bar_to_a_person(self) -> None:
        self.assertIn("600 of 600", self.bring(self.fill(600), is_terminal=True).err)

    def test_times_are_kept(self) -> None:
        self.enqueue(run_at=NOON + 5)
        text = self.export()
        self.bring(text, "--keep-ids")
        database = Database(self.other, read_only=True)
        self.addCleanup(database.close)
        self.assertEqual(Reports(database).job(1), self.reports.job(1))
