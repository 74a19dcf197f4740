"""huey on its SQLite storage, run by its own consumer with thread workers."""

from importlib import import_module
from importlib.metadata import version
from typing import Any

from .shared import PADDING, directory, handled, setting, synchronous

_huey: Any = import_module("huey")
queue = _huey.SqliteHuey(filename=str(directory() / "huey.db"), fsync=True, results=False)


@queue.task()  # type: ignore[untyped-decorator]
def handle(index: int, padding: str) -> None:
    """Do nothing but leave a stamp."""
    handled(index)


def enqueue(index: int) -> None:
    """Enqueue one job."""
    handle(index, PADDING)


def work() -> None:
    """Run the consumer until it is told to stop."""
    queue.create_consumer(workers=setting("threads", 1)).run()


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    return f"huey {version('huey')}", synchronous(queue.storage.conn)
