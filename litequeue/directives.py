"""What a task raises to choose its own outcome.

They derive from `BaseException`, so that a task's own `except Exception` lets them pass.
"""

from __future__ import annotations

from datetime import timedelta

from .clock import duration


class Directive(BaseException):
    """The base of the outcomes that a task may choose by raising them."""


class RetryLater(Directive):
    """Try again after `delay` seconds; counts as a failure, so tries can run out.

    Without a delay the task's own retry policy gives it.
    """

    def __init__(self, delay: float | timedelta | None = None) -> None:
        self.delay = None if delay is None else duration(delay, "RetryLater delay")
        super().__init__("asked to be tried again")


class Snooze(Directive):
    """Run again after `seconds`; counts as no failure."""

    def __init__(self, seconds: float | timedelta) -> None:
        self.delay = duration(seconds, "Snooze seconds")
        super().__init__("asked to be run later")


class Reject(Directive):
    """Fail now, whatever tries are left."""

    def __init__(self, reason: str = "") -> None:
        self.reason = str(reason)  # here, where what goes wrong is the task's own affair
        super().__init__(reason)


class Cancel(Directive):
    """End as cancelled."""

    def __init__(self, reason: str = "") -> None:
        self.reason = str(reason)  # here, where what goes wrong is the task's own affair
        super().__init__(reason)


class TaskTimeout(BaseException):
    """Raised inside a task whose `timeout` is over; clean up and let it pass."""
