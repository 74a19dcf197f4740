"""`export` and `import` as people type them."""

from __future__ import annotations

import io
import json
from typing import Any
from unittest import mock

from litequeue.cli.program import run
from litequeue.cli.terminal import Terminal
from litequeue.errors import DatabaseError
from litequeue.job import Filter, Flow, NewJobs, Parent
from litequeue.storage.database import Database
from litequeue.storage.reports import Reports
from litequeue.storage.store import Store
from tests.cli.case import NOON, CommandCase, Ended, Paper

HEADER = '{"litequeue": "jobs", "format": 2}\n'


class Pipe(Paper):
    """What comes from another program can be read once."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation("seek")


def put(store: Store, task: str = "app:fetch", **flow: Any) -> None:
    store.enqueue_flow([NewJobs(task, "default", ("[[],{}]",), flow=Flow(**flow))])


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

    def opened(self) -> Database:
        database = Database(self.other)
        self.addCleanup(database.close)
        return database

    def there(self) -> list[int]:
        return sorted(job.id for job in Reports(self.opened()).jobs(Filter(), limit=10_000))


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
        self.assertEqual(len(self.export("--queue", "mail").splitlines()), 4)
        self.assertEqual(self.cli("export", self.file, "--state", "failed").code, 1)
        self.assert_refused(["export", self.file, "--state", "gone"], "'gone' is not a state")

    def test_a_file_that_can_not_be_opened_leaves_nothing_that_looks_like_an_export(self) -> None:
        self.assert_refused(["export", str(self.place / "gone.db")], "gone.db")

    def test_no_job_at_all(self) -> None:
        ended = self.cli("export", self.file)
        self.assertEqual((ended.code, ended.out), (1, HEADER + '{"litequeue": "end", "jobs": 0}\n'))
        self.assertEqual(self.bring(ended.out).out, "imported 0 jobs\n")

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
        said = {"jobs": 3, "first": 4, "last": 6, "next_line": None}
        self.assertEqual(self.bring(text, "--json").json, said)
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
        self.assertIn("(and 1 more line like it); nothing was imported", ended.err)
        self.assertEqual(self.there(), [2, 3])  # not even job 1, which would have fitted

    def test_a_wrong_line_is_named_and_nothing_is_stored(self) -> None:
        first, *lines, last = self.fill(600).splitlines(keepends=True)
        for place, line, expected in (
            (-1, "{\n", "line 601: it is not JSON"),
            (-1, '{"id": 700}\n', "line 601: the job has no task"),
            (-1, lines[0], "line 601: its id has stood before"),
            (0, "\x00\n", "line 2: it is not JSON"),
        ):
            with self.subTest(expected):
                changed = [*lines]
                changed[place] = line
                ended = self.bring("".join([first, *changed, last]))
                self.assertEqual((ended.code, ended.out), (2, ""))
                self.assertRegex(ended.err, rf"\Alitequeue: {expected}.*; nothing was imported\n\Z")
        self.assertFalse((self.place / "other.db").exists())
        for text in ("", "\n", "".join(lines), '{"litequeue": "jobs", "format": 3}\n'):
            self.assertEqual(self.bring(text).code, 2)

    def test_a_child_without_its_parent(self) -> None:
        parent = self.enqueue()
        put(self.store, "app:child", parents=(Parent(parent),))
        ended = self.bring(self.export("--task", "app:child"))
        self.assertIn("line 2: it waits for job 1, which does not stand before it", ended.err)
        self.assertEqual(self.bring(self.export()).code, 0)

    def test_a_torn_input_is_refused(self) -> None:
        first, *lines, last = self.fill(3).splitlines(keepends=True)
        for parts, expected in (
            ([first, *lines], "the input is torn: line 4 is its last, and does not end an export"),
            ([first], "the input is torn"),
            ([first, *lines[1:], last], "line 4: it tells of 3 jobs, before it stand 2"),
            ([first, *lines, last, lines[0]], "line 6: it stands behind the line that ends the export"),
        ):
            ended = self.bring("".join(parts))
            self.assertEqual((ended.code, ended.out), (2, ""))
            self.assertIn(expected, ended.err)
        self.assertFalse((self.place / "other.db").exists())

    def test_one_of_the_older_form_is_taken_with_a_word(self) -> None:
        first, *lines, _ = self.fill(3).splitlines(keepends=True)
        ended = self.bring("".join([first.replace("2", "1"), *lines]))
        self.assertEqual((ended.code, ended.out), (0, "imported 3 jobs, ids 1 to 3\n"))
        self.assertIn("does not say whether it is whole", ended.err)

    def test_what_is_here_is_compared_before_anything_is_stored(self) -> None:
        self.fill(600)
        for key in ("a", "b"):
            put(self.store, unique_key=key)
        text = self.export()
        there = Store(self.opened(), self.clock)
        for key in ("b", "a"):
            put(there, unique_key=key)
        for more in ([], ["--dry-run"]):
            ended = self.bring(text, *more)
            self.assertEqual((ended.code, ended.out), (1, ""))
            self.assertIn("line 602: a job that is here has its unique key 'a', and is not final", ended.err)
            self.assertIn("(and 1 more line like it); nothing was imported", ended.err)
        self.assertEqual(self.there(), [1, 2])

    def test_two_of_the_input_that_can_not_both_be_here(self) -> None:
        put(self.store, unique_key="a")
        first, line, last = self.export().splitlines(keepends=True)
        again = line.replace('"id": 1', '"id": 2')
        ended = self.bring("".join([first, line, again, last.replace("1", "2")]))
        self.assertEqual(ended.code, 2)
        self.assertIn("line 3: its unique key is also that of line 2", ended.err)

    def test_a_firing_that_is_here(self) -> None:
        put(self.store, schedule="nightly", scheduled_for=NOON)
        text = self.export()
        self.assertEqual(self.bring(text).code, 0)
        ended = self.bring(text)
        self.assertIn("line 2: the job that schedule 'nightly' made for the same instant", ended.err)
        self.assertEqual(self.there(), [1])

    def halted(self, text: str, *argv: str) -> Ended:
        """The import of a text while the disk fails in its third transaction."""
        write, calls = Database.write, 0

        def failing(database: Database, *args: object, **rest: object) -> object:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise DatabaseError("the disk refused")
            return write(database, *args, **rest)  # type: ignore[arg-type]

        with mock.patch.object(Database, "write", failing):
            return self.bring(text, *argv)

    def test_a_disk_that_fails_midway_leaves_whole_batches_and_the_way_to_go_on(self) -> None:
        text = self.fill(1200)
        ended = self.halted(text)
        self.assertEqual(ended.code, 2)
        self.assertIn("the disk refused", ended.err)
        self.assertEqual(
            ended.out,
            "imported 1,000 jobs, ids 1 to 1000\n"
            "the rest is not: import the same input with --from-line 1002\n",
        )
        self.assertEqual(len(self.there()), 1000)
        self.assertEqual(self.bring(text, "--from-line", "1002").out, "imported 200 jobs, ids 1001 to 1200\n")
        self.assertEqual(len(self.there()), 1200)

    def test_a_halt_is_told_to_programs(self) -> None:
        ended = self.halted(self.fill(1200), "--json")
        self.assertEqual(ended.json, {"jobs": 1000, "first": 1, "last": 1000, "next_line": 1002})
        self.assertEqual(ended.code, 2)

    def test_a_line_to_begin_with_that_there_can_not_be(self) -> None:
        self.assertEqual(self.bring(self.fill(), "--from-line", "0").code, 2)

    def test_shows_a_bar_to_a_person(self) -> None:
        self.assertIn("600 of 600", self.bring(self.fill(600), is_terminal=True).err)

    def test_times_are_kept(self) -> None:
        self.enqueue(run_at=NOON + 5)
        text = self.export()
        self.bring(text, "--keep-ids")
        database = Database(self.other, read_only=True)
        self.addCleanup(database.close)
        self.assertEqual(Reports(database).job(1), self.reports.job(1))
