"""The rows of the table, in its order.

Each module measures one kind of work, and says what must be reached:

    producing  enqueue one by one, from many threads, many at once
    running    run jobs: beside the floor, with more threads and processes, on both cores, as coroutines
    together   a producer and a worker at the same time
    waiting    an idle worker: how soon it wakes up, and what it costs
    growth     claim and settle in files of very different size
    crowd      many processes that write at once
    recovery   the jobs of killed workers
    program    the import, and a look into a large file
    space      what jobs take on the disk
"""

from benchmarks.goals import Row
from benchmarks.plan import DURABILITIES, Sizes
from benchmarks.rows import crowd, growth, producing, program, recovery, running, space, together, waiting


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
        *(growth.among(sizes, mix) for mix in growth.MIXES),
        crowd.writers(sizes),
        recovery.kills(sizes),
        program.imports(sizes),
        program.info(sizes),
        space.waiting(sizes),
        space.passing(sizes),
    ]
