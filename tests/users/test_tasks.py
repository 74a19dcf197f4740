"""Tasks and calls: what can be one, what it is called, the forms of enqueue, and who runs it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

from litequeue import (
    JSON,
    PICKLE,
    BadArguments,
    Call,
    EncodingError,
    InvalidOption,
    InvalidTask,
    Job,
    LiteQueueError,
    PayloadTooLarge,
    Queue,
    State,
    Task,
    current_job,
)
from litequeue.tasks import AsyncTask
from tests.users import things
from tests.users.case import QueueCase, run_python
from tests.users.things import Color, Holder, Point, add, echo, keyword, later, move


class TestWhatCanBeATask(QueueCase):
    def test_what_no_worker_could_find_is_refused_with_a_reason(self) -> None:
        def nested() -> None: ...

        refused: tuple[tuple[object, str], ...] = (
            (lambda: None, "a lambda has no name"),
            (nested, "inside a function.*top of its module"),
            (Holder().method, "method bound to an object"),
            (Holder.of_class, "method bound to an object"),
            (Holder(), "not a function"),
            (functools.partial(add, 1), "not a function"),
            (5, "not a function"),
            (b"app:fetch", "not a function"),
        )
        self.queue.counts()
        with self.unchanged():
            for thing, message in refused:
                forms: tuple[Callable[[Any], object], ...] = (
                    self.queue.enqueue,
                    self.queue.task,
                    self.queue.task(priority=1),
                )
                for form in forms:
                    with self.subTest(repr(thing)), self.assertRaisesRegex(InvalidTask, message):
                        form(thing)

    def test_a_function_and_its_options_may_be_given_at_once(self) -> None:
        task = self.queue.task(add, name="twice", priority=5)
        self.assertEqual(task.enqueue(2).refresh().priority, 5)
        self.assertEqual(task.name, "twice")
        with self.assertRaises(InvalidOption):
            self.queue.task(add, prioritty=5)  # type: ignore[call-overload]

    def test_a_task_is_not_declared_twice(self) -> None:
        task = self.queue.task(add)
        with self.assertRaisesRegex(InvalidTask, "is a task already"):
            self.queue.task(task)

    def test_a_name_of_its_own_lets_any_function_be_a_task(self) -> None:
        nested = self.queue.task(name="twice")(lambda x: 2 * x)
        self.assertEqual((nested.name, nested.enqueue(4).task), ("twice", "twice"))
        self.queue.drain()
        self.assertEqual(self.queue.enqueue("twice", 5).task, "twice")

    def test_a_name_is_given_once(self) -> None:
        self.queue.task(name="same")(add)
        self.queue.task(name="same")(add)  # the same function again: its module was loaded anew
        with self.assertRaisesRegex(InvalidTask, "two functions want the name 'same'"):
            self.queue.task(name="same")(echo)

    def test_names_that_nobody_could_read_are_refused(self) -> None:
        names: tuple[Any, ...] = ("", "a\nb", "a\0", "\x1b[1m", "\ud800", "x" * 201, 5)
        for name in names:
            with self.subTest(ascii(name)), self.assertRaises(InvalidOption):
                self.queue.task(name=name)(add)
            with self.subTest(ascii(name)), self.assertRaises(LiteQueueError):
                self.queue.enqueue(name)
        for name in ("fetch", "app:", ":fetch", "::"):
            with self.subTest(name), self.assertRaisesRegex(InvalidOption, "package.module:function"):
                self.queue.enqueue(name)
        self.assertEqual(self.contents(), {})

    def test_functions_of_classes_and_of_c_have_names_too(self) -> None:
        for function, name in ((Holder.static, f"{things.__name__}:Holder.static"), (math.sqrt, "math:sqrt")):
            job = self.queue.enqueue(function, 4)
            self.assertEqual(job.task, name)
            self.queue.drain()
            self.assertEqual(job.result(0), function(4))


class TestTask(QueueCase):
    def test_it_is_still_the_function(self) -> None:
        task = self.queue.task(add)
        self.assertEqual((task(1, 2), task.__name__, task.__wrapped__), (3, "add", add))  # type: ignore[attr-defined]
        self.assertEqual(inspect.signature(task), inspect.signature(add))
        self.assertEqual(repr(task), f"<Task {things.__name__}:add>")
        self.assertEqual(self.contents(), {})

    def test_the_three_forms_store_the_same(self) -> None:
        task = self.queue.task(add)
        jobs: list[Job[Any]] = [
            task.enqueue(1, b=2),
            self.queue.enqueue(task, 1, b=2),
            self.queue.enqueue(task, args=(1,), kwargs={"b": 2}),
            self.queue.enqueue(task, args=[1], kwargs={"b": 2}, priority=0),
            self.queue.enqueue(add, 1, b=2),
            self.queue.enqueue(task.name, 1, b=2),
            task.call(1, b=2).enqueue(),
            asyncio.run(task.aenqueue(1, b=2)),
            *self.queue.enqueue_many([task.call(1, b=2)]),
        ]
        self.assertEqual(
            {(job.task, job.args, tuple(job.kwargs.items())) for job in jobs},
            {(task.name, (1,), (("b", 2),))},
        )
        self.assertEqual(self.queue.drain(), len(jobs))
        self.assertEqual({job.result(0) for job in jobs}, {3})

    def test_kwargs_alone_make_the_explicit_form(self) -> None:
        job = self.queue.enqueue(keyword, kwargs={"only": 5}, priority=3)
        self.assertEqual((job.args, job.kwargs, job.priority), ((), {"only": 5}, 3))

    def test_the_explicit_form_refuses_what_is_no_tuple_and_no_dict(self) -> None:
        bad: tuple[dict[str, Any], ...] = (
            {"args": "ab"},
            {"args": b"ab"},
            {"args": 5},
            {"args": None},
            {"kwargs": 5},
            {"kwargs": [("b", 1)]},
            {"kwargs": None},
            {"kwargs": {1: 2}},
        )
        for given in bad:
            for task in (add, "app:fetch"):
                with self.subTest(given), self.assertRaises(InvalidOption):
                    self.queue.enqueue(task, **given)
        with self.assertRaisesRegex(InvalidOption, "both by place and as args="):
            self.queue.enqueue("a:b", 1, args=(1,))
        self.assertEqual(self.contents(), {})

    def test_arguments_that_do_not_fit_are_refused_where_they_are_given(self) -> None:
        task: Task[..., Any] = self.queue.task(add)
        only: Task[..., Any] = self.queue.task(keyword)
        calls: tuple[Callable[[], object], ...] = (
            task.enqueue,
            lambda: task.enqueue(1, 2, 3),
            lambda: task.call(c=1),
            lambda: task.enqueue(1, a=1),
            lambda: asyncio.run(task.aenqueue(1, c=1)),
            lambda: self.queue.enqueue(task, 1, priority=5),
            lambda: self.queue.enqueue(add, args=(1, 2, 3)),
            lambda: only.enqueue(5),
            only.enqueue,
        )
        for number, call in enumerate(calls):
            with self.subTest(number), self.assertRaisesRegex(BadArguments, r"(add|keyword)\(.*: "):
                call()
        with self.assertRaisesRegex(BadArguments, "options belong into the explicit form"):
            task.enqueue(1, priority=5)
        self.assertEqual(self.contents(), {})

    def test_arguments_that_can_not_be_stored_are_refused(self) -> None:
        task: Task[..., Any] = self.queue.task(echo)
        forms: tuple[Callable[[object], object], ...] = (
            task.enqueue,
            task.using(priority=1).enqueue,
            lambda value: self.queue.enqueue("a:b", value),
        )
        loop: list[object] = []
        loop.append(loop)
        deep: object = None
        for _ in range(100_000):
            deep = [deep]
        for value in (
            object(),
            self.queue,
            Holder(),
            lambda: 1,
            "\ud800",
            {"\udfff": 1},
            loop,
            deep,
            10**5000,
        ):
            for form in forms:
                with self.assertRaises(EncodingError):
                    form(value)
        self.assertEqual(self.contents(), {})

    def test_arguments_over_the_limit_are_refused_counted_in_bytes(self) -> None:
        queue = self.make_queue(max_payload=100)
        task: Task[..., Any] = queue.task(echo)
        task.enqueue("x" * 91)  # and 9 for quotes and brackets
        for value in ("x" * 92, "é" * 46, ["x" * 30] * 4):
            with self.assertRaisesRegex(PayloadTooLarge, "over the limit of 100; store the data in a file"):
                task.enqueue(value)
        self.assertEqual(queue.counts()[State.READY], 1)

    def test_a_result_over_the_limit_fails_counted_in_bytes(self) -> None:
        queue = self.make_queue(max_payload=100)
        job = queue.enqueue(make_text, 60)
        queue.drain()
        self.assertEqual((job.state, job.errors[0].type), ("failed", "PayloadTooLarge"))

    def test_types_that_the_annotations_name_travel_both_ways(self) -> None:
        job = self.queue.task(move).enqueue(Point(1, 2))
        self.assertEqual(job.args, (Point(1, 2),))
        self.queue.drain()
        self.assertEqual(job.result(0), Point(2, 2, Color.BLUE))
        other = self.make_queue()
        with self.assertRaisesRegex(EncodingError, "(Point|Color).*not known here"):
            other.job(job.id).result(0)
        told = self.make_queue(codec=JSON.knowing(Point, Color))
        self.assertEqual(told.job(job.id).result(0), Point(2, 2, Color.BLUE))

    def test_the_task_of_another_queue_runs_and_is_read_where_it_was_enqueued(self) -> None:
        task = self.queue.task(timeout=60)(move)
        other = self.make_queue("other")
        one = other.enqueue(task, Point(1, 2))
        (two,) = other.enqueue_many([task.call(Point(3, 2))])
        self.assertEqual(other.drain(), 2)
        self.assertEqual((one.result(0).x, two.result(0).x), (2, 4))


class TestAliases(QueueCase):
    def test_delay_and_send_are_enqueue(self) -> None:
        task = self.queue.task(add)
        jobs = [
            task.delay(1, b=2),
            task.send(1, b=2),
            task.using(priority=5, delay=60).delay(1),
            task.enqueue(1),
        ]
        found = [(job.args, job.kwargs, job.priority, str(job.state)) for job in jobs]
        self.assertEqual(
            found,
            [
                ((1,), {"b": 2}, 0, "ready"),
                ((1,), {"b": 2}, 0, "ready"),
                ((1,), {}, 5, "scheduled"),
                ((1,), {}, 0, "ready"),
            ],
        )
        aliases: list[Any] = [task.delay, task.send, self.queue.task(later).delay]
        for alias in aliases:
            with self.assertRaises(BadArguments):
                alias()

    def test_an_argument_may_have_the_name_of_an_alias(self) -> None:
        def both(delay: int, send: int) -> tuple[int, int]:
            return delay, send

        job = self.queue.task(name="t")(both).delay(delay=5, send=6)
        self.queue.drain()
        self.assertEqual((job.state, job.result()), ("completed", (5, 6)))


class TestCalls(QueueCase):
    def test_many_are_stored_in_order_from_any_iterable(self) -> None:
        task = self.queue.task(add)

        def calls() -> Iterator[Call[int]]:
            for number in range(5000):
                yield task.call(number)

        jobs = self.queue.enqueue_many(calls())
        self.assertEqual([job.id for job in jobs], list(range(1, 5001)))
        self.assertEqual((jobs[0].args, jobs[-1].args), ((0,), (4999,)))
        self.assertEqual(self.queue.enqueue_many([]), [])

    def test_they_may_mix_tasks_queues_options_and_sizes(self) -> None:
        task, other = self.queue.task(add), self.queue.task(echo)
        jobs = self.queue.enqueue_many(
            [
                task.call(1),
                other.using(queue="mail").call("x" * 50_000),
                task.call(2).using(priority=5, delay=1),
            ]
        )
        self.assertEqual([job.queue for job in jobs], ["default", "mail", "default"])
        self.assertEqual([job.state for job in jobs], ["ready", "ready", "scheduled"])
        self.assertEqual(jobs[1].args, ("x" * 50_000,))

    def test_all_or_none(self) -> None:
        task: Task[..., Any] = self.queue.task(echo)
        self.queue.counts()

        def breaks_off() -> Iterator[Call[Any]]:
            yield task.call(1)
            raise KeyError("the source")

        with self.unchanged():
            with self.assertRaises(EncodingError):
                self.queue.enqueue_many([task.call(1), task.call(object())])
            with self.assertRaisesRegex(KeyError, "the source"):
                self.queue.enqueue_many(breaks_off())
            with self.assertRaises(InvalidOption):
                self.queue.enqueue_many([task.call(1), task.using(retry=lambda n, e: 1).call(2)])
        self.assertEqual(sum(self.queue.counts().values()), 0)

    def test_what_is_no_call_is_refused(self) -> None:
        task = self.queue.task(add)
        for given, message in (
            ([task], "write task.call"),
            ([5], "is not a call"),
            (5, "list of calls"),
            (task.call(1), "list of calls"),
            ([task.enqueue(1)], "is not a call"),
            ([add], "is not a call"),
        ):
            with self.subTest(str(given)), self.assertRaisesRegex(InvalidTask, message):
                self.queue.enqueue_many(given)  # type: ignore[arg-type]
        self.assertEqual(self.queue.counts()[State.READY], 1)

    def test_a_call_may_be_enqueued_again_and_again(self) -> None:
        call = self.queue.task(add).call(1)
        jobs = [call.enqueue(), call.enqueue(), *self.queue.enqueue_many([call, call])]
        self.assertEqual(len(set(jobs)), 4)
        self.assertEqual({job.args for job in jobs}, {(1,)})


class TestAsync(QueueCase):
    def test_calling_gives_the_coroutine_and_enqueue_a_job(self) -> None:
        task = self.queue.task(later)
        self.assertIsInstance(task, AsyncTask)
        self.assertEqual(asyncio.run(task(1)), 2)
        jobs = [task.enqueue(1), self.queue.enqueue(later, 2), task.using(priority=1).enqueue(3)]
        self.assertEqual(self.queue.drain(), 3)
        self.assertEqual([job.result(0) for job in jobs], [2, 3, 4])

    def test_a_coroutine_enqueues_and_waits_without_holding_the_loop(self) -> None:
        task = self.queue.task(add)
        queue = self.make_queue(clock=None)
        queue.task(add)

        async def program() -> list[int]:
            jobs = [await task.aenqueue(number) for number in range(3)]
            return [await job for job in jobs] + [await jobs[0].aresult(timeout=5)]

        with queue.worker():
            self.assertEqual(asyncio.run(program()), [1, 2, 3, 1])


class TestCodecs(QueueCase):
    def test_pickle_is_read_only_where_it_was_asked_for_by_name(self) -> None:
        pickled = self.make_queue(codec=PICKLE)
        job = pickled.task(echo).enqueue({1, 2, frozenset({3})})
        self.assertEqual(job.args, ({1, 2, frozenset({3})},))
        for codec in (JSON, JSON.knowing(Color)):
            plain = self.make_queue(codec=codec)
            with self.assertRaisesRegex(EncodingError, "written by the codec 'pickle'"):
                plain.job(job.id).args  # noqa: B018
        plain.task(echo)
        self.assertEqual(plain.drain(), 1)
        self.assertEqual(job.refresh().state, "failed")
        self.assertIn("pickle", job.errors[0].message)
        job.retry()
        pickled.drain()
        with self.assertRaisesRegex(EncodingError, "written by the codec 'pickle'"):
            plain.job(job.id).result(0)
        self.assertEqual(job.result(0), {1, 2, frozenset({3})})

    def test_a_pickle_planted_in_the_file_is_not_opened(self) -> None:
        job = self.queue.task(echo).enqueue(1)
        opened = self.folder / "opened"
        bomb = f"cos\nsystem\n(S'touch {opened}'\ntR.".encode()
        for codec in ("pickle", "json"):
            self.queue.desk.database.write(
                lambda c, codec=codec: (
                    c.execute(  # type: ignore[misc]
                        "UPDATE litequeue_job SET payload = ?, codec = ?, state = 'ready'", (bomb, codec)
                    ).rowcount
                )
            )
            self.queue.drain()
            self.assertEqual(self.queue.job(job.id).state, "failed")
            with self.assertRaises(EncodingError):
                self.queue.job(job.id).args  # noqa: B018
            job.retry()
        self.assertFalse(opened.exists())

    def test_json_stays_readable_for_a_queue_with_pickle(self) -> None:
        job = self.queue.enqueue(echo, (1, 2))
        self.assertEqual(self.make_queue(codec=PICKLE).job(job.id).args, ((1, 2),))


APP = """
from litequeue import Queue
queue = Queue("jobs.db")

@queue.task
def double(x: int) -> int:
    return 2 * x

@queue.task
async def triple(x: int) -> int:
    return 3 * x

def plain(x: int) -> int:
    return x

if __name__ == "__main__":
    for job in (double.enqueue(4), triple.enqueue(4), queue.enqueue(plain, 4)):
        print(job.task)
"""


class TestScripts(QueueCase):
    def worker(self, *options: str) -> None:
        run_python("-m", "litequeue", "worker", "jobs.db", "--burst", *options, cwd=self.folder)

    def results(self) -> dict[str, object]:
        return {
            job.task: job.result(0) if job.state == "completed" else str(job.state)
            for job in self.queue.jobs()
        }

    def test_a_script_stores_its_tasks_under_the_name_of_its_file(self) -> None:
        self.write("app.py", APP)
        said = run_python("app.py", cwd=self.folder)
        self.assertEqual(said.split(), ["app:double", "app:triple", "app:plain"])
        self.worker()
        self.assertEqual(self.results(), {"app:double": 8, "app:triple": 12, "app:plain": "ready"})
        self.worker("--app", "app")
        self.assertEqual(self.results()["app:plain"], 4)

    def test_a_script_with_a_hyphen(self) -> None:
        self.write("my-app.py", APP)
        self.assertIn("my-app:double", run_python("my-app.py", cwd=self.folder))
        self.worker()
        self.assertEqual(self.results()["my-app:double"], 8)

    def test_a_package_that_is_run_as_a_program(self) -> None:
        self.write("tool/__init__.py", "")
        self.write("tool/__main__.py", APP)
        self.assertIn("tool.__main__:double", run_python("-m", "tool", cwd=self.folder))
        self.worker()
        self.assertEqual(self.results()["tool.__main__:double"], 8)

    def test_a_module_of_a_package_that_is_run_as_a_program(self) -> None:
        self.write("tool/__init__.py", "")
        self.write("tool/jobs.py", APP)
        self.assertIn("tool.jobs:double", run_python("-m", "tool.jobs", cwd=self.folder))
        self.worker()
        self.assertEqual(self.results()["tool.jobs:double"], 8)

    def test_what_was_typed_at_a_prompt_runs_in_that_process_only(self) -> None:
        code = APP + "\n    print(queue.drain(), queue.job(1).result(0))\n"
        for arguments, stdin in ((["-c", code], None), (["-"], code)):
            said = run_python(*arguments, cwd=self.folder, stdin=stdin)
            self.assertEqual(
                said.split()[-5:-2], [f"interactive:{name}" for name in ("double", "triple", "plain")]
            )
            self.assertEqual(said.split()[-2:], ["3", "8"])
        run_python("-c", APP, cwd=self.folder)
        self.worker()
        self.assertEqual(self.queue.counts()[State.READY], 3)

    def test_a_folder_that_is_run_has_no_name_that_could_be_imported(self) -> None:
        self.write("folder/__main__.py", APP)
        self.assertIn("interactive:double", run_python("folder", cwd=self.folder))

    def test_a_script_that_runs_is_not_run_once_more_for_a_task_it_no_longer_has(self) -> None:
        script = APP.partition("if __name__")[0] + "\nprint('run')\ndouble.enqueue(1)\nprint(queue.drain())\n"
        self.write("app.py", script)
        self.queue.enqueue("app:gone", 1)
        self.assertEqual(run_python("app.py", cwd=self.folder).split(), ["run", "1"])

    def test_a_task_sees_its_job_and_nobody_else_does(self) -> None:
        self.assertIsNone(current_job())
        job = self.queue.enqueue(own_id)
        self.queue.drain()
        self.assertEqual(job.result(0), job.id)
        self.assertIsNone(current_job())


def own_id() -> int:
    running = current_job()
    assert running is not None
    return running.id


def make_text(length: int) -> str:
    return "é" * length


class TestTypes(QueueCase):
    def test_a_queue_is_what_a_task_wants_of_its_producer(self) -> None:
        queue: Queue = self.queue
        self.assertIs(queue.task(add).producer, queue)
