"""The verbs. Whatever changes a job goes through one of these methods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from sqlite3 import Connection
from typing import TypeVar

from ..clock import Clock
from ..errors import DatabaseDamaged, JobNotFound, LeaseLost, NotAllowed
from ..job import (
    Claim,
    Complete,
    Ended,
    Filter,
    Lease,
    NewJobs,
    Note,
    Progress,
    Rule,
    Settlement,
    Start,
    State,
    Stored,
    Turn,
    Want,
)
from . import claims, enqueuing, flow, limits, operating, reports, rows, settling
from .database import Database
from .gate import Durability
from .transactions import run_plain
from .translate import translated

QUEUE_OF = "SELECT queue FROM litequeue_job WHERE id = ?"
STATE_OF = "SELECT state FROM litequeue_job WHERE id = ?"
_TAKEN = (
    "but another job has its unique key by now, or the result of a parent that it takes is not there; wait "
    "for that job, or try the parent again"
)
_NO_RETRY = {State.FAILED: _TAKEN, State.CANCELLED: _TAKEN}
_NO_OTHER_RETRY = "only failed and cancelled jobs can be tried again"
T = TypeVar("T")
Told = Callable[[int], None]


def nobody(changed: int) -> None:
    """Who is told how many jobs a bulk verb has changed so far, when nobody wants to know."""


class Store:
    """The life of jobs in one file. Instants come from the clock that it was given."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    # --- producer ----------------------------------------------------------------------------------

    def enqueue(
        self, jobs: Sequence[NewJobs], connection: Connection | None = None, *, bound: int = 0
    ) -> list[int]:
        """Store jobs, all or none; their ids in order.

        With a connection they are written inside its transaction, and are there when that commits. Raises
        `QueueFull` when more than `bound` jobs would wait in a queue; 0 is no bound.
        """

        def operation(connection: Connection) -> list[int]:
            ids = enqueuing.insert(connection, jobs, self.clock.now())
            if bound:
                limits.require_room(connection, _came(jobs, map(Stored, ids)), bound)
            return ids

        is_single = not bound and enqueuing.takes_one_statement(jobs)
        return self._add(jobs, operation, connection, is_single=is_single)

    def enqueue_flow(
        self, jobs: Sequence[NewJobs], connection: Connection | None = None, *, bound: int = 0
    ) -> list[Stored]:
        """`enqueue` for jobs of which some have a unique key, a limit or parents; what each came to.

        Raises `DuplicateJob` when a key is taken that must be free, `JobNotFound` for an unknown parent.
        """

        def operation(connection: Connection) -> list[Stored]:
            stored = flow.insert(connection, jobs, self.clock.now())
            if bound:
                limits.require_room(connection, _came(jobs, stored), bound)
            return stored

        return self._add(jobs, operation, connection, is_single=False)

    def _add(
        self,
        jobs: Sequence[NewJobs],
        operation: Callable[[Connection], T],
        connection: Connection | None,
        *,
        is_single: bool,
    ) -> T:
        if connection is not None:
            return self.database.write_on(connection, operation)
        added = self.database.write(operation, Durability.FULL, is_single=is_single)
        self.hint([jobs[0].queue] if len(jobs) == 1 else {batch.queue for batch in jobs})
        return added

    def hint(self, queues: Iterable[str]) -> None:
        """Wake an idle worker of each of these queues, once what was written can be seen."""
        if self.database.joined() is None:
            self.database.hints.send(queues)

    # --- worker ------------------------------------------------------------------------------------

    def take_turn(self, worker: int, turn: Turn, told: Callable[[Claim], None] | None = None) -> Progress:
        """Settle what ended, mark what began, and claim what is wanted, in one transaction.

        What is `told` of the claim is true when the transaction has committed.
        """

        def operation(connection: Connection) -> Progress:
            now = self.clock.now()  # after the wait for the lock: rates are counted by it
            for note in turn.notes:
                settling.note(connection, note, now)
            accepted = settling.settle_all(connection, turn.settlements, now)
            settled = compress(turn.settlements, accepted) if turn.tells else ()
            ended = reports.ended(connection, settled, now)  # before a claim takes some of them again
            for begun in turn.starts:
                settling.start(connection, begun, now)
            if not turn.wants:
                return Progress(accepted, ended=ended)
            if not claims.is_signed_on(connection, worker):
                return Progress(accepted, ended=ended, signed_on=False)
            claim = claims.claim(connection, worker, turn.wants, now)
            if told is not None:
                told(claim)
            met = [*(job.lease.job for job in claim.jobs), *claim.ended] if turn.tells else ()
            return Progress(accepted, claim, ended=ended, seen=reports.snapshots(connection, met))

        # A claim that is lost with the power loses nothing; a settlement must not be.
        is_lasting = turn.settlements or any(begun.ack == "early" for begun in turn.starts)
        return self.database.write(operation, Durability.FULL if is_lasting else Durability.NORMAL)

    def claim(self, worker: int, wants: Sequence[Want]) -> Claim:
        """Make ready jobs the worker's own: due ones are promoted first, expired ones cancelled.

        Raises `LeaseLost` for a worker that is not signed on.
        """
        progress = self.take_turn(worker, Turn(wants=tuple(wants)))
        if not progress.signed_on:
            raise LeaseLost(f"worker {worker} is not signed on, or was taken for dead; sign on again")
        return progress.claim

    def settle(self, settlement: Settlement) -> None:
        """End one lease: complete, fail, snooze, release or cancel. Raises `LeaseLost` if it was lost."""
        if not self.take_turn(0, Turn(settlements=(settlement,))).accepted[0]:
            raise LeaseLost(_lost(settlement.lease))

    def settle_in(
        self,
        connection: Connection,
        settlement: Complete,
        note: Note | None = None,
        told: Callable[[Sequence[Ended]], None] | None = None,
    ) -> bool:
        """Complete inside the task's own transaction; False when that must be rolled back.

        What is `told` is true when the transaction has committed.
        """
        now, until = self.clock.now(), self.clock.monotonic() + settling.TIME_TO_RENEW

        def operation(connection: Connection) -> bool:
            if note is not None:
                settling.note(connection, note, now)
            settling.keep_alive(connection, settlement.lease, until)
            completed = settling.complete_at_once(connection, settlement, now)
            if told is not None:
                told(reports.ended(connection, [settlement], now))
            return completed

        with translated(self.database.path):
            return run_plain(operation, connection)  # the task may have set a row factory

    def start(self, begun: Start) -> None:
        """Mark that a prefetched job now runs. Raises `LeaseLost` if its lease was lost."""
        now = self.clock.now()
        # At most once also across a power cut: such a start must be on the disk before the task runs.
        durability = Durability.FULL if begun.ack == "early" else Durability.NORMAL
        if not self.database.write(lambda c: settling.start(c, begun, now), durability):
            raise LeaseLost(_lost(begun.lease))

    def note(self, written: Note) -> None:
        """Store progress, meta and log lines. Raises `LeaseLost` if the lease was lost."""
        now = self.clock.now()
        if not self.database.write(lambda c: settling.note(c, written, now)):
            raise LeaseLost(_lost(written.lease))

    def is_work_waiting(self, queues: Sequence[str]) -> bool:
        """Whether a claim would bring something; reads only."""
        now = self.clock.now()
        return self.database.read(lambda c: claims.is_work_waiting(c, queues, now))

    def next_due(self, queues: Sequence[str]) -> int | None:
        """When the next scheduled job of these queues is due, a limit may open, or any job expires."""
        now = self.clock.now()
        return self.database.read(lambda c: claims.next_due(c, queues, now))

    def parked_tasks(self, queues: Sequence[str]) -> frozenset[str]:
        """The tasks, among ready jobs, that some worker could not resolve."""
        return self.database.read(
            lambda c: frozenset(task for queue in queues for task in claims.parked_tasks(c, queue))
        )

    # --- operator ----------------------------------------------------------------------------------

    def cancel(self, job: int, message: str | None = None, *, connection: Connection | None = None) -> State:
        """Cancel a waiting job, or ask a running one to stop; the state it has then.

        Jobs that wait for it are cancelled too, unless they want to run whatever becomes of it. Raises
        `NotAllowed` for a final job, `JobNotFound` for none.
        """
        now = self.clock.now()
        state, changed = self._change_one(
            job, lambda c: operating.cancel(c, job, now, message), connection=connection
        )
        if not changed:
            raise NotAllowed(f"job {job} is {state} and can not be cancelled any more")
        if state is State.CANCELLED:
            self._end_the_others(now, connection)
        return state

    def cancel_unstarted(self, jobs: Sequence[int]) -> list[int]:
        """Cancel those of these jobs that have not started; which.

        It leaves those that run, wait for another attempt or are final.
        """
        now = self.clock.now()
        cancelled = self.database.write(lambda c: operating.cancel_unstarted(c, jobs, now), Durability.FULL)
        if cancelled:
            self._end_the_others(now)
        return cancelled

    def cancel_tree(
        self, job: int, message: str | None = None, *, connection: Connection | None = None
    ) -> int:
        """Cancel a job and everything below it; how many were not final.

        Raises `NotAllowed` when all of them were, `JobNotFound` when there is no such job.
        """
        now = self.clock.now()
        state, changed = self._change_one(
            job, lambda c: operating.cancel_tree(c, job, now, message), connection=connection
        )
        if not changed:
            raise NotAllowed(
                f"job {job} is {state}, and neither it nor a job below it can be cancelled any more"
            )
        self._end_the_others(now, connection)
        return changed

    def retry(self, job: int, *, fresh: bool = False) -> None:
        """Make a failed or cancelled job ready again, failures back to 0; with its cancelled children.

        With `fresh` its finished steps are run again, too.
        """
        now = self.clock.now()
        state, changed = self._change_one(job, lambda c: operating.retry(c, job, now, fresh=fresh))
        if not changed:
            raise NotAllowed(f"job {job} is {state}; {_NO_RETRY.get(state, _NO_OTHER_RETRY)}")
        self.hint(self._queues_of([job]))

    def delete(self, job: int) -> None:
        """Remove a job that is not running, with all that was stored about it."""
        state, changed = self._change_one(job, lambda c: operating.delete(c, job, self.clock.now()))
        if not changed:
            raise NotAllowed(
                f"job {job} is {state}; cancel what runs, or waits for its result, and delete it after that"
            )
        self._end_the_others(self.clock.now())

    def cancel_all(self, chosen: Filter, told: Told = nobody) -> int:
        """Cancel every job that matches and is not final; how many."""
        now = self.clock.now()
        changed = self._change_all(chosen, lambda c, id: operating.cancel(c, id, now, None), told)
        self._end_the_others(now)
        return changed

    def retry_all(self, chosen: Filter, told: Told = nobody, *, fresh: bool = False) -> int:
        """Retry every failed or cancelled job that matches; how many."""
        now = self.clock.now()
        changed = self._change_all(chosen, lambda c, id: operating.retry(c, id, now, fresh=fresh), told)
        self.hint([chosen.queue] if chosen.queue else [])
        return changed

    def delete_all(self, chosen: Filter, told: Told = nobody) -> int:
        """Delete every job that matches and is not running; how many."""
        now = self.clock.now()
        changed = self._change_all(chosen, lambda c, id: operating.delete(c, id, now), told)
        self._end_the_others(now)
        return changed

    def prune(
        self, limit: int = claims.CHUNK, *, state: State | None = None, queue: str | None = None
    ) -> int:
        """Delete final jobs whose retention is over, at most `limit`, of this state and queue; how many."""
        over = operating.Over(self.clock.now(), state, queue)
        if not self.database.read(lambda c: operating.is_prunable(c, over)):
            return 0
        return self.database.write(lambda c: operating.prune(c, over, limit))

    def prunable(self, *, state: State | None = None, queue: str | None = None) -> int:
        """How many jobs `prune` would delete, one call after the other."""
        over = operating.Over(self.clock.now(), state, queue)
        return self.database.read(lambda c: operating.prunable(c, over))

    def pause(self, queue: str) -> None:
        """Let no worker claim from the queue."""
        now = self.clock.now()
        self.database.write(lambda c: operating.pause(c, queue, now), Durability.FULL)

    def resume(self, queue: str) -> None:
        """Let workers claim from the queue again."""
        self.database.write(lambda c: operating.pause(c, queue, None), Durability.FULL)
        self.hint([queue])

    def limit(self, queue: str, rule: Rule) -> None:
        """Set how many jobs of a queue may run at once, and start in a time; `Rule()` lifts it."""
        self.database.write(lambda c: limits.define_queue(c, queue, rule), Durability.FULL)
        self.hint([queue])

    # --- inside ------------------------------------------------------------------------------------

    def _end_the_others(self, now: int, connection: Connection | None = None) -> None:
        """Write down, a bounded number at a time, what else ends because of a job that was cancelled."""
        if connection is not None:
            while self.database.write_on(connection, lambda c: flow.expire(c, now)):
                pass
            return
        while self.database.read(lambda c: flow.is_any_over(c, now)):
            self.database.write(lambda c: flow.expire(c, now), Durability.FULL)

    def _change_one(
        self, job: int, change: Callable[[Connection], T], *, connection: Connection | None = None
    ) -> tuple[State, T]:
        def operation(connection: Connection) -> tuple[State, T]:
            before = connection.execute(STATE_OF, (job,)).fetchone()
            if before is None:
                raise JobNotFound(f"{self.database.path}: there is no job {job}")
            changed = change(connection)
            after = connection.execute(STATE_OF, (job,)).fetchone()
            return rows.state((after or before)[0]), changed

        if connection is not None:
            return self.database.write_on(connection, operation)
        return self.database.write(operation, Durability.FULL)

    def _change_all(self, chosen: Filter, change: Callable[[Connection, int], bool], told: Told) -> int:
        changed = 0
        for chunk in self._ids(chosen):
            changed += self.database.write(
                lambda c, ids=chunk: sum(change(c, id) for id in ids),  # type: ignore[misc]
                Durability.FULL,
            )
            told(changed)
        return changed

    def _ids(self, chosen: Filter) -> Iterator[list[int]]:
        """The ids of the jobs that match, in chunks, so that no transaction is long."""
        last = 0
        while ids := self.database.read(lambda c, after=last: reports.matching(c, chosen, after)):  # type: ignore[misc]
            if ids[-1] <= last:
                raise DatabaseDamaged(
                    f"{self.database.path}: job {ids[-1]} stands behind job {last}; restore a backup"
                )
            yield ids
            last = ids[-1]

    def _queues_of(self, jobs: Sequence[int]) -> list[str]:
        found = [self.database.read(lambda c, id=id: c.execute(QUEUE_OF, (id,)).fetchone()) for id in jobs]  # type: ignore[misc]
        return [row[0] for row in found if row]


def _came(jobs: Sequence[NewJobs], stored: Iterable[Stored]) -> Counter[str]:
    """How many new jobs came to each queue."""
    rest = iter(stored)
    came: Counter[str] = Counter()
    for batch in jobs:
        came[batch.queue] += sum(next(rest).created for _ in batch.payloads)
    return came


def _lost(lease: Lease) -> str:
    return f"attempt {lease.attempt} no longer owns job {lease.job}; nothing was written"
