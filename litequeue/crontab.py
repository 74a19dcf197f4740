"""The five fields of a cron expression: what they say, and the next local minute that fits them.

The dialect is that of Debian's cron. What Debian takes without a word and then never runs, or reads by half
(a range that runs backwards, letters behind a number), is refused here.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from .errors import InvalidSchedule

MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_DIGITS = 9  # Python refuses to read numbers of thousands of digits, with an error of its own
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@dataclass(frozen=True)
class Field:
    """One of the five: its name, the numbers it takes, and the names it takes for them."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def read(self, text: str) -> frozenset[int]:
        """The numbers that a list of ranges stands for."""
        return frozenset(number for part in text.split(",") for number in self._range(part))

    def _range(self, part: str) -> range:
        span, has_step, step = part.partition("/")
        first, has_last, last = span.partition("-")
        if span == "*":
            low, high = self.low, self.high
        else:
            low = self._number(first, part)
            high = self._number(last, part) if has_last else low
            if has_step and not has_last:
                raise self._refused(part, f"a step needs a range: {first}-{self.high}/{step}, or */{step}")
        if low > high:
            sunday = "; as the end of a range Sunday is 7" if (high, self.high) == (0, 7) else ""
            raise self._refused(part, f"this range runs backwards, from {low} to {high}{sunday}")
        return range(low, high + 1, self._step(step, part) if has_step else 1)

    def _number(self, text: str, part: str) -> int:
        if text.lower() in self.names:
            return self.low + self.names.index(text.lower())
        if not _is_number(text) or not self.low <= int(text) <= self.high:
            raise self._refused(part, f"this field takes {self._allowed()}")
        return int(text)

    def _step(self, text: str, part: str) -> int:
        if not _is_number(text) or int(text) == 0:
            raise self._refused(part, "a step is a whole number from 1")
        return int(text)

    def _allowed(self) -> str:
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.low}-{self.high}{names}, * for all, lists (a,b), ranges (a-b) and steps (a-b/n, */n)"

    def _refused(self, part: str, reason: str) -> InvalidSchedule:
        return InvalidSchedule(f"the {self.name} is {part!r}: {reason}")


_FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, _MONTHS),
    Field("day of week", 0, 7, _WEEKDAYS),
)


@dataclass(frozen=True)
class Crontab:
    """The local minutes that a cron expression names.

    `wild` tells whether minute or hour begin with `*`, and `either_day` whether neither day field does, so
    that one of the two is enough. `*/2` begins with `*`; `0-59` does not, though it is as wide.
    """

    times: tuple[int, ...]  # minutes after midnight, in order
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    wild: bool
    either_day: bool

    @classmethod
    def read(cls, expression: str) -> Crontab:
        """What an expression names; raises `InvalidSchedule` for what can not be read, or can never be."""
        if not isinstance(expression, str):
            raise InvalidSchedule(f"cron expression {expression!r}: give text, such as '30 4 * * mon-fri'")
        try:
            crontab = cls._of(_fields(expression))
        except InvalidSchedule as error:
            raise InvalidSchedule(f"cron expression {expression!r}: {error}") from None
        if not crontab._can_be():
            raise InvalidSchedule(
                f"cron expression {expression!r}: it never fires, for none of its months has such a day"
            )
        return crontab

    @classmethod
    def _of(cls, texts: list[str]) -> Crontab:
        minutes, hours, days, months, weekdays = (
            field.read(text) for field, text in zip(_FIELDS, texts, strict=True)
        )
        stars = [text.startswith("*") for text in texts]
        return cls(
            times=tuple(60 * hour + minute for hour in sorted(hours) for minute in sorted(minutes)),
            days=days,
            months=months,
            weekdays=frozenset(day % 7 for day in weekdays),
            wild=stars[0] or stars[1],
            either_day=not (stars[2] or stars[4]),
        )

    def after(self, minute: datetime) -> datetime:
        """The first local minute later than `minute` that fits."""
        start = minute + MINUTE
        day = self._day(start.date())
        earliest = 60 * start.hour + start.minute if day == start.date() else 0
        place = bisect_left(self.times, earliest)
        if place == len(self.times):
            place, day = 0, self._day(day + _DAY)
        return datetime.combine(day, time(*divmod(self.times[place], 60)))

    def _day(self, day: date) -> date:
        """The first day from `day` on that fits."""
        while not self._fits(day):
            day = day + _DAY if day.month in self.months else _next_month(day)
        return day

    def _fits(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        fits = (day.day in self.days, day.isoweekday() % 7 in self.weekdays)
        return any(fits) if self.either_day else all(fits)

    def _can_be(self) -> bool:
        # In 400 years every date, 29 February too, falls on every day of the week.
        return self.either_day or min(self.days) <= max(_LONGEST[month - 1] for month in self.months)


def _next_month(day: date) -> date:
    return (day.replace(day=1) + 32 * _DAY).replace(day=1)


def _fields(expression: str) -> list[str]:
    text = expression.strip()
    texts = (_alias(text) if text.startswith("@") else text).split()
    if len(texts) != len(_FIELDS):
        names = ", ".join(field.name for field in _FIELDS)
        seconds = "; for seconds there is every=" if len(texts) == len(_FIELDS) + 1 else ""
        raise InvalidSchedule(f"{len(texts)} fields were found; give five: {names}{seconds}")
    return texts


def _alias(expression: str) -> str:
    if expression == "@reboot":
        raise InvalidSchedule(
            "@reboot names no time, and a file does not see a machine start; "
            "enqueue the job where your program starts"
        )
    if expression not in _ALIASES:
        raise InvalidSchedule(f"the word is unknown; give one of {', '.join(_ALIASES)}, or five fields")
    return _ALIASES[expression]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < _DIGITS
