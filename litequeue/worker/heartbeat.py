"""The thread that keeps a worker alive in the file, whatever its tasks do.

It renews the lease, carries notes, counts and requests to stop, reaps dead workers, and looks after the
file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from ..clock import SECOND
from ..desk import Desk
from ..errors import (
    DatabaseDamaged,
    DatabaseError,
    FileReplaced,
    NotADatabase,
    QueueClosed,
    SchemaTooNew,
)
from ..job import Turn
from ..log import log
from .firing import fire
from .outcome import Assignment
from .teller import Teller
from .trouble import Trouble
from .upkeep import Upkeep

TICK = 0.25
# The file is no longer ours to use, and will not be again.
LOST = (FileReplaced, SchemaTooNew, DatabaseDamaged, NotADatabase)
_SHORTEST = 0.001
_CHECK_EVERY = 1 * SECOND
_BEAT = "heartbeat"
_SOONEST_LATE = 1 * SECOND
_TIME_TO_RENEW = 2 * SECOND  # four beats


class Host(Protocol):
    """The loop, as far as its heartbeat knows it."""

    worker: int
    settled: int
    trouble: Trouble

    def running(self) -> Iterable[Assignment]:
        """The assignments that have no outcome yet."""

    def ask_to_stop(self, job: int, attempt: int) -> None:
        """Pass a request to cancel on to the attempt."""

    def lose(self, worker: int) -> None:
        """The lease of this worker was lost: nothing that runs belongs to it any more."""

    def give_up(self, error: DatabaseError) -> None:
        """The file itself is not ours to use any more."""


class Heartbeat:
    """Beats every quarter of a second, or every half while nothing runs.

    The lease is renewed at a third of its length. Only who runs jobs makes those that schedules want. With
    every beat `also` is called.
    """

    def __init__(
        self,
        desk: Desk,
        host: Host,
        lease: int,
        teller: Teller,
        *,
        fires: bool = True,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        self._teller = teller
        self._also = also
        self._fires = fires
        self._desk = desk
        self._host = host
        self._lease = lease
        self._stop = threading.Event()
        now = desk.clock.monotonic()
        self._renewed, self._checked, self._beaten = now, now, now
        self.beaten_at = now  # whatever came of it
        self._reap_at: int | None = None
        self._upkeep = Upkeep(desk, self._stop)
        self._next_firing: int | None = None
        self._thread = threading.Thread(target=self._beat_on, name="litequeue-heartbeat", daemon=True)

    def start(self) -> None:
        """Take up what the dead left, which a burst might not live to do; then begin to beat."""
        self._try(self._reap)
        self._try(self._fire)  # likewise
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._stop.set()
        self._thread.join()

    def _beat_on(self) -> None:
        while not self._desk.clock.wait(self._stop, self._pause()):
            self._try(self.beat)
            self.beaten_at = self._desk.clock.monotonic()

    def _pause(self) -> float:
        """Seconds to the next beat, which comes early for a schedule."""
        tick = TICK if self._is_busy() else 2 * TICK
        if self._next_firing is None:
            return tick
        return min(tick, max(_SHORTEST, (self._next_firing - self._desk.clock.now()) / SECOND))

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
            self._host.trouble.end(_BEAT)
        except QueueClosed:
            self._stop.set()  # the loop ends for it
        except LOST as error:
            self._host.give_up(error)
        except Exception as error:  # a worker without a heartbeat would look alive and get no job
            self._host.trouble.begin(_BEAT, "its lease may not be renewed", error)

    def beat(self) -> None:
        """Do what is due."""
        self._check_descriptors()
        now = self._desk.clock.monotonic()
        self._renew(now)  # early, for all that follows may fail
        self._fire()
        self._carry_notes()
        self._also()
        for job, attempt in self._desk.reports.cancelling(self._host.worker) if self._is_busy() else ():
            self._host.ask_to_stop(job, attempt)
        if self._may_reap():
            self._reap()
        self._desk.minutes.write_some()
        self._look_after(now)

    def _renew(self, now: int) -> None:
        if now - self._renewed >= self._lease // 3:
            worker = self._host.worker
            if not self._desk.workers.renew(worker, self._lease):
                self._host.lose(worker)
            self._renewed = now

    def _may_reap(self) -> bool:
        """After a beat that came late, let the others renew first.

        What held us up, a full disk or a long lock or a stop of the whole machine, held them up as well: each
        would take the others for dead, and with them what they have done meanwhile and could not write.
        """
        now = self._desk.clock.monotonic()
        is_late = now - self._beaten > max(self._lease // 3, _SOONEST_LATE)
        self._beaten = now
        if self._reap_at is None and is_late:
            self._reap_at = now + _TIME_TO_RENEW
        if self._reap_at is not None and now < self._reap_at:
            return False
        self._reap_at = None
        return True

    def _reap(self) -> None:
        reaped = self._desk.workers.reap(self._teller.telling("reap", self._host.worker))
        if reaped:
            log.warning("reap jobs=%d from workers that died", reaped)

    def _fire(self) -> None:
        """Make the jobs of schedules that are due, and see when the next one is."""
        self._next_firing = fire(self._desk, self._teller) if self._fires else None

    def _is_busy(self) -> bool:
        return any(True for _ in self._host.running())

    def _carry_notes(self) -> None:
        taken = [(one.mailbox, one.mailbox.take(one.claimed)) for one in self._host.running()]
        notes = [(mailbox, note) for mailbox, note in taken if note is not None]
        try:
            if notes:
                self._desk.store.take_turn(self._host.worker, Turn(notes=tuple(note for _, note in notes)))
        except DatabaseError:
            for mailbox, note in notes:
                mailbox.put_back(note)
            raise

    def _look_after(self, now: int) -> None:
        if now - self._checked >= _CHECK_EVERY:
            self._checked = now
            self._check()
        self._upkeep.tend(now, self._host.settled)

    def _check_descriptors(self) -> None:
        """First of all: where a task has closed them, nothing else may be done, and its lock is lost."""
        if self._desk.database.side is not None:
            self._desk.database.side.require_open()

    def _check(self) -> None:
        self._desk.database.verify()
        self._desk.database.verify_version()
