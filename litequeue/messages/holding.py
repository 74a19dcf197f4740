"""What this process holds of one lane: it is signed on as a worker, which beats until it is closed."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..desk import Desk
from ..errors import DatabaseError, QueueClosed
from ..job import Claim, Claimed, Lease, NewWorker, Turn, Want
from ..log import log
from ..names import MESSAGE
from .got import Got
from .owed import Owed

if TYPE_CHECKING:
    from ..queue import Queue
    from ..worker.heartbeat import Heartbeat
    from ..worker.outcome import Assignment
    from ..worker.trouble import Trouble

_ONLY_MESSAGES = frozenset({MESSAGE})
_MANY = 1000  # claims in this process, while one that was struck gives back what it had taken


class Taker:
    """Who claims: by this it is known what he has taken in the file, should he be struck before he has it."""

    __slots__ = ()


class Holding:
    """Claims messages for this process, keeps them alive, and gives back what is left at the end.

    It signs on when something is wanted. `on_fault` is called when the file can not be used any more.
    """

    trouble: Trouble

    def __init__(self, queue: Queue, lane: str, on_fault: Callable[[], None]) -> None:
        self._queue = queue
        self._lane = lane
        self._on_fault = on_fault
        self.settled = 0
        self._closed = self._is_ending = False
        self._fault: DatabaseError | None = None
        self.start_afresh()

    def start_afresh(self) -> None:
        """Hold nothing; what the process held that forked this one is its own."""
        self._mutex = threading.RLock()
        self._heartbeat: Heartbeat | None = None
        self._taken: deque[tuple[Lease, Taker]] = deque(maxlen=_MANY)  # newest first
        self.got = Got()
        self.owed = Owed()
        self.worker = 0

    def signed_on(self) -> int:
        """The worker that this process is, from the first call on. Raises what the heartbeat met."""
        if self._fault is not None:
            raise self._fault
        if self._heartbeat is None:
            self._sign_on()
        return self.worker

    def claim(self, worker: int, taker: Taker) -> Claimed | None:
        """The next message, ours from now on; None when none is ready."""

        def note(claim: Claim) -> None:
            for job in claim.jobs:
                self._taken.appendleft((job.lease, taker))

        want = Want(self._lane, 1, 1, known=_ONLY_MESSAGES, revive=_ONLY_MESSAGES)
        while True:
            progress = self._desk.store.take_turn(worker, Turn(wants=(want,)), note)
            if progress.signed_on:
                return next(iter(progress.claim.jobs), None)
            self.lose(worker)
            worker = self.signed_on()

    def has_taken(self, taker: Taker, lease: Lease) -> bool:
        """Whether he was the last who took this; what one before him took was rolled back."""
        return next((who for taken, who in self._taken if taken == lease), None) is taker

    def give_back(self, is_meant: Callable[[Lease], bool]) -> int:
        """Give back what is meant of all that this process holds in the file; how many."""
        return self._desk.workers.give_back(self.worker, is_meant) if self.worker else 0

    def close(self) -> None:
        """Give back at once all that is held, and sign off."""
        with self._mutex:
            self._closed = True
            heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is not None:
            atexit.unregister(self._end)
            heartbeat.stop()
            self.owed.pay_at_last()
            self._desk.workers.sign_off(self.worker)
            self._desk.minutes.write()

    def _end(self) -> None:
        """The program ends, and with it the daemon threads that wait here: where they are, without a word."""
        self._is_ending = True
        self.close()

    # --- for the heartbeat ----------------------------------------------------------------------------

    def running(self) -> Iterable[Assignment]:
        """No job runs here: what is done with messages, their loop alone knows."""
        return ()

    def ask_to_stop(self, job: int, attempt: int) -> None:
        """Nobody can be asked; a message that was cancelled meanwhile ends so when it is settled."""

    def lose(self, worker: int) -> None:
        """The process was taken for dead, and what it held has gone to others: sign on anew."""
        with self._mutex:
            if worker == self.worker and not self._closed:
                log.error("lease lost worker=%d: it was taken for dead; its messages went back", worker)
                self.worker = self._desk.workers.sign_on(self._identity())

    def give_up(self, error: DatabaseError) -> None:
        """The file was replaced, damaged, or upgraded by a newer litequeue."""
        if self._fault is None:
            log.error("stop worker=%d: %s", self.worker, error)
            self._fault = error
            self._on_fault()

    # --- inside -------------------------------------------------------------------------------------

    @property
    def _desk(self) -> Desk:
        return self._queue.desk

    def _sign_on(self) -> None:
        from ..worker.heartbeat import Heartbeat
        from ..worker.teller import TellerAside
        from ..worker.trouble import Trouble

        if self._is_ending and threading.current_thread().daemon:
            threading.Event().wait()
        with self._mutex:
            if self._closed:
                raise QueueClosed(f"{self._queue.path}: this queue was closed; open another one")
            if self._heartbeat is None:
                self.trouble = Trouble(self)
                self.worker = self.worker or self._desk.workers.sign_on(self._identity())
                teller = TellerAside(self._desk, self._queue.runnable.get)
                lease = self._queue.lease
                heartbeat = Heartbeat(self._desk, self, lease, teller, fires=False, also=self.owed.pay)
                atexit.register(self._end)
                heartbeat.start()
                self._heartbeat = heartbeat  # only now: one that does not beat lets the lease end

    def _identity(self) -> NewWorker:
        from ..worker.settings import WorkerOptions, identity

        return identity(WorkerOptions((self._lane,)), self._queue.lease)
