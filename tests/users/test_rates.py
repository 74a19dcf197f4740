"""Limits as a person writes them: `max_running`, `rate`, `burst`, `key`."""

from __future__ import annotations

import threading
from typing import Any

from litequeue import BadArguments, InvalidOption, Queue, Retry
from litequeue.job import NewWorker, Rule, Want
from litequeue.rates import Rate, rate_of
from tests.users.case import QueueCase
from tests.worker.case import FileCase, until


class LimitCase(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.ran: list[tuple[object, ...]] = []

    def declare(self, name: str = "work", **options: Any) -> Any:
        def function(customer: object, number: int = 0) -> None:
            self.ran.append((name, customer, number))

        return self.queue.task(name=name, **options)(function)

    def seconds(self, count: int) -> list[int]:
        """How many jobs ran in each second; a rate leaves a little more between starts than it says."""
        found = []
        for _ in range(count):
            found.append(self.queue.drain())
            self.clock.advance(1.01)
        return found


class TestRates(LimitCase):
    def test_how_a_rate_is_written(self) -> None:
        for text, rate in {
            "10/s": (10, 1),
            "100/m": (100, 60),
            "1000/h": (1000, 3600),
            "1/d": (1, 86_400),
            "5/30s": (5, 30),
            "3 / 2 m": (3, 120),
            "2/min": (2, 60),
            "2/hour": (2, 3600),
            "2/day": (2, 86_400),
            "2/sec": (2, 1),
        }.items():
            self.assertEqual(rate_of(text), Rate(rate[0], rate[1] * 1_000_000), text)

    def test_what_is_no_rate(self) -> None:
        wrongs: tuple[Any, ...] = (
            *("", "10", "10/", "/s", "0/s", "-1/s", "1.5/s", "10/0s", "10/x", "10 per s", "10/s/s", "10/ss"),
            *(
                "1e3/s",
                "10/S",
                "\n10/s",
                "10/s\n",
                "\u0661/s",
                "9999999999/s",
                None,
                10,
                10.5,
                (10, 1),
                b"10/s",
                True,
            ),
        )
        for wrong in wrongs:
            with self.subTest(wrong), self.assertRaisesRegex(InvalidOption, "rate is"):
                self.declare(rate=wrong)

    def test_of_a_task(self) -> None:
        task = self.declare(rate="2/3s")
        for number in range(5):
            task.enqueue("ada", number)
        self.assertEqual(self.seconds(7), [2, 0, 0, 2, 0, 0, 1])
        self.assertEqual([each[2] for each in self.ran], list(range(5)))

    def test_of_each_customer(self) -> None:
        task = self.declare(rate="1/2s", key=("customer",))
        for customer in ("ada", "ada", "bob", "bob", "cyd"):
            task.enqueue(customer)
        self.assertEqual(self.seconds(4), [3, 0, 2, 0])

    def test_with_a_burst(self) -> None:
        task = self.declare(rate="4/8s", burst=1)
        for _ in range(6):
            task.enqueue("ada")
        self.assertEqual(self.seconds(12), [1, 0] * 6)

    def test_a_call_may_bring_a_burst_or_a_rate_of_its_own(self) -> None:
        task = self.declare(rate="4/8s")
        task.using(burst=1).enqueue("ada")
        task.using(burst=1).enqueue("ada")
        self.assertEqual(self.seconds(3), [1, 0, 1])
        with self.assertRaisesRegex(InvalidOption, "burst is given without rate"):
            self.declare("other").using(burst=2).enqueue("ada")

    def test_a_burst_that_is_none(self) -> None:
        for wrong in (0, -1, 1.5, "2", None, True):
            with self.assertRaisesRegex(InvalidOption, "burst"):
                self.declare(rate="1/s", burst=wrong)

    def test_a_try_that_failed_counts_as_a_start(self) -> None:
        tries = []

        def fail() -> None:
            tries.append(self.clock.now())
            raise OSError

        self.queue.task(name="fail", rate="1/5s", retry=Retry(3, intervals=[0]))(fail).enqueue()
        for _ in range(20):
            self.queue.drain()
            self.clock.advance(1.01)
        self.assertEqual([each - tries[0] for each in tries], [0, 5_050_000, 10_100_000])

    def test_explain_tells_when_there_is_room(self) -> None:
        task = self.declare(rate="1/10s")
        task.enqueue("ada")
        job = task.enqueue("ada")
        self.queue.drain()
        self.assertEqual(job.explain(), "the rate of its limit 'work' has room again in 10.0 s")


class TestKeys(LimitCase):
    """Whose limit it is."""

    def test_the_task_itself_if_nothing_is_said(self) -> None:
        one, two = self.declare("one", rate="1/h"), self.declare("two", rate="1/h")
        for task in (one, one, two, two):
            task.enqueue("ada")
        self.assertEqual(self.queue.drain(), 2)

    def test_a_text_is_shared_by_tasks_and_queues(self) -> None:
        one, two = self.declare("one", rate="1/h", key="api"), self.declare("two", rate="1/h", key="api")
        one.enqueue("ada")
        two.enqueue("ada")
        one.using(queue="other").enqueue("ada")
        self.assertEqual(self.queue.drain(), 1)
        other = self.make_queue("other")
        other.declared.update(self.queue.declared)
        self.assertEqual(other.drain(), 0)

    def test_a_function(self) -> None:
        task = self.declare(rate="1/h", key=lambda customer, number=0: f"c-{customer}")
        for customer in ("ada", "ada", "bob"):
            task.enqueue(customer)
        self.assertEqual(self.queue.drain(), 2)

    def test_all_arguments(self) -> None:
        task = self.declare(rate="1/h", key=True)
        for number in (1, 1, 2):
            task.enqueue("ada", number)
        self.assertEqual(self.queue.drain(), 2)

    def test_what_is_none(self) -> None:
        for wrong in (False, None, 5, "", (), "a\tb"):
            with self.assertRaisesRegex(InvalidOption, "key is"):
                self.declare(rate="1/h", key=wrong)
        with self.assertRaisesRegex(BadArguments, "no argument 'user'"):
            self.declare(rate="1/h", key=("user",)).enqueue("ada")

    def test_of_a_job_that_takes_a_result(self) -> None:
        give = self.queue.task(name="give")(lambda: "ada")
        task = self.declare(rate="1/h", key=("number",))
        for number in (1, 1, 2):
            (give.call() | task.call(number)).enqueue()
        self.assertEqual(self.queue.drain(), 3 + 2)
        with self.assertRaisesRegex(BadArguments, "'customer'.*result"):
            (give.call() | self.declare("other", rate="1/h", key=("customer",)).call(1)).enqueue()

    def test_a_key_alone_counts_for_what_others_allow(self) -> None:
        self.declare("one", max_running=1, key="api").enqueue("ada")
        job = self.declare("two", key="api").enqueue("ada")
        self.assertEqual(job.snapshot.limit_key, "api")


class TestRunning(LimitCase):
    def test_what_is_none(self) -> None:
        for wrong in (0, -1, 1.5, "2", None, True):
            with self.assertRaisesRegex(InvalidOption, "max_running"):
                self.declare(max_running=wrong)

    def test_explain_tells_that_it_waits_for_room(self) -> None:
        task = self.declare(max_running=1)
        first, job = task.enqueue("ada"), task.enqueue("ada")
        desk = self.queue.desk
        worker = desk.workers.sign_on(NewWorker("w", 1, ("default",)), locked=False)
        claim = desk.store.claim(worker, [Want("default", 5, 5)])
        self.assertEqual([each.lease.job for each in claim.jobs], [first.id])
        self.assertEqual(job.explain(), "its limit 'work' has no room; it runs when a job under it ends")

    def test_explain_tells_of_the_limit_of_a_queue(self) -> None:
        desk = self.queue.desk
        desk.store.limit("default", Rule(max_running=1))
        task = self.declare()
        task.enqueue("ada")
        job = task.enqueue("ada")
        worker = desk.workers.sign_on(NewWorker("w", 1, ("default",)), locked=False)
        self.assertEqual(len(desk.store.claim(worker, [Want("default", 5, 5)]).jobs), 1)
        self.assertEqual(
            job.explain(), "the limit of its queue 'default' has no room; it runs when a job there ends"
        )
        desk.store.limit("default", Rule(rate_count=1, rate_period=10_000_000))
        self.assertNotIn("limit", job.explain())
        self.clock.advance(20)
        self.assertEqual(len(desk.store.claim(worker, [Want("default", 5, 5)]).jobs), 1)
        job = task.enqueue("bob")
        self.assertEqual(job.explain(), "the rate of its queue 'default' has room again in 10.0 s")

    def test_drain_is_not_stopped_by_a_thousand_that_have_no_room(self) -> None:
        task = self.declare(rate="1/h")
        self.queue.enqueue_many(task.call("ada", number) for number in range(1500))
        self.declare("plain").enqueue("bob")
        self.assertEqual(self.queue.drain(), 2)
        self.assertEqual(self.ran, [("work", "ada", 0), ("plain", "bob", 0)])


class TestWorkers(FileCase):
    """Real workers, threads and time."""

    def test_never_more_at_once_in_two_workers(self) -> None:
        lock, running, most = threading.Lock(), [0], [0]
        gate = threading.Event()
        self.addCleanup(gate.set)

        def work(number: int) -> int:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            gate.wait(0.005)
            with lock:
                running[0] -= 1
            return number

        task = self.declare(work, max_running=2)
        jobs = self.queue.enqueue_many(task.call(number) for number in range(40))
        with self.queue.worker(threads=4), self.queue.worker(threads=4):
            for job in jobs:
                job.wait(30)
        self.assertEqual((most[0], [job.result(0) for job in jobs]), (2, list(range(40))))

    def test_a_queue_with_a_rate_goes_on_by_itself(self) -> None:
        self.queue.desk.store.limit("default", Rule(rate_count=2, rate_period=300_000))
        task = self.declare(_number)
        jobs = self.queue.enqueue_many(task.call(number) for number in range(6))
        with self.queue.worker():
            for job in jobs:
                job.wait(30)
        starts = sorted(_micros(job) for job in jobs)
        for first, third in zip(starts, starts[2:], strict=False):
            self.assertGreaterEqual(third - first, 300_000)

    def test_a_limited_task_in_a_chain_of_two_queues(self) -> None:
        other: Queue = self.make_queue(name="other")
        task = self.declare(_number, max_running=1)
        job = (task.call(1) | task.using(queue="other").call()).enqueue()
        with self.queue.worker(queues=["default", "other"]):
            self.assertEqual(job.result(30), 1)
        until(lambda: other.counts()["completed"] == 1)


def _number(number: int) -> int:
    return number


def _micros(job: Any) -> int:
    started = job.refresh().snapshot.started_at
    assert started is not None
    return int(started)
