"""The rows of the table, in its order: each module measures one kind of work.

producing  enqueue one by one, from many threads, many at once
running    run jobs: beside the floor, with more threads and processes, on both cores, as coroutines
together   a producer and a worker at the same time
waiting    an idle worker: how soon it wakes up, and what it costs
"""

from benchmarks.goals import Row
from benchmarks.plan import DURABILITIES, Sizes
from benchmarks.rows import producing, running, together, waiting


def all_rows(sizes: Sizes) -> list[Row]:
    """Return everything that is measured."""
    return [
        *(producing.one_by_one(sizes, durability) for durability in DURABILITIES),
        producing.from_threads(sizes),
        *(producing.many_at_once(sizes, durability) for durability in DURABILITIES),
        *(running.no_ops(sizes, durability) for durability in DURABILITIES),
        *(running.more_hands(sizes, durability) for durability in DURABILITIES),
        running.on_both_cores(sizes),
        running.coroutines(sizes),
        *(together.producer_and_worker(sizes, durability) for durability in DURABILITIES),
        *(waiting.wake_up(sizes, durability) for durability in DURABILITIES),
        waiting.idle(sizes),
    ]
