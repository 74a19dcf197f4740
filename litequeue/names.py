"""How functions and classes are called in the file: by a name under which other processes find them."""

from __future__ import annotations

import sys
from pathlib import Path

INTERACTIVE = "interactive"
# What stands for the task of a message. It names no module, so no task has this name and no worker runs it.
MESSAGE = "message"
# How the names of queues begin in which messages lie.
LANE = "messages:"


def module_name(thing: object) -> str:
    """The importable name of the module of a function or class; a script's is that of its file.

    `INTERACTIVE` for what no other process can import.
    """
    name = str(getattr(thing, "__module__", None) or INTERACTIVE)
    if name != "__main__":
        return name
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # `python -m package` runs `package.__main__`, but a folder has no name to import
        return INTERACTIVE if spec.name == "__main__" else str(spec.name)
    path = getattr(main, "__file__", None)
    return Path(path).stem if path and path != "<stdin>" else INTERACTIVE


def is_lane(queue: str) -> bool:
    """Whether messages lie in the queue, which no worker of jobs takes."""
    return queue.startswith(LANE)
