"""JSON with tags for what JSON lacks: a value becomes a tree that can be written, and comes back equal.

`{"$tag": …}` stands for a value of another type. Enums and dataclasses are carried when they were named to
us: a stored text never names a class to import.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import inspect
import math
import sys
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any
from zoneinfo import ZoneInfo

from .errors import EncodingError, shown

Types = Mapping[str, type]
ATOMS = frozenset({str, int, bool, type(None)})  # what JSON gives back as it was, whatever the value


# --- the types a task may carry ------------------------------------------------------------------


def named_types(types: Iterable[type]) -> dict[str, type]:
    """The enums and dataclasses among `types`, and those their fields name, by qualified name."""
    found: dict[str, type] = {}
    waiting: list[object] = list(types)
    while waiting:
        kind = waiting.pop(0)
        waiting += [part for part in (*typing.get_args(kind), typing.get_origin(kind)) if part is not None]
        if isinstance(kind, type) and is_carried(kind) and kind.__qualname__ not in found:
            found[kind.__qualname__] = kind
            waiting.extend(hints(kind).values())
    return found


def hints(owner: Any) -> dict[str, Any]:
    """The annotations of a function or class that can be resolved; the others are left out."""
    try:
        return typing.get_type_hints(owner)
    except Exception:  # an annotation is code, and may raise anything
        return _resolvable_hints(owner)


def _resolvable_hints(owner: Any) -> dict[str, Any]:
    """The annotations one by one: a name imported under TYPE_CHECKING must not hide the rest."""
    found: dict[str, Any] = {}
    for holder in reversed(inspect.getmro(owner) if isinstance(owner, type) else (owner,)):
        names = getattr(holder, "__globals__", None) or vars(
            sys.modules.get(getattr(holder, "__module__", ""), typing)
        )
        for name, hint in _annotations(holder).items():
            try:
                found |= typing.get_type_hints(_Annotated({name: hint}), names)
            except Exception:  # as above
                continue
    return found


def _annotations(owner: Any) -> dict[str, Any]:
    try:
        return inspect.get_annotations(owner)
    except Exception:  # from Python 3.14 on, reading them runs them
        return {}


class _Annotated:
    """Looks annotated to `typing.get_type_hints`."""

    def __init__(self, annotations: dict[str, Any]) -> None:
        self.__annotations__ = annotations


def is_carried(kind: type) -> bool:
    """Whether a type is of the two kinds that are carried by name: an enum, or a dataclass."""
    return issubclass(kind, enum.Enum) or dataclasses.is_dataclass(kind)


# --- value to tree -------------------------------------------------------------------------------


def is_plain(value: Any) -> bool:
    """Whether JSON alone gives the value back; most are, and need no second tree."""
    kind = type(value)
    if kind in ATOMS:
        return True
    if kind is dict and value:
        if not _is_plain_keys(value):
            return False
        value = value.values()
    elif kind is not list and kind is not dict:
        return kind is float and math.isfinite(value)
    for item in value:  # noqa: SIM110 - `all` with a generator takes three times as long
        if type(item) not in ATOMS and not is_plain(item):
            return False
    return True


def _is_plain_keys(value: Mapping[object, object]) -> bool:
    return all(type(key) is str and not key.startswith("$") for key in value)


def to_tree(value: Any, types: Types) -> object:
    """What JSON writes for a value; raises `EncodingError` for one that would not come back equal."""
    if type(value) in (str, int, bool, type(None)) or (type(value) is float and math.isfinite(value)):
        return value
    if type(value) is list:
        return [to_tree(item, types) for item in value]
    if type(value) is dict:
        return _dict_to_tree(value, types)
    if type(value) in (tuple, set, frozenset):
        items = value if type(value) is tuple else sorted(value, key=repr)
        return {f"${type(value).__name__}": [to_tree(item, types) for item in items]}
    write = _WRITERS.get(type(value))
    if write is not None:
        return {f"${_tag(value)}": write(value)}
    return _carried_to_tree(value, types)


def _dict_to_tree(value: dict[Any, Any], types: Types) -> object:
    if _is_plain_keys(value):
        return {key: to_tree(item, types) for key, item in value.items()}
    return {"$dict": [[to_tree(key, types), to_tree(item, types)] for key, item in value.items()]}


def _carried_to_tree(value: Any, types: Types) -> object:
    kind = type(value)
    if types.get(kind.__qualname__) is kind:
        if isinstance(value, enum.Enum):
            return {"$enum": [kind.__qualname__, _enum_name(value)]}
        fields = {name: to_tree(item, types) for name, item in _fields_of(value).items()}
        return {"$dataclass": [kind.__qualname__, fields]}
    if is_carried(kind):
        raise EncodingError(
            f"{shown(value)} is a {kind.__qualname__}, which neither the task's annotations name nor the "
            f"queue was told of; annotate the task, or open Queue(…, codec=JSON.knowing({kind.__name__}))"
        )
    raise EncodingError(
        f"{shown(value)} of type {kind.__qualname__} can not be stored; pass plain values (an id, a path, "
        "a dict), or a dataclass that the task's annotations name"
    )


def _fields_of(value: Any) -> dict[str, object]:
    """The fields of a dataclass instance. Raises `EncodingError` if they alone can not build it again."""
    kind = type(value)
    found = {f.name: getattr(value, f.name) for f in dataclasses.fields(kind) if hasattr(value, f.name)}
    if isinstance(value, _CONTAINERS):
        raise EncodingError(f"{shown(value)}, a {kind.__qualname__}, holds more than its fields")
    try:
        _rebuild(kind, found)
    except Exception as error:  # the class's own constructor may raise anything
        raise EncodingError(
            f"{shown(value)}, a {kind.__qualname__}, can not be built again from its fields: "
            f"{type(error).__name__}: {error}"
        ) from error
    return found


def _enum_name(value: enum.Enum) -> str | int:
    if value.name in type(value).__members__:
        return value.name
    if isinstance(value, enum.Flag):
        return int(value.value)  # several flags at once have no name of their own
    raise EncodingError(f"{shown(value)} is not among the members of {type(value).__qualname__}")


def _tag(value: object) -> str:
    return "Path" if isinstance(value, PurePath) else type(value).__name__


def _timestamp(value: datetime | time) -> list[object]:
    zone = value.tzinfo
    if zone is None or type(zone) is timezone:
        return [value.isoformat(), value.fold]
    key = zone.key if type(zone) is ZoneInfo else None
    if key is None:
        raise EncodingError(
            f"{shown(value)} has a time zone that can not be stored; use zoneinfo or timezone"
        )
    return [value.replace(tzinfo=None).isoformat(), value.fold, key]


def may_hold_tags(data: str | bytes) -> bool:
    """Whether a key may begin with "$"; the plain decoder is several times faster."""
    return b"$" in data or b"\\u" in data if isinstance(data, bytes) else "$" in data or "\\u" in data


_CONTAINERS = (str, bytes, int, float, list, tuple, dict, set, frozenset)
_WRITERS: dict[type, Callable[[Any], object]] = {
    float: repr,
    datetime: _timestamp,
    date: date.isoformat,
    time: _timestamp,
    timedelta: lambda v: [v.days, v.seconds, v.microseconds],
    Decimal: str,
    uuid.UUID: str,
    bytes: lambda v: base64.b64encode(v).decode("ascii"),
    type(Path()): str,
}


# --- tree to value -------------------------------------------------------------------------------


def _read_datetime(stored: list[Any]) -> datetime:
    value = datetime.fromisoformat(stored[0]).replace(fold=stored[1])
    return value.replace(tzinfo=ZoneInfo(stored[2])) if len(stored) > 2 else value


def _read_time(stored: list[Any]) -> time:
    value = time.fromisoformat(stored[0]).replace(fold=stored[1])
    return value.replace(tzinfo=ZoneInfo(stored[2])) if len(stored) > 2 else value


_READERS: dict[str, Callable[[Any], object]] = {
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": dict,
    "$float": float,
    "$datetime": _read_datetime,
    "$date": date.fromisoformat,
    "$time": _read_time,
    "$timedelta": lambda stored: timedelta(*stored),
    "$Decimal": Decimal,
    "$UUID": uuid.UUID,
    "$bytes": base64.b64decode,
    "$Path": Path,
}


def from_tag(found: dict[str, Any], types: Types) -> object:
    """The value behind a JSON object that may be a tag; for `object_hook`."""
    if len(found) != 1:
        return found
    ((tag, stored),) = found.items()
    if not tag.startswith("$"):
        return found
    if tag in ("$enum", "$dataclass"):
        return _read_carried(tag, stored, types)
    if tag not in _READERS:
        raise EncodingError(f"the stored value has an unknown tag {tag!r}; a newer litequeue wrote it?")
    return _READERS[tag](stored)


def _read_carried(tag: str, stored: list[Any], types: Types) -> object:
    kind: Any = types.get(stored[0])
    if kind is None or issubclass(kind, enum.Enum) is not (tag == "$enum"):
        raise EncodingError(
            f"the stored value holds a {stored[0]!r}, which is not known here; "
            "open the queue with codec=JSON.knowing(…), or annotate the task with it"
        )
    if tag == "$enum":
        return kind[stored[1]] if isinstance(stored[1], str) else kind(stored[1])
    return _rebuild(kind, stored[1])


def _rebuild(kind: Any, values: dict[str, Any]) -> object:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    strange = values.keys() - fields.keys()
    if strange:
        raise EncodingError(f"{kind.__qualname__} has no field {min(strange)!r} here; other code wrote it?")
    made = kind(**{name: value for name, value in values.items() if fields[name].init})
    for name, value in values.items():
        object.__setattr__(made, name, value)  # also when frozen, and whatever __post_init__ made of it
    return made
