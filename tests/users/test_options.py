"""Options: what each is good for, what it refuses, and whose word counts."""

from __future__ import annotations

import math
import sqlite3
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from litequeue import Call, InvalidOption, Job, LiteQueueError, Queue, Retry, Task
from litequeue.clock import SECOND
from litequeue.job import Snapshot
from litequeue.options import checked, list_of_names, text_name, whole
from tests.users.case import QueueCase
from tests.users.things import add

NAIVE = datetime(2031, 5, 1, 12)
NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)
BAD_DURATIONS = (
    math.nan,
    math.inf,
    -math.inf,
    -1,
    -0.001,
    True,
    False,
    "5",
    1e300,
    10**400,
    timedelta(-1),
    [1],
)
BAD_INSTANTS = (
    datetime(2031, 5, 1, 12),
    datetime(1960, 1, 1, tzinfo=UTC),
    datetime(2300, 1, 1, tzinfo=UTC),
    date(2031, 5, 1),
    1_900_000_000,
    "2031-05-01",
    None,
)
BAD_NAMES = ("", "a\nb", "a\0b", "\x1b[31m", "\ud800", "x" * 201, 5, None, b"mail", ["mail"])
REFUSED: dict[str, tuple[object, ...]] = {
    "queue": BAD_NAMES,
    "priority": (1.0, True, "1", None, 2**31, -(2**31) - 1, math.nan),
    "delay": (*BAD_DURATIONS, None),
    "run_at": BAD_INSTANTS,
    "expires": (*BAD_DURATIONS, datetime(2031, 5, 1), None),
    "retry": (True, -1, 1.5, "3", None, int, lambda failures, error: 1),
    "timeout": (*BAD_DURATIONS, 0, 0.0, 1e-9),
    "ack": ("", "Late", None, True),
    "retention": BAD_DURATIONS,
    "tags": (None, 5, b"ab", {"a": 1}, [""], [5], ["a\nb"], ["\ud800"], ["x" * 201], [["a"]]),
    "meta": (
        None,
        5,
        [("a", 1)],
        {1: 2},
        {"a": {1: 2}},
        {"a": (1, 2)},
        {"a": {1}},
        {"a": object()},
        {"a": math.nan},
        {"a": math.inf},
        {"a": "\ud800"},
        {"\ud800": 1},
        {"a": 10**5000},
        {"a": NOON},
    ),
    "headers": (
        None,
        5,
        [("a", "b")],
        {"a": 1},
        {"a": b"b"},
        {"a": "b\r\nc: d"},
        {"a": "\ud800"},
        {"a\n": "b"},
        {"": "b"},
        {1: "b"},
        {"a": "b" * 8192},
    ),
    "max_crashes": (0, -1, True, 1.0, "3", None),
    "isolate": (1, 0, None, "yes"),
    "connection": (None, 5, "jobs.db", object()),
}
ACCEPTED: dict[str, object] = {
    "queue": "mail",
    "priority": -(2**31),
    "delay": 0,
    "run_at": NOON.astimezone(timezone(timedelta(hours=-9))),
    "expires": NOON,
    "retry": 0,
    "timeout": None,
    "ack": "early",
    "retention": None,
    "tags": ("a", "é", "🙂"),
    "meta": {"a": [1, None, {"b": 0.5}], "é": True},
    "headers": {"a": "", "é": "🙂"},
    "max_crashes": 1,
    "isolate": False,
}


class OptionCase(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.add: Task[..., int] = self.queue.task(add)

    def row(self, job: Job[Any]) -> Snapshot:
        return job.refresh().snapshot

    def seconds_from_now(self, micros: int | None) -> float | None:
        return None if micros is None else (micros - self.clock.now()) / SECOND


class TestRefusals(OptionCase):
    def forms(self, name: str, value: Any) -> list[Callable[[], object]]:
        """Every place where an option can be given."""
        options: dict[str, Any] = {name: value}
        forms: list[Callable[[], object]] = [
            lambda: self.add.using(**options).enqueue(1),
            lambda: self.queue.enqueue(self.add, args=(1,), **options),
            lambda: self.queue.enqueue("app:fetch", args=(1,), **options),
            lambda: self.add.call(1).using(**options).enqueue(),
            lambda: self.queue.enqueue_many([self.add.call(1), self.add.call(1).using(**options)]),
        ]
        if not callable(value):  # a function as `retry` may be given to the task, and only there
            forms.append(lambda: self.queue.task(**options)(add))
        return forms

    def test_each_bad_value_is_refused_in_every_form_and_nothing_is_written(self) -> None:
        self.queue.counts()
        with self.unchanged():
            for name, values in REFUSED.items():
                for number, value in enumerate(values):
                    for form in self.forms(name, value):
                        with self.subTest(name=name, number=number):
                            with self.assertRaises(InvalidOption) as caught:
                                form()
                            self.assertRegex(str(caught.exception), f"{name.rstrip('s')}")
        self.assertEqual(sum(self.queue.counts().values()), 0)

    def test_a_refused_enqueue_does_not_even_make_the_file(self) -> None:
        with self.assertRaises(InvalidOption):
            self.add.using(delay=-1).enqueue(1)
        self.assertEqual(self.contents(), {})

    def test_the_message_of_a_naive_datetime_says_how_to_mend_it(self) -> None:
        for naive in ({"run_at": NAIVE}, {"expires": NAIVE}):
            options: dict[str, Any] = naive
            with self.assertRaisesRegex(InvalidOption, "names no time zone.*timezone.utc"):
                self.add.using(**options)

    def test_an_unknown_option_is_named_with_those_there_are(self) -> None:
        for form in self.forms("prioritty", 5):
            with self.assertRaisesRegex(InvalidOption, "no option 'prioritty'.*max_crashes.*priority"):
                form()

    def test_name_belongs_to_the_task_and_connection_to_the_call(self) -> None:
        with self.assertRaisesRegex(InvalidOption, "no option 'name'"):
            self.add.using(name="other")  # type: ignore[call-arg]
        connection = sqlite3.connect(":memory:")
        self.addCleanup(connection.close)
        with self.assertRaisesRegex(InvalidOption, "connection belongs to one call"):
            self.queue.task(connection=connection)  # type: ignore[call-overload]

    def test_delay_and_run_at_are_one_choice(self) -> None:
        with self.assertRaisesRegex(InvalidOption, "delay and run_at"):
            self.add.using(delay=1, run_at=NOON)

    def test_a_retry_function_can_not_be_stored_with_a_job(self) -> None:
        with self.assertRaisesRegex(InvalidOption, "can not be stored.*@queue.task"):
            self.add.using(retry=lambda failures, error: 1).enqueue(1)

    @given(st.floats() | st.integers() | st.booleans() | st.none() | st.text(max_size=3) | st.timedeltas())
    def test_a_duration_is_refused_or_lies_between_0_and_200_years(self, value: Any) -> None:
        try:
            micros = checked({"delay": value}).delay
        except InvalidOption:
            return
        self.assertNotIsInstance(value, (bool, str))
        seconds = value.total_seconds() if isinstance(value, timedelta) else value
        self.assertAlmostEqual(micros / SECOND, seconds, delta=1e-6 + abs(seconds) * 1e-9)
        self.assertTrue(0 <= micros <= 200 * 365 * 86400 * SECOND)

    @given(st.text() | st.characters(categories=["Cs", "Cc"]))
    def test_a_name_is_refused_or_can_be_read_and_stored(self, name: str) -> None:
        try:
            text_name(name, "queue")
        except InvalidOption as error:
            str(error).encode()  # the message itself can be printed
        else:
            self.assertTrue(name.isprintable() and 0 < len(name.encode()) <= 800)

    def test_whole_numbers_and_lists_of_names(self) -> None:
        self.assertEqual(whole(5, "n", 5, 5), 5)
        self.assertEqual(list_of_names(("a", "b"), "queues"), ("a", "b"))
        for value in ("ab", b"ab", 5, None, {"a": 1}, ["a\n"]):
            with self.assertRaises(InvalidOption):
                list_of_names(value, "queues")


class TestQueueOptions(QueueCase):
    def test_each_bad_value_is_refused(self) -> None:
        refused: dict[str, tuple[object, ...]] = {
            "path": (5, None, b"jobs.db", "", "a\0b"),
            "name": BAD_NAMES,
            "durability": ("none", None, True, "FULL"),
            "lease": (*BAD_DURATIONS, 0, 0.5, None),
            "retention": BAD_DURATIONS,
            "maxsize": (-1, True, 1.0, None),
            "codec": ("json", None, 5, dict),
            "max_payload": (0, -1, True, 1e6, None),
        }
        for name, values in refused.items():
            for number, value in enumerate(values):
                with self.subTest(name=name, number=number), self.assertRaises(InvalidOption):
                    Queue(**{"path": self.path, name: value})  # type: ignore[arg-type]
        self.assertEqual(self.contents(), {})

    def test_an_unknown_one_is_refused(self) -> None:
        with self.assertRaises(TypeError):
            Queue(self.path, leese=5)  # type: ignore[call-arg]


class TestMeanings(OptionCase):
    def test_each_option_is_accepted_in_every_form(self) -> None:
        for name, value in ACCEPTED.items():
            options: dict[str, Any] = {name: value}
            stored = {
                str(self.row(job).__class__(**_of(self.row(job), id=0)))
                for job in (
                    self.add.using(**options).enqueue(1),
                    self.add.call(1).using(**options).enqueue(),
                    self.queue.enqueue(self.add, args=(1,), **options),
                    self.queue.enqueue_many([self.add.using(**options).call(1)])[0],
                )
            }
            with self.subTest(name):
                self.assertEqual(len(stored), 1, stored)

    def test_delay_and_run_at(self) -> None:
        for delay in (60, 60.0, timedelta(minutes=1)):
            row = self.row(self.add.using(delay=delay).enqueue(1))
            self.assertEqual((row.state, self.seconds_from_now(row.run_at)), ("scheduled", 60))
        job = self.add.using(run_at=NOON).enqueue(1)
        self.assertEqual(job.run_at, NOON)
        past = self.add.using(run_at=datetime(2020, 1, 1, tzinfo=UTC)).enqueue(1)
        self.assertEqual((past.state, past.run_at.year), ("ready", 2020))

    def test_expires_as_seconds_or_as_an_instant(self) -> None:
        row = self.row(self.add.using(expires=5).enqueue(1))
        self.assertEqual(self.seconds_from_now(row.expires_at), 5)
        row = self.row(self.add.using(expires=NOON).enqueue(1))
        self.assertEqual(row.expires_at, int(NOON.timestamp()) * SECOND)

    def test_tags_and_meta_come_back_as_they_were(self) -> None:
        meta = {"user": 7, "nested": {"list": [1, 2.5, None, True, "é🙂\0"]}, "": {}}
        job = self.add.using(tags=["a", "é🙂"], meta=meta).enqueue(1).refresh()
        self.assertEqual((job.tags, job.meta), (("a", "é🙂"), meta))
        self.assertEqual(self.add.using(tags="alone").enqueue(1).tags, ("alone",))
        self.assertEqual(self.add.using(tags=(tag for tag in "ab")).enqueue(1).tags, ("a", "b"))
        plain = self.add.enqueue(1)
        self.assertEqual((plain.tags, plain.meta), ((), {}))

    def test_meta_is_copied_when_it_is_given(self) -> None:
        meta = {"a": 1}
        call = self.add.using(meta=meta).call(1)
        meta["a"] = 2
        self.assertEqual(call.enqueue().meta, {"a": 1})

    def test_retention_of_the_queue_or_of_the_job(self) -> None:
        def retention(job: Job[Any]) -> object:
            return self.queue.desk.database.read(
                lambda c: c.execute("SELECT retention FROM litequeue_job WHERE id = ?", (job.id,)).fetchone()[
                    0
                ]
            )

        self.assertEqual(retention(self.add.enqueue(1)), 7 * 86400 * SECOND)
        self.assertEqual(retention(self.add.using(retention=5).enqueue(1)), 5 * SECOND)
        self.assertIsNone(retention(self.add.using(retention=None).enqueue(1)))


class TestPrecedence(OptionCase):
    def setUp(self) -> None:
        super().setUp()
        declared = self.queue.task(priority=1, delay=100, timeout=5, tags=["task"], expires=1000)
        self.base: Task[..., int] = declared(add)

    def test_the_call_before_using_before_the_task(self) -> None:
        using = self.base.using(priority=2, tags=["using"])
        call: Call[int] = using.call(1).using(priority=3)
        found = [(job.priority, job.tags) for job in (self.base.enqueue(1), using.enqueue(1), call.enqueue())]
        self.assertEqual(found, [(1, ("task",)), (2, ("using",)), (3, ("using",))])
        explicit = self.queue.enqueue(using, args=(1,), priority=4)
        self.assertEqual((explicit.priority, explicit.tags), (4, ("using",)))

    def test_using_twice_adds_up(self) -> None:
        job = self.base.using(priority=2).using(tags="b").enqueue(1)
        self.assertEqual((job.priority, job.tags), (2, ("b",)))

    def test_run_at_takes_the_place_of_delay_and_the_other_way_round(self) -> None:
        self.assertEqual(self.base.using(run_at=NOON).enqueue(1).run_at, NOON)
        row = self.row(self.base.using(run_at=NOON).call(1).using(delay=5).enqueue())
        self.assertEqual(self.seconds_from_now(row.run_at), 5)

    def test_an_instant_takes_the_place_of_a_duration_for_expires(self) -> None:
        row = self.row(self.base.using(expires=NOON).enqueue(1))
        self.assertEqual(row.expires_at, int(NOON.timestamp()) * SECOND)
        row = self.row(self.base.using(expires=NOON).using(expires=5).enqueue(1))
        self.assertEqual(self.seconds_from_now(row.expires_at), 5)

    def test_nothing_that_was_made_before_is_changed(self) -> None:
        call = self.base.call(1)
        self.base.using(priority=9)
        call.using(priority=9)
        self.queue.enqueue(self.base, args=(1,), priority=9)
        self.assertEqual((self.base.enqueue(1).priority, call.enqueue().priority), (1, 1))
        with self.assertRaises(AttributeError):
            call.options = None  # type: ignore[misc, assignment]

    def test_only_what_differs_from_the_task_is_kept_with_the_job(self) -> None:
        self.assertIsNone(self.row(self.base.enqueue(1)).options)
        self.assertIsNone(self.row(self.base.using(timeout=5).enqueue(1)).options)
        self.assertEqual(self.row(self.base.using(timeout=None).enqueue(1)).options, '{"timeout":null}')
        self.assertIn("max_attempts", self.row(self.base.using(retry=Retry(5)).enqueue(1)).options or "")

    def test_the_options_of_a_task_are_inherited_by_another_queue(self) -> None:
        other = self.make_queue("other")
        job = other.enqueue(self.base, 1)
        self.assertEqual((job.queue, job.priority, job.tags), ("other", 1, ("task",)))
        self.assertIsNone(self.row(job).options)


class TestDamagedRows(OptionCase):
    def test_stored_options_that_can_not_be_read_fail_their_job_and_no_other(self) -> None:
        damaged = [
            "[]",
            "5",
            '{"retry":5}',
            '{"nonsense":1}',
            '{"timeout":"x"}',
            '{"retry":{"backoff":-1}}',
            "{",
        ]
        for text in damaged:
            job = self.add.enqueue(1)
            self.queue.desk.database.write(
                lambda c, text=text, id=job.id: (
                    c.execute(  # type: ignore[misc]
                        "UPDATE litequeue_job SET options = ? WHERE id = ?", (text, id)
                    ).rowcount
                )
            )
            after = self.add.enqueue(2)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                self.queue.drain()
            with self.subTest(text):
                self.assertEqual((job.refresh().state, after.result(0)), ("failed", 3))
                with self.assertRaises(LiteQueueError):
                    job.result(0)


def _of(row: Snapshot, **changes: object) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Snapshot.__slots__} | changes
