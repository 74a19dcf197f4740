"""The row of a producer and a worker that work at the same time."""

from functools import partial
from pathlib import Path

from benchmarks import harness
from benchmarks.goals import Line, Round, Row
from benchmarks.harness import Subject
from benchmarks.plan import Sizes, ours

SHARE = 0.6
FIRST = 3  # jobs that show that the worker is there


def producer_and_worker(sizes: Sizes, durability: str) -> Row:
    """Return the row of enqueueing and running at once, beside the slower of the two alone."""
    name = f"producer and worker at once, {durability}"
    line = Line(name, f"{SHARE} of the slower alone", "together, rate", "the slower alone, rate", least=SHARE)
    return Row(name, partial(_take, ours(durability), sizes.together[durability]), (line,))


def _take(subject: Subject, count: int, place: Path, rounds: int) -> list[Round]:
    return [_round(subject, count, place) for _ in range(rounds)]


def _round(subject: Subject, count: int, place: Path) -> Round:
    enqueue = harness.enqueue(subject, place, count)["rate"]
    together = _together(subject, count, place)
    run = harness.run(subject, place, count)["rate"]
    return Round(
        {
            "together, rate": together,
            "enqueue alone, rate": enqueue,
            "run alone, rate": run,
            "the slower alone, rate": min(enqueue, run),
        }
    )


def _together(subject: Subject, count: int, place: Path) -> float:
    with harness.fresh_round(subject, place) as here:
        with here.worker() as worker:
            here.ask("ping", FIRST)
            begun: int = here.ask("produce", count)["begun"]
            here.await_stamps(FIRST + count, [worker])
        last = max(instant for _, instant in here.stamps())
        return count / (last - begun) * 1e9
