"""Strategies for every value the JSON codec takes, and `differs`, which compares more strictly than `==`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hypothesis import strategies as st

from tests.ground.shapes import (
    Bits,
    Box,
    Colour,
    Counted,
    Doubled,
    Frozen,
    Level,
    Point,
    Rights,
    Size,
    Slotted,
    Tree,
    Weight,
)


def zone(name: str) -> tzinfo:
    """The time zone of this name, or UTC on a machine without the time zone database."""
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        return UTC


ZONES = st.sampled_from(
    [None, UTC, timezone(timedelta(hours=-3, minutes=-30)), timezone(timedelta(seconds=1, microseconds=7))]
    + [zone(name) for name in ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")]
)
FOLDS = st.sampled_from([0, 1])

texts = st.text(st.characters(exclude_categories=["Cs"]))
keys = st.one_of(texts, st.sampled_from(["$", "$tuple", "$dict", "$datetime", "", "key"]))
datetimes = st.builds(
    lambda when, fold, zone: when.replace(fold=fold, tzinfo=zone), st.datetimes(), FOLDS, ZONES
)
times = st.builds(lambda at, fold, zone: at.replace(fold=fold, tzinfo=zone), st.times(), FOLDS, ZONES)
paths = st.lists(texts.filter(lambda text: "\0" not in text), max_size=4).map(lambda parts: Path(*parts))

plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
enums = st.one_of(
    *(st.sampled_from(list(kind)) for kind in (Colour, Size, Level, Weight)),
    st.sampled_from([Rights(0), Rights.READ, Rights.READ | Rights.WRITE, ~Rights.READ]),
    st.integers(0, 100).map(Bits),
)
scalars = st.one_of(
    plain,
    datetimes,
    times,
    st.dates(),
    st.timedeltas(),
    st.decimals(),
    st.uuids(allow_nil=True),
    st.binary(),
    paths,
    enums,
)


def counted(x: float, y: float, seen: int) -> Counted:
    made = Counted(x, y)
    made.seen = seen
    return made


points = st.builds(Point, st.floats(), st.floats())
hashable = st.recursive(
    scalars.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan())),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.builds(Frozen, texts, st.sampled_from(Size)),
    ),
    max_leaves=6,
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(hashable, max_size=4),
        st.frozensets(hashable, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(hashable, inner, max_size=4),
        points,
        st.builds(Slotted, where=points, tags=st.lists(st.sampled_from(Colour)).map(tuple)),
        st.builds(counted, st.floats(), st.floats(), st.integers()),
        st.builds(Tree, inner, st.lists(st.builds(Tree, inner), max_size=2)),
        st.builds(Box, inner),
        st.builds(Doubled, st.integers()),
    )


values = st.recursive(scalars, containers, max_leaves=12)


def differs(a: Any, b: Any) -> str | None:
    """Where two values differ in type, sign, fold, zone or content; None when they are the same."""
    if type(a) is not type(b):
        return f"{a!r} is a {type(a).__name__}, {b!r} a {type(b).__name__}"
    if dataclasses.is_dataclass(a):
        return differs(_fields(a), _fields(b))
    if isinstance(a, (list, tuple)):
        return _sequences_differ(a, b)
    if isinstance(a, dict):
        return _sequences_differ([*a, *a.values()], [*b, *b.values()])
    if isinstance(a, (set, frozenset)):
        return _sets_differ(a, b)
    return None if _mark(a) == _mark(b) else f"{a!r} is not {b!r}"


def _fields(value: Any) -> dict[str, object]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _sequences_differ(a: Any, b: Any) -> str | None:
    if len(a) != len(b):
        return f"{a!r} and {b!r} differ in length"
    found = (differs(one, other) for one, other in zip(a, b, strict=True))
    return next((difference for difference in found if difference), None)


def _sets_differ(a: Any, b: Any) -> str | None:
    # NaN equals nothing, so elements are paired by hand.
    rest = list(b)
    for one in a:
        match = next((other for other in rest if differs(one, other) is None), rest)
        if match is rest:
            return f"{one!r} is not in {b!r}"
        rest = [other for other in rest if other is not match]
    return f"{rest!r} came from nowhere" if rest else None


def _mark(value: Any) -> Hashable:
    """What tells a scalar from every other of its type."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else (float(value), math.copysign(1, value))
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (datetime, time)):
        kept = value.tzinfo
        return value.replace(tzinfo=None), value.fold, type(kept), str(kept), value.utcoffset()
    if isinstance(value, (str, bytes, int, timedelta)):
        return value
    return repr(value)
