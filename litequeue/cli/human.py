"""Times and numbers as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ..clock import SECOND, to_datetime
from ..errors import InvalidOption

_MINUTE, _HOUR, _DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
# Up to so long, one says it in this unit.
_UNITS = ((100 * SECOND, SECOND, "s"), (100 * _MINUTE, _MINUTE, "min"), (48 * _HOUR, _HOUR, "h"))
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)")


def span(micros: int) -> str:
    """A length of time in its largest fitting unit.

    >>> span(3_200_000), span(150_000_000), span(40 * 3_600_000_000), span(20_000)
    ('3 s', '2 min', '40 h', '20 ms')
    """
    if 0 < micros < SECOND:
        return f"{max(1, micros // 1000)} ms"
    for limit, unit, name in _UNITS:
        if micros < limit:
            return f"{round(micros / unit)} {name}"
    return f"{round(micros / _DAY):,} d"


def measured(micros: int) -> str:
    """A length of time that was measured, to two digits.

    >>> measured(20), measured(1_520), measured(48_100), measured(5_730_000), measured(61_000_000)
    ('20 µs', '1.5 ms', '48 ms', '5.7 s', '61 s')
    """
    for unit, name in ((1, "µs"), (SECOND // 1000, "ms"), (SECOND, "s")):
        if micros < 10 * unit and unit > 1:
            return f"{micros / unit:.1f} {name}"
        if micros < 1000 * unit and unit < SECOND:
            return f"{round(micros / unit)} {name}"
    return span(micros)


def when(instant: int, now: int) -> str:
    """An instant as seen from now: `3 s ago`, `in 2 min`."""
    if abs(now - instant) < SECOND:
        return "now"
    return f"{span(now - instant)} ago" if instant < now else f"in {span(instant - now)}"


def stamp(instant: int) -> str:
    """An instant in UTC, to the second."""
    return to_datetime(instant).strftime("%Y-%m-%d %H:%M:%S UTC")


def exact(instant: int) -> str:
    """An instant in UTC, to the millisecond."""
    return to_datetime(instant).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def iso(instant: int | None) -> str | None:
    """An instant for machines: ISO 8601 in UTC, with microseconds."""
    return None if instant is None else to_datetime(instant).isoformat(timespec="microseconds")


def number(count: int, noun: str) -> str:
    """A count with its noun.

    >>> number(1, "job"), number(1234, "job")
    ('1 job', '1,234 jobs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size(count: int) -> str:
    """So many bytes, in the largest fitting unit.

    >>> size(4096), size(26_800_000)
    ('4.1 kB', '26.8 MB')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count / 1000:,.1f} kB"


def times(count: int) -> str:
    """How often: `once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def seconds(text: str) -> float:
    """The seconds in what a person types: `90`, `1.5h`, `2d`. Raises `InvalidOption`.

    >>> seconds("90"), seconds("1.5h")
    (90.0, 5400.0)
    """
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None or found[2] not in _SECONDS:
        raise InvalidOption(f"{text!r} is not a length of time; write 90, 90s, 5m, 2h, 7d or 1w")
    return float(found[1]) * _SECONDS[found[2]]


def moment(text: str) -> datetime:
    """The instant a person typed in ISO 8601; without an offset it is UTC. Raises `InvalidOption`."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidOption(
            f"{text!r} is not an instant; write 2031-05-01T08:00, in UTC, or add +02:00"
        ) from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
