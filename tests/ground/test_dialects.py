"""Whoever types an option of another library is told what it is called here; none is accepted and ignored."""

from __future__ import annotations

import inspect
import re
import unittest
from typing import Any

from litequeue import InvalidOption, Queue, Retention, Retry
from litequeue.declaring import DeclareOptions
from litequeue.dialects import HERE
from litequeue.options import CallOptions

OURS = {*DeclareOptions.__annotations__, *CallOptions.__annotations__, "name"}
PARAMETERS = {name for kind in (Queue, Retry, Retention) for name in inspect.signature(kind).parameters}
# The options that users of Celery, RQ, Dramatiq and Huey type most.
ASKED = {
    "countdown": "delay=",
    "eta": "run_at=",
    "max_retries": "retry=5",
    "retries": "retry=5",
    "default_retry_delay": "intervals=",
    "retry_delay": "intervals=",
    "autoretry_for": "on=",
    "throws": "give_up_on=",
    "retry_backoff": "backoff=",
    "retry_jitter": "jitter=",
    "min_backoff": "base=",
    "max_backoff": "max_delay=",
    "retry_when": "a function of",
    "time_limit": "isolate=True",
    "soft_time_limit": "timeout=",
    "job_timeout": "timeout=",
    "result_ttl": "retention=",
    "failure_ttl": "Retention(failed=",
    "ignore_result": "retention=",
    "ttl": "expires=",
    "max_age": "expires=",
    "acks_late": "ack='early'",
    "bind": "current_job()",
    "context": "current_job()",
    "task_id": "unique=",
    "job_id": "unique=",
    "queue_name": "queue=",
    "routing_key": "queue=",
    "actor_name": "name=",
    "depends_on": "after=",
    "at_front": "priority=",
    "link": "on_success=",
    "link_error": "on_failure=",
    "rate_limit": "rate=",
    "serializer": "codec=",
    "queue_class": "Queue",
}


def work() -> None: ...


class TestDialects(unittest.TestCase):
    def refusal(self, name: str) -> str:
        queue = Queue(":memory:")
        options: dict[str, Any] = {name: 1}
        said = set()
        refused: list[Any] = [
            lambda: queue.task(**options),
            lambda: queue.task(work).using(**options),
            lambda: queue.task(work).call().using(**options),
            lambda: queue.enqueue(work, args=(), **options),
        ]
        for give in refused:
            with self.assertRaises(InvalidOption) as caught:
                give()
            said.add(str(caught.exception))
        (message,) = said
        return message

    def test_each_is_refused_with_its_name_here(self) -> None:
        for name, hint in ASKED.items():
            with self.subTest(name):
                message = self.refusal(name)
                self.assertIn(f"there is no option '{name}'", message)
                self.assertIn(hint, message)

    def test_the_names_in_the_hints_are_options(self) -> None:
        for name, hint in HERE.items():
            with self.subTest(name):
                self.assertNotIn(name, OURS)
                self.assertIn(hint, self.refusal(name))
                self.assertLessEqual(set(re.findall(r"(\w+)=", hint)), OURS | PARAMETERS)

    def test_of_other_names_there_is_a_list(self) -> None:
        self.assertIn("the options are ack, after, burst", self.refusal("colour"))
