"""`list`, `show` and `explain`."""

import tempfile
from pathlib import Path

from litequeue.job import Filter, Flow, Lease, NewJobs, Note, Parent, Rule, StoredResult
from litequeue.storage.database import Database
from tests.cli.case import HOUR, MINUTE, NOON, CommandCase
from tests.repository import run_python


class TestList(CommandCase):
    def fill(self) -> None:
        """A job in every state but `blocked`, newest last, a minute apart."""
        self.open()
        worker = self.sign_on()
        self.enqueue(tags='["web"]', payload='[["http://x"],{"deep":1}]')
        self.fail_next(worker)
        self.enqueue(priority=7)
        self.complete_next(worker)
        self.enqueue("app:mail", "mail")
        self.store.cancel(3, "not wanted")
        self.clock.pass_time(MINUTE)
        self.enqueue(run_at=NOON + HOUR)
        self.enqueue()
        lease = self.claim(worker).lease
        self.store.note(Note(lease, progress=0.4, progress_text="done"))
        self.clock.pass_time(MINUTE)
        self.enqueue()

    def test_shows_the_newest_first(self) -> None:
        self.fill()
        self.assert_prints(
            ["list", self.file],
            """
            id  state      task       arguments           queue    priority  when        tags  note
             6  ready      app:fetch                      default         0  now
             5  running    app:fetch                      default         0  since 60 s        40% done
             4  scheduled  app:fetch                      default         0  in 58 min
             3  cancelled  app:mail                       mail            0  2 min ago         not wanted
             2  completed  app:fetch                      default         7  2 min ago
             1  failed     app:fetch  "http://x", deep=1  default         0  2 min ago   web   error: no route
            """,
        )

    def test_leaves_out_columns_in_which_nothing_is_said(self) -> None:
        self.open()
        self.enqueue()
        self.fail_next(self.sign_on(), retry_at=NOON + MINUTE)
        self.assert_prints(
            ["list", self.file],
            """
            id  state      task       queue    when     note
             1  scheduled  app:fetch  default  in 60 s  failed once
            """,
        )

    def test_says_how_often_a_job_failed(self) -> None:
        self.open()
        worker = self.sign_on()
        self.enqueue()
        for retry_at in (NOON, NOON, None):
            self.fail_next(worker, retry_at)
        self.assertIn("error: no route, failed 3 times\n", self.cli("list", self.file).out)

    def test_filters(self) -> None:
        self.fill()
        for options, expected in (
            (["--state", "failed"], [1]),
            (["--queue", "mail"], [3]),
            (["--task", "app:fetch", "--state", "ready"], [6]),
            (["--tag", "web"], [1]),
            (["--older-than", "90s"], [3, 2, 1]),
            (["--older-than", "1m"], [3, 2, 1]),
            (["--older-than", "0"], [5, 4, 3, 2, 1]),
            (["--after", "3"], [2, 1]),
        ):
            with self.subTest(options):
                ended = self.cli("list", self.file, "--json", *options)
                self.assertEqual(([job["id"] for job in ended.json], ended.code), (expected, 0))

    def test_pages(self) -> None:
        self.fill()
        first = self.cli("list", self.file, "--limit", "4")
        self.assertEqual(first.out.splitlines()[-1], "there are more: --after 3")
        last = self.cli("list", self.file, "--limit", "4", "--after", "3")
        self.assertNotIn("there are more", last.out)
        self.assertEqual(len(last.out.splitlines()), 3)

    def test_says_no_when_nothing_matches(self) -> None:
        self.fill()
        ended = self.cli("list", self.file, "--tag", "nobody")
        self.assertEqual((ended.code, ended.out), (1, "no job matches\n"))
        self.assertEqual(self.cli("list", self.file, "--tag", "nobody", "--json").json, [])

    def test_as_json(self) -> None:
        self.fill()
        (job,) = self.cli("list", self.file, "--json", "--tag", "web").json
        self.assertEqual(
            job,
            {
                "id": 1,
                "task": "app:fetch",
                "queue": "default",
                "state": "failed",
                "reason": "error",
                "message": "no route",
                "priority": 0,
                "attempt": 1,
                "failures": 1,
                "crashes": 0,
                "created_at": "2030-05-01T12:00:00.000000+00:00",
                "run_at": "2030-05-01T12:00:00.000000+00:00",
                "started_at": "2030-05-01T12:00:00.000000+00:00",
                "finished_at": "2030-05-01T12:00:00.000000+00:00",
                "expires_at": None,
                "worker": None,
                "cancelling": False,
                "parked": False,
                "progress": None,
                "progress_text": None,
                "tags": ["web"],
                "meta": {},
                "unique_key": None,
                "limit_key": None,
                "schedule": None,
                "scheduled_for": None,
            },
        )

    def test_refuses_what_it_does_not_know(self) -> None:
        self.open()
        self.assert_refused(
            ["list", self.file, "--state", "gone"], "the states are scheduled, blocked, ready"
        )
        self.assert_refused(["list", self.file, "--older-than", "soon"], "is not a length of time")
        self.assert_refused(["list", self.file, "--limit", "0"], "--limit is 0")
        self.assert_refused(["list", self.file, "--after", "x"], "is not the id of a job")


class TestShow(CommandCase):
    def test_shows_all_of_a_job(self) -> None:
        self.open()
        worker = self.sign_on()
        self.enqueue(
            payload='[["https://x",{"a":[1,null]}],{"when":{"$date":"2030-01-01"}}]',
            priority=3,
            tags='["web","süß"]',
            meta='{"by":"me"}',
            options='{"retry":{"max_attempts":2},"timeout":30000000,"isolate":true}',
            expires_at=NOON + HOUR,
        )
        self.fail_next(worker, retry_at=NOON + MINUTE)
        self.clock.pass_time(MINUTE)
        lease = self.claim(worker).lease
        self.store.note(Note(lease, 0.25, "page 1", None, ((self.clock.now(), "one\ttwo"),)))
        self.assert_prints(
            ["show", self.file, "1"],
            """
            job 1 is running, 25% page 1, failed once

              task      app:fetch
              arguments "https://x", {"a": [1, null]}, when={"$date": "2030-01-01"}
              queue     default, priority 3
              tags      web, süß
              meta      {"by":"me"}
              options   isolate True, at most 2 attempts, timeout 30 s
              created   2030-05-01 12:00:00 UTC, 60 s ago
              due       2030-05-01 12:01:00 UTC, now
              started   2030-05-01 12:01:00 UTC, now
              attempt   2, 1 failure
              worker    1
              progress  25% page 1

            attempt 1 failed 60 s ago (error): OSError: no route
              Traceback (most recent call last):
                File "app.py", line 3, in fetch
              OSError: no route

            log
              2030-05-01 12:01:00 UTC  attempt 2  one\\ttwo
            """,
        )

    def test_shows_a_result(self) -> None:
        self.open()
        self.enqueue()
        self.complete_next(self.sign_on())
        self.assert_prints(
            ["show", self.file, "1"],
            """
            job 1 is completed

              task      app:fetch
              arguments none
              queue     default
              created   2030-05-01 12:00:00 UTC, now
              started   2030-05-01 12:00:00 UTC, now
              finished  2030-05-01 12:00:00 UTC, now
              attempt   1
              result    {"size":3}
            """,
        )

    def test_shows_the_steps_that_are_finished(self) -> None:
        self.open()
        lease = self.claim_next()
        for name, result in (
            ("ask", ("[1,2]", "json")),
            ("wait", (None, None)),
            ("\x1b[2J", (b"x", "pickle")),
        ):
            self.steps.keep(lease, name, StoredResult(*result))
            self.clock.pass_time(MINUTE)
        self.steps.keep(lease, "long", StoredResult(f'"{"x" * 5000}"', "json"))
        shown = self.cli("show", self.file, "1").out
        self.assertIn(
            """
steps
  2030-05-01 12:00:00 UTC  attempt 1  ask: [1,2]
  2030-05-01 12:01:00 UTC  attempt 1  wait: None
  2030-05-01 12:02:00 UTC  attempt 1  \\x1b[2J: (1 bytes, written by the codec 'pickle')
  2030-05-01 12:03:00 UTC  attempt 1  long: "xxxx""",
            shown,
        )
        self.assertLess(max(map(len, shown.splitlines())), 120)
        steps = self.cli("show", self.file, "1", "--json").json["steps"]
        self.assertEqual(
            steps[0],
            {
                "name": "ask",
                "attempt": 1,
                "at": "2030-05-01T12:00:00.000000+00:00",
                "result_codec": "json",
                "result": [1, 2],
            },
        )
        self.assertEqual(
            [(step["name"], step["result"]) for step in steps[1:3]], [("wait", None), ("\x1b[2J", None)]
        )

    def claim_next(self) -> Lease:
        """A lease on a job that is enqueued for it."""
        self.enqueue()
        return self.claim(self.sign_on()).lease

    def test_as_json(self) -> None:
        self.open()
        worker = self.sign_on()
        self.enqueue(payload='[["https://x"],{"deep":true}]')
        self.fail_next(worker)
        found = self.cli("show", self.file, "1", "--json").json
        self.assertEqual((found["args"], found["kwargs"]), (["https://x"], {"deep": True}))
        self.assertEqual((found["result"], found["log"], found["state"]), (None, [], "failed"))
        (failed,) = found["failed_attempts"]
        self.assertEqual((failed["attempt"], failed["type"], failed["message"]), (1, "OSError", "no route"))
        self.assertIn("Traceback", failed["traceback"])

    def test_never_decodes_another_codec(self) -> None:
        self.open()
        self.enqueue(payload=b"cos\nsystem\n(S'exit 3'\ntR.", codec="pickle")
        ended = self.cli("show", self.file, "1")
        self.assertIn("(25 bytes, written by the codec 'pickle')", ended.out)
        self.assertEqual(self.cli("show", self.file, "1", "--json").json["args"], None)

    def test_shows_what_is_no_json_as_it_is(self) -> None:
        self.open()
        self.enqueue(payload="nonsense", tags="nonsense", meta="nonsense", options="nonsense")
        ended = self.cli("show", self.file, "1")
        self.assertEqual(ended.out.count("nonsense"), 3)
        self.assertEqual(self.cli("show", self.file, "1", "--json").json["tags"], [])

    def test_a_job_that_is_not_there(self) -> None:
        self.open()
        self.assert_refused(["show", self.file, "7"], "there is no job 7", code=1)
        self.assert_refused(["show", self.file, "seven"], "'seven' is not the id of a job")


class TestExplain(CommandCase):
    """One condition at a time, and which of two is named."""

    def assert_explains(self, id: int, condition: str, text: str) -> None:
        found = self.cli("explain", self.file, str(id), "--json").json
        self.assertEqual((found["id"], found["condition"]), (id, condition))
        ended = self.cli("explain", self.file, str(id))
        self.assertEqual((ended.code, ended.out), (0, f"job {id}: {found['text']}\n"))
        self.assertIn(text, ended.out)

    def test_not_due(self) -> None:
        self.open()
        self.assert_explains(self.enqueue(run_at=NOON + HOUR), "not due", "2030-05-01 13:00:00 UTC")

    def test_not_due_after_a_failure(self) -> None:
        self.open()
        self.enqueue()
        self.fail_next(self.sign_on(), retry_at=NOON + MINUTE)
        self.assert_explains(1, "not due", "after 1 failure")

    def test_paused(self) -> None:
        self.open()
        self.enqueue()
        self.store.pause("default")
        self.assert_explains(1, "paused", "'default' is paused")

    def test_no_live_worker(self) -> None:
        self.open()
        self.sign_on("mail")
        self.assert_explains(self.enqueue(), "no worker", "no live worker serves its queue 'default'")

    def test_blocked(self) -> None:
        self.open()
        parent = Parent(self.enqueue())
        waiting = NewJobs("app:task", "default", ("[[],{}]",), flow=Flow(parents=(parent,)))
        (child,) = self.store.enqueue_flow([waiting])
        self.assert_explains(child.id, "blocked", "it waits for job 1, which is ready")
        limited = NewJobs("app:task", "default", ("[[],{}]",), flow=Flow(limit_key="api", rule=Rule(1)))
        (held,) = self.store.enqueue_flow([limited])
        self.database.write(lambda c: c.execute("UPDATE litequeue_job SET state = 'blocked'"))
        self.assert_explains(held.id, "limited", "its limit 'api' has no room")
        self.assert_explains(1, "blocked", "by nothing")

    def test_behind_others(self) -> None:
        self.open()
        self.sign_on()
        self.enqueue()
        self.enqueue(priority=9)
        self.assert_explains(self.enqueue(), "behind", "behind 2 jobs")
        self.assert_explains(1, "behind", "behind 1 job ")

    def test_next(self) -> None:
        self.open()
        self.sign_on()
        self.assert_explains(self.enqueue(), "next", "next to be claimed")

    def test_no_worker_can_resolve_it(self) -> None:
        self.open()
        worker = self.sign_on()
        self.enqueue("gone:task")
        self.park(worker, "gone:task")
        self.assert_explains(1, "no code", "resolve its task 'gone:task'")

    def test_running(self) -> None:
        self.open()
        self.enqueue()
        self.claim(self.sign_on())
        self.assert_explains(1, "running", "worker 1 since 2030-05-01 12:00:00 UTC, attempt 1")

    def test_asked_to_stop(self) -> None:
        self.open()
        self.enqueue()
        self.claim(self.sign_on())
        self.store.cancel(1)
        self.assert_explains(1, "cancelling", "asked to stop")

    def test_running_on_a_dead_worker(self) -> None:
        self.open()
        self.enqueue()
        self.claim(self.sign_on())
        self.clock.pass_time(HOUR)
        self.assert_explains(1, "orphaned", "its worker 1 died")

    def test_ended(self) -> None:
        self.open()
        worker = self.sign_on()
        self.enqueue()
        self.complete_next(worker)
        self.enqueue()
        self.fail_next(worker)
        self.store.cancel(self.enqueue(), "not wanted")
        self.assert_explains(1, "completed", "completed at 2030-05-01 12:00:00 UTC")
        self.assert_explains(2, "failed", "error: no route")
        self.assert_explains(3, "cancelled", "cancelled: not wanted")

    def test_expired(self) -> None:
        self.open()
        worker = self.sign_on()
        self.enqueue(expires_at=NOON + MINUTE)
        self.clock.pass_time(2 * MINUTE)
        self.workers.renew(worker, HOUR)
        self.assert_explains(1, "expired", "the next claim cancels it")
        self.claim_nothing(worker)
        self.assert_explains(1, "expired", "was cancelled at")

    def test_what_can_not_be_helped_yet_is_named_first(self) -> None:
        self.open()
        self.store.pause("default")
        self.assert_explains(self.enqueue(run_at=NOON + HOUR), "not due", "not due")
        self.assert_explains(self.enqueue(), "paused", "paused")

    def test_a_job_that_is_not_there(self) -> None:
        self.open()
        self.assert_refused(["explain", self.file, "7"], "there is no job 7", code=1)


class TestReading(CommandCase):
    """Whoever reads leaves no trace, and needs nobody."""

    COMMANDS = (["info"], ["list"], ["show", "1"], ["explain", "1"], ["workers"])

    def test_a_missing_file_is_not_made(self) -> None:
        for argv in (*self.COMMANDS, ["pause", "q"], ["cancel", "1"], ["retry", "--all"], ["prune"]):
            with self.subTest(argv):
                self.assert_refused([argv[0], self.file, *argv[1:]], "there is no such file")
        self.assertEqual(list(self.place.iterdir()), [])

    def test_other_files_are_refused_and_left_alone(self) -> None:
        text = self.place / "text"
        text.write_text("no database, but long enough to be taken for one\n" * 100)
        empty = self.place / "empty"
        empty.touch()
        for file, complaint in ((text, "not a SQLite database"), (empty, "there is no queue in this file")):
            before = file.read_bytes()
            for argv in (*self.COMMANDS, ["pause", "q"], ["cancel", "1"]):
                with self.subTest(file=file.name, argv=argv):
                    self.assert_refused([argv[0], str(file), *argv[1:]], complaint)
            self.assertEqual(file.read_bytes(), before)

    def test_a_folder_and_a_missing_folder_are_refused(self) -> None:
        self.assert_refused(["info", str(self.place)], "this is a folder")
        self.assert_refused(["info", str(self.place / "no" / "jobs.db")], "does not exist")

    def test_a_queue_in_memory_is_refused(self) -> None:
        for argv in (
            ["info", ":memory:"],
            ["enqueue", ":memory:", "app:fetch"],
            ["worker", ":memory:", "--burst"],
        ):
            with self.subTest(argv):
                self.assert_refused(argv, "would end with this command")

    def test_reading_changes_no_byte(self) -> None:
        self.open()
        self.enqueue()
        self.database.close()
        before = (self.place / "jobs.db").read_bytes()
        for argv in self.COMMANDS:
            self.cli(argv[0], self.file, *argv[1:])
        self.assertEqual((self.place / "jobs.db").read_bytes(), before)

    def test_a_copy_in_a_read_only_folder_can_be_read(self) -> None:
        self.open()
        self.enqueue()
        self.database.close()
        for name in self.place.iterdir():
            name.chmod(0o444) if name.name == "jobs.db" else name.unlink()
        self.place.chmod(0o555)
        self.addCleanup(self.place.chmod, 0o755)
        other = Path(self.enterContext(tempfile.TemporaryDirectory())) / "other.db"
        ended = run_python(["-c", READ_AS_NOBODY, self.file, other], other.parent)
        self.assertIn(f"{self.file}: 1 job, 0 workers alive\n", ended.stdout)
        self.assertEqual([name.name for name in self.place.iterdir()], ["jobs.db"])

    def test_the_writer_goes_on_while_others_read(self) -> None:
        self.open()
        self.enqueue()
        other = Database(self.file, read_only=True)
        self.addCleanup(other.close)
        self.enqueue()
        self.assertEqual(self.reports.count(Filter()), 2)
        self.assertEqual(len(self.cli("list", self.file, "--json").json), 2)


# Root may write everywhere, so the reader becomes somebody else once everything is imported.
READ_AS_NOBODY = """
import os, sys
from litequeue.__main__ import main
main(["enqueue", sys.argv[2], "app:fetch", "--json"])
if os.geteuid() == 0:
    os.setuid(65534)
main(["info", sys.argv[1]])
"""
