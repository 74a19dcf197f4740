"""How much of everything is measured, and the queues that are measured with it."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.harness import Subject

SCALE = 5_000_000  # jobs in the largest file, where it is asked for
DURABILITIES = ("normal", "full")


@dataclass(frozen=True)
class Sizes:
    """How much of everything: the whole measurement, or only as much as a guard needs."""

    rounds: int
    enqueue: Mapping[str, int]  # by durability: one by one
    crowd: int  # from 16 threads
    many: int
    run: int
    run_floor: Mapping[str, int]
    spins: int
    naps: int
    together: Mapping[str, int]
    pings: int
    idle_seconds: float
    backlogs: tuple[int, ...]  # the jobs in the files in which claims are timed
    claims: int  # timed in each of them, each round
    crowd_seconds: float  # for how long processes write at once
    processes: tuple[int, ...]
    kills: int
    starts: int  # of a bare Python, and with litequeue imported
    listed: int  # jobs in the file that `info` describes
    stored: int  # jobs that wait in the file whose size is taken
    passing: int  # jobs that come and go
    is_whole: bool = True  # with the figures that no goal asks for


WHOLE = Sizes(
    rounds=5,
    enqueue={"normal": 30_000, "full": 4_000},
    crowd=16_000,
    many=100_000,
    run=30_000,
    run_floor={"normal": 20_000, "full": 4_000},
    spins=600,
    naps=10_000,
    together={"normal": 20_000, "full": 4_000},
    pings=250,
    idle_seconds=10.0,
    backlogs=(10_000, 1_000_000),
    claims=500,
    crowd_seconds=3.0,
    processes=(1, 2, 4, 8),
    kills=10,
    starts=20,
    listed=1_000_000,
    stored=100_000,
    passing=1_000_000,
)
# Figures that a few hundred jobs can not give, such as a file of millions, are left to the whole measurement:
# here they only show that they can still be taken.
SMOKE = Sizes(
    rounds=1,
    enqueue={"normal": 8_000, "full": 1_000},
    crowd=1_600,
    many=20_000,
    run=5_000,
    run_floor={"normal": 2_000, "full": 300},
    spins=40,
    naps=1_000,
    together={"normal": 3_000, "full": 500},
    pings=25,
    idle_seconds=2.0,
    backlogs=(1_000, 10_000),
    claims=20,
    crowd_seconds=0.5,
    processes=(4,),
    kills=2,
    starts=5,
    listed=10_000,
    stored=10_000,
    passing=10_000,
    is_whole=False,
)


def ours(durability: str, **settings: object) -> Subject:
    """Return litequeue at that durability."""
    return Subject("use_litequeue", {"durability": durability, **settings})


def floor(durability: str, **settings: object) -> Subject:
    """Return raw SQLite at that durability."""
    return Subject("use_floor", {"durability": durability, **settings})
