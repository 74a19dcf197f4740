"""The raw figures behind the page, as plain JSON: what the plots are drawn from."""

import statistics
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from benchmarks.comparison import Comparison
from benchmarks.goals import Round, Taken
from benchmarks.machine import Machine
from benchmarks.plan import DURABILITIES, Sizes
from benchmarks.rows import crowd, growth, waiting

Data = dict[str, Any]
Found = Mapping[str, Sequence[Round]]  # the rounds of each row, by its name
TITLES = {"litequeue": "litequeue", "floor": "raw sqlite3"}


def collect(taken: Sequence[Taken], sizes: Sizes, peers: Comparison | None, facts: Data) -> Data:
    """Return everything that a plot wants to know."""
    found = {one.row.name: one.rounds for one in taken}
    return {
        "throughput": [] if peers is None else peers.throughput,
        "latency": _latency(found, peers),
        "backlog": [
            curve
            for mix in growth.MIXES
            for curve in growth.curves(mix, found[growth.row_name(mix)], sizes.backlogs)
        ],
        "processes": [_crowd(found[crowd.NAME], queue, sizes) for queue in crowd.QUEUES],
        "rows": {one.row.name: [dict(each.figures) for each in one.rounds] for one in taken},
        "facts": facts,
    }


def facts_of(machine: Machine, command: str) -> Data:
    """Return the facts that stand below every plot."""
    return {
        "date": str(date.today()),
        "cores": machine.cores,
        "system": machine.system,
        "python": machine.python,
        "sqlite": machine.sqlite,
        "command": command,
    }


def _latency(found: Found, peers: Comparison | None) -> list[Data]:
    """Return the waits beside the floor's; where peers were measured, ours are taken from among them."""
    queues = ["floor"] if peers else ["litequeue", "floor"]
    own = [
        {
            "queue": TITLES[queue],
            "durability": f"wal/{durability.upper()}",
            "ours": queue == "litequeue",
            "waits_ms": [
                round(wait, 4) for each in found[waiting.wake_name(durability)] for wait in each.waits[queue]
            ],
        }
        for queue in queues
        for durability in DURABILITIES
    ]
    return [*(peers.latency if peers else []), *own]


def _crowd(rounds: Sequence[Round], queue: str, sizes: Sizes) -> Data:
    def medians(metric: str) -> list[float]:
        names = [f"{crowd.case_name(queue, number)}, {metric}" for number in sizes.processes]
        return [statistics.median(each.figures[name] for each in rounds) for name in names]

    return {
        "queue": TITLES[queue],
        "processes": list(sizes.processes),
        **{f"{metric}_ms": medians(metric) for metric in ("p50", "p99", "worst")},
    }
