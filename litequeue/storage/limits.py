"""How much a queue may hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from sqlite3 import Connection

from ..errors import QueueFull
from ..job import NewJobs

# Counts no further than the bound, however many wait.
_JOBS = "FROM litequeue_job WHERE queue = :queue AND"
WAITING = f"""
SELECT (SELECT count(*) FROM (SELECT 1 {_JOBS} state = 'ready' AND parked = 0 LIMIT :bound))
     + (SELECT count(*) FROM (SELECT 1 {_JOBS} state = 'ready' AND parked = 1 LIMIT :bound))
     + (SELECT count(*) FROM (SELECT 1 {_JOBS} state = 'scheduled' LIMIT :bound))
     + (SELECT count(*) FROM (SELECT 1 {_JOBS} state = 'blocked' LIMIT :bound))
"""


def require_room(connection: Connection, batches: Sequence[NewJobs], bound: int) -> None:
    """Raise `QueueFull` when more jobs than `bound` would wait in a queue."""
    coming: Counter[str] = Counter()
    for batch in batches:
        coming[batch.queue] += len(batch.payloads)
    for queue, more in coming.items():
        waiting = connection.execute(WAITING, {"queue": queue, "bound": bound}).fetchone()[0]
        if waiting + more > bound:
            raise QueueFull(
                f"the queue {queue!r} holds {waiting:,} waiting jobs of at most {bound:,}, so {more:,} more "
                "do not fit; try again when workers have caught up"
            )
