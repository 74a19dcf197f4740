"""Unique jobs as a person asks for them: every form of a key, and what is to become of a second one."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any

from litequeue import JSON, BadArguments, DuplicateJob, InvalidOption, QueueFull, State, group
from tests.users.case import QueueCase, run_python
from tests.users.things import Color, add, echo


class UniqueCase(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.seen: list[tuple[object, ...]] = []

    def declare(self, name: Any = "work", **options: Any) -> Any:
        def function(a: object, b: object = 1, *rest: object, flag: bool = False, **more: object) -> object:
            self.seen.append((a, b))
            return a

        return self.queue.task(name=name, **options)(function)

    def assert_same(self, one: Any, other: Any) -> None:
        self.assertEqual((one.id, one.created, other.created), (other.id, True, False))

    def assert_other(self, one: Any, other: Any) -> None:
        self.assertTrue(one.created and other.created)
        self.assertNotEqual(one.id, other.id)


class TestKeys(UniqueCase):
    def test_true_means_the_task_and_its_arguments(self) -> None:
        task = self.declare(unique=True)
        self.assert_same(task.enqueue(1, 2), task.enqueue(1, 2))
        self.assertTrue(task.enqueue(1).created)
        self.assert_other(task.enqueue(2), self.declare("other", unique=True).enqueue(2))

    def test_however_the_arguments_are_written(self) -> None:
        task = self.declare(unique=True)
        first = task.enqueue(1)
        for again in (
            task.enqueue(1, 1),
            task.enqueue(a=1),
            task.enqueue(b=1, a=1),
            task.enqueue(1, flag=False),
            task.call(1).enqueue(),
            self.queue.enqueue(task, 1),
            self.queue.enqueue(task, args=(1,)),
            *self.queue.enqueue_many([task.call(1), task.call(a=1)]),
        ):
            self.assertEqual((again.id, again.created), (first.id, False))
        kinds = [
            task.enqueue("1"),
            task.enqueue(1.0),
            task.enqueue([1]),
            task.enqueue((1,)),
            task.enqueue(None),
        ]
        self.assertTrue(all(job.created for job in kinds))

    def test_dicts_and_sets_in_any_order(self) -> None:
        task = self.declare(unique=True)
        task.enqueue({"x": 1, "y": {"b", "a", "c"}})
        self.assertFalse(task.enqueue({"y": {"c", "b", "a"}, "x": 1}).created)
        task.enqueue(0, p=1, q=2)
        self.assertFalse(task.enqueue(0, q=2, p=1).created)

    def test_the_same_in_every_process(self) -> None:
        code = (
            "import sys, litequeue\n"
            "from tests.users.things import echo\n"
            "queue = litequeue.Queue(sys.argv[1])\n"
            "value = {'set': {'a', 'b', 'c', 'd'}, 'list': [1, 2.5, None]}\n"
            "job = queue.enqueue(echo, args=(value,), unique=True)\n"
            "print(job.id, job.created)\n"
        )
        said = [run_python("-c", code, self.path, cwd=self.folder) for _ in range(2)]
        self.assertEqual(said, ["1 True\n", "1 False\n"])

    def test_long_arguments(self) -> None:
        task = self.declare(unique=True)
        task.enqueue("x" * 100_000)
        self.assertFalse(task.enqueue("x" * 100_000).created)
        self.assertTrue(task.enqueue("x" * 99_999).created)

    def test_a_text_is_the_same_for_all_arguments_of_the_task(self) -> None:
        task = self.declare(unique="index")
        self.assert_same(task.enqueue(1), task.enqueue(2))
        self.assertTrue(self.declare("other", unique="index").enqueue(1).created)

    def test_a_tuple_names_the_arguments_that_count(self) -> None:
        task = self.declare(unique=("a",))
        self.assert_same(task.enqueue(1, 2), task.enqueue(1, 3))
        self.assertTrue(task.enqueue(2).created)
        pair = self.declare("pair", unique=["a", "b"])
        self.assert_same(pair.enqueue(1), pair.enqueue(1, b=1, flag=True))
        self.assertTrue(pair.enqueue(1, 2).created)

    def test_a_function_of_the_arguments(self) -> None:
        task = self.declare(unique=lambda a, *rest, **more: f"customer-{a % 10}")
        self.assert_same(task.enqueue(1), task.enqueue(11, flag=True))
        self.assertTrue(task.enqueue(2).created)
        number = self.declare("number", unique=lambda a: a)
        self.assert_same(number.enqueue(7), number.enqueue(7))

    def test_in_the_explicit_form_for_a_plain_function_and_for_a_name(self) -> None:
        self.assert_same(
            self.queue.enqueue(add, args=(1, 2), unique=True),
            self.queue.enqueue(add, args=(1, 2), unique=True),
        )
        self.assert_same(
            self.queue.enqueue("app:f", args=(1,), unique=True),
            self.queue.enqueue("app:f", args=(1,), unique=True),
        )
        self.assertTrue(self.queue.enqueue("app:f", args=(2,), unique=True).created)

    def test_a_call_says_so_for_itself(self) -> None:
        task = self.declare()
        unique = task.using(unique=True)
        self.assert_same(unique.enqueue(1), unique.enqueue(1))
        self.assertTrue(task.enqueue(1).created)
        self.assertTrue(task.call(2).using(unique="x").enqueue().created)
        self.assertFalse(task.call(3).using(unique="x").enqueue().created)

    def test_what_can_be_no_key_is_refused(self) -> None:
        wrongs: tuple[Any, ...] = (
            False,
            None,
            5,
            "",
            "a\nb",
            "\ud800",
            "x" * 201,
            (),
            [],
            ("a", 5),
            b"x",
            1.5,
            {"a"},
        )
        for wrong in wrongs:
            with self.subTest(wrong), self.assertRaisesRegex(InvalidOption, r"unique is .*; give True"):
                self.queue.task(name="x", unique=wrong)

    def test_what_a_function_gives_is_checked(self) -> None:
        for given in (None, "", "a\nb", 1.5, ("a",), True, "x" * 201):
            task = self.declare(unique=lambda *_, given=given, **__: given)
            with self.subTest(given), self.assertRaisesRegex(InvalidOption, "key function of work gave"):
                task.enqueue(1)
        self.assertEqual(self.queue.jobs(), [])

    def test_an_argument_that_is_not_there_is_told(self) -> None:
        with self.assertRaisesRegex(BadArguments, "work has no argument 'customer'"):
            self.declare(unique=("customer",)).enqueue(1)

    def test_the_types_that_the_codec_of_the_queue_knows(self) -> None:
        queue = self.make_queue("colors", codec=JSON.knowing(Color))
        task: Any = queue.task(name="paint", unique=True, key=("color",), max_running=1)(
            lambda color, text="": text
        )
        red = task.enqueue(Color.RED)
        self.assertEqual([task.enqueue(Color.RED), task.enqueue(Color.BLUE) == red], [red, False])
        queue.schedules.add("again", task.call(Color.RED), every=60)
        self.assertEqual(queue.drain(), 2)
        self.clock.advance(60)
        self.assertEqual(queue.drain(), 1)

    def test_arguments_that_are_no_json_are_told(self) -> None:
        class Own(enum.Enum):
            ONE = 1

        with self.assertRaisesRegex(InvalidOption, "no key can be made .*; give a text or a function"):
            self.declare(unique=True).enqueue(Own.ONE)
        self.assertEqual(self.queue.jobs(), [])

    def test_the_result_of_a_parent_is_no_part_of_a_key(self) -> None:
        give = self.queue.task(name="give")(lambda: 1)
        task = self.declare(unique=True)
        one = (give.call() | task.call(5)).enqueue()
        two = (give.call() | task.call(6)).enqueue()
        three = (give.call() | task.call(5)).enqueue()
        self.assert_other(one, two)
        self.assert_same(one, three)
        named = self.declare("named", unique=("b",))
        self.assert_same((give.call() | named.call(5)).enqueue(), (give.call() | named.call(5)).enqueue())
        with self.assertRaisesRegex(BadArguments, "'a'.*result"):
            (give.call() | self.declare("first", unique=("a",))).enqueue()
        alone = self.declare("alone", unique=True)
        self.assert_same((give.call() | alone).enqueue(), (give.call() | alone).enqueue())


class TestDuplicates(UniqueCase):
    def test_return_is_the_default(self) -> None:
        task = self.declare(unique=True)
        first, second = task.enqueue(1), task.enqueue(1)
        self.assert_same(first, second)
        self.queue.drain()
        self.assertEqual((second.result(0), self.seen), (1, [(1, 1)]))
        self.assertTrue(task.enqueue(1).created)

    def test_raise(self) -> None:
        task = self.declare(unique=True, on_duplicate="raise")
        job = task.enqueue(1)
        with self.assertRaisesRegex(DuplicateJob, "job 1 has the unique key"):
            task.enqueue(1)
        with self.assertRaises(DuplicateJob) as caught:
            self.queue.enqueue_many([task.call(2), task.call(1)])
        self.assertEqual((caught.exception.job_id, len(self.queue.jobs())), (job.id, 1))

    def test_replace_is_a_debounce(self) -> None:
        index = self.declare("index", unique="index", on_duplicate="replace", delay=10)
        for text in "abc":
            job = index.enqueue(text)
            self.clock.advance(4)
        self.assertEqual((job.refresh().args, self.queue.drain()), (("c",), 0))
        self.clock.advance(6)
        self.assertEqual((self.queue.drain(), self.seen), (1, [("c", 1)]))

    def test_for_no_longer_than_max_wait(self) -> None:
        index = self.declare(
            "index", unique="index", on_duplicate="replace", delay=10, max_wait=timedelta(seconds=25)
        )
        runs = []
        for second in range(60):
            if second % 5 == 0:
                index.enqueue(second)
            if self.queue.drain():
                runs.append(second)
            self.clock.advance(1)
        self.assertEqual(runs, [25, 55])

    def test_the_handle_of_a_replaced_job_shows_the_new_arguments(self) -> None:
        index = self.declare("index", unique="index", on_duplicate="replace", delay=10)
        first = index.enqueue("x" * 50_000)
        second = index.enqueue("short")
        self.assert_same(first, second)
        self.assertEqual(second.args, ("short",))

    def test_for_a_time_after(self) -> None:
        mail = self.declare("mail", unique=True, unique_for=timedelta(hours=1), retention=0)
        first = mail.enqueue("ada")
        self.queue.drain()
        self.clock.advance(3599)
        self.assertEqual(mail.enqueue("ada").id, first.id)
        self.queue.desk.store.prune()
        self.assertEqual(mail.enqueue("ada").id, first.id)
        self.clock.advance(1)
        self.assertTrue(mail.enqueue("ada").created)

    def test_a_full_queue_still_knows_its_jobs(self) -> None:
        queue = self.make_queue("small", maxsize=1)
        task = queue.task(name="t", unique=True)(lambda a: a)
        first = task.enqueue(1)
        self.assertEqual((task.enqueue(1).id, task.enqueue(1).created), (first.id, False))
        with self.assertRaises(QueueFull):
            task.enqueue(2)
        with self.assertRaises(QueueFull):
            queue.enqueue_many([task.call(1), task.call(2)])

    def test_options_that_mean_nothing_alone_are_refused(self) -> None:
        given: tuple[dict[str, Any], ...] = (
            {"unique_for": 5},
            {"on_duplicate": "raise"},
            {"unique": True, "max_wait": 5},
            {"unique": True, "on_duplicate": "return", "max_wait": 5},
            {"unique": True, "on_duplicate": "replace", "unique_for": 5},
        )
        for options in given:
            with self.subTest(options), self.assertRaisesRegex(InvalidOption, "unique|max_wait|replace"):
                self.declare(**options).enqueue(1)
        self.assertEqual(self.queue.jobs(), [])

    def test_a_call_may_give_what_its_task_left_open(self) -> None:
        task = self.declare(unique=True, on_duplicate="replace", delay=60)
        self.assertTrue(task.using(max_wait=5).enqueue(1).created)
        with self.assertRaises(DuplicateJob):
            task.using(on_duplicate="raise").enqueue(1)
        with self.assertRaisesRegex(InvalidOption, "unique_for"):
            task.using(unique_for=5).enqueue(2)
        self.assertTrue(
            self.declare("other").using(unique=True).call(1).using(on_duplicate="raise").enqueue().created
        )

    def test_values_that_are_none(self) -> None:
        for option, wrongs in (("on_duplicate", ("", "ignore", None, 1)), ("unique_for", (-1, "5", None))):
            for wrong in wrongs:
                with self.assertRaisesRegex(InvalidOption, option):
                    self.declare(unique=True, **{option: wrong})

    def test_members_of_a_group(self) -> None:
        task = self.declare(unique=True)
        job = (
            group([task.call(1), task.call(1), task.call(2)])
            .then(self.queue.task(name="echo")(echo))
            .enqueue()
        )
        self.queue.drain()
        self.assertEqual((job.result(0), self.seen), ([1, 1, 2], [(1, 1), (2, 1)]))

    def test_what_comes_of_a_job_comes_once_however_often_it_was_asked_for(self) -> None:
        note = self.queue.task(name="note")(lambda *words: self.seen.append(words))
        after = note.call("well") | note.using(on_success=note.call("end")).call()
        for answer in ("return", "replace"):
            with self.subTest(answer):
                self.seen.clear()
                watched: dict[str, Any] = {"on_success": after, "on_failure": note.call("ill")}
                task = self.declare(answer, unique="k", on_duplicate=answer, **watched)
                jobs = [task.enqueue(5) for _ in range(3)]
                self.assertEqual([job.created for job in jobs], [True, False, False])
                self.queue.drain()
                self.assertEqual(self.seen, [(5, 1), ("well",), (None,), ("end",)])

    def test_it_comes_of_the_newer_job_too_that_a_running_one_let_in(self) -> None:
        note = self.queue.task(name="note")(lambda: self.seen.append(("well",)))
        again = [2]

        @self.queue.task(name="index", unique="k", on_duplicate="replace", on_success=note.call())
        def index(a: int) -> None:
            self.seen.append((a,))
            if again:
                index.enqueue(again.pop())

        index.enqueue(1)
        self.queue.drain()
        self.assertEqual(sorted(self.seen, key=str), [("well",), ("well",), (1,), (2,)])

    def test_what_was_written_behind_a_call_runs_for_each_call(self) -> None:
        note = self.queue.task(name="note")(lambda *words: self.seen.append(words))
        task = self.declare(unique=True)
        for _ in range(2):
            (task.call(5) | note).enqueue()
        self.queue.drain()
        self.assertEqual(self.seen, [(5, 1), (5,), (5,)])

    def test_a_retry_meets_the_one_that_took_its_place(self) -> None:
        task = self.declare(unique=True)
        first = task.enqueue(1)
        first.cancel()
        second = task.enqueue(1)
        self.assertEqual(self.queue.retry(state="cancelled"), 0)
        self.assertEqual((first.refresh().state, second.refresh().state), (State.CANCELLED, State.READY))
