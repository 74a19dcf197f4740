"""Rates such as "100/m": so many starts in any time as long as that."""

from __future__ import annotations

import re
from typing import NamedTuple

from .clock import SECOND
from .errors import InvalidOption, shown

_RATE = re.compile(r"(\d{1,9})\s*/\s*(\d{1,9})?\s*(s|m|h|d|sec|min|hour|day|second|minute)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Rate(NamedTuple):
    """At most `starts` in any time as long as `period`, which is in microseconds."""

    starts: int
    period: int


def rate_of(text: object) -> Rate:
    """The rate that a text such as "10/s", "100/m" or "5/30s" names. Raises `InvalidOption` for others."""
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is None or int(found[1]) == 0 or found[2] == "0":
        raise InvalidOption(
            f"rate is {shown(text)}; give a text like '10/s', '100/m', '5/30s', '1000/h' or '1/d'"
        )
    period = int(found[2] or 1) * _SECONDS[found[3][0]] * SECOND
    return Rate(int(found[1]), period)
