"""Small texts that go with a job, such as the trace that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import InvalidOption, shown

Headers = tuple[tuple[str, str], ...]
_LIMIT = 8192  # characters of all together; W3C lets `baggage` alone have as many bytes


def checked_headers(value: object) -> Headers:
    """The headers that a person gave. Raises `InvalidOption` for what is no dict of small texts."""
    if not isinstance(value, Mapping):
        raise InvalidOption(f"headers is {shown(value)}; give a dict of texts")
    headers = tuple((_text(name), _text(text)) for name, text in value.items())
    if not all(name for name, _ in headers):
        raise InvalidOption("a header has no name; give a text of printable characters")
    if sum(len(name) + len(text) for name, text in headers) > _LIMIT:
        raise InvalidOption(f"headers has over {_LIMIT:,} characters; it is for small texts")
    return headers


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():  # which a lone surrogate is not
        raise InvalidOption(f"headers has {shown(value)}; give texts of printable characters")
    return value
