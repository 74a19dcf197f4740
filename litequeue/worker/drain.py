"""Run what is due here and now, in this thread: for tests and scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..clock import SECOND
from ..context import Mailbox
from ..errors import DatabaseError, LeaseLost, NotAllowed, WorkerError
from ..handle import Job
from ..job import Claimed, Complete, Ended, Fail, Note, Progress, Release, Settlement, Start, Turn, Want
from ..queue import Queue
from ..resolve import Resolver
from . import counting, logs
from .execution import Execution
from .firing import declare, fire
from .keeper import Keeper
from .knowledge import Knowledge
from .limits import Limits
from .outcome import Assignment, Outcome
from .settings import WorkerOptions, identity
from .teller import Teller
from .transaction import NoTransaction, TaskTransaction, transaction_for

T = TypeVar("T")
E = TypeVar("E", bound=Execution)
_LEASE = 3600 * SECOND  # no heartbeat renews it; where there are locks, a death is seen at once all the same


def drain(queue: Queue, queues: Sequence[str], limit: int | None = None) -> int:
    """Run every due job of these queues in this thread, in order; how many were run.

    Jobs that these enqueue are run too. Isolated tasks run in this process as well.
    """
    with _execution(queue, Execution) as execution:
        return _Drain(queue, queues, execution).run(limit)


def run_now(queue: Queue, job: Job[Any]) -> BaseException | None:
    """Run this very job in this thread, before its turn; what its attempt raised.

    Raises `NotAllowed` when it waits for others, runs or is final, `WorkerError` when its task is not here.
    """
    with _execution(queue, _Attentive) as execution:
        _Drain(queue, [job.queue], execution).run_one(job)
    return execution.raised


class _Attentive(Execution):
    """Remembers what was raised, which a worker keeps only in words."""

    raised: BaseException | None = None

    def failed(self, assignment: Assignment, error: BaseException) -> Settlement:
        """The settlement, as for any worker."""
        self.raised = error
        return super().failed(assignment, error)


@contextmanager
def _execution(queue: Queue, kind: type[E]) -> Iterator[E]:
    limits = Limits(queue.clock, lambda *_: True)
    try:
        yield kind(queue.clock, limits, queue.max_payload, Keeper(queue.desk), queue.desk.rng)
    finally:
        limits.close()


class _Drain:
    def __init__(self, queue: Queue, queues: Sequence[str], execution: Execution) -> None:
        self._queue = queue
        self._queues = tuple(queues)
        self._store = queue.desk.store
        self._workers = queue.desk.workers
        self._minutes = queue.desk.minutes
        resolver = Resolver(queue.runnable, queue)
        self._knowledge = Knowledge(resolver)
        self._teller = Teller(queue.desk, resolver.task)
        self._execution = execution
        self._worker = 0
        self._transaction: TaskTransaction | NoTransaction | None = None

    def run(self, limit: int | None) -> int:
        return self._signed_on(lambda: self._run(limit))

    def run_one(self, job: Job[Any]) -> None:
        self._signed_on(lambda: self._run_this(job))

    def _signed_on(self, work: Callable[[], T]) -> T:
        try:
            try:
                self._worker = self._workers.sign_on(identity(WorkerOptions(self._queues), _LEASE))
                return work()
            finally:
                self._leave()
        except BaseException:
            self._leave()  # again, in case it was this that a signal struck
            raise

    def _run_this(self, job: Job[Any]) -> None:
        self._knowledge.learn([job.task])
        if job.task not in self._knowledge.known:
            raise WorkerError(
                f"job {job.id}: its task {job.task} can not be found here; import its module first"
            )
        claimed = self._take_turn(Turn(wants=(Want(job.queue, 1, 1, job=job.id),))).claim.jobs
        if not claimed:
            raise NotAllowed(f"job {job.id} can not be run now: {job.explain()}")
        self._run_one(claimed[0])

    def _run(self, limit: int | None) -> int:
        declare(self._queue, self._queue.declared.values())
        fire(self._queue.desk, self._teller)
        # A script that only ever drains would not see the jobs of its killed runs again.
        self._workers.reap(self._teller.tell_given_up)
        done = 0
        while (limit is None or done < limit) and (claimed := self._claim()) is not None:
            self._run_one(claimed)
            done += 1
        return done

    def _leave(self) -> None:
        """Give back all that is held."""
        if self._transaction is not None:
            self._transaction.abandon()
        self._workers.sign_off(self._worker)
        self._minutes.write()

    def _claim(self) -> Claimed | None:
        self._knowledge.meet_parked(self._store.parked_tasks(self._queues))
        while True:
            wants = (self._knowledge.want(name, 1, 1, 0) for name in self._queues)
            # Here a coroutine takes its turn like any other task.
            turn = Turn(wants=tuple(want._replace(coroutines=frozenset()) for want in wants))
            claim = self._take_turn(turn).claim
            if claim.jobs or not (claim.unknown or claim.parked or claim.ended):  # after these, more may end
                return claim.jobs[0] if claim.jobs else None
            self._knowledge.learn(claim.unknown)

    def _run_one(self, claimed: Claimed) -> None:
        task = self._knowledge.task(claimed.task)
        transaction = self._transaction = transaction_for(task, self._queue.desk.database)
        prepared = self._execution.prepare(claimed, task, transaction, Mailbox())
        if isinstance(prepared, Fail):
            self._settle(prepared, None)
            self._minutes.count(claimed.queue, "failed")
            return
        self._begin(prepared)
        outcome = self._outcome(prepared)
        if _was_interrupted(outcome):
            self._through(transaction, outcome, None)
            self._settle(Release(claimed.lease), None)
            raise KeyboardInterrupt
        note = prepared.mailbox.take(claimed)
        accepted = self._through(transaction, outcome, note) or self._settle(outcome.settlement, note)
        if accepted:
            counting.count(self._minutes, outcome)
            self._minutes.write_some()
        logs.settled(outcome, self._worker, accepted=accepted)

    def _begin(self, assignment: Assignment) -> None:
        """Write down what the row leaves open and the task says, before it runs."""
        policy, claimed = assignment.policy, assignment.claimed
        logs.claimed([claimed], self._worker, self._queue.clock.now())
        if policy.early or policy.max_crashes != claimed.max_crashes:
            ack = "early" if policy.early else None
            self._store.start(Start(claimed.lease, ack, policy.max_crashes))

    def _outcome(self, assignment: Assignment) -> Outcome:
        if not assignment.task.is_async:
            return self._execution.run(assignment)
        if _is_in_event_loop():
            raise WorkerError(
                "drain() met a coroutine inside a running event loop; await asyncio.to_thread(queue.drain)"
            )
        return asyncio.run(self._execution.run_async(assignment))

    def _through(
        self, transaction: TaskTransaction | NoTransaction, outcome: Outcome, note: Note | None
    ) -> bool:
        settlement = outcome.settlement
        if not isinstance(transaction, TaskTransaction) or not transaction.is_open:
            return False
        if not isinstance(settlement, Complete):
            transaction.roll_back()
            return False
        ended: list[Ended] = []
        told = ended.extend if self._knowledge.is_heard else None
        try:
            settled = transaction.end(lambda c: self._store.settle_in(c, settlement, note, told))
        except DatabaseError as error:  # the task had ended it itself, or the disk is full
            return self._settle(self._execution.failed(outcome.assignment, error), note)
        self._teller.tell_ended(ended if settled else ())
        return settled

    def _settle(self, settlement: Settlement, note: Note | None) -> bool:
        turn = Turn(settlements=(settlement,), notes=() if note is None else (note,))
        return self._take_turn(turn).accepted[0]

    def _take_turn(self, turn: Turn) -> Progress:
        progress = self._store.take_turn(self._worker, turn._replace(tells=self._knowledge.is_heard))
        if not progress.signed_on:
            raise LeaseLost(f"worker {self._worker}, which drains, was taken for dead; drain again")
        self._teller.tell_turn(progress)
        return progress


def _was_interrupted(outcome: Outcome) -> bool:
    """Whether a person pressed Ctrl-C: meant for the program that drains, not for the job."""
    settlement = outcome.settlement
    return isinstance(settlement, Fail) and settlement.failure.type == "KeyboardInterrupt"


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
