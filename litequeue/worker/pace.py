"""How many jobs to claim ahead: no more than will start within a moment, by the run times measured."""

from __future__ import annotations

HORIZON = 50_000
QUICK = HORIZON // 5
_MOST = 256
_WEIGHT = 0.2


class Pace:
    """A moving average of the run times of each task, in microseconds."""

    def __init__(self) -> None:
        self._averages: dict[str, float] = {}
        self._runs = 0
        self.quick: frozenset[str] = frozenset()

    def add(self, task: str, duration: int) -> None:
        """Take one run time into account; a slow one counts in full at once."""
        self._runs += 1
        average = self._averages.get(task)
        if average is None or duration > QUICK:
            average = float(duration)
        else:
            average += _WEIGHT * (duration - average)
        self._averages[task] = average
        if (average <= QUICK) is not (task in self.quick):
            self.quick ^= {task}

    def ahead(self, threads: int) -> int:
        """How many quick jobs to hold beyond those that run, for so many threads that run quick ones."""
        if not self.quick or threads <= 0:
            return 0
        slowest = max(self._averages[task] for task in self.quick)
        # It grows with what was run so far: a job that kills its worker takes few others along the next time.
        return min(_MOST, 2 * self._runs, int(threads * HORIZON / max(slowest, 1.0)))
