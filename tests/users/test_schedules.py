"""Schedules: declared or added at run time, fired once by whoever is first, caught up after downtime."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from litequeue import BadArguments, InvalidOption, Queue, Task, current_job
from litequeue.errors import InvalidSchedule, ScheduleNotFound
from litequeue.resolve import Resolver
from litequeue.storage.checks import broken
from litequeue.testing import in_memory
from litequeue.timing import Timing
from litequeue.worker.firing import declare
from tests.repository import ROOT
from tests.users.case import QueueCase

HOUR = 3600
DAY = 24 * HOUR


class ScheduleCase(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.ran: list[Any] = []

    def declare(self, name: str = "app:report", **options: Any) -> Task[..., Any]:
        """A task that notes for which instant it ran."""

        def note() -> None:
            job = current_job()
            assert job is not None
            self.ran.append(job.scheduled_for)

        task: Task[..., Any] = self.queue.task(name=name, **options)(note)
        self.queue.drain()
        return task

    def run_for(self, *steps: float) -> list[str]:
        """For which instants jobs ran while the clock moved on in these steps."""
        self.ran.clear()
        for seconds in steps:
            self.clock.advance(seconds)
            self.queue.drain()
        return [f"{instant:%d %H:%M:%S}" for instant in self.ran]


class TestFiring(ScheduleCase):
    def test_a_cron_fires_at_its_instants(self) -> None:
        self.declare(cron="30 4 * * *")
        self.assertEqual(self.run_for(4 * HOUR, HOUR, DAY), ["01 04:30:00", "02 04:30:00"])

    def test_the_zone_decides(self) -> None:
        self.declare(cron="30 4 * * *", timezone="Asia/Tokyo")
        self.assertEqual(self.run_for(20 * HOUR), ["01 19:30:00"])

    def test_an_interval_fires_at_its_multiples(self) -> None:
        self.declare(every=20)
        self.assertEqual(self.run_for(19, 1, 19, 1), ["01 00:00:20", "01 00:00:40"])

    def test_the_job_knows_the_nominal_instant_and_its_schedule(self) -> None:
        self.declare(every=60, jitter=30)
        self.clock.advance(60)
        self.queue.drain()
        (job,) = self.queue.jobs()
        self.assertEqual(job.snapshot.schedule, "app:report")
        self.assertEqual(
            job.snapshot.scheduled_for, round(datetime(2030, 1, 1, 0, 1, tzinfo=UTC).timestamp() * 1e6)
        )
        late = (job.run_at - datetime(2030, 1, 1, 0, 1, tzinfo=UTC)).total_seconds()
        self.assertTrue(0 <= late < 30, late)

    def test_a_jitter_is_the_same_for_all_and_differs_by_firing(self) -> None:
        timing = self.queue.schedules.add("a", self.declare().call(), every=60, jitter=30).timing
        delays = {timing.late("a", firing) - firing for firing in range(0, 100 * 60_000_000, 60_000_000)}
        self.assertEqual(timing.late("a", 60_000_000), timing.late("a", 60_000_000))
        self.assertGreater(len(delays), 90)
        self.assertTrue(all(0 <= delay < 30_000_000 for delay in delays))

    def test_options_of_the_task_hold_for_its_jobs(self) -> None:
        self.declare(every=60, priority=7, tags=["nightly"], expires=5, queue="default")
        self.clock.advance(59)
        self.queue.drain()
        self.clock.advance(1)
        self.queue.desk.schedules.fire()
        (job,) = self.queue.jobs()
        self.assertEqual((job.priority, job.tags), (7, ("nightly",)))
        self.clock.advance(10)
        self.queue.drain()
        self.assertEqual((job.refresh().state, job.reason), ("cancelled", "expired"))

    def test_a_unique_task_makes_no_second_job_while_one_waits(self) -> None:
        self.declare(every=60, unique=True, catch_up="all")
        self.clock.advance(180)
        self.queue.desk.schedules.fire()
        self.assertEqual(len(self.queue.jobs()), 1)

    def test_a_key_that_must_be_free_and_is_not_hurts_no_other(self) -> None:
        self.declare("app:strict", every=60, unique="k", on_duplicate="raise", delay=90)
        self.declare("app:other", every=60)
        told: list[int] = []
        self.queue.on("enqueued", lambda job: told.append(job.id))
        with self.assertLogs("litequeue", "WARNING") as logs:
            self.assertEqual(len(self.run_for(60, 60, 60)), 4)
        self.assertRegex(logs.output[0], r"skip schedule=app:strict: job \d+ has its unique key")
        self.assertEqual(len(logs.output), 2)
        self.assertEqual(told, sorted(set(told)))
        self.run_for(60)
        self.assertEqual(len(self.queue.jobs(task="app:strict")), 2, "it goes on when the key is free")

    def test_without_overlap_none_is_made_beside_the_one_before(self) -> None:
        self.declare(every=60, overlap=False)
        for _ in range(3):
            self.clock.advance(60)
            fired = self.queue.desk.schedules.fire()
        self.assertIn("has not ended", fired[0].trouble)
        self.assertEqual(len(self.queue.jobs()), 1)
        self.queue.drain()
        self.assertEqual(self.run_for(60), ["01 00:04:00"])


class TestDowntime(ScheduleCase):
    def test_last_makes_one_job(self) -> None:
        self.declare(every=60)
        self.assertEqual(self.run_for(3 * DAY + 30), ["04 00:00:00"])
        self.assertEqual(self.run_for(31), ["04 00:01:00"])

    def test_all_makes_each(self) -> None:
        self.declare(cron="0 6 * * *", catch_up="all")
        self.assertEqual(self.run_for(3 * DAY), ["01 06:00:00", "02 06:00:00", "03 06:00:00"])

    def test_all_has_a_bound_and_keeps_the_newest(self) -> None:
        self.declare(every=1, catch_up="all")
        ran = self.run_for(2000)
        self.assertEqual((len(ran), ran[-1]), (1000, "01 00:33:20"))

    def test_none_makes_none_but_is_in_time_when_it_is_only_a_little_late(self) -> None:
        self.declare(cron="0 6 * * *", catch_up="none")
        self.assertEqual(self.run_for(3 * DAY), [])
        self.assertEqual(self.run_for(6 * HOUR + 59), ["04 06:00:00"])

    def test_years_are_caught_up_at_once(self) -> None:
        self.declare(cron="* * * * *")
        self.assertEqual(len(self.run_for(3 * 365 * DAY)), 1)

    def test_so_are_all_their_seconds(self) -> None:
        self.declare(every=0.001, catch_up="all")
        ran = self.run_for(30 * 365 * DAY)
        self.assertEqual((len(ran), ran[-1]), (1000, "25 00:00:00"))

    @given(st.integers(1, 10**9), st.integers(0, 10**10), st.integers(1, 20))
    def test_the_newest_are_those_that_counting_finds(self, every: int, length: int, count: int) -> None:
        first = every * (10**9 // every)
        timing, now = Timing(every=every), first + length % (500 * every)
        counted = list(range(first, now + 1, every))
        self.assertEqual(timing._newest(first, now, count), counted[-count:])


class TestDeclaring(ScheduleCase):
    def test_a_worker_started_again_keeps_the_next_firing(self) -> None:
        self.declare(cron="0 6 * * *")
        self.clock.advance(DAY)
        again = self.make_queue()
        again.task(name="app:report", cron="0 6 * * *")(lambda: None)
        again.schedules.declare(again.declared.values())
        self.assertEqual(again.schedules.get("app:report").info.next_at, self.instant("2030-01-01T06:00"))

    def test_another_timing_begins_anew(self) -> None:
        self.declare(cron="0 6 * * *")
        self.clock.advance(DAY)
        self.declare(cron="0 7 * * *")
        self.assertEqual(
            self.queue.schedules.get("app:report").info.next_at, self.instant("2030-01-02T07:00")
        )

    def test_what_nobody_declares_any_more_stops_and_says_so(self) -> None:
        self.declare(every=60)
        again = self.make_queue()
        again.task(name="app:report")(lambda: None)
        with self.assertLogs("litequeue", "WARNING") as logged:
            again.drain()
        self.assertIn("lose schedule=app:report", logged.output[0])
        self.assertTrue(again.schedules.get("app:report").lost)
        self.assertIsNone(again.schedules.get("app:report").next_at)
        self.clock.advance(600)
        again.drain()
        self.assertEqual(again.jobs(), [])
        self.queue.drain()  # it declares the task still, so the schedule is back
        self.assertFalse(again.schedules.get("app:report").lost)

    def test_a_worker_of_another_module_leaves_it_alone(self) -> None:
        self.declare(every=60)
        other = self.make_queue()
        other.task(name="shop:sell")(lambda: None)
        other.drain()
        self.assertFalse(other.schedules.get("app:report").lost)

    def test_what_can_not_be_is_refused_at_once(self) -> None:
        nevers: list[dict[str, Any]] = [
            {"cron": "0 0 30 2 *"},
            {"cron": "every day"},
            {"cron": "* * * * *", "timezone": "Mars/Olympus"},
        ]
        for never in nevers:
            with self.subTest(never), self.assertRaises(InvalidSchedule):
                self.queue.task(name="x:y", **never)
        wrong: dict[str, Any]
        for wrong in (
            {"cron": "* * * * *", "every": 5},
            {"timezone": "Europe/Berlin"},
            {"every": 5, "timezone": "Europe/Berlin"},
            {"every": 5, "catch_up": "some"},
            {"every": 5, "overlap": 1},
            {"every": 0},
            {"every": -1},
            {"every": 5, "jitter": "much"},
        ):
            with self.subTest(wrong), self.assertRaises(InvalidOption):
                self.queue.task(name="x:y", **wrong)

    def test_a_zone_is_stored_by_its_name(self) -> None:
        for zone, name in ((ZoneInfo("Europe/Berlin"), "Europe/Berlin"), (UTC, "UTC")):
            self.declare("app:zoned", cron="0 6 * * *", timezone=zone)
            self.assertEqual(self.queue.schedules.get("app:zoned").timing.timezone, name)
        for nameless in (timezone(timedelta(hours=1)), timezone(timedelta(0), "mine")):
            with self.subTest(nameless), self.assertRaisesRegex(InvalidSchedule, "has no name"):
                self.queue.task(name="x:y", cron="0 6 * * *", timezone=nameless)

    def test_a_task_that_wants_arguments_is_refused(self) -> None:
        with self.assertRaises(BadArguments):
            self.queue.task(name="x:y", every=5)(lambda needed: None)

    def test_a_task_for_one_instant_is_refused(self) -> None:
        soon = datetime(2030, 1, 2, tzinfo=UTC)
        onces: list[dict[str, Any]] = [{"run_at": soon}, {"expires": soon}]
        for once in onces:
            with self.subTest(once), self.assertRaisesRegex(InvalidOption, "x:y: run_at and a date"):
                self.queue.task(name="x:y", every=5, **once)(lambda: None)

    def test_a_graph_is_refused(self) -> None:
        after = self.queue.task(name="x:z")(lambda: None)
        self.queue.task(name="x:y", every=5, on_failure=after.call())(lambda: None)
        with self.assertRaisesRegex(InvalidOption, "single jobs"):
            self.queue.drain()

    def instant(self, text: str) -> int:
        return round(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1e6)


class TestAtRunTime(ScheduleCase):
    def setUp(self) -> None:
        super().setUp()
        self.note: Task[..., None] = self.queue.task(name="app:note")(self.ran.append)

    def test_add_pause_resume_run_remove(self) -> None:
        schedules = self.queue.schedules
        added = schedules.add("poll", self.note.call("x"), every=60)
        self.assertEqual(repr(added), "<Schedule 'poll': app:note every 60 s>")
        self.assertEqual(
            [str(each) for each in added.upcoming(2)],
            ["2030-01-01 00:01:00+00:00", "2030-01-01 00:02:00+00:00"],
        )
        self.assertEqual(self.counted(60), ["x"])
        schedules.pause("poll")
        self.assertTrue(schedules.get("poll").paused)
        self.assertEqual(self.counted(600), [])
        schedules.resume("poll")
        self.assertEqual(self.counted(0, 59), [])  # what the pause left out is not caught up
        self.assertEqual(self.counted(1), ["x"])
        self.assertEqual(schedules.run("poll").args, ("x",))
        self.assertEqual(self.counted(0), ["x"])
        schedules.remove("poll")
        self.assertEqual(list(schedules), [])
        self.assertEqual(self.counted(600), [])

    def test_an_instant_that_has_made_its_job_makes_no_other(self) -> None:
        schedules = self.queue.schedules
        for name in ("poll", "other"):
            schedules.add(name, self.note.call(name), every=60)
        self.assertEqual(sorted(self.counted(60, 60)), ["other", "other", "poll", "poll"])
        self.clock.set_wall(datetime(2030, 1, 1, 0, 0, 59, tzinfo=UTC))
        schedules.resume("poll")  # it is due again at what was fired already
        self.assertEqual(self.counted(1, 60), [])
        self.assertEqual(sorted(self.counted(60)), ["other", "poll"])

    def test_of_those_that_are_caught_up_some_may_have_made_their_jobs(self) -> None:
        self.queue.schedules.add("poll", self.note.call("x"), every=60, catch_up="all")
        self.assertEqual(self.counted(60), ["x"])
        self.clock.set_wall(datetime(2030, 1, 1, tzinfo=UTC))
        self.queue.schedules.resume("poll")
        self.assertEqual(self.counted(180), ["x"] * 2)

    def test_the_same_name_changes_it(self) -> None:
        self.queue.schedules.add("poll", self.note.call("x"), every=60)
        self.queue.schedules.add("poll", self.note.call("y"), every=60)
        self.assertEqual(self.counted(60), ["y"])

    def test_an_option_that_it_does_not_know_is_refused(self) -> None:
        add: Any = self.queue.schedules.add
        for wrong in ({"catchup": "all"}, {"overlaps": False}, {"priority": 9}):
            with self.subTest(wrong), self.assertRaisesRegex(InvalidOption, f"'{next(iter(wrong))}'"):
                add("poll", self.note.call("x"), every=60, **wrong)
        self.assertEqual(list(self.queue.schedules), [])

    def test_a_call_for_one_instant_is_refused(self) -> None:
        call, soon = self.note.call("x"), datetime(2030, 1, 2, tzinfo=UTC)
        for once in (call.using(run_at=soon), call.using(expires=soon)):
            with self.subTest(once), self.assertRaisesRegex(InvalidOption, "one instant"):
                self.queue.schedules.add("poll", once, every=60)

    def test_an_unknown_one_is_told(self) -> None:
        schedules = self.queue.schedules
        for verb in (schedules.get, schedules.pause, schedules.resume, schedules.remove, schedules.run):
            with self.subTest(verb), self.assertRaisesRegex(ScheduleNotFound, "no schedule 'none'"):
                verb("none")

    def test_a_row_that_was_damaged_is_paused_and_hurts_no_other(self) -> None:
        self.queue.schedules.add("bad", self.note.call("bad"), every=60)
        self.queue.schedules.add("good", self.note.call("good"), every=60)
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("UPDATE litequeue_schedule SET job = '{', next_at = 1 WHERE name = 'bad'")
            connection.commit()
        with self.assertLogs("litequeue", "WARNING") as logged:
            self.assertEqual(self.counted(60), ["good"])
        self.assertIn("skip schedule=bad: it was paused, for it can not be read", logged.output[0])
        self.assertEqual(self.counted(60), ["good"])

    def counted(self, *steps: float) -> list[Any]:
        """What ran while the clock moved on."""
        self.ran.clear()
        for seconds in steps:
            self.clock.advance(seconds)
            self.queue.drain()
        return list(self.ran)


APP = """
from litequeue import Queue
jobs, reports, mails = Queue({path!r}), Queue({path!r}, "reports"), Queue({other!r})

@jobs.task(every=1)
def ping(): pass

@reports.task(every=1)
def report(): pass

@mails.task(every=1)
def mail(): pass
"""


class TestSeveralQueues(QueueCase):
    """A module with queues on one file and on another: each declares its own, and none is taken for gone."""

    def setUp(self) -> None:
        super().setUp()
        self.other = self.folder / "mails.db"
        self.app = self.module("many_app", APP)

    def module(self, name: str, text: str) -> ModuleType:
        """A module of this text, imported; with the paths of the two files."""
        made = ModuleType(name)
        sys.modules[name] = made
        self.addCleanup(sys.modules.pop, name, None)
        exec(text.format(path=str(self.path), other=str(self.other)), vars(made))
        for queue in vars(made).values():
            if isinstance(queue, Queue):
                self.addCleanup(queue.close)
        return made

    def start(self, queue: Queue, *apps: ModuleType) -> list[str]:
        """Declare what a worker of this queue with these apps does; the schedules that it took for gone."""
        return queue.schedules.declare(Resolver({}, queue, apps).declared())

    def lanes(self, queue: Queue) -> dict[str, str]:
        """In which queue the jobs of each schedule that fires are made."""
        return {each.name: queue.schedules.run(each.name).queue for each in queue.schedules if not each.lost}

    def test_each_schedule_lies_in_the_file_and_the_lane_of_its_queue(self) -> None:
        for worker in (self.make_queue("reports"), self.queue):
            self.assertEqual(self.start(worker, self.app), [])
            self.assertEqual(
                self.lanes(worker), {"many_app:ping": "default", "many_app:report": "reports"}, worker
            )
        mails = self.make_queue(path=self.other)
        self.start(mails, self.app)
        self.assertEqual(self.lanes(mails), {"many_app:mail": "default"})

    def test_a_worker_says_which_it_leaves_to_those_of_another_file(self) -> None:
        with self.assertLogs("litequeue", "INFO") as logged:
            declare(self.queue, Resolver({}, self.queue, [self.app]).declared())
        self.assertEqual(
            [record.getMessage() for record in logged.records],
            [f"leave schedule=many_app:mail: its queue writes to {self.other.resolve()}"],
        )

    def test_a_path_through_a_link_is_the_same_file(self) -> None:
        self.start(self.queue, self.app)
        link = self.folder / "link"
        link.symlink_to(self.folder)
        linked = self.make_queue(path=link / "jobs.db")
        linked.schedules.remove("many_app:ping")
        self.start(linked, self.app)
        self.assertEqual(set(self.lanes(linked)), {"many_app:ping", "many_app:report"})

    def test_a_queue_leaves_the_schedules_of_its_neighbour_alone(self) -> None:
        with self.app.reports.worker():
            pass
        with self.app.jobs.worker():
            pass
        self.app.jobs.drain()
        self.assertEqual(set(self.lanes(self.queue)), {"many_app:ping", "many_app:report"})

    def test_an_app_that_imports_one_task_leaves_the_rest_of_its_module_alone(self) -> None:
        self.start(self.queue, self.app)
        web = self.module(
            "web_app",
            """
from litequeue import Queue
from many_app import ping, reports
web, soon = Queue({path!r}, "web"), reports.declared["many_app:report"].using(priority=1)
web.task(name="web_app:page")(print)
""",
        )
        self.assertEqual(self.start(self.queue, web), [])
        self.assertEqual(set(self.lanes(self.queue)), {"many_app:ping", "many_app:report"})

    def test_one_that_no_queue_of_the_module_declares_is_lost(self) -> None:
        self.start(self.queue, self.app)
        again = self.module("many_app", APP.replace("@reports.task(every=1)", "").replace("ping", "pong"))
        gone = again.jobs.schedules.declare(again.jobs.declared.values())
        self.assertEqual(gone, ["many_app:ping", "many_app:report"])
        self.assertEqual(set(self.lanes(self.queue)), {"many_app:pong"})

    def test_a_module_that_is_still_loading_judges_nothing(self) -> None:
        self.start(self.queue, self.app)
        loading = self.module("many_app", "from litequeue import Queue\njobs = Queue({path!r})")
        loading.__spec__ = ModuleSpec("many_app", None)
        loading.__spec__._initializing = True  # type: ignore[attr-defined]
        exec("@jobs.task\ndef early(): pass", vars(loading))
        self.assertEqual(self.start(self.queue, loading), [])
        loading.__spec__._initializing = False  # type: ignore[attr-defined]
        self.assertEqual(self.start(self.queue, loading), ["many_app:ping", "many_app:report"])

    def test_queues_that_share_a_database_in_memory_share_a_place(self) -> None:
        with in_memory(self.app.jobs, self.app.reports):
            self.app.reports.drain()
            self.app.jobs.drain()
            self.assertEqual(set(self.lanes(self.app.jobs)), {"many_app:ping", "many_app:report"})
        one, two = Queue(":memory:"), Queue(":memory:")
        self.addCleanup(one.close)
        self.addCleanup(two.close)
        two.task(name="app:x", every=1)(lambda: None)
        one.schedules.declare(two.declared.values())
        self.assertEqual(list(one.schedules), [])


WORKER = """
import sys
from litequeue import Queue
queue = Queue(sys.argv[1])
queue.task(name="app:tick", every=0.25, catch_up="all")(lambda: None)
print("ready", flush=True)
with queue.worker():
    sys.stdin.readline()
"""


class TestManyWorkers(QueueCase):
    def test_eight_workers_make_each_job_once(self) -> None:
        command = [sys.executable, "-c", WORKER, str(self.path)]
        workers = [
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(8)
        ]
        for worker in workers:
            self.addCleanup(worker.communicate)
            self.addCleanup(worker.kill)
        with closing(sqlite3.connect(self.path, timeout=30)) as connection:
            self.wait_for(connection, 12)
            workers[0].kill()  # the others go on
            self.wait_for(connection, 20)
            for worker in workers[1:]:
                worker.communicate("\n", timeout=30)
            found = connection.execute(
                "SELECT scheduled_for FROM litequeue_job WHERE schedule = 'app:tick' ORDER BY scheduled_for"
            ).fetchall()
            instants = [row[0] for row in found]
            self.assertEqual(
                instants, list(range(instants[0], instants[-1] + 1, 250_000)), "one each, none left out"
            )
            self.assertEqual(broken(connection), [])

    def wait_for(self, connection: sqlite3.Connection, count: int) -> None:
        """Until so many jobs were made."""
        pause = threading.Event()
        for _ in range(600):
            try:
                if connection.execute("SELECT count(*) FROM litequeue_job").fetchone()[0] >= count:
                    return
            except sqlite3.OperationalError:
                pass  # the first worker has not made the tables yet
            pause.wait(0.05)
        self.fail("too few jobs were made")


class TestInTheBackground(QueueCase):
    def test_a_worker_fires_on_time(self) -> None:
        queue = Queue(self.folder / "now.db")
        self.addCleanup(queue.close)
        ran: list[float] = []
        done = threading.Event()

        def tick() -> None:
            job = current_job()
            assert job is not None and job.scheduled_for is not None
            ran.append((datetime.now(UTC) - job.scheduled_for).total_seconds())
            if len(ran) == 3:
                done.set()

        queue.task(name="app:tick", every=1)(tick)
        with queue.worker():
            self.assertTrue(done.wait(30))
        self.assertTrue(all(late >= 0 for late in ran), ran)
        self.assertLess(min(ran), 0.4, "an early beat fires it, not the usual one")
