"""How an idle worker waits: for a hint from a producer, a bell in its own process, or the next poll."""

from __future__ import annotations

import os
import selectors
import threading
from collections.abc import Iterable

from ..storage.hints import Listener


class Bell:
    """Wakes the one thread that waits. Ringing costs a system call only while somebody sleeps."""

    def __init__(self, database: str | None, queues: Iterable[str]) -> None:
        self._listener = Listener(database, queues)
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._selector = selectors.DefaultSelector()  # select() itself fails above descriptor 1,023
        for pipe in [self._read, *self._listener.pipes]:
            self._selector.register(pipe, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._sleeping = False
        self._rung = False
        self._closed = False
        self.hinted = False  # whether the last sleep ended with word of a new job

    def ring(self) -> None:
        """Wake the sleeper, or let its next sleep end at once."""
        with self._lock:
            self._rung = True
            if self._sleeping and not self._closed:
                self._sleeping = False
                os.write(self._write, b"!")

    def wait(self, seconds: float) -> bool:
        """Sleep until the bell rings or a hint comes, at most `seconds`; whether something did."""
        with self._lock:
            if self._rung:
                self._rung = self.hinted = False
                return True
            self._sleeping = True
        ready = [key.fd for key, _ in self._selector.select(max(0.0, seconds))]
        with self._lock:
            self._sleeping, self._rung = False, False
            self._empty()
        hints = [pipe for pipe in ready if pipe != self._read]
        self.hinted = bool(hints)
        for pipe in hints[:1]:
            self._listener.take(pipe)
        return bool(ready)

    def take_hints(self) -> bool:
        """Take all hints that came so far; whether any did."""
        return self._listener.take_all()

    def close(self) -> None:
        """Let go of the pipes."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._selector.close()
                self._listener.close()
                os.close(self._read)
                os.close(self._write)

    def _empty(self) -> None:
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            return  # nobody rang
