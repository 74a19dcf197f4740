"""simplebroker on SQLite, with a connection that is kept, consumed by its own watcher."""

import json
from importlib import import_module
from importlib.metadata import version
from typing import Any

from .shared import PADDING, directory, handled

_simplebroker: Any = import_module("simplebroker")
_path = str(directory() / "simplebroker.db")
queue = _simplebroker.Queue("jobs", db_path=_path, persistent=True)


def enqueue(index: int) -> None:
    """Write one message."""
    queue.write(json.dumps([index, PADDING]))


def work() -> None:
    """Run the watcher until it is told to stop; it claims a message for good before it hands it over."""
    _simplebroker.QueueWatcher(queue, _handle, db=_path).run_forever()


def _handle(message: str, _: int) -> None:
    handled(json.loads(message)[0])


def describe() -> tuple[str, str]:
    """Return the version and the durability in force."""
    with queue.sidecar() as session:
        mode, level = (_pragma(session, name) for name in ("journal_mode", "synchronous"))
    return f"simplebroker {version('simplebroker')}", f"{mode}/{('OFF', 'NORMAL', 'FULL', 'EXTRA')[level]}"


def _pragma(session: Any, name: str) -> Any:
    return next(iter(session.run(f"PRAGMA {name}", fetch=True)))[0]
