"""What could not be written when it was due, and is written later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..errors import LeaseLost, LiteQueueError
from ..log import log


class Owed:
    """Works that end what is held, each to be done once; the heartbeat does what was left."""

    def __init__(self) -> None:
        self._works: deque[Callable[[], object]] = deque()
        self.add = self._works.append  # takes no lock and is written in C, for a `__del__`

    def see_to(self, what: str, work: Callable[[], object]) -> None:
        """Do this now, or later if it can not be written, or is struck by a signal."""
        try:
            work()
        except LeaseLost as lost:
            log.warning("%s", lost)
        except LiteQueueError as error:
            log.warning("%s is not written yet: %s", what, error)
            self.add(work)
        except BaseException:
            self.add(work)
            raise

    def pay(self) -> None:
        """Do all of it, if the file can be written; one thread alone calls this."""
        while self._works:
            try:
                self._works[0]()
            except LeaseLost as lost:
                log.warning("%s", lost)
            self._works.popleft()

    def pay_at_last(self) -> None:
        """Do what can be done; what is held ends with the worker otherwise."""
        try:
            self.pay()
        except LiteQueueError as error:
            log.warning("%d messages whose end is not written go back: %s", len(self._works), error)
