"""What the dashboard shows, and what it does."""

import json
import sqlite3
from unittest import mock

from litequeue import Queue
from litequeue.clock import SECOND
from litequeue.job import Fail, Failure, Note, State, StoredResult
from litequeue.storage.minutes import Minutes
from litequeue.web import dashboard
from tests.cli.case import MINUTE, NOON, TRACEBACK
from tests.web.case import TOKEN, WebCase

HOSTILE = '</script><script>document.title="owned"</script><img src=x onerror=alert(1)>'


class TestLooking(WebCase):
    def test_overview_has_counts_workers_and_minutes(self) -> None:
        worker = self.sign_on()
        self.enqueue()
        self.complete_next(worker)
        self.enqueue()
        self.claim(worker)
        self.enqueue(queue="mail", run_at=NOON - MINUTE)
        minutes = Minutes(self.database, self.clock)
        minutes.count(
            "default", "completed", self.clock.now() - 2 * SECOND, self.clock.now() - SECOND, SECOND
        )
        minutes.write()
        found = self.get("/data/overview").json
        default, mail = found["queues"]
        self.assertEqual((default["counts"]["completed"], default["counts"]["running"]), (1, 1))
        self.assertEqual((mail["counts"]["ready"], mail["oldest_ready_seconds"]), (1, 60))
        self.assertEqual([job["id"] for job in found["workers"][0]["jobs"]], [2])
        self.assertEqual(len(found["minutes"]), 60)
        now = found["minutes"][-1]
        self.assertEqual((now["at"], now["completed"]), ("2030-05-01T12:00:00.000000+00:00", 1))
        self.assertAlmostEqual(now["run_p95"], 1, delta=0.1)
        self.assertEqual(default["ended_by_minute"], [0] * 59 + [1])
        self.assertIn("no worker", [alarm["kind"] for alarm in found["alarms"]])

    def test_overview_bounds_the_number_of_queues(self) -> None:
        for number in range(5):
            self.enqueue(queue=f"queue{number}")
        with mock.patch("litequeue.web.pages._MOST_QUEUES", 3):
            found = self.get("/data/overview").json
        self.assertEqual((len(found["queues"]), found["more_queues"]), (3, 2))

    def test_jobs_are_filtered_and_paged(self) -> None:
        for number in range(5):
            self.enqueue(
                f"app:task{number % 2}", payload=f"[[{number}],{{}}]", tags='["odd"]' if number % 2 else None
            )
        first = self.get("/data/jobs?limit=2").json
        self.assertEqual([job["id"] for job in first["jobs"]], [5, 4])
        self.assertEqual(first["jobs"][0]["arguments"], "4")
        second = self.get(f"/data/jobs?limit=2&after={first['next']}").json
        self.assertEqual([job["id"] for job in second["jobs"]], [3, 2])
        for query, ids in (
            ("task=app:task0", [5, 3, 1]),
            ("tag=odd", [4, 2]),
            ("state=ready&queue=default&limit=1", [5]),
            ("state=failed", []),
            ("", [5, 4, 3, 2, 1]),
        ):
            with self.subTest(query):
                self.assertEqual([job["id"] for job in self.get(f"/data/jobs?{query}").json["jobs"]], ids)

    def test_what_can_not_be_asked_is_refused(self) -> None:
        odd = ("state=odd", "limit=0", "limit=201", "limit=1e9", "limit=-1", "after=x", "after=0")
        blank = (
            "state=",
            "queue=",
            "task=",
            "tag=",
            "error=",
            "error=@",
            "error=@app.py:3",
            "error=OSError@",
        )
        for query in odd + blank:
            with self.subTest(query):
                self.assertEqual(self.get(f"/data/jobs?{query}").status, 400)
        self.assertEqual(self.get("/data/jobs?task=%ff").status, 400)
        self.assertEqual(self.get("/data/jobs?" + "&".join(f"a{n}=1" for n in range(30))).status, 400)
        self.assertEqual(self.get("/data/jobs?task=" + "x" * 5000).status, 414)

    def test_a_job_with_all_that_is_known_of_it(self) -> None:
        worker = self.sign_on()
        id = self.enqueue(payload=json.dumps([[HOSTILE], {}]), tags='["a"]', meta='{"for": "you"}')
        job = self.claim(worker)
        self.store.note(Note(job.lease, logs=((NOON, "on my way"),)))
        self.steps.keep(job.lease, "first", StoredResult("1", "json"))
        self.store.settle(Fail(job.lease, Failure("error", "OSError", "no route", TRACEBACK)))
        found = self.get(f"/data/jobs/{id}").json
        self.assertEqual(found["arguments"], json.dumps(HOSTILE))
        self.assertEqual(found["failed_attempts"][0]["traceback"], TRACEBACK)
        self.assertEqual([line["text"] for line in found["log"]], ["on my way"])
        self.assertEqual([(step["name"], step["result"]) for step in found["steps"]], [("first", "1")])
        self.assertIn("failed", found["explanation"])
        self.assertEqual((found["tags"], found["meta"], found["graph"]), (["a"], '{"for": "you"}', None))

    def test_large_arguments_are_cut(self) -> None:
        id = self.enqueue(payload=json.dumps([["x" * 100_000], {}]))
        self.assertLess(len(self.get(f"/data/jobs/{id}").body), 30_000)

    def test_a_job_in_a_workflow(self) -> None:
        queue = Queue(self.file, clock=self.clock)
        self.addCleanup(queue.close)
        first = queue.enqueue("app:first")
        second = queue.enqueue("app:second", kwargs={}, after=[first])
        third = queue.enqueue("app:third", kwargs={}, after=[first, second])
        graph = self.get(f"/data/jobs/{second.id}").json["graph"]
        self.assertEqual([job["id"] for job in graph["jobs"]], [first.id, second.id, third.id])
        edges = [[first.id, second.id], [first.id, third.id], [second.id, third.id]]
        self.assertEqual((graph["edges"], graph["is_cut"]), (edges, False))

    def test_a_large_workflow_is_cut(self) -> None:
        queue = Queue(self.file, clock=self.clock)
        self.addCleanup(queue.close)
        first = queue.enqueue("app:first")
        for _ in range(6):
            queue.enqueue("app:next", kwargs={}, after=[first])
        with mock.patch("litequeue.web.graph.MOST", 4):
            graph = self.get(f"/data/jobs/{first.id}").json["graph"]
        self.assertEqual((len(graph["jobs"]), len(graph["edges"]), graph["is_cut"]), (4, 3, True))

    def test_no_such_job(self) -> None:
        self.assertEqual(self.get("/data/jobs/7").status, 404)
        self.assertEqual(self.get(f"/data/jobs/{'9' * 18}").status, 404)
        for path in (f"/data/jobs/{'9' * 19}", "/data/jobs/-1", "/data/jobs/1/", "/data/jobs/٣"):
            self.assertEqual(self.get(path).status, 404, path)

    def test_events_are_those_of_the_overview(self) -> None:
        self.enqueue()
        with mock.patch("litequeue.web.live._LONGEST", 1):
            found = self.get("/events")
        self.assertEqual(found.headers["Content-Type"], "text/event-stream; charset=utf-8")
        first = found.body.partition(b"\n\n")[0].decode()
        self.assertEqual(
            json.loads(first.removeprefix("event: look\ndata: "))["queues"][0]["queue"], "default"
        )

    def test_metrics(self) -> None:
        self.enqueue(queue="ünï")
        found = self.get("/metrics")
        self.assertEqual(found.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertIn('\nlitequeue_jobs{queue="ünï",state="ready"} 1\n', found.body.decode())
        self.assertEqual(found.body.decode(), self.cli("metrics", self.file).out)

    def test_schedules(self) -> None:
        self.schedule("hourly")
        (found,) = self.get("/data/schedules").json["schedules"]
        self.assertEqual(
            (found["name"], found["fires"], found["paused_at"]), ("hourly", "every 60 min", None)
        )

    def test_rows_of_another_hand_do_not_break_it(self) -> None:
        with sqlite3.connect(self.file) as connection:
            connection.execute(
                "INSERT INTO litequeue_job (task, queue, run_at, tags, meta) VALUES (?, ?, 0, 'x', 'y')",
                (HOSTILE, "a queue"),
            )
        connection.close()
        for path in ("/data/overview", "/data/jobs", "/data/jobs/1"):
            self.assertEqual(self.get(path).status, 200, path)

    def test_a_file_that_is_gone_is_told(self) -> None:
        self.database.close()
        for each in self.place.iterdir():
            each.unlink()
        found = self.get("/data/overview")
        self.assertEqual(found.status, 503)
        self.assertIn("jobs.db", found.json["error"])

    def test_it_leaves_no_connection_open(self) -> None:
        with mock.patch("litequeue.storage.database.Database.close", autospec=True) as close:
            self.get("/data/overview")
        self.assertEqual(close.call_count, 1)


class TestActing(WebCase):
    def state(self, id: int) -> State:
        return self.reports.job(id).state

    def test_cancels_retries_and_deletes_a_job(self) -> None:
        id = self.enqueue()
        self.assertEqual(
            self.act(verb="cancel", job=id).json, {"verb": "cancel", "job": id, "told": "cancelled"}
        )
        self.assertEqual(self.state(id), "cancelled")
        self.assertEqual(self.act(verb="retry", job=id).status, 200)
        self.assertEqual(self.state(id), "ready")
        self.assertEqual(self.act(verb="retry", job=id).status, 409)
        self.assertEqual(self.act(verb="delete", job=id).status, 200)
        self.assertEqual(self.act(verb="delete", job=id).status, 404)

    def test_pauses_and_resumes_a_queue(self) -> None:
        self.act(verb="pause", queue="mail")
        self.assertEqual(self.reports.paused(), ["mail"])
        self.act(verb="resume", queue="mail")
        self.assertEqual(self.reports.paused(), [])

    def test_runs_pauses_and_resumes_a_schedule(self) -> None:
        self.schedule("hourly")
        self.assertEqual(self.act(verb="run", schedule="hourly").json["told"], "enqueued job 1")
        self.assertEqual(self.reports.job(1).task, "app:tidy")
        self.act(verb="pause", schedule="hourly")
        self.assertIsNotNone(self.get("/data/schedules").json["schedules"][0]["paused_at"])
        self.act(verb="resume", schedule="hourly")
        self.assertIsNone(self.get("/data/schedules").json["schedules"][0]["paused_at"])
        self.assertEqual(self.act(verb="run", schedule="daily").status, 404)

    def test_retries_all_that_failed_with_an_error(self) -> None:
        worker = self.sign_on()
        for _ in range(3):
            self.enqueue()
            self.fail_next(worker)
        for blank in ("@", "@shop/app.py:3", "OSError@"):
            self.assertEqual(self.act(verb="retry", error=blank).status, 400)
        self.assertEqual({self.state(id) for id in (1, 2, 3)}, {State.FAILED})
        (error,) = self.get("/data/errors").json["errors"]
        self.assertEqual((error["type"], error["attempts"], error["jobs_failed"]), ("OSError", 3, 3))
        self.assertEqual(len(self.get(f"/data/jobs?error={error['error']}").json["jobs"]), 3)
        self.assertEqual(self.act(verb="retry", error="KeyError").json["told"], "0 jobs made ready again")
        self.assertEqual(self.act(verb="retry", error=error["error"]).json["told"], "3 jobs made ready again")
        self.assertEqual({self.state(id) for id in (1, 2, 3)}, {State.READY})

    def test_refuses_what_is_no_action(self) -> None:
        id = self.enqueue()
        for asked in (
            {},
            {"verb": "cancel"},
            {"verb": "drop", "job": id},
            {"verb": "cancel", "job": str(id)},
            {"verb": "cancel", "job": True},
            {"verb": "cancel", "job": -1},
            {"verb": "cancel", "job": 2**63},
            {"verb": "cancel", "job": id, "queue": "default"},
            {"verb": "pause", "job": id},
            {"verb": "pause", "queue": ""},
            {"verb": "pause", "queue": "\ud800"},
            {"verb": "pause", "queue": "x" * 201},
            {"verb": ["cancel"], "job": id},
            {"verb": "run", "schedule": ["hourly"]},
            {"verb": "retry", "error": ""},
            {"verb": "retry", "error": "\ud800"},
        ):
            with self.subTest(asked):
                self.assertEqual(self.act(**asked).status, 400)
        self.assertEqual(self.state(id), "ready")

    def test_a_copy_can_be_looked_at(self) -> None:
        self.enqueue()
        queue = Queue(self.file, clock=self.clock)
        self.addCleanup(queue.close)
        queue.backup(self.place / "copy.db")
        copy = dashboard(
            self.place / "copy.db", token=TOKEN, hosts=["127.0.0.1"], free_reading=True, clock=self.clock
        )
        self.assertEqual(self.get("/data/overview", copy).json["queues"][0]["counts"]["ready"], 1)
        self.assertEqual(self.get("/data/jobs/1", copy).status, 200)

    def test_the_queue_of_a_program_in_memory_too(self) -> None:
        queue = Queue(":memory:")
        self.addCleanup(queue.close)
        job = queue.enqueue("app:task")
        app = dashboard(queue, token=TOKEN)
        asked = {"verb": "cancel", "job": job.id}
        self.assertEqual(self.post("/actions", asked, app, Authorization=f"bearer {TOKEN}").status, 200)
        self.assertEqual(job.refresh().state, "cancelled")
        self.assertEqual(self.get("/data/overview", app, Authorization=f"Bearer {TOKEN}").status, 200)


class TestMounting(WebCase):
    def test_it_is_asked_for_as_a_folder(self) -> None:
        found = self.get("", Script_Name="/admin/jobs")
        self.assertEqual((found.status, found.headers["Location"]), (308, "/admin/jobs/"))
        found = self.get("", Script_Name="//evil.example/x")
        self.assertEqual(found.headers["Location"], "/evil.example/x/")

    def test_its_page_names_nothing_by_an_absolute_address(self) -> None:
        page = self.get("/", Script_Name="/admin/jobs").body.decode()
        self.assertNotRegex(page, r'(src|href)="(/|\w+:)')
        for name in ("app.js", "style.css", "icon.svg"):
            found = self.get(f"/{name}", Script_Name="/admin/jobs")
            self.assertEqual(found.status, 200)
            self.assertIn(f'"{name}"', page)

    def test_the_cookie_is_for_its_place_only(self) -> None:
        found = self.post("/session", {"token": TOKEN}, Script_Name="/admin/jobs")
        self.assertIn("; Path=/admin/jobs;", found.headers["Set-Cookie"])
