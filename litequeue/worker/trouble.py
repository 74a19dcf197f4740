"""What a worker says of a file that fails it: once when it begins, and once when it is over."""

from __future__ import annotations

import threading
from typing import Protocol

from ..log import log


class Named(Protocol):
    """Whoever has the trouble, by the number that it signed on with."""

    worker: int


class Trouble:
    """A full disk or a long lock passes, and until then every turn, look and beat of the worker meets it.

    Each kind of error is said once, whoever meets it, until all of them are through again.
    """

    def __init__(self, host: Named) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._who: set[str] = set()
        self._said: set[type[Exception]] = set()

    def begin(self, who: str, what: str, error: Exception) -> None:
        """`who` has met it; `what` does not go on for it."""
        with self._lock:
            is_new = type(error) not in self._said
            self._said.add(type(error))
            self._who.add(who)
        if is_new:
            log.error("hold worker=%d: %s, until this is over: %s", self._host.worker, what, error)

    def end(self, who: str) -> None:
        """`who` is through again."""
        if who not in self._who:
            return
        with self._lock:
            self._who.discard(who)
            is_over = not self._who
            if is_over:
                self._said.clear()
        if is_over:
            log.warning("resume worker=%d: the file can be used again", self._host.worker)

    def holds(self, who: str) -> bool:
        """Whether `who` has met it, and is not through yet."""
        return who in self._who
