"""The hands of a worker: threads, coroutines and child processes at work on what the loop claimed."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, CancelledError
from collections import Counter, deque
from collections.abc import Callable, Iterable

from ..context import Mailbox
from ..desk import Desk
from ..errors import DatabaseError, LeaseLost
from ..job import Claimed, Complete, Ended, Fail, Lease, Release, Start
from ..log import log
from ..tasks import Task
from .coroutines import Coroutines
from .execution import Execution
from .guests import Guests, aside
from .keeper import Keeper
from .limits import Limits
from .outcome import Assignment, Outcome
from .sandbox import Sandboxes
from .settings import WorkerOptions
from .slots import Slots
from .teller import Teller
from .transaction import TaskTransaction, transaction_for


class Hands:
    """All that runs or waits to run in this worker; `ring` wakes the loop when something has ended.

    `on_stuck` is called when so many threads are stuck that the process had better be replaced. Coroutines
    run on the event loop `host` if there is one.
    """

    def __init__(
        self,
        desk: Desk,
        options: WorkerOptions,
        max_payload: int,
        ring: Callable[[], None],
        on_stuck: Callable[[], None],
        teller: Teller,
        host: AbstractEventLoop | None = None,
    ) -> None:
        self._desk = desk
        self._options = options
        self._ring = ring
        self._report_stuck = on_stuck
        self._teller = teller
        self._limits = Limits(desk.clock, self._on_stuck)
        self._keeper = Keeper(desk)
        self._execution = Execution(desk.clock, self._limits, max_payload, self._keeper, desk.rng)
        self._slots = Slots(options.threads, desk.clock, self._work)
        self._coroutines = (
            Coroutines(self._work_async)
            if host is None
            else Guests(self._work_as_guest, host, self._give_back)
        )
        self._sandboxes = Sandboxes(desk.clock, self._execution, self._keeper, max_payload)
        self._outcomes: deque[Outcome] = deque()
        self._on_threads: dict[int, Assignment] = {}
        self._marked: set[Lease] = set()
        self._unbegun: deque[Assignment] = deque()
        self.running: dict[Lease, Assignment] = {}
        self.plain: Counter[str] = Counter()
        self.threads_used = 0
        self.slots_used = 0
        # Tiny jobs are run by one thread, for more would only wait for the interpreter; and the loop hears of
        # them when the line is empty, for it would, too.
        self.is_tiny = False

    # --- for the loop ------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return self._slots.waiting

    @property
    def has_ended(self) -> bool:
        """Whether something has ended unseen."""
        return bool(self._outcomes)

    @property
    def is_evicted(self) -> bool:
        """Whether the event loop of the program does not let coroutines go on."""
        return self._coroutines.is_evicted

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, waits, or has ended unseen."""
        return not (self.running or self._outcomes)

    def assign(self, claimed: Claimed, task: Task[..., object]) -> Assignment | Fail:
        """All that is needed to run the job, or why it can not be run."""
        transaction = transaction_for(task, self._desk.database)
        return self._execution.prepare(claimed, task, transaction, Mailbox())

    def put(self, assignments: Iterable[Assignment]) -> None:
        """Start these, or let them wait for a thread."""
        plain: list[Assignment] = []
        coroutines: list[Assignment] = []
        for assignment in assignments:
            (coroutines if assignment.is_coroutine else plain).append(assignment)
            self.running[assignment.lease] = assignment
        self.threads_used += len(plain)
        self.plain.update(assignment.claimed.task for assignment in plain)
        self.slots_used += len(coroutines)
        if plain:
            self._slots.put(plain, 1 if self.is_tiny else len(plain))
        if coroutines:
            self._coroutines.put(coroutines)

    def hurry(self) -> None:
        """Let all threads see to the line: it may hold more than tiny jobs."""
        self._slots.wake()

    def ended(self) -> list[Outcome]:
        """What has ended since the last call."""
        return [self._outcomes.popleft() for _ in range(len(self._outcomes))]

    def take_again(self, outcomes: list[Outcome]) -> None:
        """Keep outcomes that could not be written, to be asked for again."""
        self._outcomes.extendleft(reversed(outcomes))

    def begun(self) -> tuple[Start, ...]:
        """Marks for jobs that left the line and run now; what began and ended meanwhile needs none."""
        running = list(self._on_threads.values())
        begun = [one.lease for one in running if not one.claimed.started and not _marks_itself(one)]
        new = [lease for lease in begun if lease in self.running and lease not in self._marked]
        self._marked.update(new)
        return tuple(Start(lease) for lease in new)

    def late(self, waited: int) -> list[Assignment]:
        """Take back what has waited for a thread for `waited` microseconds or longer, or could not begin."""
        unbegun = [self._unbegun.popleft() for _ in range(len(self._unbegun))]
        return unbegun + self._slots.take_back(waited)

    def drop(self, lease: Lease) -> None:
        """Forget a job that was settled or given back."""
        assignment = self.running.pop(lease, None)
        if assignment is None:
            return
        if assignment.is_coroutine:
            self.slots_used -= 1
        else:
            self.threads_used -= 1
            self.plain[assignment.claimed.task] -= 1
            self._marked.discard(lease)

    def ask_to_stop(self, lease: Lease) -> None:
        """Pass a request to cancel on to the attempt; a coroutine is cancelled at its next await."""
        assignment = self.running.get(lease)
        if assignment is None or assignment.running.cancelled:
            return
        assignment.running.ask_to_stop()
        if assignment.is_coroutine:
            self._coroutines.cancel(lease)

    def abort_transactions(self) -> None:
        """Roll back what running tasks have open, for every writer of this process waits behind it."""
        for assignment in list(self.running.values()):
            self._abort(assignment)

    def close(self) -> int:
        """Let go of everything, and end what can be ended; how many jobs were still running."""
        left = len(self.running)
        self.running = {}
        self._limits.close()
        self._slots.close()
        self._sandboxes.close()
        self._coroutines.close(1.0)
        return left

    # --- on the threads ----------------------------------------------------------------------------

    def _work(self, assignment: Assignment) -> None:
        """On a slot's thread: begin, run, deliver."""
        if not self._begin(assignment):
            return
        thread = threading.get_ident()
        self._on_threads[thread] = assignment
        try:
            run = self._sandboxes.run if assignment.policy.isolate else self._execution.run
            outcome = self._through_transaction(run(assignment))
        except BaseException as error:  # whatever it is, the job must not be waited for without end
            outcome = Outcome(assignment, self._execution.failed(assignment, error))
            log.error(
                "job=%d task=%s ended in a way nobody foresaw: %r", *_names(assignment), outcome.settlement
            )
        del self._on_threads[thread]
        self._deliver(outcome)

    async def _work_async(self, assignment: Assignment) -> None:
        if self._begin(assignment):
            self._deliver(await self._execution.run_async(assignment))

    async def _work_as_guest(self, assignment: Assignment) -> None:
        """On an event loop that is not ours: it must not wait for the disk, and may end at any moment."""
        try:
            if _marks_itself(assignment) and not await aside(lambda: self._begin(assignment)):
                return
            outcome = await self._execution.run_async(assignment)
        except CancelledError as error:  # before it began
            outcome = Outcome(assignment, self._execution.failed(assignment, error))
        if _was_cancelled(outcome) and self._coroutines.heed_eviction():
            outcome = outcome._replace(settlement=Release(assignment.lease))
        self._deliver(outcome)

    def _begin(self, assignment: Assignment) -> bool:
        """Note the start; False when the job is not ours any more."""
        policy, claimed = assignment.policy, assignment.claimed
        if not _marks_itself(assignment):
            return True
        try:
            ack = "early" if policy.early else None
            self._desk.store.start(Start(claimed.lease, ack, policy.max_crashes))
        except (LeaseLost, DatabaseError) as error:
            log.warning("release job=%d task=%s before it began: %s", *_names(assignment), error)
            self._give_back([assignment])
            return False
        return True

    def _give_back(self, assignments: list[Assignment]) -> None:
        self._unbegun.extend(assignments)
        self._ring()

    def _deliver(self, outcome: Outcome) -> None:
        if outcome.assignment.lease not in self.running:
            return
        note = outcome.note or outcome.assignment.mailbox.take(outcome.assignment.claimed)
        self._outcomes.append(outcome._replace(note=note) if note is not None else outcome)
        if outcome.assignment.is_coroutine or not (self.is_tiny and self._slots.waiting):
            self._ring()

    def _through_transaction(self, outcome: Outcome) -> Outcome:
        """Settle here and now what the task wrote through its transaction.

        On the slot's thread, for the transaction keeps the gate shut, and the loop may be waiting there.
        """
        transaction = outcome.assignment.transaction
        if not isinstance(transaction, TaskTransaction):
            return outcome
        if transaction.aborted:
            # It was rolled back under the hands of the task, which may not even know.
            return outcome._replace(settlement=Release(outcome.assignment.lease))
        if not transaction.is_open:
            return outcome
        settlement = outcome.settlement
        if not isinstance(settlement, Complete):
            transaction.roll_back()
            return outcome
        note = outcome.assignment.mailbox.take(outcome.assignment.claimed)
        ended: list[Ended] = []
        told = ended.extend if outcome.assignment.task.producer.hooks.hears_worker else None
        try:
            settled = transaction.end(
                lambda connection: self._desk.store.settle_in(connection, settlement, note, told)
            )
        except DatabaseError as error:
            failed = self._execution.failed(outcome.assignment, error)
            return outcome._replace(settlement=failed, note=note)
        if settled:
            self._teller.tell_ended(ended)
        # Not settled, it was rolled back, for the job was asked to stop or its lease was lost; the loop's own
        # settlement will tell which.
        return outcome._replace(note=note, settled=settled)

    def _abort(self, assignment: Assignment) -> None:
        self._keeper.abort(assignment.lease)
        if isinstance(assignment.transaction, TaskTransaction):
            assignment.transaction.abort()

    def _on_stuck(self, assignment: Assignment, thread: int, stack: str) -> bool:
        """An attempt ignores its time limit: its job fails, its slot gets another thread.

        False if nobody can tell yet, because another coroutine blocks the event loop.
        """
        if assignment.lease not in self.running:
            return True
        current = self._coroutines.current() if assignment.is_coroutine else None
        if current not in (None, assignment.lease):
            return False
        log.error(
            "stuck job=%d task=%s does not end at its time limit; its slot is replaced. It is at:\n%s",
            assignment.lease.job,
            assignment.claimed.task,
            stack,
        )
        if not assignment.is_coroutine:
            self._slots.replace(thread)
        self._deliver(Outcome(assignment, self._execution.stuck(assignment, stack)))
        self._abort(assignment)
        if current is not None or self._slots.stuck >= max(2, self._options.threads):
            self._report_stuck()
        return True


def _marks_itself(assignment: Assignment) -> bool:
    """Whether its start must be in the file before the task runs, with what its row does not say yet."""
    policy = assignment.policy
    return policy.early or policy.max_crashes != assignment.claimed.max_crashes


def _was_cancelled(outcome: Outcome) -> bool:
    """Whether the coroutine ended by being cancelled, and not because its job was."""
    settlement = outcome.settlement
    return isinstance(settlement, Fail) and settlement.failure.type == "asyncio.exceptions.CancelledError"


def _names(assignment: Assignment) -> tuple[int, str]:
    return assignment.lease.job, assignment.claimed.task
