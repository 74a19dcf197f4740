"""tinyjobs on SQLite, run by its own worker with one slot; its plain tasks run in a thread."""

from importlib import import_module
from importlib.metadata import version
from typing import Any

from .shared import PADDING, directory, handled, setting, synchronous

_tinyjobs: Any = import_module("tinyjobs")
app = _tinyjobs.TinyJobs(f"sqlite:///{directory() / 'tinyjobs.db'}")


@app.task  # type: ignore[untyped-decorator]
def handle(index: int, padding: str) -> None:
    """Do nothing but leave a stamp."""
    handled(index)


def enqueue(index: int) -> None:
    """Enqueue one job."""
    handle.enqueue(index, PADDING)


def work() -> None:
    """Run the worker until it is told to stop."""
    app.worker(concurrency=setting("threads", 1)).run()


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    app.start()
    return f"tinyjobs {version('tinyjobs')}", synchronous(app.backend._connections.connection)
