"""Rows become records. A value of a kind that STRICT would not take means that the file is damaged.

SQLite looks at a value's kind when it is written, and never again when it is read.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from ..job import State
from .translate import Unsound

R = TypeVar("R")
Row = tuple[Any, ...]
Kinds = Sequence[type | tuple[type, ...]]
WHOLE = (int,)
WHOLE_OR_NONE = (int, types.NoneType)
TEXT_OR_NONE = (str, types.NoneType)


def readable(text: bytes) -> str:
    """A stored text; what is no UTF-8 in it is escaped, so that one such text can not hide a whole list.

    Costs a claim 0.3 us a job beside SQLite's own decoding, which raises.
    """
    return text.decode("utf-8", "backslashreplace")


def sound(row: Row, kinds: Kinds, what: str) -> Row:
    """The row. Raises `Unsound` when a value in it is of none of its column's kinds."""
    if not all(map(isinstance, row, kinds)):
        wrong = next(value for value, kind in zip(row, kinds, strict=True) if not isinstance(value, kind))
        raise Unsound(f"a row of {what} holds {wrong!r:.80} where nothing of its kind is ever stored")
    return row


def record(kind: Callable[..., R], row: Row, what: str) -> R:
    """The record of a row, by the annotations of its fields. Raises `Unsound` as `sound` does."""
    kinds, readers = _columns(kind)
    values = list(sound(row, kinds, what))
    for place, reader in readers:
        values[place] = reader(values[place])
    return kind(*values)


def state(value: object) -> State:
    """The state of this name. Raises `Unsound` for what is none."""
    try:
        return State(value)  # type: ignore[arg-type]
    except ValueError:
        raise Unsound(f"a job has the state {value!r:.80}, which there is not") from None


def names(text: str) -> tuple[str, ...]:
    """The names in a JSON list; what is no list of texts counts as empty."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(name for name in found if isinstance(name, str)) if isinstance(found, list) else ()


@cache
def _columns(kind: Callable[..., object]) -> tuple[Kinds, list[tuple[int, Callable[[Any], object]]]]:
    hints = list(typing.get_type_hints(kind).values())
    return [_kind(hint) for hint in hints], [(n, _READERS[h]) for n, h in enumerate(hints) if h in _READERS]


def _kind(hint: Any) -> tuple[type, ...]:
    if typing.get_origin(hint) is tuple:
        return (str,)
    parts = typing.get_args(hint) or (hint,)
    return tuple(_STORED_AS.get(part, part) for part in parts)


_STORED_AS: dict[type, type] = {State: str, bool: int}
_READERS: dict[Any, Callable[[Any], object]] = {State: state, bool: bool, tuple[str, ...]: names}
