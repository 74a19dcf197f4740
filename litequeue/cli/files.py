"""How commands open the file: to read it without leaving a trace in it, or to change it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..clock import Clock
from ..codec import JSON, NO_TYPES
from ..desk import Desk
from ..errors import InvalidOption
from ..queue import Queue
from ..storage.database import MEMORY, Database
from ..storage.opening import FROZEN
from .terminal import Terminal


@contextmanager
def reading(path: str, terminal: Terminal) -> Iterator[Desk]:
    """The file, opened so that nothing in it can change. Raises `MissingFile` and its family."""
    with looking(path, terminal.clock) as desk:
        if desk.database.mode == FROZEN:
            terminal.complain(
                f"{path} is read without locks, for its folder can not be written: "
                "what another program may be doing to it is not seen"
            )
        yield desk


@contextmanager
def looking(path: str, clock: Clock, *, is_probe: bool = False) -> Iterator[Desk]:
    """As `reading`, without a word about how; a probe waits for seconds if the file is locked."""
    refuse_memory(path)
    database = Database(path, read_only=True, is_probe=is_probe)
    try:
        yield Desk(database, clock, JSON, lambda task: NO_TYPES)
    finally:
        database.close()


@contextmanager
def changing(path: str, clock: Clock) -> Iterator[Desk]:
    """The file, opened to be changed; it must hold a queue already."""
    with looking(path, clock):
        pass  # refuses a file that is missing, or that is somebody else's
    with making(path, clock) as queue:
        yield queue.desk


@contextmanager
def making(path: str, clock: Clock, name: str = "default") -> Iterator[Queue]:
    """A queue in the file, which is made if it is not there."""
    refuse_memory(path)
    with Queue(path, name, clock=clock) as queue:
        yield queue


def refuse_memory(path: str) -> None:
    """Raise `InvalidOption` for the name that stands for no file."""
    if path == MEMORY:
        raise InvalidOption(f"{MEMORY} is a queue in memory, which would end with this command; name a file")
