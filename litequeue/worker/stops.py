"""Stop, and stop at once: asked for by anybody at any moment, by a signal's handler too."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from ..clock import Clock

_LOOK = 0.05  # for the end of the grace time, while it lasts


class Stops:
    """What a worker was told: a first call asks it to end within its grace time, a second to end at once.

    Asking takes no lock, for a handler may have interrupted whoever holds it; the rest is done on a thread of
    its own. There `on_asked` is called once, and `on_overdue` when the time is over.
    """

    def __init__(
        self, clock: Clock, grace: int, on_asked: Callable[[], None], on_overdue: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._grace = grace
        self._on_asked = on_asked
        self._on_overdue = on_overdue
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self.asked = False
        self.at_once = threading.Event()

    def start(self) -> None:
        """Heed what is asked from now on, and what was asked before."""
        threading.Thread(target=self._heed, name="litequeue-stops", daemon=True).start()

    def ask(self) -> None:
        """Ask the worker to end, or a second time to end at once."""
        self.asked = True
        self._calls.put(True)

    def end(self) -> None:
        """The worker has ended, or does so at once."""
        self.asked = True
        self.at_once.set()
        self._calls.put(False)

    def _heed(self) -> None:
        if not self._calls.get():
            return
        self._on_asked()
        end = self._clock.monotonic() + self._grace
        while not self.at_once.is_set() and self._clock.monotonic() < end:
            with suppress(Empty):
                self._calls.get(timeout=_LOOK)
                self.at_once.set()
        self._on_asked()
        self._on_overdue()


def stop_signals() -> list[signal.Signals]:
    """What asks a worker to stop; SIGHUP too, with which a terminal goes, unless somebody ignores it."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) is not signal.SIG_DFL:
        return [signal.SIGTERM, signal.SIGINT]
    return [signal.SIGTERM, signal.SIGINT, hangup]
