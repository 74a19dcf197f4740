"""Stored text made fit for a terminal: nothing in it can move the cursor, and columns stay columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

# Control, format (bidirectional overrides among them), surrogate and private characters, line separators.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(text: object) -> str:
    r"""One line in which every character that is not printed as itself is escaped.

    >>> clean("a\x1b[31mb\nc")
    'a\\x1b[31mb\\nc'
    """
    given = str(text)
    if given.isascii() and given.isprintable():
        return given
    return "".join(map(_safe, given))


def clean_lines(text: str) -> Iterator[str]:
    """The lines of a longer text, each of them cleaned; tabs become spaces."""
    for line in text.rstrip("\n").split("\n"):
        yield clean(line.expandtabs().rstrip("\r"))


def _safe(character: str) -> str:
    if unicodedata.category(character) in _UNSAFE:
        return character.encode("unicode_escape").decode("ascii")
    return character


def width(text: str) -> int:
    """How many columns a cleaned text takes.

    >>> width("漢字"), width("e\u0301")
    (4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) == "Me":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """The text within so many columns, with an ellipsis where its end is missing.

    >>> cut("litequeue", 5)
    'lite…'
    """
    if width(text) <= columns:
        return text
    return f"{_within(text, columns - 1)}…"


def cut_middle(text: str, columns: int) -> str:
    """The text within so many columns, beginning and end kept: paths and names differ at their ends.

    >>> cut_middle("package.module:function", 15)
    'package…unction'
    """
    if width(text) <= columns:
        return text
    head = _within(text, (columns - 1) // 2)
    tail = _within(text[::-1], columns - 1 - width(head))[::-1]
    return f"{head}…{tail}"


def _within(text: str, columns: int) -> str:
    used = 0
    for place, character in enumerate(text):
        used += _columns(character)
        if used > columns:
            return text[:place]
    return text


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """The text filled up with spaces."""
    fill = " " * (columns - width(text))
    return fill + text if right else text + fill
