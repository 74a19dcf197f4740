"""A file that somebody else wrote: reading it ends in plain values or EncodingError, and imports nothing."""

import dataclasses
import enum
import json
import sys
import unittest
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import example, given, settings
from hypothesis import strategies as st

from litequeue.codec import JSON
from litequeue.errors import EncodingError
from tests.ground.shapes import Bits, Colour, Level, Picky, Point, Rights, Tree

KNOWN = (Colour, Level, Rights, Bits, Point, Tree, Picky)
CODEC = JSON.knowing(*KNOWN)
HARMLESS = (type(None), bool, int, float, str, bytes, list, dict, tuple, set, frozenset)
TAGGED = (datetime, date, time, timedelta, Decimal, UUID, type(Path()))

TAGS = """
    tuple set frozenset dict float datetime date time timedelta Decimal UUID bytes Path enum dataclass
    object type __reduce__
"""
NAMES = """
    Colour Level Bits Point Tree Picky RED x age os:system subprocess.Popen antigravity builtins:eval
    ../../etc/passwd Europe/Berlin Europe 2026-11-24
"""
tags = st.sampled_from([f"${tag}" for tag in ["", *TAGS.split()]])
names = st.sampled_from(["\0", "x" * 5000, *NAMES.split()])
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), names)


def branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(names, tags), inner, max_size=3),
        st.builds(lambda tag, stored: {tag: stored}, tags, inner),
        st.builds(lambda tag, name, stored: {tag: [name, stored]}, tags, names, inner),
    )


def parts(value: Any) -> list[Any]:
    """A value and all that it contains."""
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = [*value, *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = list(value)
    elif dataclasses.is_dataclass(value):
        inner = [getattr(value, field.name) for field in dataclasses.fields(value)]
    return [value, *(part for item in inner for part in parts(item))]


class TestHostileJson(unittest.TestCase):
    def assert_refused(self, stored: object, words: str = "") -> None:
        text = stored if isinstance(stored, (str, bytes)) else json.dumps(stored)
        with self.assertRaisesRegex(EncodingError, words):
            CODEC.decode(text)

    @given(st.recursive(scalars, branches, max_leaves=10))
    @settings(max_examples=500)
    @example({"$datetime": []})
    @example({"$UUID": 5})
    @example({"$datetime": ["2026-11-24", 0, "Europe"]})
    @example({"$dataclass": ["Point", ["x"]]})
    def test_anything_ends_in_known_values_or_an_encoding_error(self, stored: object) -> None:
        try:
            value = CODEC.decode(json.dumps(stored))
        except EncodingError:
            return
        for part in parts(value):
            self.assertIn(type(part), (*HARMLESS, *TAGGED, *KNOWN))

    @given(st.one_of(st.binary(), st.text()))
    def test_noise_ends_in_json_or_an_encoding_error(self, stored: str | bytes) -> None:
        try:
            value = CODEC.decode(stored)
        except EncodingError:
            return
        self.assertIn(type(value), HARMLESS)

    def test_nothing_is_imported_for_a_name_in_the_file(self) -> None:
        for name in ("antigravity", "antigravity.fly", "antigravity:Fly", "this", "this:d"):
            self.assert_refused({"$dataclass": [name, {}]}, "not known here")
            self.assert_refused({"$enum": [name, "RED"]}, "not known here")
        self.assertNotIn("antigravity", sys.modules)
        self.assertNotIn("this", sys.modules)

    def test_no_class_is_built_that_is_not_known(self) -> None:
        for name in ("Popen", "object", "Frozen", "tests.ground.shapes.Frozen", "tests.ground.shapes:Frozen"):
            with self.subTest(name):
                self.assert_refused({"$dataclass": [name, {"name": "x"}]}, "not known here")

    def test_an_enum_is_no_dataclass_and_a_dataclass_no_enum(self) -> None:
        self.assert_refused({"$dataclass": ["Colour", {}]}, "not known here")
        self.assert_refused({"$enum": ["Point", "x"]}, "not known here")

    def test_a_name_does_not_reach_into_a_class(self) -> None:
        for member in ("__class__", "mro", "name", "_member_map_", "BLUE"):
            with self.subTest(member):
                self.assert_refused({"$enum": ["Colour", member]}, "can not be read")

    def test_fields_that_the_class_does_not_have(self) -> None:
        for field in ("z", "__class__", "__dict__"):
            with self.subTest(field):
                self.assert_refused(
                    {"$dataclass": ["Point", {"x": 1, field: 2}]}, f"has no field '{field}' here"
                )

    def test_a_field_that_is_missing_and_has_no_default(self) -> None:
        self.assert_refused({"$dataclass": ["Point", {"y": 1}]}, "can not be read: TypeError")

    def test_a_constructor_that_refuses(self) -> None:
        self.assert_refused({"$dataclass": ["Picky", {"age": -1}]}, "AssertionError: nobody is that young")

    def test_unknown_tags(self) -> None:
        self.assert_refused({"$complex": [1, 2]}, "unknown tag '.complex'; a newer litequeue wrote it")

    def test_time_zones_are_names_and_never_paths(self) -> None:
        for zone in (
            "../../etc/passwd",
            "/etc/localtime",
            "Europe",
            "No/Where",
            "",
            "\0",
            5,
            None,
            "x" * 5000,
        ):
            with self.subTest(zone):
                self.assert_refused({"$datetime": ["2026-11-24T00:00:00", 0, zone]}, "can not be read")

    def test_values_of_the_wrong_shape(self) -> None:
        for tag in ("datetime", "time", "timedelta", "Decimal", "UUID", "dict", "date", "enum", "dataclass"):
            shapes: list[Any] = [[], {}, [[]], "nonsense", [1, 2, 3, 4, 5, 6, 7, 8, 9], [None], ["x", {}]]
            for stored in shapes:
                if (tag, stored) not in [("timedelta", []), ("timedelta", {}), ("dict", []), ("dict", {})]:
                    with self.subTest(tag=tag, stored=stored):
                        self.assert_refused({f"${tag}": stored})

    def test_unhashable_members_and_keys(self) -> None:
        self.assert_refused({"$set": [[1]]}, "unhashable")
        self.assert_refused({"$dict": [[{"x": 1}, 2]]}, "unhashable")

    def test_bombs(self) -> None:
        self.assert_refused("[" * 1_000_000, "can not be read")
        self.assert_refused('{"$tuple":' * 100_000, "can not be read")
        self.assert_refused("9" * 10_000, "can not be read")
        self.assert_refused({"$Decimal": "1E+9999999999999999999999"}, "can not be read")
        self.assert_refused({"$timedelta": [10**400]}, "can not be read")

    def test_text_that_is_not_json(self) -> None:
        for stored in ("", "{", "nope", b"\xff\xfe\xfa", '{"a":1}x'):
            with self.subTest(stored):
                self.assert_refused(stored, "can not be read")

    def test_known_types_are_all_checked_here(self) -> None:
        self.assertTrue(all(issubclass(kind, enum.Enum) or dataclasses.is_dataclass(kind) for kind in KNOWN))
