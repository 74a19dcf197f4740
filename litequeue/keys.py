"""Keys made of a call's arguments: what makes a job unique, or which limit it counts for."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence

from .codec import JSON, Codec, JsonCodec
from .errors import BadArguments, EncodingError, InvalidOption, shown
from .tags import Types

KeyOption = bool | str | Sequence[str] | Callable[..., object]
_LONGEST = 200
_READABLE = 80
_RESULT = object()  # stands where the result of a parent will be


def checked_key(value: object, what: str) -> KeyOption:
    """A key as it was given. Raises `InvalidOption` for what can be none."""
    if value is True or callable(value) or (isinstance(value, str) and _is_key(value)):
        return value
    is_list = isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and len(value) > 0
    if is_list and all(isinstance(name, str) for name in value):  # type: ignore[attr-defined]
        return tuple(value)  # type: ignore[arg-type]
    raise InvalidOption(
        f"{what} is {shown(value)}; give True (all arguments), a text, a tuple of argument names or "
        "a function of the arguments"
    )


def key_of(
    option: KeyOption,
    task: str,
    signature: inspect.Signature | None,
    types: Types,
    codec: Codec,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    *,
    takes_result: bool = False,
) -> str:
    """The key of a call: the text given, or one made of the arguments that the option names.

    With `takes_result` the first argument is missing: it is the result of a parent, and no part of a key.
    Raises `InvalidOption` when a function gives no text, `BadArguments` when an argument is not there.
    """
    if callable(option):
        if takes_result:
            raise InvalidOption(
                f"the key of {task} is a function of its arguments, of which the first is the result of a "
                "parent, and not known yet; give a text or a tuple of names"
            )
        made = option(*args, **kwargs)
        if not isinstance(made, (str, int)) or isinstance(made, bool) or not _is_key(str(made)):
            raise InvalidOption(
                f"the key function of {task} gave {shown(made)}; let it return a printable text"
            )
        return str(made)
    if isinstance(option, str):
        return option
    named = _named(signature, (_RESULT, *args) if takes_result else args, kwargs)
    if not isinstance(option, bool):
        missing = [name for name in option if name not in named]
        if missing:
            why = ", or it is the result of a parent, which is not known yet" if takes_result else ""
            raise BadArguments(f"{task} has no argument {missing[0]!r} to make a key of{why}")
        named = {name: named[name] for name in option}
    return _digest(task, named, types, codec)


def _named(
    signature: inspect.Signature | None, args: Sequence[object], kwargs: Mapping[str, object]
) -> dict[str, object]:
    """The arguments by name, with the defaults of those that were not given."""
    if signature is None:
        named: dict[str, object] = {**{str(place): value for place, value in enumerate(args)}, **kwargs}
    else:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        named = dict(bound.arguments)
    starred = {
        name: value[1:] for name, value in named.items() if type(value) is tuple and _RESULT in value[:1]
    }
    return {name: value for name, value in {**named, **starred}.items() if value is not _RESULT}


def _digest(task: str, named: Mapping[str, object], types: Types, codec: Codec) -> str:
    writer = codec if isinstance(codec, JsonCodec) else JSON  # which may have been told of types of its own
    try:
        tree = json.loads(writer.encode(dict(named), types))
    except EncodingError as error:
        raise InvalidOption(
            f"no key can be made of the arguments of {task}: {error}; give a text or a function as the key"
        ) from error
    text = json.dumps(tree, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    if len(text) <= _READABLE:
        return text
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def _is_key(text: str) -> bool:
    if not 0 < len(text) <= _LONGEST or not text.isprintable():
        return False
    return not any("\ud800" <= sign <= "\udfff" for sign in text)  # which UTF-8 can not store
