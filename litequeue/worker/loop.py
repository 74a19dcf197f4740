"""The loop of a worker: it alone claims and settles.

One transaction settles what has ended, marks what began and claims what is next; threads and the event loop
do the work meanwhile.
"""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Iterable

from ..clock import SECOND
from ..desk import Desk
from ..errors import DatabaseError
from ..job import Claimed, Fail, Lease, Progress, Release, Settlement, Start, Turn, Want
from ..log import log
from ..resolve import Resolver
from . import counting, logs
from .hands import Hands
from .heartbeat import LOST, Heartbeat
from .knowledge import Knowledge
from .notify import Notifier
from .outcome import Assignment, Outcome
from .pace import HORIZON, Pace
from .settings import WorkerOptions, identity
from .stops import Stops
from .teller import TellerAside
from .trouble import Trouble
from .wake import Bell

POLL = 0.25
TINY = GATHER = SECOND // 1000
LONGEST_GATHER = SECOND // 200
_RETRY_PAUSE = 0.5
_TURN, _LOOK = "turn", "look"  # who may have trouble with the file
_LOOK_EVERY = 1 * SECOND


class Loop:
    """One worker: signs on, claims, has jobs run, settles, signs off."""

    def __init__(
        self,
        desk: Desk,
        resolver: Resolver,
        options: WorkerOptions,
        lease: int,
        max_payload: int,
        host: AbstractEventLoop | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        self._desk = desk
        self._options = options
        self._lease = lease
        self._identity = identity(options, lease)
        self._notifier = notifier or Notifier(None, None, desk.clock)
        self._knowledge = Knowledge(resolver)
        self._bell = Bell(None if desk.database.in_memory else desk.database.path, options.queues)
        self._teller = TellerAside(desk, resolver.task)
        self._hands = Hands(
            desk, options, max_payload, self._bell.ring, self._replace_process, self._teller, host
        )
        self._pace = Pace()
        self._unwritten: deque[Settlement] = deque()
        self._unmarked: tuple[Start, ...] = ()
        self._claimed = 0
        self._fruitless = False  # the last claim brought nothing
        self._is_dry = False  # though there was a thread free for it
        self._gather_until = 0
        self._is_hinted = self._is_streaming = self._is_line_stuck = False
        self._looked_around: int | None = None
        self._signing_on = threading.Lock()
        # The write lock is taken from tasks that outlast a stop: the loop itself may be waiting for it.
        self._stops = Stops(desk.clock, options.grace, self._bell.ring, self._hands.abort_transactions)
        self._fault: DatabaseError | None = None
        self._has_died = False
        self.worker = 0
        self.settled = 0
        self.recycle = False
        self.trouble = Trouble(self)

    # --- from outside ------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until stopped, or until a burst is over. Raises the `DatabaseError` that ended it early."""
        self.worker = self._desk.workers.sign_on(self._identity)
        heartbeat = Heartbeat(self._desk, self, self._lease, self._teller)
        heartbeat.start()
        self._stops.start()
        logs.started(self.worker, self._options)
        self._notifier.ready()
        try:
            while not self._step():
                self._notifier.progress(f"{self.settled:,} jobs settled", heartbeat.beaten_at)
            self._notifier.stopping()
            self._wind_down(heartbeat)
        except Exception:
            self._has_died = True  # a task that eats all memory must bear the blame, or it goes on for ever
            raise
        finally:
            self._stops.end()
            self._hands.abort_transactions()  # or nobody below could write
            heartbeat.stop()
            self._close()
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """Claim no more, let jobs finish for the grace time; a second call gives back what runs at once.

        Fit for a signal's handler.
        """
        self._stops.ask()

    # --- for the heartbeat -------------------------------------------------------------------------

    def running(self) -> Iterable[Assignment]:
        """The assignments that have no outcome yet."""
        return list(self._hands.running.values())

    def ask_to_stop(self, job: int, attempt: int) -> None:
        """Pass a request to cancel on to the attempt."""
        self._hands.ask_to_stop(Lease(job, attempt))

    def lose(self, worker: int) -> None:
        """The lease of this worker was lost: sign on anew; what runs will find that it owns nothing."""
        with self._signing_on:  # the loop and the heartbeat may both find it out
            if worker != self.worker or self._fault is not None:
                return
            log.error("lease lost worker=%d: it was taken for dead; its jobs run elsewhere", worker)
            for assignment in self.running():
                self._hands.ask_to_stop(assignment.lease)
            self.worker = self._desk.workers.sign_on(self._identity)

    def give_up(self, error: DatabaseError) -> None:
        """The file was replaced, damaged, or upgraded by a newer litequeue: stop without touching a job."""
        if self._fault is None:
            log.error("stop worker=%d: %s", self.worker, error)
            self._fault = error
            self._stops.end()
            self._bell.ring()

    # --- one turn ----------------------------------------------------------------------------------

    def _step(self) -> bool:
        """One cycle; whether it was the last. A look at the file may fail as a write may."""
        try:
            if self._is_over():
                return True
            self._cycle()
            self.trouble.end(_LOOK)
        except DatabaseError as error:
            self._pause(_LOOK, "no job begins", error)
        return False

    def _cycle(self) -> None:
        self._gather()
        is_time_to_look = self._look_around()  # first, for it may raise
        outcomes = self._ended()
        turn = self._turn(outcomes, self._wants(outcomes, is_time_to_look=is_time_to_look))
        if not (turn.settlements or turn.starts) and not self._should_claim(turn.wants):
            self._wait()
        else:
            self._write(turn, outcomes)

    def _gather(self) -> None:
        """Let tiny jobs gather between turns: they share a commit, and others get to write."""
        left = (self._gather_until - self._desk.clock.monotonic()) / SECOND
        if left > 0 and not self._stops.asked:
            if self._is_streaming:
                self._desk.clock.sleep(left)
            elif self._hands.waiting:
                self._bell.wait(left)  # it rings when the line is empty
        if self._hands.waiting:
            self._hands.hurry()

    def _ended(self) -> list[Outcome]:
        outcomes = self._hands.ended()
        for outcome in outcomes:
            if outcome.settled:
                self._forget(outcome, accepted=True)
        return [outcome for outcome in outcomes if not outcome.settled]

    def _turn(self, outcomes: list[Outcome], wants: tuple[Want, ...]) -> Turn:
        late = self._hands.late(2 * HORIZON)
        self._is_line_stuck = self._is_line_stuck or bool(late)
        self._unwritten.extend(Release(one.lease) for one in late)
        others = [self._unwritten.popleft() for _ in range(len(self._unwritten))]
        return Turn(
            settlements=(*(outcome.settlement for outcome in outcomes), *others),
            notes=tuple(outcome.note for outcome in outcomes if outcome.note is not None),
            starts=(*self._unmarked, *self._hands.begun()),
            wants=wants,
            tells=self._knowledge.is_heard,
        )

    def _look_around(self) -> bool:
        """Now and then, see which parked jobs could run here; whether it was time to."""
        now = self._desk.clock.monotonic()
        if self._looked_around is not None and now - self._looked_around < _LOOK_EVERY:
            return False
        self._looked_around = now
        self._knowledge.meet_parked(self._desk.store.parked_tasks(self._options.queues))
        return True

    def _wants(self, ended: list[Outcome], *, is_time_to_look: bool) -> tuple[Want, ...]:
        """What to claim in the turn that settles what has ended."""
        if self._stops.asked or (self.trouble.holds(_TURN) and (ended or self._unwritten)):
            return ()  # what has ended goes first: no job begins whose end could not be written
        left = None if self._options.max_jobs is None else self._options.max_jobs - self._claimed
        coroutines = sum(outcome.assignment.is_coroutine for outcome in ended)
        free, limit = self._room(ended, self._hands.threads_used - (len(ended) - coroutines))
        slots = self._options.async_slots - (self._hands.slots_used - coroutines)
        if not self._knowledge.coroutines:
            # With every thread taken for long, the first coroutine would never be met.
            slots = min(slots, 1) if is_time_to_look and limit <= 0 else 0
        if (limit <= 0 and slots <= 0) or left == 0:
            return ()
        return tuple(
            self._knowledge.want(queue, free, limit, slots, self._pace.quick, left)
            for queue in self._options.queues
        )

    def _room(self, ended: list[Outcome], used: int) -> tuple[int, int]:
        """How many jobs could start on threads, and how many with those that would wait for one."""
        free = max(0, self._options.threads - used)
        held = max(0, used - self._options.threads)
        slow = self._slow_running(ended)
        line = 0 if self._is_line_stuck else self._pace.ahead(self._options.threads - slow)
        if not free and held > line // 2:
            return 0, 0  # the line is long enough; claim when half of it is gone
        return free, max(free, free + line - held)

    def _slow_running(self, ended: list[Outcome]) -> int:
        quick = self._pace.quick
        held = sum(number for task, number in self._hands.plain.items() if task not in quick)
        return held - sum(
            not one.assignment.is_coroutine and one.assignment.claimed.task not in quick for one in ended
        )

    def _should_claim(self, wants: tuple[Want, ...]) -> bool:
        """Whether a transaction would bring anything; a look costs no lock, but time that a hint can save."""
        is_hinted, self._is_hinted = self._is_hinted, False
        return bool(wants) and not self._fruitless and (is_hinted or self._is_anything_waiting())

    def _write(self, turn: Turn, outcomes: list[Outcome]) -> None:
        try:
            progress = self._desk.store.take_turn(self.worker, turn)
        except DatabaseError as error:
            self._keep(turn, outcomes, error)
        else:
            self._after(outcomes, turn, progress)

    def _keep(self, turn: Turn, outcomes: list[Outcome], error: DatabaseError) -> None:
        """A full disk passes: keep what has ended, and begin nothing meanwhile."""
        self._hands.take_again(outcomes)
        self._unwritten.extend(turn.settlements[len(outcomes) :])
        self._unwritten.extend(Release(one.lease) for one in self._hands.late(-1))
        self._unmarked = turn.starts
        kept = f", and what has ended is kept (jobs={len(turn.settlements)})" if turn.settlements else ""
        self._pause(_TURN, f"no job begins{kept}", error)

    def _pause(self, who: str, what: str, error: DatabaseError) -> None:
        """Say once what is the matter, and wait before the next try, if there can be one."""
        if isinstance(error, LOST):
            self.give_up(error)
            return
        self.trouble.begin(who, what, error)
        self._desk.clock.wait(self._stops.at_once, _RETRY_PAUSE)

    def _after(self, outcomes: list[Outcome], turn: Turn, progress: Progress) -> None:
        self.trouble.end(_TURN)
        self._unmarked = ()
        self._teller.tell_turn(progress)
        self._plan_gathering(outcomes, turn, progress)
        for outcome, accepted in zip(outcomes, progress.accepted, strict=False):
            self._forget(outcome, accepted=accepted)
        for settlement in turn.settlements[len(outcomes) :]:
            self._hands.drop(settlement.lease)
            self._claimed -= isinstance(settlement, Release)
        claim = progress.claim
        if not progress.signed_on:
            self.lose(self.worker)
            return
        self._knowledge.learn(claim.unknown)
        brought = claim.jobs or claim.unknown or claim.parked or claim.ended  # after these, more may end
        self._fruitless = bool(turn.wants) and not brought
        self._is_dry = self._fruitless and turn.wants[0].limit > 0
        self._claimed += len(claim.jobs)
        assigned = [one for one in map(self._assign, claim.jobs) if one is not None]
        logs.claimed((one.claimed for one in assigned), self.worker, self._desk.clock.now())
        self._hands.put(assigned)
        logs.ended_unrun(self._desk.reports, claim.ended, self.worker)  # last, for the look may fail

    def _plan_gathering(self, outcomes: list[Outcome], turn: Turn, progress: Progress) -> None:
        """After tiny jobs, wait until the line of them is done; or a moment, if they run as they come."""
        times = sorted(outcome.duration for outcome in outcomes)
        is_tiny = bool(times) and times[len(times) // 2] < TINY  # some only waited for the interpreter
        self._is_streaming = not turn.wants or len(progress.claim.jobs) < turn.wants[0].limit
        self._hands.is_tiny = is_tiny
        if is_tiny:
            longest = GATHER if self._is_streaming else LONGEST_GATHER
            self._gather_until = self._desk.clock.monotonic() + longest

    def _forget(self, outcome: Outcome, *, accepted: bool) -> None:
        self._hands.drop(outcome.assignment.lease)
        self._is_line_stuck = False
        self._pace.add(outcome.assignment.claimed.task, outcome.duration)
        self.settled += 1
        if accepted:
            counting.count(self._desk.minutes, outcome)
        logs.settled(outcome, self.worker, accepted=accepted)

    def _assign(self, claimed: Claimed) -> Assignment | None:
        prepared = self._hands.assign(claimed, self._knowledge.task(claimed.task))
        if isinstance(prepared, Fail):
            logs.unfit(claimed, prepared, self.worker)
            self._unwritten.append(prepared)
            self._desk.minutes.count(claimed.queue, "failed")
            return None
        return prepared

    def _replace_process(self) -> None:
        self.recycle = True
        self.stop()

    # --- waiting and ending ------------------------------------------------------------------------

    def _is_over(self) -> bool:
        if self._stops.asked or self._hands.is_evicted:
            return True
        if self._unwritten or not self._hands.is_idle:
            return False
        if self._options.max_jobs is not None and self._claimed >= self._options.max_jobs:
            return True
        if not self._options.burst or self._looked_around is None:
            return False
        return self._is_dry or not self._is_anything_waiting()

    def _is_anything_waiting(self) -> bool:
        waiting = self._desk.store.is_work_waiting(self._options.queues)
        return waiting or bool(self._knowledge.revive)

    def _wait(self) -> None:
        seconds = POLL
        if self._hands.waiting:
            seconds = HORIZON / SECOND
        elif self._hands.threads_used < self._options.threads:
            due = self._desk.store.next_due(self._options.queues)
            if due is not None:
                seconds = min(seconds, max(0.001, (due - self._desk.clock.now()) / SECOND))
        if self._hands.has_ended:  # unheard of, when the last of a line of tiny jobs is none
            seconds = min(seconds, LONGEST_GATHER / SECOND)
        self._bell.wait(seconds)
        self._is_hinted = self._bell.hinted
        self._fruitless = self._is_dry = False

    def _wind_down(self, heartbeat: Heartbeat) -> None:
        """Let what runs finish for the grace time; what is left then is given back by signing off."""
        if self._fault is not None:
            return
        self._announce_stop()
        deadline = self._desk.clock.monotonic() + self._options.grace
        self._unwritten.extend(Release(one.lease) for one in self._hands.late(-1))
        while self._unwritten or not self._hands.is_idle:
            self._notifier.progress(f"{self.settled:,} jobs settled", heartbeat.beaten_at)
            left = deadline - self._desk.clock.monotonic()
            if left <= 0 or self._stops.at_once.is_set():
                break
            outcomes = self._ended()
            turn = self._turn(outcomes, ())
            if turn.settlements or turn.starts:
                self._write(turn, outcomes)
            else:
                self._bell.wait(min(POLL, left / SECOND))

    def _announce_stop(self) -> None:
        try:
            self._desk.workers.announce_stop(self.worker)
        except DatabaseError as error:
            log.error("the stop can not be told in the file: %s", error)

    def _close(self) -> None:
        left = self._hands.close()
        try:
            if self._has_died:
                self._desk.workers.vanish(self.worker)
            elif self._fault is None:
                self._desk.workers.sign_off(self.worker, self._teller.telling("release", self.worker))
                self._desk.minutes.write()
        finally:
            self._bell.close()
            self._teller.close()
        logs.stopped(self.worker, self.settled, left)
