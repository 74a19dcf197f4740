"""Keeps the steps of the jobs that run in this process."""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection

from ..desk import Desk
from ..errors import DatabaseError
from ..job import Lease, StoredResult
from ..storage.transactions import lent
from .outcome import Interrupted
from .transaction import TaskTransaction

Work = Callable[[Connection], StoredResult]


class Keeper:
    """What running jobs know as their `StepKeeper`; it may take a step's transaction away."""

    def __init__(self, desk: Desk) -> None:
        self._steps = desk.steps
        self._database = desk.database
        self._open: dict[tuple[Lease, str], TaskTransaction] = {}

    @property
    def is_joined(self) -> bool:
        """Whether what this thread writes is a part of a transaction that is open."""
        return self._database.joined() is not None

    def find(self, lease: Lease, name: str) -> StoredResult | None:
        """What the step returned in this attempt or an earlier one."""
        return self._steps.find(lease.job, name)

    def keep(self, lease: Lease, name: str, result: StoredResult) -> None:
        """Store what it returned, for good. Raises `LeaseLost`."""
        self._steps.keep(lease, name, result)

    def keep_with(self, lease: Lease, name: str, work: Work) -> None:
        """Run `work` in a transaction that commits with the result that it gives. Raises `LeaseLost`.

        In a transaction that is open already it is a part of that, undone alone when it fails.
        """
        if self.is_joined:
            with lent(self._database) as connection:
                self._keep_in(connection, lease, name, work(connection))
            return
        transaction = self._open[lease, name] = TaskTransaction(self._database)
        try:
            with transaction() as connection:
                result = work(connection)
            transaction.leave()
            kept = transaction.end(lambda c: self._keep_in(c, lease, name, result))
        except BaseException as error:
            if transaction.aborted:
                raise Interrupted from error
            raise
        if not kept:
            raise Interrupted
        del self._open[lease, name]

    def abort(self, lease: Lease) -> None:
        """Roll back the steps of an attempt under its hands, for every writer waits behind them."""
        for (owner, _), transaction in list(self._open.items()):
            if owner == lease:
                transaction.abort()

    def leave(self, lease: Lease) -> None:
        """The attempt has ended: nothing of it stays open, whatever struck it while it ended a step."""
        for key in [key for key in list(self._open) if key[0] == lease] if self._open else ():
            transaction = self._open.pop(key)
            transaction.abort()
            transaction.abandon()

    def _keep_in(self, connection: Connection, lease: Lease, name: str, result: StoredResult) -> bool:
        if not connection.in_transaction:
            raise DatabaseError(
                f"the step {name!r} itself ended its transaction, so its result can not be part of it; "
                "leave COMMIT and ROLLBACK to litequeue"
            )
        self._steps.keep_in(connection, lease, name, result)
        return True
