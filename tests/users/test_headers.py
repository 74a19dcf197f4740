"""Headers: small texts that go with a job, and with what it enqueues."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from sqlite3 import Connection
from typing import Any

from litequeue import EncodingError, Retry, Snooze, current_job
from litequeue.tasks import AsyncTask
from tests.users.case import QueueCase

TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1,é=🙂"}
OTHER = {"traceparent": "00-other"}


def seen() -> dict[str, str] | None:
    """What a task sees."""
    job = current_job()
    return None if job is None else job.headers


def harm(text: str, connection: Connection) -> int:
    """Put a text in place of the options of all jobs."""
    return connection.execute("UPDATE litequeue_job SET options = ?", (text,)).rowcount


class TestHeaders(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.seen = self.queue.task(name="app:seen")(seen)

    def test_go_with_the_job_in_every_form(self) -> None:
        jobs = [
            self.seen.using(headers=TRACE).enqueue(),
            self.queue.enqueue(self.seen, args=(), headers=TRACE),
            self.seen.call().using(headers=TRACE).enqueue(),
            *self.queue.enqueue_many([self.seen.call().using(headers=TRACE)]),
            self.queue.task(name="app:given", headers=TRACE)(seen).enqueue(),
        ]
        self.queue.drain()
        for job in jobs:
            self.assertEqual((job.refresh().headers, job.result()), (TRACE, TRACE))

    def test_are_empty_when_none_are_given(self) -> None:
        jobs = [self.seen.enqueue(), self.seen.using(headers={}).enqueue()]
        self.queue.drain()
        self.assertEqual([(job.headers, job.result()) for job in jobs], [({}, {})] * 2)
        self.assertIsNone(jobs[0].refresh().snapshot.options)

    def test_those_of_the_call_take_the_place_of_the_tasks(self) -> None:
        task = self.queue.task(name="app:given", headers=TRACE)(seen)
        jobs = [task.using(headers=OTHER).enqueue(), task.using(headers={}).enqueue()]
        self.queue.drain()
        self.assertEqual([job.result() for job in jobs], [OTHER, {}])

    def test_stay_with_it_over_its_attempts(self) -> None:
        met = []

        def stumble() -> None:
            job = current_job()
            assert job is not None
            met.append(job.headers)
            if job.attempt == 1:
                raise ValueError
            if job.attempt == 2:
                raise Snooze(0)

        task = self.queue.task(name="app:stumble", retry=Retry(2, intervals=[0]))(stumble)
        task.using(headers=TRACE).enqueue()
        self.queue.drain()
        self.assertEqual(met, [TRACE] * 3)

    def test_a_running_job_passes_them_on(self) -> None:
        def parent() -> None:
            self.seen.enqueue()
            self.seen.using(headers=OTHER).enqueue()
            self.seen.using(headers={}).enqueue()
            self.queue.enqueue_many(self.seen.call() for _ in range(2))
            self.seen.call().then(self.seen, pass_result=False).enqueue()

        self.queue.task(name="app:parent")(parent).using(headers=TRACE).enqueue()
        self.queue.drain()
        results = [job.result() for job in reversed(self.queue.jobs()) if job.task != "app:parent"]
        self.assertEqual(results, [TRACE, OTHER, {}, TRACE, TRACE, TRACE, TRACE])

    def test_pass_from_a_coroutine_and_over_generations(self) -> None:
        async def parent(depth: int) -> None:
            if depth:
                await task.aenqueue(depth - 1)
                await asyncio.to_thread(self.seen.enqueue)

        task: AsyncTask[[int], None] = self.queue.task(name="app:parent")(parent)
        task.using(headers=TRACE).enqueue(2)
        self.queue.drain()
        self.assertEqual([job.headers for job in self.queue.jobs()], [TRACE] * 5)

    def test_do_not_stay_behind_when_the_job_has_ended(self) -> None:
        self.queue.task(name="app:parent")(lambda: self.seen.enqueue().id).using(headers=TRACE).enqueue()
        self.queue.drain()
        self.assertEqual(self.seen.enqueue().headers, {})

    def test_what_a_running_job_schedules_is_not_its_child(self) -> None:
        def parent() -> None:
            self.queue.schedules.add("nightly", self.seen.call(), every=3600)

        self.queue.task(name="app:parent")(parent).using(headers=TRACE).enqueue()
        self.queue.drain()
        self.assertEqual(self.queue.schedules.run("nightly").headers, {})

    def test_middleware_has_the_last_word(self) -> None:
        @self.queue.middleware("enqueue")
        def carry(call: Any) -> Any:
            return call.using(headers=OTHER)

        self.queue.task(name="app:parent")(lambda: self.seen.enqueue().id).using(headers=TRACE).enqueue()
        self.queue.drain()
        self.assertEqual([job.headers for job in self.queue.jobs()], [OTHER, OTHER])

    def test_damaged_ones_are_an_error_that_says_so(self) -> None:
        job = self.seen.using(headers=TRACE).enqueue()
        for text in ('{"headers":5}', '{"headers":{"a":5}}', json.dumps({"headers": {"a\n": "b"}})):
            self.queue.desk.database.write(partial(harm, text))
            with self.assertRaisesRegex(EncodingError, "header"):
                job.refresh().headers  # noqa: B018
        self.queue.drain()
        self.assertEqual((job.refresh().state, job.errors[0].type), ("failed", "EncodingError"))
