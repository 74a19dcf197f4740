"""What litequeue gives to the tests of others: what was enqueued, and the difference in words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from litequeue import BadArguments, InvalidOption, Task
from litequeue.testing import assert_enqueued, assert_not_enqueued, enqueued
from tests.users.case import QueueCase
from tests.users.things import Point, add, echo, move


class AssertionCase(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.queue = self.make_queue(path=":memory:")
        self.add: Task[..., int] = self.queue.task(add)

    def difference(self, task: Any, *args: object, **kwargs: object) -> str:
        with self.assertRaises(AssertionError) as caught:
            assert_enqueued(self.queue, task, *args, **kwargs)
        return str(caught.exception).replace(f"{add.__module__}:", "")


class TestEnqueued(AssertionCase):
    def test_all_jobs_oldest_first_in_all_lanes_whatever_became_of_them(self) -> None:
        self.assertEqual(enqueued(self.queue), [])
        jobs = [self.add.enqueue(1), self.queue.enqueue(echo), self.add.using(queue="mail").enqueue(2)]
        self.queue.drain()
        jobs.append(self.add.using(delay=60).enqueue(3))
        self.assertEqual(enqueued(self.queue), jobs)
        for task in (self.add, add, self.add.name):
            self.assertEqual(enqueued(self.queue, task), [jobs[0], jobs[2], jobs[3]])
        self.assertEqual(enqueued(self.queue, "no:such"), [])

    def test_arguments_are_compared_as_the_function_sees_them(self) -> None:
        job = self.add.enqueue(1, b=2)
        other = self.queue.enqueue(self.add.name, a=5)
        for found in (
            assert_enqueued(self.queue, self.add, 1, 2),
            assert_enqueued(self.queue, add, a=1, b=2),
            assert_enqueued(self.queue, self.add, args=(1,), kwargs={"b": 2}),
            assert_enqueued(self.queue, self.add.name, 1, b=2),
        ):
            self.assertEqual(found, job)
        self.assertEqual(assert_enqueued(self.queue, add, 5), other)
        self.assertEqual(assert_enqueued(self.queue, add, 5, b=1), other)
        point = self.queue.task(move).enqueue(Point(1, 2))
        self.assertEqual(assert_enqueued(self.queue, move, Point(1, 2)), point)

    def test_the_difference_in_words(self) -> None:
        self.assertEqual(self.difference(add, 1), "add(1) was not enqueued; nothing was")
        self.queue.enqueue(echo, "x")
        self.assertEqual(
            self.difference(add, 1, b="two"),
            "add(1, b='two') was not enqueued; there is no job of add, only:\n  job 1: echo('x'), ready",
        )
        self.add.using(delay=1).enqueue(1, b=3)
        self.assertEqual(
            self.difference(self.add, 1, 2),
            "add(1, 2) was not enqueued; the jobs of add are:\n"
            "  job 2: add(1, b=3), scheduled\n"
            "    b is 3, not 2",
        )
        self.queue.enqueue_many(self.add.call(number) for number in range(10, 30))
        words = self.difference(add, 1).splitlines()
        self.assertEqual(
            (len(words), words[2:5]),
            (22, ["    b is 3, not 1", "  job 3: add(10), ready", "    a is 10, not 1"]),
        )
        self.assertEqual(words[-1], "  and 11 more")

    def test_arguments_known_only_by_their_place_or_to_one_side(self) -> None:
        self.queue.enqueue("no:code", 1, 2, word="x")
        self.assertEqual(
            self.difference("no:code", 1, 3, other=4).splitlines()[2:],
            ["    argument 2 is 2, not 3", "    other is not there, not 4", "    word is 'x', not left out"],
        )

    def test_of_long_values_the_part_where_they_differ(self) -> None:
        self.queue.enqueue(echo, "x" * 500 + "yes" + "z" * 500)
        words = self.difference(echo, "x" * 500 + "no").splitlines()[-1]
        self.assertLess(len(words), 300)
        self.assertIn(f"…{'x' * 20}yes", words)
        self.assertIn(f"not …{'x' * 20}no'", words)

    def test_a_job_that_was_stored_when_the_function_was_another(self) -> None:
        self.queue.declared.clear()  # as if another process had stored it
        self.queue.enqueue(self.add.name, 1, 2, 3)
        self.assertEqual(
            self.difference(add, 1, 2).splitlines()[1:],
            [
                "  job 1: add(1, 2, 3), ready",
                "    a is not there, not 1",
                "    b is not there, not 2",
                "    argument 1 is 1, not left out",
                "    argument 2 is 2, not left out",
                "    argument 3 is 3, not left out",
            ],
        )
        self.assertEqual(assert_enqueued(self.queue, self.add.name, 1, 2, 3).id, 1)

    def test_a_job_whose_first_argument_a_parent_will_give(self) -> None:
        last = (self.add.call(1) | self.add.call(b=7)).enqueue()
        self.assertEqual(assert_enqueued(self.queue, self.add, b=7), last)
        self.assertIn("b is 7, not 8", self.difference(self.add, b=8))

    def test_what_no_job_of_the_task_can_have_is_no_assertion(self) -> None:
        self.add.enqueue(1)
        for check in (assert_enqueued, assert_not_enqueued):
            for task in (self.add, add, self.add.name, self.add.using(priority=1)):
                for args, kwargs in (((1, 2, 3), {}), ((1,), {"recipient": 2}), ((1,), {"a": 1})):
                    with (
                        self.subTest(check=check, task=task, args=args, kwargs=kwargs),
                        self.assertRaisesRegex(BadArguments, r"things:add\(a: .*argument"),
                    ):
                        check(self.queue, task, *args, **kwargs)
            with self.assertRaisesRegex(BadArguments, "unexpected keyword argument 'c'"):
                check(self.queue, self.add, args=(1,), kwargs={"c": 2}, priority=0)
        self.assertEqual(self.queue.runnable, {self.add.name: self.add})


class TestOptions(AssertionCase):
    OPTIONS: ClassVar[dict[str, Any]] = {
        "queue": "mail",
        "priority": 5,
        "delay": timedelta(minutes=1),
        "expires": 600,
        "tags": ["a", "b"],
        "meta": {"by": "Ada"},
    }

    def test_those_that_are_said_are_compared_in_both_forms(self) -> None:
        plain = self.add.enqueue(1)
        job = self.add.using(**self.OPTIONS).enqueue(1)
        for name, value in {
            **self.OPTIONS,
            "run_at": job.run_at,
            "expires": job.created_at + timedelta(0, 600),
        }.items():
            with self.subTest(name):
                self.assertEqual(assert_enqueued(self.queue, add, args=(1,), **{name: value}), job)
                self.assertEqual(assert_enqueued(self.queue, self.add.using(**{name: value}), 1), job)
        self.assertEqual(
            assert_enqueued(self.queue, add, args=(1,), priority=0, delay=0, queue="default"), plain
        )
        self.assertEqual(assert_enqueued(self.queue, self.add, 1), plain)

    def test_the_difference_in_words(self) -> None:
        self.add.using(tags="x", expires=60).enqueue(1)
        self.assertEqual(
            self.difference(add, args=(1,), **self.OPTIONS).splitlines(),
            [
                "add(1) with queue='mail', priority=5, delay=60.0, expires=600.0, tags=['a', 'b'], "
                "meta={'by': 'Ada'} was not enqueued; the jobs of add are:",
                "  job 1: add(1), ready",
                "    queue is 'default', not 'mail'",
                "    priority is 0, not 5",
                "    delay is 0.0, not 60.0",
                "    expires is 60.0, not 600.0",
                "    tags is ['x'], not ['a', 'b']",
                "    meta is {}, not {'by': 'Ada'}",
            ],
        )
        moment = self.add.using(delay=5).enqueue(2).run_at
        self.assertIn(
            f"run_at is {moment!r}, not ", self.difference(add, args=(2,), run_at=moment + timedelta(1))
        )

    def test_what_the_task_says_itself_counts_only_where_using_says_more(self) -> None:
        task: Task[..., int] = self.queue.task(name="t", priority=5, retry=3)(add)
        job = task.using(priority=1).enqueue(1)
        self.assertEqual(assert_enqueued(self.queue, task, 1), job)
        self.assertIn("priority is 1, not 5", self.difference(task.using(queue="default"), 1))
        self.assertEqual(assert_enqueued(self.queue, task.using(queue="default", priority=1), 1), job)

    def test_what_can_not_be_compared_is_refused(self) -> None:
        self.add.using(timeout=5).enqueue(1)
        for task, args, kwargs in (
            (add, (), {"args": (1,), "timeout": 5}),
            (self.add.using(timeout=5), (1,), {}),
        ):
            with self.assertRaisesRegex(InvalidOption, "timeout can not be compared, only queue, priority"):
                assert_enqueued(self.queue, task, *args, **kwargs)
        with self.assertRaisesRegex(InvalidOption, "there is no option 'colour'"):
            assert_enqueued(self.queue, add, args=(1,), colour="red")

    def test_an_enqueue_takes_its_time(self) -> None:
        queue = self.make_queue(path=":memory:", clock=None)
        job = queue.task(add).using(delay=60, expires=90).enqueue(1)
        self.assertEqual(assert_enqueued(queue, add, args=(1,), delay=60, expires=90), job)
        with self.assertRaises(AssertionError):
            assert_enqueued(queue, add, args=(1,), delay=62)


class TestNotEnqueued(AssertionCase):
    def found(self, *args: Any, **kwargs: Any) -> str:
        with self.assertRaises(AssertionError) as caught:
            assert_not_enqueued(self.queue, *args, **kwargs)
        return str(caught.exception).replace(f"{add.__module__}:", "")

    def test_what_is_there_is_shown(self) -> None:
        assert_not_enqueued(self.queue, add)
        self.add.using(priority=5).enqueue(1, 2)
        self.add.enqueue(3)
        assert_not_enqueued(self.queue, echo)
        assert_not_enqueued(self.queue, add, 1)
        assert_not_enqueued(self.queue, add, args=(1, 2), priority=4)
        self.assertEqual(self.found(add, 1, b=2), "add(1, b=2) was enqueued:\n  job 1: add(1, 2), ready")
        self.assertEqual(
            self.found(add, args=(1, 2), priority=5),
            "add(1, 2) with priority=5 was enqueued:\n  job 1: add(1, 2), ready",
        )

    def test_without_arguments_any_job_of_the_task(self) -> None:
        self.add.enqueue(1)
        self.add.enqueue(2)
        expected = "add was enqueued:\n  job 1: add(1), ready\n  job 2: add(2), ready"
        self.assertEqual(self.found(self.add), expected)
