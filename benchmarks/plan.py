"""What is measured, how many jobs and rounds it takes, and against which floor."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks import harness
from benchmarks.harness import Measure, Subject

BATCH = 64  # how many jobs the batching floor claims and completes in one commit


@dataclass(frozen=True)
class Sizes:
    """How much of everything: the whole measurement, or only as much as shows that it works."""

    rounds: int
    enqueue_full: int
    enqueue_normal: int
    many: int
    run: int
    pings: int
    backlogs: tuple[int, ...]
    claims: int


WHOLE = Sizes(5, 3_000, 20_000, 50_000, 10_000, 200, (10, 100_000, 1_000_000), 300)
SMOKE = Sizes(1, 64, 320, 1_000, 128, 8, (10, 2_000), 20)


@dataclass(frozen=True)
class Row:
    """One thing that litequeue does, beside the floors that do the least of it."""

    title: str
    measure: Measure
    count: int
    ours: Subject
    floors: Mapping[str, Subject]  # by what the floor does


def ours(durability: str, **settings: object) -> Subject:
    """Return litequeue at that durability."""
    return Subject("use_litequeue", {"durability": durability, **settings})


def floor(durability: str, *, workers: int = 1, **settings: object) -> Subject:
    """Return raw SQLite at that durability."""
    return Subject("use_floor", {"durability": durability, **settings}, workers=workers)


def rate_rows(sizes: Sizes) -> list[Row]:
    """Return everything that is measured in jobs a second."""
    return [*_enqueue_rows(sizes), *_run_rows(sizes, "full"), *_run_rows(sizes, "normal")]


def _enqueue_rows(sizes: Sizes) -> list[Row]:
    one = "one INSERT a commit"
    crowd = "the same, 16 threads at one connection"
    many = "one executemany in one commit"
    rows = []
    for durability, count in (("full", sizes.enqueue_full), ("normal", sizes.enqueue_normal)):
        single, lowest = ours(durability), floor(durability)
        sixteen, crowded = ours(durability, producers=16), floor(durability, producers=16)
        rows += [
            Row(f"enqueue one by one, {durability}", harness.enqueue, count, single, {one: lowest}),
            Row(f"enqueue from 16 threads, {durability}", harness.enqueue, count, sixteen, {crowd: crowded}),
            Row(f"enqueue_many, {durability}", harness.enqueue_many, sizes.many, single, {many: lowest}),
        ]
    return rows


def _run_rows(sizes: Sizes, durability: str) -> list[Row]:
    one = f"complete and claim in one commit, {{}} ({durability})"
    single = {one.format("job by job"): floor(durability, batch=1)}
    batch = {one.format(f"{BATCH} at a time"): floor(durability, batch=BATCH)}
    two = {one.format(f"{BATCH} at a time, 2 processes"): floor(durability, batch=BATCH, workers=2)}
    title = f"run no-op jobs, {{}}, {durability}"
    return [
        Row(title.format("1 thread"), harness.run, sizes.run, ours(durability, threads=1), single | batch),
        Row(title.format("4 threads"), harness.run, sizes.run, ours(durability, threads=4), batch),
        Row(title.format("2 processes"), harness.run, sizes.run, ours(durability, processes=2), two),
    ]


def wake_rows(sizes: Sizes) -> list[Row]:
    """Return everything that is measured in milliseconds from one process to another."""
    return [
        Row(
            f"wake-up, {durability}",
            harness.wake_up,
            sizes.pings,
            ours(durability),
            {"one INSERT, one byte in a FIFO": floor(durability)},
        )
        for durability in ("full", "normal")
    ]
