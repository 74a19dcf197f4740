"""The verbs. Whatever changes a job goes through one of these methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from sqlite3 import Connection

from ..clock import SECOND, Clock
from ..errors import JobNotFound, LeaseLost, NotAllowed
from ..job import (
    Claim,
    Complete,
    Filter,
    Lease,
    NewJobs,
    Note,
    Progress,
    Settlement,
    Start,
    State,
    Turn,
    Want,
)
from . import claims, enqueuing, limits, settling
from .database import Database
from .gate import Durability
from .reports import matching
from .transactions import run_plain
from .translate import translated

CANCEL_WAITING = """
UPDATE litequeue_job
SET state = 'cancelled', reason = 'cancelled', finished_at = :now, parked = 0, message = :message
WHERE id = :id AND state IN ('scheduled', 'blocked', 'ready')
"""
CANCEL_RUNNING = "UPDATE litequeue_job SET cancelling = 1 WHERE id = :id AND state = 'running'"
RETRY = """
UPDATE litequeue_job
SET state = 'ready', reason = NULL, message = NULL, failures = 0, crashes = 0, run_at = :now,
    started_at = NULL, finished_at = NULL, expires_at = NULL, result = NULL, result_codec = NULL,
    progress = NULL, progress_text = NULL
WHERE id = :id AND state IN ('failed', 'cancelled')
"""
FORGET_RESULT = "DELETE FROM litequeue_blob WHERE job = :id AND kind = 'result'"
DELETE = "DELETE FROM litequeue_job WHERE id = :id AND state <> 'running'"
PRUNE = """
DELETE FROM litequeue_job WHERE id IN (
  SELECT id FROM litequeue_job
  WHERE queue = ? AND state = ? AND finished_at + retention <= ? AND finished_at IS NOT NULL
  ORDER BY finished_at + retention LIMIT ?)
"""
IS_PRUNABLE = """
SELECT 1 FROM litequeue_job
WHERE queue = ? AND state = ? AND finished_at + retention <= ? AND finished_at IS NOT NULL LIMIT 1
"""
NEXT_QUEUE = "SELECT min(queue) FROM litequeue_job WHERE finished_at IS NOT NULL AND queue > ?"
PAUSE = """
INSERT INTO litequeue_queue (name, paused_at) VALUES (:name, :at)
ON CONFLICT (name) DO UPDATE SET paused_at = excluded.paused_at
"""
QUEUE_OF = "SELECT queue FROM litequeue_job WHERE id = ?"
STATE_OF = "SELECT state FROM litequeue_job WHERE id = ?"
# A task's transaction shuts out its own worker's heartbeat; give that the time to renew what it could not.
KEEP_ALIVE = """
UPDATE litequeue_worker SET lease_until = max(lease_until, :until)
WHERE id = (SELECT worker FROM litequeue_job WHERE id = :id AND attempt = :attempt AND state = 'running')
"""
_TIME_TO_RENEW = 5 * SECOND
_FINAL = ("completed", "failed", "cancelled")
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
            if bound:
                limits.require_room(connection, jobs, bound)
            return enqueuing.insert(connection, jobs, self.clock.now())

        if connection is not None:
            return self.database.write_on(connection, operation)
        is_single = not bound and enqueuing.takes_one_statement(jobs)
        ids = self.database.write(operation, Durability.FULL, is_single=is_single)
        self.hint([jobs[0].queue] if len(jobs) == 1 else {batch.queue for batch in jobs})
        return ids

    def hint(self, queues: Iterable[str]) -> None:
        """Wake an idle worker of each of these queues, once what was written can be seen."""
        if self.database.joined() is None:
            self.database.hints.send(queues)

    # --- worker ------------------------------------------------------------------------------------

    def take_turn(self, worker: int, turn: Turn) -> Progress:
        """Settle what ended, mark what began, and claim what is wanted, in one transaction."""
        now = self.clock.now()

        def operation(connection: Connection) -> Progress:
            for note in turn.notes:
                settling.note(connection, note, now)
            accepted = settling.settle_all(connection, turn.settlements, now)
            for begun in turn.starts:
                settling.start(connection, begun, now)
            if not turn.wants:
                return Progress(accepted)
            if not claims.is_signed_on(connection, worker):
                return Progress(accepted, signed_on=False)
            return Progress(accepted, claims.claim(connection, worker, turn.wants, now))

        # A claim that is lost with the power loses nothing; a settlement must not be.
        is_lasting = turn.settlements or any(begun.ack == "early" for begun in turn.starts)
        progress = self.database.write(operation, Durability.FULL if is_lasting else Durability.NORMAL)
        for job in progress.claim.jobs:
            if job.started and job.ack == "early":
                self.start(Start(job.lease, "early"))
        return progress

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

    def settle_in(self, connection: Connection, settlement: Complete, note: Note | None = None) -> bool:
        """Complete inside the task's own transaction; False when that must be rolled back."""
        now, until = self.clock.now(), self.clock.monotonic() + _TIME_TO_RENEW

        def operation(connection: Connection) -> bool:
            if note is not None:
                settling.note(connection, note, now)
            lease = settlement.lease
            connection.execute(KEEP_ALIVE, {"id": lease.job, "attempt": lease.attempt, "until": until})
            return settling.complete_at_once(connection, settlement, now)

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
        """When the next scheduled job of these queues is due."""
        return self.database.read(lambda c: claims.next_due(c, queues))

    def parked_tasks(self, queues: Sequence[str]) -> frozenset[str]:
        """The tasks, among ready jobs, that some worker could not resolve."""
        return self.database.read(
            lambda c: frozenset(task for queue in queues for task in claims.parked_tasks(c, queue))
        )

    # --- operator ----------------------------------------------------------------------------------

    def cancel(self, job: int, message: str | None = None) -> State:
        """Cancel a waiting job, or ask a running one to stop; the state it has then.

        Raises `NotAllowed` for a final job, `JobNotFound` for none.
        """
        state, changed = self._change_one(job, lambda c: _cancel(c, job, self.clock.now(), message))
        if not changed:
            raise NotAllowed(f"job {job} is {state} and can not be cancelled any more")
        return state

    def retry(self, job: int) -> None:
        """Make a failed or cancelled job ready again, failures back to 0."""
        state, changed = self._change_one(job, lambda c: _retry(c, job, self.clock.now()))
        if not changed:
            raise NotAllowed(f"job {job} is {state}; only failed and cancelled jobs can be tried again")
        self.hint(self._queues_of([job]))

    def delete(self, job: int) -> None:
        """Remove a job that is not running, with all that was stored about it."""
        state, changed = self._change_one(job, lambda c: _delete(c, job))
        if not changed:
            raise NotAllowed(f"job {job} is {state}; cancel it, and delete it when it has ended")

    def cancel_all(self, chosen: Filter, told: Told = nobody) -> int:
        """Cancel every job that matches and is not final; how many."""
        now = self.clock.now()
        return self._change_all(chosen, lambda c, id: _cancel(c, id, now, None), told)

    def retry_all(self, chosen: Filter, told: Told = nobody) -> int:
        """Retry every failed or cancelled job that matches; how many."""
        now = self.clock.now()
        changed = self._change_all(chosen, lambda c, id: _retry(c, id, now), told)
        self.hint([chosen.queue] if chosen.queue else [])
        return changed

    def delete_all(self, chosen: Filter, told: Told = nobody) -> int:
        """Delete every job that matches and is not running; how many."""
        return self._change_all(chosen, _delete, told)

    def prune(self, limit: int = claims.CHUNK) -> int:
        """Delete final jobs whose retention is over, at most `limit`; how many."""
        now = self.clock.now()
        if not self.database.read(lambda c: _is_prunable(c, now)):
            return 0
        return self.database.write(lambda c: _prune(c, now, limit))

    def pause(self, queue: str) -> None:
        """Let no worker claim from the queue."""
        now = self.clock.now()
        self.database.write(lambda c: _pause(c, queue, now), Durability.FULL)

    def resume(self, queue: str) -> None:
        """Let workers claim from the queue again."""
        self.database.write(lambda c: _pause(c, queue, None), Durability.FULL)
        self.hint([queue])

    # --- inside ------------------------------------------------------------------------------------

    def _change_one(self, job: int, change: Callable[[Connection], bool]) -> tuple[State, bool]:
        def operation(connection: Connection) -> tuple[State, bool]:
            before = connection.execute(STATE_OF, (job,)).fetchone()
            if before is None:
                raise JobNotFound(f"{self.database.path}: there is no job {job}")
            changed = change(connection)
            after = connection.execute(STATE_OF, (job,)).fetchone()
            return State((after or before)[0]), changed

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
        while ids := self.database.read(lambda c, after=last: matching(c, chosen, after)):  # type: ignore[misc]
            yield ids
            last = ids[-1]

    def _queues_of(self, jobs: Sequence[int]) -> list[str]:
        rows = [self.database.read(lambda c, id=id: c.execute(QUEUE_OF, (id,)).fetchone()) for id in jobs]  # type: ignore[misc]
        return [row[0] for row in rows if row]


def _cancel(connection: Connection, id: int, now: int, message: str | None) -> bool:
    values = {"id": id, "now": now, "message": message and settling.storable(message)}
    if connection.execute(CANCEL_WAITING, values).rowcount:
        return True
    return connection.execute(CANCEL_RUNNING, values).rowcount == 1


def _retry(connection: Connection, id: int, now: int) -> bool:
    if not connection.execute(RETRY, {"id": id, "now": now}).rowcount:
        return False
    connection.execute(FORGET_RESULT, {"id": id})
    return True


def _pause(connection: Connection, queue: str, at: int | None) -> None:
    connection.execute(PAUSE, {"name": queue, "at": at})


def _delete(connection: Connection, id: int) -> bool:
    return connection.execute(DELETE, {"id": id}).rowcount == 1


def _is_prunable(connection: Connection, now: int) -> bool:
    queue = ""
    while (queue := connection.execute(NEXT_QUEUE, (queue,)).fetchone()[0]) is not None:
        for state in _FINAL:
            if connection.execute(IS_PRUNABLE, (queue, state, now)).fetchone() is not None:
                return True
    return False


def _prune(connection: Connection, now: int, limit: int) -> int:
    gone, queue = 0, ""
    while (queue := connection.execute(NEXT_QUEUE, (queue,)).fetchone()[0]) is not None:
        for state in _FINAL:
            gone += connection.execute(PRUNE, (queue, state, now, limit - gone)).rowcount
    return gone


def _lost(lease: Lease) -> str:
    return f"attempt {lease.attempt} no longer owns job {lease.job}; nothing was written"
