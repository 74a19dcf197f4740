"""The JSON codec: what comes out equals what went in, and what could not is refused where it is given."""

import collections
import enum
import io
import json
import math
import os
import struct
import unittest
import uuid
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import given, settings

from litequeue.codec import JSON, PICKLE, JsonCodec, reader
from litequeue.errors import EncodingError, InvalidOption
from tests.ground.shapes import CARRIED, Colour, Doubled, Listing, Made, Picky, Point, Rights, Size, Tree
from tests.ground.values import differs, texts, values, zone

# One type of local time, no transitions: the smallest file that zoneinfo reads.
ZONE_FILE = b"TZif" + bytes(16) + struct.pack(">6lLBB", 0, 0, 0, 0, 1, 4, 0, 0, 0) + b"UTC\0"
KNOWING = JSON.knowing(*CARRIED)


class TestRoundTrip(unittest.TestCase):
    def assert_comes_back(self, value: object, codec: JsonCodec = KNOWING) -> None:
        stored = codec.encode(value)
        self.assertIsNone(differs(value, codec.decode(stored)), stored)

    @given(values)
    @settings(max_examples=300)
    def test_what_comes_out_equals_what_went_in(self, value: object) -> None:
        self.assert_comes_back(value)

    @given(values)
    def test_stored_text_is_plain_json_in_utf_8(self, value: object) -> None:
        def refuse(constant: str) -> object:
            self.fail(f"{constant} is not JSON")

        json.loads(KNOWING.encode(value).encode(), parse_constant=refuse)

    @given(values)
    def test_bytes_are_read_like_text(self, value: object) -> None:
        stored = KNOWING.encode(value)
        self.assertIsNone(differs(value, KNOWING.decode(stored.encode())))

    @given(texts)
    def test_any_text_is_stored_as_it_is(self, text: str) -> None:
        self.assertEqual(json.loads(JSON.encode(text)), text)
        self.assert_comes_back({text: text})

    def test_every_kind_of_value_by_name(self) -> None:
        berlin = zone("Europe/Berlin")
        for value in (
            datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=0),
            datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1),
            datetime(2026, 11, 24, tzinfo=UTC),
            datetime.max,
            datetime(2026, 11, 24).date(),
            datetime(2026, 11, 24, 1, 2, 3, 4).time(),
            timedelta(days=-1, microseconds=1),
            Decimal("1.10"),
            Decimal("-0"),
            Decimal("sNaN12"),
            Decimal("1E+999999"),
            uuid.UUID(int=7),
            b"\0\xff",
            (1, (2, [3])),
            {1, "1", None},
            frozenset({frozenset({1})}),
            Path("a/b"),
            Path(),
            {1: "one", None: "none", (1, 2): "pair"},
            {"$": 1, "$tuple": [1, 2]},
            {True: 1, "1": 2, 2: {"$set": 3}},
            [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308],
            10**4000,
            {Colour.RED: Size.SMALL},
            Rights.READ | Rights.WRITE,
            Tree(1, [Tree((2,)), Tree({3})]),
        ):
            with self.subTest(value):
                self.assert_comes_back(value)

    def test_order_of_a_dict_is_kept(self) -> None:
        self.assertEqual(list(JSON.decode(JSON.encode({3: "c", 1: "a", "2": "b"}))), [3, 1, "2"])

    def test_equal_sets_are_stored_alike(self) -> None:
        a, b = {"x", "y", "z", 1}, {1, "z", "y", "x"}
        self.assertEqual(JSON.encode(a), JSON.encode(b))

    def test_a_constructor_that_changes_its_arguments_does_no_harm(self) -> None:
        self.assert_comes_back(Doubled(4))

    def test_plain_values_are_stored_as_json_that_people_read(self) -> None:
        self.assertEqual(
            JSON.encode(["https://x", 1.5, None, {"ä": True}]), '["https://x",1.5,null,{"ä":true}]'
        )
        self.assertEqual(JSON.encode([1.5, (1, 2)]), '[1.5,{"$tuple":[1,2]}]')


class Shifted(tzinfo):
    """A time zone that calls itself a key, and is no zoneinfo."""

    key = "UTC"

    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(hours=1)

    def dst(self, when: datetime | None) -> None:
        return None

    def tzname(self, when: datetime | None) -> str:
        return "shifted"


class Pair(NamedTuple):
    a: int
    b: int


class Text(str):
    pass


class Number(int):
    pass


class Real(float):
    pass


class Rows(list[int]):
    pass


class Moment(datetime):
    pass


class Mean:
    """Raises whenever it is looked at."""

    def __repr__(self) -> str:
        raise RuntimeError("do not look at me")


class Stray(enum.Enum):
    ONLY = "only"

    @classmethod
    def _missing_(cls, value: object) -> "Stray":
        made = object.__new__(cls)
        made._name_ = str(value)
        made._value_ = str(value)
        return made


class Stranger:
    class Colour(enum.Enum):
        RED = 1


Stranger.Colour.__qualname__ = "Colour"


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


class TestRefusals(unittest.TestCase):
    def assert_refused(self, value: object, words: str, codec: JsonCodec = KNOWING) -> None:
        for wrapped in (value, [1, {"key": value}], (value,)):
            with self.assertRaisesRegex(EncodingError, words):
                codec.encode(wrapped)

    def test_lone_surrogates(self) -> None:
        self.assert_refused("\ud800", "lone surrogate")
        self.assert_refused({"\udfff": 1}, "lone surrogate")
        self.assert_refused(Path(os.fsdecode(b"\xff")), "lone surrogate")

    def test_subclasses_that_would_come_back_as_their_base(self) -> None:
        mappings = [
            collections.OrderedDict(a=1),
            collections.defaultdict(int, a=1),
            collections.Counter("a"),
        ]
        moment = Moment(2026, 11, 24)
        others = [Text("x"), Number(1), Real(1.5), Rows([1]), Pair(1, 2), moment, PurePosixPath("a")]
        for value in (*mappings, *others):
            with self.subTest(value):
                self.assert_refused(value, type(value).__name__)

    def test_a_key_of_a_subclass(self) -> None:
        self.assert_refused({Text("key"): 1}, "Text")

    def test_what_has_no_stored_form(self) -> None:
        for value in (object(), 1j, range(3), bytearray(b"x"), int, len, iter([]), io.StringIO(), Ellipsis):
            with self.subTest(value):
                self.assert_refused(value, "can not be stored; pass plain values")

    def test_classes_nobody_told_of(self) -> None:
        self.assert_refused(
            Point(1), r"annotate the task, or open Queue\(…, codec=JSON.knowing\(Point\)\)", JSON
        )
        self.assert_refused(Colour.RED, "annotate the task", JSON)

    def test_a_class_of_a_known_name_that_is_another(self) -> None:
        self.assert_refused(Stranger.Colour.RED, "annotate the task")

    def test_cycles(self) -> None:
        cycle: list[object] = []
        cycle.append(cycle)
        self.assert_refused(cycle, "contains itself")
        tree = Tree(1)
        tree.children.append(tree)
        self.assert_refused(tree, "contains itself")

    def test_deep_nesting(self) -> None:
        self.assert_refused(nested(100_000), "nested too deeply")
        self.assert_refused({"x": (nested(100_000),)}, "nested too deeply")

    def test_huge_whole_numbers(self) -> None:
        self.assert_refused(10**5000, "can not be stored")

    def test_time_zones_that_can_not_be_named(self) -> None:
        naive = datetime(2026, 11, 24)
        self.assert_refused(naive.replace(tzinfo=Shifted()), "use zoneinfo or timezone")
        nameless = ZoneInfo.from_file(io.BytesIO(ZONE_FILE))
        self.assert_refused(naive.replace(tzinfo=nameless), "use zoneinfo or timezone")

    def test_dataclasses_that_their_fields_can_not_build(self) -> None:
        codec = JSON.knowing(Made, Picky, Listing, Point)
        self.assert_refused(Made(3), "can not be built again from its fields.*seed", codec)
        picky = Picky(1)
        picky.age = -1
        self.assert_refused(picky, "nobody is that young", codec)
        self.assert_refused(Listing("title"), "holds more than its fields", codec)
        bare = Point(1)
        del bare.x
        self.assert_refused(bare, "can not be built again from its fields", codec)

    def test_an_enum_member_made_on_the_fly(self) -> None:
        self.assert_refused(Stray("other"), "not among the members", JSON.knowing(Stray))

    def test_objects_that_raise_when_looked_at(self) -> None:
        self.assert_refused(Mean(), "Mean can not be stored")
        with self.assertRaises(EncodingError):
            JSON.encode({Mean()})

    def test_types_that_can_not_be_carried(self) -> None:
        for kind in (int, Mean, "Colour", Point(1)):
            with self.subTest(kind), self.assertRaisesRegex(InvalidOption, "no enum and no dataclass"):
                JSON.knowing(kind)  # type: ignore[arg-type]


class TestCalls(unittest.TestCase):
    """The short way for the arguments of a call gives what the long one gives."""

    def test_it_writes_what_encode_writes(self) -> None:
        for args, kwargs in (
            ((), {}),
            ((1, "é", None, True), {}),
            ((1.5, [1, {"a": 2}]), {"b": (1, 2)}),
            (((1, 2), {3}), {}),
            (({"$tag": 1},), {}),
        ):
            with self.subTest(args=args, kwargs=kwargs):
                short = JSON.encode_call(args, kwargs, {})
                self.assertEqual(short, JSON.encode([list(args), kwargs]))
                self.assertEqual(JSON.decode(short), [list(args), kwargs])

    def test_it_refuses_what_encode_refuses(self) -> None:
        for value in (object(), "\ud800", 10**5000):
            with self.subTest(type(value)), self.assertRaises(EncodingError):
                JSON.encode_call((value,), {}, {})

    def test_what_plain_sql_wrote_may_be_laid_out_for_people(self) -> None:
        for text in ("[[1],{}]", "\n  [[1], {}]", "[[1],{}] \n", "[ [1],\n{}]", b" [[1],{}]"):
            self.assertEqual(JSON.decode(text), [[1], {}])


class TestReader(unittest.TestCase):
    """The codec's name is stored with each value, and decides who reads it."""

    def test_a_queue_reads_what_its_own_codec_wrote(self) -> None:
        self.assertIs(reader(KNOWING, "json"), KNOWING)
        self.assertIs(reader(PICKLE, "pickle"), PICKLE)

    def test_json_is_always_read(self) -> None:
        self.assertIs(reader(PICKLE, "json"), JSON)

    def test_pickle_is_never_read_unasked(self) -> None:
        with self.assertRaisesRegex(EncodingError, "'pickle'.*'json'.*if you trust whoever wrote the file"):
            reader(JSON, "pickle")


class TestPickle(unittest.TestCase):
    @given(values)
    @settings(max_examples=30)
    def test_what_comes_out_equals_what_went_in(self, value: object) -> None:
        self.assertIsNone(differs(value, PICKLE.decode(PICKLE.encode(value))))

    def test_failures_are_encoding_errors(self) -> None:
        with self.assertRaisesRegex(EncodingError, "can not be pickled"):
            PICKLE.encode(lambda: None)
        for stored in (b"", b"nonsense", "text"):
            with self.subTest(stored), self.assertRaisesRegex(EncodingError, "can not be read"):
                PICKLE.decode(stored)
