"""What passed through a queue, by the minute: how attempts ended, and how long they took."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .job import State

MINUTE = 60_000_000
_PER_DOUBLING = 4
_MOST = 2**53  # a count that was written by hand may be anything


@dataclass(frozen=True, slots=True)
class Times:
    """Lengths of time in microseconds, counted in buckets: four to each doubling, so that any are few.

    The key of a bucket is the bits of the fourth power of what is in it.
    """

    counts: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: Times) -> Times:
        """Both together."""
        merged = Counter(self.counts)
        merged.update(other.counts)
        return Times({place: min(count, _MOST) for place, count in merged.items()})

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    @property
    def sum(self) -> int:
        """All of them together in microseconds, each taken for the middle of its bucket."""
        return sum(_middle(place) * count for place, count in self.counts.items())

    def below(self, edge: int) -> int:
        """How many are shorter than so many microseconds, which must be a power of 2.

        >>> measured([1, 1023, 1024, 5000]).below(1024)
        2
        """
        last = (edge**_PER_DOUBLING).bit_length() - 1
        return sum(count for place, count in self.counts.items() if place <= last)

    def quantile(self, share: float) -> int | None:
        """The microseconds that so large a share of them did not exceed; None when there are none.

        It is the middle of the bucket in which that one lies: wrong by 9 % at the most, up or down, for a
        bucket reaches from a power of the fourth root of 2 to the next.

        >>> times = measured([*range(1_000, 2_000), 50_000])
        >>> times.quantile(0.5), times.quantile(1)
        (1579, 50535)
        """
        left = math.ceil(share * self.total)
        for place, count in sorted(self.counts.items()):
            left -= count
            if left <= 0:
                return _middle(place)
        return None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Attempts that ended: jobs completed, jobs failed for good, failures that are tried again.

    `waits` are from when a job was due to its start, `runs` from there to its end, of all three; an attempt
    that ended with its worker has neither.
    """

    completed: int = 0
    failed: int = 0
    retried: int = 0
    waits: Times = Times()
    runs: Times = Times()

    def __add__(self, other: Traffic) -> Traffic:
        """Both together."""
        return Traffic(
            min(self.completed + other.completed, _MOST),
            min(self.failed + other.failed, _MOST),
            min(self.retried + other.retried, _MOST),
            self.waits + other.waits,
            self.runs + other.runs,
        )


@dataclass(frozen=True, slots=True)
class Minute:
    """What passed through one queue in the minute that begins at `at` (microseconds since 1970 UTC)."""

    queue: str
    at: int
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class QueueReport:
    """One queue as it is, and what passed through it, oldest minute first; empty minutes are not there.

    `oldest_ready` is when the ready job that has waited longest was due.
    """

    name: str
    paused_at: int | None
    counts: Mapping[State, int]
    oldest_ready: int | None
    minutes: tuple[Minute, ...]

    @property
    def traffic(self) -> Traffic:
        """That of all its minutes together."""
        return sum((minute.traffic for minute in self.minutes), Traffic())


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """What was raised where: in how many attempts, of which so many left their job failed; when last, in
    which job, and with what message.
    """

    type: str
    place: str
    failures: int
    jobs: int
    last_at: int
    job: int
    message: str

    @property
    def key(self) -> str:
        """What a filter calls it; `-` is no place, for the type alone is that of any place."""
        return f"{self.type}@{self.place or '-'}"


def measured(lengths: Iterable[int]) -> Times:
    """These lengths of time, counted; of a negative one a clock is to blame, and it is none."""
    # Written out, for a worker does it for each job.
    return Times(Counter([(t * t * t * t).bit_length() if t > 0 else 0 for t in lengths]))


def stored(times: Times) -> str:
    """The counts as JSON, as they are kept in the file."""
    return json.dumps({str(place): count for place, count in sorted(times.counts.items())})


def restored(text: str) -> Times:
    """The counts behind a stored text; what is no such text counts as empty."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return Times()
    if not isinstance(found, dict):
        return Times()
    return Times(
        {int(place): count for place, count in found.items() if _is_place(place) and _is_count(count)}
    )


def _is_place(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value <= _MOST


def _middle(place: int) -> int:
    return round(2 ** ((place - 0.5) / _PER_DOUBLING)) if place > 0 else 0
