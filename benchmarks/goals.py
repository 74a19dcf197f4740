"""What must be reached: a row of measurements, the lines it gives in the table, and each line's verdict."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import Figure, Metrics
from benchmarks.table import number, spread

# The guard fails only at a third of what is asked, or at three times what is allowed: one machine imported
# the same commit in 49 ms on one day and in 115 on another.
LOOSE = 3.0


@dataclass(frozen=True)
class Round:
    """What one round gave: figures by name, and single waits (in milliseconds) where a plot wants them."""

    figures: Metrics
    waits: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """One line of the table: a figure, perhaps beside another, and the bound that it has to keep."""

    work: str
    goal: str
    measured: str  # the name of a figure
    beside: str | None = None  # the name of another; then their ratio is judged
    least: float = -math.inf
    most: float = math.inf
    unit: str = "/s"
    guarded: bool = True  # whether the gate may fail by it
    is_absolute: bool = False  # whether the figure itself is judged, and what stands beside only shown
    loose: float = LOOSE  # by how many times the gate lets it be missed
    by_worst: bool = False  # whether the worst round is judged, and not the one in the middle

    def figure(self, rounds: Sequence[Round]) -> Figure:
        """Return what was measured."""
        return named(self.measured, rounds)

    def judged(self, rounds: Sequence[Round]) -> Figure:
        """Return what the bound applies to: the ratio of each round, or the figure itself."""
        if self.beside is None or self.is_absolute:
            return self.figure(rounds)
        pairs = zip(self.figure(rounds).rounds, named(self.beside, rounds).rounds, strict=True)
        return Figure(tuple(mine / its for mine, its in pairs))

    def is_met(self, rounds: Sequence[Round], loosened: float = 1.0) -> bool:
        """Whether the bound is kept, or one so many times looser; nothing breaks it that has no figure."""
        judged = self.judged(rounds)
        lowest, highest = (judged.low, judged.high) if self.by_worst else (judged.median, judged.median)
        return not (lowest < self.least / loosened or highest > self.most * loosened)

    def cells(self, rounds: Sequence[Round]) -> list[str]:
        """Return the line as it stands in the table."""
        measured = f"{spread(self.figure(rounds))} {self.unit}".rstrip()
        beside = "" if self.beside is None else f"{spread(named(self.beside, rounds))} {self.unit}".rstrip()
        ratio = "" if self.beside is None or self.is_absolute else spread(self.judged(rounds))
        return [self.work, self.goal, measured, beside, ratio, self._verdict(rounds)]

    def _verdict(self, rounds: Sequence[Round]) -> str:
        if math.isnan(self.judged(rounds).median):
            return "not measured here"
        return "met" if self.is_met(rounds) else "**not met**"

    def complaint(self, rounds: Sequence[Round]) -> str:
        """Return why a gate fails: what was measured, and what a noisy machine is allowed."""
        least, most = number(self.least / self.loose), number(self.most * self.loose)
        bound = f"at most {most}" if math.isinf(self.least) else f"at least {least}"
        return f"{self.work}: measured {spread(self.judged(rounds))}, may be {bound} (the goal: {self.goal})"


def named(name: str, rounds: Sequence[Round]) -> Figure:
    """Return the figure of that name, of all rounds."""
    return Figure(tuple(round.figures[name] for round in rounds))


Take = Callable[[Path, int], list[Round]]  # measure so many rounds, in a folder


@dataclass(frozen=True)
class Row:
    """Things that are measured together, and the lines that they give."""

    name: str
    take: Take
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Taken:
    """A row with what its rounds gave."""

    row: Row
    rounds: tuple[Round, ...]


Case = Callable[[Path], Metrics]


def in_turn(cases: Mapping[str, Case]) -> Take:
    """Return how to measure cases turn and turn about, so that a slow minute hits them all."""

    def take(place: Path, rounds: int) -> list[Round]:
        return [Round(_one_round(cases, place, is_even=number % 2 == 0)) for number in range(rounds)]

    return take


def _one_round(cases: Mapping[str, Case], place: Path, *, is_even: bool) -> Metrics:
    seen = {name: cases[name](place) for name in list(cases)[:: 1 if is_even else -1]}
    return {f"{name}, {metric}": seen[name][metric] for name in cases for metric in seen[name]}
