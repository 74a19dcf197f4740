"""What travels between the loop and the execution: a job made ready to run, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, NamedTuple, Protocol

from ..context import Mailbox, RunningJob
from ..job import Claimed, Lease, Note, Settlement
from ..retry import Retry, RetryFunction
from ..steps import StepKeeper
from ..tasks import Task


class LentTransaction(Protocol):
    """A transaction that a task may open, and that its completion then commits."""

    @property
    def is_open(self) -> bool:
        """Whether the task opened it, so that its completion must go through it."""

    def __call__(self) -> AbstractContextManager[Connection]:
        """Open it, or come back to it."""

    def leave(self) -> None:
        """The task has returned: its thread no longer writes through it."""


class Lender(StepKeeper, Protocol):
    """What keeps the steps of attempts, and wants to know when one of them has ended."""

    def leave(self, lease: Lease) -> None:
        """The attempt has ended: nothing of it stays open."""


class Interrupted(BaseException):
    """The worker stops, and took a step's transaction from under its task; that costs no try."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How one job is to be run, from its row and its task. `timeout` in microseconds."""

    retry: Retry | RetryFunction
    timeout: int | None
    isolate: bool
    early: bool
    max_crashes: int | None


class Assignment(NamedTuple):
    """A claimed job with everything that is needed to run it."""

    claimed: Claimed
    task: Task[..., Any]
    policy: Policy
    args: Sequence[Any]
    kwargs: dict[str, Any]
    running: RunningJob
    mailbox: Mailbox
    transaction: LentTransaction | None

    @property
    def lease(self) -> Lease:
        """The right to settle it."""
        return self.claimed.lease

    @property
    def is_coroutine(self) -> bool:
        """Whether it runs on the event loop, and not on a thread."""
        return self.task.is_async and not self.policy.isolate


class Outcome(NamedTuple):
    """How an attempt ended, what it noted last, and how long it took in microseconds.

    `settled` if all that is written already. `began` is on the monotonic clock; None: it never did.
    """

    assignment: Assignment
    settlement: Settlement
    duration: int = 0
    note: Note | None = None
    settled: bool = False
    began: int | None = None
