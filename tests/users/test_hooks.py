"""Hooks hear what became of jobs, after the commit; middleware stands around tasks and enqueues."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

from litequeue import (
    PICKLE,
    BadArguments,
    Call,
    Cancel,
    InvalidOption,
    Job,
    PayloadTooLarge,
    Queue,
    Reject,
    Retry,
    Snooze,
    Task,
    TaskTimeout,
    current_job,
    group,
)
from litequeue.errors import JobNotFound
from litequeue.hooks import EVENTS, WITH_ERROR
from litequeue.job import FailedAttempt, NewWorker, Want
from tests.support import PATIENCE_SECONDS
from tests.users.case import QueueCase
from tests.users.things import add, echo

Heard = tuple[str, int, str]


class HookCase(QueueCase):
    """Every event is written down: its name, the job, and its state as the hook saw it."""

    def setUp(self) -> None:
        super().setUp()
        self.heard: list[Heard] = []
        self.errors: list[FailedAttempt] = []

    def listen(self, *events: str, queue: Queue | None = None) -> None:
        """Write down these events, or all of them."""
        declare: Any = (queue or self.queue).on
        for event in events or EVENTS:
            declare(event, self.noting(event))

    def noting(self, event: str) -> Callable[..., None]:
        def note(job: Job[Any], error: FailedAttempt | None = None) -> None:
            self.heard.append((event, job.id, str(job.state)))
            if event in WITH_ERROR:
                assert error is not None
                self.errors.append(error)

        return note

    def drain(self, *jobs: Job[Any]) -> list[Heard]:
        """What is heard of while the queue is drained; of these jobs alone, if there are some."""
        self.heard.clear()
        self.queue.drain()
        ids = {job.id for job in jobs} or {id for _, id, _ in self.heard}
        return [each for each in self.heard if each[1] in ids]

    def task(self, function: Callable[..., Any], **options: Any) -> Any:
        """A task of the queue, wherever it is defined."""
        return self.queue.task(name=getattr(function, "__name__", "task"), **options)(function)


def raising(*errors: BaseException) -> Callable[[], str]:
    """A task that raises these, one in each attempt, and then returns."""

    def work() -> str:
        job = current_job()
        assert job is not None
        if job.attempt <= len(errors):
            raise errors[job.attempt - 1]
        return "done"

    return work


class TestEvents(HookCase):
    def test_a_job_that_goes_well(self) -> None:
        self.listen()
        job = self.queue.enqueue(add, 1)
        self.assertEqual(self.heard, [("enqueued", 1, "ready")])
        self.assertEqual(self.drain(), [("claimed", job.id, "running"), ("completed", job.id, "completed")])

    def test_one_that_fails_is_tried_again_and_fails_for_good(self) -> None:
        self.listen("retried", "failed", "completed")
        job = self.task(raising(KeyError("one"), ValueError("two")), retry=Retry(2, intervals=[0])).enqueue()
        self.assertEqual(self.drain(), [("retried", job.id, "scheduled"), ("failed", job.id, "failed")])
        found = [(error.attempt, error.type, error.message) for error in self.errors]
        self.assertEqual(found, [(1, "KeyError", "'one'"), (2, "ValueError", "two")])
        self.assertEqual(self.errors, job.errors)  # the very records of the file

    def test_directives(self) -> None:
        self.listen("snoozed", "failed", "cancelled", "completed")
        jobs = [
            self.queue.task(name=name)(raising(error)).enqueue()
            for name, error in (("s", Snooze(0)), ("r", Reject("no")), ("c", Cancel("so")))
        ]
        snoozed, rejected, cancelled = (job.id for job in jobs)
        self.assertEqual(
            sorted(self.drain()),
            [
                ("cancelled", cancelled, "cancelled"),
                ("completed", snoozed, "completed"),
                ("failed", rejected, "failed"),
                ("snoozed", snoozed, "scheduled"),
            ],
        )
        self.assertEqual(self.errors[0].reason, "rejected")

    def test_one_that_was_asked_to_stop_is_cancelled_whatever_it_came_to(self) -> None:
        self.listen("completed", "cancelled")

        def work() -> None:
            running = current_job()
            assert running is not None
            self.queue.job(running.id).cancel()

        job = self.task(work).enqueue()
        self.assertEqual(self.drain(), [("cancelled", job.id, "cancelled")])

    def test_one_whose_result_can_not_be_stored_is_failed(self) -> None:
        self.listen("failed", "completed")
        job = self.task(object).enqueue()
        self.assertEqual(self.drain(), [("failed", job.id, "failed")])

    def test_one_that_can_not_be_read_is_failed(self) -> None:
        self.listen("failed", "claimed")
        job = self.queue.enqueue(echo, 1)
        self.queue.desk.database.write(lambda c: c.execute("UPDATE litequeue_job SET payload = '['").rowcount)
        self.assertEqual(self.drain(), [("claimed", job.id, "running"), ("failed", job.id, "failed")])

    def test_one_that_expires_and_what_waits_for_it(self) -> None:
        self.listen("cancelled")
        task = self.task(add, expires=5)
        first = task.enqueue(1)
        second = task.using(after=[first], expires=100).enqueue(2)
        self.clock.advance(6)
        found = self.drain()
        self.assertEqual(found, [("cancelled", first.id, "cancelled"), ("cancelled", second.id, "cancelled")])
        self.assertEqual([job.refresh().reason for job in (first, second)], ["expired", "parent"])

    def test_one_whose_worker_died_and_one_that_only_waited_there(self) -> None:
        self.listen("reaped", "released", "failed")
        jobs = [self.queue.enqueue(add, number) for number in range(2)]
        self.crash(start=1, limit=2)
        running, waiting = (job.id for job in jobs)
        self.assertEqual(self.drain(), [("reaped", running, "ready"), ("released", waiting, "ready")])
        self.assertEqual((self.errors[0].type, self.errors[0].attempt), ("WorkerDied", 1))

    def test_one_that_takes_down_too_many_is_failed(self) -> None:
        self.listen("reaped", "failed")
        job = self.task(add, max_crashes=1).enqueue(1)
        self.crash(start=1, limit=1)
        self.assertEqual(self.drain(), [("failed", job.id, "failed")])
        self.assertEqual((self.errors[0].reason, job.refresh().reason), ("crashed", "crashed"))

    def crash(self, start: int, limit: int) -> None:
        """A worker claims what is there, and dies."""
        desk = self.queue.desk
        dead = desk.workers.sign_on(NewWorker("dead", 1, lease=0), locked=False)
        desk.store.claim(dead, [Want("default", start, limit)])

    def test_what_completes_through_its_transaction(self) -> None:
        self.listen("completed", "failed")

        def work(is_good: bool) -> None:
            running = current_job()
            assert running is not None
            with running.transaction() as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS mine (x)")
            if not is_good:
                raise ValueError

        task = self.task(work)
        good, bad = task.enqueue(True), task.enqueue(False)
        self.assertEqual(self.drain(), [("completed", good.id, "completed"), ("failed", bad.id, "failed")])

    def test_a_schedule_enqueues_too(self) -> None:
        self.listen("enqueued", "completed")
        self.queue.task(name="tick", every=60)(lambda: None)
        self.queue.drain()
        self.clock.advance(61)
        self.assertEqual([event for event, _, _ in self.drain()], ["enqueued", "completed"])

    def test_the_handle_knows_the_job_as_it_was_then(self) -> None:
        seen: list[tuple[Any, ...]] = []

        @self.queue.on("retried")
        def look(job: Job[Any], error: FailedAttempt) -> None:
            seen.append((job.task, job.args, job.kwargs, job.attempt, job.failures, job.tags))

        def work(*args: int, **kwargs: int) -> None:
            raise ValueError

        self.task(work, retry=Retry(2, intervals=[0]), tags="t").enqueue(1, x=2)
        self.drain()
        self.assertEqual(seen, [("work", (1,), {"x": 2}, 1, 1, ("t",))])


class TestTelling(HookCase):
    def test_unknown_events_and_what_can_not_be_called_are_refused(self) -> None:
        on: Any = self.queue.on
        for event in ("finished", "Failed", "", 7, None):
            with self.assertRaises(InvalidOption):
                on(event, print)
            with self.assertRaises(InvalidOption):
                on(event)  # at once, not when it decorates
        with self.assertRaises(InvalidOption):
            on("failed", "print")
        with self.assertRaisesRegex(InvalidOption, "the events are enqueued, claimed, completed"):
            on("done", print)

    def test_as_a_decorator_the_function_stays_what_it_is(self) -> None:
        @self.queue.on("completed")
        def hook(job: Job[Any]) -> str:
            return "still here"

        self.assertEqual(hook(self.queue.enqueue(add, 1)), "still here")

    def test_several_hooks_hear_in_the_order_in_which_they_were_declared(self) -> None:
        order: list[int] = []
        for number in range(3):
            self.queue.on("completed", lambda job, number=number: order.append(number))
        self.queue.enqueue(add, 1)
        self.drain()
        self.assertEqual(order, [0, 1, 2])

    def test_one_that_raises_is_logged_and_hurts_nothing(self) -> None:
        for error in (ValueError("bad hook"), SystemExit(3), Reject("not a task"), GeneratorExit()):
            self.queue.on("completed", raising_hook(error))
            self.queue.on("enqueued", raising_hook(error))
        self.listen("completed")
        with self.assertLogs("litequeue", "ERROR") as logged:
            job = self.queue.enqueue(add, 1)
            self.assertEqual(self.drain(), [("completed", job.id, "completed")])
        self.assertEqual(len(logged.output), 8)
        self.assertIn("raising_hook.<locals>.hook on 'enqueued' raised", logged.output[0])
        self.assertEqual(job.result(0), 2)

    def test_the_end_of_a_tasks_time_passes_the_hook_that_it_struck(self) -> None:
        self.queue.on("enqueued", raising_hook(TaskTimeout()))
        job = self.task(lambda: self.queue.enqueue(echo, 1).id, timeout=60).using(delay=0)
        with self.assertRaises(TaskTimeout):
            job.enqueue()
        self.queue.drain(limit=1)
        self.assertEqual(self.queue.job(1).refresh().reason, "timeout")

    def test_ctrl_c_in_one_is_for_the_program(self) -> None:
        self.queue.on("completed", raising_hook(KeyboardInterrupt()))
        job = self.queue.enqueue(add, 1)
        with self.assertRaises(KeyboardInterrupt):
            self.queue.drain()
        self.assertEqual((job.refresh().state, self.queue.workers()), ("completed", []))

    def test_an_async_hook_runs_to_its_end(self) -> None:
        @self.queue.on("completed")
        async def later(job: Job[Any]) -> None:
            await asyncio.sleep(0)
            self.heard.append(("later", job.id, str(job.state)))

        @self.queue.on("completed")
        async def wrong(job: Job[Any]) -> None:
            raise ValueError("bad hook")

        job = self.queue.enqueue(add, 1)
        with self.assertLogs("litequeue", "ERROR") as logged:
            self.assertEqual(self.drain(), [("later", job.id, "completed")])
        self.assertIn("wrong on 'completed' raised", logged.output[0])

    def test_so_does_one_of_a_program_that_enqueues_on_an_event_loop(self) -> None:
        @self.queue.on("enqueued")
        async def later(job: Job[Any]) -> None:
            await asyncio.sleep(0)
            self.heard.append(("later", job.id, str(job.state)))

        async def program() -> None:
            self.queue.enqueue(add, 1)
            await self.queue.task(name="add")(add).aenqueue(2)

        asyncio.run(program())
        self.assertEqual(self.heard, [("later", 1, "ready"), ("later", 2, "ready")])

    def test_what_a_hook_enqueues_is_told_to_nobody(self) -> None:
        self.listen("enqueued")
        self.queue.on("enqueued", lambda job: self.queue.enqueue(echo, job.id))
        self.queue.enqueue(add, 1)
        self.assertEqual([id for _, id, _ in self.heard], [1])
        self.assertEqual(self.queue.counts()["ready"], 2)

    def test_it_runs_outside_of_every_lock(self) -> None:
        """Another thread of the program can write meanwhile, and wait for that."""
        done = threading.Event()

        def write() -> None:
            self.queue.enqueue(echo, 1)
            done.set()

        @self.queue.on("completed")
        def hook(job: Job[Any]) -> None:
            thread = threading.Thread(target=write)
            thread.start()
            thread.join(PATIENCE_SECONDS)
            self.assertTrue(done.is_set())

        job = self.task(add).enqueue(1)
        with self.assertNoLogs("litequeue", "ERROR"):
            self.queue.drain(limit=1)
        self.assertEqual(job.refresh().state, "completed")
        self.assertTrue(done.is_set())

    def test_a_queue_hears_of_the_tasks_that_were_declared_with_it(self) -> None:
        other = self.make_queue("other")
        self.listen("completed")
        here, there = self.task(add), other.task(name="there")(echo)
        there.using(queue="default").enqueue(1)
        job = here.using(queue="other").enqueue(1)
        self.queue.drain()
        self.assertEqual(self.heard, [])
        other.declared["add"] = here  # as a worker knows it that has imported both
        other.drain()
        self.assertEqual(self.heard, [("completed", job.id, "completed")])


def raising_hook(error: BaseException) -> Callable[[Job[Any]], None]:
    def hook(job: Job[Any]) -> None:
        raise error

    return hook


class TestEnqueued(HookCase):
    def setUp(self) -> None:
        super().setUp()
        self.listen("enqueued")
        self.add = self.task(add)

    def ids(self) -> list[int]:
        return [id for _, id, _ in self.heard]

    def test_every_form_tells(self) -> None:
        self.add.enqueue(1)
        self.queue.enqueue(echo, args=(1,), delay=60)
        self.queue.enqueue_many(self.add.call(number) for number in range(3))
        self.queue.enqueue("app:unknown", 1)
        asyncio.run(self.add.aenqueue(1))
        self.assertEqual(self.ids(), [1, 2, 3, 4, 5, 6, 7])
        self.assertEqual(self.heard[1], ("enqueued", 2, "scheduled"))

    def test_all_jobs_of_a_graph_are_told(self) -> None:
        chain = group([self.add.call(1), self.add.call(2)]) | self.queue.task(name="echo")(echo).call()
        chain.enqueue()
        self.assertEqual([state for _, _, state in self.heard], ["ready", "ready", "blocked"])

    def test_a_job_that_was_there_already_is_not(self) -> None:
        first = self.add.using(unique="one").enqueue(1)
        again = self.add.using(unique="one").enqueue(1)
        self.assertEqual((again.id, self.ids()), (first.id, [first.id]))

    def test_one_that_was_refused_is_not(self) -> None:
        with self.assertRaises(PayloadTooLarge):
            self.make_queue(max_payload=10).enqueue(echo, "x" * 100)
        with self.assertRaises(BadArguments):
            self.add.enqueue()
        self.assertEqual(self.heard, [])

    def test_in_a_transaction_it_waits_for_the_commit(self) -> None:
        with self.queue.transaction():
            self.add.enqueue(1)
            self.assertEqual(self.heard, [])
        self.assertEqual(self.ids(), [1])
        with self.assertRaises(KeyError), self.queue.transaction():
            self.add.enqueue(2)
            raise KeyError
        self.assertEqual(self.ids(), [1])

    def test_a_part_of_a_transaction_that_was_undone_is_not_told(self) -> None:
        with self.queue.transaction():
            kept = self.add.enqueue(1)
            with self.assertRaises(KeyError), self.queue.transaction():
                self.add.enqueue(2)
                raise KeyError
            also = self.add.enqueue(3)
        self.assertEqual(self.ids(), [kept.id, also.id])

    def test_in_a_tasks_transaction_it_waits_for_the_completion(self) -> None:
        def work(is_good: bool) -> None:
            running = current_job()
            assert running is not None
            with running.transaction():
                self.add.using(delay=60).enqueue(1)
                self.assertEqual(self.heard, [])
            if not is_good:
                raise ValueError

        task = self.task(work)
        for is_good in (False, True):
            task.enqueue(is_good)
            self.heard.clear()
            self.queue.drain()
            self.assertEqual(len(self.heard), is_good)

    def test_of_a_connection_of_yours_nobody_knows_when_it_commits(self) -> None:
        connection = sqlite3.connect(self.path)
        self.queue.counts()
        with connection:
            self.add.using(connection=connection).enqueue(1)
        connection.close()
        self.assertEqual((self.heard, self.queue.counts()["ready"]), ([], 1))


class TestAroundTasks(HookCase):
    def wrap(self, name: str, queue: Queue | None = None) -> None:
        """Middleware that writes down what it stands around."""

        def around(job: Any, call_next: Callable[[], Any]) -> Any:
            self.heard.append((f"{name} begins", job.id, job.task))
            value = call_next()
            self.heard.append((f"{name} ends", job.id, str(value)))
            return value

        (queue or self.queue).middleware(around)

    def test_the_first_that_was_declared_is_outermost(self) -> None:
        self.wrap("outer")
        self.wrap("inner")
        job = self.task(add).enqueue(1)
        self.assertEqual(
            self.drain(),
            [
                ("outer begins", 1, "add"),
                ("inner begins", 1, "add"),
                ("inner ends", 1, "2"),
                ("outer ends", 1, "2"),
            ],
        )
        self.assertEqual(job.result(0), 2)

    def test_it_sees_the_job_and_may_change_the_result(self) -> None:
        @self.queue.middleware
        def change(job: Any, call_next: Callable[[], Any]) -> Any:
            self.assertIs(job, current_job())
            return [job.attempt, call_next()]

        job = self.task(add).enqueue(1)
        self.drain()
        self.assertEqual(job.result(0), [1, 2])

    def test_it_may_do_without_the_task_and_do_it_twice(self) -> None:
        @self.queue.middleware
        def change(job: Any, call_next: Callable[[], Any]) -> Any:
            return "skipped" if "skip" in job.meta else [call_next(), call_next()]

        task = self.task(self.heard.append)
        skipped = task.using(meta={"skip": True}).enqueue(("a", 1, ""))
        twice = task.enqueue(("b", 2, ""))
        self.queue.drain()
        self.assertEqual((skipped.result(0), twice.result(0)), ("skipped", [None, None]))
        self.assertEqual([tuple(each) for each in self.heard], [("b", 2, ""), ("b", 2, "")])

    def test_what_it_raises_is_the_tasks_failure_or_its_choice(self) -> None:
        @self.queue.middleware
        def refuse(job: Any, call_next: Callable[[], Any]) -> Any:
            if job.attempt == 1:
                raise Snooze(0)
            raise ConnectionError("from the middleware")

        job = self.task(add).enqueue(1)
        self.drain()
        self.assertEqual((job.refresh().state, job.attempt), ("failed", 2))
        self.assertEqual(job.errors[0].message, "from the middleware")

    def test_it_sees_what_the_task_raises(self) -> None:
        seen: list[BaseException] = []

        @self.queue.middleware
        def watch(job: Any, call_next: Callable[[], Any]) -> Any:
            try:
                return call_next()
            except Exception as error:
                seen.append(error)
                raise

        self.task(raising(KeyError("x")), retry=Retry(2, intervals=[0])).enqueue()
        self.drain()
        self.assertEqual([repr(error) for error in seen], ["KeyError('x')"])

    def test_a_coroutine_gets_those_that_are_async_and_a_function_the_others(self) -> None:
        self.wrap("plain")

        @self.queue.middleware
        async def around(job: Any, call_next: Callable[[], Any]) -> Any:
            self.heard.append(("async begins", job.id, job.task))
            return [await call_next()]

        @self.queue.middleware
        async def inner(job: Any, call_next: Callable[[], Any]) -> Any:
            assert current_job() is job
            return await call_next() + 1

        async def later(number: int) -> int:
            await asyncio.sleep(0)
            return number

        job = self.task(later).enqueue(7)
        plain = self.task(add).enqueue(1)
        self.drain()
        self.assertEqual((job.result(0), plain.result(0)), ([8], 2))
        self.assertEqual([name for name, _, _ in self.heard], ["async begins", "plain begins", "plain ends"])

    def test_it_stands_around_the_tasks_of_its_own_queue_alone(self) -> None:
        other = self.make_queue("other")
        self.wrap("mine")
        self.wrap("theirs", other)
        other.task(name="there")(add).using(queue="default").enqueue(1)
        self.queue.declared.update(other.declared)
        self.assertEqual([name for name, _, _ in self.drain()], ["theirs begins", "theirs ends"])

    def test_a_task_that_another_queue_enqueues_keeps_its_own(self) -> None:
        other = self.make_queue("other", codec=PICKLE)
        self.wrap("theirs", other)
        self.listen("completed", queue=other)
        task = other.task(name="there")(add)
        job = self.queue.enqueue(task, 1)
        heard = [("theirs begins", job.id, "there"), ("theirs ends", job.id, "2")]
        self.assertEqual(self.drain(), [*heard, ("completed", job.id, "completed")])
        own = task.enqueue(1)
        self.heard.clear()
        self.queue.drain(queues=["other"])
        self.assertEqual(own.result(0), 2, "written and read with the codec of the queue that declares it")
        self.assertEqual([what for what, _, _ in self.heard], ["theirs begins", "theirs ends", "completed"])

    def test_a_call_here_and_now_is_just_a_call(self) -> None:
        self.wrap("around")
        self.assertEqual((self.task(add)(1), self.heard), (2, []))


class TestBeforeEnqueue(HookCase):
    def test_it_may_change_the_options_and_the_arguments(self) -> None:
        @self.queue.middleware("enqueue")
        def first(call: Call[Any]) -> Call[Any]:
            return call.using(priority=7, tags="seen")

        @self.queue.middleware("enqueue")
        def second(call: Call[Any]) -> Call[Any]:
            assert call.options.priority == 7
            return call._replace(args=(*call.args, 10))

        job = self.task(echo_all).enqueue(1)
        self.assertEqual((job.priority, job.tags, job.args), (7, ("seen",), (1, 10)))

    def test_it_may_change_the_task(self) -> None:
        other: Task[..., Any] = self.task(echo)

        @self.queue.middleware("enqueue")
        def change(call: Call[Any]) -> Call[Any]:
            return other.call(*call.args)

        self.assertEqual(self.task(add).enqueue(1).task, "echo")

    def test_it_may_refuse_and_nothing_is_stored(self) -> None:
        @self.queue.middleware("enqueue")
        def refuse(call: Call[Any]) -> Call[Any]:
            if call.args == (3,):
                raise PermissionError("no threes")
            return call

        task = self.task(add)
        with self.assertRaises(PermissionError):
            task.enqueue(3)
        with self.assertRaises(PermissionError):
            self.queue.enqueue_many(task.call(number) for number in range(5))
        self.assertEqual(self.queue.counts()["ready"], 0)
        self.assertEqual(len(self.queue.enqueue_many(task.call(number) for number in range(3))), 3)

    def test_it_sees_each_call_once_in_every_form(self) -> None:
        seen: list[tuple[str, tuple[object, ...]]] = []

        @self.queue.middleware("enqueue")
        def look(call: Call[Any]) -> Call[Any]:
            seen.append((call.task.name, tuple(call.args)))
            return call

        task, end = self.task(add), self.task(echo)
        task.enqueue(1)
        task.using(unique=True).enqueue(2)
        self.queue.enqueue(add, args=(3,), priority=1)
        self.queue.enqueue_many([task.call(4), task.using(unique=True).call(5)])
        (group([task.call(6), task.call(7)]) | end.call()).enqueue()
        task.using(on_success=end.call(8), on_failure=end.call(9)).enqueue(10)
        asyncio.run(task.aenqueue(11))
        self.assertEqual(
            sorted(seen, key=str),
            sorted(
                [("add", (n,)) for n in (1, 2, 4, 5, 6, 7, 10, 11)]
                + [("tests.users.things:add", (3,)), ("echo", ()), ("echo", (8,)), ("echo", (9,))],
                key=str,
            ),
        )
        self.queue.drain()
        self.assertEqual(self.queue.counts()["failed"], 0)

    def test_what_it_makes_of_a_call_must_fit(self) -> None:
        @self.queue.middleware("enqueue")
        def wrong(call: Call[Any]) -> Call[Any]:
            return call._replace(args=(1, 2, 3))

        with self.assertRaises(BadArguments):
            self.task(add).enqueue(1)
        with self.assertRaises(BadArguments):
            self.queue.enqueue_many([self.task(add).call(1)])

    def test_one_that_returns_no_call_is_named(self) -> None:
        forgetful: Any = lambda call: None  # noqa: E731
        self.queue.middleware("enqueue")(forgetful)
        with self.assertRaisesRegex(InvalidOption, "returned None for add; it must return the call"):
            self.task(add).enqueue(1)

    def test_an_async_one_and_another_place_are_refused(self) -> None:
        async def later(call: Call[Any]) -> Call[Any]:
            return call

        declare: Any = self.queue.middleware
        with self.assertRaisesRegex(InvalidOption, "later is an `async def`"):
            declare("enqueue")(later)
        with self.assertRaisesRegex(InvalidOption, "'run' is no place for middleware"):
            declare("run")


def echo_all(*values: object) -> list[object]:
    return list(values)


class TestPlain(QueueCase):
    def test_a_job_that_vanished_is_no_trouble_for_the_teller(self) -> None:
        from litequeue.worker.teller import Teller

        Teller(self.queue.desk, lambda name: None).tell_enqueued([77])
        with self.assertRaises(JobNotFound):
            self.queue.job(77)
