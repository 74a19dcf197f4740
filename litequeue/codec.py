"""How arguments and results become text in the file, and come back equal to what went in."""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from .errors import EncodingError, InvalidOption, PayloadTooLarge, shown
from .tags import ATOMS, Types, from_tag, is_carried, is_plain, may_hold_tags, named_types, to_tree

NO_TYPES: Types = {}


class Codec(Protocol):
    """Turns values into text or bytes for the file; `name` is stored beside each of them."""

    @property
    def name(self) -> str:
        """What is stored with every value, so that nobody reads it with another codec."""

    def encode(self, value: object, types: Types = NO_TYPES) -> str | bytes:
        """What to store; raises `EncodingError` for a value that would not come back equal."""

    def decode(self, data: str | bytes, types: Types = NO_TYPES) -> Any:
        """The value that was stored; `types` are the enums and dataclasses it may contain."""


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder()


class JsonCodec:
    """JSON, with `{"$tag": …}` for what JSON lacks.

    `types` are enums and dataclasses it knows beside those that a task's annotations name.
    """

    name = "json"

    def __init__(self, types: Iterable[type] = ()) -> None:
        told = list(types)
        for kind in told:
            if not (isinstance(kind, type) and is_carried(kind)):
                raise InvalidOption(
                    f"{shown(kind)} is no enum and no dataclass, so the codec can not carry it"
                )
        self._types = named_types(told)
        self._parts = _prepared(_ENCODER)

    def __reduce__(self) -> tuple[type[JsonCodec], tuple[list[type]]]:
        return type(self), (list(self._types.values()),)

    def knowing(self, *types: type) -> JsonCodec:
        """A codec that also writes and reads these enums and dataclasses.

        Raises `InvalidOption` for anything else.
        """
        return JsonCodec([*self._types.values(), *types])

    def encode(self, value: object, types: Types = NO_TYPES) -> str:
        try:
            tree = value if is_plain(value) else to_tree(value, {**types, **self._types})
            return _storable("".join(self._parts(tree, 0)))
        except RecursionError:
            raise EncodingError("a value is nested too deeply, or contains itself") from None
        except EncodingError:
            raise
        except Exception as error:  # a repr or a property of the user's own classes may raise anything
            raise EncodingError(f"a value can not be stored: {type(error).__name__}: {error}") from error

    def encode_call(self, args: Sequence[object], kwargs: Mapping[str, object], types: Types) -> str:
        """`encode([list(args), dict(kwargs)])`, in half the time for the plain arguments of most calls."""
        if kwargs or not ATOMS.issuperset(map(type, args)):
            return self.encode([list(args), dict(kwargs)], types)
        try:
            return _storable("".join(self._parts((args, kwargs), 0)))
        except ValueError:  # an integer too long to be written; `encode` says so in our words
            return self.encode([list(args), dict(kwargs)], types)

    def decode(self, data: str | bytes, types: Types = NO_TYPES) -> Any:
        try:
            if not may_hold_tags(data):
                return _read_plain(data)
            known = {**types, **self._types}
            return json.loads(data, object_hook=lambda found: from_tag(found, known))
        except EncodingError:
            raise
        except Exception as error:  # whoever wrote the file chose what reaches the readers and constructors
            raise EncodingError(f"stored JSON can not be read: {type(error).__name__}: {error}") from error


def _prepared(encoder: json.JSONEncoder) -> Callable[[object, int], Iterable[str]]:
    """The parts of a value's text; `encoder.encode` spends most of its time on making this anew."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return lambda value, _: encoder.iterencode(value)
    quote = json.encoder.encode_basestring
    parts: Callable[[object, int], Iterable[str]]
    parts = make(None, encoder.default, quote, None, ":", ",", False, False, False)
    return parts


def _storable(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise EncodingError("a text holds a lone surrogate, which UTF-8 can not store") from None
    return text


def _read_plain(data: str | bytes) -> Any:
    if isinstance(data, str) and not data[:1].isspace():
        value, end = _DECODER.raw_decode(data)  # `json.loads` takes twice as long to find the same
        if end == len(data):
            return value
    return json.loads(data)


def plain(text: str | bytes) -> Any:
    """The value of a JSON text without tags, as strict as JSON is. Raises `EncodingError`."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, TypeError, RecursionError) as error:
        raise EncodingError(f"stored JSON can not be read: {type(error).__name__}: {error}") from error


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refuse(digits[:20])


class PickleCodec:
    """Pickle: takes nearly any object, and lets whoever can write the file run any code.

    Only a queue that was opened with it reads what it wrote.
    """

    name = "pickle"

    def encode(self, value: object, types: Types = NO_TYPES) -> bytes:
        import pickle  # few programs need it

        try:
            return pickle.dumps(value)
        except Exception as error:  # an object's own __reduce__ may raise anything
            raise EncodingError(f"a value can not be pickled: {type(error).__name__}: {error}") from error

    def decode(self, data: str | bytes, types: Types = NO_TYPES) -> Any:
        import pickle

        try:
            return pickle.loads(data if isinstance(data, bytes) else data.encode())
        except Exception as error:  # as above, from the other side
            raise EncodingError(f"a pickle can not be read: {type(error).__name__}: {error}") from error


JSON = JsonCodec()
PICKLE = PickleCodec()


def checked_codec(codec: object) -> Codec:
    """The codec that a queue was given. Raises `InvalidOption` for what is none."""
    verbs = all(callable(getattr(codec, verb, None)) for verb in ("encode", "decode"))
    if not verbs or not isinstance(getattr(codec, "name", None), str):
        raise InvalidOption(
            f"codec is {shown(codec)}; give litequeue.JSON, litequeue.PICKLE or one of your own"
        )
    return typing.cast(Codec, codec)


def call_writer(
    codec: Codec,
) -> Callable[[Sequence[object], Mapping[str, object], Types], str | bytes]:
    """What turns the arguments of a call into what is stored: `[args, kwargs]`, encoded."""
    if type(codec) is JsonCodec:
        return codec.encode_call
    return lambda args, kwargs, types: codec.encode([list(args), dict(kwargs)], types)


def byte_size(data: str | bytes) -> int:
    """How many bytes an encoded value takes in the file."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())


def result_body(codec: Codec, value: object, types: Types, limit: int, what: str) -> str | bytes:
    """What to store of a value that a task returned. Raises `EncodingError`, `PayloadTooLarge`."""
    body = codec.encode(value, types)
    if (size := byte_size(body)) > limit:
        raise PayloadTooLarge(
            f"{what} takes {size:,} bytes, over the limit of {limit:,}; "
            "store the data in a file and return its path"
        )
    return body


def reader(codec: Codec, stored_name: str) -> Codec:
    """The codec that may read a value stored under `stored_name`: the queue's own, or JSON."""
    if stored_name == codec.name:
        return codec
    if stored_name == JSON.name:
        return JSON
    raise EncodingError(
        f"the value was written by the codec {stored_name!r}, this queue was opened with {codec.name!r}; "
        f"open it with Queue(…, codec=…) of that name if you trust whoever wrote the file"
    )
