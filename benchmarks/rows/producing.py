"""Rows of enqueueing: one by one, from many threads, and many at once."""

from functools import partial

from benchmarks import harness
from benchmarks.goals import Line, Row, in_turn
from benchmarks.plan import Sizes, floor, ours

SHARES = {"normal": 0.55, "full": 0.85}  # of the floor's rate
MANY_SHARE = 0.45
THREADS = 16


def one_by_one(sizes: Sizes, durability: str) -> Row:
    """Return the row of single enqueues beside raw inserts."""
    subjects = {"litequeue": ours(durability), "floor": floor(durability, bell=False)}
    count, share = sizes.enqueue[durability], SHARES[durability]
    name = f"enqueue one by one, {durability}"
    line = Line(name, f"{share} of the floor", "litequeue, rate", "floor, rate", least=share)
    cases = {who: partial(harness.enqueue, subject, count=count) for who, subject in subjects.items()}
    return Row(name, in_turn(cases), (line,))


def from_threads(sizes: Sizes) -> Row:
    """Return the row of enqueues from many threads beside those from one."""
    many = ours("full", producers=THREADS)
    cases = {
        "16 threads": partial(harness.enqueue, many, count=sizes.crowd),
        "1 thread": partial(harness.enqueue, ours("full"), count=sizes.enqueue["full"]),
    }
    name = f"enqueue from {THREADS} threads, full"
    rate = Line(name, "3 times one thread", "16 threads, rate", "1 thread, rate", least=3)
    worst = Line(f"{name}: worst wait", "under 100 ms", "16 threads, worst", most=100, unit="ms")
    return Row(name, in_turn(cases), (rate, worst))


def many_at_once(sizes: Sizes, durability: str) -> Row:
    """Return the row of one call for many jobs beside one executemany."""
    subjects = {"litequeue": ours(durability), "floor": floor(durability, bell=False)}
    name = f"enqueue_many of {sizes.many:,}, {durability}"
    line = Line(name, f"{MANY_SHARE} of the floor", "litequeue, rate", "floor, rate", least=MANY_SHARE)
    cases = {
        who: partial(harness.enqueue_many, subject, count=sizes.many) for who, subject in subjects.items()
    }
    return Row(name, in_turn(cases), (line,))
