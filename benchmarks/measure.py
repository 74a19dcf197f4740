"""Rounds, medians and spread: the arithmetic between a measurement and a figure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Metrics = Mapping[str, float]  # what one round gave: "rate" in jobs a second, "p50" in milliseconds ...


@dataclass(frozen=True)
class Figure:
    """What the rounds of one measurement gave, in their order."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The round in the middle."""
        return statistics.median(self.rounds)

    @property
    def low(self) -> float:
        """The lowest round."""
        return min(self.rounds)

    @property
    def high(self) -> float:
        """The highest round."""
        return max(self.rounds)


def ratio(ours: Figure, other: Figure) -> float:
    """Return the median over the rounds of ours divided by the other's: each pair ran side by side."""
    return statistics.median(mine / its for mine, its in zip(ours.rounds, other.rounds, strict=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that `percent` of the values do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]
