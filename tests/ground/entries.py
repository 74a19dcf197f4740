"""Lines of a crontab that were made, so that what they mean is known without reading them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hypothesis import strategies as st


@dataclass(frozen=True)
class Field:
    """What was written in a field, and the numbers it means."""

    text: str
    numbers: frozenset[int]

    @property
    def is_star(self) -> bool:
        return self.text[0] == "*"


@dataclass(frozen=True)
class Entry:
    """The five fields of a line."""

    fields: tuple[Field, ...]

    @property
    def expression(self) -> str:
        return " ".join(field.text for field in self.fields)

    @property
    def is_wild(self) -> bool:
        return self.fields[0].is_star or self.fields[1].is_star

    def fits(self, local: datetime) -> bool:
        return self.fits_time(local) and self.fits_day(local)

    def fits_time(self, local: datetime) -> bool:
        return local.minute in self.fields[0].numbers and local.hour in self.fields[1].numbers

    def fits_day(self, local: datetime) -> bool:
        _, _, day, month, weekday = self.fields
        in_month = local.day in day.numbers
        in_week = not weekday.numbers.isdisjoint({local.isoweekday(), local.isoweekday() % 7})
        fits = in_month and in_week if day.is_star or weekday.is_star else in_month or in_week
        return fits and local.month in month.numbers


@dataclass(frozen=True)
class Kind:
    """The numbers that a field takes, and the names for them."""

    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def all(self) -> range:
        return range(self.low, self.high + 1)


@st.composite
def parts(draw: st.DrawFn, kind: Kind, usual: int) -> Field:
    """All, a number, or a range, with a step or without; half of the numbers are `usual` at the most."""
    number = st.integers(kind.low, usual) | st.integers(kind.low, kind.high)
    form = draw(st.sampled_from(["all", "one", "range"]))
    if form == "one":
        only = draw(number)
        return Field(draw(written(kind, only)), frozenset([only]))
    text, numbers = "*", kind.all
    if form == "range":
        first, last = sorted((draw(number), draw(number)))
        text, numbers = f"{draw(written(kind, first))}-{draw(written(kind, last))}", range(first, last + 1)
    if step := draw(st.none() | st.integers(1, 70)):
        text, numbers = f"{text}/{step}", numbers[::step]
    return Field(text, frozenset(numbers))


def written(kind: Kind, number: int) -> st.SearchStrategy[str]:
    """A number, or its name in letters of any case."""
    names = [kind.names[number - kind.low]] if number - kind.low < len(kind.names) else []
    return st.sampled_from([f"{number}", *names, *map(str.upper, names), *map(str.title, names)])


def fields(kind: Kind, usual: int | None = None) -> st.SearchStrategy[Field]:
    """A field that is a star, or a list of parts."""
    lists = st.lists(parts(kind, kind.high if usual is None else usual), min_size=1, max_size=3)
    return st.just(Field("*", frozenset(kind.all))) | lists.map(joined)


def joined(listed: list[Field]) -> Field:
    numbers = (number for part in listed for number in part.numbers)
    return Field(",".join(part.text for part in listed), frozenset(numbers))


MINUTE, HOUR, DAY, MONTH, WEEKDAY = KINDS = (
    Kind(0, 59),
    Kind(0, 23),
    Kind(1, 31),
    Kind(1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    Kind(0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
ANY_MINUTE, ANY_HOUR, *ANY_DAY = (Field("*", frozenset(kind.all)) for kind in KINDS)
SEVENTHS = frozenset(MINUTE.all[::7])

ALWAYS = Entry((ANY_MINUTE, ANY_HOUR, *ANY_DAY))
# Every seventh minute: by the clock on the wall, and at fixed times.
WILD = Entry((Field("*/7", SEVENTHS), ANY_HOUR, *ANY_DAY))
FIXED = Entry((Field("0-59/7", SEVENTHS), Field("0-23", ANY_HOUR.numbers), *ANY_DAY))

entries = st.tuples(fields(MINUTE), fields(HOUR, usual=4), fields(DAY), fields(MONTH), fields(WEEKDAY)).map(
    Entry
)
