"""A process that uses the store's verbs directly, as fast as it can, in an order drawn from its seed."""

from __future__ import annotations

import random
import time
from collections import deque
from pathlib import Path

from litequeue.errors import LeaseLost
from litequeue.job import WAITING, Claimed, Filter, NewWorker, Start, Turn
from litequeue.storage.reports import Reports

from .flows import FLOWS
from .operations import OPERATIONS, QUEUES
from .told import ToldDatabase, ToldDesk, ToldQueue

ANY = Filter()
_MOST_WAITING = 400
_REMEMBERED = 100


class Driver:
    """One worker and producer in one; what it claims it settles itself, in any way there is."""

    most_held = 5

    def __init__(self, database: ToldDatabase, chance: random.Random, lease: int) -> None:
        desk = ToldDesk(database)
        self.path = Path(database.path)
        self.random = chance
        self.database, self.diary = database, database.diary
        self.store, self.workers, self.schedules = desk.store, desk.workers, desk.schedules
        self.queue = ToldQueue(desk, retention=None)
        self.held: list[Claimed] = []
        self.mine: deque[int] = deque(maxlen=_REMEMBERED)
        self.worker = 0
        self._reports = Reports(database)
        self._lease = lease
        self._renewed = 0.0
        self._tokens = 0
        self._waiting = 0

    def drive(self) -> None:
        """Do one thing after another, until killed."""
        acts = [operation.act for operation in OPERATIONS + FLOWS]
        weights = [operation.weight for operation in OPERATIONS + FLOWS]
        self.sign_on()
        while True:
            if time.monotonic() - self._renewed > self._lease / 3e6:
                self.renew()
            self.random.choices(acts, weights)[0](self)

    def sign_on(self) -> None:
        """Be a worker; what is held from before may be lost."""
        new = NewWorker(f"driver {self.diary.actor}", self.diary.actor, QUEUES, lease=self._lease)
        self.worker = self.workers.sign_on(new)
        self._renewed = time.monotonic()

    def renew(self) -> None:
        """Stay a worker, or be one again."""
        self._renewed = time.monotonic()
        if not self.workers.renew(self.worker, self._lease):
            self.sign_on()

    def take_turn(self, turn: Turn) -> None:
        """Settle and claim; what was claimed is held from now on."""
        progress = self.store.take_turn(self.worker, turn)
        self.held += [job for job in progress.claim.jobs if job.started or self._begins(job)]
        if not progress.signed_on:
            self.sign_on()

    def _begins(self, job: Claimed) -> bool:
        """Note, before it runs, that a job which runs at most once begins; False if it was lost meanwhile."""
        try:
            self.store.start(Start(job.lease, "early"))
        except LeaseLost:
            return False
        self.diary.note("began", lease=job.lease)
        return True

    def give_up(self, count: int) -> list[Claimed]:
        """Some of what is held, to be settled."""
        self.random.shuffle(self.held)
        leaving, self.held = self.held[:count], self.held[count:]
        return leaving

    def remember(self, ids: list[int]) -> None:
        """Keep the ids of one's own jobs in mind."""
        self.mine.extend(ids)

    def new_token(self) -> str:
        """A name for a job that nobody else gives."""
        self._tokens += 1
        return f"{self.diary.actor}-{self._tokens}"

    def some_job(self, chosen: Filter = ANY, *, newest: int = 200) -> int:
        """A job of anybody's, rather a new one."""
        found = self._reports.jobs(chosen, newest)
        return self.random.choice(found).id if found else 1

    def is_full(self) -> bool:
        """Whether enough jobs wait, so that the drain at the end is short; asked for now and then."""
        if self.random.random() < 0.1:
            counts = [self._reports.counts(queue) for queue in QUEUES]
            self._waiting = sum(count[state] for count in counts for state in WAITING)
        return self._waiting > _MOST_WAITING
