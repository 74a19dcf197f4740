"""The loop of a worker: it alone claims and settles.

One transaction settles what has ended, marks what began and claims what is next; threads and the event loop
do the work meanwhile.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Iterable

from ..clock import SECOND
from ..context import Mailbox
from ..errors import DatabaseError, LeaseLost
from ..handle import Desk
from ..job import Claimed, Complete, Fail, Lease, NewWorker, Progress, Release, Settlement, Start, Turn, Want
from ..resolve import Resolver
from . import logs
from .coroutines import Coroutines
from .execution import Execution
from .heartbeat import Heartbeat
from .knowledge import Knowledge
from .limits import Limits
from .outcome import Assignment, Outcome
from .pace import HORIZON, Pace
from .sandbox import Sandboxes
from .settings import WorkerOptions
from .slots import Slots
from .transaction import TaskTransaction, transaction_for
from .wake import Bell

log = logging.getLogger("litequeue")
POLL = 0.25
_RETRY_PAUSE = 0.5
_PARKED_EVERY = 1 * SECOND


def identity(options: WorkerOptions, lease: int) -> NewWorker:
    """How this process signs on: by host and process, for people to read."""
    name = f"{socket.gethostname()}:{os.getpid()}"
    return NewWorker(name, os.getpid(), options.queues, options.threads, lease)


class Loop:
    """One worker: signs on, claims, has jobs run, settles, signs off."""

    def __init__(
        self, desk: Desk, resolver: Resolver, options: WorkerOptions, lease: int, max_payload: int
    ) -> None:
        self._desk = desk
        self._options = options
        self._lease = lease
        self._identity = identity(options, lease)
        self._knowledge = Knowledge(resolver)
        self._limits = Limits(desk.clock, self._on_stuck)
        self._execution = Execution(desk.clock, self._limits, max_payload)
        self._slots = Slots(options.threads, desk.clock, self._work)
        self._coroutines = Coroutines(self._work_async)
        self._sandboxes = Sandboxes(desk.clock, self._execution, max_payload)
        memory = desk.database.in_memory
        self._bell = Bell(None if memory else desk.database.path, options.queues)
        self._pace = Pace()
        self._running: dict[Lease, Assignment] = {}
        self._outcomes: deque[Outcome] = deque()
        self._unrunnable: deque[Settlement] = deque()
        self._begun: deque[Assignment] = deque()
        self._threads_used = 0
        self._slots_used = 0
        self._claimed = 0
        self._fruitless = False
        self._is_troubled = False
        self._looked_for_parked = 0
        self._stopping = threading.Event()
        self._stop_now = threading.Event()
        self._fault: DatabaseError | None = None
        self.worker = 0
        self.settled = 0
        self.recycle = False

    # --- from outside ------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until stopped, or until a burst is over. Raises the `DatabaseError` that ended it early."""
        self.worker = self._desk.workers.sign_on(self._identity)
        heartbeat = Heartbeat(self._desk, self, self._lease)
        heartbeat.start()
        log.info("start worker=%d queues=%s threads=%d", self.worker, ",".join(self._options.queues), self._options.threads)
        try:
            while not self._is_over():
                self._cycle()
            self._wind_down()
        finally:
            heartbeat.stop()
            self._close()
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """Claim no more, let jobs finish for the grace time; a second call gives back what runs at once."""
        if self._stopping.is_set():
            self._stop_now.set()
        self._stopping.set()
        self._bell.ring()

    def stop_from_signal(self) -> None:
        """`stop` for a signal handler."""
        if self._stopping.is_set():
            self._stop_now.set()
        self._stopping.set()
        self._bell.ring_from_signal()

    # --- for the heartbeat -------------------------------------------------------------------------

    def running(self) -> Iterable[Assignment]:
        """The assignments that have no outcome yet."""
        return list(self._running.values())

    def ask_to_stop(self, job: int, attempt: int) -> None:
        """Pass a request to cancel on to the attempt; a coroutine is cancelled at its next await."""
        assignment = self._running.get(Lease(job, attempt))
        if assignment is None or assignment.running.cancelled:
            return
        assignment.running.ask_to_stop()
        if assignment.task.is_async:
            self._coroutines.cancel(job)

    def lose(self) -> None:
        """The lease was lost: sign on anew; what runs will find that it owns nothing any more."""
        log.error("lease lost worker=%d: it was taken for dead; its jobs run elsewhere", self.worker)
        for assignment in self.running():
            assignment.running.ask_to_stop()
        self.worker = self._desk.workers.sign_on(self._identity)

    def give_up(self, error: DatabaseError) -> None:
        """The file was replaced, or upgraded by a newer litequeue: stop without touching a job."""
        if self._fault is None:
            log.error("stop worker=%d: %s", self.worker, error)
            self._fault = error
            self._stopping.set()
            self._stop_now.set()
            self._bell.ring()

    # --- one turn ----------------------------------------------------------------------------------

    def _cycle(self) -> None:
        outcomes = self._drain_outcomes()
        wants = self._wants()
        turn = self._turn(outcomes, wants)
        if not (turn.settlements or turn.starts) and not self._should_claim(wants):
            self._wait()
            return
        progress = self._write(turn, outcomes)
        if progress is not None:
            self._after(outcomes, turn, progress)

    def _drain_outcomes(self) -> list[Outcome]:
        outcomes = []
        while self._outcomes:
            outcome = self._outcomes.popleft()
            if outcome.settled:
                self._forget(outcome, accepted=True)
            else:
                outcomes.append(outcome)
        return outcomes

    def _turn(self, outcomes: list[Outcome], wants: tuple[Want, ...]) -> Turn:
        ended = {outcome.assignment.claimed.lease for outcome in outcomes}
        late = [Release(one.claimed.lease) for one in self._slots.take_back(2 * HORIZON)]
        unrunnable = [self._unrunnable.popleft() for _ in range(len(self._unrunnable))]
        notes = (outcome.assignment.mailbox.take(outcome.assignment.claimed) for outcome in outcomes)
        return Turn(
            settlements=(*(outcome.settlement for outcome in outcomes), *unrunnable, *late),
            notes=tuple(note for note in notes if note is not None),
            starts=self._starts(ended),
            wants=wants,
        )

    def _starts(self, ended: set[Lease]) -> tuple[Start, ...]:
        """Marks for the jobs that left the line and still run; what began and ended meanwhile needs none."""
        begun = [self._begun.popleft() for _ in range(len(self._begun))]
        return tuple(
            Start(one.claimed.lease) for one in begun if one.claimed.lease in self._running and one.claimed.lease not in ended
        )

    def _wants(self) -> tuple[Want, ...]:
        if self._stopping.is_set():
            return ()
        now = self._desk.clock.monotonic()
        if now - self._looked_for_parked >= _PARKED_EVERY:
            self._looked_for_parked = now
            self._knowledge.meet_parked(self._desk.store.parked_tasks(self._options.queues))
        free, limit = self._room()
        slots = self._options.async_slots - self._slots_used
        free, limit, slots = self._within_max_jobs(free, limit, slots)
        if limit <= 0 and (slots <= 0 or not self._knowledge.coroutines):
            return ()
        return tuple(self._knowledge.want(queue, free, limit, slots, self._pace.quick) for queue in self._options.queues)

    def _room(self) -> tuple[int, int]:
        """How many jobs could start on threads, and how many with those that would wait for one."""
        free = max(0, self._options.threads - self._threads_used)
        held = max(0, self._threads_used - self._options.threads)
        slow = 0 if not self._running else self._slow_running()
        line = self._pace.ahead(self._options.threads - slow)
        if not free and held > line // 2:
            return 0, 0  # the line is long enough; claim when half of it is gone
        return free, max(free, free + line - held)

    def _slow_running(self) -> int:
        quick = self._pace.quick
        return sum(not one.task.is_async and one.task.name not in quick for one in self._running.values())

    def _within_max_jobs(self, free: int, limit: int, slots: int) -> tuple[int, int, int]:
        if self._options.max_jobs is None:
            return free, limit, slots
        left = self._options.max_jobs - self._claimed
        limit = min(limit, left)
        return min(free, left), limit, min(slots, max(0, left - limit))

    def _should_claim(self, wants: tuple[Want, ...]) -> bool:
        """Whether a transaction would bring anything; a look costs 5 us and no lock."""
        return bool(wants) and not self._fruitless and self._desk.store.is_work_waiting(self._options.queues)

    def _write(self, turn: Turn, outcomes: list[Outcome]) -> Progress | None:
        try:
            return self._desk.store.take_turn(self.worker, turn)
        except DatabaseError as error:
            # A full disk passes: keep what has ended, say so once, and claim nothing meanwhile.
            if not self._is_troubled:
                log.error("settle jobs=%d not written, tried again: %s", len(turn.settlements), error)
            self._is_troubled = True
            self._outcomes.extendleft(reversed(outcomes))
            kept = {outcome.assignment.claimed.lease for outcome in outcomes}
            self._unrunnable.extend(one for one in turn.settlements if one.lease not in kept)
            self._desk.clock.wait(self._stop_now, _RETRY_PAUSE)
            return None

    def _after(self, outcomes: list[Outcome], turn: Turn, progress: Progress) -> None:
        self._is_troubled = False
        for outcome, accepted in zip(outcomes, progress.accepted, strict=False):
            self._forget(outcome, accepted=accepted)
        for settlement in turn.settlements[len(outcomes) :]:
            self._drop(settlement.lease)
        if progress.claim.unknown:
            self._knowledge.learn(progress.claim.unknown)
        self._fruitless = not progress.claim.jobs and not progress.claim.unknown and bool(turn.wants)
        self._dispatch(progress.claim.jobs)

    def _forget(self, outcome: Outcome, *, accepted: bool) -> None:
        self._drop(outcome.assignment.claimed.lease)
        self._pace.add(outcome.assignment.task.name, outcome.duration)
        self.settled += 1
        logs.settled(outcome, accepted=accepted)

    def _drop(self, lease: Lease) -> None:
        assignment = self._running.pop(lease, None)
        if assignment is None:
            return
        if assignment.task.is_async and not assignment.policy.isolate:
            self._slots_used -= 1
        else:
            self._threads_used -= 1

    # --- to the slots ------------------------------------------------------------------------------

    def _dispatch(self, jobs: Iterable[Claimed]) -> None:
        plain: list[Assignment] = []
        coroutines: list[Assignment] = []
        for claimed in jobs:
            self._claimed += 1
            assignment = self._assign(claimed)
            if assignment is not None:
                is_coroutine = assignment.task.is_async and not assignment.policy.isolate
                (coroutines if is_coroutine else plain).append(assignment)
                self._running[claimed.lease] = assignment
                logs.claimed(claimed)
        self._threads_used += len(plain)
        self._slots_used += len(coroutines)
        if plain:
            self._slots.put(plain)
        if coroutines:
            self._coroutines.put(coroutines)

    def _assign(self, claimed: Claimed) -> Assignment | None:
        task = self._knowledge.task(claimed.task)
        transaction = transaction_for(task, self._desk.database)
        prepared = self._execution.prepare(claimed, task, transaction, Mailbox())
        if isinstance(prepared, Fail):
            log.error("fail job=%d task=%s %s", claimed.lease.job, claimed.task, prepared.failure.message)
            self._unrunnable.append(prepared)
            return None
        return prepared

    def _work(self, assignment: Assignment) -> None:
        """On a slot's thread: begin, run, deliver."""
        if not self._begin(assignment):
            return
        if assignment.policy.isolate:
            outcome = self._sandboxes.run(assignment)
        else:
            outcome = self._execution.run(assignment)
        self._deliver(self._through_transaction(outcome))

    async def _work_async(self, assignment: Assignment) -> None:
        if self._begin(assignment):
            self._deliver(await self._execution.run_async(assignment))

    def _begin(self, assignment: Assignment) -> bool:
        """Note the start; False when the job is not ours any more."""
        policy, claimed = assignment.policy, assignment.claimed
        if not (policy.early or policy.max_crashes != claimed.max_crashes):
            if not claimed.started:
                self._begun.append(assignment)
            return True
        try:
            ack = "early" if policy.early else None
            self._desk.store.start(Start(claimed.lease, ack, policy.max_crashes))
        except LeaseLost:
            log.warning("lease lost job=%d task=%s before it began", claimed.lease.job, claimed.task)
            self._drop(claimed.lease)
            return False
        return True

    def _deliver(self, outcome: Outcome) -> None:
        if outcome.assignment.claimed.lease in self._running:
            self._outcomes.append(outcome)
            self._bell.ring()

    def _through_transaction(self, outcome: Outcome) -> Outcome:
        """Settle here and now what the task wrote through its transaction.

        On the slot's thread, for the transaction keeps the gate shut, and the loop may be waiting there.
        """
        transaction = outcome.assignment.transaction
        if not isinstance(transaction, TaskTransaction) or not transaction.is_open:
            return outcome
        settlement = outcome.settlement
        if not isinstance(settlement, Complete):
            transaction.end(lambda _: False)
            return outcome
        note = outcome.assignment.mailbox.take(outcome.assignment.claimed)
        try:
            settled = transaction.end(lambda connection: self._desk.store.settle_in(connection, settlement, note))
        except DatabaseError as error:
            failed = self._execution.failed(outcome.assignment, error)
            return Outcome(outcome.assignment, failed, outcome.duration)
        # Not settled, it was rolled back, for the job was asked to stop or its lease was lost; the loop's own
        # settlement will tell which.
        return Outcome(outcome.assignment, settlement, outcome.duration, settled)

    def _on_stuck(self, assignment: Assignment, thread: int, stack: str) -> None:
        """A thread ignores its time limit: its job fails, its slot gets another thread."""
        if assignment.claimed.lease not in self._running:
            return
        log.error(
            "stuck job=%d task=%s does not end at its time limit; its slot is replaced. The thread is at:\n%s",
            assignment.claimed.lease.job,
            assignment.claimed.task,
            stack,
        )
        if isinstance(assignment.transaction, TaskTransaction):
            assignment.transaction.abort()
        self._slots.replace(thread)
        self._deliver(Outcome(assignment, self._execution.stuck(assignment, stack)))
        if self._slots.stuck >= max(2, self._options.threads):
            self.recycle = True
            self.stop()

    # --- waiting and ending ------------------------------------------------------------------------

    def _is_over(self) -> bool:
        if self._stopping.is_set():
            return True
        if self._running or self._outcomes or self._unrunnable:
            return False
        if self._options.max_jobs is not None and self._claimed >= self._options.max_jobs:
            return True
        return self._options.burst and (self._fruitless or not self._is_anything_waiting())

    def _is_anything_waiting(self) -> bool:
        waiting = self._desk.store.is_work_waiting(self._options.queues)
        return waiting or bool(self._knowledge.revive)

    def _wait(self) -> None:
        seconds = POLL
        if self._slots.waiting:
            seconds = HORIZON / SECOND
        elif not self._running or self._threads_used < self._options.threads:
            due = self._desk.store.next_due(self._options.queues)
            if due is not None:
                seconds = min(seconds, max(0.001, (due - self._desk.clock.now()) / SECOND))
        self._bell.wait(seconds)
        self._fruitless = False

    def _wind_down(self) -> None:
        """Let what runs finish for the grace time, then give the rest back."""
        self._desk.workers.announce_stop(self.worker)
        deadline = self._desk.clock.monotonic() + self._options.grace
        for one in self._slots.take_back(-1):
            self._unrunnable.append(Release(one.claimed.lease))
        while (self._running or self._outcomes or self._unrunnable) and not self._stop_now.is_set():
            left = deadline - self._desk.clock.monotonic()
            if left <= 0:
                break
            outcomes = self._drain_outcomes()
            turn = self._turn(outcomes, ())
            if turn.settlements or turn.starts:
                progress = self._write(turn, outcomes)
                if progress is not None:
                    self._after(outcomes, turn, progress)
            else:
                self._bell.wait(min(POLL, left / SECOND))

    def _close(self) -> None:
        given_back = len(self._running)
        self._running.clear()
        self._limits.close()
        self._slots.close()
        self._sandboxes.close()
        self._coroutines.close(1.0)
        try:
            if self._fault is None:
                self._desk.workers.sign_off(self.worker)  # gives back what is still running, at no cost
        finally:
            self._bell.close()
        log.info("stop worker=%d settled=%d released=%d", self.worker, self.settled, given_back)
