"""What a worker logs as JSON: one line for each transition, with the same keys for all of them."""

from __future__ import annotations

import io
import json
import logging
import threading
from datetime import datetime, timedelta
from typing import Any

from litequeue import Cancel, Reject, Retry, Snooze
from litequeue.job import NewWorker, Want
from litequeue.worker.logs import JsonFormatter
from tests.worker.case import FileCase, wait_for

COMMON = {"at", "level", "process", "event", "message"}
OF_JOB = COMMON | {"job", "task", "queue", "attempt", "worker"}
QUEUE = 'say "no"\\ ünï'


class JsonLog(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.paper = io.StringIO()
        handler = logging.StreamHandler(self.paper)
        handler.setFormatter(JsonFormatter())
        log = logging.getLogger("litequeue")
        before = log.level
        log.setLevel(logging.INFO)
        log.addHandler(handler)
        self.addCleanup(log.removeHandler, handler)
        self.addCleanup(log.setLevel, before)

    def lines(self) -> list[dict[str, Any]]:
        """What was logged so far; every line by itself is JSON."""
        return [json.loads(line) for line in self.paper.getvalue().splitlines()]

    def line(self, event: str) -> dict[str, Any]:
        """The one line about an event."""
        (found,) = [line for line in self.lines() if line.get("event") == event]
        return found

    def run_one(self, function: Any, **options: Any) -> int:
        """Run one job of a function; its id."""
        job = self.enqueue(function, **options)
        self.burst()
        return job.id

    def test_a_job_that_completes(self) -> None:
        job = self.enqueue(lambda: None, name="app:fetch", queue=QUEUE).id
        self.burst(queues=[QUEUE])
        claim, complete = self.line("claim"), self.line("complete")
        self.assertEqual(claim.keys(), OF_JOB | {"wait"})
        self.assertEqual(complete.keys(), OF_JOB | {"seconds"})
        for line in (claim, complete):
            self.assertEqual((line["job"], line["task"], line["queue"]), (job, "app:fetch", QUEUE))
            self.assertEqual((line["attempt"], line["worker"]), (1, 1))
            self.assertEqual(datetime.fromisoformat(line["at"]).utcoffset(), timedelta(0))
        self.assertGreaterEqual(claim["wait"], 0)
        self.assertGreaterEqual(complete["seconds"], 0)

    def test_a_worker_begins_and_ends(self) -> None:
        self.run_one(lambda: None, name="app:fetch")
        start, stop = self.line("start"), self.line("stop")
        self.assertEqual((start["worker"], start["queues"], start["threads"]), (1, ["default"], 1))
        self.assertEqual((stop["worker"], stop["settled"], stop["released"]), (1, 1, 0))

    def test_a_job_that_fails_is_tried_again_and_then_not(self) -> None:
        def stumble() -> None:
            raise ValueError('over "a"\nstone\x1b[31m')

        self.run_one(stumble, retry=Retry(2, intervals=[0]))
        first, last = [line for line in self.lines() if line.get("event") == "fail"]
        self.assertEqual(last.keys(), OF_JOB | {"seconds", "reason", "error", "error_message"})
        self.assertEqual(first.keys(), last.keys() | {"retry_at"})
        self.assertEqual((last["reason"], last["error"], last["attempt"]), ("error", "ValueError", 2))
        self.assertEqual(last["error_message"], 'over "a"\nstone\x1b[31m')
        self.assertIsNotNone(datetime.fromisoformat(first["retry_at"]).tzinfo)

    def test_a_job_that_is_rejected_cancelled_or_put_off(self) -> None:
        def choose(outcome: BaseException) -> Any:
            def task() -> None:
                raise outcome

            return task

        self.run_one(choose(Reject("no good")), name="app:reject")
        self.run_one(choose(Cancel("no need")), name="app:cancel")
        self.run_one(choose(Snooze(3600)), name="app:snooze")
        self.assertEqual(self.line("fail")["reason"], "rejected")
        self.assertEqual(self.line("cancel")["error_message"], "no need")
        self.assertIn("run_at", self.line("snooze"))

    def test_a_job_that_expired(self) -> None:
        self.enqueue(lambda: None, name="app:late", expires=0)
        self.burst()
        expire = self.line("expire")
        self.assertEqual((expire["task"], expire["reason"]), ("app:late", "expired"))

    def test_a_job_whose_stored_arguments_are_no_good(self) -> None:
        task = self.declare(lambda: None, name="app:fetch")
        task.enqueue()
        self.change("UPDATE litequeue_job SET payload = 'broken'")
        self.burst()
        self.assertEqual(self.line("fail")["task"], "app:fetch")

    def test_the_job_of_a_dead_worker(self) -> None:
        task = self.declare(lambda: None, name="app:fetch")
        task.enqueue()
        desk = self.queue.desk
        dead = desk.workers.sign_on(NewWorker("gone:1", 1, ("default",), 1))
        self.assertEqual(len(desk.store.claim(dead, [Want("default", 1, 1)]).jobs), 1)
        desk.workers.vanish(dead)
        self.burst()
        reap = self.line("reap")
        self.assertEqual((reap["attempt"], reap["reason"], reap["state"]), (1, "crashed", "ready"))
        self.assertEqual(self.line("complete")["attempt"], 2)

    def test_a_job_that_a_worker_gives_back_when_it_stops(self) -> None:
        begun, freed = threading.Event(), threading.Event()
        self.addCleanup(freed.set)

        def hang() -> None:
            begun.set()
            wait_for(freed)

        self.enqueue(hang)
        with self.queue.worker(grace=0):
            wait_for(begun)
        release = self.line("release")
        self.assertEqual((release["state"], release["task"]), ("ready", "hang"))

    def test_a_schedule_that_fires(self) -> None:
        task = self.declare(lambda: None, name="app:fetch")
        self.queue.schedules.add("nightly", task.call(), every=3600)
        self.change("UPDATE litequeue_schedule SET next_at = 1")
        self.burst()
        fire = self.line("fire")
        self.assertEqual((fire["schedule"], fire["job"]), ("nightly", 1))
