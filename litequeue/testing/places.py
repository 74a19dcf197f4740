"""Another file, and a clock moved by hand, for queues that a program declares when it is imported."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from typing import TypeVar, overload

from ..clock import Clock
from ..options import path_text
from ..queue import Queue
from ..storage.database import MEMORY, Database
from ..storage.gate import Durability
from .clock import HandClock

C = TypeVar("C", bound=Clock)


class Longest(random.Random):
    """Chance that always draws the upper end, so that it is known how long a failed job waits."""

    def uniform(self, a: float, b: float) -> float:
        """The greater of the two."""
        return max(a, b)


@overload
def in_memory(*queues: Queue) -> AbstractContextManager[HandClock]: ...
@overload
def in_memory(*queues: Queue, clock: C) -> AbstractContextManager[C]: ...
def in_memory(*queues: Queue, clock: Clock | None = None) -> AbstractContextManager[Clock]:
    """Within the block these queues lie in memory, empty and with a `HandClock`, which is its value.

    Their own files are not touched, and theirs again after it. Queues on one file share one here, too. A
    failed job waits for the longest time that its policy may draw. Give `clock=SystemClock()` where a worker
    runs in the block. All threads see the change: let nothing of a queue be at work when it begins or ends.
    """
    return _elsewhere(queues, dict.fromkeys((queue.path for queue in queues), MEMORY), clock)


@overload
def in_file(path: str | os.PathLike[str], *queues: Queue) -> AbstractContextManager[HandClock]: ...
@overload
def in_file(path: str | os.PathLike[str], *queues: Queue, clock: C) -> AbstractContextManager[C]: ...
def in_file(
    path: str | os.PathLike[str], *queues: Queue, clock: Clock | None = None
) -> AbstractContextManager[Clock]:
    """`in_memory` on a file, for what needs one: a connection of your own, or another process."""
    place = os.path.abspath(path_text(path))
    return _elsewhere(queues, dict.fromkeys((queue.path for queue in queues), place), clock)


@contextmanager
def _elsewhere(queues: Sequence[Queue], places: dict[str, str], clock: Clock | None) -> Iterator[Clock]:
    clock = clock or HandClock()
    chance = Longest() if isinstance(clock, HandClock) else None
    with ExitStack() as stack:
        databases = {
            own: stack.enter_context(closing(Database(place, Durability.NORMAL)))
            for own, place in places.items()
        }
        for queue in queues:
            stack.enter_context(queue.lying_in(databases[queue.path], clock, chance))
            stack.callback(_close_lanes, queue)
        yield clock


def _close_lanes(queue: Queue) -> None:
    """Give back what messages are held, while the queue still lies where they do."""
    for lane in list(queue.lanes.values()):
        lane.close()
