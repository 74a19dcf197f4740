"""What a task raised, made anew from the words that the file keeps of it."""

from __future__ import annotations

import ast
import builtins
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

from . import errors
from .errors import JobFailed

_LITERAL = r"""b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*"|\d+"""
_PATH = re.compile(r"(?:Posix|Windows)Path\((.*)\)", re.DOTALL)
_NAME = rf"{_LITERAL}|(?:Posix|Windows)Path\((?:{_LITERAL})\)"
_NUMBER = r"-?\d{1,9}"
_OS_ERROR = re.compile(rf"\[Errno ({_NUMBER})\] (.*?)(?:: ({_NAME})(?: -> ({_NAME}))?)?", re.DOTALL)


class Shown(str):
    """Stands for a value of which only the repr is known, and is shown like it."""

    __slots__ = ()
    __repr__ = str.__str__


def exception_of(failed: JobFailed) -> Exception:
    """What the task raised, made anew from its class and message; `failed` is its `__cause__`.

    What stands in the message comes back: the key of a `KeyError`, and `errno`, `strerror` and the file names
    of an `OSError`. Other attributes do not, and several arguments come as one. It is `failed` itself for a
    class that is not known here, or that does not speak as Python's own do.
    """
    kind = _class_called(failed.error_type)
    if failed.reason != "error" or kind is None or not _is_plain(kind):
        return failed
    for args in _guesses(kind, failed.message):
        try:
            made: Exception = kind(*args)
        except TypeError:  # one of Python's own that takes more, like UnicodeDecodeError
            continue
        if type(made) is kind and str(made) == failed.message:
            made.__cause__ = failed
            return made
    return failed


def _guesses(kind: type[Exception], message: str) -> Iterator[tuple[object, ...]]:
    """What it may have been made with, the likeliest first."""
    if not message:
        yield ()
    if issubclass(kind, KeyError):
        yield (_value(message),)
        yield (Shown(message),)  # that of a number, say, which writes itself otherwise than Python does
    if issubclass(kind, OSError) and (found := _OS_ERROR.fullmatch(message)):
        number, words, *names = found.groups()
        first, second = (None if name is None else _value(name) for name in names)
        yield (int(number), words, first, None, second)[: 2 if first is None else 5]
    yield (message,)
    if issubclass(kind, OSError):
        yield (None, message)  # those of `ssl` show the second alone


def _value(shown: str) -> object:
    """The value with this repr, as far as it is a literal or a path."""
    path = _PATH.fullmatch(shown)
    try:
        value = ast.literal_eval(path[1] if path else shown)
        return Path(value) if path else value
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return Shown(shown)


def _class_called(name: str) -> type[Exception] | None:
    """The exception class of this name, in a module that was imported already: the file imports nothing."""
    module, _, attribute = name.rpartition(".")
    places = [sys.modules.get(module)] if module else [builtins, errors]
    found = [vars(place).get(attribute) for place in places if isinstance(place, types.ModuleType)]
    return next((each for each in found if isinstance(each, type) and issubclass(each, Exception)), None)


def _is_plain(kind: type[Exception]) -> bool:
    """Whether it is made, and speaks, as Python's own do: the file runs no code by naming a class."""
    return (
        isinstance(kind.__init__, types.WrapperDescriptorType)
        and isinstance(kind.__str__, types.WrapperDescriptorType)
        and isinstance(kind.__new__, types.BuiltinMethodType)
        and type(kind) is type
    )
