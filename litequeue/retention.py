"""How long a job stays in the file once it is final, by how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from .clock import LONGEST, SECOND, duration
from .errors import EncodingError, InvalidOption, shown

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long final jobs stay, by the state in which they ended.

    Each is seconds or a `timedelta`, a week if not given; None is for ever.

    >>> Retention(completed=3600, failed=timedelta(days=30)).cancelled
    datetime.timedelta(days=7)
    """

    completed: float | timedelta | None = WEEK
    failed: float | timedelta | None = WEEK
    cancelled: float | timedelta | None = WEEK


RetentionOption = float | timedelta | Retention | None


class Kept(NamedTuple):
    """A checked `Retention` whose states differ, in microseconds."""

    completed: int | None
    failed: int | None
    cancelled: int | None

    @classmethod
    def from_json(cls, value: Any) -> Kept:
        """What was stored with a job. Raises `EncodingError` when the row was damaged."""
        given = [value[name] for name in cls._fields]
        if not all(each is None or (type(each) is int and 0 <= each <= LONGEST) for each in given):
            raise EncodingError(f"retention is {shown(value)}, which is never stored")
        return cls(*given)

    def binding(self, unique_for: int) -> Kept:
        """The same, but what completed stays at least for as long as its unique key binds."""
        return self._replace(completed=None if self.completed is None else max(self.completed, unique_for))


def checked_retention(value: RetentionOption) -> int | Kept | None:
    """Microseconds, None for ever, or those by state. Raises `InvalidOption` for what is no duration."""
    if not isinstance(value, Retention):
        return _checked(value, "retention")
    kept = Kept(*(_checked(getattr(value, name), f"retention.{name}") for name in Kept._fields))
    return kept.completed if len(set(kept)) == 1 else kept


def _checked(value: float | timedelta | None, name: str) -> int | None:
    if isinstance(value, dict):
        raise InvalidOption(f"{name} is {shown(value)}; give Retention(completed=…, failed=…, cancelled=…)")
    return None if value is None else duration(value, name)


def at_least(kept: int | Kept | None, seconds: float) -> RetentionOption:
    """The same, but nothing goes before so many seconds."""
    if isinstance(kept, Kept):
        return Retention(*(_longer(each, seconds) for each in kept))
    return _longer(kept, seconds)


def _longer(kept: int | None, seconds: float) -> float | None:
    return None if kept is None else max(kept / SECOND, seconds)
