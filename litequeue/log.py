"""The log of the house: its trouble is never its caller's."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any


class Log(logging.LoggerAdapter[logging.Logger]):
    """A logger that stays silent when standard error, the last resort of Python's logging, was closed.

    A task can do that, and a worker must not end for it.
    """

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        try:
            super().log(level, msg, *args, stacklevel=2, **kwargs)  # the caller's own line, not this one
        except ValueError:
            return  # nobody is left to be told

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs  # with the `extra` of the caller, which an adapter puts its own in place of


log = Log(logging.getLogger("litequeue"))
